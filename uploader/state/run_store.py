"""Find, create, compact and delete the journals of a state folder."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Final

from uploader.clock import Clock
from uploader.errors import StorageError
from uploader.private_files import open_private, private_folder, sync_folder, trouble, write_private
from uploader.rate.shared_quota import SharedQuota
from uploader.state.baseline import BaselineStore
from uploader.state.journal import Journal
from uploader.state.journal_records import RunHeader, has_ended
from uploader.state.line_checksums import link
from uploader.state.replay import RunState, compacted, intervals_of, replay
from uploader.state.run_lock import RunLock
from uploader.state.run_numbers import LastNumber, RunNumbers
from uploader.state.state_folder import state_folder
from uploader.timeline import Interval

_JOURNAL: Final = ".journal"
_IN_FLIGHT: Final = ".flight"
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One run on disk: the path of its journal, and the state that it gives."""

    path: Path
    state: RunState

    @property
    def in_flight_path(self) -> Path:
        """The path of the file of rows in flight."""
        return self.path.with_suffix(_IN_FLIGHT)


class RunStore:
    """The journals of a state folder, each in a file named for its run's ID and key."""

    def __init__(self, state: Path) -> None:
        """Use the folder *state*, created if missing; raises StorageError, or ConfigError if it is no state folder."""
        self.state = state_folder(state)
        self._runs = private_folder(state / "runs")
        self._locks = private_folder(state / "locks")
        self._quotas = state / "quota"
        self._numbers = RunNumbers(state, recover=self._last_number)
        self.baselines = BaselineStore(state)

    @property
    def state_id(self) -> str:
        """The ID of the state folder, eight hex digits; raises StorageError, LockedError."""
        return self._numbers.state_id()

    @property
    def last_number(self) -> int:
        """The greatest number that a run of this folder has; raises StorageError, LockedError."""
        return self._numbers.last()

    def next_numbers(self, count: int, *, above: int = 0) -> range:
        """Return numbers for *count* runs that start now, greater than all before and than *above*.

        Raises:
            StorageError: they can't be stored.
            LockedError: another process keeps the numbers locked.
        """
        return self._numbers.take(count, above=above)

    def _last_number(self) -> LastNumber | None:
        """Return the ID of the state folder and the greatest run number, read from the journals."""
        newest = next((header for header, _ in self._headers() if header.place.number and header.place.state), None)
        return None if newest is None else LastNumber(newest.place.state, newest.place.number)

    def headers(self) -> Iterator[RunHeader]:
        """Yield the header of each run, the newest first."""
        return (header for header, _ in self._headers())

    def read(self, header: RunHeader) -> StoredRun:
        """Return the run of *header*; raises StorageError if its journal can't be read."""
        return read_run(self._path(header))

    def intervals(self, header: RunHeader) -> list[Interval]:
        """Return what the run of *header* did over time, as far as its journal says; raises StorageError."""
        path = self._path(header)
        with _reading(path), _opened(path) as lines:
            return intervals_of(lines)

    def _path(self, header: RunHeader) -> Path:
        return self._runs / f"{header.run_id}-{header.key}{_JOURNAL}"

    def _headers(self, key: str = "") -> list[tuple[RunHeader, Path]]:
        """Return the header and the journal's path of each run, or of each run of *key*, the newest first.

        Only the first line of a journal is read.
        """
        paths = sorted(self._runs.glob(f"*-{key}{_JOURNAL}" if key else f"*{_JOURNAL}"), reverse=True)
        found = [(header, path) for path in paths if (header := _first_line(path)) is not None]
        return sorted(found, key=lambda run: run[0].order, reverse=True)

    def lock(self, key: str, *, since: str, what: str = "this file", is_temporary: bool = False) -> RunLock:
        """Return the lock of the runs of *key*, to be entered; *what* names what they send, for messages.

        The file of one that *is_temporary* is deleted on release.
        """
        return RunLock(self._locks / f"{key}{_LOCK}", since=since, what=what, is_temporary=is_temporary)

    def quota(
        self,
        service: str,
        *,
        clock: Clock,
        window: float,
        alone: float,
        rest: float,
    ) -> SharedQuota:
        """Return the quota of *service* (a digest), to be entered; see `SharedQuota`."""
        folder = private_folder(self._quotas) / service
        return SharedQuota(folder, clock=clock, window=window, alone=alone, rest=rest)

    def runs(self) -> Iterator[StoredRun]:
        """Yield every run, the newest first."""
        for _, path in self._headers():
            stored_run = read_run(path)
            if stored_run.state.header is not None:
                yield stored_run

    def unfinished(self) -> Iterator[RunHeader]:
        """Yield the header of each run neither finished nor abandoned, running ones too; raises StorageError."""
        for path in self._runs.glob(f"*{_JOURNAL}"):
            with _unless_gone(path), _reading(path), _opened(path) as journal:
                header = replay(islice(journal, 1)).header
                if header is not None and not _has_ended(journal):
                    yield header

    def maker_of(self, retry_file: Path) -> StoredRun | None:
        """Return the run that wrote *retry_file*; None if that is not known."""
        place = retry_file.resolve()
        for stored_run in self.runs():
            made = stored_run.state.retry_file
            if made is not None and Path(made).resolve() == place:
                return stored_run
        return None

    def runs_of_same_command(self, stored_run: StoredRun) -> Iterator[StoredRun]:
        """Yield the other runs that a command of *stored_run* started or resumed, and those started since."""
        mine, header = stored_run.state, stored_run.state.header
        for other in self.runs():
            theirs = other.state.header
            if header is None or theirs is None or theirs.run_id == header.run_id:
                continue
            if theirs.order > header.order or not mine.sessions.commands.isdisjoint(other.state.sessions.commands):
                yield other

    def interrupted(self, key: str) -> StoredRun | None:
        """Return the last run of *key* if it was interrupted and can be resumed; else None."""
        last = self.latest(key)
        return last if last is not None and last.state.is_interrupted else None

    def latest(self, key: str) -> StoredRun | None:
        """Return the run of *key* that started last, without those with a limit; None if there is none."""
        latest: StoredRun | None = None
        for header, path in self._headers(key):
            if header.rows.limit is not None:
                continue
            if latest is not None and not _may_be_later(header, latest.state.header):
                break
            stored_run = read_run(path)
            if stored_run.state.is_interrupted:
                return stored_run
            latest = latest or stored_run
        return latest

    def create(self, header: RunHeader) -> StoredRun:
        """Create the journal of a new run; raises StorageError."""
        stored_run = StoredRun(self._path(header), RunState())
        with Journal(stored_run.path, stored_run.state) as journal:
            journal.append(header.spell())
            journal.sync()
        return read_run(stored_run.path)

    def compact(self, stored_run: StoredRun, ending: bytes | None = None) -> None:
        """Drop the accepted rows from a finished run's journal, and append its *ending* (a payload) in the same write.

        Raises:
            StorageError: it can't be written; then the journal stays as it was, without the *ending*.
        """
        # Most often the journal was read to its end a moment ago.
        is_known = _size_of(stored_run.path) == stored_run.state.written.size
        whole = stored_run.state if is_known else read_run(stored_run.path).state
        last = [] if ending is None else [link(ending, whole.written.checksum)[0]]
        with _opened(stored_run.path) as old:
            write_private(stored_run.path, compacted(chain(old, last), whole))
        # A power cut that undoes the renaming leaves a run to be resumed, with nothing left to send.
        with suppress(StorageError):
            sync_folder(self._runs)
        with suppress(OSError):
            stored_run.in_flight_path.unlink()

    def is_at_work(self, header: RunHeader) -> bool:
        """Whether a process, maybe this one, sends the file of the run of *header* right now."""
        return self.lock(header.key, since="").holder() is not None

    def is_busy(self, stored_run: StoredRun) -> bool:
        """Whether a process sends the file of *stored_run* to its service right now."""
        return self._holder(stored_run) is not None

    def is_running(self, stored_run: StoredRun) -> bool:
        """Whether a process sends the run of *stored_run* right now."""
        holder = self._holder(stored_run)
        return (
            stored_run.state.is_interrupted
            and holder is not None
            and holder.startswith(f"process {stored_run.state.sessions.process},")
        )

    def _holder(self, stored_run: StoredRun) -> str | None:
        header = stored_run.state.header
        return None if header is None else self.lock(header.key, since="").holder()

    def delete_older(self, days: int, *, now: datetime, may_go: Callable[[StoredRun], bool] = lambda _: False) -> int:
        """Delete the runs started over *days* before *now*; return how many.

        A run that was interrupted, or whose retry file is still there, goes only if it *may_go*.

        A run stays as long as one with a lower number does, since the clock may have been wrong when it started:
        without it, an older run would be the last of its SOURCE. The last run of a SOURCE also stays as long as a run
        of the SOURCE before it in a command does: without it, that command would seem interrupted between the two. A
        run that started later than *now* keeps only these two kinds of runs. Locks of killed runs are deleted too, if
        no journal needs them.
        """
        self._delete_unused_locks()
        # A run's ID starts with the time of its start, so only old journals are read.
        try:
            first = f"{(now - timedelta(days=days)).isoformat()[:10].replace('-', '')}T{now:%H%M%S}Z"
        except OverflowError:
            # The date would lie before the year 1: no run is that old.
            return 0
        old = [path for path in self._runs.glob(f"*{_JOURNAL}") if path.name < first]
        if not old:
            return 0
        known = {path: header for header, path in self._headers()}
        stays = _StayingRuns(known.values(), (header for path, header in known.items() if path.name >= first))
        until = f"{now:%Y%m%dT%H%M%SZ~}"
        lowest_left = min((header.order for path, header in known.items() if first <= path.name <= until), default=None)
        count = 0
        for path in sorted(old, key=lambda path: known[path].order if path in known else 0):
            stored_run, header = read_run(path), known.get(path)
            is_needed = header is not None and (
                (lowest_left is not None and header.order > lowest_left) or stays.need(header)
            )
            is_open = stored_run.state.is_interrupted or _has_retry_file(stored_run)
            if is_needed or (is_open and not may_go(stored_run)):
                stays.add(header)
            else:
                self.delete(stored_run)
                count += 1
        return count

    def _delete_unused_locks(self) -> None:
        # Locks are listed first: a process that creates a journal holds its lock before.
        locks = [path.stem for path in self._locks.glob(f"*{_LOCK}")]
        needed = {path.stem.rpartition("-")[2] for path in self._runs.glob(f"*{_JOURNAL}")}
        for key in locks:
            if key not in needed:
                self.lock(key, since="").delete_if_unused()

    def abandon(self, stored_run: StoredRun) -> None:
        """Record that the interrupted run of *stored_run* is not resumed any more; raises StorageError."""
        with Journal(stored_run.path, stored_run.state) as journal:
            journal.record_facts("abandoned", {})
            journal.sync()

    def delete(self, stored_run: StoredRun) -> None:
        """Delete the journal of *stored_run*; raises StorageError."""
        try:
            stored_run.in_flight_path.unlink(missing_ok=True)
            stored_run.path.unlink(missing_ok=True)
        except OSError as error:
            raise trouble(stored_run.path, error) from None
        header = stored_run.state.header
        if header is not None and not any(self._runs.glob(f"*-{header.key}{_JOURNAL}")):
            self.lock(header.key, since="").delete_if_unused()


