"""Record each outcome of a run in its journal, and after that in the retry file, the counts and change detection."""

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from uploader.changes.stale_retries import StaleRetries
from uploader.changes.unchanged_rows import UnchangedRows
from uploader.counts import OutcomeCounts, Traffic
from uploader.delivery.rows_to_resend import RowsToResend
from uploader.errors import UploaderError
from uploader.model import Failed, Outcome, Rejected, Sent, UnchangedRange, Unsettled, record_of
from uploader.outputs.retry_file import RetryFile, RetryRemark
from uploader.outputs.shown_values import phrase_with_values
from uploader.run.mark_finished import now
from uploader.run.resume import RESEND_PHRASE, counts_of, path_of
from uploader.state import InFlightFile, Journal, StoredRun, read_run
from uploader.timeline import Interval


class Session:
    """One session of a run, from its start or resumption on: the open journal, and all that gets an outcome after it.

    *in_flight* records which rows are in flight, until `settle` gets their outcomes. The journal comes first: an
    outcome that could not be appended does not count, and its row is sent again.

    States: made, open (within its context), and closed. While it is open, something may await a sync (`is_dirty`).
    """

    def __init__(  # noqa: PLR0913 — all that gets an outcome, each asked for by name
        self,
        stored_run: StoredRun,
        retry: RetryFile,
        rows_to_resend: RowsToResend,
        stale_retries: StaleRetries | None = None,
        unchanged_rows: UnchangedRows | None = None,
        *,
        command: str = "",
        number: int = 0,
        identities_of: Callable[[Outcome], Sequence[bytes]] = lambda _: (),
        on_rejected: Callable[[Rejected], None] = lambda _: None,
    ) -> None:
        """Start or resume *stored_run*; *retry* and *rows_to_resend* have what its earlier sessions left.

        *stale_retries* gets each outcome before the journal, *unchanged_rows* after it. *command* is the one that opens
        this session. *number* is drawn for it, so that it counts as later than what was sent before. *identities_of*
        returns what the journal keeps of the identity of a row that must be sent again. *on_rejected* gets each row
        that the service rejects.
        """
        self._identities_of = identities_of
        self._on_rejected = on_rejected
        self._number = number
        self._stale_retries = stale_retries
        self._command = command
        self._unchanged_rows = unchanged_rows
        self.stored_run = stored_run
        self.settled = stored_run.state.settled
        self.running_counts, self.traffic = counts_of(stored_run.state)
        self._retry = retry
        self._rows_to_resend = rows_to_resend
        self._journal = Journal(stored_run.path, stored_run.state)
        self.in_flight = InFlightFile(stored_run.in_flight_path)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open the journal, and record that this session starts; raises StorageError."""
        with ExitStack() as stack:
            stack.enter_context(self._journal)
            stack.enter_context(self.in_flight)
            in_flight = sorted(row for row in self.in_flight.rows() if row not in self.settled)
            self.running_counts.unsure.update(in_flight)
            self.traffic.requests += len(in_flight)
            facts = {"pid": os.getpid(), "at": now(), "in_flight": in_flight, "command": self._command}
            facts["number"] = self._number
            self._journal.record_facts("life", facts)
            if in_flight:
                self._journal.sync()
            self.in_flight.clear_all()
            self._retry.call_before_created(self.record_retry_path)
            self._retry.put_in_place(path_of(self.stored_run.state.retry_file))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self._stack.close()

    def settle(self, outcome: Outcome | Unsettled) -> None:
        """Record *outcome* in the journal, the retry file, the totals and change detection; raises StorageError."""
        record, unchanged_rows = record_of(outcome), self._unchanged_rows
        if isinstance(outcome, Unsettled):
            if outcome.attempts:
                self._journal.record(outcome)
            self.in_flight.clear(record.number)
        else:
            kind = self._rows_to_resend.kind(outcome)
            if self._stale_retries is not None:
                self._stale_retries.record_before_journal(outcome, must_resend=kind is not None)
            for payload in () if kind is None else self._identities_of(outcome):
                self._journal.append(payload)
            self._journal.record(outcome, again=kind == "again")
            self.in_flight.release(record.number)
            if kind is not None and isinstance(outcome, Sent | Failed | Rejected):
                self._retry.write(record, _remark(kind, outcome))
            if isinstance(outcome, Rejected) and outcome.attempts:
                self._on_rejected(outcome)
        self.running_counts.add(outcome)
        if unchanged_rows is not None and unchanged_rows.is_recording:
            unchanged_rows.record_outcome(outcome, unsure=record.number in self.running_counts.unsure)

    def settle_unchanged(self, rows: UnchangedRange) -> None:
        """Record that *rows* are unchanged, as `settle` does of each of them; raises StorageError."""
        self._journal.record_unchanged(rows.first, rows.last)
        self.running_counts.outcomes.unchanged += rows.rows

    def record_pause(self, seconds: float) -> None:
        """Record that a throttled reply pauses all requests for *seconds* more; raises StorageError."""
        self._journal.record_pause(seconds)

    def record_interval(self, interval: Interval) -> None:
        """Record what the run did in *interval*, for its report; raises StorageError."""
        self._journal.record_interval(interval)

    def record_retry_path(self, path: Path) -> None:
        """Record where the retry file goes, before it is made; raises StorageError."""
        self._journal.record_facts("retry_file", {"path": str(path.absolute())})

    @property
    def is_dirty(self) -> bool:
        """Whether something awaits a sync."""
        return self._journal.is_dirty or self._retry.is_dirty

    def flush(self) -> None:
        """Write what is still buffered; call it before each `sync`. Raises StorageError."""
        self._journal.flush()
        if self._unchanged_rows is not None:
            self._unchanged_rows.flush()

    def sync(self) -> None:
        """Make all that is settled survive a power cut; raises StorageError."""
        self._journal.sync()
        self._retry.sync()

    def final_state(self, *, must_agree: bool) -> StoredRun:
        """Return the journal as it is now; where they *must_agree*, its totals are the running ones.

        Raises:
            UploaderError: they differ, which is a bug.
        """
        self.flush()
        stored_run = read_run(self.stored_run.path)
        run_state, running_counts = stored_run.state, self.running_counts
        folded = _totals(run_state.outcomes, run_state.traffic, run_state.unsure)
        running = _totals(running_counts.outcomes, self.traffic, running_counts.unsure)
        if must_agree and folded != running:
            raise UploaderError(
                f"The journal says {folded}, the run counted {running}. This is a bug; keep the journal."
            )
        return stored_run


def _remark(kind: str, outcome: Sent | Failed | Rejected) -> RetryRemark:
    if isinstance(outcome, Sent):
        return RetryRemark(kind, "", RESEND_PHRASE, outcome.attempts)
    message = outcome.message if isinstance(outcome, Rejected) else ""
    reason = phrase_with_values(record_of(outcome), outcome.reason, message)
    return RetryRemark(kind, outcome.reason.code, reason, outcome.attempts)


def _totals(outcomes: OutcomeCounts, traffic: Traffic, unsure: Collection[int]) -> dict[str, int]:
    return {**asdict(outcomes), **asdict(traffic), "unsure": len(unsure)}
