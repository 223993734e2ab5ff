"""Record which rows of a run's sources are one person's, and who is one person with people of other runs."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from uploader.changes.stale_retries import watch_since
from uploader.errors import ChangedError, InputError
from uploader.run.other_runs import newest_other_run
from uploader.run.plan import RunPlan, SourcePlan
from uploader.run.stale_retry_notes import joined_people


def join_people(run_plan: RunPlan, source_plans: Sequence[SourcePlan]) -> None:
    """Join the rows of all *source_plans* that are one person's; raises StorageError."""
    same_person = run_plan.same_person
    if same_person is None:
        return
    same_person.unite()
    same_person.keep_indirect()
    run_plan.changes.may_join_people = same_person.has_repeats
    for source_plan in source_plans:
        for person_key in filter(
            None, (same_person.person_key(source_plan.before + number) for number in source_plan.rebuilt)
        ):
            run_plan.rows_to_resend.add((person_key,))


def link_joined_people(run_plan: RunPlan, source_plans: Sequence[SourcePlan]) -> None:
    """Record who is one person, where a row may name another value than older or newer rows did.

    Where an older row of a person may still come, rows are recorded under any value that they name. A resumed run
    that is older than another must know under which values the other may have sent a person. Raises StorageError,
    ChangedError.
    """
    changes, same_person = run_plan.changes, run_plan.same_person
    if same_person is None or not changes.is_open:
        return
    newer = changes.store().newer
    if same_person.has_repeats and newer.watches_somebody:
        joined = _joined(run_plan, source_plans, lambda person: newer.is_watched((person,)))
        _watch_joined(run_plan, joined, [person for person in joined if not newer.is_watched((person,))], source_plans)
    resumed = [one for one in source_plans if one.resumes]
    overtaken = [one for one in resumed if newest_other_run(run_plan, one.run_header) > one.run_header.from_order]
    if overtaken:
        for person, key in _joined(run_plan, overtaken, newer.has_records_of).items():
            newer.link((person,), key)
    changes.commit()


def link_people_to_resend(run_plan: RunPlan, source_plans: Sequence[SourcePlan]) -> None:
    """Record, once all is sent, who is one person with those whose rows are still to be retried.

    A later run may send such a person under another value. Raises StorageError, ChangedError.
    """
    if run_plan.changes.unlinked_people:
        joined = _joined(run_plan, source_plans, run_plan.changes.unlinked_people.__contains__)
        _watch_joined(run_plan, joined, joined, source_plans)
        run_plan.changes.store().newer.mark_linked(run_plan.changes.unlinked_people)
        run_plan.changes.commit()


def _watch_joined(
    run_plan: RunPlan, joined: Mapping[int, int], new: Iterable[int], source_plans: Sequence[SourcePlan]
) -> None:
    newer = run_plan.changes.store().newer
    since = max(watch_since(source_plan.run_header, is_retry=True) for source_plan in source_plans)
    for person, key in joined.items():
        newer.link((person,), key)
    newer.watch(new, since=max(since, run_plan.changes.recorded_since))


def _joined(run_plan: RunPlan, source_plans: Sequence[SourcePlan], matches: Callable[[int], bool]) -> Mapping[int, int]:
    try:
        return joined_people([source_plan.job for source_plan in source_plans], run_plan.changes, matches)
    except InputError as error:
        raise ChangedError(f"A source changed while it was being sent: {error}. Run again.") from None
