"""Check every source, then send the rows that can be sent."""

import asyncio
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace

import uvloop

from uploader.changes.change_detection import ChangeDetection
from uploader.coalesce.same_person import SamePerson
from uploader.config import Settings
from uploader.delivery.rows_to_resend import RowsToResend
from uploader.rate.open_file_limit import refuse_too_few_files
from uploader.run.connection import connect
from uploader.run.environment import Environment
from uploader.run.fingerprints import mapping_of, service_of
from uploader.run.flag_conflicts import refuse_double_use
from uploader.run.jobs import job_of
from uploader.run.mark_finished import RunEndings
from uploader.run.named_sources import with_found_sources, without_already_sent
from uploader.run.open_change_detection import open_change_detection, open_stores
from uploader.run.options import Options
from uploader.run.pending_retries import with_pending_retries
from uploader.run.plan import RunPlan, SourcePlan, newest_ended_run
from uploader.run.preflight import pace_of, refuse_if_too_bad, refuse_joined, settings_of
from uploader.run.proxy_and_certificates import Route, route_of
from uploader.run.recorded_start import RecordedStart
from uploader.run.reports import RunReports, reported
from uploader.run.results import SourceResult, new_source_results
from uploader.run.safe_callbacks import between_steps, with_safe_callbacks
from uploader.run.sandbox_dry_run import sandbox_for, state_in, throwaway_folder
from uploader.run.settled_retries import remove_settled_retries
from uploader.run.source_run import background_tasks, send
from uploader.sandbox import Report, serve
from uploader.state import RunStore
from uploader.stop import Stop


@dataclass(slots=True)
class RunResult:
    """The results of all sources of a run, and the sandbox's report of a dry run."""

    results: list[SourceResult]
    sandbox: Report | None = None
    exit_status: int = 0


def run(options: Options, environment: Environment, result: RunResult) -> None:
    """Check every source, then send them in order; *result* holds what is known, also when this raises.

    Raises:
        UploaderError: the error that ended the run; its exit status is that of the run.
    """
    environment = with_safe_callbacks(environment)
    start = RecordedStart(options, environment, result.results)
    if environment.on_start is not None:
        environment.on_start(start.start_id)
    with reported(start, options, environment) as reports:
        _run(options, environment, result, reports)
    result.exit_status = start.exit_status


def _run(options: Options, environment: Environment, result: RunResult, reports: RunReports) -> None:
    start = reports.start
    refuse_double_use(options)
    settings = settings_of(options, environment, credentials=not options.sandbox)
    route = Route() if options.sandbox else route_of(settings, environment.environ)
    if environment.on_route is not None and not options.sandbox:
        environment.on_route(route)
    with ExitStack() as stack:
        folder = stack.enter_context(throwaway_folder()) if options.sandbox else None
        run_store = RunStore(settings.state_dir if folder is None else state_in(folder))
        start.open(run_store.state, job_of(options, settings))
        options = with_found_sources(options, settings, environment)
        refuse_double_use(options)
        start.update(options)
        reports.begin(settings)
        options, start.skipped = without_already_sent(options, settings, run_store, environment)
        if not options.sources:
            return
        if settings.retry_last_failures and options.limit is None:
            options = with_pending_retries(options, settings, run_store)
        result.results.extend(new_source_results(options))
        changes = stack.enter_context(_open_changes(settings, run_store, environment))
        endings = stack.enter_context(RunEndings(run_store, journal_days=settings.journal_days))
        with start.ending():
            # With only one identity field, no row can show that two values are the same person.
            same_person = (
                stack.enter_context(SamePerson(run_store.state)) if len(settings.rules().identity) > 1 else None
            )
            changes.may_join_people = same_person is not None
            run_plan = RunPlan(
                options, settings, environment, run_store, folder, stack, RowsToResend(), changes, same_person
            )
            source_plans = [run_plan.check(source_result) for source_result in result.results]
            for source_plan in source_plans:
                if environment.on_checked is not None:
                    environment.on_checked(source_plan.job.source.name, source_plan.job.summary)
                refuse_if_too_bad(source_plan.job, settings)
                refuse_joined(source_plan.job, settings)
            run_plan.join_people(source_plans)
            source_plans = run_plan.decide_resume(source_plans)
            result.results[:] = [source_plan.result for source_plan in source_plans]
            start.update(options)
            run_plan.refuse_drift(source_plans)
            if options.deadline is not None:
                options.deadline.refuse_if_over()
                if not environment.quiet:
                    environment.say(options.deadline.forecast(sum(map(_to_send, source_plans)), pace_of(settings)))
            if any(source_plan.job.summary.read for source_plan in source_plans):
                source_plans = run_plan.assign_numbers(source_plans)
                run_plan.prune(source_plans)
                run_plan.link_joined_people(source_plans)
                refuse_too_few_files(sandbox=options.sandbox)
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(_send_all(source_plans, run_plan, route, endings, result))
                run_plan.link_people_to_resend(source_plans)
            else:
                for source_result in result.results:
                    source_result.finish()
    # The end of the run is marked by now: its retry file is the current one.
    remove_settled_retries(result.results, settings, run_store, environment)


def _open_changes(settings: Settings, run_store: RunStore, environment: Environment) -> ChangeDetection:
    """Return change detection for the service of *settings*, a context manager."""
    return open_change_detection(
        open_stores(run_store.state, wall=environment.clock.wall, raise_if_stopped=environment.raise_if_stopped),
        service_of(settings.api.base_url, settings.api.service_id),
        settings,
        clock=environment.clock,
        mapping=mapping_of(settings),
        newest_ended_run=lambda: newest_ended_run(run_store, settings),
    )


def _to_send(source_plan: SourcePlan) -> int:
    """Return the maximum number of rows of *source_plan* that are still to be sent."""
    summary = source_plan.job.summary
    unchanged = 0 if summary.changed is None or source_plan.header.full else summary.known - summary.changed
    return min(summary.sendable - unchanged, source_plan.result.counts.not_attempted)


async def _send_all(
    source_plans: list[SourcePlan], run_plan: RunPlan, route: Route, endings: RunEndings, result: RunResult
) -> None:
    settings, stop, run_plan = (
        run_plan.settings,
        Stop(),
        replace(run_plan, environment=between_steps(run_plan.environment)),
    )
    if run_plan.environment.on_stop is not None:
        run_plan.environment.on_stop(stop)
    async with AsyncExitStack() as stack:
        base_url, sandbox = settings.api.base_url, None
        if run_plan.options.sandbox:
            sandbox = stack.enter_context(
                sandbox_for(settings, typed=any(s.job.source.format != "csv" for s in source_plans))
            )
            base_url = await stack.enter_async_context(serve(sandbox))
        connecting = connect(
            settings,
            base_url=base_url,
            route=route,
            run_store=run_plan.run_store,
            stop=stop,
            environment=run_plan.environment,
        )
        connection = await stack.enter_async_context(connecting)
        deadline = run_plan.options.deadline
        try:
            async with background_tasks(*([] if deadline is None else [deadline.keep(stop)])):
                for source_plan in source_plans:
                    if not source_plan.is_already_finished:
                        await send(source_plan, connection, run_plan, endings)
        finally:
            result.sandbox = None if sandbox is None else sandbox.report()
