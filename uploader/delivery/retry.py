"""Deliver one request: attempt it, through the limiter, until it has an outcome."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, assert_never

from uploader.api import SUCCESS
from uploader.clock import Clock
from uploader.counts import Traffic
from uploader.delivery.firewall_blocks import BlockedRows, FirstBlock
from uploader.delivery.outage_detection import OutageDetector
from uploader.delivery.retry_policy import (
    Accept,
    Blocked,
    GiveUp,
    NoSocket,
    Reject,
    RetryPolicy,
    StopRun,
    Throttled,
    TryAgain,
    Unreachable,
    Verdict,
    accepts,
    proves,
)
from uploader.errors import OutageError, RefusedError, StorageError
from uploader.model import (
    Answer,
    Failed,
    NotNewest,
    Outcome,
    Rejected,
    Reply,
    Request,
    Sent,
    Unsettled,
    WindowState,
)
from uploader.rate import Permit, local_time, pause_after_throttling
from uploader.rate.limiter import Limiter
from uploader.stop import Stop, Stopped

_LOG: Final = logging.getLogger("uploader.delivery")

_LONGEST_BACKOFF: Final = 60.0
"""The longest pause, in seconds, between attempts to reach an unreachable service; pauses start at 1 s and double."""

_LEAST_PAUSE: Final = 0.05
"""The shortest pause, in seconds, at the end of a window."""

_NO_SOCKET_SECONDS: Final = 1.0
"""The longest time, in seconds, that a row waits for a free socket or file."""

_THROTTLED: Final = "the service throttles this run (too many requests)"

_ROUNDING: Final = 0.001
"""The tolerance, in seconds, of a pause that ends exactly with the outage timeout."""

_LOST_BEHIND_A_PROXY: Final = frozenset({200, 502, 504, 520, 524})
"""The HTTP statuses of a proxy before the API that has lost the API's answer."""


@dataclass(slots=True)
class _ChargedAttempts:
    """The *times* of the attempts that are charged to a row, and whether one reply *crossed* its request already."""

    times: list[float] = field(default_factory=list)
    crossed: bool = False


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """How long to pause: *per* is the configured window, *outage_timeout* ends the run; both in seconds."""

    per: float
    outage_timeout: float


class InFlightRows(Protocol):
    """Stores which rows are in flight, for the process that resumes the run after this one is killed."""

    def mark(self, row: int) -> None:
        """Store that a request for *row* is sent now; the mark stays until `clear`, or until the row has an outcome."""
        ...

    def clear(self, row: int) -> None:
        """Store that no request for *row* can be applied any more."""
        ...


