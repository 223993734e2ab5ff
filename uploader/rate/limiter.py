"""Let requests go at the pace, one as a probe when in doubt, and nobody at all while everybody is held."""

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
from uploader.rate.other_clients import OtherClients
from uploader.rate.request_rate import Pace
from uploader.rate.server_window import ServerWindow
from uploader.stop import Stop, Stopped

T = TypeVar("T")

_LOG: Final = logging.getLogger("uploader.rate")

_MOST_WHEN_WARY: Final = 4
"""So many may be in flight while the service may be out."""

_RECHECK_SECONDS: Final = 0.05
"""Seconds after which those who wait for others to land look again: how many may be in flight changes with time."""


_LONG_PAUSE_SECONDS: Final = 30.0
"""A pause of so many seconds is told to people."""

_HANDFUL_SECONDS: Final = 0.01
"""So long what is left of a handful may be used: how many may be in flight, and how fast, changes with time."""


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
        """How many requests of all runs went so far."""
        ...

    @property
    def is_stalled(self) -> bool:
        """Whether a stopped process keeps the file by which the runs share it."""
        ...

    def take(self, *, rate: float, burst: int, most: int) -> Grant:
        """Take the next place of a bucket of this *rate* (a second) and *burst*; up to *most* that may go at once."""
        ...

    def pause(self, until: float) -> None:
        """Let no run go before *until*."""
        ...

    def mark_answered(self) -> None:
        """Take note that a request has its reply."""
        ...