class _StayingRuns:
    """The runs that are not deleted, and whether they need one that could be.

    It has no states: runs are only added.
    """

    def __init__(self, newest_first: Iterable[RunHeader], staying: Iterable[RunHeader]) -> None:
        """Start with those of *staying*; *newest_first* are all runs."""
        self._lowest: dict[str, int] = {}
        self._followed: set[str] = set()
        self._last: dict[str, str] = {}
        for header in newest_first:
            if header.rows.limit is None:
                self._last.setdefault(header.key, header.run_id)
        for header in staying:
            self.add(header)

    def add(self, header: RunHeader | None) -> None:
        """Add the run of *header*."""
        if header is not None:
            self._lowest[header.key] = min(header.order, self._lowest.get(header.key, header.order))
            self._followed.add(header.place.next_key)

    def need(self, header: RunHeader) -> bool:
        """Return whether one of them needs the run of *header*."""
        if header.order > self._lowest.get(header.key, header.order):
            return True
        return header.key in self._followed and self._last.get(header.key) == header.run_id


def _has_retry_file(stored_run: StoredRun) -> bool:
    """Whether the retry file of *stored_run* is still there: its rows may wait to be sent again."""
    path = stored_run.state.retry_file
    try:
        return path is not None and Path(path).is_file() and Path(path).stat().st_size > 0
    except OSError:
        return False


