"""Write lines with checksums, so that a torn, garbled or repeated piece of a file is detected."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final
from zlib import crc32

_SUM: Final = 8
LINE: Final = b"%08x %b\n"
"""A line: its checksum, which covers all lines up to it, and its payload."""

_AT_ONCE: Final = 256
"""So many lines are looked at together."""


def link(payload: bytes, before: int) -> tuple[bytes, int]:
    """Return the line of *payload* (without a line end) and its checksum; *before* is that of the line before."""
    checksum = crc32(payload, before)
    return LINE % (checksum, payload), checksum


def links(lines: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Return the payload and the checksum of each whole line, up to the first that does not continue the chain.

    Each checksum covers all lines before it. So a piece of the same file, repeated at its end, is detected.
    """
    return chain.from_iterable(_linked(iter(lines)))


def _linked(lines: Iterator[bytes]) -> Iterator[list[tuple[bytes, int]]]:
    checksum = 0
    while some := list(islice(lines, _AT_ONCE)):
        found = list[tuple[bytes, int]]()
        for line in some:
            payload = line[_SUM + 1 : -1]
            checksum = crc32(payload, checksum)
            if line != LINE % (checksum, payload):
                yield found
                return
            found.append((payload, checksum))
        yield found
