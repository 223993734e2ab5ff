"""Find, make, compact and throw away the journals of a state folder."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Final

from uploader.errors import StorageError
from uploader.files import open_private, private_folder, sync_folder, trouble
from uploader.journal.chain import link
from uploader.journal.entries import Begun, has_ended
from uploader.journal.fold import Ledger, compacted, fold
from uploader.journal.folder import state_folder
from uploader.journal.lock import Lock
from uploader.journal.numbers import Known, Numbers
from uploader.journal.quota import Quota
from uploader.journal.totals import PastTotals
from uploader.journal.writer import Journal

_JOURNAL: Final = ".journal"
_FLIGHT: Final = ".flight"
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class Volume:
    """One run's journal as it stands: where it is, and what it says."""

    path: Path
    ledger: Ledger

    @property
    def flight_path(self) -> Path:
        """Where the rows in flight are."""
        return self.path.with_suffix(_FLIGHT)


class Shelf:
    """The journals of a state folder, each in a file named for its run and for what the run is known by."""

    def __init__(self, state: Path) -> None:
        """Use the folder *state*, made if need be; raises StorageError, or ConfigError where it is another's."""
        self.state = state_folder(state)
        self._runs = private_folder(state / "runs")
        self._locks = private_folder(state / "locks")
        self._quotas = state / "quota"
        self._numbers = Numbers(state, found=self._known)
        self.totals = PastTotals(state)

    @property
    def state_id(self) -> str:
        """The ID of the state folder, eight hex digits; raises StorageError, LockedError."""
        return self._numbers.state_id()

    @property
    def last_number(self) -> int:
        """The greatest number that a run of this folder was given; raises StorageError, LockedError."""
        return self._numbers.last()

    def next_numbers(self, count: int, *, above: int = 0) -> range:
        """Return the numbers of *count* runs that are about to begin, greater than all before, and than *above*.

        Raises:
            StorageError: they can't be noted.
            LockedError: another process keeps the numbers locked.
        """
        return self._numbers.take(count, above=above)

    def _known(self) -> Known | None:
        """Return what the runs know of the state folder: its ID, and the greatest number of them."""
        newest = next((begun for begun, _ in self._begun() if begun.number and begun.state), None)
        return None if newest is None else Known(newest.state, newest.number)

    def begun(self) -> Iterator[Begun]:
        """Yield how each run began, the newest first."""
        return (begun for begun, _ in self._begun())

    def _begun(self, key: str = "") -> list[tuple[Begun, Path]]:
        """Return how each run began, or each known by *key*, and where its journal is, the newest first.

        Only the first line of a journal is read.
        """
        paths = sorted(self._runs.glob(f"*-{key}{_JOURNAL}" if key else f"*{_JOURNAL}"), reverse=True)
        found = [(begun, path) for path in paths if (begun := _first_line(path)) is not None]
        return sorted(found, key=lambda run: run[0].order, reverse=True)

    def lock(self, key: str, *, since: str, what: str = "this file", is_passing: bool = False) -> Lock:
        """Return the lock of the runs known by *key*, to be entered; *what* they send, for people.

        Nothing is left of one that *is_passing* when it is let go.
        """
        return Lock(self._locks / f"{key}{_LOCK}", since=since, what=what, is_passing=is_passing)

    def quota(  # noqa: PLR0913 — what the quota asks for
        self,
        service: str,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        window: float,
        alone: float,
        rest: float,
    ) -> Quota:
        """Return the quota of *service* (a digest), to be entered; see `Quota`."""
        folder = private_folder(self._quotas) / service
        return Quota(folder, clock=clock, window=window, wall=wall, alone=alone, rest=rest)

    def volumes(self) -> Iterator[Volume]:
        """Yield every run, the newest first."""
        for _, path in self._begun():
            volume = read_volume(path)
            if volume.ledger.begun is not None:
                yield volume

    def unfinished(self) -> Iterator[Begun]:
        """Yield how each run began that was neither finished nor abandoned, running ones too; raises StorageError."""
        for path in self._runs.glob(f"*{_JOURNAL}"):
            with _unless_gone(path), _reading(path), _opened(path) as journal:
                begun = fold(islice(journal, 1)).begun
                if begun is not None and not _has_ended(journal):
                    yield begun

    def maker_of(self, retry_file: Path) -> Volume | None:
        """Return the run that made *retry_file*; None if that is not known."""
        place = retry_file.resolve()
        for volume in self.volumes():
            made = volume.ledger.retry_file
            if made is not None and Path(made).resolve() == place:
                return volume
        return None

    def beside(self, volume: Volume) -> Iterator[Volume]:
        """Yield the other runs that a command of the run of *volume* began or went on with, and those begun since."""
        mine, begun = volume.ledger, volume.ledger.begun
        for other in self.volumes():
            theirs = other.ledger.begun
            if begun is None or theirs is None or theirs.run_id == begun.run_id:
                continue
            if theirs.order > begun.order or not mine.commands.isdisjoint(other.ledger.commands):
                yield other

    def interrupted(self, key: str) -> Volume | None:
        """Return the run known by *key* that was interrupted last, if it can be continued: a later one has ended it."""
        last = self.latest(key)
        return last if last is not None and last.ledger.is_interrupted else None

    def latest(self, key: str) -> Volume | None:
        """Return the run known by *key* that began last, those with a limit left out; None if there is none."""
        latest: Volume | None = None
        for begun, path in self._begun(key):
            if begun.limit is not None:
                continue
            if latest is not None and not _may_be_later(begun, latest.ledger.begun):
                break
            volume = read_volume(path)
            if volume.ledger.is_interrupted:
                return volume
            latest = latest or volume
        return latest

    def begin(self, begun: Begun) -> Volume:
        """Make the journal of a new run; raises StorageError."""
        volume = Volume(self._runs / f"{begun.run_id}-{begun.key}{_JOURNAL}", Ledger())
        with Journal(volume.path, volume.ledger) as journal:
            journal.append(begun.spell())
            journal.sync()
        return read_volume(volume.path)

    def compact(self, volume: Volume, ending: bytes | None = None) -> None:
        """Keep of a finished run's journal what is still of use, and with it, or not at all, its *ending* (a payload).

        Raises:
            StorageError: it can't be written; then the journal stays as it was.
        """
        # It was most often read behind its last line, a moment ago.
        is_known = _size_of(volume.path) == volume.ledger.size
        whole = volume.ledger if is_known else read_volume(volume.path).ledger
        last = [] if ending is None else [link(ending, whole.checksum)[0]]
        beside = volume.path.with_suffix(".new")
        handle = open_private(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            with os.fdopen(handle, "wb") as new, _opened(volume.path) as old:
                new.writelines(compacted(chain(old, last), whole))
                new.flush()
                os.fsync(new.fileno())
            beside.replace(volume.path)
        except OSError as error:
            raise trouble(volume.path, error) from None
        # A power cut that undoes the renaming leaves a run to be continued, with nothing left to send.
        with suppress(StorageError):
            sync_folder(self._runs)
        with suppress(OSError):
            volume.flight_path.unlink()

    def is_at_work(self, begun: Begun) -> bool:
        """Whether a process, which may be this one, sends the file of the run that has *begun* right now."""
        return self.lock(begun.key, since="").holder() is not None

    def is_busy(self, volume: Volume) -> bool:
        """Whether a process sends the file of *volume* to its service right now."""
        return self._holder(volume) is not None

    def is_running(self, volume: Volume) -> bool:
        """Whether a process sends the run of *volume* right now."""
        holder = self._holder(volume)
        return (
            volume.ledger.is_interrupted
            and holder is not None
            and holder.startswith(f"process {volume.ledger.process},")
        )

    def _holder(self, volume: Volume) -> str | None:
        begun = volume.ledger.begun
        return None if begun is None else self.lock(begun.key, since="").holder()

    def throw_away_older(self, days: int, *, now: datetime, may_go: Callable[[Volume], bool] = lambda _: False) -> int:
        """Delete the runs begun over *days* before *now* (interrupted ones only if they *may_go*); return how many.

        A run stays as long as one with a lower number does: it may have begun when the clock was wrong, and without it
        an older one would be the last of its SOURCE. Locks that killed runs have left, and no journal needs, go too.
        """
        self._clear_locks_away()
        # A run's ID begins with the time at which it began, by the clock of then: only old journals need be read.
        try:
            first = f"{(now - timedelta(days=days)).isoformat()[:10].replace('-', '')}T{now:%H%M%S}Z"
        except OverflowError:
            # So long ago nobody counted years.
            return 0
        count = 0
        old = [path for path in sorted(self._runs.glob(f"*{_JOURNAL}")) if path.name < first]
        lowest_left = self._lowest_since(first, until=f"{now:%Y%m%dT%H%M%SZ~}") if old else None
        for path in old:
            volume = read_volume(path)
            begun = volume.ledger.begun
            if begun is not None and lowest_left is not None and begun.order > lowest_left:
                continue
            if not volume.ledger.is_interrupted or may_go(volume):
                self.throw_away(volume)
                count += 1
        return count

    def _lowest_since(self, first: str, *, until: str) -> int | None:
        """Return the lowest number of the runs with IDs from *first* to *until*; None if there is none."""
        return min((begun.order for begun, path in self._begun() if first <= path.name <= until), default=None)

    def _clear_locks_away(self) -> None:
        # In this order: whoever begins a journal holds its lock before.
        locks = [path.stem for path in self._locks.glob(f"*{_LOCK}")]
        needed = {path.stem.rpartition("-")[2] for path in self._runs.glob(f"*{_JOURNAL}")}
        for key in locks:
            if key not in needed:
                self.lock(key, since="").clear_away()

    def leave(self, volume: Volume) -> None:
        """Note that the interrupted run of *volume* is not continued any more; raises StorageError."""
        with Journal(volume.path, volume.ledger) as journal:
            journal.note_facts("abandoned", {})
            journal.sync()

    def throw_away(self, volume: Volume) -> None:
        """Delete the journal of *volume*; raises StorageError."""
        try:
            volume.flight_path.unlink(missing_ok=True)
            volume.path.unlink(missing_ok=True)
        except OSError as error:
            raise trouble(volume.path, error) from None
        begun = volume.ledger.begun
        if begun is not None and not any(self._runs.glob(f"*-{begun.key}{_JOURNAL}")):
            self.lock(begun.key, since="").clear_away()


def read_volume(path: Path) -> Volume:
    """Return what the journal at *path* says; raises StorageError if it can't be read."""
    try:
        with _opened(path) as lines:
            return Volume(path, fold(lines))
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
    """Make nothing of it if *path* is gone: another process may have thrown away a run that has ended."""
    try:
        yield
    except StorageError:
        if os.path.lexists(path):
            raise


def _first_line(path: Path) -> Begun | None:
    """Return how the run of the journal at *path* began; None if not one line is whole, or if it is gone meanwhile.

    Raises:
        StorageError: it can't be read.
    """
    found: list[Begun | None] = [None]
    with _unless_gone(path), _reading(path), _opened(path) as lines:
        found.append(fold(islice(lines, 1)).begun)
    return found[-1]


_LONGEST_ENDING: Final = 4096
"""So many bytes from its end on, a journal says whether its run has ended."""


def _has_ended(journal: BinaryIO) -> bool:
    """Whether the last line of *journal* says that the run is finished or abandoned."""
    size = journal.seek(0, os.SEEK_END)
    journal.seek(max(0, size - _LONGEST_ENDING))
    return has_ended(journal.read().splitlines()[-1])


def _may_be_later(begun: Begun, ended: Begun | None) -> bool:
    """Whether the run of *begun* may have begun after that of *ended*, which comes before it in the order.

    Of runs that an earlier version began in one second nothing tells the later; only the last can be interrupted.
    """
    if ended is None or begun.number or ended.number:
        return False
    return begun.run_id.partition("-")[0] == ended.run_id.partition("-")[0]


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise trouble(path, error) from None


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(open_private(path, os.O_RDONLY), "rb")
