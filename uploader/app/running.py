"""Send what the check found sendable: the one place where all parts of a run meet."""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uvloop

from uploader.app.accounts import Account, Accounts, new_accounts
from uploader.app.checking import (
    Job,
    opened,
    pace_of,
    prepare,
    refuse_double_use,
    refuse_if_too_bad,
    settings_of,
)
from uploader.app.options import Options, World
from uploader.app.places import refuse_taken, retry_path, retry_shape
from uploader.app.rehearsal import sandbox_for, throwaway_folder
from uploader.config import Settings
from uploader.errors import ChangedError, InputError
from uploader.followup import FollowUp
from uploader.halt import Halt
from uploader.model import Outcome, Record, Rejected, Request, Sent, Unsettled, record_of
from uploader.pacing import Pace
from uploader.pipeline import Pipeline
from uploader.policy import Policy
from uploader.sandbox import Report, serve
from uploader.sender import Delivery, Http, Limiter, Patience
from uploader.sinks.progress import Bar, Standing, plain_line
from uploader.sinks.retry_file import Remark, RetryFile
from uploader.survey import Survey
from uploader.tally import Books, Tally

_BAR_SECONDS: Final = 0.5
_LINE_SECONDS: Final = 60.0
_AGAIN: Final = Remark("again", "", "accepted, but an earlier row of the same person was not: send it after that", 0)


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
    refuse_double_use(options)
    settings = settings_of(options, world, credentials=not options.sandbox)
    result.accounts.extend(new_accounts(options))
    with Accounts(result.accounts, summary=options.summary, clock=time.monotonic) as accounts, ExitStack() as stack:
        jobs = [_checked(account, options, settings, world, stack) for account in result.accounts]
        for job in jobs:
            refuse_if_too_bad(job, settings)
        folder = throwaway_folder() if options.sandbox else None
        sendings = [
            _Sending(job, account, stack.enter_context(_retry_file(job, options, settings, folder)))
            for job, account in zip(jobs, result.accounts, strict=True)
        ]
        if any(job.survey.read for job in jobs):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_send_all(sendings, options, settings, world, result))
        else:
            for account in result.accounts:
                account.finish()
    result.exit_status = accounts.exit_status


@dataclass(frozen=True, slots=True)
class _Sending:
    """One source that is about to be sent: its job, its account, its retry file."""

    job: Job
    account: Account
    retry: RetryFile


@dataclass(frozen=True, slots=True)
class _Wire:
    """What all sources of a run share: the stop order, the pace, the gate and the pool of connections."""

    settings: Settings
    halt: Halt
    pace: Pace
    limiter: Limiter
    http: Http

    def delivery(self, account: Account) -> Delivery:
        """Return a delivery that counts into *account*."""
        retry = self.settings.retry
        return Delivery(
            self.http.post,
            policy=Policy(retry.attempts, retry.base, retry.cap),
            limiter=self.limiter,
            patience=Patience(self.settings.rate.per, retry.outage_timeout),
            traffic=account.traffic,
            halt=self.halt,
            sleep=asyncio.sleep,
            clock=time.monotonic,
            wall=time.time,
            dice=random.random,
        )


def _checked(account: Account, options: Options, settings: Settings, world: World, stack: ExitStack) -> Job:
    """Open and survey the source of *account*; what is found is in its books even if it can't be sent."""
    survey = Survey()
    try:
        source = stack.enter_context(opened(account.source, settings, world))
        return prepare(source, settings, limit=options.limit, survey=survey, on_problem=world.on_problem)
    finally:
        account.books = Books(survey.read, not_attempted=survey.read)


def _retry_file(job: Job, options: Options, settings: Settings, folder: Path | None) -> RetryFile:
    path = retry_path(job.source, settings, named=options.retry_file, folder=folder)
    refuse_taken(path, options)
    return RetryFile(path, retry_shape(job.source, damaged=job.survey.damaged > 0))


