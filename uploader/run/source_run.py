"""Send one source: its rows pass through all stages, while the journal is synced and the bar is shown."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from uploader.changes.stale_retries import StaleRetries, watch_since
from uploader.changes.unchanged_rows import UnchangedRows
from uploader.coalesce.assign_person_keys import with_person_keys
from uploader.coalesce.merge_rows import MergeStage
from uploader.coalesce.person_groups import PersonGroups
from uploader.coalesce.spill_to_disk import SpilledRows
from uploader.config import Settings
from uploader.delivery import Delivery
from uploader.delivery.canary import Canary
from uploader.delivery.pipeline import Pipeline
from uploader.delivery.prefetch import prefetched
from uploader.errors import ChangedError, InputError, StorageError, TimeUpError, UploaderError
from uploader.mapping import Now
from uploader.model import UNKNOWN_RUN, NoWork, Record, Rejected, Settled, Work
from uploader.outputs.progress import Bar, Progress, may_colour, plain_line
from uploader.run.connection import Connection
from uploader.run.drift_check import baseline_totals
from uploader.run.environment import Environment
from uploader.run.mark_finished import RunEndings
from uploader.run.plan import RunPlan, SourcePlan, refresh_key
from uploader.run.preflight import Job
from uploader.run.retry_identities import noted_identities
from uploader.run.session import Session
from uploader.run.time_limit import cut_short
from uploader.source import Fingerprint
from uploader.state import RunHeader, StoredRun
from uploader.state.settled_rows import SettledRows

if TYPE_CHECKING:
    from uploader.mapping.batch_works import FindUnchanged

_BAR_SECONDS: Final = 0.5
_LINE_SECONDS: Final = 60.0


_SYNC_SECONDS: Final = 0.5


async def send(source_plan: SourcePlan, connection: Connection, run_plan: RunPlan, endings: RunEndings) -> None:
    """Send what is left of *source_plan* over *connection*, and fill in its result; raises what ends the run early."""
    job, result, same_person = source_plan.job, source_plan.result, run_plan.same_person
    clock = run_plan.environment.clock
    began = clock.monotonic()
    if job.is_swapped():
        raise ChangedError(f"{job.source.name} changed after it was checked; nothing of it was sent. Run again.")
    stored_run = source_plan.open_run(run_plan.run_store)
    header = stored_run.state.header or source_plan.header
    stale_retries = _stale_retries_of(source_plan, run_plan, header)
    unchanged_rows = _unchanged_rows_of(source_plan, run_plan, header, stale_retries)
    with (
        _session_of(source_plan, run_plan, stored_run, stale_retries, unchanged_rows) as session,
        contextlib.ExitStack() as stack,
    ):
        result.traffic = session.traffic
        in_batches = _unchanged_in_batches(source_plan, run_plan, stale_retries, unchanged_rows)
        reading, works = _works(job, session.settled, in_batches)
        stack.enter_context(reading)
        if same_person is not None and not same_person.is_empty:
            works = with_person_keys(works, same_person, source_plan.before)
        works = stale_retries.without_stale(prefetched(works, clock.monotonic))
        if source_plan.groups is not None:
            waiting = stack.enter_context(SpilledRows(run_plan.run_store.state))
            works = _merging(source_plan.groups, waiting, source_plan, run_plan, stored_run).merge(works)
        works = unchanged_rows.skip_unchanged(works)
        connection.blocked_rows.begin_source(result.source if len(run_plan.options.sources) > 1 else "")
        if run_plan.is_proven(source_plan, stored_run.state):
            connection.blocked_rows.mark_proven()
        outage_suspected = asyncio.Event()
        delivery = stack.enter_context(_delivery(connection, session, stale_retries, outage_suspected))
        pipeline = Pipeline(
            works,
            deliver=delivery.deliver,
            settle=session.settle,
            settle_unchanged=session.settle_unchanged,
            stop=connection.stop,
            canary=Canary(_canary_rows(job, session, connection.settings)),
            outage_suspected=outage_suspected,
            blocked_rows=connection.blocked_rows,
            must_resend=run_plan.rows_to_resend.has,
            settled=len(session.settled),
        )
        try:
            async with background_tasks(
                _show_progress(source_plan, session, connection, run_plan.environment), _sync(session, connection)
            ):
                await pipeline.run(connection.pace.concurrency)
            session.flush()
            session.sync()
            _raise_if_changed(job, reading)
        finally:
            result.sending_seconds = clock.monotonic() - began
            result.seconds = stored_run.state.seconds + result.sending_seconds
            _close_result(source_plan, session, pipeline, endings, reason=connection.stop.reason)
    result.finish()
    if job.limit is None and not job.source.is_retry:
        run_plan.changes.record_full_run(
            refresh_key(job.source, header.key), began=_seconds(header.started), whole=header.full
        )


@contextlib.contextmanager
def _delivery(
    connection: Connection, session: Session, stale_retries: StaleRetries, outage_suspected: asyncio.Event
) -> Iterator[Delivery]:
    """Yield the delivery of a source; a time limit that ends the run during an outage says so."""
    delivery = connection.delivery(session, stale_retries, on_suspected_outage=outage_suspected.set)
    try:
        yield delivery
    except TimeUpError as error:
        raise cut_short(error, delivery.outage) from None


def _raise_if_changed(job: Job, reading: "_ReadOnce") -> None:
    """Raise `ChangedError` if the file was changed or replaced after the check, though each block was compared."""
    if job.is_swapped() or (job.fingerprint is not None and reading.fingerprint != job.fingerprint):
        raise _changed(job)


def _session_of(
    source_plan: SourcePlan,
    run_plan: RunPlan,
    stored_run: StoredRun,
    stale_retries: StaleRetries,
    unchanged_rows: UnchangedRows,
) -> Session:
    """Return the session of this command in *stored_run*, the run of *source_plan*."""
    header, job = stored_run.state.header or source_plan.header, source_plan.job
    identities = noted_identities(
        run_plan.run_store.state, job.plan, run_plan.origins(header).label, job.earlier_identities
    )
    return Session(
        stored_run,
        source_plan.retry,
        run_plan.rows_to_resend,
        stale_retries,
        unchanged_rows,
        command=source_plan.command,
        number=source_plan.number,
        identities_of=identities.payloads,
        on_rejected=_giving_messages(source_plan, run_plan.environment),
    )


def _giving_messages(source_plan: SourcePlan, environment: Environment) -> Callable[[Rejected], None]:
    """Return what gives the message of the service on a rejected row to the user who asked for it."""
    name, on_reason = source_plan.job.source.name, environment.on_reason

    def give_message(rejected: Rejected) -> None:
        if on_reason is not None:
            on_reason(name, rejected.record, rejected.reason, rejected.message)

    return give_message


def _stale_retries_of(source_plan: SourcePlan, run_plan: RunPlan, header: RunHeader) -> StaleRetries:
    """Return what keeps the rows of *source_plan* from overwriting newer ones, in the run that has *header*."""
    is_retry = source_plan.job.source.is_retry
    return StaleRetries(
        run_plan.changes,
        header,
        run_plan.origins(header),
        newest_run=run_plan.newest_other_run(header) if source_plan.may_be_stale else UNKNOWN_RUN,
        has_older=is_retry or source_plan.whole_file_run is not None,
        records_all=run_plan.has_older_to_continue(header),
        # A dry run knows of no other run, and its sandbox has nobody's values.
        accept=run_plan.options.accept or run_plan.options.sandbox,
        since=watch_since(header, is_retry=is_retry),
    )


def _unchanged_rows_of(
    source_plan: SourcePlan, run_plan: RunPlan, header: RunHeader, stale_retries: StaleRetries
) -> UnchangedRows:
    """Return what skips the rows of *source_plan* that need no request, in the run that has *header*."""
    return UnchangedRows(
        run_plan.changes,
        skips_unchanged=run_plan.settings.changed_only
        and not (header.full or source_plan.header.full)
        and not source_plan.job.source.is_retry,
        must_resend=run_plan.rows_to_resend.has,
        since=watch_since(header, is_retry=source_plan.job.source.is_retry),
        on_unchanged=stale_retries.record_unchanged,
        wants_unchanged=stale_retries.must_record,
    )


def _merging(
    groups: PersonGroups, waiting: SpilledRows, source_plan: SourcePlan, run_plan: RunPlan, stored_run: StoredRun
) -> MergeStage:
    """Return the stage that makes one request of each of *groups*, as the run of *stored_run* has done so far."""
    same_person = run_plan.same_person
    return MergeStage(
        groups,
        waiting,
        merged=source_plan.job.plan.merged,
        must_resend=run_plan.rows_to_resend.has,
        merged_into=lambda row: stored_run.state.replaced_by.get(row, row),
        rows_with_key=lambda person_key: 0 if same_person is None else same_person.rows_with(person_key),
    )


def _seconds(started: str) -> float:
    return datetime.fromisoformat(started).timestamp()


def _canary_rows(job: Job, session: Session, settings: Settings) -> int:
    """Return how many first rows test the mapping: none where the service has accepted some already."""
    return 0 if job.source.is_retry or session.running_counts.outcomes.sent else settings.limits.canary


def _close_result(
    source_plan: SourcePlan, session: Session, pipeline: Pipeline, endings: RunEndings, *, reason: BaseException | None
) -> None:
    """Fill in the result of *source_plan* from the totals; *reason* is what ended the run early."""
    result, running_counts = source_plan.result, session.running_counts
    read = max(source_plan.job.summary.read, pipeline.taken)
    result.counts = running_counts.outcomes.counts(read=read, not_attempted=pipeline.without_outcome(read))
    result.problems, result.retry_file = running_counts.problems, source_plan.retry.path
    result.maybe_sent_twice = len(running_counts.unsure)
    # After a disk error, or a bug in the middle of a step, the totals can't agree.
    in_order = reason is None or (isinstance(reason, UploaderError) and not isinstance(reason, StorageError))
    with contextlib.nullcontext() if in_order else contextlib.suppress(StorageError):
        stored_run = session.final_state(must_agree=in_order)
        result.limited_seconds = stored_run.state.held_seconds
        endings.add(result, stored_run, baseline_totals(source_plan.job.summary))


@contextlib.asynccontextmanager
async def background_tasks(*tasks: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run *tasks* while the context lasts."""
    running = [asyncio.create_task(task) for task in tasks]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _sync(session: Session, connection: Connection) -> None:
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


