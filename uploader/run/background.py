"""Do what a run does beside sending: sync what is settled, report the progress, and that the service is out."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from uploader.clock import Clock
from uploader.counts import Progress
from uploader.errors import StorageError
from uploader.run.connection import Connection
from uploader.run.events import Events, Outage, Progressed
from uploader.run.observers import wants
from uploader.run.plan import SourcePlan
from uploader.run.registration import RowDelivery
from uploader.run.session import Session

_PROGRESS_SECONDS: Final = 0.5

_SYNC_SECONDS: Final = 0.5


@asynccontextmanager
async def background_tasks(*tasks: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run *tasks* while the context lasts."""
    running = [asyncio.create_task(task) for task in tasks]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def keep_synced(session: Session, connection: Connection) -> None:
    """Sync what is settled within a second; a sync that fails ends the run, and is not tried again."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        try:
            # This starts the thread now, so that it is there when the machine has no more.
            await asyncio.get_running_loop().run_in_executor(thread, session.is_dirty.__bool__)
        except RuntimeError:
            connection.stop.request(
                StorageError("This machine has no thread left to sync the journal. Run again to resume.")
            )
            return
        await _sync_by(thread, session, connection)


async def _sync_by(thread: ThreadPoolExecutor, session: Session, connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    syncing: asyncio.Future[None] = loop.create_future()
    syncing.set_result(None)
    while True:
        await connection.clock.sleep(_SYNC_SECONDS)
        if session.is_dirty:
            try:
                session.flush()
                syncing = loop.run_in_executor(thread, session.sync)
                await asyncio.shield(syncing)
            except StorageError as error:
                connection.stop.request(error)
                return
            except asyncio.CancelledError:
                # The thread still runs: the files must not be closed before it ends.
                await asyncio.wait([syncing])
                raise


async def report_outages(delivery: RowDelivery, clock: Clock, events: Events) -> None:
    """Report when the service is out, and when it is no longer or this is cancelled; look twice a second."""
    known: Outage | None = None
    try:
        while wants(events, "outage"):
            found = delivery.outage
            if found is not None and known is None:
                since, why = found
                known = Outage(clock.wall() - (clock.monotonic() - since), None, why)
                events.outage(known)
            elif found is None and known is not None:
                events.outage(replace(known, until=clock.wall()))
                known = None
            await clock.sleep(_PROGRESS_SECONDS)
    finally:
        if known is not None:
            events.outage(replace(known, until=clock.wall()))


def progress_of(source_plan: SourcePlan, session: Session, connection: Connection) -> Progress:
    """Return how far the source is now."""
    counts = session.running_counts.outcomes.counts(read=source_plan.job.summary.read)
    paused = max(limiter.paused_seconds for limiter in connection.limiters)
    return Progress(counts, session.traffic.requests, paused, connection.registrations())


async def report_progress(source_plan: SourcePlan, session: Session, connection: Connection, events: Events) -> None:
    """Report now and twice a second how far the source is, until cancelled; not at all if nobody wants it."""
    while wants(events, "progressed"):
        progress = progress_of(source_plan, session, connection)
        events.progressed(Progressed(source_plan.source_run, progress, connection.limiter.pace.rate))
        await connection.clock.sleep(_PROGRESS_SECONDS)
