"""Give each request its permit: at the pace, to one probe alone while half-open, and to none while paused."""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from aiolimiter import AsyncLimiter

from uploader.clock import Clock
from uploader.errors import OutageError
from uploader.model import Answer, Reply
from uploader.rate.concurrency import ConcurrencyLimit, Permit
from uploader.rate.estimated_limit import EstimatedLimit
from uploader.rate.events import Lowered, Notice, Paused, Stalled, local_time
from uploader.rate.observations import RequestObservations
from uploader.rate.other_clients import OtherClients
from uploader.rate.rate_within_limit import Pace
from uploader.rate.server_window import ServerWindow
from uploader.stop import Stop, Stopped

T = TypeVar("T")

_LOG: Final = logging.getLogger("uploader.rate")

_MOST_WHEN_WARY: Final = 4
"""While the service may be out, this many requests may be in flight."""

_RECHECK_SECONDS: Final = 0.05
"""Seconds after which a request that waits for replies looks again: the bound on those in flight changes with time."""


_LONG_PAUSE_SECONDS: Final = 30.0
"""A pause of at least this many seconds is reported."""

_HANDFUL_SECONDS: Final = 0.01
"""Seconds for which a handful may be used: the rate and the bound on those in flight change with time."""


class Grant(Protocol):
    """Places in the quota, or when to ask again for one."""

    @property
    def wait(self) -> float:
        """Seconds to wait: until the places come, or before asking again."""
        ...

    @property
    def taken(self) -> int:
        """How many places were taken."""
        ...


class Quota(Protocol):
    """The service's quota as all runs of this machine share it; times are seconds of the limiter's clock."""

    @property
    def runs(self) -> int:
        """How many runs share it."""
        ...

    @property
    def granted(self) -> int:
        """How many requests of all runs were granted so far."""
        ...

    @property
    def is_stalled(self) -> bool:
        """Whether a suspended process keeps the lock of the file by which the runs share it."""
        ...

    def take(self, *, rate: float, burst: int, most: int) -> Grant:
        """Take the next place of a bucket of *rate* (a second) and *burst*, or up to *most* that are free now."""
        ...

    def pause(self, until: float) -> None:
        """Let no run send before *until*."""
        ...

    def mark_answered(self) -> None:
        """Record that a request has its reply."""
        ...