class _ReadOnce(Protocol):
    """A pass over a source, which knows its fingerprint at the end."""

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the file."""

    def __enter__(self) -> object:
        """Return the pass."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""


def _works(
    job: Job, settled: SettledRows, find_unchanged: Callable[[], "FindUnchanged"]
) -> tuple[_ReadOnce, Iterator[Work | NoWork]]:
    """Return a new pass over the source of *job*, and what is to be sent, each row mapped when it is taken.

    A row that is *settled* needs nothing. *find_unchanged* makes what finds rows of batches that need nothing either.
    """
    if job.batches is None:
        reading, records = job.records()
        return reading, _until_changed(job, _works_of_rows(job, records, settled))
    from uploader.mapping.batch_works import works_of  # noqa: PLC0415 — polars starts slowly

    in_batches = job.batches.read(job.trace)
    works = works_of(
        job.checked(in_batches),
        map_batch=job.batches.map_batch,
        map_row=job.plan.map_row,
        now=Now(time.time_ns),
        settled=settled,
        unchanged=find_unchanged(),
    )
    return in_batches, _until_changed(job, works)


def _works_of_rows(job: Job, records: Iterator[Record], settled: SettledRows) -> Iterator[Work | NoWork]:
    map_row, now = job.plan.map_row, Now(time.time_ns)
    some_settled = len(settled) > 0
    for record in records:
        if some_settled and record.number in settled:
            yield Settled(record.number)
            continue
        yield map_row(record, now())


