"""Decide whether a run begins or goes on, and take from its journal what is known already."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from uploader import __version__
from uploader.config import Settings
from uploader.counts import Tally, Traffic
from uploader.delivery.retry_policy import proves_by
from uploader.errors import ChangedError
from uploader.outputs.retry_file import Remark
from uploader.run.fingerprints import reading_of
from uploader.run.preflight import Job
from uploader.run.results import Account
from uploader.state import Begun, Ledger, Owed

AGAIN: Final = "accepted, but an earlier row of the same person was not: send it after that"


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
    left = (
        f"{old.counts.not_attempted:,} of {before.rows:,} rows of the interrupted run {before.run_id} were never sent"
    )
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


def has_proof(ledger: Ledger) -> bool:
    """Whether a reply in a run, in all its lives, proves token, service ID and URL."""
    return ledger.outcomes.sent > 0 or any(
        owed.attempts and proves_by(owed.reason.code) for owed in ledger.owed.values()
    )


def owed_remark(owed: Owed) -> Remark:
    """Return what the retry file says of a row that an earlier life of the run *owed*."""
    return Remark(owed.kind, owed.reason.code, owed.reason.phrase or AGAIN, owed.attempts)


def tell_finished(account: Account, ledger: Ledger) -> None:
    """Close *account* as that of the finished run of *ledger*."""
    if ledger.begun is None:
        return
    account.run_id, account.started, account.number = ledger.begun.run_id, ledger.begun.started, ledger.begun.order
    tally, account.traffic = counts_of(ledger)
    account.counts, account.problems = ledger.counts, tally.problems
    account.seconds = account.sending_seconds = ledger.seconds
    account.limited_seconds, account.maybe_sent_twice = ledger.held_seconds, ledger.maybe_sent_twice
    account.retry_file = path_of(ledger.retry_file)
    account.finish()


def counts_of(ledger: Ledger) -> tuple[Tally, Traffic]:
    """Return the totals of *ledger*, as running ones: to go on with, or to tell of a finished run."""
    tally = Tally(replace(ledger.outcomes), set(ledger.unsure))
    for number, owed in ledger.owed.items():
        if owed.kind != "again":
            tally.problems.add(owed.reason, number)
    return tally, replace(ledger.traffic)


def path_of(text: str | None) -> Path | None:
    """Return the path that a journal says; None where it says none."""
    return None if text is None else Path(text)
