"""Make every source of a run ready, before the first request of any of them."""

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from uploader.changes.change_detection import ChangeDetection, ChangesCounter
from uploader.changes.stale_retries import Origins, watch_since
from uploader.check.batch_observers import NumberedObserver, RowObserver
from uploader.check.source_summary import CheckSummary
from uploader.coalesce.assign_person_keys import PeopleCollector
from uploader.coalesce.merge_rows import GroupCollector
from uploader.coalesce.person_groups import PersonGroups
from uploader.coalesce.same_person import SamePerson
from uploader.config import Settings
from uploader.counts import Counts
from uploader.delivery.rows_to_resend import RowsToResend
from uploader.errors import ChangedError, InputError
from uploader.model import UNKNOWN_RUN, Record, Rejected, Request
from uploader.outputs.retry_file import RetryFile
from uploader.outputs.spinner import spinner
from uploader.run.batch_reader import batch_reader
from uploader.run.drift_check import compare_with_baseline, refuse_drift
from uploader.run.environment import Environment
from uploader.run.fingerprints import inode_of, key_of, reading_of, service_of
from uploader.run.finished_sources import CommandSource, interrupted_command
from uploader.run.options import Options
from uploader.run.output_paths import refuse_taken, retry_format, retry_path
from uploader.run.preflight import Job, opened, prepare, registered_names
from uploader.run.results import SourceResult
from uploader.run.resume import has_proof, header_of, path_of, refuse_or_start_over, restore_result
from uploader.run.retry_reasons import RetryReasons, reasons_in, rebuilt_remark
from uploader.run.stale_retry_notes import joined_people, record_sent
from uploader.source import Source
from uploader.state import RowToResend, RunHeader, RunState, RunStore, StoredRun


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """One source that is about to be sent: its job, its result, its retry file, and the run that it resumes.

    *before* is how many rows the sources before it have. *rebuilt* are its rows that its retry file has already.
    *groups* are its rows that become one request; None where each row becomes one. *last* is its last run, interrupted
    or not, and *left_to_resend* are the people with rows that it left to be retried. *is_already_finished* is whether
    an interrupted command has finished it. *command* is the one that sends it. *whole_file_run* is the interrupted run
    of the same file where only its first rows are sent. *number* is drawn for this command, also where it resumes a run
    of another.

    States: it starts a new run; it resumes the interrupted one (`resumes`); or it is already finished, and not sent
    again.
    """

    job: Job
    result: SourceResult
    header: RunHeader
    retry: RetryFile
    old: StoredRun | None
    before: int = 0
    rebuilt: Collection[int] = ()
    groups: PersonGroups | None = None
    last: StoredRun | None = None
    left_to_resend: RowsToResend = field(default_factory=RowsToResend)
    is_already_finished: bool = False
    command: str = ""
    whole_file_run: StoredRun | None = None
    number: int = 0

    @property
    def may_be_stale(self) -> bool:
        """Whether its rows may be older than what other runs have sent."""
        return self.job.source.is_retry or self.resumes or self.whole_file_run is not None

    @property
    def resumes(self) -> bool:
        """Whether it resumes an interrupted run."""
        header = None if self.old is None else self.old.state.header
        return header is not None and header.run_id == self.result.run_id

    @property
    def has_sent_rows(self) -> bool:
        """Whether it resumes a run that has sent or settled rows already."""
        old = self.old
        if old is None or not self.resumes:
            return False
        counts = old.state.counts
        return old.state.traffic.requests > 0 or counts.not_attempted < counts.read

    @property
    def run_header(self) -> RunHeader:
        """The header of the run that it resumes or starts, or that has finished it."""
        before = None if self.resumed_or_finished is None else self.resumed_or_finished.state.header
        return before or self.header

    @property
    def resumed_or_finished(self) -> StoredRun | None:
        """The run that it resumes, or that has finished it; None where it starts a new one."""
        return self.last if self.is_already_finished or self.resumes else None

    def command_source(self, options: Options) -> CommandSource:
        """Return it as one SOURCE of a command with *options*."""
        last = None if self.last is None else self.last.state
        # Flags that ask for every row ask also for those that the interrupted run has skipped.
        is_left_out = last is not None and (last.is_finished or last.outcomes.unchanged > 0)
        return CommandSource(self.header, last, is_started_over=options.fresh or (options.full and is_left_out))

    def numbered(self, number: int, state: str, command: str, next_key: str) -> "SourcePlan":
        """Return it as the new run *number* of the state folder *state*; see `RunHeader` for the others."""
        self.result.number = number
        header = replace(self.header, number=number, state=state, command=command, next_key=next_key)
        return replace(self, header=header, command=command)

    def open_run(self, run_store: RunStore) -> StoredRun:
        """Return the run whose journal it writes: the interrupted one that it resumes, or a new one."""
        old = self.old
        if old is not None and self.resumes:
            return old
        if old is not None:
            run_store.abandon(old)
        return run_store.create(self.header)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is decided for all sources of a run before any is sent.

    All share *rows_to_resend*: a row must also follow one of an earlier source that was not accepted. All share
    *same_person* too; None where a row has at most one identity value, which all rows of its person share.
    """

    options: Options
    settings: Settings
    environment: Environment
    run_store: RunStore
    folder: Path | None
    stack: ExitStack
    rows_to_resend: RowsToResend
    changes: ChangeDetection
    same_person: SamePerson | None

    def check(self, result: SourceResult) -> SourcePlan:
        """Open the source of *result* and read it whole; its counts are set even if it can't be sent."""
        options, settings, summary, same_person = self.options, self.settings, CheckSummary(), self.same_person
        rows_before = 0 if same_person is None else same_person.rows
        try:
            source = self.stack.enter_context(opened(result.source, settings, self.environment))
            key = key_of(settings, source)
            self._lock(source, key, result)
            last = None if options.limit is not None else self.run_store.latest(key)
            old = last if last is not None and last.state.is_interrupted else None
            retry = self.stack.enter_context(self._retry_file(source, old))
            to_resend = old.state.to_resend if old is not None and self._may_resume(old, source) else {}
            reasons_before = {} if old is None else _reasons_before(old, source, to_resend)
            since = _watched_since(last, source)
            whole_file_run = self._whole_file_run(source, key)
            origin, from_number = self._origin(source, result, whole_file_run)

            def rebuild(record: Record, work: Request | Rejected) -> None:
                row = to_resend.get(record.number)
                if row is not None:
                    before = reasons_before.get(retry.origin_of(record))
                    retry.rebuild(record, rebuilt_remark(record, work, row, before))
                    self.rows_to_resend.add(work.person)
                    # The run may have crashed before change detection recorded the row.
                    self.changes.watch(work.person, since)

            left = _left_by_finished(last) if len(options.sources) > 1 else {}
            left_to_resend = RowsToResend()
            observers: list[RowObserver] = [*registered_names(source, settings)]
            observers += [] if same_person is None else [PeopleCollector(same_person)]
            groups = self._groups() if settings.coalesce else None
            observers += [] if groups is None else [GroupCollector(groups)]
            observers += [NumberedObserver(rebuild, to_resend)] if to_resend else []
            observers += [self._collecting_left(left, left_to_resend, since)] if left else []
            counters = self._change_counters(source, summary)
            job = self._prepare(source, summary, [*observers, *counters])
            for counter in counters:
                counter.finish()
            result.blank_lines, result.repairs, result.warnings = source.blank_lines, summary.repairs, summary.warnings
            if groups is not None:
                groups.seal()
        finally:
            result.counts = Counts(summary.read, not_attempted=summary.read)
        full = options.full or self.changes.is_full_run_due(refresh_key(source, key))
        new = header_of(settings, job, result, key, origin=origin, full=full, from_number=from_number)
        retry.set_has_raw(damaged=summary.damaged > 0)
        return SourcePlan(
            job,
            result,
            new,
            retry,
            old,
            before=rows_before,
            rebuilt=tuple(to_resend),
            groups=groups,
            last=last,
            left_to_resend=left_to_resend,
            whole_file_run=whole_file_run,
        )

    def _change_counters(self, source: Source, summary: CheckSummary) -> list[ChangesCounter]:
        """Return what counts the changed rows of *source* where somebody asks for them before sending; else none."""
        wanted = self.settings.guarded is not None or self.options.deadline is not None
        asks = wanted and self.changes.is_recording and self.settings.changed_only and not source.is_retry
        return [self.changes.counting_changes(summary)] if asks else []

    def _prepare(self, source: Source, summary: CheckSummary, observers: Sequence[RowObserver]) -> Job:
        with spinner(lambda: summary.read, self.environment.terminal):
            return prepare(
                source,
                self.settings,
                limit=self.options.limit,
                summary=summary,
                today=self.environment.today(),
                observers=observers,
                on_reason=self.environment.on_reason,
                batches=batch_reader(source, self.settings, self.environment),
            )

    def _collecting_left(self, left: Container[int], left_to_resend: RowsToResend, since: int) -> RowObserver:
        """Return an observer that adds the people whose rows are *left* to *left_to_resend*."""

        def collect_left(record: Record, work: Request | Rejected) -> None:
            if record.number in left:
                left_to_resend.add(work.person)
                # The interrupted command may not have reached its end, where it records who is one person.
                self.changes.take_over_unlinked(work.person, since)

        return NumberedObserver(collect_left, left)

    def join_people(self, source_plans: Sequence[SourcePlan]) -> None:
        """Join the rows of all *source_plans* that are one person's; raises StorageError."""
        same_person = self.same_person
        if same_person is None:
            return
        same_person.unite()
        same_person.keep_indirect()
        self.changes.may_join_people = same_person.has_repeats
        for source_plan in source_plans:
            for person_key in filter(
                None, (same_person.person_key(source_plan.before + number) for number in source_plan.rebuilt)
            ):
                self.rows_to_resend.add((person_key,))

    def link_joined_people(self, source_plans: Sequence[SourcePlan]) -> None:
        """Record who is one person, where a row may name another value than older or newer rows did.

        Where an older row of a person may still come, rows are recorded under any value that they name. A resumed run
        that is older than another must know under which values the other may have sent a person. Raises StorageError,
        ChangedError.
        """
        changes, same_person = self.changes, self.same_person
        if same_person is None or not changes.is_open:
            return
        newer = changes.store().newer
        if same_person.has_repeats and newer.watches_somebody:
            joined = self._joined(source_plans, lambda person: newer.is_watched((person,)))
            self._watch_joined(joined, [person for person in joined if not newer.is_watched((person,))], source_plans)
        resumed = [one for one in source_plans if one.resumes]
        overtaken = [one for one in resumed if self.newest_other_run(one.run_header) > one.run_header.from_order]
        if overtaken:
            for person, key in self._joined(overtaken, newer.has_records_of).items():
                newer.link((person,), key)
        changes.commit()

    def link_people_to_resend(self, source_plans: Sequence[SourcePlan]) -> None:
        """Record, once all is sent, who is one person with those whose rows are still to be retried.

        A later run may send such a person under another value. Raises StorageError, ChangedError.
        """
        if self.changes.unlinked_people:
            joined = self._joined(source_plans, self.changes.unlinked_people.__contains__)
            self._watch_joined(joined, joined, source_plans)
            self.changes.store().newer.mark_linked(self.changes.unlinked_people)
            self.changes.commit()

    def _watch_joined(self, joined: Mapping[int, int], new: Iterable[int], source_plans: Sequence[SourcePlan]) -> None:
        newer = self.changes.store().newer
        since = max(watch_since(source_plan.run_header, is_retry=True) for source_plan in source_plans)
        for person, key in joined.items():
            newer.link((person,), key)
        newer.watch(new, since=max(since, self.changes.recorded_since))

    def _joined(self, source_plans: Sequence[SourcePlan], matches: Callable[[int], bool]) -> Mapping[int, int]:
        try:
            return joined_people([source_plan.job for source_plan in source_plans], self.changes, matches)
        except InputError as error:
            raise ChangedError(f"A source changed while it was being sent: {error}. Run again.") from None

    def _groups(self) -> PersonGroups:
        return self.stack.enter_context(PersonGroups(SamePerson(self.run_store.state)))

    def _lock(self, source: Source, key: str, result: SourceResult) -> None:
        """Lock *source* by its *key*, and its file under any name by which another run may use it.

        Raises:
            LockedError, StorageError: it can't be locked.
        """
        what = "this input" if source.path is None else result.source
        self.stack.enter_context(self.run_store.lock(key, since=result.started, what=what))
        if source.path is None:
            return
        try:
            key = inode_of(self.settings, source.path)
        except OSError:
            # Reading the file reports what is wrong.
            return
        self.stack.enter_context(self.run_store.lock(key, since=result.started, what=result.source, is_temporary=True))

    def _may_resume(self, old: StoredRun, source: Source) -> bool:
        """Whether the run of *old* read *source* as it is now: in a changed file its rows are other people's."""
        header = old.state.header
        return header is not None and (header.content, header.mapping) == (source.digest(), reading_of(self.settings))

    def decide_resume(self, source_plans: Sequence[SourcePlan]) -> list[SourcePlan]:
        """Return *source_plans* as they are to be sent: resumed, skipped, or started over; each decision is reported.

        Retry files that were added for a source that is skipped are left to the next run, which finds them as well.
        """
        interrupted = interrupted_command([one.command_source(self.options) for one in source_plans])
        decided: list[SourcePlan] = []
        for place, source_plan in enumerate(source_plans):
            if place not in interrupted.finished:
                decided.append(
                    self._resume_or_start_over(source_plan, not_resumable=place in interrupted.not_resumable)
                )
                continue
            while decided and decided[-1].result.source in self.options.added_retry_files:
                decided.pop()
            decided.append(self._finished_before(source_plan))
        return decided

    def _finished_before(self, source_plan: SourcePlan) -> SourcePlan:
        """Return *source_plan* as finished, with the result of the run that finished it."""
        result, last = source_plan.result, source_plan.last
        assert last is not None  # noqa: S101 — it was finished
        restore_result(result, last.state)
        # Rows of later sources must follow those that it left to be retried.
        self.rows_to_resend.add_all(source_plan.left_to_resend)
        if not self.environment.quiet:
            self.environment.say(
                f"{result.source}: finished before its command was stopped (run {result.run_id}): not sent again. "
                "To send everything, use --fresh."
            )
        return replace(source_plan, is_already_finished=True)

    def _resume_or_start_over(self, source_plan: SourcePlan, *, not_resumable: bool) -> SourcePlan:
        """Return *source_plan* as it is to be sent: resumed, or started over, which is reported.

        *not_resumable* is whether it can't be resumed because of a source before it.
        """
        old, result, say = source_plan.old, source_plan.result, self.environment.say
        if source_plan.whole_file_run is not None:
            record_sent(source_plan.job, source_plan.whole_file_run.state, self.changes)
        if old is None or old.state.header is None:
            return source_plan
        # If a source before it is started over, so is this one.
        fresh = source_plan.command_source(self.options).is_started_over or (self.options.full and not_resumable)
        changed = refuse_or_start_over(
            old.state,
            source_plan.header,
            when_changed=self.settings.when_changed,
            fresh=fresh,
            not_resumable=not_resumable,
        )
        if changed is None:
            result.run_id, result.started = old.state.header.run_id, old.state.header.started
            result.number = old.state.header.order
            counts = result.counts = old.state.counts
            settled = counts.read - counts.not_attempted
            if not self.environment.quiet:
                say(f"{result.source}: resuming run {result.run_id}: {settled:,} of {counts.read:,} rows settled.")
            return source_plan
        say(changed)
        source_plan.retry.discard()
        retry = self.stack.enter_context(self._retry_file(source_plan.job.source, None))
        retry.set_has_raw(damaged=source_plan.job.summary.damaged > 0)
        return replace(source_plan, retry=retry)

    def assign_numbers(self, source_plans: Sequence[SourcePlan]) -> list[SourcePlan]:
        """Return *source_plans*; those that start a new run have numbers of their own, greater than all before.

        All are of one command: of the interrupted one, if this one resumes it.

        Raises:
            StorageError, LockedError: no number can be drawn.
        """
        known = self.changes.store().newer.newest_run() if self.changes.is_open else None
        numbers, state = self.run_store.next_numbers(len(source_plans), above=known or 0), self.run_store.state_id
        before = (one.resumed_or_finished.state.header for one in source_plans if one.resumed_or_finished is not None)
        command = next((header.command_id for header in before if header is not None), str(numbers[0]))
        following = [*(one.header.key for one in source_plans[1:]), ""]
        found = [
            replace(one, command=command, number=number)
            if one.resumed_or_finished is not None
            else one.numbered(number, state, command, next_key)
            for one, number, next_key in zip(source_plans, numbers, following, strict=True)
        ]
        for source_plan in found:
            if source_plan.resumed_or_finished is None:
                source_plan.retry.set_run(self.origins(source_plan.header).label)
        return found

    def origins(self, header: RunHeader) -> Origins:
        """Return the origins of the rows of the run that has *header*; raises StorageError, LockedError."""
        return Origins(header, self.run_store.state_id, self.run_store.last_number)

    def refuse_drift(self, source_plans: Sequence[SourcePlan]) -> None:
        """Raise InputError if a source differs too much from its last run; with `--accept`, only report it.

        A resumed run that has sent rows already was accepted when it started.
        """
        options, guarded = (
            self.options,
            [one for one in source_plans if not (one.has_sent_rows or one.is_already_finished)],
        )
        comparisons = [
            compare_with_baseline(
                one.job.source.name, one.header.key, one.job.summary, self.settings, self.run_store.baselines
            )
            for one in ([] if options.full else guarded)
        ]
        if not options.accept:
            refuse_drift(comparisons)
        elif not self.environment.quiet:
            for comparison in comparisons:
                if comparison is not None and comparison.found:
                    self.environment.say(f"{comparison} It is sent all the same (--accept).")

    def is_proven(self, source_plan: SourcePlan, run_state: RunState) -> bool:
        """Whether *run_state*, the run of *source_plan* so far, or a run that belongs to it proves the service.

        Such runs are those of the other sources of its command, and the one that made its retry file. Their proof
        distinguishes a row that a firewall blocks from a wrong token.
        """
        source = source_plan.job.source
        if has_proof(run_state):
            return True
        # What this command itself has sent before is proof anyhow.
        if (
            source_plan.old is not None
            and source_plan.resumes
            and any(map(self._proves, self.run_store.runs_of_same_command(source_plan.old)))
        ):
            return True
        maker = self.run_store.maker_of(source.path) if source.is_retry and source.path is not None else None
        return maker is not None and self._proves(maker)

    def has_older_to_continue(self, header: RunHeader) -> bool:
        """Whether a run that is older than that of *header* may still send rows to the same service."""
        service = service_of(header.base_url, header.service_id)
        return any(
            other.order < header.order
            and service_of(other.base_url, other.service_id) == service
            and (other.limit is None or self.run_store.is_at_work(other))
            for other in self.run_store.unfinished()
        )

    def newest_other_run(self, header: RunHeader) -> int:
        """Return the greatest number of another run that may have sent to the same service as that of *header*."""
        service = service_of(header.base_url, header.service_id)
        known = list(self.run_store.headers())
        others = (other for other in known if other.run_id != header.run_id)
        same = (other.from_order for other in others if service_of(other.base_url, other.service_id) == service)
        # What the deleted runs sent is not known; they are older than all that are left.
        gone = min((other.order for other in known), default=header.order) - 1
        return max(gone, *same, UNKNOWN_RUN)

    def prune(self, source_plans: Sequence[SourcePlan]) -> None:
        """Delete what was recorded for runs that can no longer be resumed; raises StorageError."""
        if not self.changes.is_open:
            return
        services = {service_of(one.base_url, one.service_id) for one in self.run_store.unfinished()}
        header = source_plans[0].header
        if service_of(header.base_url, header.service_id) not in services:
            self.changes.store().newer.forget_unwatched(before=header.order)

    def _proves(self, stored_run: StoredRun) -> bool:
        """Whether *stored_run* sent to the same service, however its URL is spelled, and proves it."""
        header, api = stored_run.state.header, self.settings.api
        if header is None:
            return False
        same = service_of(header.base_url, header.service_id) == service_of(api.base_url, api.service_id)
        return same and has_proof(stored_run.state)

    def _origin(self, source: Source, result: SourceResult, whole_file_run: StoredRun | None) -> tuple[str, int]:
        """Return the ID and number (0: this run) of the run that those rows of *source* are from that name none.

        Rows of a retry file are from the run that made it. If only the first rows of a file are sent, they are from
        *whole_file_run*, its interrupted run.
        """
        if not source.is_retry:
            header = None if whole_file_run is None else whole_file_run.state.header
            return result.run_id, 0 if header is None else header.from_order
        maker = None if source.path is None else self.run_store.maker_of(source.path)
        if maker is None or maker.state.header is None:
            return "", UNKNOWN_RUN
        return maker.state.header.from_run, maker.state.header.from_order

    def _whole_file_run(self, source: Source, key: str) -> StoredRun | None:
        """Return the interrupted run of all of *source*, unchanged since, where only its first rows are to be sent."""
        whole_file_run = None if self.options.limit is None or source.is_retry else self.run_store.interrupted(key)
        return whole_file_run if whole_file_run is not None and self._may_resume(whole_file_run, source) else None

    def _retry_file(self, source: Source, old: StoredRun | None) -> RetryFile:
        resumed = None if old is None else old.state.retry_file
        if resumed is not None:
            path = Path(resumed)
        else:
            is_added = source.name in self.options.added_retry_files
            named = None if is_added else self.options.retry_file
            path = retry_path(source, self.settings, named=named, folder=self.folder, beside=is_added)

        def may_exist() -> bool:
            retries_earlier = self.settings.retry_last_failures or self.run_store.maker_of(path) is not None
            return resumed is None and retries_earlier

        refuse_taken(path, self.options, may_exist=may_exist)
        header = None if old is None else old.state.header
        retry = RetryFile(path, retry_format(source, damaged=header is not None and header.damaged > 0))
        if header is not None:
            retry.set_run(self.origins(header).label)
        return retry


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


def newest_ended_run(run_store: RunStore, settings: Settings) -> int:
    """Return the number of the latest run that has sent to the service, or was deleted, and is not at work.

    Raises:
        StorageError: a journal can't be read.
    """
    service, newest = service_of(settings.api.base_url, settings.api.service_id), UNKNOWN_RUN
    for header in run_store.headers():
        is_of_service = service_of(header.base_url, header.service_id) == service
        # The journal that is resumed may have millions of lines, and is at work.
        if is_of_service and not run_store.is_at_work(header) and _has_sent(run_store.read(header).state):
            return header.order
        newest = header.order - 1
    return newest


def _has_sent(run_state: RunState) -> bool:
    return run_state.outcomes.sent + run_state.outcomes.unchanged + len(run_state.unsure) > 0


def refresh_key(source: Source, key: str) -> str:
    """Return the key of *source* in change detection: the *key* of its runs, or `-` for standard input."""
    return key if source.path is not None else "-"