def read_run(path: Path) -> StoredRun:
    """Return the run of the journal at *path*; raises StorageError if it can't be read."""
    try:
        with _opened(path) as lines:
            return StoredRun(path, replay(lines))
    except OSError as error:
        raise trouble(path, error) from None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise trouble(path, error) from None


@contextmanager
def _unless_gone(path: Path) -> Iterator[None]:
    """Ignore a StorageError if *path* is gone: another process may have deleted a run that has ended."""
    try:
        yield
    except StorageError:
        if os.path.lexists(path):
            raise


def _first_line(path: Path) -> RunHeader | None:
    """Return the header in the journal at *path*; None if no line is whole, or if the file is gone meanwhile.

    Raises:
        StorageError: it can't be read.
    """
    found: list[RunHeader | None] = [None]
    with _unless_gone(path), _reading(path), _opened(path) as lines:
        found.append(replay(islice(lines, 1)).header)
    return found[-1]


_LONGEST_ENDING: Final = 4096
"""How many bytes at the end of a journal hold its last line, which says whether the run has ended."""


def _has_ended(journal: BinaryIO) -> bool:
    """Whether the last line of *journal* says that the run is finished or abandoned."""
    size = journal.seek(0, os.SEEK_END)
    journal.seek(max(0, size - _LONGEST_ENDING))
    return has_ended(journal.read().splitlines()[-1])


def _may_be_later(header: RunHeader, ended: RunHeader | None) -> bool:
    """Whether the run of *header* may have started after that of *ended*, which comes before it in the order.

    An earlier version did not record the order of runs that it started within one second. Only the last of them can be
    interrupted.
    """
    if ended is None or header.place.number or ended.place.number:
        return False
    return header.run_id.partition("-")[0] == ended.run_id.partition("-")[0]


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise trouble(path, error) from None


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(open_private(path, os.O_RDONLY), "rb")
