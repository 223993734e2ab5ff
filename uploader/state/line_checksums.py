"""Spell lines that can be told from a torn, garbled or repeated piece of a file."""

from collections.abc import Iterable, Iterator
from typing import Final
from zlib import crc32

_SUM: Final = 8


def link(payload: bytes, before: int) -> tuple[bytes, int]:
    """Return the line that carries *payload* (no line end in it), and its checksum, which covers the line *before*."""
    checksum = crc32(payload, before)
    return b"%08x %b\n" % (checksum, payload), checksum


def links(lines: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield the payload and the checksum of each whole line, up to the first that does not continue the chain.

    Each checksum covers all lines before it, so that a piece of the same file repeated behind its end does not pass.
    """
    checksum = 0
    for line in lines:
        payload = line[_SUM + 1 : -1]
        checksum = crc32(payload, checksum)
        if line != b"%08x %b\n" % (checksum, payload):
            return
        yield payload, checksum
