"""Keep the state folder private: what lies in it is made by this user, for this user, and is never a planted link."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from uploader.errors import StorageError

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700


def private_folder(path: Path) -> Path:
    """Return the folder *path*, made if need be, with mode 0700.

    Raises:
        StorageError: it can't be made, or it is a link, or somebody else's.
    """
    try:
        path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise StorageError(
                f"{path} is a link or another user's folder. Remove it, or set state_dir to another place."
            )
        if stat.S_IMODE(found.st_mode) != FOLDER_MODE:
            path.chmod(FOLDER_MODE)
    except OSError as error:
        raise trouble(path, error) from None
    return path


def open_private(path: Path, flags: int) -> int:
    """Return a file descriptor for *path*, opened with *flags*, mode 0600, not inherited, never through a link.

    Raises:
        StorageError: it can't be opened, or it is a link.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        try:
            if stat.S_IMODE(os.fstat(handle).st_mode) != FILE_MODE:
                os.fchmod(handle, FILE_MODE)
        except OSError:
            os.close(handle)
            raise
    except OSError as error:
        raise trouble(path, error) from None
    return handle


def sync_folder(path: Path) -> None:
    """Make the names in the folder *path* last through a power cut; raises StorageError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise trouble(path, error) from None


def trouble(path: Path, error: OSError) -> StorageError:
    """Return the one line that says what is wrong with *path*, and what to do."""
    if error.errno == errno.ELOOP:
        return StorageError(f"{path} is a symbolic link, which is not followed. Remove it, then run again.")
    return StorageError(f"{path}: {error.strerror}. Make room or give way there, then run again to continue.")
