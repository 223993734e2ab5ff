"""Recognise the sources that can be read only once: standard input, and pipes."""

import re
import stat
from pathlib import Path

STDIN = 0
"""The descriptor of standard input."""

_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(?P<number>[0-9]{1,9})")


def descriptor(name: str) -> int | None:
    """Return the open descriptor that a source called *name* stands for: 0 for "-"; None where it is a file."""
    if name in {"-", "/dev/stdin"}:
        return STDIN
    found = _DESCRIPTOR.fullmatch(name)
    return None if found is None else int(found["number"])


def reads_only_once(name: str) -> bool:
    """Return whether the file called *name* must be copied to be read twice; raises OSError, ValueError."""
    mode = Path(name).stat().st_mode
    # The file behind a descriptor may have been deleted or renamed.
    return stat.S_ISFIFO(mode) or (stat.S_ISREG(mode) and descriptor(name) is not None)
