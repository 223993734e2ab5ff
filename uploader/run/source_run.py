"""Send one source: its rows through all the stages, beside the journal's sync and the bar."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

from uploader.changes.stale_retries import Late, Origins
from uploader.changes.unchanged_rows import Sift
from uploader.coalesce.merge_rows import Merging
from uploader.coalesce.person_groups import Groups
from uploader.coalesce.same_person_stage import tied
from uploader.coalesce.spill_to_disk import WaitingRoom
from uploader.config import Settings
from uploader.delivery.canary import Canary
from uploader.delivery.pipeline import Pipeline
from uploader.delivery.prefetch import a_few_at_once
from uploader.errors import ChangedError, InputError, StorageError, UploaderError
from uploader.mapping import Now
from uploader.model import UNKNOWN_RUN, Passed, Record, Settled, Work
from uploader.outputs.progress import Bar, Standing, plain_line
from uploader.run.connection import Wire
from uploader.run.drift_check import to_keep
from uploader.run.endings import Endings
from uploader.run.environment import World
from uploader.run.plan import Desk, Sending, refresh_key
from uploader.run.preflight import Job
from uploader.run.session import Life
from uploader.run.watched_people import tie_watched
from uploader.state import Begun, Volume
from uploader.state.settled_rows import Bookmark

_BAR_SECONDS: Final = 0.5
_LINE_SECONDS: Final = 60.0


_SYNC_SECONDS: Final = 0.5


async def send(sending: Sending, wire: Wire, desk: Desk, endings: Endings) -> None:
    """Send what is left of *sending* over *wire*, and keep its account; raises what ends the run early."""
    job, account, ties = sending.job, sending.account, desk.ties
    clock = desk.world.clock
    began = clock.monotonic()
    if job.is_swapped():
        raise ChangedError(f"{job.source.name} changed after it was checked; nothing of it was sent. Run again.")
    volume = sending.volume(desk.shelf)
    begun = volume.ledger.begun or sending.begun
    sift, late = _sift_of(sending, desk, begun), _late_of(sending, desk, begun)
    with (
        Life(volume, sending.retry, desk.followup, late, sift, command=sending.command) as life,
        contextlib.ExitStack() as stack,
    ):
        account.traffic = life.traffic
        reading, records = job.records()
        stack.enter_context(reading)
        works = _works(job, records, life.settled)
        if ties is not None and not ties.is_empty:
            works = tied(works, ties, sending.before)
        works = late.trimmed(a_few_at_once(works, clock.monotonic))
        if sending.groups is not None:
            waiting = stack.enter_context(WaitingRoom(desk.shelf.state))
            works = _merging(sending.groups, waiting, sending, desk, volume).merge(works)
        works = sift.sifted(works)
        wire.streak.begin(account.source if len(desk.options.sources) > 1 else "")
        if desk.is_proven(sending, volume.ledger):
            wire.streak.prove()
        doubt = asyncio.Event()
        pipeline = Pipeline(
            works,
            deliver=late.delivering(wire.delivery(life, on_suspicion=doubt.set).deliver),
            settle=life.settle,
            halt=wire.halt,
            canary=Canary(_birds(job, life, wire.settings)),
            doubt=doubt,
            streak=wire.streak,
            owes=desk.followup.owes,
            settled=len(life.settled),
        )
        try:
            async with beside(_watch(sending, life, wire, desk.world), _sync(life, wire)):
                await pipeline.carry(wire.pace.concurrency)
            tie_watched(job, desk.recall)
            life.flush()
            life.sync()
            # What was read last is compared as it was opened, and may have been changed or replaced since.
            if job.is_swapped() or (job.fingerprint is not None and reading.fingerprint != job.fingerprint):
                raise _changed(job)
        finally:
            account.sending_seconds = clock.monotonic() - began
            account.seconds = volume.ledger.seconds + account.sending_seconds
            _close_books(sending, life, pipeline, endings, reason=wire.halt.reason)
    account.finish()
    if job.limit is None and not job.source.is_retry:
        desk.recall.note_refreshed(refresh_key(job.source, begun.key), began=_seconds(begun.started), whole=begun.full)


def _sift_of(sending: Sending, desk: Desk, begun: Begun) -> Sift:
    """Return what passes over the rows of *sending* that need no request, in the run that has *begun*."""
    return Sift(
        desk.recall,
        skips=desk.settings.changed_only and not (begun.full or sending.begun.full) and not sending.job.source.is_retry,
        owes=desk.followup.owes,
    )


def _late_of(sending: Sending, desk: Desk, begun: Begun) -> Late:
    """Return what keeps the rows of *sending* from undoing newer ones, in the run that has *begun*."""
    is_retry = sending.job.source.is_retry
    return Late(
        desk.recall,
        begun,
        Origins(begun, desk.shelf.state_id),
        newest_run=desk.newest_run_beside(begun) if is_retry else UNKNOWN_RUN,
        has_older=is_retry or sending.twin is not None,
        notes_all=desk.has_older_to_continue(begun),
        accept=desk.options.accept,
    )


def _merging(groups: Groups, waiting: WaitingRoom, sending: Sending, desk: Desk, volume: Volume) -> Merging:
    """Return what makes one request of the rows of each of *groups*, as the run of *volume* has begun to."""
    ties = desk.ties
    return Merging(
        groups,
        waiting,
        merged=sending.job.plan.merged,
        owes=desk.followup.owes,
        taken_by=lambda row: volume.ledger.replaced_by.get(row, row),
        tied_rows=lambda tie: 0 if ties is None else ties.rows_of(tie),
    )


def _seconds(started: str) -> float:
    return datetime.fromisoformat(started).timestamp()


def _birds(job: Job, life: Life, settings: Settings) -> int:
    """Return how many of the first rows tell a wrong mapping: none where the service accepted some already."""
    return 0 if job.source.is_retry or life.tally.outcomes.sent else settings.limits.canary


def _close_books(
    sending: Sending, life: Life, pipeline: Pipeline, endings: Endings, *, reason: BaseException | None
) -> None:
    """Take the account of *sending* from the totals; *reason* is what ended the run early."""
    account, tally = sending.account, life.tally
    read = max(sending.job.survey.read, pipeline.taken)
    account.counts = tally.outcomes.counts(read=read, not_attempted=pipeline.left_of(read))
    account.problems, account.retry_file = tally.problems, sending.retry.path
    account.maybe_sent_twice = len(tally.unsure)
    # What a disk did not take, or a bug left in between, can't agree.
    in_order = reason is None or (isinstance(reason, UploaderError) and not isinstance(reason, StorageError))
    with contextlib.nullcontext() if in_order else contextlib.suppress(StorageError):
        volume = life.closed(must_agree=in_order)
        account.limited_seconds = volume.ledger.held_seconds
        endings.add(account, volume, to_keep(sending.job.survey))


@contextlib.asynccontextmanager
async def beside(*tasks: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Let *tasks* go on while the context lasts."""
    running = [asyncio.create_task(task) for task in tasks]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _sync(life: Life, wire: Wire) -> None:
    """Make what is settled last, within a second; a sync that fails ends the run, and is not tried again."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        try:
            # From now on it has its thread, whatever becomes of the machine.
            await asyncio.get_running_loop().run_in_executor(thread, life.is_dirty.__bool__)
        except RuntimeError:
            wire.halt.give(StorageError("This machine has no thread left to sync the journal. Run again to continue."))
            return
        await _sync_by(thread, life, wire)


async def _sync_by(thread: ThreadPoolExecutor, life: Life, wire: Wire) -> None:
    loop = asyncio.get_running_loop()
    syncing: asyncio.Future[None] = loop.create_future()
    syncing.set_result(None)
    while True:
        await wire.clock.sleep(_SYNC_SECONDS)
        if life.is_dirty:
            try:
                life.flush()
                syncing = loop.run_in_executor(thread, life.sync)
                await asyncio.shield(syncing)
            except StorageError as error:
                wire.halt.give(error)
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
            tally.outcomes.counts(read=sending.job.survey.read),
            requests=life.traffic.requests,
            held=wire.limiter.held_seconds,
        )

    if world.terminal is not None:
        limit = rate.requests / rate.per
        with Bar(
            name, total=sending.job.survey.read, limit=limit, stream=world.terminal, clock=wire.clock.monotonic
        ) as bar:
            while True:
                bar.show(standing())
                await wire.clock.sleep(_BAR_SECONDS)
    while world.lines:
        await wire.clock.sleep(_LINE_SECONDS)
        world.say(plain_line(name, standing(), rows_per_second=wire.limiter.pace.rate))
