"""Check every source: read and map all of it, send nothing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from uploader.app.check_report import CheckReport
from uploader.changes.change_detection import ChangeDetection
from uploader.check.batch_observers import NotGoodObserver, RowObserver
from uploader.check.source_summary import CheckSummary
from uploader.config import Settings
from uploader.counts import Counts
from uploader.model import Record, Rejected, Request
from uploader.outputs.spinner import spinner
from uploader.rate import Pace
from uploader.run.batch_reader import batch_reader
from uploader.run.drift_check import compare_with_baseline, refuse_drift
from uploader.run.environment import Environment
from uploader.run.fingerprints import key_of, mapping_of, service_of
from uploader.run.flag_conflicts import refuse_double_use
from uploader.run.open_change_detection import open_change_detection, open_stores
from uploader.run.options import Options
from uploader.run.preflight import (
    Job,
    opened,
    pace_of,
    prepare,
    refuse_if_too_bad,
    refuse_joined,
    registered_names,
    settings_of,
)
from uploader.run.proxy_and_certificates import route_of
from uploader.run.results import SummarizedResults, new_source_results
from uploader.run.safe_callbacks import safe_callback, with_safe_callbacks
from uploader.source import Source
from uploader.state import BaselineStore
from uploader.state.state_folder import refuse_foreign


def check(
    options: Options,
    environment: Environment,
    on_checked: Callable[[Job, Pace], None],
    reports: list[CheckReport] | None = None,
) -> int:
    """Read and map every source of *options*, send nothing, and return the exit status.

    *on_checked* is called after each source. *reports* gets one report for each source, which holds what is known also
    when this raises.

    Raises:
        UploaderError: a source, an option or the configuration is wrong.
    """
    environment, on_checked = with_safe_callbacks(environment), safe_callback(on_checked)
    refuse_double_use(options)
    settings = settings_of(options, environment, credentials=False)
    refuse_foreign(settings.state_dir)
    route = route_of(settings, environment.environ)
    if environment.on_route is not None:
        environment.on_route(route)
    source_results, pace = new_source_results(options), pace_of(settings)
    reports = [] if reports is None else reports
    reports.extend(CheckReport(source_result, CheckSummary(), pace) for source_result in source_results)
    with (
        SummarizedResults(source_results, summary=options.summary, clock=environment.clock.monotonic) as whole,
        ExitStack() as stack,
    ):
        changes = _changes(settings, stack, environment)
        for report in reports:
            source_result, summary = report.result, report.summary
            try:
                source = stack.enter_context(opened(source_result.source, settings, environment))
                job = _checked(report, source, settings, environment=environment, limit=options.limit, changes=changes)
            finally:
                source_result.counts = Counts(summary.read, rejected=summary.rejected, not_attempted=summary.sendable)
            on_checked(job, pace)
            refuse_if_too_bad(job, settings)
            refuse_joined(job, settings)
            if summary.column_profile is not None and not options.full:
                _refuse_drift(report, job.source, settings)
            source_result.finish()
    return whole.exit_status


def _checked(  # noqa: PLR0913 — what one source is checked with
    report: CheckReport,
    source: Source,
    settings: Settings,
    *,
    environment: Environment,
    limit: int | None,
    changes: ChangeDetection | None,
) -> Job:
    """Read *source* whole, and fill in *report* with what is known of it."""
    source_result, summary, report.source = report.result, report.summary, source
    counters = [] if changes is None else [changes.counting_changes(summary)]
    with spinner(lambda: summary.read, environment.terminal):
        job = prepare(
            source,
            settings,
            limit=limit,
            summary=summary,
            today=environment.today(),
            observers=[*registered_names(source, settings), *_problems(source, environment), *counters],
            on_reason=environment.on_reason,
            batches=batch_reader(source, settings, environment),
        )
    for counter in counters:
        counter.finish()
    report.identity_columns = job.plan.identity_columns
    source_result.blank_lines, source_result.repairs = source.blank_lines, summary.repairs
    source_result.warnings = summary.warnings
    return job


def _refuse_drift(report: CheckReport, source: Source, settings: Settings) -> None:
    """Compare what the check of *source* found with its baseline; raises InputError if it differs too much."""
    baselines, key = BaselineStore(settings.state_dir), key_of(settings, source)
    report.comparison = compare_with_baseline(source.name, key, report.summary, settings, baselines)
    refuse_drift([report.comparison])


def _changes(settings: Settings, stack: ExitStack, environment: Environment) -> ChangeDetection | None:
    """Return change detection, read-only; None if it is off or has no data on this service."""
    service = service_of(settings.api.base_url, settings.api.service_id)
    stores = open_stores(settings.state_dir, wall=environment.clock.wall)
    if not settings.changed_only or not stores.exists(service):
        return None
    changes = stack.enter_context(
        open_change_detection(
            stores, service, settings, clock=environment.clock, mapping=mapping_of(settings), read_only=True
        )
    )
    return changes if changes.is_recording else None


def _problems(source: Source, environment: Environment) -> Iterator[RowObserver]:
    tell = environment.on_problem
    if tell is None:
        return

    def observe(_: Record, work: Request | Rejected) -> None:
        if isinstance(work, Rejected):
            tell(source.name, work)

    yield NotGoodObserver(observe)
