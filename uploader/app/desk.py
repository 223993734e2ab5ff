"""Make every source of a run ready, before the first request of any of them."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from uploader.app.accounts import Account
from uploader.app.checking import Job, opened, prepare
from uploader.app.keys import inode_of, key_of, reading_of, service_of
from uploader.app.late import Origins, note_sent, watch_since
from uploader.app.likeness import compared, refuse_if_unlike
from uploader.app.lives import begun, has_proof, owed_remark, refuse_or_leave, tell_finished
from uploader.app.merging import grouping
from uploader.app.options import Options, World
from uploader.app.places import refuse_taken, retry_path, retry_shape
from uploader.app.recall import Recall
from uploader.app.tying import joined, noting
from uploader.app.units import Member, unit_of
from uploader.config import Settings
from uploader.errors import ChangedError, InputError
from uploader.followup import FollowUp
from uploader.groups import Groups
from uploader.journal import Begun, Ledger, Owed, Shelf, Volume
from uploader.model import UNKNOWN_RUN, Record, Rejected, Request
from uploader.sinks.retry_file import RetryFile
from uploader.source import Source
from uploader.survey import Survey
from uploader.tally import Books
from uploader.ties import Ties


@dataclass(frozen=True, slots=True)
class Sending:
    """One source that is about to be sent: its job, its account, its retry file, and the run that it continues.

    *before* is how many rows the sources before it have, *rebuilt* are its rows that its retry file has already.
    *groups* are its rows that become one request; None where each row becomes one. *last* is its last run, interrupted
    or not, and *owed* are those whom that owes a row. A source is *passed* over if the command that was broken off has
    finished it. *command* is the one that sends it. *twin* is the interrupted run of the same file where only its first
    rows are sent. *number* is the one that is drawn for this command, also where it goes on with a run of another.
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
    number: int = 0

    @property
    def may_be_late(self) -> bool:
        """Whether its rows may be older than what other runs have sent."""
        return self.job.source.is_retry or self.goes_on or self.twin is not None

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
        books = old.ledger.books
        return old.ledger.requests > 0 or books.not_attempted < books.read

    @property
    def begun_as(self) -> Begun:
        """How the run began that it goes on with, or begins."""
        before = None if self.went_before is None else self.went_before.ledger.begun
        return before or self.begun

    @property
    def went_before(self) -> Volume | None:
        """The run that it goes on with, or was finished by."""
        return self.last if self.passed or self.goes_on else None

    def member(self, options: Options) -> Member:
        """Return what it is of a command with *options*."""
        last = None if self.last is None else self.last.ledger
        # Whoever asks for every row means those too that the interrupted run has passed over.
        is_left_out = last is not None and (last.is_finished or last.unchanged > 0)
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
        """Open and survey the source of *account*; what is found is in its books even if it can't be sent."""
        options, settings, survey, ties = self.options, self.settings, Survey(), self.ties
        rows_before = 0 if ties is None else ties.rows
        try:
            source = self.stack.enter_context(opened(account.source, settings, self.world))
            key = key_of(settings, source)
            what = "this input" if source.path is None else account.source
            self.stack.enter_context(self.shelf.lock(key, since=account.started, what=what))
            self._lock_any_name(source, account)
            last = None if options.limit is not None else self.shelf.latest(key)
            old = last if last is not None and last.ledger.is_interrupted else None
            retry = self.stack.enter_context(self._retry_file(source, old))
            owed = old.ledger.owed if old is not None and self._may_go_on(old, source) else {}
            went = None if last is None else last.ledger.begun
            since = UNKNOWN_RUN if went is None else watch_since(went, is_retry=source.is_retry)
            twin = self._twin(source, key)
            origin, from_number = self._origin(source, account, twin)
            wanted = settings.guarded is not None or options.deadline is not None
            asks = wanted and self.recall.is_kept and settings.changed_only and not source.is_retry

            def rebuild(record: Record, work: Request | Rejected) -> None:
                if record.number in owed:
                    retry.rebuild(record, owed_remark(owed[record.number]))
                    self.followup.owe(work.person)
                    # The crash may have come before the memory heard of it.
                    self.recall.watch(work.person, since)

            left = _left_by_finished(last) if len(options.sources) > 1 else {}
            owing = FollowUp()

            def note_left(record: Record, work: Request | Rejected) -> None:
                if record.number in left:
                    owing.owe(work.person)
                    # The command that was broken off may have come to its end no more, where it notes who is tied.
                    self.recall.take_up(work.person, since)

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
            account.books = Books(survey.read, not_attempted=survey.read)
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
        self.recall.has_ties = ties.has_repeats
        for sending in sendings:
            for tie in filter(None, (ties.tie(sending.before + number) for number in sending.rebuilt)):
                self.followup.owe((tie,))

    def join_people(self, sendings: Sequence[Sending]) -> None:
        """Note who is one person, where a row may name another value than older or newer rows did.

        Rows of people of whom an older row may come are noted under whatever value they name. What goes on with a run
        that is older than another must know under which values that may have sent a person. Raises StorageError,
        ChangedError.
        """
        recall, ties = self.recall, self.ties
        if ties is None or not recall.is_open:
            return
        later = recall.memory().later
        if ties.has_repeats and later.watches_somebody:
            joined = self._joined(sendings, lambda person: later.is_watched((person,)))
            self._watch_joined(joined, [person for person in joined if not later.is_watched((person,))], sendings)
        overtaken = [
            one for one in sendings if one.goes_on and self.newest_run_beside(one.begun_as) > one.begun_as.from_order
        ]
        if overtaken:
            for person, tie in self._joined(overtaken, later.has_notes_of).items():
                later.tie((person,), tie)
        recall.commit()

    def fasten(self, sendings: Sequence[Sending]) -> None:
        """Note who is one person with those to whom the command owes a row, now that all is sent.

        A later run may send such a person under another value. Raises StorageError, ChangedError.
        """
        if self.recall.loose:
            joined = self._joined(sendings, self.recall.loose.__contains__)
            self._watch_joined(joined, joined, sendings)
            self.recall.memory().later.fasten(self.recall.loose)
            self.recall.commit()

    def _watch_joined(self, joined: Mapping[int, int], new: Iterable[int], sendings: Sequence[Sending]) -> None:
        later = self.recall.memory().later
        since = max(watch_since(sending.begun_as, is_retry=True) for sending in sendings)
        for person, tie in joined.items():
            later.tie((person,), tie)
        later.watch(new, since=max(since, self.recall.noted_since))

    def _joined(self, sendings: Sequence[Sending], matches: Callable[[int], bool]) -> Mapping[int, int]:
        try:
            return joined([sending.job for sending in sendings], self.recall, matches)
        except InputError as error:
            raise ChangedError(f"A source changed while it was being sent: {error}. Run again.") from None

    def _groups(self) -> Groups:
        return self.stack.enter_context(Groups(Ties(self.shelf.state)))

    def _lock_any_name(self, source: Source, account: Account) -> None:
        """Lock the file of *source* under whatever name another run may have it; raises LockedError, StorageError."""
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
            books = account.books = old.ledger.books
            settled = books.read - books.not_attempted
            if not self.world.quiet:
                say(f"{account.source}: continuing run {account.run_id}: {settled:,} of {books.read:,} rows settled.")
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
        known = self.recall.memory().later.newest_run() if self.recall.is_open else None
        numbers, state = self.shelf.next_numbers(len(sendings), above=known or 0), self.shelf.state_id
        before = (one.went_before.ledger.begun for one in sendings if one.went_before is not None)
        command = next((begun.command_id for begun in before if begun is not None), str(numbers[0]))
        following = [*(one.begun.key for one in sendings[1:]), ""]
        found = [
            replace(one, command=command, number=number)
            if one.went_before is not None
            else one.beginning(number, state, command, next_key)
            for one, number, next_key in zip(sendings, numbers, following, strict=True)
        ]
        for sending in found:
            if sending.went_before is None:
                sending.retry.belong(self.origins(sending.begun).label)
        return found

    def origins(self, begun: Begun) -> Origins:
        """Return what tells the origins of the rows of the run that has *begun*; raises StorageError, LockedError."""
        return Origins(begun, self.shelf.state_id, self.shelf.last_number)

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
            other.order < begun.order
            and service_of(other.base_url, other.service_id) == service
            and (other.limit is None or self.shelf.is_at_work(other))
            for other in self.shelf.unfinished()
        )

    def newest_run_beside(self, begun: Begun) -> int:
        """Return the greatest number of another run that may have sent to the same service as that of *begun*."""
        service = service_of(begun.base_url, begun.service_id)
        known = list(self.shelf.begun())
        others = (other for other in known if other.run_id != begun.run_id)
        same = (other.from_order for other in others if service_of(other.base_url, other.service_id) == service)
        # Of the runs that were thrown away, the older ones before, nobody knows what they sent.
        gone = min((other.order for other in known), default=begun.order) - 1
        return max(gone, *same, UNKNOWN_RUN)

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
            retry.belong(self.origins(begun).label)
        return retry


def _left_by_finished(last: Volume | None) -> Mapping[int, Owed]:
    """Return the rows that the retry file of the run *last* holds, if it is finished."""
    return last.ledger.owed if last is not None and last.ledger.is_finished else {}


def newest_gone(shelf: Shelf, settings: Settings) -> int:
    """Return the number of the latest run that has sent to the service, or has been thrown away, and is not at work.

    Raises:
        StorageError: a journal can't be read.
    """
    service, newest = service_of(settings.api.base_url, settings.api.service_id), UNKNOWN_RUN
    for volume in shelf.volumes():
        begun = volume.ledger.begun
        if begun is None:
            continue
        has_sent = volume.ledger.sent + volume.ledger.unchanged + len(volume.ledger.unsure) > 0
        if has_sent and service_of(begun.base_url, begun.service_id) == service and not shelf.is_at_work(begun):
            return begun.order
        newest = begun.order - 1
    return newest


def refresh_key(source: Source, key: str) -> str:
    """Return what the memory knows *source* by, whose runs are known by *key*: standard input is always the same."""
    return key if source.path is not None else "-"
