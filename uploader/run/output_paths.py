"""Decide where a run writes its files."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from uploader.config import Settings
from uploader.errors import ConfigError, SummaryInTheWayError
from uploader.outputs.retry_file import RetryFormat
from uploader.outputs.shorten_file_names import MOST_BYTES, fitting
from uploader.run.options import Options
from uploader.source import Source, descriptor, unpacked_name

_DEVICES: Final = Path("/dev")
_DESCRIPTORS: Final = Path("/proc")

_ROOM: Final = len(".1234")
"""Bytes of a name that are kept for the number of the next file of this name."""
_NUMBER: Final = re.compile(r"\.[0-9]+$", re.ASCII)


def retry_path(
    source: Source, settings: Settings, *, named: Path | None, folder: Path | None = None, beside: bool = False
) -> Path:
    """Return the path for the retry file of *source*: as *named*, else in *folder*, else by `output.retry_file`.

    The retry file of a retry file may go *beside* it, where no other place is asked for: only the number in its name
    changes, run after run.

    Raises:
        ConfigError: it is the source itself, or a folder.
    """
    if beside and source.path is not None and named is None and folder is None:
        return _beside(source.path)
    stem, suffix = _name(source)
    if folder is not None:
        room = MOST_BYTES - _ROOM - len(os.fsencode(f".retry{suffix}"))
        path = folder / (f"{fitting(stem, room)}.retry{suffix}" if named is None else named.name)
    elif named is not None:
        path = named
    else:
        where = Path() if source.path is None else source.path.parent
        path = Path(settings.output.retry_file.format(dir=where, stem=stem, suffix=suffix))
        if len(os.fsencode(path.name)) > MOST_BYTES - _ROOM:
            path = path.with_name(fitting(path.stem, MOST_BYTES - _ROOM - len(os.fsencode(path.suffix))) + path.suffix)
        if not goes_by_source(settings):
            path = settings.folder / path
    if source.path is not None and path.resolve() == source.path.resolve():
        if source.is_retry and settings.retry_last_failures and named is None:
            return _beside(source.path)
        raise ConfigError(
            f"The retry file {path} is the SOURCE itself. Name another --retry-file or output.retry_file."
        )
    if _is_folder(path):
        raise ConfigError(f"The retry file {path} is a folder. Name a file with --retry-file or output.retry_file.")
    if _is_no_file(path):
        raise ConfigError(
            f"The retry file {path} is a device or a pipe, which keeps nothing. "
            "Name a file with --retry-file or output.retry_file."
        )
    return path


def goes_by_source(settings: Settings) -> bool:
    """Whether `output.retry_file` puts retry files where their source is, or below."""
    return "{dir}" in settings.output.retry_file


def place_in_state(path: Path, state: Path) -> Path:
    """Return where the retry file *path* lies if it can't lie there: in the state folder *state*."""
    return state / "retries" / path.name


def _beside(path: Path) -> Path:
    """Return *path* without its number, so that the next file of this name gets the next free number."""
    return path.with_name(_NUMBER.sub("", path.stem) + path.suffix)


def _is_no_file(path: Path) -> bool:
    """Whether *path* is neither a file nor free for one; `/dev/stdout` is none, whatever is behind it."""
    folder = path.parent.resolve()
    is_special = folder == _DEVICES or folder.is_relative_to(_DESCRIPTORS)
    # A name that is too long is reported when the file is made.
    return is_special or (os.path.exists(path) and not os.path.isfile(path))  # noqa: PTH110, PTH113 — see above


def refuse_taken(path: Path, options: Options, *, may_exist: Callable[[], bool]) -> None:
    """Raise ConfigError when the retry file *path* is another SOURCE of the run, or where its summary goes.

    Where it *may_exist* already, it may be a SOURCE: the new retry file of this name gets another number.
    """
    sources = {Path(name).resolve() for name in options.sources if name != "-"}
    if path.resolve() in sources and not may_exist():
        raise ConfigError(f"The retry file {path} is another SOURCE. Name another output.retry_file.")
    if options.summary is not None and path.resolve() == options.summary.resolve():
        raise SummaryInTheWayError(
            f"The retry file and the summary are both {path}. Name another --summary or --retry-file."
        )


def retry_format(source: Source, *, damaged: bool) -> RetryFormat:
    """Return the format of the retry file of *source*; *damaged* is whether some record can't be split into fields."""
    if source.format == "csv" and source.path is not None:
        return RetryFormat("csv", source.columns or (), source.delimiter, source.encoding, damaged)
    # The encoding of the source, even where the format differs, since the configuration may name it.
    return RetryFormat("jsonl", encoding=source.encoding)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # The error is reported when the file is made.
        return False


def _name(source: Source) -> tuple[str, str]:
    path = unpacked_name(source.name)
    if source.path is not None:
        return path.stem, ".jsonl" if source.format == "parquet" else path.suffix
    match descriptor(source.name):
        case None:
            return path.stem, ".jsonl"
        case 0:
            return "stdin", ".jsonl"
        case _:
            return "pipe", ".jsonl"
