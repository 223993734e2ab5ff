"""Mark the end of each run in its journal, after the summary is written; throw away what is old."""

import contextlib
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from uploader.check.drift import Baseline, FileTotals
from uploader.errors import StorageError
from uploader.run.results import FINISHED, SOME_LEFT, Account
from uploader.state import Journal, Shelf, Volume
from uploader.state.journal_records import spell_facts


class Endings:
    """Marks the end of each run in its journal, after the summary is written; throws away what is old."""

    def __init__(self, shelf: Shelf, *, journal_days: int) -> None:
        """Use *shelf*; finished runs older than *journal_days* go."""
        self._shelf = shelf
        self._journal_days = journal_days
        self._ended: list[tuple[Account, Volume, FileTotals | None]] = []

    def add(self, account: Account, volume: Volume, totals: FileTotals | None = None) -> None:
        """Mark *volume* with the status of *account* when everything is told; *totals* are kept if it is finished."""
        self._ended.append((account, volume, totals))

    def __enter__(self) -> Self:
        """Lend the list."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Mark each run; raises StorageError, but not over what ended the run."""
        with contextlib.suppress(StorageError) if error is not None else contextlib.nullcontext():
            for account, volume, totals in self._ended:
                self._mark(account, volume, totals)
        # What can't be thrown away now goes another time.
        with contextlib.suppress(StorageError):
            self._shelf.throw_away_older(self._journal_days, now=datetime.now(UTC))

    def _mark(self, account: Account, volume: Volume, totals: FileTotals | None) -> None:
        if account.exit_status == StorageError.exit_status:
            # A disk that failed is not tried again; the run is interrupted, as its journal says without a mark.
            return
        facts: dict[str, object] = {"status": account.exit_status, "at": now(), "seconds": round(account.seconds, 3)}
        if account.exit_status in {FINISHED, SOME_LEFT}:
            if totals is not None and volume.ledger.begun is not None:
                began = volume.ledger.begun
                self._shelf.baselines.keep(began.key, Baseline(str(facts["at"]), began.mapping, totals))
            # Nothing that can fail comes after this mark: whoever is told to run again must find a run to continue.
            self._shelf.compact(volume, spell_facts("finished", facts))
            return
        with Journal(volume.path, volume.ledger) as journal:
            journal.note_facts("stopped", facts)
            journal.sync()


def now() -> str:
    """Return the time, as a journal says it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
