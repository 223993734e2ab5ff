"""Make one source of a run ready: lock it, read it whole, and find out what its earlier runs have left."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from uploader.changes.change_detection import ChangesCounter
from uploader.changes.stale_retries import watch_since
from uploader.check.batch_observers import NumberedObserver, RowObserver
from uploader.check.source_summary import CheckSummary
from uploader.coalesce.assign_person_keys import PeopleCollector
from uploader.coalesce.merge_rows import GroupCollector
from uploader.coalesce.person_groups import PersonGroups
from uploader.coalesce.same_person import SamePerson
from uploader.counts import Counts
from uploader.model import UNKNOWN_RUN, Record, Rejected, Request
from uploader.outputs.retry_file import RetryFile
from uploader.run.batch_reader import batch_reader
from uploader.run.events import Remark
from uploader.run.fingerprints import inode_of, key_of, reading_of
from uploader.run.job_names import refresh_key_of, with_job
from uploader.run.output_paths import goes_by_source, place_in_state, refuse_taken, retry_format, retry_path
from uploader.run.plan import EarlierRuns, RunPlan, SourcePlan
from uploader.run.preflight import opened, prepare
from uploader.run.refusals import registered_names
from uploader.run.results import SourceFindings, SourceResult
from uploader.run.resume import header_of, path_of
from uploader.run.retry_reasons import RetryReasons, reasons_in, rebuilt_remark
from uploader.source import Source
from uploader.state import RowToResend, StoredRun


def check_source(run_plan: RunPlan, result: SourceResult) -> SourcePlan:
    """Open the source of *result* and read it whole; its counts are kept even if it can't be sent."""
    options, settings, summary, changes = run_plan.options, run_plan.settings, CheckSummary(), run_plan.changes
    same_person, findings = run_plan.same_person, result.findings
    rows_before = 0 if same_person is None else same_person.rows
    try:
        source = run_plan.stack.enter_context(opened(result.source, settings, run_plan.environment))
        key = key_of(settings, source)
        _lock(run_plan, source, key, result)
        last = None if options.limit is not None else run_plan.run_store.latest(key)
        earlier = EarlierRuns(last, _whole_file_run(run_plan, source, key))
        retry = run_plan.stack.enter_context(retry_file_of(run_plan, source, earlier.interrupted))
        _remark_place(run_plan, source, retry)
        rebuilding = _Rebuilding(run_plan, source, earlier, retry)
        groups = _groups(run_plan)
        counters = _change_counters(run_plan, source, summary)
        job = prepare(
            source,
            settings,
            limit=options.limit,
            summary=summary,
            today=run_plan.environment.today(),
            observers=[
                *registered_names(source, settings),
                *([] if same_person is None else [PeopleCollector(same_person)]),
                *([] if groups is None else [GroupCollector(groups)]),
                *rebuilding.observers(),
                *counters,
            ],
            events=run_plan.environment.events,
            batches=batch_reader(source, settings, run_plan.environment.events),
        )
        for counter in counters:
            counter.finish()
        findings = SourceFindings(source.blank_lines, summary.repairs, summary.warnings, source.is_retry)
        if groups is not None:
            groups.seal()
    finally:
        counts = Counts(summary.read, not_attempted=summary.read)
        result = replace(result, counts=counts, findings=findings)
        run_plan.results.keep(result)
    origin, from_number = _origin(run_plan, source, result, earlier.of_whole_file)
    full = options.full or changes.is_full_run_due(refresh_key_of(source, options, settings))
    new = header_of(settings, job, result, key, origin=origin, full=full, from_number=from_number)
    retry.set_has_raw(damaged=summary.damaged > 0)
    return SourcePlan(
        run_plan,
        job,
        result,
        with_job(new, source, options, settings),
        retry,
        earlier,
        before=rows_before,
        rebuilt=tuple(rebuilding.to_resend),
        groups=groups,
    )


class _Rebuilding:
    """Takes over, while a source is read, what its earlier runs have left: the rows of its retry file."""

    def __init__(self, run_plan: RunPlan, source: Source, earlier: EarlierRuns, retry: RetryFile) -> None:
        old = earlier.interrupted
        self._run_plan = run_plan
        self._retry = retry
        self._since = _watched_since(earlier.last, source)
        self.to_resend = old.state.to_resend if old is not None and _may_resume(run_plan, old, source) else {}
        self._reasons_before = {} if old is None else _reasons_before(old, source, self.to_resend)
        self._left = _left_by_finished(earlier.last) if len(run_plan.options.sources) > 1 else {}
        self._left_to_resend = earlier.left_to_resend

    def observers(self) -> list[RowObserver]:
        """Return what takes over the rows that it is about; none where there are none."""
        found: list[RowObserver] = [NumberedObserver(self._rebuild, self.to_resend)] if self.to_resend else []
        return [*found, NumberedObserver(self._collect_left, self._left)] if self._left else found

    def _rebuild(self, record: Record, work: Request | Rejected) -> None:
        row = self.to_resend.get(record.number)
        if row is not None:
            before = self._reasons_before.get(self._retry.origin_of(record))
            self._retry.rebuild(record, rebuilt_remark(record, work, row, before))
            self._run_plan.rows_to_resend.add(work.person)
            # The run may have crashed before change detection recorded the row.
            self._run_plan.changes.watch(work.person, self._since)

    def _collect_left(self, record: Record, work: Request | Rejected) -> None:
        if record.number in self._left:
            self._left_to_resend.add(work.person)
            # The interrupted command may not have reached its end, where it records who is one person.
            self._run_plan.changes.take_over_unlinked(work.person, self._since)


