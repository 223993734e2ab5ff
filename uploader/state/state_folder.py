"""Refuse a state folder that holds anything else, and keep it private."""

import os
import stat
from pathlib import Path
from typing import Final

from uploader.errors import ConfigError, UploaderError
from uploader.private_files import FOLDER_MODE, foreign_folder, private_folder, trouble

_MADE_TOGETHER: Final = frozenset({"runs", "locks"})
IDENTITY_KEY: Final = "identity_key"
"""The file of the key of the identities that journals keep of rows to be sent again."""

_OURS: Final = frozenset({*_MADE_TOGETHER, "history", "numbers", "quota", "totals", "memory", "retries", IDENTITY_KEY})
_NOBODYS: Final = frozenset({"lost+found"})


def state_folder(path: Path) -> Path:
    """Return the state folder *path*, created if missing, with mode 0700.

    Raises:
        ConfigError: it is no folder, or it holds other things than a state folder does, or it is shared by all users.
        StorageError: it can't be created, or it is a link, or another user's.
    """
    refuse_foreign(path)
    return private_folder(path)


def is_state_folder(path: Path) -> bool:
    """Whether there is a state folder of this user at *path*; an empty folder is none. Nothing is changed."""
    try:
        refuse_foreign(path)
        names = {inner.name for inner in path.iterdir()}
        return names >= _MADE_TOGETHER and path.lstat().st_uid == os.geteuid()
    except (OSError, UploaderError):
        return False


def refuse_foreign(path: Path) -> None:
    """Raise what `state_folder` would raise for *path*, and change nothing there."""
    try:
        found = path.lstat()
        names = {inner.name for inner in path.iterdir()} - _NOBODYS if stat.S_ISDIR(found.st_mode) else set()
    except FileNotFoundError:
        return
    except OSError as error:
        raise trouble(path, error) from None
    if not path.is_dir():
        raise ConfigError(
            f"state_dir: {path} is not a folder. Set state_dir to a folder that is empty, or does not exist yet."
        )
    for name in sorted(names & _OURS):
        if (path / name).is_symlink():
            raise foreign_folder(path / name)
    if stat.S_ISDIR(found.st_mode) and not _is_ours(names, stat.S_IMODE(found.st_mode)):
        raise ConfigError(
            f"state_dir: {path} is in use for something else, and a state folder is for this program alone. "
            "Set state_dir to a folder that is empty, or does not exist yet."
        )


def _is_ours(names: set[str], mode: int) -> bool:
    """Whether a folder of this *mode* that holds *names* is a state folder, or may become one."""
    if names >= _MADE_TOGETHER:
        return True
    if names:
        # A crash may have come between the creation of the two.
        return names <= _OURS and mode == FOLDER_MODE
    # A folder with the sticky bit, as /tmp, is shared by all users, also while it is empty.
    return not mode & stat.S_ISVTX
