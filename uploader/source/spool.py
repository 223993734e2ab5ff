"""Keep standard input in a private temporary file, so that it can be read twice."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from uploader.errors import InputError, StorageError

_BLOCK = 1024 * 1024


def spool(stdin: BinaryIO, folder: Path | None) -> Path:
    """Copy all of *stdin* to a new file of mode 0600 in *folder* (None: the system's own), and return its path.

    The caller deletes it. Raises InputError when standard input can't be read, StorageError when the copy can't be
    written; nothing is left behind then.
    """
    try:
        handle, name = tempfile.mkstemp(prefix="uploader-stdin-", dir=folder)
        with _gone_if_broken(Path(name)), os.fdopen(handle, "wb") as copy:
            while block := _read(stdin):
                copy.write(block)
    except OSError as error:
        where = folder or tempfile.gettempdir()
        raise StorageError(
            f"standard input can't be kept in {where}: {error.strerror}. Make room there, or name a file instead."
        ) from error
    return Path(name)


@contextmanager
def _gone_if_broken(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink()
        raise


def _read(stdin: BinaryIO) -> bytes:
    try:
        return stdin.read(_BLOCK)
    except OSError as error:
        raise InputError(f"standard input can't be read: {error.strerror}. Name a file instead.") from error
