"""Remember what the service accepted last for each person, and which retries a later run has overtaken."""

from uploader.memory.keys import Digests, private_key
from uploader.memory.library import Library, Shelved
from uploader.memory.store import Memory

__all__ = ["Digests", "Library", "Memory", "Shelved", "private_key"]
