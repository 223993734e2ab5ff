"""Choose which run each source of a command continues: the interrupted one, a finished one, or none."""

from collections.abc import Sequence
from dataclasses import replace

from uploader.run.check_source import retry_file_of
from uploader.run.drift_check import compare_with_baseline, nothing_to_compare_with, refuse_drift
from uploader.run.events import Remark
from uploader.run.finished_sources import interrupted_command
from uploader.run.plan import RunPlan, SessionName, SourcePlan
from uploader.run.resume import FinishedRun, NewRun, ResumedRun, refuse_or_start_over, result_of, result_so_far
from uploader.run.stale_retry_notes import record_sent
from uploader.state import History


def choose_runs(run_plan: RunPlan, source_plans: Sequence[SourcePlan]) -> list[SourcePlan]:
    """Return *source_plans* as they are to be sent: resumed, skipped, or started over; each choice is reported.

    Retry files that were added for a source that is skipped are left to the next run, which finds them as well.

    Raises:
        ChangedError: a source changed since its interrupted run, and `when_changed` is `refuse`.
        StorageError: a state file can't be read or written.
    """
    interrupted = interrupted_command([source_plan.command_source() for source_plan in source_plans])
    chosen: list[SourcePlan] = []
    for place, source_plan in enumerate(source_plans):
        if place not in interrupted.finished:
            chosen.append(_resumed_or_new(source_plan, not_resumable=place in interrupted.not_resumable))
            continue
        while chosen and chosen[-1].result.source in run_plan.options.added_retry_files:
            chosen.pop()
        chosen.append(_finished_before(source_plan))
    return chosen


def _finished_before(source_plan: SourcePlan) -> SourcePlan:
    """Return *source_plan* as finished, with the result of the run that finished it."""
    last, run_plan = source_plan.earlier.last, source_plan.run_plan
    assert last is not None  # noqa: S101 — it was finished
    result = result_of(source_plan.result, last.state)
    # Rows of later sources must follow those that it left to be retried.
    run_plan.rows_to_resend.add_all(source_plan.earlier.left_to_resend)
    _remark(
        source_plan,
        f"{result.source}: finished before its command was stopped (run {_listed_id(source_plan, result.run_id)}): "
        "not sent again. To send everything, use --fresh.",
    )
    return replace(source_plan, result=result, choice=FinishedRun(last))


def _resumed_or_new(source_plan: SourcePlan, *, not_resumable: bool) -> SourcePlan:
    """Return *source_plan* as it is to be sent: resumed, or started over, which is reported.

    *not_resumable* is whether it can't be resumed because of a source before it.
    """
    run_plan, result, old = source_plan.run_plan, source_plan.result, source_plan.earlier.interrupted
    if source_plan.earlier.of_whole_file is not None:
        record_sent(source_plan.job, source_plan.earlier.of_whole_file.state, run_plan.changes)
    if old is None or old.state.header is None:
        return replace(source_plan, choice=NewRun(old))
    # If a source before it is started over, so is this one.
    fresh = source_plan.command_source().is_started_over or (run_plan.options.full and not_resumable)
    listed_id = _listed_id(source_plan, old.state.header.run_id)
    changed = refuse_or_start_over(
        old.state,
        source_plan.header,
        when_changed=run_plan.settings.when_changed,
        fresh=fresh,
        not_resumable=not_resumable,
        listed_id=listed_id,
    )
    if changed is not None:
        run_plan.environment.events.remark(Remark(changed, "warning", result.source))
        source_plan.retry.discard()
        retry = run_plan.stack.enter_context(retry_file_of(run_plan, source_plan.job.source, None))
        retry.set_has_raw(damaged=source_plan.job.summary.damaged > 0)
        return replace(source_plan, retry=retry, choice=NewRun(old))
    result, counts = result_so_far(result, old.state), old.state.counts
    settled = counts.read - counts.not_attempted
    _remark(source_plan, f"{result.source}: resuming run {listed_id}: {settled:,} of {counts.read:,} rows settled.")
    return replace(source_plan, result=result, choice=ResumedRun(old))


def _listed_id(source_plan: SourcePlan, run_id: str) -> str:
    """Return the ID by which `uploader runs` lists the run *run_id*, for messages."""
    return History(source_plan.run_plan.run_store.state).listed_id(run_id)


def _remark(source_plan: SourcePlan, text: str) -> None:
    source_plan.run_plan.environment.events.remark(Remark(text, source=source_plan.result.source))


def assign_numbers(run_plan: RunPlan, source_plans: Sequence[SourcePlan]) -> list[SourcePlan]:
    """Return *source_plans*; those that start a new run have numbers of their own, greater than all before.

    All are of one command: of the interrupted one, if this one resumes it.

    Raises:
        StorageError, LockedError: no number can be drawn.
    """
    run_store, changes = run_plan.run_store, run_plan.changes
    known = changes.store().newer.newest_run() if changes.is_open else None
    numbers, state = run_store.next_numbers(len(source_plans), above=known or 0), run_store.state_id
    before = (one.continued.state.header for one in source_plans if one.continued is not None)
    command = next((header.command_id for header in before if header is not None), str(numbers[0]))
    following = [*(one.header.key for one in source_plans[1:]), ""]
    numbered: list[SourcePlan] = []
    for one, number, next_key in zip(source_plans, numbers, following, strict=True):
        session = SessionName(command, number)
        if one.continued is not None:
            numbered.append(replace(one, session=session))
        else:
            new = one.numbered(session, state, next_key)
            new.retry.set_run(run_plan.origins(new.header).label)
            numbered.append(new)
    return numbered


def refuse_drifted(run_plan: RunPlan, source_plans: Sequence[SourcePlan]) -> None:
    """Raise InputError if a source differs too much from its last run; with `--accept`, only report it.

    A resumed run that has sent rows already was accepted when it started.
    """
    settings, baselines = run_plan.settings, run_plan.run_store.baselines
    guarded = [one for one in source_plans if not (one.has_sent_rows or one.is_already_finished)]
    _remark_nothing_to_compare(run_plan, guarded)
    comparisons = [
        compare_with_baseline(one.job.source.name, one.header.history_key, one.job.summary, settings, baselines)
        for one in ([] if run_plan.options.full else guarded)
    ]
    if not run_plan.options.accept:
        refuse_drift(comparisons)
        return
    for comparison in comparisons:
        if comparison is not None and comparison.found:
            text = f"{comparison} It is sent all the same (--accept)."
            run_plan.environment.events.remark(Remark(text, source=comparison.name))


def _remark_nothing_to_compare(run_plan: RunPlan, guarded: Sequence[SourcePlan]) -> None:
    """Report the sources that have no baseline, where other files have one: perhaps it is under last night's name."""
    baselines = run_plan.run_store.baselines
    if run_plan.settings.guard is None or run_plan.options.full or not baselines.has_any():
        return
    for source_plan in guarded:
        is_compared = source_plan.job.summary.column_profile is not None
        if is_compared and baselines.last(source_plan.header.history_key) is None:
            _remark(source_plan, nothing_to_compare_with(source_plan.result.source, source_plan.header.job.name))
