"""Remember what the service accepted last for each person, and which retries a later run has overtaken."""

from uploader.changes.digest_store import Memory
from uploader.changes.digests import Digests, private_key
from uploader.changes.stores_by_service import Library, Shelved

__all__ = ["Digests", "Library", "Memory", "Shelved", "private_key"]