class Delivery:
    """Deliver requests for one run: the policy judges each reply; this class waits, retries, pauses or stops.

    What pauses all requests (the rate limit, an unreachable service) is not charged to a row as an attempt.

    States, by the latest replies: closed (all is well); in trouble since a time (all requests pause, each time for
    longer); and stopped, once that has lasted for the outage timeout.
    """

    def __init__(  # noqa: PLR0913 — the collaborators of an attempt, each asked for by name
        self,
        post: Callable[[Request], Awaitable[Reply]],
        *,
        policy: RetryPolicy,
        limiter: Limiter,
        in_flight: InFlightRows,
        wait_limits: WaitLimits,
        traffic: Traffic,
        stop: Stop,
        clock: Clock,
        jitter: Callable[[], float],
        record_pause: Callable[[float], None],
        most_rows: int,
        on_suspected_outage: Callable[[], None] = lambda: None,
        blocked_rows: BlockedRows | None = None,
        newest: Callable[[Request], Request | NotNewest] = lambda request: request,
    ) -> None:
        """Use the collaborators; *jitter* gives 0 to 1.

        *most_rows* is how many rows may be delivered at once. *record_pause* gets how many seconds more a throttled
        reply pauses all requests. *on_suspected_outage* is called when bad replies may be the service's fault: the more
        rows are in delivery, the sooner that is known. *blocked_rows* counts blocked rows for all sources of the
        command. *newest* is called before each attempt: it returns the request with only its newest values, or the
        row's outcome if it is not sent.
        """
        self._newest = newest
        self._post = post
        self._policy = policy
        self._limiter = limiter
        self._in_flight = in_flight
        self._wait_limits = wait_limits
        self._traffic = traffic
        self._stop = stop
        self._sleep = clock.sleep
        self._clock = clock.monotonic
        self._wall = clock.wall
        self._jitter = jitter
        self._record_pause = record_pause
        self._outages = OutageDetector(most_rows)
        self._on_suspected_outage = on_suspected_outage
        self._blocked_rows = blocked_rows or BlockedRows()
        # Whether the latest reply was good, and no trouble is left. It starts as False: the delivery of an earlier
        # source may have left the limiter in trouble.
        self._is_circuit_closed = False
        self._trouble_since: float | None = None
        self._trouble = ""
        self._paused_at = float("-inf")
        self._backoff = 1.0

    @property
    def outage(self) -> str | None:
        """Why no request is served now; None if the service answers, or only throttles the run."""
        return None if self._trouble_since is None or self._trouble == _THROTTLED else self._trouble

    async def deliver(self, request: Request) -> Outcome | Unsettled:
        """Return the outcome of *request*; Unsettled if the run was stopped before it had one.

        It requests the stop of the run, with its reason: RefusedError if the service refuses every request of this run,
        OutageError if no request was served for the outage timeout, StorageError if the quota can't record a reply.

        Raises:
            StorageError: the quota, or the rows in flight, can't be stored.
        """
        row = request.row.number
        charges = _ChargedAttempts()
        posted, unsure = 0, False
        block: FirstBlock | None = None  # once it was blocked, it is sent alone
        try:
            while True:
                permit = (
                    await self._limiter.acquire_alone()
                    if block is not None
                    else self._limiter.acquire_now() or await self._limiter.acquire()
                )
                left = self._still_newest(request, permit)
                if not isinstance(left, Request):
                    return replace(left, attempts=posted, unsure=unsure)
                request = left
                posted += 1
                self._traffic.requests += 1
                self._traffic.retries += posted > 1
                unsure_before, unsure = unsure, True  # until the reply says otherwise, it may be applied
                reply: Reply | None = None
                try:
                    self._in_flight.mark(row)
                    reply = await self._post(request)
                finally:
                    # Also if it was abandoned or cancelled: then it is no longer in flight.
                    self._release(permit, reply)
                if accepts(reply):
                    self._blocked_rows.add_served(permit.at)
                    if not self._is_circuit_closed or self._limiter.is_half_open:
                        self._blocked_rows.add_good_reply()
                        self._recover(permit.at)
                    return Sent(request, posted, unsure_before)
                self._is_circuit_closed = False
                unsure = unsure_before or _may_be_applied(reply)
                verdict = self._judge(reply, request, permit, charges)
                self._act_on(verdict, permit)
                if not unsure:
                    self._in_flight.clear(row)
                match verdict:
                    case Reject() | GiveUp():
                        return _given_up(verdict, request, posted, unsure=unsure)
                    case Blocked(reason, what):
                        if block is not None and self._is_about_row(row, what, block):
                            return Rejected(request.row, request.person, reason, posted, unsure)
                        block = block or self._first_block(permit)
                    case _:
                        await self._wait_after(verdict)
        except Stopped:
            return Unsettled(request, posted, unsure)

    def _still_newest(self, request: Request, permit: Permit) -> Request | NotNewest:
        """Return *request* with only its newest values; or its outcome, and then release *permit*."""
        left: Request | NotNewest | None = None
        try:
            left = self._newest(request)
        finally:
            if not isinstance(left, Request):
                self._release(permit, None)
        return left

    def _release(self, permit: Permit, reply: Reply | None) -> None:
        """Release *permit*; if the limiter can't store that, stop the run, but keep the *reply*."""
        try:
            self._limiter.release(permit, reply)
        except StorageError as error:
            self._stop.request(error)

    async def _wait_after(self, verdict: Verdict) -> None:
        """Wait as long as *verdict* asks; raises Stopped if the run is stopped before that."""
        match verdict:
            case TryAgain(seconds):
                await self._stop.wait(self._sleep(seconds))
            case NoSocket():
                await self._stop.wait(self._sleep(_NO_SOCKET_SECONDS * self._jitter()))
            case _:
                pass

    def _judge(self, reply: Reply, request: Request, permit: Permit, charges: _ChargedAttempts) -> Verdict:
        """Judge *reply*, and charge the attempt to the row if it may be at fault; one crossed reply is not charged."""
        if charges.times:
            charges.times = [at for at in charges.times if not self._outages.excuses(at)]
        if proves(reply):
            self._blocked_rows.add_served(permit.at)
            self._blocked_rows.add_good_reply()
        proven = self._blocked_rows.is_proven
        verdict = self._policy.judge(reply, attempt=len(charges.times) + 1, jitter=self._jitter(), proven=proven)
        _LOG.debug("row %d: %s", request.row.number, _described(reply))
        if isinstance(reply, Answer) and reply.crossed and not charges.crossed:
            # A second one is charged: the row itself may take too long.
            charges.crossed = True
            return TryAgain(0.0)
        if isinstance(verdict, TryAgain | GiveUp) or (isinstance(verdict, Blocked) and verdict.outage):
            now = self._clock()
            self._outages.add_bad_reply(request.row.number, now)
            if self._outages.is_suspected:
                self._limiter.become_wary()
                self._on_suspected_outage()
            if self._outages.is_outage:
                return Unreachable(verdict.outage if isinstance(verdict, Blocked) else verdict.why)
            charges.times.append(now)
        return verdict

    def _act_on(self, verdict: Verdict, permit: Permit) -> None:
        """Apply *verdict* on the attempt of *permit* to all requests: recover, pause or stop."""
        match verdict:
            case Accept() | Reject():
                self._recover(permit.at)
            case Throttled(window):
                self._traffic.limited += 1
                self._record_pause(self._pause(self._pause_until_reset(window), _THROTTLED, everybody=True))
            case Unreachable(why, advice):
                # Requests that were in flight when the pause started meet the same trouble: they do not prolong it.
                if not self._limiter.is_paused:
                    self._pause(self._next_backoff(), why, advice=advice)
            case NoSocket(why):
                if not self._limiter.reduce_concurrency(permit) and not self._limiter.is_paused:
                    self._pause(self._next_backoff(), why)
            case StopRun(why):
                self._stop.request(RefusedError(f"Stopped: {why} Then run again."))
            case TryAgain() | GiveUp() | Blocked():
                pass
            case _ as never:
                assert_never(never)

    def _first_block(self, permit: Permit) -> FirstBlock:
        """Record that the attempt of *permit* was blocked, the first time for this row."""
        block = FirstBlock(permit.at, self._clock())
        self._blocked_rows.add_first_block(block)
        return block

    def _is_about_row(self, row: int, what: str, block: FirstBlock) -> bool:
        """Whether *row*, which *what* blocks also alone, may itself be at fault; if the whole run is, stop the run.

        *block* is when the row was first blocked.
        """
        if self._blocked_rows.clears(block):
            return True
        self._blocked_rows.add_blocked(row, what, block)
        # One request at a time until a good reply, so that few requests are needed to find the cause.
        self._limiter.is_half_open = True
        if self._blocked_rows.is_run_refused:
            self._stop.request(
                RefusedError(
                    f"Stopped: {self._blocked_rows.description}, although the service answered rows of this run "
                    "before. Correct api.access_token if it is no longer valid; else ask who runs the service, or a "
                    "firewall or proxy before it, what is wrong with these rows. "
                    f"{self._blocked_rows.outcome_description} Then run again to resume."
                )
            )
        return not self._blocked_rows.is_run_refused

    def _pause_until_reset(self, window: WindowState) -> float:
        """Return how long to pause after a throttled reply: as a proxy asks, else until the window is over."""
        known = self._limiter.until_reset()
        if window.retry_after is not None or known is None:
            return pause_after_throttling(window, per=self._wait_limits.per, now=self._wall())
        return max(known, _LEAST_PAUSE)

    def _recover(self, began: float) -> None:
        """Record that the service answered an attempt that *began* then."""
        if began > self._paused_at:
            self._is_circuit_closed = not self._blocked_rows.is_unresolved
            self._trouble_since = None
            self._backoff = 1.0
            self._outages.add_good_reply(self._clock())
            if not self._blocked_rows.is_unresolved:
                # Else it may not be the service that answered: one request at a time until a reply proves it.
                self._limiter.close_circuit()
        elif self._trouble_since is not None:
            # It was in flight when the last pause started, and proves nothing about the time since.
            self._trouble_since = max(self._trouble_since, began)

    def _next_backoff(self) -> float:
        """Return the next pause in seconds: twice the last one, but no longer than the outage timeout allows."""
        seconds = self._backoff
        self._backoff = min(_LONGEST_BACKOFF, seconds * 2)
        if self._trouble_since is None:
            return seconds
        left = self._trouble_since + self._wait_limits.outage_timeout - self._clock()
        return min(seconds, left) if left > _ROUNDING else seconds

    def _pause(self, seconds: float, why: str, *, advice: str = "", everybody: bool = False) -> float:
        """Pause all requests for *seconds* and return how many more that is, or stop the run if it lasts too long."""
        now = self._clock()
        if self._trouble_since is None:
            self._trouble_since = now
        self._trouble = why
        if now + seconds - self._trouble_since > self._wait_limits.outage_timeout + _ROUNDING:
            then = "Run again to resume"
            if everybody:
                # So the next run sends no request before the pause is over.
                self._limiter.pause_all_runs(seconds)
                then += f", from {local_time(seconds, now=self._wall())} on"
            longest = self._wait_limits.outage_timeout
            self._stop.request(
                OutageError(
                    f"Stopped: {why}, for longer than retry.outage_timeout ({longest:g} s). "
                    f"{advice}{' ' if advice else ''}{then}."
                )
            )
            return 0.0
        if not self._limiter.is_paused:
            _LOG.info("all requests wait %.1f s: %s", seconds, why)
        self._paused_at = now
        return self._limiter.pause(seconds, everybody=everybody)


def _given_up(verdict: Reject | GiveUp, request: Request, attempts: int, *, unsure: bool) -> Rejected | Failed:
    if isinstance(verdict, Reject):
        return Rejected(request.row, request.person, verdict.reason, attempts, unsure, message=verdict.message)
    return Failed(request, verdict.reason, attempts, unsure)


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
