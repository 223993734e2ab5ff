"""Write the report of a run to a file, which replaces nothing but an earlier report."""

import os
from pathlib import Path
from secrets import token_hex

from uploader.errors import ConfigError, StorageError
from uploader.outputs.report_page import BEGINNING


def write_report(path: Path, page: str) -> None:
    """Write *page* to *path*, whole or not at all; an earlier report there is replaced.

    Raises:
        ConfigError: something else is there.
        StorageError: it can't be written.
    """
    try:
        _refuse_other_file(path)
        beside = path.parent / f".{token_hex(8)}.new"
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb") as file:
            try:
                # A lone surrogate is a byte of a file's name that is not UTF-8.
                file.write(page.encode(errors="replace"))
                file.flush()
                beside.replace(path)
            except OSError:
                beside.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StorageError(
            f"{path}: the report can't be written ({error.strerror}). Make room or allow access there, or name another "
            "--output."
        ) from None


def _refuse_other_file(path: Path) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if path.is_symlink() or not path.is_file() or not _is_report(path):
        raise ConfigError(f"{path} is there, and is no report: it is not replaced. Name another --output.")


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(BEGINNING)) == BEGINNING.encode()
