"""Copy what can't be read twice to private temporary files."""

import errno
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from uploader.errors import InputError, StorageError

_BLOCK = 1024 * 1024
_MODE = 0o600
_OPENED = Path("/proc/self/fd")
_NO_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})
"""The errors of a file system or kernel that can't make a file without a name."""


class Spool:
    """Files of mode 0600 in one folder, deleted when *stack* closes or the process ends, even by a crash.

    They have no name: each is opened through its descriptor. Only where the system can't do that, a file has a name,
    and is deleted when *stack* closes.
    """

    def __init__(self, folder: Path | None, stack: ExitStack) -> None:
        """Keep files in *folder*; None: the system's folder for temporary files."""
        self._folder = Path(tempfile.gettempdir()) if folder is None else folder
        self._stack = stack

    def keep(self, blocks: Iterable[bytes], label: str) -> Path:
        """Return a new file with *blocks*, the bytes of what messages call *label*; raises StorageError."""
        try:
            return self._kept(blocks)
        except OSError as error:
            raise StorageError(
                f"{label} can't be kept in {self._folder}: {error.strerror}. Make room there, or name a file instead."
            ) from error

    def _kept(self, blocks: Iterable[bytes]) -> Path:
        handle = _nameless(self._folder)
        if handle is not None:
            path = _OPENED / str(handle)
            copy = self._stack.enter_context(os.fdopen(handle, "wb", buffering=0))
        else:
            path = self._folder / f"uploader-{secrets.token_hex(16)}"
            # Before the file is made: a signal may end the process right after that.
            self._stack.callback(path.unlink, missing_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
            copy = self._stack.enter_context(os.fdopen(handle, "wb", buffering=0))
            if _is_reached(_OPENED / str(handle), handle):
                path.unlink()
                path = _OPENED / str(handle)
        for block in blocks:
            left = memoryview(block)
            while left:
                left = left[copy.write(left) :]
        return path

    def handed_over(self) -> ExitStack:
        """Return the stack that deletes the files from now on."""
        return self._stack.pop_all()


def _nameless(folder: Path) -> int | None:
    """Return the descriptor of a new file without a name in *folder*; None where the system can't make one."""
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag:
        return None
    try:
        handle = os.open(folder, os.O_RDWR | flag | os.O_CLOEXEC, _MODE)
    except OSError as error:
        if error.errno in _NO_NAMELESS:
            return None
        raise
    if _is_reached(_OPENED / str(handle), handle):
        return handle
    os.close(handle)
    return None


def _is_reached(path: Path, handle: int) -> bool:
    """Return whether *path* leads to the file that *handle* has open."""
    try:
        return path.exists() and os.path.samestat(path.stat(), os.fstat(handle))
    except OSError:
        return False


def blocks_of(pipe: BinaryIO, label: str) -> Iterator[bytes]:
    """Yield the bytes of *pipe*, which messages call *label*; raises InputError when it can't be read."""
    while True:
        try:
            block = pipe.read(_BLOCK)
        except OSError as error:
            raise InputError(f"{label} can't be read: {error.strerror}. Name a file instead.") from error
        if not block:
            return
        yield block
