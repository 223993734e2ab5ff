"""Check every source: read and map it whole, and send nothing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from uploader.app.check_report import Finding
from uploader.changes.change_detection import Recall
from uploader.check.source_summary import Survey
from uploader.config import Settings
from uploader.counts import Counts
from uploader.model import Record, Rejected, Request
from uploader.rate import Pace
from uploader.run.drift_check import compared, refuse_if_unlike
from uploader.run.environment import World
from uploader.run.fingerprints import key_of, mapping_of, service_of
from uploader.run.flag_conflicts import refuse_double_use
from uploader.run.open_change_detection import library_of, recall_of
from uploader.run.options import Options
from uploader.run.preflight import Job, opened, pace_of, prepare, refuse_if_too_bad, settings_of
from uploader.run.proxy_and_certificates import route_of
from uploader.run.results import Accounts, new_accounts
from uploader.run.safe_callbacks import dropped, dropping
from uploader.source import Source
from uploader.state import PastTotals
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
    findings.extend(Finding(account, Survey(), pace) for account in accounts)
    with Accounts(accounts, summary=options.summary, clock=world.clock.monotonic) as whole, ExitStack() as stack:
        recall = _recall(settings, stack, world)
        for finding in findings:
            account, survey = finding.account, finding.survey
            try:
                source = finding.source = stack.enter_context(opened(account.source, settings, world))
                hears = [*_problems(source, world), *([] if recall is None else [recall.comparing(survey)])]
                job = prepare(source, settings, limit=options.limit, survey=survey, hears=hears)
                account.blank_lines, account.repairs = source.blank_lines, survey.repairs
            finally:
                account.counts = Counts(survey.read, rejected=survey.rejected, not_attempted=survey.sendable)
            told(job, pace)
            refuse_if_too_bad(job, settings)
            if survey.census is not None and not options.full:
                past = PastTotals(settings.state_dir)
                finding.comparison = compared(source.name, key_of(settings, source), survey, settings, past)
                refuse_if_unlike([finding.comparison])
            account.finish()
    return whole.exit_status


def _recall(settings: Settings, stack: ExitStack, world: World) -> Recall | None:
    """Return what is remembered of people, only to be looked at; None where nothing is, or nothing asks for it."""
    service = service_of(settings.api.base_url, settings.api.service_id)
    library = library_of(settings.state_dir, wall=world.clock.wall)
    if not settings.changed_only or not library.has(service):
        return None
    recall = stack.enter_context(
        recall_of(library, service, settings, clock=world.clock, mapping=mapping_of(settings), read_only=True)
    )
    return recall if recall.is_kept else None


def _problems(source: Source, world: World) -> Iterator[Callable[[Record, Request | Rejected], None]]:
    tell = world.on_problem
    if tell is None:
        return

    def hear(_: Record, work: Request | Rejected) -> None:
        if isinstance(work, Rejected):
            tell(source.name, work)

    yield hear
