"""Write lines with checksums, so that a torn, garbled or repeated piece of a file is detected."""

from collections.abc import Iterable, Iterator
from typing import Final
from zlib import crc32

_SUM: Final = 8


def link(payload: bytes, before: int) -> tuple[bytes, int]:
    """Return the line of *payload* (without a line end) and its checksum; *before* is that of the line before."""
    checksum = crc32(payload, before)
    return b"%08x %b\n" % (checksum, payload), checksum


def links(lines: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield the payload and the checksum of each whole line, up to the first that does not continue the chain.

    Each checksum covers all lines before it. So a piece of the same file, repeated at its end, is detected.
    """
    checksum = 0
    for line in lines:
        payload = line[_SUM + 1 : -1]
        checksum = crc32(payload, checksum)
        if line != b"%08x %b\n" % (checksum, payload):
            return
        yield payload, checksum
