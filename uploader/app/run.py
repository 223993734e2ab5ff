"""Check every source, then send what the check found sendable."""

import asyncio
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace

import uvloop

from uploader.coalesce.same_person import Ties
from uploader.delivery.rows_to_resend import FollowUp
from uploader.rate.open_file_limit import refuse_too_few
from uploader.run.connection import wired
from uploader.run.endings import Endings
from uploader.run.environment import World
from uploader.run.fingerprints import mapping_of, service_of
from uploader.run.flag_conflicts import refuse_double_use
from uploader.run.open_change_detection import library_of, recall_of
from uploader.run.options import Options
from uploader.run.pending_retries import with_leftovers
from uploader.run.plan import Desk, Sending
from uploader.run.preflight import pace_of, refuse_if_too_bad, settings_of
from uploader.run.proxy_and_certificates import Route, route_of
from uploader.run.results import Account, Accounts, new_accounts
from uploader.run.safe_callbacks import between_steps, dropping
from uploader.run.sandbox_dry_run import sandbox_for, state_in, throwaway_folder
from uploader.run.source_run import beside, send
from uploader.sandbox import Report, serve
from uploader.state import Shelf
from uploader.stop import Halt


@dataclass(slots=True)
class Result:
    """What a run has to tell: the account of each source, and what the sandbox saw of a rehearsal."""

    accounts: list[Account]
    sandbox: Report | None = None
    exit_status: int = 0


def run(options: Options, world: World, result: Result) -> None:
    """Check every source, then send them in their order; *result* holds what is known, also when this raises.

    Raises:
        UploaderError: the run's trouble; its exit status is the run's.
    """
    world = dropping(world)
    refuse_double_use(options)
    settings = settings_of(options, world, credentials=not options.sandbox)
    route = Route() if options.sandbox else route_of(settings, world.environ)
    if world.on_route is not None and not options.sandbox:
        world.on_route(route)
    with ExitStack() as stack:
        folder = stack.enter_context(throwaway_folder()) if options.sandbox else None
        shelf = Shelf(settings.state_dir if folder is None else state_in(folder))
        if settings.retry_last_failures and options.limit is None:
            options = with_leftovers(options, settings, shelf)
        result.accounts.extend(new_accounts(options))
        recall = recall_of(
            library_of(shelf.state, wall=world.clock.wall, raise_if_stopped=world.raise_if_stopped),
            service_of(settings.api.base_url, settings.api.service_id),
            settings,
            clock=world.clock,
            mapping=mapping_of(settings),
        )
        stack.enter_context(recall)
        endings = stack.enter_context(Endings(shelf, journal_days=settings.journal_days))
        with Accounts(result.accounts, summary=options.summary, clock=world.clock.monotonic) as accounts:
            # Rows that name a person by one field only are joined by nothing but that.
            ties = stack.enter_context(Ties(shelf.state)) if len(settings.rules().identity) > 1 else None
            desk = Desk(options, settings, world, shelf, folder, stack, FollowUp(), recall, ties)
            sendings = [desk.checked(account) for account in result.accounts]
            for sending in sendings:
                if world.on_checked is not None:
                    world.on_checked(sending.job.source.name, sending.job.survey)
                refuse_if_too_bad(sending.job, settings)
            desk.tied(sendings)
            sendings = desk.decided(sendings)
            result.accounts[:] = [sending.account for sending in sendings]
            desk.refuse_unlike(sendings)
            if options.deadline is not None:
                options.deadline.refuse_if_over()
                if not world.quiet:
                    world.say(options.deadline.forecast(sum(map(_to_send, sendings)), pace_of(settings)))
            if any(sending.job.survey.read for sending in sendings):
                sendings = desk.numbered(sendings)
                desk.prune(sendings)
                refuse_too_few(sandbox=options.sandbox)
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(_send_all(sendings, desk, route, endings, result))
            else:
                for account in result.accounts:
                    account.finish()
        result.exit_status = accounts.exit_status


def _to_send(sending: Sending) -> int:
    """Return how many rows of *sending* are still to be sent, at most."""
    survey = sending.job.survey
    unchanged = 0 if survey.changed is None or sending.begun.full else survey.known - survey.changed
    return min(survey.sendable - unchanged, sending.account.counts.not_attempted)


async def _send_all(sendings: list[Sending], desk: Desk, route: Route, endings: Endings, result: Result) -> None:
    settings, halt, desk = desk.settings, Halt(), replace(desk, world=between_steps(desk.world))
    if desk.world.on_halt is not None:
        desk.world.on_halt(halt)
    async with AsyncExitStack() as stack:
        base_url, box = settings.api.base_url, None
        if desk.options.sandbox:
            box = stack.enter_context(sandbox_for(settings, typed=any(s.job.source.format != "csv" for s in sendings)))
            base_url = await stack.enter_async_context(serve(box))
        wiring = wired(settings, base_url=base_url, route=route, shelf=desk.shelf, halt=halt, world=desk.world)
        wire = await stack.enter_async_context(wiring)
        deadline = desk.options.deadline
        try:
            async with beside(*([] if deadline is None else [deadline.keep(halt)])):
                for sending in sendings:
                    if not sending.passed:
                        await send(sending, wire, desk, endings)
        finally:
            result.sandbox = None if box is None else box.report()
