"""Let one run at a time send a file; a lock frees itself when its process dies."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from uploader.errors import LockedError, StorageError
from uploader.private_files import open_private, trouble

_MOST: Final = 4096
_TRIES: Final = 5
_MOMENT_SECONDS: Final = 0.01


class RunLock:
    """The lock file at *path*, held while the context lasts; it says who holds it and since when."""

    def __init__(self, path: Path, *, since: str, what: str = "this file", is_temporary: bool = False) -> None:
        """Take the path, *since*, the time to tell others, and *what* is locked, for people.

        *is_temporary* is whether the file is deleted when the lock is let go.
        """
        self._what = what
        self._is_temporary = is_temporary
        self._path = path
        self._since = since
        self._handle = -1

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            LockedError: another process holds it.
            StorageError: the file can't be used.
        """
        handle = self._taken()
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()}, since {self._since}\n".encode(), 0)
        except OSError as error:
            os.close(handle)
            raise trouble(self._path, error) from None
        self._handle = handle
        return self

    def _taken(self) -> int:
        """Return the locked file; raises LockedError or StorageError."""
        for patience in range(_TRIES, -1, -1):
            handle = open_private(self._path, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = _who(handle)
                os.close(handle)
                if not patience:
                    raise LockedError(
                        f"Another run sends {self._what} to this service: {holder}. Nothing was done. "
                        "Wait for its end, then run again."
                    ) from None
                # Who only looks whether the lock is held, holds it for a moment.
                time.sleep(_MOMENT_SECONDS)
                continue
            if _is_at(self._path, handle):
                return handle
            # It was cleared away before it was locked.
            os.close(handle)
        raise LockedError(f"{self._path} can't be locked. Nothing was done. Run again.")

    def delete_if_unused(self) -> None:
        """Delete the file if nobody holds the lock; whoever opened it before sees that and takes the new one."""
        with suppress(OSError, StorageError):
            handle = open_private(self._path, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # A new one may be there already, and somebody may hold that.
                if _is_at(self._path, handle):
                    self._path.unlink()
            finally:
                os.close(handle)

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
        """Let the lock go; the file stays until the last run of its key is thrown away, if it is one of a key."""
        if self._is_temporary:
            # Whoever opened it before sees that it is gone, and takes the new one.
            with suppress(OSError):
                self._path.unlink()
        os.close(self._handle)


def _who(handle: int) -> str:
    return os.pread(handle, _MOST, 0).decode("utf-8", "replace").strip() or "another process"


def _is_at(path: Path, handle: int) -> bool:
    """Whether the open file *handle* is still the one at *path*."""
    try:
        found = path.stat()
    except OSError:
        return False
    mine = os.fstat(handle)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)
