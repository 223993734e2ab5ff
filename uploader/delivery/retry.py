"""Deliver one request: attempt it, through the limiter, until it has an outcome."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol, assert_never

from uploader.api import ACCEPTED, SUCCESS
from uploader.clock import Clock, local_time
from uploader.counts import Traffic
from uploader.delivery.firewall_blocks import FirstBlock
from uploader.delivery.reply_judge import ReplyJudge, RowAttempts
from uploader.delivery.retry_policy import (
    Accept,
    Blocked,
    GiveUp,
    NoSocket,
    Reject,
    StopRun,
    Throttled,
    TryAgain,
    Unreachable,
    Verdict,
)
from uploader.errors import OutageError, RefusedError, StorageError
from uploader.model import Answer, Failed, NotNewest, Outcome, Rejected, Reply, Request, Sent, Unsettled
from uploader.rate import CLOSED, Permit
from uploader.rate.limiter import Limiter
from uploader.stop import Stop, Stopped

_LOG: Final = logging.getLogger("uploader.delivery")

_NO_SOCKET_SECONDS: Final = 1.0
"""The longest time, in seconds, that a row waits for a free socket or file."""

_THROTTLED: Final = "the service throttles this run (too many requests)"

_LOST_BEHIND_A_PROXY: Final = frozenset({200, 502, 504, 520, 524})
"""The HTTP statuses of a proxy before the API that has lost the API's answer."""


class InFlightRows(Protocol):
    """Stores which rows are in flight, for the process that resumes the run after this one is killed."""

    def mark(self, row: int) -> None:
        """Store that a request for *row* is sent now; the mark stays until `clear`, or until the row has an outcome."""
        ...

    def clear(self, row: int) -> None:
        """Store that no request for *row* can be applied any more."""
        ...


@dataclass(frozen=True, slots=True)
class AttemptRecords:
    """What is recorded of attempts: rows *in_flight*, the *traffic*, and by *record_pause* the seconds of a pause.

    *record_pause* gets how many seconds more a throttled reply pauses all requests.
    """

    in_flight: InFlightRows
    traffic: Traffic
    record_pause: Callable[[float], None]


