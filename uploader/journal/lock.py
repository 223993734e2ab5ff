"""Let one run at a time send to a service; a lock frees itself when its process dies."""

import fcntl
import os
from pathlib import Path
from typing import Self

from uploader.errors import LockedError
from uploader.journal.folder import open_private, trouble

_MOST = 4096


class Lock:
    """The lock file at *path*, held while the context lasts; it says who holds it and since when."""

    def __init__(self, path: Path, *, since: str) -> None:
        """Take the path, and *since*, the time to tell others."""
        self._path = path
        self._since = since
        self._handle = -1

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            LockedError: another process holds it.
            StorageError: the file can't be used.
        """
        handle = open_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _who(handle)
            os.close(handle)
            raise LockedError(
                f"Another run sends to this service: {holder}. Nothing was done. Wait for its end, then run again."
            ) from None
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()}, since {self._since}\n".encode(), 0)
        except OSError as error:
            os.close(handle)
            raise trouble(self._path, error) from None
        self._handle = handle
        return self

    def holder(self) -> str | None:
        """Return who holds the lock now, in words; None if nobody does. Raises StorageError."""
        handle = open_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _who(handle)
        finally:
            os.close(handle)
        return None

    def __exit__(self, *_: object) -> None:
        """Let the lock go; the file stays, so that no two processes ever lock different ones."""
        os.close(self._handle)


def _who(handle: int) -> str:
    return os.pread(handle, _MOST, 0).decode("utf-8", "replace").strip() or "another process"
