"""Read the bytes of a file once, front to back, and take its fingerprint on the way."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NoReturn, Self

from uploader.errors import ChangedError, InputError
from uploader.model import Unpacking
from uploader.source.compression import Archive, Packing, unpacked
from uploader.source.file_change_detection import ReadTrace, agrees, is_changed, version_of

BLOCK = 256 * 1024
"""How many bytes are read at a time."""

HEAD = 64 * 1024
"""How many of the first bytes are examined to detect the format."""

_UNPACKING = Unpacking()
_STEP = 16
"""How many bytes of a digest are kept for each block."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Identifies a file as it was read: two passes with equal fingerprints read the same file.

    *digest* is over the bytes as stored, compressed or not. *mtime_ns* and *inode* are 0 for standard input and pipes,
    which are identified by content alone.
    """

    size: int
    mtime_ns: int
    inode: int
    digest: str


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """Where a source's bytes are: the file's *path*, and the *label* that messages use for it.

    *spooled* is whether the file is a copy of standard input or a pipe. *packing* is the kind of compression (None:
    not compressed), *unpacking* the limit on the unpacked size.
    """

    path: Path
    label: str
    spooled: bool = False
    packing: Packing | None = None
    unpacking: Unpacking = _UNPACKING


class ByteStream:
    """The bytes of one file: hashed as they are on disk, unpacked where the file is compressed.

    Every read of a source goes through this class. Any error in opening, reading or unpacking the file is an
    InputError that names it.

    *trace* records what was read so far. A stream may follow the trace of an earlier one; then it yields only what that
    one read. It raises ChangedError before the first block that differs, and before any block once the file's size,
    modification time or inode differs. It does not read past the end of that trace.
    """

    def __init__(self, location: SourceLocation, follows: ReadTrace | None = None) -> None:
        """Open the file of *location*; *follows* is the trace of an earlier stream to compare with."""
        self.location = location
        self._file = _open(location)
        self._found = os.fstat(self._file.fileno())
        self._digest = blake2b(digest_size=32)
        self._follows = follows
        self.trace = ReadTrace(version_of(self._found))

    def __enter__(self) -> Self:
        """Return the open stream."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self._file.close()

    def head(self) -> bytes:
        """Return the first HEAD bytes, or all where the file is shorter."""
        head = b""
        for block in self.blocks():
            head += block
            if len(head) >= HEAD:
                break
        return head[:HEAD]

    def blocks(self) -> Iterator[bytes]:
        """Yield all bytes in order, unpacked."""
        location = self.location
        if location.packing is None:
            return self.packed_blocks()
        archive = Archive(location.label, location.packing, self._found.st_size, location.unpacking)
        return self._watched(unpacked(self.packed_blocks(), archive))

    def packed_blocks(self) -> Iterator[bytes]:
        """Yield the bytes as they are on disk."""
        while block := self._read():
            yield block

    def add_rows(self, digest: bytes) -> None:
        """Record the *digest* of all rows so far, where a library reads the file itself.

        Call it before the latest rows are used. Raises ChangedError as the stream does for its own blocks.
        """
        self.trace.rows.append(digest)
        self._refuse_if_changed()
        if self._follows is not None and not agrees(self.trace.rows, self._follows.rows):
            raise self._changed()

    def end_rows(self) -> None:
        """Raise ChangedError where the trace that this stream follows has more rows."""
        if self._follows is not None and len(self.trace.rows) < len(self._follows.rows):
            raise self._changed()

    def raise_unreadable(self, error: InputError) -> NoReturn:
        """Raise *error*; or ChangedError where an earlier stream has read the whole file, which has changed since."""
        raise self._changed() if self._follows is not None and self._follows.is_whole else error

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the file; it is valid only after the last block was read."""
        spooled = self.location.spooled
        return Fingerprint(
            size=self._found.st_size,
            mtime_ns=0 if spooled else self._found.st_mtime_ns,
            inode=0 if spooled else self._found.st_ino,
            digest=self._digest.hexdigest(),
        )

    def _watched(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield *pieces*, with a check for changes before each: one compressed block may take hours to send."""
        for piece in pieces:
            self._refuse_if_changed()
            yield piece

    def _read(self) -> bytes:
        follows, trace = self._follows, self.trace
        try:
            block = self._filled(BLOCK if follows is None else min(BLOCK, follows.size - trace.size))
        except OSError as error:
            raise unreadable(self.location.label, error) from error
        self._refuse_if_changed()
        if block:
            self._digest.update(block)
            trace.size += len(block)
            trace.blocks.append(self._digest.copy().digest()[:_STEP])
        if follows is not None and not self._keeps_to(follows, ended=not block):
            raise self._changed()
        trace.is_whole = not block
        return block

    def _filled(self, size: int) -> bytes:
        """Return the next *size* bytes, fewer only at the end: one read may return less than was asked for."""
        block = self._file.read(size)
        while block and len(block) < size and (more := self._file.read(size - len(block))):
            block += more
        return block

    def _keeps_to(self, follows: ReadTrace, *, ended: bool) -> bool:
        if ended:
            return follows.is_whole and self.trace.size == follows.size
        return agrees(self.trace.blocks, follows.blocks)

    def _refuse_if_changed(self) -> None:
        follows = self._follows
        # A pass over the first rows only does not care whether the others changed.
        if follows is None or not follows.is_whole:
            return
        if is_changed(self.location.path, self._file.fileno(), follows.version):
            raise self._changed()

    def _changed(self) -> ChangedError:
        return ChangedError(
            f"{self.location.label} changed after it was checked. Run again with the file as it is now."
        )


def unreadable(label: str, error: OSError) -> InputError:
    """Return the error for the file called *label*: why it can't be read, and what to do."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{label}: no such file. Check the path.")
    if isinstance(error, PermissionError):
        return InputError(f"{label}: permission denied. Give this user the right to read it.")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{label} is a directory. Name a file in it.")
    return InputError(f"{label} can't be read: {error.strerror}. Fix that, then run again.")


def _open(location: SourceLocation) -> BinaryIO:
    try:
        _refuse_what_reads_only_once(location)
        return location.path.open("rb", buffering=0)
    except OSError as error:
        raise unreadable(location.label, error) from error
    except ValueError as error:
        raise InputError(f"{location.label!r} can't be the name of a file. Check the path.") from error


def _refuse_what_reads_only_once(location: SourceLocation) -> None:
    if not location.path.is_dir() and location.path.exists() and not location.path.is_file():
        # Opening a pipe would wait for its writer, and the second pass would read nothing.
        raise InputError(f"{location.label} is not a regular file. Pass it on standard input, as '-'.")
