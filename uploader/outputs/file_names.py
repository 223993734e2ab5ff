"""Keep the names that we make of files within what a file system takes."""

import hashlib
import os
from typing import Final

MOST_BYTES: Final = 255
"""How long a name may be on the usual file systems."""

_DIGITS: Final = 8


def fitting(name: str, most: int) -> str:
    """Return *name* if it has no more than *most* bytes; else its beginning, with some digits of its digest."""
    whole = os.fsencode(name)
    if len(whole) <= most:
        return name
    digits = hashlib.sha256(whole).hexdigest()[:_DIGITS]
    while len(os.fsencode(name)) > most - _DIGITS - 1:
        name = name[:-1]
    return f"{name}~{digits}"
