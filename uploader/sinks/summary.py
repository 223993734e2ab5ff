"""Write the summary of a run as JSON."""

import errno
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from uploader.errors import StorageError
from uploader.sinks.names import MOST_BYTES, fitting

_DESCRIPTOR: Final = re.compile(r"(?:/dev|/proc/self)/fd/([0-9]+)", re.ASCII)

_ROOM: Final = len("..12345678.new") + 8
"""So many bytes of a name are kept for what goes around it."""


def try_summary(path: Path) -> None:
    """Try that the summary can be written to *path*, before the first request; leave nothing behind.

    Raises:
        StorageError: it can't.
    """
    try:
        target = _target(path)
        if target is not None:
            if not target.parent.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
            trial = _beside(target, "try")
            trial.touch(mode=0o600)
            trial.unlink()
    except OSError as error:
        raise _trouble(path, error) from None


def write_summary(path: Path, summaries: Sequence[Mapping[str, object]]) -> None:
    """Write the summary of one source, or a list of several, so that a reader never sees half of it.

    Raises:
        StorageError: it can't be written.
    """
    whole = summaries[0] if len(summaries) == 1 else list(summaries)
    text = json.dumps(whole, ensure_ascii=False, indent=2) + "\n"
    try:
        target = _target(path)
        if (handle := _open_already(path)) is not None:
            os.write(handle, text.encode(errors="backslashreplace"))
        elif target is None:
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        else:
            _replace(target, text)
    except OSError as error:
        raise _trouble(path, error) from None


def _target(path: Path) -> Path | None:
    """Return the file to be replaced; None for a pipe or a device (/dev/stdout), whose place no file must take."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if _open_already(path) is not None:
        return None
    if not path.exists():
        return path
    return path.resolve() if path.is_file() else None


def _open_already(path: Path) -> int | None:
    """Return the descriptor that *path* stands for (`/dev/stdout`): it may lead to a file that others append to."""
    named = {"/dev/stdout": 1, "/dev/stderr": 2}.get(str(path))
    found = _DESCRIPTOR.fullmatch(str(path))
    return int(found[1]) if found is not None else named


def _replace(target: Path, text: str) -> None:
    beside = _beside(target, "new")
    try:
        # Half a surrogate pair stands for a byte of a file's name that is not UTF-8; JSON can say it with an escape.
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        beside.replace(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _beside(target: Path, word: str) -> Path:
    return target.parent / f".{fitting(target.name, MOST_BYTES - _ROOM)}.{os.getpid()}.{word}"


def _trouble(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: the summary can't be written ({error.strerror}). Name another --summary.")