class Delivery:
    """Deliver requests for one run: the judge judges each reply; this class waits, retries, pauses or stops.

    What pauses all requests (the rate limit, an unreachable service) is not charged to a row as an attempt. The state
    of the service is the limiter's circuit breaker's.
    """

    def __init__(  # noqa: PLR0913 — the collaborators of an attempt, each asked for by name
        self,
        post: Callable[[Request], Awaitable[Reply]],
        *,
        judge: ReplyJudge,
        limiter: Limiter,
        records: AttemptRecords,
        stop: Stop,
        clock: Clock,
        newest: Callable[[Request], Request | NotNewest] = lambda request: request,
    ) -> None:
        """Use the collaborators.

        *newest* is called before each attempt: it returns the request with only its newest values, or the row's
        outcome if it is not sent.
        """
        self._post = post
        self._judge = judge
        self._limiter = limiter
        self._records = records
        self._stop = stop
        self._clock = clock
        self._newest = newest

    @property
    def outage(self) -> tuple[float, str] | None:
        """Since when (monotonic) the service is out, and why; None while it is not. Throttling is no outage."""
        return self._limiter.breaker.outage

    async def deliver(self, request: Request) -> Outcome | Unsettled:
        """Return the outcome of *request*; Unsettled if the run was stopped before it had one.

        It requests the stop of the run, with its reason: RefusedError if the service refuses every request of this run,
        OutageError if no request was served for the outage timeout, StorageError if the quota can't record a reply.

        Raises:
            StorageError: the quota, or the rows in flight, can't be stored.
        """
        row, judge, limiter, records = request.row.number, self._judge, self._limiter, self._records
        attempts = RowAttempts()
        try:
            while True:
                alone = attempts.block is not None
                at_once = limiter.acquire_now() if limiter.leased.left and not alone else None
                permit = at_once or await limiter.acquire(alone=alone)
                reply: Reply | None = None
                try:
                    newest = self._newest(request)
                    if not isinstance(newest, Request):
                        return replace(newest, attempts=attempts.posted, unsure=attempts.unsure)
                    request = newest
                    records.traffic.requests += 1
                    records.traffic.retries += attempts.posted > 0
                    attempts.posted += 1
                    unsure, attempts.unsure = attempts.unsure, True  # until the reply says otherwise, it may be applied
                    records.in_flight.mark(row)
                    reply = await self._post(request)
                finally:
                    # Also if it was abandoned or cancelled: then it is no longer in flight.
                    try:
                        limiter.release(permit, reply)
                    except StorageError as error:
                        self._stop.request(error)
                if isinstance(reply, Answer) and (reply.status, reply.code) == ACCEPTED:
                    judge.blocked_rows.add_served(permit.at)
                    if not judge.is_calm or limiter.breaker.state is not CLOSED:
                        judge.blocked_rows.add_good_reply()
                        self._recover(permit)
                    return Sent(request, attempts.posted, unsure)
                attempts.unsure = unsure or _may_be_applied(reply)
                verdict = judge.judge(reply, row, attempts, sent=permit.at, now=self._clock.monotonic())
                _LOG.debug("row %d: %s", row, _described(reply))
                self._act_on(verdict, permit)
                if not attempts.unsure:
                    records.in_flight.clear(row)
                outcome = self._outcome(verdict, request, permit, attempts)
                if outcome is not None:
                    return outcome
                if isinstance(verdict, TryAgain | NoSocket):
                    seconds = verdict.seconds if isinstance(verdict, TryAgain) else _NO_SOCKET_SECONDS * judge.jitter()
                    await self._stop.wait(self._clock.sleep(seconds))
        except Stopped:
            return Unsettled(request, attempts.posted, attempts.unsure)

    def _recover(self, permit: Permit) -> None:
        """Record a good reply to the request of *permit*: the service answers again."""
        if self._judge.recover(permit.at, self._clock.monotonic()):
            self._limiter.end_pause()

    def _act_on(self, verdict: Verdict, permit: Permit) -> None:
        """Apply *verdict* on the attempt of *permit* to all requests: recover, pause or stop."""
        limiter = self._limiter
        match verdict:
            case Accept() | Reject():
                self._recover(permit)
            case Throttled(window):
                self._records.traffic.limited += 1
                seconds = limiter.seconds_until_reset(window)
                self._records.record_pause(self._pause(_THROTTLED, seconds, everybody=True))
            case Unreachable(why, advice):
                # Requests that were in flight when the pause started meet the same trouble: they do not prolong it.
                if not limiter.is_paused:
                    self._pause(why, advice=advice)
            case NoSocket(why):
                if not limiter.reduce_concurrency(permit) and not limiter.is_paused:
                    self._pause(why)
            case StopRun(why):
                self._stop.request(RefusedError(f"Stopped: {why} Then run again."))
            case TryAgain() | GiveUp() | Blocked():
                pass
            case _ as never:
                assert_never(never)

    def _outcome(
        self, verdict: Verdict, request: Request, permit: Permit, attempts: RowAttempts
    ) -> Rejected | Failed | None:
        """Return the outcome of *request* by the *verdict* on the attempt of *permit*; None if it is tried again."""
        posted, unsure = attempts.posted, attempts.unsure
        match verdict:
            case Reject(reason, message):
                return Rejected(request.row, request.person, reason, posted, unsure, message=message)
            case GiveUp(reason):
                return Failed(request, reason, posted, unsure)
            case Blocked(reason, what):
                if attempts.block is None:
                    attempts.block = FirstBlock(permit.at, self._clock.monotonic())
                    self._judge.blocked_rows.add_first_block(attempts.block)
                elif self._is_about_row(request.row.number, what, attempts.block):
                    return Rejected(request.row, request.person, reason, posted, unsure)
            case _:
                pass
        return None

    def _is_about_row(self, row: int, what: str, block: FirstBlock) -> bool:
        """Whether *row*, which *what* blocks also alone, may itself be at fault; if the whole run is, stop the run.

        *block* is when the row was first blocked.
        """
        blocked_rows = self._judge.blocked_rows
        if blocked_rows.clears(block):
            return True
        blocked_rows.add_blocked(row, what, block)
        # One request at a time until a good reply, so that few requests are needed to find the cause.
        self._limiter.breaker.probe()
        if blocked_rows.is_run_refused:
            self._stop.request(
                RefusedError(
                    f"Stopped: {blocked_rows.description}, although the service answered rows of this run "
                    "before. Correct api.access_token if it is no longer valid; else ask who runs the service, or a "
                    "firewall or proxy before it, what is wrong with these rows. "
                    f"{blocked_rows.outcome_description} Then run again to resume."
                )
            )
        return not blocked_rows.is_run_refused

    def _pause(self, why: str, seconds: float | None = None, *, advice: str = "", everybody: bool = False) -> float:
        """Pause all requests for *seconds*, else for the next back-off, or stop the run if it lasts too long.

        Return how many seconds that adds to the present pause.
        """
        now, breaker = self._clock.monotonic(), self._limiter.breaker
        seconds = breaker.next_backoff(now) if seconds is None else seconds
        if breaker.outlasts(now, seconds):
            then = "Run again to resume"
            if everybody:
                # So the next run sends no request before the pause is over.
                self._limiter.pause_all_runs(seconds)
                then += f", from {local_time(seconds, now=self._clock.wall())} on"
            self._stop.request(
                OutageError(
                    f"Stopped: {why}, for longer than retry.outage_timeout ({breaker.outage_timeout:g} s). "
                    f"{advice}{' ' if advice else ''}{then}."
                )
            )
            return 0.0
        if not self._limiter.is_paused:
            _LOG.info("all requests wait %.1f s: %s", seconds, why)
        return self._limiter.pause(seconds, why, everybody=everybody)


def _described(reply: Reply) -> str:
    """Return a text for *reply* that holds nothing of the server's own text."""
    if isinstance(reply, Answer):
        return f"HTTP {reply.status}{f', code {reply.code}' if reply.code else ''}"
    return reply.why


def _may_be_applied(reply: Reply) -> bool:
    """Whether the service may have stored the row although *reply* does not say so."""
    if isinstance(reply, Answer):
        return reply.code == SUCCESS or reply.crossed or (not reply.code and reply.status in _LOST_BEHIND_A_PROXY)
    return reply.applied
