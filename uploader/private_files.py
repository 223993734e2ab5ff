"""Open and write private files safely: owned by this user, readable only by this user."""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from uploader.errors import StorageError
from uploader.whole_files import removed_on_failure

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link, which is not followed"),
    (stat.S_ISDIR, "a folder, not a file"),
    (stat.S_ISFIFO, "a pipe, not a file"),
    (stat.S_ISSOCK, "a socket, not a file"),
)
_WRITING: Final = os.O_WRONLY | os.O_RDWR


def private_folder(path: Path) -> Path:
    """Return the folder *path* with mode 0700; create it if it does not exist.

    Raises:
        StorageError: it can't be created, or is a link or another user's.
    """
    try:
        path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise foreign_folder(path)
        if stat.S_IMODE(found.st_mode) != FOLDER_MODE:
            path.chmod(FOLDER_MODE)
    except OSError as error:
        raise trouble(path, error) from None
    return path


def foreign_folder(path: Path) -> StorageError:
    """Return the error that *path* is not this user's own folder, with the next step."""
    return StorageError(f"{path} is a link or another user's folder. Remove it, or set state_dir to another place.")


def open_private(path: Path, flags: int) -> int:
    """Return a file descriptor for *path*, opened with *flags*, mode 0600, not inherited.

    Only a regular file of this user is opened. For writing, it must have no other name (hard link). Anything else is
    left unchanged, without a wait for the other end of a pipe.

    Raises:
        StorageError: it can't be opened, or is not such a file.
    """
    try:
        # Truncated only once its owner is known. O_NONBLOCK: opening a pipe would wait for its other end.
        safe = (flags & ~os.O_TRUNC) | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        handle = os.open(path, safe, FILE_MODE)
    except OSError as error:
        raise refusal(path) or trouble(path, error) from None
    try:
        found = os.fstat(handle)
        wrong = _wrong(found, writing=bool(flags & _WRITING))
        if wrong is not None:
            raise _refused(path, wrong)
        if stat.S_IMODE(found.st_mode) != FILE_MODE and found.st_nlink == 1:
            os.fchmod(handle, FILE_MODE)
        if flags & os.O_TRUNC:
            os.ftruncate(handle, 0)
    except OSError as error:
        os.close(handle)
        raise trouble(path, error) from None
    except StorageError:
        os.close(handle)
        raise
    return handle


def write_private(path: Path, parts: Iterable[bytes], *, is_first: bool = False) -> None:
    """Write *parts* to the private file *path* and sync it: all of it or nothing, also after a crash.

    It replaces an existing file, unless *is_first*: then the first of two processes that create it wins. The name
    survives a power cut only after `sync_folder`.

    Raises:
        StorageError: it can't be written; an existing file at *path* is unchanged.
    """
    # A process that replaces a file holds a lock, and reuses what a crash left; the others need a name of their own.
    beside = path.with_name(f".{path.name}.{os.getpid()}") if is_first else path.with_suffix(".new")
    handle = open_private(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with removed_on_failure(beside):
            with os.fdopen(handle, "wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            if is_first:
                with suppress(FileExistsError):
                    os.link(beside, path)
                beside.unlink()
            else:
                beside.replace(path)
    except OSError as error:
        raise trouble(path, error) from None


def open_at_once(path: Path) -> BinaryIO:
    """Return whatever is at *path*, open for reading, without a wait for the other end of a pipe; raises OSError.

    The caller checks what kind of file it is, and whose.
    """
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


def refusal(path: Path) -> StorageError | None:
    """Return the error if *path* exists and must not be written to, else None."""
    try:
        wrong = _wrong(path.lstat(), writing=True)
    except OSError:
        return None
    return None if wrong is None else _refused(path, wrong)


def sync_folder(path: Path) -> None:
    """Sync the folder *path*, so that the names in it survive a power cut; raises StorageError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise trouble(path, error) from None


def trouble(path: Path, error: OSError) -> StorageError:
    """Return the error that says what is wrong with *path*, with the next step."""
    if error.errno == errno.ELOOP:
        return _refused(path, _KINDS[0][1])
    return StorageError(f"{path}: {error.strerror}. Make room or allow access there, then run again to resume.")


def _wrong(found: os.stat_result, *, writing: bool) -> str | None:
    """Return a phrase for what is wrong with the file *found*; None if nothing is."""
    if not stat.S_ISREG(found.st_mode):
        return next((words for is_kind, words in _KINDS if is_kind(found.st_mode)), "a device, not a file")
    if found.st_uid != os.geteuid():
        return "another user's file"
    if writing and found.st_nlink > 1:
        return "a hard link, so that another file would be changed with it"
    return None


def _refused(path: Path, wrong: str) -> StorageError:
    return StorageError(f"{path} is {wrong}. Remove it, then run again.")
