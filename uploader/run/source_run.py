"""Send one source: its rows pass through all stages, while the journal is synced."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from uploader.delivery.canary import Canary
from uploader.delivery.pipeline import HeldBackRows, Pipeline
from uploader.errors import StorageError, UploaderError
from uploader.run.background import background_tasks, keep_synced, progress_of, report_outages, report_progress
from uploader.run.connection import Connection
from uploader.run.drift_check import baseline_totals
from uploader.run.events import Events, Started
from uploader.run.job_names import refresh_key_of
from uploader.run.other_runs import is_proven
from uploader.run.plan import SourcePlan
from uploader.run.read_requests import ReadOnce, read_requests, refuse_changed, refuse_swapped
from uploader.run.record_intervals import recorded_intervals
from uploader.run.registration import RowDelivery
from uploader.run.results import SourceResult, Times
from uploader.run.retry_identities import noted_identities
from uploader.run.row_events import RowEvents
from uploader.run.session import Session
from uploader.run.stages import stages_of, stale_retries_of, unchanged_in_batches, unchanged_rows_of
from uploader.run.tolerated_rows import tolerated
from uploader.state import RunHeader
from uploader.stop import Stop


async def send(source_plan: SourcePlan, connection: Connection, stop: Stop, events: Events) -> SourceResult:
    """Send what is left of *source_plan* over *connection*, and return its result, also if *stop* ended it early.

    What goes wrong while rows are sent requests *stop* and is not raised, so that the result is known.

    Raises:
        UploaderError: nothing was sent, as the file has changed or a local file can't be written; or the journal does
            not agree with the result, which the run keeps.
    """
    refuse_swapped(source_plan.job)
    with _opened(source_plan, connection, events) as line:
        events.started(_started(line, connection))
        with _stopping(stop), recorded_intervals(line.session, connection) as intervals:
            async with background_tasks(
                report_progress(source_plan, line.session, connection, events),
                report_outages(line.delivery, connection.clock, events),
                keep_synced(line.session, connection),
                intervals.record_regularly(stop),
            ):
                await line.pipeline.run(connection.pace.concurrency, settled=len(line.session.settled))
            line.session.flush()
            line.session.sync()
            refuse_changed(source_plan.job, line.reading)
        result = line.result(connection.clock.monotonic() - line.began)
        source_plan.run_plan.results.keep(result)
        return _ended(line, result, stop.reason)


@dataclass(frozen=True, slots=True)
class _OpenLine:
    """The open straight line of one source, which *began* at that time of a monotonic clock."""

    source_plan: SourcePlan
    header: RunHeader
    session: Session
    reading: ReadOnce
    delivery: RowDelivery
    pipeline: Pipeline
    began: float

    def result(self, seconds: float) -> SourceResult:
        """Return what has become of the rows, after so many *seconds*."""
        plan, session, pipeline = self.source_plan, self.session, self.pipeline
        running_counts = session.running_counts
        read = max(plan.job.summary.read, pipeline.taken)
        return replace(
            plan.result,
            counts=running_counts.outcomes.counts(read=read, not_attempted=pipeline.without_outcome(read)),
            problems=running_counts.problems,
            traffic=session.traffic,
            times=Times(session.stored_run.state.sessions.all_seconds + seconds),
            maybe_sent_twice=len(running_counts.unsure),
            retry_file=plan.retry.path,
        )


@contextmanager
def _opened(source_plan: SourcePlan, connection: Connection, events: Events) -> Iterator[_OpenLine]:
    """Open the journal and the source of *source_plan*, and lay its stages; raises StorageError, LockedError."""
    began, job, run_plan = connection.clock.monotonic(), source_plan.job, source_plan.run_plan
    stored_run = source_plan.open_run()
    header = stored_run.state.header or source_plan.header
    stale_retries = stale_retries_of(source_plan, header)
    unchanged_rows = unchanged_rows_of(source_plan, header, stale_retries)
    row_events = RowEvents(events, source_plan.source_run, connection.clock)
    identities = noted_identities(
        run_plan.run_store.state, job.plan, run_plan.origins(header).label, job.earlier_identities
    )
    session = Session(
        stored_run,
        source_plan.retry,
        run_plan.rows_to_resend,
        stale_retries,
        unchanged_rows,
        name=source_plan.session,
        identities_of=identities.payloads,
        report=row_events.report if row_events.are_wanted else None,
    )
    with session, ExitStack() as stack:
        reading, works = read_requests(
            job, session.settled, lambda: unchanged_in_batches(source_plan, stale_retries, unchanged_rows)
        )
        stack.enter_context(reading)
        for stage in stages_of(source_plan, stored_run.state, stale_retries, unchanged_rows, stack):
            works = stage(works)
        connection.blocked_rows.begin_source(source_plan.result.source if len(run_plan.options.sources) > 1 else "")
        if is_proven(source_plan, stored_run.state):
            connection.blocked_rows.mark_proven()

        def end_canary() -> None:
            pipeline.end_canary()

        delivery = connection.delivery(session, stale_retries, row_events, on_suspected_outage=end_canary)
        pipeline = Pipeline(
            works,
            deliver=delivery.deliver,
            settle=session.settle,
            settle_unchanged=session.settle_unchanged,
            stop=connection.stop,
            held_back=HeldBackRows(Canary(_canary_rows(source_plan, session)), connection.blocked_rows),
            must_resend=run_plan.rows_to_resend.has,
        )
        yield _OpenLine(source_plan, header, session, reading, delivery, pipeline, began)


def _canary_rows(source_plan: SourcePlan, session: Session) -> int:
    """Return how many first rows test the mapping: none where the service has accepted some already."""
    if source_plan.job.source.is_retry or session.running_counts.outcomes.sent:
        return 0
    return source_plan.run_plan.settings.limits.canary


@contextmanager
def _stopping(stop: Stop) -> Iterator[None]:
    """Request *stop* for what is raised, and raise it no further."""
    try:
        yield
    except BaseException as trouble:  # noqa: BLE001 — the reason of the stop is raised when the result is known
        stop.request(trouble)


def _started(line: _OpenLine, connection: Connection) -> Started:
    source_plan, rate = line.source_plan, connection.settings.rate
    return Started(
        source_plan.source_run,
        connection.clock.wall(),
        rows=source_plan.job.summary.read,
        settled=len(line.session.settled),
        is_resumed=source_plan.resumes,
        requests_per_second=rate.requests / rate.per,
        progress=progress_of(source_plan, line.session, connection),
    )


def _ended(line: _OpenLine, result: SourceResult, reason: BaseException | None) -> SourceResult:
    """Return *result* with what the journal knows, which must agree with it; finished, unless there is a *reason*.

    It is the reason of the stop.

    Raises:
        UploaderError: they do not agree, or the counts do not add up, which is a bug.
        StorageError: a state file can't be read or written.
    """
    source_plan = line.source_plan
    run_plan, job = source_plan.run_plan, source_plan.job
    # After a disk error, or a bug in the middle of a step, the totals can't agree.
    in_order = reason is None or (isinstance(reason, UploaderError) and not isinstance(reason, StorageError))
    with nullcontext() if in_order else suppress(StorageError):
        stored_run = line.session.final_state(must_agree=in_order)
        result = replace(result, times=replace(result.times, limited=stored_run.state.sessions.held_seconds))
        run_plan.endings.add(result, stored_run, baseline_totals(job.summary))
    if reason is not None:
        return result
    result = tolerated(result.finished(), run_plan.settings, run_plan.environment)
    if job.limit is None and not job.source.is_retry:
        began = datetime.fromisoformat(line.header.started).timestamp()
        refresh = refresh_key_of(job.source, run_plan.options, run_plan.settings)
        run_plan.changes.record_full_run(refresh, began=began, whole=line.header.full)
    return result
