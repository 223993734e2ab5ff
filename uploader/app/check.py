"""Check every source: read and map all of it, send nothing."""

from contextlib import ExitStack
from dataclasses import dataclass, replace

from uploader.app.check_report import CheckReport
from uploader.changes.change_detection import ChangeDetection
from uploader.check.source_summary import CheckSummary
from uploader.config import Settings
from uploader.counts import Counts
from uploader.run.batch_reader import batch_reader
from uploader.run.drift_check import compare_with_baseline, refuse_drift
from uploader.run.environment import Environment
from uploader.run.events import Remark
from uploader.run.fingerprints import mapping_of, service_of_settings
from uploader.run.flag_conflicts import refuse_double_use
from uploader.run.job import Job
from uploader.run.job_names import history_key_of
from uploader.run.named_sources import with_found_sources
from uploader.run.observers import with_observers
from uploader.run.open_change_detection import open_change_detection, open_stores
from uploader.run.options import Options
from uploader.run.preflight import checked_event, opened, pace_of, prepare, settings_of
from uploader.run.proxy_and_certificates import route_of
from uploader.run.recorded_start import RecordedStart
from uploader.run.refusals import refuse_if_too_bad, refuse_joined, registered_names
from uploader.run.remarks import route_lines
from uploader.run.results import ResultsSoFar, SourceFindings, new_source_results, status_of
from uploader.source import Source
from uploader.state import BaselineStore
from uploader.state.state_folder import refuse_foreign


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found in each source, as far as it is known; *error* is what ended it early.

    *exit_status* is that of the command.
    """

    reports: tuple[CheckReport, ...]
    exit_status: int
    error: Exception | None = None


def check(options: Options, environment: Environment) -> CheckResult:
    """Read and map every source of *options*, and send nothing.

    An error is not raised, but returned with what was found before it: a source, an option or the configuration is
    wrong.
    """
    environment = with_observers(environment)
    results = ResultsSoFar()
    reports: dict[str, CheckReport] = {}
    error: Exception | None = None
    try:
        with RecordedStart(options, environment, results, keeps_history=False) as start:
            _check_sources(options, environment, start, reports)
    except Exception as trouble:  # noqa: BLE001 — it is returned
        error = trouble
    return CheckResult(
        tuple(replace(report, result=results.latest(report.result)) for report in reports.values()),
        results.exit_status if error is None else status_of(error),
        error,
    )


def _check_sources(
    options: Options, environment: Environment, start: RecordedStart, reports: dict[str, CheckReport]
) -> None:
    """Check every source of *options*; *reports* (by the source) have what is known if this raises, as *start* does."""
    refuse_double_use(options)
    results, events, clock = start.results, environment.events, environment.clock
    settings = settings_of(options, environment, credentials=False)
    refuse_foreign(settings.state_dir)
    for line in route_lines(route_of(settings, environment.environ)):
        events.remark(Remark(line, "detail"))
    options = with_found_sources(options, settings, environment)
    refuse_double_use(options)
    start.update(options)
    results.begin(new_source_results(options))
    pace = pace_of(settings)
    reports.update({result.source: CheckReport(result, CheckSummary(), pace) for result in results.results})
    with start.ending(), ExitStack() as stack:
        changes = _changes(settings, stack, environment)
        for result in results.results:
            began, name, summary = clock.monotonic(), result.source, reports[result.source].summary
            findings = result.findings
            try:
                source = stack.enter_context(opened(name, settings, environment))
                reports[name] = replace(reports[name], source=source)
                job = _checked(source, summary, settings, options=options, environment=environment, changes=changes)
                findings = SourceFindings(source.blank_lines, summary.repairs, summary.warnings)
            finally:
                counts = Counts(summary.read, rejected=summary.rejected, not_attempted=summary.sendable)
                results.keep(replace(result, counts=counts, findings=findings))
            reports[name] = replace(reports[name], identity_columns=job.plan.identity_columns)
            events.checked(checked_event(job, pace, at=clock.wall(), seconds=clock.monotonic() - began))
            refuse_if_too_bad(job, settings)
            refuse_joined(job, settings)
            if summary.column_profile is not None and not options.full:
                key, baselines = history_key_of(source, options, settings), BaselineStore(settings.state_dir)
                comparison = compare_with_baseline(name, key, summary, settings, baselines)
                reports[name] = replace(reports[name], comparison=comparison)
                refuse_drift([comparison])
            results.keep(results.latest(result).finished())


def _checked(  # noqa: PLR0913 — what one source is checked with
    source: Source,
    summary: CheckSummary,
    settings: Settings,
    *,
    options: Options,
    environment: Environment,
    changes: ChangeDetection | None,
) -> Job:
    """Read *source* whole into *summary*."""
    counters = [] if changes is None else [changes.counting_changes(summary)]
    job = prepare(
        source,
        settings,
        limit=options.limit,
        summary=summary,
        today=environment.today(),
        observers=[*registered_names(source, settings), *counters],
        events=environment.events,
        batches=batch_reader(source, settings, environment.events),
    )
    for counter in counters:
        counter.finish()
    return job


def _changes(settings: Settings, stack: ExitStack, environment: Environment) -> ChangeDetection | None:
    """Return change detection, read-only; None if it is off or has no data on this service."""
    service = service_of_settings(settings)
    stores = open_stores(settings.state_dir, wall=environment.clock.wall)
    if not settings.changed_only or not stores.exists(service):
        return None
    changes = stack.enter_context(
        open_change_detection(
            stores, service, settings, clock=environment.clock, mapping=mapping_of(settings), read_only=True
        )
    )
    return changes if changes.is_recording else None
