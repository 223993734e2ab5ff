"""Unpack a compressed file as a stream, and refuse it if it is damaged, cut off or too large."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, Protocol, TypeAlias

from uploader.errors import InputError
from uploader.model import Unpacking

Packing: TypeAlias = Literal["gzip", "zstd", "bzip2", "xz"]

_SUFFIXES = frozenset({".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz"})
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = b"\x2a\x4d\x18"
_BZIP2 = b"BZh"
_BZIP2_STARTS = (b"1AY&SY", b"\x17rE8P\x90")
_XZ = b"\xfd7zXZ\x00"

_PIECE = 256 * 1024
_ALWAYS = 1024 * 1024
_WINDOW_LOG = 27
_MEMORY = 2**_WINDOW_LOG


@dataclass(frozen=True, slots=True)
class Archive:
    """A compressed file: its name in messages, its compression, its size in bytes, the limit on its unpacked size."""

    label: str
    packing: Packing
    size: int
    unpacking: Unpacking


def packing_of(head: bytes) -> Packing | None:
    """Return the compression of a file that begins with *head*; None where there is none."""
    if head.startswith(_GZIP):
        return "gzip"
    if head.startswith(_ZSTD) or (head[1:4] == _ZSTD_SKIPPED and 0x50 <= head[0] <= 0x5F):  # noqa: PLR2004 its magic
        return "zstd"
    # "BZh" alone could begin the header of a CSV.
    if head.startswith(_BZIP2) and head[4:10] in _BZIP2_STARTS:
        return "bzip2"
    return "xz" if head.startswith(_XZ) else None


def unpacked_name(name: str) -> PurePath:
    """Return *name* without the suffix of its compression: `people.csv` for `people.csv.gz`."""
    path = PurePath(name)
    return path.with_suffix("") if path.suffix.lower() in _SUFFIXES else path


def unpacked(packed: Iterable[bytes], archive: Archive) -> Iterator[bytes]:
    """Yield the unpacked bytes of *archive*, whose blocks are *packed*.

    Raises InputError where the limit on the unpacked size is exceeded, and where the archive is cut off, damaged, or
    followed by other data.
    """
    allowance = _Allowance(archive)
    new, errors = _CODECS[archive.packing]()
    finished = 0
    part: _Part | None = None
    for block in packed:
        rest = block
        while rest or (part is not None and not part.needs_input):
            if part is None:
                rest = _without_padding(rest, archive) if finished else rest
                part = new() if rest else None
                continue
            try:
                piece = part.decompress(rest, _PIECE)
            except errors as error:
                raise _damaged(archive, finished, error) from None
            rest = b""
            if piece:
                allowance.take(len(piece))
                yield piece
            if part.eof:
                rest, part, finished = part.unused_data, None, finished + 1
    if part is not None:
        raise InputError(
            f"{archive.label} is cut off or damaged ({archive.packing}): "
            f"it ends after {archive.size:,} bytes, in the middle of what it holds. Get it anew."
        )


class _Part(Protocol):
    """One of the compressed streams that are concatenated in a file."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _GzipPart:
    """A member of a gzip file, with the interface of the other decompressors."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        piece = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        # After a full piece, zlib may still hold more output.
        self.needs_input = len(piece) < max_length
        return piece


_Codec: TypeAlias = tuple[Callable[[], _Part], tuple[type[Exception], ...]]


def _gzip() -> _Codec:
    return _GzipPart, (zlib.error,)


def _bzip2() -> _Codec:
    return bz2.BZ2Decompressor, (OSError,)


def _xz() -> _Codec:
    return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY), (lzma.LZMAError,)


def _zstd() -> _Codec:
    # The library is loaded only for a zstd file.
    from uploader.source.zstd import ZstdError, new_decompressor  # noqa: PLC0415 the reason above

    return lambda: new_decompressor(_WINDOW_LOG), (ZstdError,)


_CODECS: dict[Packing, Callable[[], _Codec]] = {"gzip": _gzip, "bzip2": _bzip2, "xz": _xz, "zstd": _zstd}


class _Allowance:
    """How many more bytes an archive may unpack to."""

    def __init__(self, archive: Archive) -> None:
        unpacking = archive.unpacking
        self._archive = archive
        if unpacking.size is not None:
            self._left = unpacking.size
            self._most = f"{unpacking.size:,} bytes"
        else:
            times = unpacking.times or 1
            self._left = max(_ALWAYS, times * archive.size)
            self._most = f"{times:,} times its size"

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise InputError(
                f"{self._archive.label} unpacks to more than {self._most} (limits.max_unpacked). "
                "If it is meant to, raise limits.max_unpacked."
            )


def _without_padding(data: bytes, archive: Archive) -> bytes:
    """Return *data* without the zeros that may follow a part: tape drives add them."""
    return data.lstrip(b"\0") if archive.packing in {"gzip", "xz"} else data


def _damaged(archive: Archive, finished: int, error: Exception) -> InputError:
    said = str(error).lower()
    if "memory" in said:
        return InputError(
            f"{archive.label} needs more than 128 MiB of memory to be unpacked ({archive.packing}). "
            "Pack it anew without --long or an own dictionary size, or unpack it first."
        )
    where = f"what follows its part {finished}" if finished else "what it holds"
    return InputError(
        f"{archive.label} is cut off or damaged ({archive.packing}): {where} can't be unpacked. Get it anew."
    )
