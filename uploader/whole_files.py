"""Replace a file as a whole: who reads it finds the old one or the new one, and never a part."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def replace_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Put *data* in the place of the file at *path*; *mode* is None where the umask says who may read it.

    It is not synced. Raises OSError; what was there stays then, and nothing is left beside it.
    """
    beside = name_beside(path)
    handle = create(beside, 0o666 if mode is None else mode)
    with removed_on_failure(beside):
        with os.fdopen(handle, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
        beside.replace(path)


def name_beside(path: Path) -> Path:
    """Return a random name for a new file beside *path*, which no other process can have taken."""
    return path.parent / f".{token_hex(8)}.new"


def create(path: Path, mode: int) -> int:
    """Return the descriptor of the new file *path*, open for writing; raises OSError, also where there is one."""
    return os.open(path, _NEW, mode)


@contextmanager
def removed_on_failure(beside: Path) -> Iterator[None]:
    """Remove the file *beside* if the block fails, for whatever reason: a signal may come at any moment."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
