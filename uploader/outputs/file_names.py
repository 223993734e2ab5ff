"""Shorten file names to the length that a file system accepts."""

import hashlib
import os
from typing import Final

MOST_BYTES: Final = 255
"""The length limit of a name on the usual file systems."""

_DIGITS: Final = 8


def fitting(name: str, most: int) -> str:
    """Return *name* if it has at most *most* bytes; else its beginning, with some digits of its digest."""
    whole = os.fsencode(name)
    if len(whole) <= most:
        return name
    digits = hashlib.sha256(whole).hexdigest()[:_DIGITS]
    while len(os.fsencode(name)) > most - _DIGITS - 1:
        name = name[:-1]
    return f"{name}~{digits}"
