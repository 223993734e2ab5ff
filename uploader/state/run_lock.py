"""Let only one run at a time send a file; the kernel frees a lock when its process ends."""

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
    """The lock file at *path*, locked within the context; it says which process holds it and since when."""

    def __init__(self, path: Path, *, since: str, what: str = "this file", is_temporary: bool = False) -> None:
        """Use the file at *path*; *since* and *what* are the start and the name of what is locked, for messages.

        *is_temporary* is whether the file is deleted when the lock is released.
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
                # A process that only checks the lock holds it for a moment.
                time.sleep(_MOMENT_SECONDS)
                continue
            if _is_at(self._path, handle):
                return handle
            # The file was deleted before it was locked.
            os.close(handle)
        raise LockedError(f"{self._path} can't be locked. Nothing was done. Run again.")

    def delete_if_unused(self) -> None:
        """Delete the file if nobody holds the lock; a process that has opened it notices, and opens the new one."""
        with suppress(OSError, StorageError):
            handle = open_private(self._path, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # A new file may be there already, and another process may hold its lock.
                if _is_at(self._path, handle):
                    self._path.unlink()
            finally:
                os.close(handle)

    def holder(self) -> str | None:
        """Return a text that names the holder of the lock; None if nobody holds it. Raises StorageError."""
        try:
            handle = open_private(self._path, os.O_RDWR)
        except StorageError:
            if os.path.lexists(self._path):
                raise
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _who(handle)
        finally:
            os.close(handle)
        return None

    def __exit__(self, *_: object) -> None:
        """Release the lock; unless it is temporary, the file stays until the last run of its key is deleted."""
        if self._is_temporary:
            # A process that has opened it notices that it is gone, and opens the new one.
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
