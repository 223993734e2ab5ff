"""Decide whether a run begins or goes on, and keep its journal while it lasts."""

import contextlib
import os
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from uploader import __version__
from uploader.app.accounts import FINISHED, SOME_LEFT, Account
from uploader.app.checking import Job
from uploader.app.keys import reading_of
from uploader.app.late import Late
from uploader.app.recall import Sift
from uploader.config import Settings
from uploader.errors import ChangedError, StorageError, UploaderError
from uploader.followup import FollowUp
from uploader.guard import Past, Totals
from uploader.journal import Begun, Flight, Journal, Ledger, Owed, Shelf, Volume, read_volume
from uploader.journal.entries import spell_facts
from uploader.model import Failed, Outcome, Rejected, Sent, Unsettled, record_of
from uploader.policy import proves_by
from uploader.sinks.retry_file import Remark, RetryFile
from uploader.tally import Tally, Traffic

_AGAIN: Final = "accepted, but an earlier row of the same person was not: send it after that"


def begun(  # noqa: PLR0913 — all that a run is known by
    settings: Settings, job: Job, account: Account, key: str, *, origin: str, full: bool, from_number: int = 0
) -> Begun:
    """Return how the run of *job*, known by *key*, begins, but for its number; see `Begun`."""
    return Begun(
        run_id=account.run_id,
        key=key,
        source=job.source.name,
        started=account.started,
        base_url=settings.api.base_url,
        service_id=settings.api.service_id,
        content="" if job.fingerprint is None else job.fingerprint.digest,
        mapping=reading_of(settings),
        rows=job.survey.read,
        damaged=job.survey.damaged,
        limit=job.limit,
        version=__version__,
        origin=origin,
        full=full,
        from_number=from_number,
    )


def refuse_or_leave(old: Ledger, new: Begun, *, when_changed: str, fresh: bool, spoiled: bool = False) -> str | None:
    """Return None if *new* continues the run of *old*; otherwise what to tell of the rows that were never sent.

    *spoiled* is whether a SOURCE before it, which the same command finished, has changed since.

    Raises:
        ChangedError: the content or the mapping changed, and `when_changed` is `refuse`.
    """
    before = old.begun
    if before is None:
        return None
    left = f"{old.books.not_attempted:,} of {before.rows:,} rows of the interrupted run {before.run_id} were never sent"
    if fresh:
        return f"{new.source}: beginning anew as asked; {left}."
    changed = [
        what
        for what, then, now in (
            ("the file", before.content, new.content),
            ("the mapping", before.mapping, new.mapping),
            ("the program", str(before.format), str(new.format)),
            ("a SOURCE before it", False, spoiled),
        )
        if then != now
    ]
    if not changed:
        return None
    if when_changed == "refuse":
        raise ChangedError(
            f"{new.source}: {' and '.join(changed)} changed since the interrupted run: {left}. Bring back what it was "
            "to continue, or use --fresh to begin anew."
        )
    return f"{new.source}: {' and '.join(changed)} changed since the interrupted run: {left}. Beginning anew."


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
        number: int = 0,
    ) -> None:
        """Go on with *volume*; *retry* and *followup* know of its earlier lives already.

        *late* hears of each outcome before the journal, *sift* after it. *command* is the one whose life it is,
        *number* the one that it has drawn to be known as later than what was sent before.
        """
        self._number = number
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
            facts = {"pid": os.getpid(), "at": _now(), "in_flight": in_flight, "command": self._command}
            facts["number"] = self._number
            self._journal.note_facts("life", facts)
            if in_flight:
                self._journal.sync()
            self.flight.forget()
            self._retry.announce(self.note_path)
            self._retry.put_in_place(_path(self.volume.ledger.retry_file))
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
        folded, running = _totals(volume.ledger), _running(self.tally, self.traffic)
        if must_agree and folded != running:
            raise UploaderError(
                f"The journal says {folded}, the run counted {running}. This is a bug; keep the journal."
            )
        return volume


