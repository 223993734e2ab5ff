"""Lock a store for this process alone or with others, and wait for those that have it."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from uploader.errors import StorageError
from uploader.private_files import open_private

_PAUSE_SECONDS: Final = 0.02
MOST_PAUSES: Final = 1_000
"""How often to retry while another process has the file locked: for 20 s. A run locks it for milliseconds."""


def pause() -> None:
    """Wait a moment for another process."""
    time.sleep(_PAUSE_SECONDS)


def kept_locked(path: Path) -> StorageError:
    """Return the error for a store that another process keeps locked."""
    return StorageError(
        f"{path} is kept locked by another process. End that one, or wait for its end, then run again to resume."
    )


def shared(path: Path, pause: Callable[[], None]) -> int:
    """Return the lock file of the store at *path*, with a shared lock; raises OSError, StorageError."""
    lock = locked(path)
    try:
        for left in range(MOST_PAUSES, -1, -1):
            try:
                share(lock)
            except BlockingIOError:
                if left:
                    pause()
            else:
                return lock
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    raise kept_locked(path)


def locked(path: Path) -> int:
    """Return the lock file of the store at *path*, open and not locked yet; raises StorageError."""
    return open_private(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)


def share(lock: int) -> None:
    """Take a shared *lock*; raises BlockingIOError while a process has it alone, or OSError."""
    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)


def seized(lock: int) -> bool:
    """Take *lock* for this process alone; return whether no other process has it. Raises OSError."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
