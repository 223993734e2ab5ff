"""Write the report of a run to a file, which replaces nothing but an earlier report."""

from pathlib import Path

from uploader.errors import ConfigError, StorageError
from uploader.outputs.report_page import BEGINNING
from uploader.whole_files import replace_file


def write_report(path: Path, page: str) -> None:
    """Write *page* to *path*, whole or not at all; an earlier report there is replaced.

    Raises:
        ConfigError: something else is there.
        StorageError: it can't be written.
    """
    try:
        _refuse_other_file(path)
        # A lone surrogate is a byte of a file's name that is not UTF-8.
        replace_file(path, page.encode(errors="replace"))
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
