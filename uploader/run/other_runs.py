"""Find out what other runs have sent to the same service, and what may still come of them."""

from collections.abc import Sequence

from uploader.config import Settings
from uploader.model import UNKNOWN_RUN
from uploader.run.fingerprints import service_of_run, service_of_settings
from uploader.run.plan import RunPlan, SourcePlan
from uploader.run.resume import ResumedRun, has_proof
from uploader.state import RunHeader, RunState, RunStore, StoredRun


def is_proven(source_plan: SourcePlan, run_state: RunState) -> bool:
    """Whether *run_state*, the run of *source_plan* so far, or a run that belongs to it proves the service.

    Such runs are those of the other sources of its command, and the one that made its retry file. Their proof
    distinguishes a row that a firewall blocks from a wrong token.
    """
    source, run_plan = source_plan.job.source, source_plan.run_plan
    if has_proof(run_state):
        return True
    # What this command itself has sent before is proof anyhow.
    if isinstance(source_plan.choice, ResumedRun):
        others = run_plan.run_store.runs_of_same_command(source_plan.choice.stored_run)
        if any(_proves(run_plan, other) for other in others):
            return True
    maker = run_plan.run_store.maker_of(source.path) if source.is_retry and source.path is not None else None
    return maker is not None and _proves(run_plan, maker)


def has_older_to_continue(run_plan: RunPlan, header: RunHeader) -> bool:
    """Whether a run that is older than that of *header* may still send rows to the same service."""
    service = service_of_run(header)
    return any(
        other.order < header.order
        and service_of_run(other) == service
        and (other.rows.limit is None or run_plan.run_store.is_at_work(other))
        for other in run_plan.run_store.unfinished()
    )


def newest_other_run(run_plan: RunPlan, header: RunHeader) -> int:
    """Return the greatest number of another run that may have sent to the same service as that of *header*."""
    service = service_of_run(header)
    known = list(run_plan.run_store.headers())
    others = (other for other in known if other.run_id != header.run_id)
    same = (other.from_order for other in others if service_of_run(other) == service)
    # What the deleted runs sent is not known; they are older than all that are left.
    gone = min((other.order for other in known), default=header.order) - 1
    return max(gone, *same, UNKNOWN_RUN)


def prune(run_plan: RunPlan, source_plans: Sequence[SourcePlan]) -> None:
    """Delete what was recorded for runs that can no longer be resumed; raises StorageError."""
    if not run_plan.changes.is_open:
        return
    services = {service_of_run(one) for one in run_plan.run_store.unfinished()}
    header = source_plans[0].header
    if service_of_run(header) not in services:
        run_plan.changes.store().newer.forget_unwatched(before=header.order)


def _proves(run_plan: RunPlan, stored_run: StoredRun) -> bool:
    """Whether *stored_run* sent to the same service, however its URL is spelled, and proves it."""
    header = stored_run.state.header
    if header is None:
        return False
    same = service_of_run(header) == service_of_settings(run_plan.settings)
    return same and has_proof(stored_run.state)


def newest_ended_run(run_store: RunStore, settings: Settings) -> int:
    """Return the number of the latest run that has sent to the service, or was deleted, and is not at work.

    Raises:
        StorageError: a journal can't be read.
    """
    service, newest = service_of_settings(settings), UNKNOWN_RUN
    for header in run_store.headers():
        is_of_service = service_of_run(header) == service
        # The journal that is resumed may have millions of lines, and is at work.
        if is_of_service and not run_store.is_at_work(header) and _has_sent(run_store.read(header).state):
            return header.order
        newest = header.order - 1
    return newest


def _has_sent(run_state: RunState) -> bool:
    return run_state.outcomes.sent + run_state.outcomes.unchanged + len(run_state.unsure.rows) > 0
