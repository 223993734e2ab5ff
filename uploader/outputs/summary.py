"""Write the summary of a run as JSON."""

import errno
import fcntl
import json
import os
import re
import select
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from uploader.errors import StorageError
from uploader.run_record import RunRecord
from uploader.whole_files import create, name_beside, replace_file

_DESCRIPTOR: Final = re.compile(r"(?:/dev|/proc/self)/fd/([0-9]{1,9})", re.ASCII)

_PATIENCE_SECONDS: Final = 30.0
"""How long the reader of a pipe may take to open it, or to read the next part."""

_LOOK_SECONDS: Final = 0.05
_PART: Final = select.PIPE_BUF
"""How many bytes a pipe accepts at once when it is ready for writing."""


def try_summary(path: Path) -> None:
    """Test that the summary can be written to *path*, before the first request; leave nothing behind.

    Raises:
        StorageError: it can't be written.
    """
    try:
        target = _target(path)
        if target is not None:
            if not target.parent.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
            trial = name_beside(target)
            os.close(create(trial, 0o600))
            trial.unlink()
    except OSError as error:
        raise _trouble(path, error) from None


def summary_facts(
    record: RunRecord, sources: Sequence[Mapping[str, object]], blank: Mapping[str, object]
) -> Mapping[str, object]:
    """Return what the summary says of a run: one object of the same keys, however it ended.

    *sources* has an object for each source, *blank* is one of a source of which nothing is known. At the top stand the
    values of the only source. Where there is none, or several, numbers are added, and what can't be added is None.
    """
    top = dict(sources[0]) if len(sources) == 1 else _totals(record, sources, blank)
    ending = {"ended": record.ended, "outcome": record.outcome, "error": record.error, "job": record.job or None}
    return {**top, "exit_status": record.exit_status, **ending, "sources": [dict(source) for source in sources]}


def _totals(
    record: RunRecord, sources: Sequence[Mapping[str, object]], blank: Mapping[str, object]
) -> dict[str, object]:
    added = {name: _total([source[name] for source in (*sources, blank)]) for name in blank}
    per_second = record.requests / record.seconds if record.seconds else 0.0
    return {
        **added,
        "started": record.started,
        "seconds": record.seconds,
        "requests_per_second": round(per_second, 1),
    }


def _total(values: Sequence[object]) -> float | None:
    numbers = [value for value in values if isinstance(value, int | float)]
    return round(sum(numbers), 3) if len(numbers) == len(values) else None


def write_summary(path: Path, facts: Mapping[str, object]) -> None:
    """Write the summary with *facts*, so that a reader never sees half of it.

    Raises:
        StorageError: it can't be written.
    """
    text = json.dumps(facts, ensure_ascii=False, indent=2) + "\n"
    try:
        # A lone surrogate is a byte of a file's name that is not UTF-8; JSON has an escape for it.
        data = text.encode(errors="backslashreplace")
        target = _target(path)
        if (handle := _open_already(path)) is not None:
            _write_into(handle, data)
        elif target is None:
            handle = _opened(path)
            try:
                _write_into(handle, data)
            finally:
                os.close(handle)
        else:
            replace_file(target, data)
    except OSError as error:
        raise _trouble(path, error) from None


def _target(path: Path) -> Path | None:
    """Return the file to replace; None for a pipe or a device (/dev/stdout), which no file must replace."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if (handle := _open_already(path)) is not None:
        _refuse_unwritable(handle)
        return None
    if path.is_symlink() and path.lstat().st_uid != os.geteuid():
        # In a folder that everyone may write to, the link may lead to another file of this user.
        raise OSError(errno.EPERM, "another user's link")
    if not path.exists():
        return path
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return path.resolve()
    if not stat.S_ISFIFO(mode) and not stat.S_ISCHR(mode):
        # A whole disk, or a socket.
        raise OSError(errno.EINVAL, "neither a file nor a pipe")
    return None


def _refuse_unwritable(handle: int) -> None:
    """Raise OSError unless *handle* was inherited, open for writing: one that this process opened may be its state."""
    is_ours = fcntl.fcntl(handle, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    is_readable_only = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    if is_ours or is_readable_only:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def _opened(path: Path) -> int:
    """Open the pipe or device *path* for writing; waits for the reader of a pipe. Raises OSError."""
    patience = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO or not path.is_fifo():
                raise
            if time.monotonic() > patience:
                raise OSError(errno.ENXIO, "nobody reads from this pipe") from None
        time.sleep(_LOOK_SECONDS)


def _write_into(handle: int, data: bytes) -> None:
    """Write all of *data* to *handle*, which may be a pipe; raises OSError where nobody reads it."""
    poll = select.poll()
    poll.register(handle, select.POLLOUT)
    while data:
        # A descriptor shared with other processes can't be made non-blocking, so wait until it is ready.
        if not poll.poll(_PATIENCE_SECONDS * 1000):
            raise OSError(errno.EAGAIN, "nobody reads from this pipe")
        data = data[os.write(handle, data[:_PART]) :]


def _open_already(path: Path) -> int | None:
    """Return the descriptor that *path* stands for (`/dev/stdout`), or None; others may append to the same file."""
    named = {"/dev/stdout": 1, "/dev/stderr": 2}.get(str(path))
    found = _DESCRIPTOR.fullmatch(str(path))
    return int(found[1]) if found is not None else named


def _trouble(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: the summary can't be written ({error.strerror}). Name another --summary.")
