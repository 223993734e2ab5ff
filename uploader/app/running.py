"""Send what the check found sendable: the one place where all parts of a run meet."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import uvloop

from uploader.app.accounts import Account, Accounts, new_accounts
from uploader.app.ahead import a_few_at_once
from uploader.app.checking import Job, pace_of, refuse_double_use, refuse_if_too_bad, settings_of
from uploader.app.desk import Desk, Sending, newest_gone, refresh_key
from uploader.app.keys import mapping_of, service_of
from uploader.app.late import Late, watch_since
from uploader.app.leftovers import with_leftovers
from uploader.app.likeness import to_keep
from uploader.app.lives import Endings, Life
from uploader.app.merging import Merging
from uploader.app.options import Options, World
from uploader.app.recall import Recall, Sift, library_of
from uploader.app.rehearsal import sandbox_for, state_in, throwaway_folder
from uploader.app.route import Route, route_of
from uploader.app.sockets import refuse_too_few
from uploader.app.speaking import between_steps, dropping
from uploader.app.tying import tied
from uploader.app.wire import Wire, wired
from uploader.bookmark import Bookmark
from uploader.canary import Canary
from uploader.config import Settings
from uploader.errors import ChangedError, InputError, StorageError, UploaderError
from uploader.followup import FollowUp
from uploader.halt import Halt
from uploader.journal import Shelf
from uploader.mapper import Now
from uploader.model import UNKNOWN_RUN, Passed, Record, Settled, Work
from uploader.pipeline import Pipeline
from uploader.sandbox import Report, serve
from uploader.sinks.progress import Bar, Standing, plain_line
from uploader.tally import Books
from uploader.ties import Ties
from uploader.waiting import WaitingRoom

_BAR_SECONDS: Final = 0.5
_LINE_SECONDS: Final = 60.0
_SYNC_SECONDS: Final = 0.5


@dataclass(slots=True)
class Result:
    """What a run has to tell: the account of each source, and what the sandbox saw of a rehearsal."""

    accounts: list[Account]
    sandbox: Report | None = None
    exit_status: int = 0


def run(options: Options, world: World, result: Result) -> None:
    """Check every source, then send them in their order; *result* holds what is known, also when this raises.

    Raises:
        UploaderError: the run's trouble; its exit status is the run's.
    """
    world = dropping(world)
    refuse_double_use(options)
    settings = settings_of(options, world, credentials=not options.sandbox)
    route = Route() if options.sandbox else route_of(settings, world.environ)
    if world.on_route is not None and not options.sandbox:
        world.on_route(route)
    with ExitStack() as stack:
        folder = stack.enter_context(throwaway_folder()) if options.sandbox else None
        shelf = Shelf(settings.state_dir if folder is None else state_in(folder))
        if settings.retry_last_failures and options.limit is None:
            options = with_leftovers(options, settings, shelf)
        result.accounts.extend(new_accounts(options))
        recall = Recall(
            library_of(shelf.state, world.raise_if_stopped),
            service_of(settings.api.base_url, settings.api.service_id),
            settings,
            mapping=mapping_of(settings),
            newest_gone=lambda: newest_gone(shelf, settings),
        )
        stack.enter_context(recall)
        endings = stack.enter_context(Endings(shelf, journal_days=settings.journal_days))
        with Accounts(result.accounts, summary=options.summary, clock=time.monotonic) as accounts:
            # Rows that name a person by one field only are joined by nothing but that.
            ties = stack.enter_context(Ties(shelf.state)) if len(settings.rules().identity) > 1 else None
            recall.has_ties = ties is not None
            desk = Desk(options, settings, world, shelf, folder, stack, FollowUp(), recall, ties)
            sendings = [desk.checked(account) for account in result.accounts]
            for sending in sendings:
                if world.on_checked is not None:
                    world.on_checked(sending.job.source.name, sending.job.survey)
                refuse_if_too_bad(sending.job, settings)
            desk.tied(sendings)
            sendings = desk.decided(sendings)
            result.accounts[:] = [sending.account for sending in sendings]
            desk.refuse_unlike(sendings)
            if options.deadline is not None:
                options.deadline.refuse_if_over()
                if not world.quiet:
                    world.say(options.deadline.forecast(sum(map(_to_send, sendings)), pace_of(settings)))
            if any(sending.job.survey.read for sending in sendings):
                sendings = desk.numbered(sendings)
                desk.prune(sendings)
                desk.join_people(sendings)
                refuse_too_few(sandbox=options.sandbox)
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(_send_all(sendings, desk, route, endings, result))
                desk.fasten(sendings)
            else:
                for account in result.accounts:
                    account.finish()
        result.exit_status = accounts.exit_status


def _to_send(sending: Sending) -> int:
    """Return how many rows of *sending* are still to be sent, at most."""
    survey = sending.job.survey
    unchanged = 0 if survey.changed is None or sending.begun.full else survey.known - survey.changed
    return min(survey.sendable - unchanged, sending.account.books.not_attempted)


async def _send_all(sendings: list[Sending], desk: Desk, route: Route, endings: Endings, result: Result) -> None:
    settings, halt, desk = desk.settings, Halt(), replace(desk, world=between_steps(desk.world))
    if desk.world.on_halt is not None:
        desk.world.on_halt(halt)
    async with AsyncExitStack() as stack:
        base_url, box = settings.api.base_url, None
        if desk.options.sandbox:
            box = stack.enter_context(sandbox_for(settings, typed=any(s.job.source.format != "csv" for s in sendings)))
            base_url = await stack.enter_async_context(serve(box))
        wiring = wired(settings, base_url=base_url, route=route, shelf=desk.shelf, halt=halt, world=desk.world)
        wire = await stack.enter_async_context(wiring)
        deadline = desk.options.deadline
        try:
            async with _beside(*([] if deadline is None else [deadline.keep(halt)])):
                for sending in sendings:
                    if not sending.passed:
                        await _send(sending, wire, desk, endings)
        finally:
            result.sandbox = None if box is None else box.report()


async def _send(sending: Sending, wire: Wire, desk: Desk, endings: Endings) -> None:
    job, account, ties, began = sending.job, sending.account, desk.ties, time.monotonic()
    if job.is_swapped():
        raise ChangedError(f"{job.source.name} changed after it was checked; nothing of it was sent. Run again.")
    volume = sending.volume(desk.shelf)
    begun = volume.ledger.begun or sending.begun
    since = watch_since(begun, is_retry=job.source.is_retry)
    late = Late(
        desk.recall,
        begun,
        desk.origins(begun),
        newest_run=desk.newest_run_beside(begun) if sending.may_be_late else UNKNOWN_RUN,
        has_older=job.source.is_retry or sending.twin is not None,
        notes_all=desk.has_older_to_continue(begun),
        accept=desk.options.accept,
        since=since,
    )
    sift = Sift(
        desk.recall,
        skips=desk.settings.changed_only and not (begun.full or sending.begun.full) and not job.source.is_retry,
        owes=desk.followup.owes,
        since=since,
        note=late.note_unchanged,
        listens=late.listens,
    )
    with (
        Life(volume, sending.retry, desk.followup, late, sift, command=sending.command, number=sending.number) as life,
        contextlib.ExitStack() as stack,
    ):
        account.traffic = life.traffic
        reading, records = job.records()
        stack.enter_context(reading)
        works = _works(job, records, life.settled)
        if ties is not None and not ties.is_empty:
            works = tied(works, ties, sending.before)
        works = late.trimmed(a_few_at_once(works, time.monotonic))
        if sending.groups is not None:
            merging = Merging(
                sending.groups,
                stack.enter_context(WaitingRoom(desk.shelf.state)),
                merged=job.plan.merged,
                owes=desk.followup.owes,
                taken_by=lambda row: volume.ledger.superseded.get(row, row),
                tied_rows=lambda tie: 0 if ties is None else ties.rows_of(tie),
            )
            works = merging.merge(works)
        works = sift.sifted(works)
        wire.streak.begin(account.source if len(desk.options.sources) > 1 else "")
        if desk.is_proven(sending, volume.ledger):
            wire.streak.prove()
        doubt = asyncio.Event()
        pipeline = Pipeline(
            works,
            deliver=wire.delivery(life, late, on_suspicion=doubt.set).deliver,
            settle=life.settle,
            halt=wire.halt,
            canary=Canary(_birds(job, life, wire.settings)),
            doubt=doubt,
            streak=wire.streak,
            owes=desk.followup.owes,
            settled=len(life.settled),
        )
        try:
            async with _beside(_watch(sending, life, wire, desk.world), _sync(life, wire.halt)):
                await pipeline.carry(wire.pace.concurrency)
            life.flush()
            life.sync()
            # What was read last is compared as it was opened, and may have been changed or replaced since.
            if job.is_swapped() or (job.fingerprint is not None and reading.fingerprint != job.fingerprint):
                raise _changed(job)
        finally:
            account.sending_seconds = time.monotonic() - began
            account.seconds = volume.ledger.seconds + account.sending_seconds
            _close_books(sending, life, pipeline, endings, reason=wire.halt.reason)
    account.finish()
    if job.limit is None and not job.source.is_retry:
        desk.recall.note_refreshed(refresh_key(job.source, begun.key), began=_seconds(begun.started), whole=begun.full)


def _seconds(started: str) -> float:
    return datetime.fromisoformat(started).timestamp()


def _birds(job: Job, life: Life, settings: Settings) -> int:
    """Return how many of the first rows tell a wrong mapping: none where the service accepted some already."""
    return 0 if job.source.is_retry or life.tally.sent else settings.limits.canary


def _close_books(
    sending: Sending, life: Life, pipeline: Pipeline, endings: Endings, *, reason: BaseException | None
) -> None:
    """Take the account of *sending* from the totals; *reason* is what ended the run early."""
    account, tally = sending.account, life.tally
    read = max(sending.job.survey.read, pipeline.taken)
    account.books = Books(
        read,
        sent=tally.sent,
        unchanged=tally.unchanged,
        superseded=tally.superseded,
        rejected=tally.rejected,
        failed=tally.failed,
        not_attempted=pipeline.left_of(read),
    )
    account.problems, account.retry_file = tally.problems, sending.retry.path
    account.maybe_sent_twice = len(tally.unsure)
    # What a disk did not take, or a bug left in between, can't agree.
    in_order = reason is None or (isinstance(reason, UploaderError) and not isinstance(reason, StorageError))
    with contextlib.nullcontext() if in_order else contextlib.suppress(StorageError):
        volume = life.closed(must_agree=in_order)
        account.limited_seconds = volume.ledger.held_seconds
        endings.add(account, volume, to_keep(sending.job.survey))


@contextlib.asynccontextmanager
async def _beside(*tasks: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Let *tasks* go on while the context lasts."""
    running = [asyncio.create_task(task) for task in tasks]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _sync(life: Life, halt: Halt) -> None:
    """Make what is settled last, within a second; a sync that fails ends the run, and is not tried again."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        try:
            # From now on it has its thread, whatever becomes of the machine.
            await asyncio.get_running_loop().run_in_executor(thread, life.is_dirty.__bool__)
        except RuntimeError:
            halt.give(StorageError("This machine has no thread left to sync the journal. Run again to continue."))
            return
        await _sync_by(thread, life, halt)


async def _sync_by(thread: ThreadPoolExecutor, life: Life, halt: Halt) -> None:
    loop = asyncio.get_running_loop()
    syncing: asyncio.Future[None] = loop.create_future()
    syncing.set_result(None)
    while True:
        await asyncio.sleep(_SYNC_SECONDS)
        if life.is_dirty:
            try:
                life.flush()
                syncing = loop.run_in_executor(thread, life.sync)
                await asyncio.shield(syncing)
            except StorageError as error:
                halt.give(error)
                return
            except asyncio.CancelledError:
                # The thread goes on: nobody may close the files under it.
                await asyncio.wait([syncing])
                raise


def _works(job: Job, records: Iterator[Record], settled: Bookmark) -> Iterator[Work | Passed]:
    """Yield what is to be sent, each request made when it is taken; what is *settled* needs nothing."""
    carry, now = job.plan.carry, Now(time.time_ns)
    some_settled = len(settled) > 0
    try:
        for record in records:
            if some_settled and record.number in settled:
                yield Settled(record.number)
                continue
            yield carry(record, now())
    except ChangedError:
        raise _changed(job) from None
    except InputError as error:
        # The check has read it to its end, so it is not the file that was checked.
        raise ChangedError(f"{job.source.name} changed while it was being sent: {error}") from None


def _changed(job: Job) -> ChangedError:
    return ChangedError(f"{job.source.name} changed while it was being sent. Run again with the file as it is now.")


async def _watch(sending: Sending, life: Life, wire: Wire, world: World) -> None:
    """Show how far the run is, until cancelled: a bar on a terminal, a line a minute if wanted."""
    name, rate, tally = sending.job.source.name, wire.settings.rate, life.tally

    def standing() -> Standing:
        return Standing(
            total=sending.job.survey.read,
            settled=tally.settled,
            requests=life.traffic.requests,
            rejected=tally.rejected,
            failed=tally.failed,
            held=wire.limiter.held_seconds,
        )

    if world.terminal is not None:
        limit = rate.requests / rate.per
        with Bar(name, total=standing().total, limit=limit, stream=world.terminal, clock=time.monotonic) as bar:
            while True:
                bar.show(standing())
                await asyncio.sleep(_BAR_SECONDS)
    while world.lines:
        await asyncio.sleep(_LINE_SECONDS)
        world.say(plain_line(name, standing(), rows_per_second=wire.limiter.pace.rate))
