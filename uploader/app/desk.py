"""Make every source of a run ready, before the first request of any of them."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from uploader.app.accounts import Account
from uploader.app.checking import Job, opened, prepare
from uploader.app.lives import begun, key_of, owed_remark, refuse_or_leave
from uploader.app.options import Options, World
from uploader.app.places import refuse_taken, retry_path, retry_shape
from uploader.config import Settings
from uploader.followup import FollowUp
from uploader.journal import Begun, Shelf, Volume
from uploader.model import Record, Rejected, Request
from uploader.sinks.retry_file import RetryFile
from uploader.source import Source
from uploader.survey import Survey
from uploader.tally import Books


@dataclass(frozen=True, slots=True)
class Sending:
    """One source that is about to be sent: its job, its account, its retry file, and the run that it continues."""

    job: Job
    account: Account
    begun: Begun
    retry: RetryFile
    old: Volume | None

    def volume(self, shelf: Shelf) -> Volume:
        """Return the journal that the source goes on with: that of its interrupted run, or a new one."""
        old = self.old
        if old is not None and old.ledger.begun is not None and old.ledger.begun.run_id == self.account.run_id:
            return old
        if old is not None:
            shelf.leave(old)
        return shelf.begin(self.begun)


@dataclass(frozen=True, slots=True)
class Desk:
    """What is settled for all sources of a run before any is sent.

    *followup* is one for all of them: a row of a later source must follow an unaccepted one of an earlier source too.
    """

    options: Options
    settings: Settings
    world: World
    shelf: Shelf
    folder: Path | None
    stack: ExitStack
    followup: FollowUp

    def checked(self, account: Account) -> Sending:
        """Open and survey the source of *account*; what is found is in its books even if it can't be sent."""
        options, settings, survey = self.options, self.settings, Survey()
        try:
            source = self.stack.enter_context(opened(account.source, settings, self.world))
            key = key_of(settings, source)
            what = "this input" if source.path is None else account.source
            self.stack.enter_context(self.shelf.lock(key, since=account.started, what=what))
            old = None if options.limit is not None else self.shelf.interrupted(key)
            retry = self.stack.enter_context(self._retry_file(source, old))
            owed = {} if old is None else old.ledger.owed

            def rebuild(record: Record, work: Request | Rejected) -> None:
                if record.number in owed:
                    retry.rebuild(record, owed_remark(owed[record.number]))
                    self.followup.owe(work.person)

            job = prepare(source, settings, limit=options.limit, survey=survey, hear=rebuild if owed else None)
            account.blank_lines, account.repairs = source.blank_lines, survey.repairs
        finally:
            account.books = Books(survey.read, not_attempted=survey.read)
        new = begun(settings, job, account, key)
        retry.know(damaged=survey.damaged > 0)
        return Sending(job, account, new, retry, old)

    def decided(self, sending: Sending) -> Sending:
        """Return *sending* as it will go: on with its old run, or anew, in which case that is told."""
        old, account, say = sending.old, sending.account, self.world.say
        if old is None or old.ledger.begun is None:
            return sending
        changed = refuse_or_leave(
            old.ledger, sending.begun, when_changed=self.settings.when_changed, fresh=self.options.fresh
        )
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

    def _retry_file(self, source: Source, old: Volume | None) -> RetryFile:
        if old is not None and old.ledger.retry_file is not None:
            path = Path(old.ledger.retry_file)
        else:
            path = retry_path(source, self.settings, named=self.options.retry_file, folder=self.folder)
        refuse_taken(path, self.options)
        damaged = old is not None and old.ledger.begun is not None and old.ledger.begun.damaged > 0
        return RetryFile(path, retry_shape(source, damaged=damaged))
