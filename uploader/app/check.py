"""Check every source: read and map it whole, and send nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from uploader.app.check_report import Finding
from uploader.changes.change_detection import ChangeDetection
from uploader.check.source_summary import CheckSummary
from uploader.config import Settings
from uploader.counts import Books
from uploader.model import Record, Rejected, Request
from uploader.rate import Pace
from uploader.run.drift_check import compare_with_baseline, refuse_drift
from uploader.run.environment import World
from uploader.run.fingerprints import key_of, mapping_of, service_of
from uploader.run.flag_conflicts import refuse_double_use
from uploader.run.open_change_detection import open_change_detection, open_stores
from uploader.run.options import Options
from uploader.run.preflight import Job, opened, pace_of, prepare, refuse_if_too_bad, settings_of
from uploader.run.proxy_and_certificates import route_of
from uploader.run.results import Accounts, new_accounts
from uploader.run.safe_callbacks import dropped, dropping
from uploader.source import Source
from uploader.state import BaselineStore
from uploader.state.state_folder import refuse_foreign


def check(
    options: Options, world: World, told: Callable[[Job, Pace], None], findings: list[Finding] | None = None
) -> int:
    """Read and map every source of *options*, send nothing, and return the exit status; *told* hears of each.

    *findings* gets what is found of each source, and holds what is known also when this raises.

    Raises:
        UploaderError: a source is wrong as a whole, or the flags or the configuration are.
    """
    world, told = dropping(world), dropped(told)
    refuse_double_use(options)
    settings = settings_of(options, world, credentials=False)
    refuse_foreign(settings.state_dir)
    route = route_of(settings, world.environ)
    if world.on_route is not None:
        world.on_route(route)
    accounts, pace = new_accounts(options), pace_of(settings)
    findings = [] if findings is None else findings
    findings.extend(Finding(account, CheckSummary(), pace) for account in accounts)
    with Accounts(accounts, summary=options.summary, clock=time.monotonic) as whole, ExitStack() as stack:
        changes = _changes(settings, stack)
        for finding in findings:
            account, summary = finding.account, finding.summary
            try:
                source = finding.source = stack.enter_context(opened(account.source, settings, world))
                hears = [*_problems(source, world), *([] if changes is None else [changes.counting_changes(summary)])]
                job = prepare(source, settings, limit=options.limit, summary=summary, hears=hears)
                account.blank_lines, account.repairs = source.blank_lines, summary.repairs
            finally:
                account.books = Books(summary.read, rejected=summary.rejected, not_attempted=summary.sendable)
            told(job, pace)
            refuse_if_too_bad(job, settings)
            if summary.column_profile is not None and not options.full:
                baselines = BaselineStore(settings.state_dir)
                finding.comparison = compare_with_baseline(
                    source.name, key_of(settings, source), summary, settings, baselines
                )
                refuse_drift([finding.comparison])
            account.finish()
    return whole.exit_status


def _changes(settings: Settings, stack: ExitStack) -> ChangeDetection | None:
    """Return what is remembered of people, only to be looked at; None where nothing is, or nothing asks for it."""
    service = service_of(settings.api.base_url, settings.api.service_id)
    stores = open_stores(settings.state_dir)
    if not settings.changed_only or not stores.exists(service):
        return None
    changes = stack.enter_context(
        open_change_detection(stores, service, settings, mapping=mapping_of(settings), read_only=True)
    )
    return changes if changes.is_recording else None


def _problems(source: Source, world: World) -> Iterator[Callable[[Record, Request | Rejected], None]]:
    tell = world.on_problem
    if tell is None:
        return

    def hear(_: Record, work: Request | Rejected) -> None:
        if isinstance(work, Rejected):
            tell(source.name, work)

    yield hear
