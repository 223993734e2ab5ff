"""List the stages that the rows of one source pass, from the requests to the pipeline."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from uploader.changes.stale_retries import StaleRetries, watch_since
from uploader.changes.unchanged_rows import UnchangedRows
from uploader.coalesce.assign_person_keys import with_person_keys
from uploader.coalesce.merge_rows import MergeStage
from uploader.coalesce.person_groups import PersonGroups
from uploader.coalesce.spill_to_disk import SpilledRows
from uploader.delivery.prefetch import prefetched
from uploader.model import UNKNOWN_RUN, NoWork, Work
from uploader.run.other_runs import has_older_to_continue, newest_other_run
from uploader.run.plan import SourcePlan
from uploader.state import RunHeader, RunState

if TYPE_CHECKING:
    from uploader.mapping.batch_works import FindUnchanged

Works: TypeAlias = Iterator[Work | NoWork]
Stage: TypeAlias = Callable[[Works], Works]


def stages_of(
    source_plan: SourcePlan,
    run_state: RunState,
    stale_retries: StaleRetries,
    unchanged_rows: UnchangedRows,
    stack: ExitStack,
) -> Sequence[Stage]:
    """Return the stages of *source_plan*, in their order; *stack* closes what they open. Raises StorageError.

    Only those are among them that have something to do, as each costs a step for each row.
    """
    run_plan, groups = source_plan.run_plan, source_plan.groups
    same_person, monotonic = run_plan.same_person, run_plan.environment.clock.monotonic
    stages: list[Stage] = []
    if same_person is not None and not same_person.is_empty:
        stages.append(partial(with_person_keys, same_person=same_person, before=source_plan.before))
    if groups is None and stale_retries.leaves_works:
        # The check has counted the rows that are rejected: where there are none, nobody looks for them.
        look = unchanged_rows.watch_rejected if source_plan.job.summary.rejected else None
        return [*stages, partial(prefetched, clock=monotonic, look=look)]
    stages += [partial(prefetched, clock=monotonic), stale_retries.without_stale]
    if groups is not None:
        waiting = stack.enter_context(SpilledRows(run_plan.run_store.state))
        stages.append(_merging(groups, waiting, source_plan, run_state).merge)
    return [*stages, unchanged_rows.skip_unchanged]


def stale_retries_of(source_plan: SourcePlan, header: RunHeader) -> StaleRetries:
    """Return what keeps the rows of *source_plan* from overwriting newer ones, in the run that has *header*."""
    is_retry, run_plan = source_plan.job.source.is_retry, source_plan.run_plan
    return StaleRetries(
        run_plan.changes,
        header,
        run_plan.origins(header),
        newest_run=newest_other_run(run_plan, header) if source_plan.may_be_stale else UNKNOWN_RUN,
        has_older=is_retry or source_plan.earlier.of_whole_file is not None,
        records_all=has_older_to_continue(run_plan, header),
        # A dry run knows of no other run, and its sandbox has nobody's values.
        accept=run_plan.options.accept or run_plan.options.sandbox,
        since=watch_since(header, is_retry=is_retry),
    )


def unchanged_rows_of(source_plan: SourcePlan, header: RunHeader, stale_retries: StaleRetries) -> UnchangedRows:
    """Return what skips the rows of *source_plan* that need no request, in the run that has *header*."""
    is_retry, run_plan = source_plan.job.source.is_retry, source_plan.run_plan
    return UnchangedRows(
        run_plan.changes,
        skips_unchanged=run_plan.settings.changed_only
        and not (header.full or source_plan.header.full)
        and not is_retry,
        must_resend=run_plan.rows_to_resend.has,
        since=watch_since(header, is_retry=is_retry),
        on_unchanged=stale_retries.record_unchanged,
        wants_unchanged=stale_retries.must_record,
        on_rejected=stale_retries.link_values,
    )


def unchanged_in_batches(
    source_plan: SourcePlan, stale_retries: StaleRetries, unchanged_rows: UnchangedRows
) -> "FindUnchanged":
    """Return what finds unchanged rows in the batches of *source_plan*."""
    from uploader.changes.unchanged_in_batches import UnchangedInBatches  # noqa: PLC0415 — polars starts slowly

    run_plan, groups, before = source_plan.run_plan, source_plan.groups, source_plan.before
    same_person = run_plan.same_person

    def joined_rows(first: int, last: int) -> Sequence[int]:
        keyed = [] if same_person is None else same_person.rows_with_keys(before + first, before + last)
        in_groups = [] if groups is None else groups.rows_in_groups(first, last)
        return [*(number - before for number in keyed), *in_groups]

    return UnchangedInBatches(
        unchanged_rows,
        source_plan.job.plan,
        leaves_all=lambda: stale_retries.leaves_all,
        must_resend=run_plan.rows_to_resend.has,
        resends_some=lambda: not run_plan.rows_to_resend.is_empty,
        joined_rows=joined_rows,
    )


def _merging(groups: PersonGroups, waiting: SpilledRows, source_plan: SourcePlan, run_state: RunState) -> MergeStage:
    """Return the stage that makes one request of each of *groups*, as the run of *run_state* has done so far."""
    same_person = source_plan.run_plan.same_person
    return MergeStage(
        groups,
        waiting,
        merged=source_plan.job.plan.merged,
        must_resend=source_plan.run_plan.rows_to_resend.has,
        merged_into=lambda row: run_state.replaced_by.get(row, row),
        rows_with_key=lambda person_key: 0 if same_person is None else same_person.rows_with(person_key),
    )
