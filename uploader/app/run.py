"""Check every source, then send the rows that can be sent."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import replace

import uvloop

from uploader.changes.change_detection import ChangeDetection
from uploader.coalesce.same_person import SamePerson
from uploader.config import Settings
from uploader.errors import ConfigError
from uploader.outputs.rows_to_resend import RowsToResend
from uploader.run.background import background_tasks
from uploader.run.check_source import check_source
from uploader.run.choose_runs import assign_numbers, choose_runs, refuse_drifted
from uploader.run.connection import connect
from uploader.run.environment import Environment
from uploader.run.events import Remark
from uploader.run.fingerprints import mapping_of, service_of_settings
from uploader.run.flag_conflicts import refuse_double_use
from uploader.run.forgotten_runs import remark_forgotten
from uploader.run.job_names import job_of
from uploader.run.link_people import join_people, link_joined_people, link_people_to_resend
from uploader.run.mark_finished import RunEndings
from uploader.run.named_sources import with_found_sources, without_already_sent
from uploader.run.observers import between_steps, with_observers
from uploader.run.open_change_detection import open_change_detection, open_stores
from uploader.run.open_file_limit import refuse_too_few_files
from uploader.run.options import Options
from uploader.run.other_runs import newest_ended_run, prune
from uploader.run.pending_retries import with_pending_retries
from uploader.run.plan import RunPlan, SourcePlan
from uploader.run.preflight import checked_event, pace_of, settings_of
from uploader.run.proxy_and_certificates import Route, route_of
from uploader.run.recorded_start import RecordedStart
from uploader.run.refusals import refuse_if_too_bad, refuse_joined
from uploader.run.remarks import route_lines
from uploader.run.reports import RunReports, reported
from uploader.run.results import ResultsSoFar, RunResult, new_source_results, status_of
from uploader.run.retries_of_job import remark_overdue, with_pending_of_job
from uploader.run.sandbox_dry_run import sandbox_for, state_in, throwaway_folder
from uploader.run.settled_retries import remove_settled_retries
from uploader.run.source_run import send
from uploader.sandbox import Sandbox, serve
from uploader.state import RunStore
from uploader.stop import Stop


def run(options: Options, environment: Environment) -> RunResult:
    """Check every source, then send them in order, and return what is known of each.

    An error is not raised, but returned with the results; its exit status is that of the run.
    """
    environment = with_observers(environment)
    results, trouble = ResultsSoFar(), None
    try:
        start = RecordedStart(options, environment, results)
        environment.events.begun(start.start_id)
        with reported(start, options, environment) as reports:
            _check_and_send(options, environment, reports)
    except BaseException as error:  # noqa: BLE001 — it is returned
        trouble = error
    result = RunResult(
        results.results,
        results.exit_status if trouble is None else status_of(trouble),
        trouble,
        results.sandbox,
    )
    environment.events.finished(result)
    return result


def record_refused(options: Options, environment: Environment, error: ConfigError) -> None:
    """Record and report a start that *error* has ended before its options were complete; what fails is a warning."""
    environment = with_observers(environment)
    with suppress(ConfigError), reported(RecordedStart(options, environment, ResultsSoFar()), options, environment):
        raise error


def _check_and_send(options: Options, environment: Environment, reports: RunReports) -> None:
    """Check and send every source; the results of the start have what is known if this raises.

    Raises:
        UploaderError: the error that ends the run.
    """
    start, results = reports.start, reports.start.results
    refuse_double_use(options)
    settings = settings_of(options, environment, credentials=not options.sandbox)
    route = Route() if options.sandbox else route_of(settings, environment.environ)
    for line in () if options.sandbox else route_lines(route):
        environment.events.remark(Remark(line, "detail"))
    with ExitStack() as stack:
        folder = stack.enter_context(throwaway_folder()) if options.sandbox else None
        run_store = RunStore(settings.state_dir if folder is None else state_in(folder))
        start.open(run_store.state, options.retries_of or job_of(options, settings))
        options = _with_all_sources(options, settings, run_store, environment, reports)
        if not options.sources:
            with start.ending():
                return
        results.begin(new_source_results(options))
        changes = stack.enter_context(_open_changes(settings, run_store, environment))
        endings = RunEndings(run_store, journal_days=settings.journal_days, latest=results.latest)
        stack.enter_context(endings)
        with start.ending():
            # With only one identity field, no row can show that two values are the same person.
            same_person = (
                stack.enter_context(SamePerson(run_store.state)) if len(settings.rules().identity) > 1 else None
            )
            changes.may_join_people = same_person is not None
            run_plan = RunPlan(
                options,
                settings,
                environment,
                run_store,
                folder,
                stack,
                RowsToResend(),
                changes,
                same_person,
                results,
                endings,
            )
            source_plans = _numbered(run_plan, _decided(run_plan, _checked(run_plan)))
            start.update(options)
            if any(source_plan.job.summary.read for source_plan in source_plans):
                _send(run_plan, source_plans, route)
            else:
                for result in results.results:
                    results.keep(result.finished())
    # The end of the run is marked by now: its retry file is the current one.
    remove_settled_retries(results.results, settings, run_store, environment)


def _with_all_sources(
    options: Options, settings: Settings, run_store: RunStore, environment: Environment, reports: RunReports
) -> Options:
    """Return *options* with the files that are to be sent, and report the start.

    Files that were sent already are left out, with a result for each.
    """
    start = reports.start
    options = with_pending_of_job(options, settings, run_store, environment)
    options = with_found_sources(options, settings, environment)
    refuse_double_use(options)
    start.update(options)
    reports.begin(settings)
    remark_overdue(options, settings, run_store, environment)
    if settings.retry_last_failures and options.limit is None and not options.retries_of:
        # Also before a file that was sent already, which then is left out.
        options = with_pending_retries(options, settings, run_store, environment)
    options, start.results.skipped = without_already_sent(options, settings, run_store, environment)
    return options


def _open_changes(settings: Settings, run_store: RunStore, environment: Environment) -> ChangeDetection:
    """Return change detection for the service of *settings*, a context manager."""
    return open_change_detection(
        open_stores(run_store.state, wall=environment.clock.wall, raise_if_stopped=environment.raise_if_stopped),
        service_of_settings(settings),
        settings,
        clock=environment.clock,
        mapping=mapping_of(settings),
        newest_ended_run=lambda: newest_ended_run(run_store, settings),
    )


def _checked(run_plan: RunPlan) -> list[SourcePlan]:
    """Check all sources, and refuse those that are wrong as a whole."""
    settings, events, clock = run_plan.settings, run_plan.environment.events, run_plan.environment.clock
    pace, checked = pace_of(settings), list[tuple[SourcePlan, float, float]]()
    for result in run_plan.results.results:
        began = clock.monotonic()
        checked.append((check_source(run_plan, result), clock.wall(), clock.monotonic() - began))
    for source_plan, at, seconds in checked:
        events.checked(checked_event(source_plan.job, pace, at=at, seconds=seconds))
        refuse_if_too_bad(source_plan.job, settings)
        refuse_joined(source_plan.job, settings)
    return [source_plan for source_plan, _, _ in checked]


def _decided(run_plan: RunPlan, source_plans: Sequence[SourcePlan]) -> list[SourcePlan]:
    """Return *source_plans* with the run that each continues; refuse what must not be sent now."""
    options, environment = run_plan.options, run_plan.environment
    join_people(run_plan, source_plans)
    chosen = choose_runs(run_plan, source_plans)
    run_plan.results.begin([source_plan.result for source_plan in chosen])
    refuse_drifted(run_plan, chosen)
    remark_forgotten(run_plan, chosen)
    if options.deadline is not None:
        options.deadline.refuse_if_over()
        forecast = options.deadline.forecast(sum(map(_to_send, chosen)), pace_of(run_plan.settings))
        environment.events.remark(Remark(forecast))
    return chosen


def _numbered(run_plan: RunPlan, source_plans: Sequence[SourcePlan]) -> Sequence[SourcePlan]:
    """Return *source_plans* with the numbers of their runs, which makes them known; without any row there are none."""
    if not any(source_plan.job.summary.read for source_plan in source_plans):
        return source_plans
    numbered = assign_numbers(run_plan, source_plans)
    run_plan.results.begin([source_plan.result for source_plan in numbered])
    return numbered


def _to_send(source_plan: SourcePlan) -> int:
    """Return the maximum number of rows of *source_plan* that are still to be sent."""
    summary = source_plan.job.summary
    unchanged = 0 if summary.changes is None or source_plan.header.full else summary.changes.unchanged
    return min(summary.sendable - unchanged, source_plan.result.counts.not_attempted)


def _send(run_plan: RunPlan, source_plans: Sequence[SourcePlan], route: Route) -> None:
    """Send *source_plans*, in their order, by *route*; a dry run sends to a sandbox."""
    options, results = run_plan.options, run_plan.results
    prune(run_plan, source_plans)
    link_joined_people(run_plan, source_plans)
    refuse_too_few_files(sandbox=options.sandbox)
    with ExitStack() as stack:
        sandbox = None
        if options.sandbox:
            typed = any(source_plan.job.source.format != "csv" for source_plan in source_plans)
            sandbox = stack.enter_context(sandbox_for(run_plan.settings, typed=typed))
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_send_all(run_plan, source_plans, route, sandbox))
        finally:
            results.sandbox = None if sandbox is None else sandbox.report()
    link_people_to_resend(run_plan, source_plans)


async def _send_all(
    run_plan: RunPlan, source_plans: Sequence[SourcePlan], route: Route, sandbox: Sandbox | None
) -> None:
    settings, stop, events = run_plan.settings, Stop(), between_steps(run_plan.environment.events)
    events.stoppable(stop)
    async with AsyncExitStack() as stack:
        base_url = settings.api.base_url
        if sandbox is not None:
            base_url = await stack.enter_async_context(serve(sandbox))
        connecting = connect(
            settings,
            base_url=base_url,
            route=route,
            run_store=run_plan.run_store,
            stop=stop,
            environment=replace(run_plan.environment, events=events),
        )
        connection = await stack.enter_async_context(connecting)
        deadline = run_plan.options.deadline
        watching = [] if deadline is None else [deadline.keep(stop, lambda: connection.outage)]
        async with background_tasks(*watching):
            for source_plan in source_plans:
                if source_plan.is_already_finished:
                    continue
                try:
                    run_plan.results.keep(await send(source_plan, connection, stop, events))
                finally:
                    events.source_finished(run_plan.results.latest(source_plan.result))
                if stop.reason is not None:
                    raise stop.reason