class Limiter:
    """The one gate that every attempt passes, one after another; whoever passed tells it the reply (`release`).

    In this order: nobody passes while a hold lasts; one alone passes as a probe after it, or when in doubt; no more
    than the latency asks for are in flight; aiolimiter's bucket keeps this process, and *quota* all processes, to the
    pace; and the window, where the service tells its state, has the last word.

    States: closed (all pass); wary (a few at once, since the service may be out); paused until a time; and half-open,
    where one request alone passes as a probe until `close_circuit`.
    """

    def __init__(  # noqa: PLR0913 — what decides about a request's going, each asked for by name
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
        """Size the bucket by *pace*; *on_others* hears once of others' requests.

        *on_notice* hears what people are told of the pace; what goes wrong with that is nobody's trouble.
        *estimated_limit* learns the real limit where the replies tell nothing of the window. *longest_pause* is how
        long the hold of another run, or of one before, may last: one that is longer ends this run.
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
        # The window's state may ask for a little more than the pace; it is the quota that keeps to the letter.
        self._bucket = AsyncLimiter(pace.burst, pace.refill / 1.25)
        self._queue = asyncio.Lock()
        self._concurrency = ConcurrencyLimit(pace.concurrency)
        self._replied = asyncio.Event()
        self._paused_until = float("-inf")
        self._paused_seconds = 0.0
        self.is_half_open = False
        """Whether it is not known if the service is there, or lets us: one alone may go until it is trusted again."""
        self._probe: Permit | None = None
        self._is_wary = False
        # What is left of a handful, until when, and how many may be in flight with it.
        self._granted_ahead = 0
        self._granted_ahead_until = float("-inf")
        self._most_with_granted = 0
        self._unused = 0

    def acquire_now(self) -> Permit | None:
        """Return the right to make one request where that needs no wait: a place of the last handful is left, and free.

        None says nothing but that `acquire` must be asked, and waited for.
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
        """Return when one more request may go; raise Halted when the run is told to stop before that.

        A hold of another run that lasts too long gives the halt, with an OutageError.

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
        """Return when one more request may go, and no other is in flight: nobody goes until this one has landed.

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
                # Whoever was here before has left it.
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
        """Return how many requests of this process may be in flight at most."""
        return min(self._part(), _MOST_WHEN_WARY) if self._is_wary else self._part()

    def _part(self) -> int:
        """Return how many requests of this process may be in flight: its part of what all together may have."""
        return max(1, self._pace.concurrency // self._quota.runs)

    def _uncounted(self) -> int:
        """Return how many requests the service may not have counted yet when it told what is left."""
        others = self._pace.concurrency - self._part() if self._quota.runs > 1 else 0
        return self._concurrency.count + others

    def _rate(self, now: float) -> float:
        if self._quota.runs > 1:
            # What the others have in flight is not known: only the pace that allows for it is safe.
            return self._pace.rate
        return self._window.rate(now, in_flight=self._concurrency.count, otherwise=self._pace.rate)

    async def _take_permits(self) -> bool:
        """Wait for this request's place; return whether it may go, or has to look again.

        Where it need not wait, and the rate is high, those that come right behind it may have theirs at once.
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
            # A hold may have begun meanwhile.
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
        """Return how many places to take at once: one when in doubt, and one where the pace is a usual one."""
        return 1 if self.is_half_open or self._is_wary else self._pace.handful

    def _join_pause(self, seconds: float) -> None:
        """Hold with another run, or on behalf of one before, that has met the limit."""
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
        self.pause(seconds)

    def release(self, permit: Permit, reply: Reply | None) -> None:
        """Take note that the request of *permit* has landed with *reply*; None: it was abandoned.

        Raises:
            StorageError: the quota's file fails; by then all else has been noted.
        """
        now = self._clock()
        self._concurrency.release(permit, now)
        if self._probe is permit:
            self._probe = None
        if isinstance(reply, Answer):
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
        # Words come late, and the quota's file last: whatever becomes of them, the reply is counted.
        tell, others = self._on_others, self._window.others if self._on_others is not None else None
        if others is not None and tell is not None:
            self._on_others = None
            _notify(tell, others)
        if self._pace.rest or self._pace.concurrency == 1:
            self._quota.mark_answered()

    def pause(self, seconds: float, *, everybody: bool = False) -> float:
        """Let nobody go for *seconds* from now on, of several holds the longest; return how many more that is.

        After it one goes alone, as a probe. *everybody* is whether the other runs of this machine hold as well.

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
        if everybody:
            self._announce_pause(Paused(until - now, "limit"))
            self._quota.pause(until)
        return more

    def pause_all_runs(self, seconds: float) -> None:
        """Let no run of this machine go for *seconds*, though this one ends; raises StorageError."""
        self._quota.pause(self._clock() + seconds)

    def become_wary(self) -> None:
        """Let only a few go at once until `close_circuit`: the service may be out."""
        self._is_wary = True
        self._granted_ahead = 0

    def close_circuit(self) -> None:
        """Let all go again: the service was there."""
        self._is_wary = False
        self.is_half_open = False
        self._probe = None

    def reduce_concurrency(self, permit: Permit) -> bool:
        """Halve how many may be in flight: this machine had no room for the request of *permit*.

        Return False where one at a time is too many already.
        """
        self._granted_ahead = 0
        return self._concurrency.reduce(granted_at=permit.at, now=self._clock())

    def until_reset(self) -> float | None:
        """Return in how many seconds the service's window is over for certain; None where that is not known."""
        return self._window.until_reset(self._clock())

    @property
    def is_paused(self) -> bool:
        """Whether everybody is being held."""
        return self._paused_until > self._clock()

    @property
    def paused_seconds(self) -> float:
        """How long everybody was held until now, in seconds."""
        return self._paused_seconds - max(0.0, self._paused_until - self._clock())

    @property
    def pace(self) -> Pace:
        """The pace as it is now: lower than at first where a lower limit was found."""
        return self._pace

    def _learn_limit(
        self, estimated_limit: EstimatedLimit, now: float, counted: int, permit: Permit, *, refused: bool
    ) -> None:
        """Learn from a reply that tells nothing of the window, and go more slowly where the limit is lower."""
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
        """Tell people of a long pause, once, unless it lasts longer than they know."""
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
    """Let *callback* hear a *notice*; what can't be said is dropped."""
    try:
        callback(notice)
    except Exception:  # noqa: BLE001 — whatever goes wrong with a word, no request is lost for it
        _LOG.debug("a message could not be printed")
