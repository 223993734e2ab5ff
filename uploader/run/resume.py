"""Decide whether a run is resumed or started over, and restore what its journal holds."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from uploader import __version__
from uploader.config import Settings
from uploader.counts import RunningCounts, Traffic
from uploader.delivery.retry_policy import proves_by
from uploader.errors import ChangedError
from uploader.outputs.retry_file import RetryRemark
from uploader.run.fingerprints import reading_of
from uploader.run.job import Job
from uploader.run.results import Ending, SourceResult, Times
from uploader.state import CheckedRows, Destination, RowOrigin, RowToResend, RunBasis, RunHeader, RunState, StoredRun


@dataclass(frozen=True, slots=True)
class NewRun:
    """A source starts a new run; *replaced* is the interrupted one in whose place it comes."""

    replaced: StoredRun | None = None


@dataclass(frozen=True, slots=True)
class ResumedRun:
    """A source resumes its interrupted run."""

    stored_run: StoredRun


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A source is not sent again: an interrupted command has finished its run."""

    stored_run: StoredRun


RunChoice: TypeAlias = NewRun | ResumedRun | FinishedRun
"""Which run a source continues, if any."""

RESEND_PHRASE: Final = "accepted, but an earlier row of the same person was not: send it after that"


def header_of(  # noqa: PLR0913 — all that identifies a run
    settings: Settings, job: Job, result: SourceResult, key: str, *, origin: str, full: bool, from_number: int = 0
) -> RunHeader:
    """Return the header of the run of *job* with the *key*, except for its number; see `RunHeader`."""
    return RunHeader(
        run_id=result.run_id,
        key=key,
        source=job.source.name,
        started=result.started,
        destination=Destination(settings.api.base_url, settings.api.service_id, settings.api.endpoint),
        basis=RunBasis("" if job.fingerprint is None else job.fingerprint.digest, reading_of(settings)),
        rows=CheckedRows(job.summary.read, job.summary.damaged, job.limit),
        version=__version__,
        origin=RowOrigin(origin, from_number),
        full=full,
    )


def refuse_or_start_over(  # noqa: PLR0913 — what decides it, each asked for by name
    old: RunState,
    new: RunHeader,
    *,
    when_changed: str,
    fresh: bool,
    not_resumable: bool = False,
    listed_id: str = "",
) -> str | None:
    """Return None if *new* resumes the run of *old*; otherwise the message about the rows that were never sent.

    *not_resumable* is whether a SOURCE before it, which the same command finished, has changed since. *listed_id* is
    the ID by which `uploader runs` lists that run; "" where it is the run's own.

    Raises:
        ChangedError: the content or the mapping changed, and `when_changed` is `refuse`.
    """
    before = old.header
    if before is None:
        return None
    rows = f"{old.counts.not_attempted:,} of {before.rows.total:,} rows"
    left = f"{rows} of the interrupted run {listed_id or before.run_id} were never sent"
    if fresh:
        return f"{new.source}: starting over as asked; {left}."
    changed = [
        what
        for what, then, now in (
            ("the file", before.basis.content, new.basis.content),
            ("the mapping", before.basis.mapping, new.basis.mapping),
            ("the program", str(before.basis.format), str(new.basis.format)),
            ("a SOURCE before it", False, not_resumable),
        )
        if then != now
    ]
    if not changed:
        return None
    if when_changed == "refuse":
        raise ChangedError(
            f"{new.source}: {' and '.join(changed)} changed since the interrupted run: {left}. Undo the change "
            "to resume, or use --fresh to start over."
        )
    return f"{new.source}: {' and '.join(changed)} changed since the interrupted run: {left}. Starting over."


def has_proof(run_state: RunState) -> bool:
    """Whether a reply in a run, this time or before it was resumed, proves token, service ID and URL."""
    return run_state.outcomes.sent > 0 or any(
        row.attempts and proves_by(row.reason.code) for row in run_state.to_resend.values()
    )


def remark_of(row: RowToResend) -> RetryRemark:
    """Return what the retry file says of *row*, which a run recorded before it was resumed."""
    return RetryRemark(row.kind, row.reason.code, row.reason.phrase or RESEND_PHRASE, row.attempts)


def result_of(result: SourceResult, run_state: RunState) -> SourceResult:
    """Return *result* as that of the finished run of *run_state*, which keeps the exit status that it ended with.

    Rows that `limits.tolerate` allowed to be missing stay tolerated.
    """
    finished, status = result_so_far(result, run_state).finished(), run_state.end.status
    return finished if status is None else replace(finished, ending=Ending(status))


def result_so_far(result: SourceResult, run_state: RunState) -> SourceResult:
    """Return *result* as that of the run of *run_state*, as far as its sessions have come."""
    header = run_state.header
    if header is None:
        return result
    running_counts, traffic = counts_of(run_state)
    sessions = run_state.sessions
    return replace(
        result,
        run_id=header.run_id,
        started=header.started,
        number=header.order,
        counts=run_state.counts,
        traffic=traffic,
        problems=running_counts.problems,
        times=Times(sessions.all_seconds, sessions.held_seconds),
        maybe_sent_twice=run_state.maybe_sent_twice,
        retry_file=path_of(run_state.retry_file),
    )


def counts_of(run_state: RunState) -> tuple[RunningCounts, Traffic]:
    """Return the totals of *run_state* as running ones: to resume the run, or to report a finished one."""
    running_counts = RunningCounts(replace(run_state.outcomes), set(run_state.unsure.rows))
    for number, row in run_state.to_resend.items():
        if row.kind != "again":
            running_counts.problems.add(row.reason, number)
    return running_counts, replace(run_state.traffic)


def path_of(text: str | None) -> Path | None:
    """Return the path that a journal names; None where it names none."""
    return None if text is None else Path(text)
