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
from uploader.errors import UploaderError
from uploader.model import Failed, Outcome, Rejected, RetryKind, Sent, UnchangedRange, Unsettled, record_of
from uploader.outputs.retry_file import RetryFile, RetryRemark
from uploader.outputs.rows_to_resend import RowsToResend
from uploader.outputs.shown_values import phrase_with_values
from uploader.run.mark_finished import now
from uploader.run.plan import SessionName
from uploader.run.recorders import Recorder, Recorders
from uploader.run.resume import RESEND_PHRASE, counts_of, path_of
from uploader.state import InFlightFile, Journal, StoredRun, read_run
from uploader.state.settled_rows import SettledRows
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
        name: SessionName | None = None,
        identities_of: Callable[[Outcome], Sequence[bytes]] = lambda _: (),
        report: Callable[[Outcome | Unsettled | UnchangedRange], None] | None = None,
    ) -> None:
        """Start or resume *stored_run*; *retry* and *rows_to_resend* have what its earlier sessions left.

        *stale_retries* gets each outcome before the journal, *unchanged_rows* after it, *report* at the end. *name* is
        what the journal says of the session. *identities_of* returns what the journal keeps of the identity of a row
        that must be sent again.
        """
        self._name = name or SessionName()
        self._unchanged_rows = unchanged_rows
        self._report = report
        self.stored_run = stored_run
        self.running_counts, self.traffic = counts_of(stored_run.state)
        self._retry = retry
        self._rows_to_resend = rows_to_resend
        self._journal = Journal(stored_run.path, stored_run.state)
        self.in_flight = InFlightFile(stored_run.in_flight_path)
        self._recorders = Recorders(self._in_order(stale_retries, identities_of))
        self._stack = ExitStack()

    def _in_order(
        self, stale_retries: StaleRetries | None, identities_of: Callable[[Outcome], Sequence[bytes]]
    ) -> Sequence[Recorder]:
        """Return the recorders of an outcome, in an order in which a crash between any two of them is harmless.

        What other rows must know of it comes before the journal: recorded without an outcome, it costs at most a
        needless question. All that can be made again from the journal comes after it (`docs/inside-journal.md`).
        """
        journal, changes = self._journal, self._unchanged_rows
        records_changes = changes is not None and changes.is_recording
        recorders = (
            None if stale_retries is None else _before_journal(stale_retries),
            Recorder.of_resent(lambda outcome, _: self._record_identities(identities_of(outcome))),
            Recorder(journal.record, lambda outcome, kind: journal.record(outcome, again=kind == "again")),
            Recorder.of_all(self._leave_flight),
            Recorder.of_resent(self._write_retry_row),
            Recorder.of_all(self._count),
            Recorder.of_all(self._record_change) if records_changes else None,
            None if self._report is None else Recorder.of_all(self._report),
        )
        return [recorder for recorder in recorders if recorder is not None]

    def __enter__(self) -> Self:
        """Open the journal, and record that this session starts; raises StorageError."""
        with ExitStack() as stack:
            stack.enter_context(self._journal)
            stack.enter_context(self.in_flight)
            in_flight = sorted(row for row in self.in_flight.rows() if row not in self.settled)
            self.running_counts.unsure.update(in_flight)
            self.traffic.requests += len(in_flight)
            facts = {"pid": os.getpid(), "at": now(), "in_flight": in_flight, "command": self._name.command}
            facts["number"] = self._name.number
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

    @property
    def settled(self) -> SettledRows:
        """The rows that earlier sessions have settled."""
        return self.stored_run.state.settled

    def settle(self, outcome: Outcome | Unsettled) -> None:
        """Record *outcome* in the journal, the retry file, the totals and change detection; raises StorageError."""
        resend = self._rows_to_resend
        if isinstance(outcome, Unsettled) or (resend.is_empty and isinstance(outcome, Sent)):
            kind = None
        else:
            kind = resend.kind(outcome)
        if kind is None or isinstance(outcome, Unsettled):
            for record in self._recorders.usual:
                record(outcome)
        else:
            for record_resent in self._recorders.resent:
                record_resent(outcome, kind)

    def settle_unchanged(self, rows: UnchangedRange) -> None:
        """Record that *rows* are unchanged, as `settle` does of each of them; raises StorageError."""
        self._journal.record_unchanged(rows.first, rows.last)
        self.running_counts.outcomes.unchanged += rows.rows
        if self._report is not None:
            self._report(rows)

    def _record_identities(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            self._journal.append(payload)

    def _leave_flight(self, outcome: Outcome | Unsettled) -> None:
        if isinstance(outcome, Sent):
            self.in_flight.release(outcome.request.row.number)
        elif isinstance(outcome, Unsettled):
            self.in_flight.clear(outcome.request.row.number)
        else:
            self.in_flight.release(record_of(outcome).number)

    def _count(self, outcome: Outcome | Unsettled) -> None:
        if isinstance(outcome, Sent) and not outcome.unsure:
            # Nearly every row: nothing else is counted of it.
            self.running_counts.outcomes.sent += 1
        else:
            self.running_counts.add(outcome)

    def _write_retry_row(self, outcome: Outcome, kind: RetryKind) -> None:
        if isinstance(outcome, Sent | Failed | Rejected):
            self._retry.write(record_of(outcome), _remark(kind, outcome))

    def _record_change(self, outcome: Outcome | Unsettled) -> None:
        if self._unchanged_rows is not None:
            unsure = record_of(outcome).number in self.running_counts.unsure
            self._unchanged_rows.record_outcome(outcome, unsure=unsure)

    def record_pause(self, seconds: float) -> None:
        """Record that a throttled reply pauses all requests for *seconds* more; raises StorageError."""
        self._journal.record_pause(seconds)

    def record_registered(self, row: int, attempts: int) -> None:
        """Record that the person of *row* was registered, with so many *attempts*; raises StorageError."""
        self._journal.record_registered(row, attempts)

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
        folded = _totals(run_state.outcomes, run_state.traffic, run_state.unsure.rows)
        running = _totals(running_counts.outcomes, self.traffic, running_counts.unsure)
        if must_agree and folded != running:
            raise UploaderError(
                f"The journal says {folded}, the run counted {running}. This is a bug; keep the journal."
            )
        return stored_run


def _before_journal(stale_retries: StaleRetries) -> Recorder:
    record = stale_retries.record_before_journal
    return Recorder(record, lambda outcome, _: record(outcome, must_resend=True))


def _remark(kind: RetryKind, outcome: Sent | Failed | Rejected) -> RetryRemark:
    if isinstance(outcome, Sent):
        return RetryRemark(kind, "", RESEND_PHRASE, outcome.attempts)
    message = outcome.message if isinstance(outcome, Rejected) else ""
    reason = phrase_with_values(record_of(outcome), outcome.reason, message)
    return RetryRemark(kind, outcome.reason.code, reason, outcome.attempts)


def _totals(outcomes: OutcomeCounts, traffic: Traffic, unsure: Collection[int]) -> dict[str, int]:
    return {**asdict(outcomes), **asdict(traffic), "unsure": len(unsure)}
