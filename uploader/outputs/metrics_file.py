"""Keep the figures of the last run of each job in a file that Prometheus' node_exporter reads (textfile collector)."""

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

from uploader.run_record import RunEnd, RunRecord
from uploader.whole_files import replace_file

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""The names and values of the labels of one sample; the first is the job."""

Samples: TypeAlias = dict[str, dict[Labels, float]]
"""The samples of each metric."""

_PREFIX: Final = "dfinery_uploader_"
_STARTED: Final = f"{_PREFIX}last_start_timestamp_seconds"
_SUCCESS: Final = f"{_PREFIX}last_success_timestamp_seconds"
_METRICS: Final[Mapping[str, str]] = {
    _STARTED: "When the last run of the job started; without an end after it, it runs, or was killed.",
    f"{_PREFIX}last_run_timestamp_seconds": "When the last run of the job ended, however it did.",
    _SUCCESS: "When a run of a whole file of the job last ended with exit status 0.",
    f"{_PREFIX}last_run_exit_status": "The exit status of the last run of the job.",
    f"{_PREFIX}last_run_duration_seconds": "How long the last run of the job took.",
    f"{_PREFIX}last_run_rows": "What became of the rows of the last run of a whole file of the job.",
    f"{_PREFIX}last_run_requests": "Requests of the last run of a whole file of the job, repeated ones included.",
}
"""Each metric with its help. All are gauges: they are of one run, and no counter of all."""

_SAMPLE: Final = re.compile(r"(?P<name>[a-z_]+)\{(?P<labels>.*)\} (?P<value>[0-9.e+-]+)", re.ASCII)
_LABEL: Final = re.compile(r'(?P<name>[a-z_]+)="(?P<value>(?:[^"\\]|\\.)*)"(?:,|$)', re.ASCII)
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", '"': '\\"'}
_UNESCAPED: Final = {escape: char for char, escape in _ESCAPES.items()}

_MODE: Final = 0o644
"""node_exporter reads it as another user."""

_MOST_BYTES: Final = 1 << 22
_PATIENCE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.02


def write_metrics(path: Path, record: RunRecord) -> None:
    """Put the figures of *record*, of a start or an end, into the file at *path*; those of other jobs stay.

    So do the last success, rows and requests of the job where nothing new of it was to be sent: an export that has
    stopped must not look like one that was sent.

    A reader never sees half of it. Runs that end at once wait for each other.

    Raises:
        OSError: the file can't be written, or was not written by this function.
    """
    path = path.resolve()
    with _locked(path.parent):
        samples = _samples(_read(path))
        _put(samples, record, is_whole=not record.is_of_retries)
        # node_exporter reads *.prom, and so never the file beside it.
        replace_file(path, "".join(_lines(samples)).encode(), mode=_MODE)


def _put(samples: Samples, record: RunRecord, *, is_whole: bool) -> None:
    """Replace the samples of the job of *record*; what it does not say stays as it was."""
    # A lone surrogate is a byte of a file's name that is not UTF-8.
    job = ("job", record.job_name.encode(errors="backslashreplace").decode())
    samples.setdefault(_STARTED, {})[(job,)] = _seconds(record.started)
    if record.ended is None or record.exit_status is None:
        return
    ended = _seconds(record.ended)
    single = {"timestamp_seconds": ended, "exit_status": record.exit_status, "duration_seconds": record.seconds}
    for name, value in single.items():
        samples.setdefault(f"{_PREFIX}last_run_{name}", {})[(job,)] = value
    if not is_whole:
        return
    if record.end is RunEnd.SUCCEEDED:
        samples.setdefault(_SUCCESS, {})[(job,)] = ended
    samples.setdefault(f"{_PREFIX}last_run_requests", {})[(job,)] = record.requests
    rows = samples.setdefault(f"{_PREFIX}last_run_rows", {})
    for outcome, number in asdict(record.counts).items():
        if outcome != "read":
            rows[job, ("outcome", outcome)] = number


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _lines(samples: Samples) -> Iterator[str]:
    """Yield the lines of the file: the samples of one metric stand together, below its help."""
    for name, text in _METRICS.items():
        if found := samples.get(name):
            yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
            for labels, value in sorted(found.items()):
                listed = ",".join(f'{label}="{_escaped(one)}"' for label, one in labels)
                yield f"{name}{{{listed}}} {value!r}\n"


def _samples(text: str) -> Samples:
    """Return the samples in *text*; raises OSError where it is none of ours."""
    samples: Samples = {}
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        found = _SAMPLE.fullmatch(line)
        if found is None or not found["name"].startswith(_PREFIX):
            raise OSError(errno.EEXIST, "it holds something else")
        if found["name"] in _METRICS:
            labels = tuple((one["name"], _unescaped(one["value"])) for one in _LABEL.finditer(found["labels"]))
            try:
                samples.setdefault(found["name"], {})[labels] = _number(found["value"])
            except ValueError:
                raise OSError(errno.EEXIST, "it holds something else") from None
    return samples


def _number(text: str) -> float:
    return int(text) if text.isdecimal() else float(text)


def _escaped(value: str) -> str:
    return "".join(_ESCAPES.get(char, char) for char in value)


def _unescaped(value: str) -> str:
    return re.sub(r"\\.", lambda found: _UNESCAPED.get(found[0], found[0]), value)


def _read(path: Path) -> str:
    """Return what the file at *path* holds; "" where there is none. Raises OSError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        written = file.read(_MOST_BYTES + 1)
    if len(written) > _MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return written.decode("utf-8", "replace")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of *folder*, so that no other run writes there meanwhile; raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise OSError(errno.EAGAIN, "another process holds its folder") from None
            time.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(handle)