def _until_changed(job: Job, works: Iterator[Work | NoWork]) -> Iterator[Work | NoWork]:
    """Yield *works*; raises ChangedError where the file of *job* is no longer the one that was checked."""
    try:
        yield from works
    except ChangedError:
        raise _changed(job) from None
    except InputError as error:
        # The check has read the file to its end, so it has changed since.
        raise ChangedError(f"{job.source.name} changed while it was being sent: {error}") from None


def _unchanged_in_batches(
    source_plan: SourcePlan, run_plan: RunPlan, stale_retries: StaleRetries, unchanged_rows: UnchangedRows
) -> Callable[[], "FindUnchanged"]:
    """Return what makes the finder of unchanged rows in the batches of *source_plan*."""
    same_person, groups, before = run_plan.same_person, source_plan.groups, source_plan.before

    def joined_rows(first: int, last: int) -> Sequence[int]:
        keyed = [] if same_person is None else same_person.rows_with_keys(before + first, before + last)
        in_groups = [] if groups is None else groups.rows_in_groups(first, last)
        return [*(number - before for number in keyed), *in_groups]

    def find_unchanged() -> "FindUnchanged":
        from uploader.changes.unchanged_in_batches import UnchangedInBatches  # noqa: PLC0415 — polars starts slowly

        return UnchangedInBatches(
            unchanged_rows,
            source_plan.job.plan,
            leaves_all=lambda: stale_retries.leaves_all,
            must_resend=run_plan.rows_to_resend.has,
            resends_some=lambda: not run_plan.rows_to_resend.is_empty,
            joined_rows=joined_rows,
        )

    return find_unchanged


def _changed(job: Job) -> ChangedError:
    return ChangedError(f"{job.source.name} changed while it was being sent. Run again with the file as it is now.")


async def _show_progress(
    source_plan: SourcePlan, session: Session, connection: Connection, environment: Environment
) -> None:
    """Show how far the run is, until cancelled: a bar on a terminal, a line a minute if wanted."""
    name, rate, running_counts = source_plan.job.source.name, connection.settings.rate, session.running_counts

    def progress() -> Progress:
        return Progress(
            running_counts.outcomes.counts(read=source_plan.job.summary.read),
            requests=session.traffic.requests,
            paused_seconds=connection.limiter.paused_seconds,
        )

    if environment.terminal is not None:
        limit = rate.requests / rate.per
        with Bar(
            name,
            total=source_plan.job.summary.read,
            limit=limit,
            stream=environment.terminal,
            clock=connection.clock.monotonic,
            began=progress(),
            colour=may_colour(environment.environ),
        ) as bar:
            while True:
                bar.show(progress())
                await connection.clock.sleep(_BAR_SECONDS)
    while environment.lines:
        await connection.clock.sleep(_LINE_SECONDS)
        environment.say(plain_line(name, progress(), rows_per_second=connection.limiter.pace.rate))
