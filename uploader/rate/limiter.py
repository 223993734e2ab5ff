"""Give each request its permit, once nothing stands in its way."""

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

from aiolimiter import AsyncLimiter

from uploader.api import ACCEPTED
from uploader.clock import Clock, local_time
from uploader.errors import OutageError
from uploader.model import Answer, Reply, WindowState
from uploader.observations import RequestObservations
from uploader.rate.circuit_breaker import CLOSED, WARY, Breaker
from uploader.rate.concurrency import ConcurrencyLimit, Permit
from uploader.rate.estimated_limit import EstimatedLimit, LearnedPace
from uploader.rate.events import Lowered, Notice, Paused, RateReport, Stalled
from uploader.rate.quota_lease import Lease, LeasedPlaces, Quota
from uploader.rate.rate_within_limit import Pace
from uploader.rate.server_window import ServerWindow
from uploader.rate.wait_when_throttled import pause_after_throttling
from uploader.stop import Stop, Stopped

_LOG: Final = logging.getLogger("uploader.rate")

_MOST_WHEN_WARY: Final = 4
"""While the service may be out, this many requests may be in flight."""

_RECHECK_SECONDS: Final = 0.05
"""Seconds after which a request that waits for replies looks again: the bound on those in flight changes with time."""

_LEASE_SECONDS: Final = 0.01
"""Seconds for which the places of a lease may be used: the rate and the bound on those in flight change with time."""

_LEAST_PAUSE: Final = 0.05
"""The shortest pause, in seconds, at the end of a window."""