def _change_counters(run_plan: RunPlan, source: Source, summary: CheckSummary) -> list[ChangesCounter]:
    """Return what counts the changed rows of *source* where somebody asks for them before sending; else none."""
    settings, changes = run_plan.settings, run_plan.changes
    wanted = settings.guard is not None or run_plan.options.deadline is not None
    asks = wanted and changes.is_recording and settings.changed_only and not source.is_retry
    return [changes.counting_changes(summary)] if asks else []


def _groups(run_plan: RunPlan) -> PersonGroups | None:
    if not run_plan.settings.coalesce:
        return None
    return run_plan.stack.enter_context(PersonGroups(SamePerson(run_plan.run_store.state)))


def _lock(run_plan: RunPlan, source: Source, key: str, result: SourceResult) -> None:
    """Lock *source* by its *key*, and its file under any name by which another run may use it.

    Raises:
        LockedError, StorageError: it can't be locked.
    """
    run_store, what = run_plan.run_store, "this input" if source.path is None else result.source
    run_plan.stack.enter_context(run_store.lock(key, since=result.started, what=what))
    if source.path is None:
        return
    try:
        key = inode_of(run_plan.settings, source.path)
    except OSError:
        # Reading the file reports what is wrong.
        return
    run_plan.stack.enter_context(run_store.lock(key, since=result.started, what=result.source, is_temporary=True))


def _may_resume(run_plan: RunPlan, old: StoredRun, source: Source) -> bool:
    """Whether the run of *old* read *source* as it is now: in a changed file its rows are other people's."""
    header = old.state.header
    return header is not None and (header.basis.content, header.basis.mapping) == (
        source.digest(),
        reading_of(run_plan.settings),
    )


def _whole_file_run(run_plan: RunPlan, source: Source, key: str) -> StoredRun | None:
    """Return the interrupted run of all of *source*, unchanged since, where only its first rows are to be sent."""
    whole_file_run = None if run_plan.options.limit is None or source.is_retry else run_plan.run_store.interrupted(key)
    return whole_file_run if whole_file_run is not None and _may_resume(run_plan, whole_file_run, source) else None


def _origin(
    run_plan: RunPlan, source: Source, result: SourceResult, whole_file_run: StoredRun | None
) -> tuple[str, int]:
    """Return the ID and number (0: this run) of the run that those rows of *source* are from that name none.

    Rows of a retry file are from the run that made it. If only the first rows of a file are sent, they are from
    *whole_file_run*, its interrupted run.
    """
    if not source.is_retry:
        header = None if whole_file_run is None else whole_file_run.state.header
        return result.run_id, 0 if header is None else header.from_order
    maker = None if source.path is None else run_plan.run_store.maker_of(source.path)
    if maker is None or maker.state.header is None:
        return "", UNKNOWN_RUN
    return maker.state.header.from_run, maker.state.header.from_order


def retry_file_of(run_plan: RunPlan, source: Source, old: StoredRun | None) -> RetryFile:
    """Return the retry file of *source*, that of its interrupted run *old* where it resumes one.

    Raises:
        ConfigError, StorageError: its path is taken, or can't be written.
    """
    options, settings = run_plan.options, run_plan.settings
    resumed, otherwise = None if old is None else old.state.retry_file, None
    if resumed is not None:
        path = Path(resumed)
    else:
        is_added = source.name in options.added_retry_files
        named = None if is_added else options.retry_file
        is_pending = is_added or bool(options.retries_of)
        path = retry_path(source, settings, named=named, folder=run_plan.folder, beside=is_pending)
        if run_plan.folder is None and named is None and (is_pending or goes_by_source(settings)):
            otherwise = place_in_state(path, run_plan.run_store.state)

    def may_exist() -> bool:
        retries_earlier = settings.retry_last_failures or run_plan.run_store.maker_of(path) is not None
        return resumed is None and retries_earlier

    refuse_taken(path, options, may_exist=may_exist)
    header = None if old is None else old.state.header
    wanted = retry_format(source, damaged=header is not None and header.rows.damaged > 0)
    retry = RetryFile(path, wanted, otherwise=otherwise)
    if header is not None:
        retry.set_run(run_plan.origins(header).label)
    return retry


def _remark_place(run_plan: RunPlan, source: Source, retry: RetryFile) -> None:
    """Report that the retry file goes into the state folder, as that of the source can't be written."""
    if retry.is_elsewhere:
        text = f"{source.name}: its folder can't be written. A retry file goes to {retry.folder}."
        run_plan.environment.events.remark(Remark(text, "detail", source.name))


def _reasons_before(old: StoredRun, source: Source, to_resend: Mapping[int, RowToResend]) -> RetryReasons:
    """Return the reasons in the retry file of the interrupted run *old* of *source*."""
    return reasons_in(path_of(old.state.retry_file), retry_format(source, damaged=False), to_resend)


def _watched_since(last: StoredRun | None, source: Source) -> int:
    """Return the number of the run after which all runs record those whose rows the *last* run left to be retried."""
    header = None if last is None else last.state.header
    return UNKNOWN_RUN if header is None else watch_since(header, is_retry=source.is_retry)


def _left_by_finished(last: StoredRun | None) -> Mapping[int, RowToResend]:
    """Return the rows in the retry file of the run *last*; none if it is not finished."""
    return last.state.to_resend if last is not None and last.state.is_finished else {}