async def _send_all(
    sendings: list[_Sending], options: Options, settings: Settings, world: World, result: Result
) -> None:
    pace, halt = pace_of(settings), Halt()
    if world.on_halt is not None:
        world.on_halt(halt)
    async with AsyncExitStack() as stack:
        base_url, box = settings.api.base_url, None
        if options.sandbox:
            box = stack.enter_context(sandbox_for(settings, typed=any(s.job.source.format != "csv" for s in sendings)))
            base_url = await stack.enter_async_context(serve(box))
        http = await stack.enter_async_context(_http(settings, base_url, pace))
        limiter = Limiter(pace, halt=halt, clock=time.monotonic, sleep=asyncio.sleep)
        wire = _Wire(settings, halt, pace, limiter, http)
        try:
            for sending in sendings:
                await _send(sending, wire, world)
        finally:
            result.sandbox = None if box is None else box.report()


def _http(settings: Settings, base_url: str, pace: Pace) -> Http:
    return Http(
        base_url=base_url,
        service_id=settings.api.service_id,
        access_token=settings.api.access_token.get_secret_value(),
        timeout=settings.api.timeout,
        connections=pace.concurrency,
        wall=time.time,
    )


async def _send(sending: _Sending, wire: _Wire, world: World) -> None:
    job, account = sending.job, sending.account
    tally, followup, began = Tally(), FollowUp(), time.monotonic()
    held_before = wire.limiter.held_seconds

    def settle(outcome: Outcome | Unsettled) -> None:
        if not isinstance(outcome, Unsettled) and (remark := _remark(outcome, followup)) is not None:
            sending.retry.write(record_of(outcome), remark)
        tally.note(outcome)

    reading, records = job.records()
    works = _works(job, records)
    pipeline = Pipeline(works, deliver=wire.delivery(account).deliver, settle=settle, halt=wire.halt)
    watcher = asyncio.create_task(_watch(sending, tally, wire, world))
    try:
        with reading:
            await pipeline.carry(wire.pace.concurrency)
            if job.fingerprint is not None and reading.fingerprint != job.fingerprint:
                raise ChangedError(
                    f"{job.source.name} changed while it was being sent. Run again with the file as it is now."
                )
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
        read = max(job.survey.read, pipeline.taken)
        account.books = Books(
            read,
            sent=tally.sent,
            rejected=tally.rejected,
            failed=tally.failed,
            not_attempted=pipeline.left_of(read),
        )
        account.problems, account.unsure, account.retry_file = tally.problems, tally.unsure, sending.retry.path
        account.limited_seconds = wire.limiter.held_seconds - held_before
        account.seconds = account.sending_seconds = time.monotonic() - began
    account.finish()


def _works(job: Job, records: Iterator[Record]) -> Iterator[Request | Rejected]:
    """Yield what is to be sent, each request made at the moment at which it is taken."""
    carry = job.plan.carry
    try:
        for record in records:
            now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
            yield carry(record, now)
    except InputError as error:
        # The check has read it to its end, so it is not the file that was checked.
        raise ChangedError(f"{job.source.name} changed while it was being sent: {error}") from None


def _remark(outcome: Outcome, followup: FollowUp) -> Remark | None:
    kind = followup.kind(outcome)
    if kind is None:
        return None
    if isinstance(outcome, Sent):
        return replace(_AGAIN, attempts=outcome.attempts)
    return Remark(kind, outcome.reason.code, outcome.reason.phrase, outcome.attempts)


async def _watch(sending: _Sending, tally: Tally, wire: _Wire, world: World) -> None:
    """Show how far the run is, until cancelled: a bar on a terminal, a line a minute if wanted."""
    name, rate = sending.job.source.name, wire.settings.rate

    def standing() -> Standing:
        return Standing(
            total=sending.job.survey.read,
            settled=tally.settled,
            requests=sending.account.traffic.requests,
            rejected=tally.rejected,
            failed=tally.failed,
            held=wire.limiter.held_seconds,
        )

    if world.terminal is not None:
        limit = rate.requests / rate.per
        with Bar(name, total=standing().total, limit=limit, stream=world.terminal, clock=time.monotonic) as bar:
            while True:
                bar.show(standing())
                await asyncio.sleep(_BAR_SECONDS)
    while world.lines:
        await asyncio.sleep(_LINE_SECONDS)
        world.say(plain_line(name, standing(), rows_per_second=wire.pace.rate))