class Limiter:
    """Gives each attempt its permit, one after another, and takes it back with the reply (`release`).

    Each attempt asks, in this order, for how many seconds it must wait for

    1. the circuit breaker: a pause, or the one probe that is in flight after it;
    2. the bound on requests in flight, which follows the latency;
    3. the service's window, where replies state it;
    4. the pace: *quota* keeps all processes to it, and aiolimiter's bucket keeps this process near it.

    After each wait all are asked again, so that it waits for the longest of them.

    States: those of the circuit breaker; besides, places of the last lease may be left.
    """

    def __init__(  # noqa: PLR0913 — what decides when a request is sent, each asked for by name
        self,
        pace: Pace,
        *,
        window: ServerWindow,
        quota: Quota,
        stop: Stop,
        clock: Clock,
        on_notice: Callable[[Notice], None] = lambda _: None,
        estimated_limit: EstimatedLimit | None = None,
        outage_timeout: float = math.inf,
    ) -> None:
        """Size the bucket by *pace*; *on_notice* gets what is reported of the rate, and an error in it changes nothing.

        *estimated_limit* learns the real limit where the replies do not state the window. *outage_timeout* is how many
        seconds the run may be without a good reply, and how long a pause of another run may last.
        """
        self._pace = LearnedPace(pace, estimated_limit)
        self._window = window
        self._quota = quota
        self._stop = stop
        self._clock = clock
        self._report = RateReport(on_notice)
        self.breaker = Breaker(outage_timeout)
        # The window's state may allow a little more than the pace; the quota keeps exactly to the pace.
        self._bucket = AsyncLimiter(pace.burst, pace.refill / 1.25)
        self._queue = asyncio.Lock()
        self._concurrency = ConcurrencyLimit(pace.concurrency)
        self._replied = asyncio.Event()
        self.leased = LeasedPlaces()

    def acquire_now(self) -> Permit | None:
        """Return a permit where that needs no wait: a place of the last lease is left and may be used.

        None says only that the caller must await `acquire`.
        """
        leased = self.leased
        if not leased.left or self.breaker.state is not CLOSED or self._queue.locked() or self._stop.reason is not None:
            return None
        now, in_flight = self._clock.monotonic(), self._concurrency.count
        if now >= leased.until or in_flight >= leased.most:
            return None
        if self._window.is_trusted and self._window.wait(now, in_flight=in_flight + self._concurrency.others) > 0:
            return None
        leased.left -= 1
        leased.unused -= 1
        return self._concurrency.grant(now)

    async def acquire(self, *, alone: bool = False) -> Permit:
        """Return a permit once one more request may be sent; raise Stopped if the run has to stop before that.

        If it goes *alone*, no other request is in flight, and one at a time is sent until a good reply. If the pause of
        another run is too long, the run stops with an OutageError.

        Raises:
            StorageError: the quota's file fails.
        """
        leased = self.leased
        if self._queue.locked():
            await self._stop.wait(self._queue.acquire())
        else:
            await self._queue.acquire()
        try:
            while True:
                if self._stop.reason is not None:
                    raise Stopped
                now = self._clock.monotonic()
                if (seconds := self._seconds(now, alone=alone)) > 0:
                    await self._wait(seconds)
                elif (
                    leased.left and now < leased.until and self.breaker.state is CLOSED
                ) or await self._lease_places():
                    return self._grant(alone=alone)
        finally:
            self._queue.release()

    def _seconds(self, now: float, *, alone: bool) -> float:
        """Return for how many seconds to wait before all are asked again; infinity: until a reply, or a moment."""
        return self.breaker.seconds(now) or self._seconds_until_room(now, alone=alone) or self._seconds_of_window(now)

    def _seconds_until_room(self, now: float, *, alone: bool) -> float:
        concurrency, pace = self._concurrency, self._pace.now
        # This process's part of the requests that all runs together may have in flight.
        part = max(1, pace.concurrency // self._quota.runs)
        concurrency.others = pace.concurrency - part
        most = min(part, _MOST_WHEN_WARY) if self.breaker.state is WARY else part
        self.leased.rate = rate = self._rate(now)
        has_room = not concurrency.count if alone else concurrency.has_room(now, rate=rate, most=most)
        return 0.0 if has_room else math.inf

    def _seconds_of_window(self, now: float) -> float:
        seconds = self._window.wait(now, in_flight=self._concurrency.count + self._concurrency.others)
        if seconds > 0:
            self._report.add_pause(Paused(seconds, "window"), now)
        return seconds

    def _rate(self, now: float) -> float:
        if self._concurrency.others:
            # What the others have in flight is not known: only the pace that allows for it is safe.
            return self._pace.now.rate
        return self._window.rate(now, in_flight=self._concurrency.count, otherwise=self._pace.now.rate)

    async def _lease_places(self) -> bool:
        """Wait for a place of bucket and quota; return False if a pause has started, so that all must be asked again.

        At a high rate it leases several places if they are free now, so that the next requests need not ask.
        """
        await self._through_bucket(1)
        leased, pace = self.leased, self._pace.now
        most = pace.handful if self.breaker.state is CLOSED else 1
        while True:
            now = self._clock.monotonic()
            lease = self._quota.lease(rate=leased.rate, burst=pace.burst, most=most)
            if not isinstance(lease, Lease):
                lease = await self._stop.wait(lease)
                now = self._clock.monotonic()
            leased.unused += lease.taken
            if self._quota.is_stalled and self._report.once(Stalled()):
                _LOG.info("another process is suspended and holds the quota's lock: only this run's part is used")
            if not lease.taken and lease.wait > _RECHECK_SECONDS:
                self._join_pause(lease.wait)
            elif lease.wait > 0:
                self._report.add_pause(Paused(lease.wait, "pace"), now)
                await self._wait(lease.wait)
            if lease.taken > 1:
                await self._through_bucket(lease.taken - 1)
            # A pause may have started meanwhile.
            if self.breaker.state is not CLOSED and self.breaker.seconds(self._clock.monotonic()) > 0:
                return False
            if lease.taken:
                leased.left, leased.until = lease.taken, now + _LEASE_SECONDS
                if lease.taken > 1:
                    most = pace.concurrency - self._concurrency.others
                    leased.most = self._concurrency.bound(now, rate=leased.rate, most=most)
                return True

    def _through_bucket(self, requests: int) -> Awaitable[None]:
        passed = self._bucket.acquire(requests)
        return passed if self._bucket.has_capacity(requests) else self._stop.wait(passed)

    def _grant(self, *, alone: bool) -> Permit:
        self.leased.left -= 1
        self.leased.unused -= 1
        permit = self._concurrency.grant(self._clock.monotonic())
        if alone:
            self.breaker.probe()
        if self.breaker.state is not CLOSED:
            self.breaker.add_sent(permit)
        return permit

    def _join_pause(self, seconds: float) -> None:
        """Join the pause of another run, or of an earlier one, that was throttled."""
        longest = self.breaker.outage_timeout
        if seconds > longest:
            until = local_time(seconds, now=self._clock.wall())
            self._stop.request(
                OutageError(
                    "Stopped: another run was throttled, and no request may be sent for "
                    f"{seconds:,.0f} s (until {until}), longer than retry.outage_timeout ({longest:g} s). "
                    "Run again after that to resume."
                )
            )
            raise Stopped
        _LOG.info("all requests wait %.1f s: another run was throttled", seconds)
        now = self._clock.monotonic()
        self._report.add_pause(Paused(seconds, "another run"), now)
        self._report.paused_seconds += self.breaker.open(now, seconds, "another run was throttled", by_reply=False)
        self.observations.begin_pause("throttled", now)

    def release(self, permit: Permit, reply: Reply | None) -> None:
        """Take back *permit*: its request got *reply*, or was abandoned (None).

        Raises:
            StorageError: the quota's file fails; by then all else is recorded.
        """
        now, concurrency, window = self._clock.monotonic(), self._concurrency, self._window
        concurrency.release(permit, now)
        if self.breaker.state is not CLOSED:
            self.breaker.add_reply(permit)
        if isinstance(reply, Answer):
            self.observations.add_latency(now - permit.at)
            counted = self._quota.granted - self.leased.unused - concurrency.count
            accepted = (reply.status, reply.code) == ACCEPTED or not reply.is_limit
            if reply.window.remaining is None:
                self._learn_limit(now, counted, permit, refused=not accepted)
            window.add_reply(
                reply.window,
                sent=permit.at,
                received=now,
                counted=counted,
                in_flight=concurrency.count + concurrency.others,
                accepted=accepted,
            )
        self._replied.set()
        # Notices come late, and the quota's file last: if it fails, the reply is counted already.
        if window.others is not None:
            self._report.once(window.others)
        if self._pace.now.rest or self._pace.now.concurrency == 1:
            self._quota.mark_answered()

    def _learn_limit(self, now: float, counted: int, permit: Permit, *, refused: bool) -> None:
        """Learn from a reply that does not state the window, and slow down where the limit is lower."""
        found = self._pace.add_reply(now, counted, sent=permit.at, refused=refused)
        if found is not None:
            self.leased.left = 0
            _LOG.info("the service takes about %d requests in a window", found)
            self._report.once(Lowered(found))

    def pause(self, seconds: float, why: str = "", *, everybody: bool = False) -> float:
        """Send nothing for *seconds* from now on; return how many seconds that adds to the present pause.

        Of several pauses the longest counts. After it one request alone is sent, as a probe. *everybody* is whether the
        other runs of this machine pause as well; if not, the next pause lasts twice as long.

        Raises:
            StorageError: the quota's file fails.
        """
        now = self._clock.monotonic()
        more = self.breaker.open(now, seconds, why, backs_off=not everybody)
        self._report.paused_seconds += more
        self.observations.begin_pause("throttled" if everybody else "outage", now)
        if everybody:
            left = self.breaker.seconds(now)
            self._report.add_pause(Paused(left, "limit"), now)
            self._quota.pause(now + left)
        return more

    def end_pause(self) -> None:
        """Record that the service answers again, for the report of the run; not while a pause still lasts."""
        now = self._clock.monotonic()
        if not self.breaker.is_open(now):
            self.observations.end_pause(now)

    def pause_all_runs(self, seconds: float) -> None:
        """Let no run of this machine send for *seconds*, though this one ends; raises StorageError."""
        self._quota.pause(self._clock.monotonic() + seconds)

    def reduce_concurrency(self, permit: Permit) -> bool:
        """Halve how many may be in flight: this machine had no socket or file for the request of *permit*.

        Return False where even one at a time is too many.
        """
        self.leased.left = 0
        return self._concurrency.reduce(granted_at=permit.at, now=self._clock.monotonic())

    def seconds_until_reset(self, window: WindowState) -> float:
        """Return how long to pause after a throttled reply that states *window*.

        That is as long as a proxy asks (`Retry-After`), else until the service's window is over.
        """
        known = self._window.until_reset(self._clock.monotonic())
        if window.retry_after is not None or known is None:
            return pause_after_throttling(window, per=self._window.configured, now=self._clock.wall())
        return max(known, _LEAST_PAUSE)

    @property
    def is_paused(self) -> bool:
        """Whether sending is paused."""
        return self.breaker.is_open(self._clock.monotonic())

    @property
    def paused_seconds(self) -> float:
        """How long sending was paused so far, in seconds."""
        now = self._clock.monotonic()
        return self._report.paused_seconds - (self.breaker.seconds(now) if self.breaker.is_open(now) else 0.0)

    @property
    def observations(self) -> RequestObservations:
        """What the report of the run shows of its requests."""
        return self._report.observations

    @property
    def window(self) -> ServerWindow:
        """The service's window, as far as its replies state it."""
        return self._window

    @property
    def pace(self) -> Pace:
        """The pace as it is now: lower than at first where a lower limit was found."""
        return self._pace.now

    def _wait(self, seconds: float) -> Awaitable[None]:
        return self._stop.wait(self._clock.sleep(seconds) if seconds < math.inf else self._reply())

    async def _reply(self) -> None:
        """Wait for a reply, for a moment at most."""
        self._replied.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RECHECK_SECONDS):
                await self._replied.wait()
