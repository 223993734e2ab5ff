"""Make every source of a run ready, before the first request of any of them."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from uploader.changes.change_detection import Recall
from uploader.changes.stale_retries import Origins
from uploader.check.source_summary import Survey
from uploader.coalesce.merge_rows import grouping
from uploader.coalesce.person_groups import Groups
from uploader.coalesce.same_person import Ties
from uploader.coalesce.same_person_stage import noting
from uploader.config import Settings
from uploader.counts import Counts
from uploader.delivery.rows_to_resend import FollowUp
from uploader.model import UNKNOWN_RUN, Record, Rejected, Request
from uploader.outputs.retry_file import RetryFile
from uploader.run.drift_check import compared, refuse_if_unlike
from uploader.run.environment import World
from uploader.run.fingerprints import inode_of, key_of, reading_of, service_of
from uploader.run.finished_sources import Member, unit_of
from uploader.run.options import Options
from uploader.run.output_paths import refuse_taken, retry_path, retry_shape
from uploader.run.preflight import Job, opened, prepare
from uploader.run.results import Account
from uploader.run.resume import begun, has_proof, owed_remark, refuse_or_leave, tell_finished
from uploader.run.watched_people import note_sent
from uploader.source import Source
from uploader.state import Begun, Ledger, Owed, Shelf, Volume


@dataclass(frozen=True, slots=True)
class Sending:
    """One source that is about to be sent: its job, its account, its retry file, and the run that it continues.

    *before* is how many rows the sources before it have, *rebuilt* are its rows that its retry file has already.
    *groups* are its rows that become one request; None where each row becomes one. *last* is its last run, interrupted
    or not, and *owed* are those whom that owes a row. A source is *passed* over if the command that was broken off has
    finished it. *command* is the one that sends it. *twin* is the interrupted run of the same file where only its first
    rows are sent.
    """

    job: Job
    account: Account
    begun: Begun
    retry: RetryFile
    old: Volume | None
    before: int = 0
    rebuilt: Collection[int] = ()
    groups: Groups | None = None
    last: Volume | None = None
    owed: FollowUp = field(default_factory=FollowUp)
    passed: bool = False
    command: str = ""
    twin: Volume | None = None

    @property
    def goes_on(self) -> bool:
        """Whether it goes on with an interrupted run."""
        begun = None if self.old is None else self.old.ledger.begun
        return begun is not None and begun.run_id == self.account.run_id

    @property
    def has_begun(self) -> bool:
        """Whether it goes on with a run that has sent or settled rows already."""
        old = self.old
        if old is None or not self.goes_on:
            return False
        counts = old.ledger.counts
        return old.ledger.traffic.requests > 0 or counts.not_attempted < counts.read

    @property
    def went_before(self) -> Volume | None:
        """The run that it goes on with, or was finished by."""
        return self.last if self.passed or self.goes_on else None

    def member(self, options: Options) -> Member:
        """Return what it is of a command with *options*."""
        last = None if self.last is None else self.last.ledger
        # Whoever asks for every row means those too that the interrupted run has passed over.
        is_left_out = last is not None and (last.is_finished or last.outcomes.unchanged > 0)
        return Member(self.begun, last, is_renewed=options.fresh or (options.full and is_left_out))

    def beginning(self, number: int, state: str, command: str, next_key: str) -> "Sending":
        """Return what begins as the run *number* of the state folder *state*; see `Begun` for the others."""
        self.account.number = number
        begun = replace(self.begun, number=number, state=state, command=command, next_key=next_key)
        return replace(self, begun=begun, command=command)

    def volume(self, shelf: Shelf) -> Volume:
        """Return the journal that the source goes on with: that of its interrupted run, or a new one."""
        old = self.old
        if old is not None and self.goes_on:
            return old
        if old is not None:
            shelf.leave(old)
        return shelf.begin(self.begun)


@dataclass(frozen=True, slots=True)
class Desk:
    """What is settled for all sources of a run before any is sent.

    *followup* is one for all of them: a row of a later source must follow an unaccepted one of an earlier source too.
    So are the *ties*; None where a row has one identity value at most, which all rows of its person share.
    """

    options: Options
    settings: Settings
    world: World
    shelf: Shelf
    folder: Path | None
    stack: ExitStack
    followup: FollowUp
    recall: Recall
    ties: Ties | None

    def checked(self, account: Account) -> Sending:
        """Open and survey the source of *account*; what is found is in its counts even if it can't be sent."""
        options, settings, survey, ties = self.options, self.settings, Survey(), self.ties
        rows_before = 0 if ties is None else ties.rows
        try:
            source = self.stack.enter_context(opened(account.source, settings, self.world))
            key = key_of(settings, source)
            self._lock(source, key, account)
            last = None if options.limit is not None else self.shelf.latest(key)
            old = last if last is not None and last.ledger.is_interrupted else None
            retry = self.stack.enter_context(self._retry_file(source, old))
            owed = old.ledger.owed if old is not None and self._may_go_on(old, source) else {}
            twin = self._twin(source, key)
            origin, from_number = self._origin(source, account, twin)
            wanted = settings.guarded is not None or options.deadline is not None
            asks = wanted and self.recall.is_kept and settings.changed_only and not source.is_retry

            def rebuild(record: Record, work: Request | Rejected) -> None:
                if record.number in owed:
                    retry.rebuild(record, owed_remark(owed[record.number]))
                    self.followup.owe(work.person)
                    # The crash may have come before the memory heard of it.
                    self.recall.watch(work.person)

            left = _left_by_finished(last) if len(options.sources) > 1 else {}
            owing = FollowUp()

            def note_left(record: Record, work: Request | Rejected) -> None:
                if record.number in left:
                    owing.owe(work.person)

            hears = [] if ties is None else [noting(ties)]
            groups = self._groups() if settings.coalesce else None
            hears += [] if groups is None else [grouping(groups)]
            hears += [rebuild] if owed else []
            hears += [note_left] if left else []
            hears += [self.recall.comparing(survey)] if asks else []
            job = prepare(source, settings, limit=options.limit, survey=survey, hears=hears)
            account.blank_lines, account.repairs = source.blank_lines, survey.repairs
            if groups is not None:
                groups.seal()
        finally:
            account.counts = Counts(survey.read, not_attempted=survey.read)
        full = options.full or self.recall.is_due(refresh_key(source, key))
        new = begun(settings, job, account, key, origin=origin, full=full, from_number=from_number)
        retry.know(damaged=survey.damaged > 0)
        return Sending(
            job,
            account,
            new,
            retry,
            old,
            before=rows_before,
            rebuilt=tuple(owed),
            groups=groups,
            last=last,
            owed=owing,
            twin=twin,
        )

    def tied(self, sendings: Sequence[Sending]) -> None:
        """Join the rows of all *sendings* that are one person's; raises StorageError."""
        ties = self.ties
        if ties is None:
            return
        ties.join()
        ties.keep_loose()
        for sending in sendings:
            for tie in filter(None, (ties.tie(sending.before + number) for number in sending.rebuilt)):
                self.followup.owe((tie,))

    def _groups(self) -> Groups:
        return self.stack.enter_context(Groups(Ties(self.shelf.state)))

    def _lock(self, source: Source, key: str, account: Account) -> None:
        """Lock *source*, known by *key*, and its file under whatever name another run may have it.

        Raises:
            LockedError, StorageError: it can't be locked.
        """
        what = "this input" if source.path is None else account.source
        self.stack.enter_context(self.shelf.lock(key, since=account.started, what=what))
        if source.path is None:
            return
        try:
            key = inode_of(self.settings, source.path)
        except OSError:
            # Reading it tells what is wrong.
            return
        self.stack.enter_context(self.shelf.lock(key, since=account.started, what=account.source, is_passing=True))

    def _may_go_on(self, old: Volume, source: Source) -> bool:
        """Whether the run of *old* read *source* as it is now: in another file its rows are other people's."""
        begun = old.ledger.begun
        return begun is not None and (begun.content, begun.mapping) == (source.digest(), reading_of(self.settings))

    def decided(self, sendings: Sequence[Sending]) -> list[Sending]:
        """Return *sendings* as they will go: on with their old runs, passed over, or anew, each of which is told.

        What was taken in for a source that is passed over is left to the next run, which knows of it as well.
        """
        unit = unit_of([one.member(self.options) for one in sendings])
        decided: list[Sending] = []
        for place, sending in enumerate(sendings):
            if place not in unit.finished:
                decided.append(self._decided(sending, spoiled=place in unit.spoiled))
                continue
            while decided and decided[-1].account.source in self.options.taken_in:
                decided.pop()
            decided.append(self._passed_over(sending))
        return decided

    def _passed_over(self, sending: Sending) -> Sending:
        """Return *sending* as finished; its account is that of the run that did it."""
        account, last = sending.account, sending.last
        assert last is not None  # noqa: S101 — it was finished
        tell_finished(account, last.ledger)
        # Rows of later sources must follow those that it left.
        self.followup.owe_all(sending.owed)
        if not self.world.quiet:
            self.world.say(
                f"{account.source}: finished before its command was broken off (run {account.run_id}): not sent again. "
                "To send everything, use --fresh."
            )
        return replace(sending, passed=True)

    def _decided(self, sending: Sending, *, spoiled: bool) -> Sending:
        """Return *sending* as it will go: on with its old run, or anew, in which case that is told.

        *spoiled* is whether it can't go on because of a source before it.
        """
        old, account, say = sending.old, sending.account, self.world.say
        if sending.twin is not None:
            note_sent(sending.job, sending.twin.ledger, self.recall)
        if old is None or old.ledger.begun is None:
            return sending
        # A source before it that is asked for anew makes it so as well.
        fresh = sending.member(self.options).is_renewed or (self.options.full and spoiled)
        changed = refuse_or_leave(
            old.ledger, sending.begun, when_changed=self.settings.when_changed, fresh=fresh, spoiled=spoiled
        )
        if changed is None:
            account.run_id, account.started = old.ledger.begun.run_id, old.ledger.begun.started
            account.number = old.ledger.begun.order
            counts = account.counts = old.ledger.counts
            settled = counts.read - counts.not_attempted
            if not self.world.quiet:
                say(f"{account.source}: continuing run {account.run_id}: {settled:,} of {counts.read:,} rows settled.")
            return sending
        say(changed)
        sending.retry.discard()
        retry = self.stack.enter_context(self._retry_file(sending.job.source, None))
        retry.know(damaged=sending.job.survey.damaged > 0)
        return replace(sending, retry=retry)

    def numbered(self, sendings: Sequence[Sending]) -> list[Sending]:
        """Return *sendings*, those that begin with a run number of their own, greater than all before.

        All are of one command: of the one that was broken off, if this one goes on with it.

        Raises:
            StorageError, LockedError: there is no number to be had.
        """
        numbers, state = self.shelf.next_numbers(len(sendings)), self.shelf.state_id
        before = (one.went_before.ledger.begun for one in sendings if one.went_before is not None)
        command = next((begun.command_id for begun in before if begun is not None), str(numbers[0]))
        following = [*(one.begun.key for one in sendings[1:]), ""]
        found = [
            replace(one, command=command)
            if one.went_before is not None
            else one.beginning(number, state, command, next_key)
            for one, number, next_key in zip(sendings, numbers, following, strict=True)
        ]
        for sending in found:
            if sending.went_before is None:
                sending.retry.belong(Origins(sending.begun, state).label)
        return found

    def refuse_unlike(self, sendings: Sequence[Sending]) -> None:
        """Raise InputError if a source differs too much from the one before it; with `--accept`, only tell it.

        A run that goes on with rows sent already was accepted when it began.
        """
        options, guarded = self.options, [one for one in sendings if not (one.has_begun or one.passed)]
        comparisons = [
            compared(one.job.source.name, one.begun.key, one.job.survey, self.settings, self.shelf.totals)
            for one in ([] if options.full else guarded)
        ]
        if not options.accept:
            refuse_if_unlike(comparisons)
        elif not self.world.quiet:
            for comparison in comparisons:
                if comparison is not None and comparison.found:
                    self.world.say(f"{comparison} It is sent all the same (--accept).")

    def is_proven(self, sending: Sending, ledger: Ledger) -> bool:
        """Whether the run of *sending* so far, its *ledger*, or one that belongs to it proves the service.

        Such are the other sources of its command, and that which made its retry file: a row that a firewall blocks was
        told from a wrong token by them.
        """
        source = sending.job.source
        if has_proof(ledger):
            return True
        # What this command itself has sent before proves it anyhow.
        if sending.old is not None and sending.goes_on and any(map(self._proves, self.shelf.beside(sending.old))):
            return True
        maker = self.shelf.maker_of(source.path) if source.is_retry and source.path is not None else None
        return maker is not None and self._proves(maker)

    def has_older_to_continue(self, begun: Begun) -> bool:
        """Whether a run that is older than that of *begun* may still send rows to the same service."""
        service = service_of(begun.base_url, begun.service_id)
        return any(
            other.limit is None
            and other.order < begun.order
            and service_of(other.base_url, other.service_id) == service
            for other in self.shelf.unfinished()
        )

    def newest_run_beside(self, begun: Begun) -> int:
        """Return the greatest number of another run that sends to the same service as that of *begun*."""
        service = service_of(begun.base_url, begun.service_id)
        others = (other for other in self.shelf.begun() if other.run_id != begun.run_id)
        same = (other.from_order for other in others if service_of(other.base_url, other.service_id) == service)
        return max(same, default=UNKNOWN_RUN)

    def prune(self, sendings: Sequence[Sending]) -> None:
        """Forget what was noted for runs that are not to be continued any more; raises StorageError."""
        if not self.recall.is_open:
            return
        services = {service_of(one.base_url, one.service_id) for one in self.shelf.unfinished()}
        begun = sendings[0].begun
        if service_of(begun.base_url, begun.service_id) not in services:
            self.recall.memory().later.forget_unwatched(before=begun.order)

    def _proves(self, volume: Volume) -> bool:
        """Whether the run of *volume* went to the same service, however that is spelled, and was served."""
        begun, api = volume.ledger.begun, self.settings.api
        if begun is None:
            return False
        same = service_of(begun.base_url, begun.service_id) == service_of(api.base_url, api.service_id)
        return same and has_proof(volume.ledger)

    def _origin(self, source: Source, account: Account, twin: Volume | None) -> tuple[str, int]:
        """Return the run that rows of *source* are from that do not say it themselves, and its number (0: this one).

        Those of a retry file are from the run that made it, those of its first rows alone from the interrupted run of
        the same file, *twin*.
        """
        if not source.is_retry:
            begun = None if twin is None else twin.ledger.begun
            return account.run_id, 0 if begun is None else begun.from_order
        maker = None if source.path is None else self.shelf.maker_of(source.path)
        if maker is None or maker.ledger.begun is None:
            return "", UNKNOWN_RUN
        return maker.ledger.begun.from_run, maker.ledger.begun.from_order

    def _twin(self, source: Source, key: str) -> Volume | None:
        """Return the interrupted run of *source* as it is now, where only its first rows are to be sent."""
        twin = None if self.options.limit is None or source.is_retry else self.shelf.interrupted(key)
        return twin if twin is not None and self._may_go_on(twin, source) else None

    def _retry_file(self, source: Source, old: Volume | None) -> RetryFile:
        if old is not None and old.ledger.retry_file is not None:
            path = Path(old.ledger.retry_file)
        else:
            taken_in = source.name in self.options.taken_in
            named = None if taken_in else self.options.retry_file
            path = retry_path(source, self.settings, named=named, folder=self.folder, beside=taken_in)
        refuse_taken(path, self.options)
        begun = None if old is None else old.ledger.begun
        retry = RetryFile(path, retry_shape(source, damaged=begun is not None and begun.damaged > 0))
        if begun is not None:
            retry.belong(Origins(begun, self.shelf.state_id).label)
        return retry


def _left_by_finished(last: Volume | None) -> Mapping[int, Owed]:
    """Return the rows that the retry file of the run *last* holds, if it is finished."""
    return last.ledger.owed if last is not None and last.ledger.is_finished else {}


def refresh_key(source: Source, key: str) -> str:
    """Return what the memory knows *source* by, whose runs are known by *key*: standard input is always the same."""
    return key if source.path is not None else "-"
