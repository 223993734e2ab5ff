"""Mark the end of each run in its journal, after the summary is written, and delete old runs."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from uploader.check.drift import Baseline, FileTotals
from uploader.errors import StorageError
from uploader.run.results import FINISHED, SOME_LEFT, SourceResult
from uploader.state import Journal, RunStore, StoredRun
from uploader.state.journal_records import spell_facts


class RunEndings:
    """Marks the end of each run in its journal, after the summary is written, and deletes old runs."""

    def __init__(
        self,
        run_store: RunStore,
        *,
        journal_days: int,
        latest: Callable[[SourceResult], SourceResult] = lambda result: result,
    ) -> None:
        """Use *run_store*; finished runs older than *journal_days* are deleted.

        *latest* returns the result that the source of a result has at the end.
        """
        self._run_store = run_store
        self._latest = latest
        self._journal_days = journal_days
        self._ended: list[tuple[SourceResult, StoredRun, FileTotals | None]] = []

    def add(self, result: SourceResult, stored_run: StoredRun, totals: FileTotals | None = None) -> None:
        """Mark *stored_run* with the status of *result* at the end; *totals* become its baseline if it is finished."""
        self._ended.append((result, stored_run, totals))

    def __enter__(self) -> Self:
        """Return the endings, to add runs to."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Mark each run; raises StorageError, but not over what ended the run."""
        with contextlib.suppress(StorageError) if error is not None else contextlib.nullcontext():
            for result, stored_run, totals in self._ended:
                self._mark(self._latest(result), stored_run, totals)
        # What can't be deleted now is deleted another time.
        with contextlib.suppress(StorageError):
            self._run_store.delete_older(self._journal_days, now=datetime.now(UTC))

    def _mark(self, result: SourceResult, stored_run: StoredRun, totals: FileTotals | None) -> None:
        if result.exit_status == StorageError.exit_status:
            # A disk that failed is not tried again: without a mark in its journal the run counts as interrupted.
            return
        total = result.times.total
        facts: dict[str, object] = {"status": result.exit_status, "at": now(), "seconds": round(total, 3)}
        if result.exit_status in {FINISHED, SOME_LEFT}:
            if totals is not None and stored_run.state.header is not None:
                began = stored_run.state.header
                baseline = Baseline(str(facts["at"]), began.basis.mapping, totals)
                self._run_store.baselines.keep(began.history_key, baseline)
            # Nothing that can fail comes after this mark: a message that says to run again needs a run to resume.
            self._run_store.compact(stored_run, spell_facts("finished", facts))
            return
        with Journal(stored_run.path, stored_run.state) as journal:
            # Only a finished run has the seconds of all its sessions; each one that was stopped has its own.
            facts["seconds"] = round(total - stored_run.state.sessions.seconds, 3)
            journal.record_facts("stopped", facts)
            journal.sync()


def now() -> str:
    """Return the time, as a journal spells it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
