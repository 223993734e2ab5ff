"""Make every source of a run ready, before the first request of any of them."""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from uploader.app.accounts import Account
from uploader.app.checking import Job, opened, prepare
from uploader.app.keys import inode_of, key_of, reading_of, service_of
from uploader.app.likeness import compared, refuse_if_unlike
from uploader.app.lives import begun, has_proof, owed_remark, refuse_or_leave
from uploader.app.merging import grouping
from uploader.app.options import Options, World
from uploader.app.places import refuse_taken, retry_path, retry_shape
from uploader.app.recall import Recall
from uploader.app.tying import noting
from uploader.config import Settings
from uploader.followup import FollowUp
from uploader.groups import Groups
from uploader.journal import Begun, Ledger, Shelf, Volume
from uploader.model import Record, Rejected, Request
from uploader.sinks.retry_file import RetryFile
from uploader.source import Source
from uploader.survey import Survey
from uploader.tally import Books
from uploader.ties import Ties


@dataclass(frozen=True, slots=True)
class Sending:
    """One source that is about to be sent: its job, its account, its retry file, and the run that it continues.

    *before* is how many rows the sources before it have, *owed* are its rows that its retry file has already. *groups*
    are its rows that become one request; None where each row becomes one.
    """

    job: Job
    account: Account
    begun: Begun
    retry: RetryFile
    old: Volume | None
    before: int = 0
    owed: Collection[int] = ()
    groups: Groups | None = None

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
            old = None if options.limit is not None else self.shelf.interrupted(key)
            retry = self.stack.enter_context(self._retry_file(source, old))
            owed = old.ledger.owed if old is not None and self._may_go_on(old, source) else {}
            origin = self._origin(source, account)
            before = "" if old is None or old.ledger.begun is None else old.ledger.begun.from_run
            wanted = settings.guarded is not None or options.deadline is not None
            asks = wanted and self.recall.is_kept and settings.changed_only and not source.is_retry

            def rebuild(record: Record, work: Request | Rejected) -> None:
                if record.number in owed:
                    retry.rebuild(record, owed_remark(owed[record.number]))
                    self.followup.owe(work.person)
                    # The crash may have come before the memory heard of it.
                    self.recall.owe(work.person, before)

            hears = [] if ties is None else [noting(ties)]
            groups = self._groups() if settings.coalesce else None
            hears += [] if groups is None else [grouping(groups)]
            hears += [rebuild] if owed else []
            hears += [self.recall.comparing(survey)] if asks else []
            job = prepare(source, settings, limit=options.limit, survey=survey, hears=hears)
            account.blank_lines, account.repairs = source.blank_lines, survey.repairs
            if groups is not None:
                groups.seal()
        finally:
            account.books = Books(survey.read, not_attempted=survey.read)
        full = options.full or self.recall.is_due(refresh_key(source, key))
        new = begun(settings, job, account, key, origin=origin, full=full)
        retry.know(damaged=survey.damaged > 0)
        return Sending(job, account, new, retry, old, rows_before, tuple(owed), groups)

    def tied(self, sendings: Sequence[Sending]) -> None:
        """Join the rows of all *sendings* that are one person's; raises StorageError."""
        ties = self.ties
        if ties is None:
            return
        ties.join()
        ties.keep_loose()
        for sending in sendings:
            for tie in filter(None, (ties.tie(sending.before + number) for number in sending.owed)):
                self.followup.owe((tie,))

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

    def decided(self, sending: Sending) -> Sending:
        """Return *sending* as it will go: on with its old run, or anew, in which case that is told."""
        old, account, say = sending.old, sending.account, self.world.say
        if old is None or old.ledger.begun is None:
            return sending
        # Whoever asks for every row means those too that the interrupted run has passed over.
        fresh = self.options.fresh or (self.options.full and old.ledger.unchanged > 0)
        changed = refuse_or_leave(old.ledger, sending.begun, when_changed=self.settings.when_changed, fresh=fresh)
        if changed is None:
            account.run_id, account.started = old.ledger.begun.run_id, old.ledger.begun.started
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

    def refuse_unlike(self, sendings: Sequence[Sending]) -> None:
        """Raise InputError if a source differs too much from the one before it; with `--accept`, only tell it.

        A run that goes on with rows sent already was accepted when it began.
        """
        options, guarded = self.options, [sending for sending in sendings if not sending.has_begun]
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
        begun = ledger.begun
        # What this command itself has sent before proves it anyhow.
        if begun is not None and sending.goes_on and any(map(self._proves, self.shelf.beside(begun))):
            return True
        maker = self.shelf.maker_of(source.path) if source.is_retry and source.path is not None else None
        return maker is not None and self._proves(maker)

    def _proves(self, volume: Volume) -> bool:
        """Whether the run of *volume* went to the same service, however that is spelled, and was served."""
        begun, api = volume.ledger.begun, self.settings.api
        if begun is None:
            return False
        same = service_of(begun.base_url, begun.service_id) == service_of(api.base_url, api.service_id)
        return same and has_proof(volume.ledger)

    def _origin(self, source: Source, account: Account) -> str:
        """Return the run that the rows of *source* are from: this one, or for a retry file the one that made it."""
        if source.is_retry:
            return "" if source.path is None else self.shelf.origin_of(source.path)
        return account.run_id

    def _retry_file(self, source: Source, old: Volume | None) -> RetryFile:
        if old is not None and old.ledger.retry_file is not None:
            path = Path(old.ledger.retry_file)
        else:
            taken_in = source.name in self.options.taken_in
            named = None if taken_in else self.options.retry_file
            path = retry_path(source, self.settings, named=named, folder=self.folder, taken_in=taken_in)
        refuse_taken(path, self.options)
        damaged = old is not None and old.ledger.begun is not None and old.ledger.begun.damaged > 0
        return RetryFile(path, retry_shape(source, damaged=damaged))


def refresh_key(source: Source, key: str) -> str:
    """Return what the memory knows *source* by, whose runs are known by *key*: standard input is always the same."""
    return key if source.path is not None else "-"
