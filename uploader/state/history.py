"""Keep one small file for each start of a run: what was started, and how it ended."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from uploader.errors import StorageError
from uploader.private_files import open_private, private_folder, sync_folder, trouble, write_private
from uploader.run_record import RunRecord
from uploader.whole_files import removed_on_failure

_SUFFIX: Final = ".json"
_DIGITS: Final = 9
_SEARCHED: Final = 100
"""In how many of the latest starts killed ones are searched: each start searches, so that older ones are known."""

_KEPT_DAYS: Final = 400
"""How long records are kept: long enough for a job that comes once a year. They are small, and hold no row."""


class History:
    """The records of all starts in a state folder, each in a file named for its place in the order, and for its ID.

    A later start has a greater number, whatever the clock says; of two that start at once both may have the same.

    While its process lives, it holds the lock of its file. A record without an end whose lock is free is that of a
    killed process: the kernel frees the lock however a process ends, and no other process can be taken for it.
    """

    def __init__(self, state: Path) -> None:
        """Use the state folder *state*; nothing is created before the first start."""
        self.state = state
        self._folder = state / "history"

    def open(self, record: RunRecord) -> "OpenRecord":
        """Return the record of a start, to be entered: it is stored as *record* until it is written again."""
        number = max((_number(path) for path in self._paths()), default=0) + 1
        return OpenRecord(self._folder / f"{number:0{_DIGITS}}-{record.start_id}{_SUFFIX}", record)

    def _paths(self) -> list[Path]:
        """Return the files of all records, the newest first."""
        return sorted(self._folder.glob(f"*{_SUFFIX}"), reverse=True)

    def records(self, so_far: Callable[[RunRecord], RunRecord] = lambda record: record) -> Iterator[RunRecord]:
        """Yield the record of every start, the newest first; a damaged file is left out. Raises StorageError.

        *so_far* completes a record without an end by what its start has done. One that is marked as killed has that.
        """
        for path in self._paths():
            record = _read(path, so_far)
            if record is not None:
                yield record

    def listed_id(self, run_id: str) -> str:
        """Return the ID by which `uploader runs` lists the run *run_id*: that of its latest start, if one is recorded.

        Raises StorageError.
        """
        return next((record.start_id for record in self.records() if record.has_run(run_id)), run_id)

    def newly_killed(
        self,
        is_wanted: Callable[[RunRecord], bool],
        so_far: Callable[[RunRecord], RunRecord] = lambda record: record,
    ) -> list[RunRecord]:
        """Return the killed starts that are wanted, the newest first, and mark them: no later call returns them.

        They are stored as *so_far* completes them: later, the same run may have been resumed, and have done more.
        Only the latest starts are searched. Raises StorageError.
        """
        found = (_newly_killed(path, is_wanted, so_far) for path in self._paths()[:_SEARCHED])
        return [record for record in found if record is not None]

    def delete_older(self, *, now: datetime, days: int = _KEPT_DAYS) -> int:
        """Delete the records of starts more than *days* before *now*, but those that still run; return how many."""
        try:
            first = f"{now - timedelta(days=days):%Y%m%dT%H%M%SZ}"
        except OverflowError:
            # The date would lie before the year 1.
            return 0
        old = [path for path in self._paths() if path.name.partition("-")[2] < first and not _is_running(path)]
        for path in old:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise trouble(path, error) from None
        return len(old)


class OpenRecord:
    """The record of a start whose process is this one; within the context, readers see that it runs.

    States: open within its context, and closed.
    """

    def __init__(self, path: Path, record: RunRecord) -> None:
        """Keep *record* at *path*; nothing is written yet."""
        self._path = path
        self._first = record
        self._handle: int | None = None

    def __enter__(self) -> Self:
        """Write the record, synced; raises StorageError."""
        private_folder(self._path.parent)
        self.write(self._first)
        return self

    def write(self, record: RunRecord) -> None:
        """Store *record* in the place of what was stored: all of it or nothing, also after a crash.

        Raises:
            StorageError: it can't be written; what was stored stays.
        """
        beside = self._path.with_suffix(".new")
        handle = open_private(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            with removed_on_failure(beside):
                # The new file is locked before it has the name, so that a reader never finds it free.
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _write_whole(handle, _spelled(record))
                os.fsync(handle)
                beside.replace(self._path)
        except BaseException as error:
            # Also where a signal ends it: with the lock left behind, the record of the end could not be written.
            os.close(handle)
            if isinstance(error, OSError):
                raise trouble(self._path, error) from None
            raise
        before, self._handle = self._handle, handle
        self._close(before)
        sync_folder(self._path.parent)

    def __exit__(self, *_: object) -> None:
        """Free the lock; a record without an end is then that of a killed process."""
        before, self._handle = self._handle, None
        self._close(before)

    @staticmethod
    def _close(handle: int | None) -> None:
        # A signal may come in between: a handle that is closed here is kept nowhere, so that none is closed twice.
        if handle is not None:
            os.close(handle)


def _number(path: Path) -> int:
    """Return the place of the start at *path* in the order of all; 0 where the file has another name."""
    digits = path.name.partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdecimal() else 0


def _write_whole(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _spelled(record: RunRecord) -> bytes:
    # The name of a file may hold bytes that are no text; JSON has escapes for them.
    return json.dumps(record.facts()).encode() + b"\n"


def _read(path: Path, so_far: Callable[[RunRecord], RunRecord]) -> RunRecord | None:
    """Return the record in the file at *path*; None if it is damaged or gone. Raises StorageError."""
    record = _parsed(path)
    if record is None or _is_over(record):
        return record
    if _is_running(path):
        return so_far(record)
    # It may have ended, or been marked as killed, after it was read, and before its lock was tried.
    latest = _parsed(path)
    return latest if latest is None or _is_over(latest) else replace(so_far(latest), is_killed=True)


def _is_over(record: RunRecord) -> bool:
    """Whether *record* has all that is known of its start: its end, or the mark that it was killed."""
    return record.ended is not None or record.is_killed


def _newly_killed(
    path: Path, is_wanted: Callable[[RunRecord], bool], so_far: Callable[[RunRecord], RunRecord]
) -> RunRecord | None:
    """Return the record at *path* if it is wanted, and found killed for the first time. Raises StorageError."""
    stored = _parsed(path)
    if stored is None or _is_over(stored) or not is_wanted(stored):
        return None
    try:
        handle = open_private(path, os.O_RDONLY)
        try:
            # Of two starts at once, the one with the lock reports it.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = _parsed(path)
            if found is None or _is_over(found):
                return None
            if os.fstat(handle).st_ino != path.stat().st_ino:
                # Its process, which lives, has written it again since it was opened here.
                return None
            killed = replace(so_far(found), is_killed=True)
            write_private(path, [_spelled(killed)])
        finally:
            os.close(handle)
    except OSError:
        # Its process lives and holds the lock.
        return None
    return killed


def _parsed(path: Path) -> RunRecord | None:
    try:
        with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
            return RunRecord.parse(json.load(file))
    except (ValueError, TypeError, AttributeError):
        return None
    except OSError as error:
        raise trouble(path, error) from None
    except StorageError:
        if os.path.lexists(path):
            raise
        return None


def _is_running(path: Path) -> bool:
    """Whether the process of the record at *path* holds its lock; raises StorageError."""
    try:
        handle = open_private(path, os.O_RDONLY)
    except StorageError:
        if os.path.lexists(path):
            raise
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