def has_proof(ledger: Ledger) -> bool:
    """Whether a reply in a run, in all its lives, proves token, service ID and URL."""
    return ledger.sent > 0 or any(owed.attempts and proves_by(owed.reason.code) for owed in ledger.owed.values())


class Endings:
    """Marks the end of each run in its journal, after the summary is written; throws away what is old."""

    def __init__(self, shelf: Shelf, *, journal_days: int) -> None:
        """Use *shelf*; finished runs older than *journal_days* go."""
        self._shelf = shelf
        self._journal_days = journal_days
        self._ended: list[tuple[Account, Volume, Totals | None]] = []

    def add(self, account: Account, volume: Volume, totals: Totals | None = None) -> None:
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

    def _mark(self, account: Account, volume: Volume, totals: Totals | None) -> None:
        if account.exit_status == StorageError.exit_status:
            # A disk that failed is not tried again; the run is interrupted, as its journal says without a mark.
            return
        facts: dict[str, object] = {"status": account.exit_status, "at": _now(), "seconds": round(account.seconds, 3)}
        if account.exit_status in {FINISHED, SOME_LEFT}:
            if totals is not None and volume.ledger.begun is not None:
                began = volume.ledger.begun
                self._shelf.totals.keep(began.key, Past(str(facts["at"]), began.mapping, totals))
            # Nothing that can fail comes after this mark: whoever is told to run again must find a run to continue.
            self._shelf.compact(volume, spell_facts("finished", facts))
            return
        with Journal(volume.path, volume.ledger) as journal:
            journal.note_facts("stopped", facts)
            journal.sync()


def owed_remark(owed: Owed) -> Remark:
    """Return what the retry file says of a row that an earlier life of the run *owed*."""
    return Remark(owed.kind, owed.reason.code, owed.reason.phrase or _AGAIN, owed.attempts)


def _remark(kind: str, outcome: Sent | Failed | Rejected) -> Remark:
    if isinstance(outcome, Sent):
        return Remark(kind, "", _AGAIN, outcome.attempts)
    return Remark(kind, outcome.reason.code, outcome.reason.phrase, outcome.attempts)


def tell_finished(account: Account, ledger: Ledger) -> None:
    """Close *account* as that of the finished run of *ledger*."""
    if ledger.begun is None:
        return
    account.run_id, account.started, account.number = ledger.begun.run_id, ledger.begun.started, ledger.begun.order
    tally, account.traffic = counts_of(ledger)
    account.books, account.problems = ledger.books, tally.problems
    account.seconds = account.sending_seconds = ledger.seconds
    account.limited_seconds, account.maybe_sent_twice = ledger.held_seconds, ledger.maybe_sent_twice
    account.retry_file = _path(ledger.retry_file)
    account.finish()


def counts_of(ledger: Ledger) -> tuple[Tally, Traffic]:
    """Return the totals of *ledger*, as running ones: to go on with, or to tell of a finished run."""
    tally = Tally(
        sent=ledger.sent,
        unchanged=ledger.unchanged,
        superseded=len(ledger.superseded),
        rejected=ledger.rejected,
        failed=ledger.failed,
        unsure=set(ledger.unsure),
    )
    for number, owed in ledger.owed.items():
        if owed.kind != "again":
            tally.problems.add(owed.reason, number)
    return tally, Traffic(ledger.requests, ledger.retries, ledger.limited)


def _totals(ledger: Ledger) -> dict[str, int]:
    return {
        "sent": ledger.sent,
        "unchanged": ledger.unchanged,
        "superseded": len(ledger.superseded),
        "rejected": ledger.rejected,
        "failed": ledger.failed,
        "requests": ledger.requests,
        "retries": ledger.retries,
        "limited": ledger.limited,
        "unsure": len(ledger.unsure),
    }


def _running(tally: Tally, traffic: Traffic) -> dict[str, int]:
    return {
        "sent": tally.sent,
        "unchanged": tally.unchanged,
        "superseded": tally.superseded,
        "rejected": tally.rejected,
        "failed": tally.failed,
        "requests": traffic.requests,
        "retries": traffic.retries,
        "limited": traffic.limited,
        "unsure": len(tally.unsure),
    }


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
