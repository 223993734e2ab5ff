"""Keep a run's journal while it lasts, and all that hears of an outcome after it."""

import os
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from uploader.changes.stale_retries import Late
from uploader.changes.unchanged_rows import Sift
from uploader.counts import OutcomeCounts, Traffic
from uploader.delivery.rows_to_resend import FollowUp
from uploader.errors import UploaderError
from uploader.model import Failed, Outcome, Rejected, Sent, Unsettled, record_of
from uploader.outputs.retry_file import Remark, RetryFile
from uploader.run.endings import now
from uploader.run.resume import AGAIN, counts_of, path_of
from uploader.state import Flight, Journal, Volume, read_volume


class Life:
    """One life of a run: its journal, open, and all that hears of an outcome after it.

    *flight* notes which rows are in flight, until `settle` hears of their outcomes. The journal comes first: an outcome
    that could not be appended did not happen, and its row is sent again.
    """

    def __init__(  # noqa: PLR0913 — all that hears of an outcome, each asked for by name
        self,
        volume: Volume,
        retry: RetryFile,
        followup: FollowUp,
        late: Late | None = None,
        sift: Sift | None = None,
        *,
        command: str = "",
    ) -> None:
        """Go on with *volume*; *retry* and *followup* know of its earlier lives already.

        *late* hears of each outcome before the journal, *sift* after it. *command* is the one whose life it is.
        """
        self._late = late
        self._command = command
        self._sift = sift
        self.volume = volume
        self.settled = volume.ledger.settled
        self.tally, self.traffic = counts_of(volume.ledger)
        self._retry = retry
        self._followup = followup
        self._journal = Journal(volume.path, volume.ledger)
        self.flight = Flight(volume.flight_path)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open the journal, and note that this life begins; raises StorageError."""
        with ExitStack() as stack:
            stack.enter_context(self._journal)
            stack.enter_context(self.flight)
            in_flight = sorted(row for row in self.flight.rows() if row not in self.settled)
            self.tally.unsure.update(in_flight)
            self.traffic.requests += len(in_flight)
            facts = {"pid": os.getpid(), "at": now(), "in_flight": in_flight, "command": self._command}
            self._journal.note_facts("life", facts)
            if in_flight:
                self._journal.sync()
            self.flight.forget()
            self._retry.announce(self.note_path)
            self._retry.put_in_place(path_of(self.volume.ledger.retry_file))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self._stack.close()

    def settle(self, outcome: Outcome | Unsettled) -> None:
        """Let the journal, the retry file, the memory and the totals hear of *outcome*; raises StorageError."""
        record, sift = record_of(outcome), self._sift
        if isinstance(outcome, Unsettled):
            if outcome.attempts:
                self._journal.note(outcome)
            self.flight.turn_back(record.number)
        else:
            kind = self._followup.kind(outcome)
            if self._late is not None:
                self._late.before(outcome, owed=kind is not None)
            self._journal.note(outcome, again=kind == "again")
            self.flight.land(record.number)
            if kind is not None and isinstance(outcome, Sent | Failed | Rejected):
                self._retry.write(record, _remark(kind, outcome))
        self.tally.note(outcome)
        if sift is not None and sift.remembers:
            sift.after(outcome, unsure=record.number in self.tally.unsure)

    def note_held(self, seconds: float) -> None:
        """Note that a limit reply holds everybody for *seconds* more; raises StorageError."""
        self._journal.note_held(seconds)

    def note_path(self, path: Path) -> None:
        """Note where the retry file goes, before it is made; raises StorageError."""
        self._journal.note_facts("retry_file", {"path": str(path.absolute())})

    @property
    def is_dirty(self) -> bool:
        """Whether something awaits a sync."""
        return self._journal.is_dirty or self._retry.is_dirty

    def flush(self) -> None:
        """Write what waits to be written; before each `sync`. Raises StorageError."""
        self._journal.flush()
        if self._sift is not None:
            self._sift.flush()

    def sync(self) -> None:
        """Make all that is settled last through a power cut; raises StorageError."""
        self._journal.sync()
        self._retry.sync()

    def closed(self, *, must_agree: bool) -> Volume:
        """Return the journal as it stands; where they *must_agree*, its totals are the running ones.

        Raises:
            UploaderError: they are not, which is a bug.
        """
        self.flush()
        volume = read_volume(self.volume.path)
        ledger, tally = volume.ledger, self.tally
        folded = _totals(ledger.outcomes, ledger.traffic, ledger.unsure)
        running = _totals(tally.outcomes, self.traffic, tally.unsure)
        if must_agree and folded != running:
            raise UploaderError(
                f"The journal says {folded}, the run counted {running}. This is a bug; keep the journal."
            )
        return volume


def _remark(kind: str, outcome: Sent | Failed | Rejected) -> Remark:
    if isinstance(outcome, Sent):
        return Remark(kind, "", AGAIN, outcome.attempts)
    return Remark(kind, outcome.reason.code, outcome.reason.phrase, outcome.attempts)


def _totals(outcomes: OutcomeCounts, traffic: Traffic, unsure: Collection[int]) -> dict[str, int]:
    return {**asdict(outcomes), **asdict(traffic), "unsure": len(unsure)}