class Limiter:
    """Gives each attempt its permit, one after another, and takes it back with the reply (`release`).

    Each attempt has to pass, in this order:

    1. the pause: nothing is sent while it lasts;
    2. the circuit breaker: while it is half-open, one request alone is sent, as a probe;
    3. the bound on requests in flight, which follows the latency;
    4. the service's window, where replies state it;
    5. the pace: aiolimiter's bucket keeps this process to it, and *quota* keeps all processes to it.

    States: closed (all may send); wary (only a few in flight, since the service may be out); paused until a time; and
    half-open, where one request alone is sent as a probe until `close_circuit`.
    """

    def __init__(  # noqa: PLR0913 — what decides when a request is sent, each asked for by name
        self,
        pace: Pace,
        *,
        window: ServerWindow,
        quota: Quota,
        stop: Stop,
        clock: Clock,
        on_others: Callable[[OtherClients], None] = lambda _: None,
        on_notice: Callable[[Notice], None] = lambda _: None,
        estimated_limit: EstimatedLimit | None = None,
        longest_pause: float = math.inf,
    ) -> None:
        """Size the bucket by *pace*; *on_others* is called once, when other clients are seen.

        *on_notice* gets what is reported of the pace; an error in it changes nothing. *estimated_limit* learns the real
        limit where the replies do not state the window. *longest_pause* is how long the pause of another run, or of an
        earlier one, may last: a longer one ends this run.
        """
        self._pace = pace
        self._window = window
        self._quota = quota
        self._stop = stop
        self._clock = clock.monotonic
        self._sleep = clock.sleep
        self._on_others: Callable[[OtherClients], None] | None = on_others
        self._on_notice = on_notice
        self._estimated_limit = estimated_limit
        self._throttled = 0
        self._wall = clock.wall
        self._longest_pause = longest_pause
        self._announced_until = float("-inf")
        self._is_pace_announced = False
        self._is_stall_announced = False
        self._is_lower_limit_announced = False
        # The window's state may allow a little more than the pace; the quota keeps exactly to the pace.
        self._bucket = AsyncLimiter(pace.burst, pace.refill / 1.25)
        self._queue = asyncio.Lock()
        self._concurrency = ConcurrencyLimit(pace.concurrency)
        self._replied = asyncio.Event()
        self._paused_until = float("-inf")
        self._paused_seconds = 0.0
        self.is_half_open = False
        """Whether the service may be out or throttle us, so that one request alone may be sent, as a probe."""
        self._probe: Permit | None = None
        self.observations = RequestObservations()
        self._is_wary = False
        # What is left of a handful, until when it may be used, and how many may be in flight with it.
        self._granted_ahead = 0
        self._granted_ahead_until = float("-inf")
        self._most_with_granted = 0
        self._unused = 0

    def acquire_now(self) -> Permit | None:
        """Return a permit where that needs no wait: a place of the last handful is left and may be used.

        None says only that the caller must await `acquire`.
        """
        if not self._granted_ahead or self._queue.locked() or self._stop.reason is not None:
            return None
        now = self._clock()
        if now >= self._granted_ahead_until or self._concurrency.count >= self._most_with_granted:
            return None
        if self._window.is_trusted and self._window.wait(now, in_flight=self._uncounted()) > 0:
            return None
        self._granted_ahead -= 1
        return self._grant(now)

    async def acquire(self) -> Permit:
        """Return a permit once one more request may be sent; raise Stopped if the run has to stop before that.

        If the pause of another run is too long, the run stops with an OutageError.

        Raises:
            StorageError: the quota's file fails.
        """
        if (at_once := self.acquire_now()) is not None:
            return at_once
        if self._queue.locked():
            await self._stop.wait(self._queue.acquire())
        else:
            await self._queue.acquire()
        try:
            return await self._wait_for_permit()
        finally:
            self._queue.release()

    async def acquire_alone(self) -> Permit:
        """Return a permit once no other request is in flight; the next is granted when this one has its reply.

        Raises what `acquire` raises.
        """
        await self._stop.wait(self._queue.acquire())
        try:
            while self._concurrency.count:
                await self._wait_for_a_reply()
            self._probe = permit = await self._wait_for_permit()
            self._granted_ahead = 0
            return permit
        finally:
            self._queue.release()

    async def _wait_for_permit(self) -> Permit:
        while True:
            if self._stop.is_requested:
                raise Stopped
            now = self._clock()
            if self._paused_until > now:
                await self._wait(self._paused_until - now)
            elif self._must_wait_for_others(now):
                await self._wait_for_a_reply()
            elif (seconds := self._window.wait(now, in_flight=self._uncounted())) > 0:
                self._announce_pause(Paused(seconds, "window"))
                await self._wait(seconds)
            elif self._granted_ahead and now < self._granted_ahead_until:
                # An earlier request took a handful and left this place.
                self._granted_ahead -= 1
                return self._grant(now)
            elif await self._take_permits():
                return self._grant(self._clock())

    def _grant(self, now: float) -> Permit:
        self._unused -= 1
        permit = self._concurrency.grant(now)
        if self.is_half_open:
            self._probe = permit
        return permit

    def _must_wait_for_others(self, now: float) -> bool:
        return self._probe is not None or not self._concurrency.has_room(now, rate=self._rate(now), most=self._most())

    def _most(self) -> int:
        """Return how many requests this process may have in flight."""
        return min(self._part(), _MOST_WHEN_WARY) if self._is_wary else self._part()

    def _part(self) -> int:
        """Return this process's part of the requests that all runs together may have in flight."""
        return max(1, self._pace.concurrency // self._quota.runs)

    def _uncounted(self) -> int:
        """Return how many requests the service may not have counted yet when it stated what is left."""
        others = self._pace.concurrency - self._part() if self._quota.runs > 1 else 0
        return self._concurrency.count + others

    def _rate(self, now: float) -> float:
        if self._quota.runs > 1:
            # What the others have in flight is not known: only the pace that allows for it is safe.
            return self._pace.rate
        return self._window.rate(now, in_flight=self._concurrency.count, otherwise=self._pace.rate)

    async def _take_permits(self) -> bool:
        """Wait for this request's place; return False if a pause has started, so that the caller must look again.

        At a high rate it takes a handful of places if they are free now, so that the next requests need not ask.
        """
        await self._through_bucket(1)
        while True:
            now = self._clock()
            rate = self._rate(now)
            grant = self._quota.take(rate=rate, burst=self._pace.burst, most=self._handful())
            self._unused += grant.taken
            self._announce_stall()
            if not grant.taken and grant.wait > _RECHECK_SECONDS:
                self._join_pause(grant.wait)
            elif grant.wait > 0:
                self._announce_slow_pace(grant.wait)
                await self._wait(grant.wait)
            if grant.taken > 1:
                await self._through_bucket(grant.taken - 1)
            # A pause may have started meanwhile.
            if self._paused_until > self._clock():
                return False
            if grant.taken:
                self._granted_ahead = grant.taken - 1
                self._granted_ahead_until = now + _HANDFUL_SECONDS
                self._most_with_granted = self._concurrency.bound(now, rate=rate, most=self._most())
                return True

    async def _through_bucket(self, requests: int) -> None:
        if self._bucket.has_capacity(requests):
            await self._bucket.acquire(requests)
        else:
            await self._stop.wait(self._bucket.acquire(requests))

    def _handful(self) -> int:
        """Return how many places to take at once: one while wary or half-open, and one at a usual pace."""
        return 1 if self.is_half_open or self._is_wary else self._pace.handful

    def _join_pause(self, seconds: float) -> None:
        """Join the pause of another run, or of an earlier one, that was throttled."""
        if seconds > self._longest_pause:
            until = local_time(seconds, now=self._wall())
            self._stop.request(
                OutageError(
                    "Stopped: another run was throttled, and no request may be sent for "
                    f"{seconds:,.0f} s (until {until}), longer than retry.outage_timeout ({self._longest_pause:g} s). "
                    "Run again after that to resume."
                )
            )
            raise Stopped
        _LOG.info("all requests wait %.1f s: another run was throttled", seconds)
        self._announce_pause(Paused(seconds, "another run"))
        self.pause(seconds, by_another_run=True)

    def release(self, permit: Permit, reply: Reply | None) -> None:
        """Take back *permit*: its request got *reply*, or was abandoned (None).

        Raises:
            StorageError: the quota's file fails; by then all else is recorded.
        """
        now = self._clock()
        self._concurrency.release(permit, now)
        if self._probe is permit:
            self._probe = None
        if isinstance(reply, Answer):
            self.observations.add_latency(now - permit.at)
            counted = self._quota.granted - self._unused - self._concurrency.count
            if reply.window.remaining is None and self._estimated_limit is not None:
                self._learn_limit(self._estimated_limit, now, counted, permit, refused=reply.is_limit)
            self._window.add_reply(
                reply.window,
                sent=permit.at,
                received=now,
                counted=counted,
                in_flight=self._uncounted(),
                accepted=not reply.is_limit,
            )
        self._replied.set()
        # Callbacks come late, and the quota's file last: if they fail, the reply is counted already.
        tell, others = self._on_others, self._window.others if self._on_others is not None else None
        if others is not None and tell is not None:
            self._on_others = None
            _notify(tell, others)
        if self._pace.rest or self._pace.concurrency == 1:
            self._quota.mark_answered()

    def pause(self, seconds: float, *, everybody: bool = False, by_another_run: bool = False) -> float:
        """Send nothing for *seconds* from now on; return how many seconds that adds to the present pause.

        Of several pauses the longest counts. After it one request alone is sent, as a probe. *everybody* is whether the
        other runs of this machine pause as well, *by_another_run* whether one of them was throttled.

        Raises:
            StorageError: the quota's file fails.
        """
        now = self._clock()
        until = max(self._paused_until, now + seconds)
        more = until - max(self._paused_until, now)
        self._paused_seconds += more
        self._paused_until = until
        self.is_half_open = True
        self._granted_ahead = 0
        self.observations.begin_pause("throttled" if everybody or by_another_run else "outage", now)
        if everybody:
            self._announce_pause(Paused(until - now, "limit"))
            self._quota.pause(until)
        return more

    def pause_all_runs(self, seconds: float) -> None:
        """Let no run of this machine send for *seconds*, though this one ends; raises StorageError."""
        self._quota.pause(self._clock() + seconds)

    def become_wary(self) -> None:
        """Let only a few requests be in flight until `close_circuit`: the service may be out."""
        self._is_wary = True
        self._granted_ahead = 0

    def close_circuit(self) -> None:
        """Let all requests be sent again: the service has answered."""
        self._is_wary = False
        self.is_half_open = False
        self._probe = None
        self.observations.end_pause(self._clock())

    def reduce_concurrency(self, permit: Permit) -> bool:
        """Halve how many may be in flight: this machine had no socket or file for the request of *permit*.

        Return False where even one at a time is too many.
        """
        self._granted_ahead = 0
        return self._concurrency.reduce(granted_at=permit.at, now=self._clock())

    def until_reset(self) -> float | None:
        """Return in how many seconds the service's window is certainly over; None where that is not known."""
        return self._window.until_reset(self._clock())

    @property
    def is_paused(self) -> bool:
        """Whether sending is paused."""
        return self._paused_until > self._clock()

    @property
    def paused_seconds(self) -> float:
        """How long sending was paused so far, in seconds."""
        return self._paused_seconds - max(0.0, self._paused_until - self._clock())

    @property
    def window(self) -> ServerWindow:
        """The service's window, as far as its replies state it."""
        return self._window

    @property
    def pace(self) -> Pace:
        """The pace as it is now: lower than at first where a lower limit was found."""
        return self._pace

    def _learn_limit(
        self, estimated_limit: EstimatedLimit, now: float, counted: int, permit: Permit, *, refused: bool
    ) -> None:
        """Learn from a reply that does not state the window, and slow down where the limit is lower."""
        if not refused:
            estimated_limit.add_accepted(now, counted - self._throttled)
            return
        self._throttled += 1
        before = estimated_limit.requests
        if estimated_limit.add_throttled(now, counted - self._throttled, sent=permit.at):
            self._pace = self._pace.scaled(estimated_limit.requests / before)
            self._granted_ahead = 0
            _LOG.info("the service takes about %d requests in a window", estimated_limit.requests)
            if not self._is_lower_limit_announced:
                self._is_lower_limit_announced = True
                _notify(self._on_notice, Lowered(estimated_limit.requests))

    def _announce_pause(self, pause: Paused) -> None:
        """Report a long pause once, and again only if it lasts longer than reported."""
        until = self._clock() + pause.seconds
        if pause.seconds >= _LONG_PAUSE_SECONDS and until > self._announced_until + 1:
            self._announced_until = until
            _notify(self._on_notice, pause)

    def _announce_slow_pace(self, seconds: float) -> None:
        if seconds >= _LONG_PAUSE_SECONDS and not self._is_pace_announced:
            self._is_pace_announced = True
            self._announce_pause(Paused(seconds, "pace"))

    def _announce_stall(self) -> None:
        if self._quota.is_stalled and not self._is_stall_announced:
            self._is_stall_announced = True
            _LOG.info("another process is suspended and holds the quota's lock: this run continues with its own part")
            _notify(self._on_notice, Stalled())

    async def _wait(self, seconds: float) -> None:
        await self._stop.wait(self._sleep(seconds))

    async def _wait_for_a_reply(self) -> None:
        self._replied.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RECHECK_SECONDS):
                await self._stop.wait(self._replied.wait())


def _notify(callback: Callable[[T], None], notice: T) -> None:
    """Call *callback* with *notice*; an error in it is dropped."""
    try:
        callback(notice)
    except Exception:  # noqa: BLE001 — no request may be lost for a message
        _LOG.debug("a message could not be printed")
