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
from uploader.rate.concurrency import Crowd, Departure
from uploader.rate.estimated_limit import LowerLimit
from uploader.rate.events import Lowered, Notice, Paused, Stalled, local_time
from uploader.rate.other_clients import Others
from uploader.rate.rate import Pace
from uploader.rate.server_window import Window
from uploader.stop import Halt, Halted

T = TypeVar("T")

_LOG: Final = logging.getLogger("uploader.rate")

_WARY: Final = 4
"""So many may be in flight while the service may be out."""

_GLANCE: Final = 0.05
"""Seconds after which those who wait for others to land look again: how many may be in flight changes with time."""


_LONG: Final = 30.0
"""A pause of so many seconds is told to people."""

_HANDFUL_SECONDS: Final = 0.01
"""So long what is left of a handful may be used: how many may be in flight, and how fast, changes with time."""


class Place(Protocol):
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

    def take(self, *, rate: float, burst: int, most: int) -> Place:
        """Take the next place of a bucket of this *rate* (a second) and *burst*; up to *most* that may go at once."""
        ...

    def hold(self, until: float) -> None:
        """Let no run go before *until*."""
        ...

    def land(self) -> None:
        """Take note that a request has its reply."""
        ...


class Limiter:
    """The one gate that every attempt passes, one after another; whoever passed tells it the reply (`land`).

    In this order: nobody passes while a hold lasts; one alone passes as a probe after it, or when in doubt; no more
    than the latency asks for are in flight; aiolimiter's bucket keeps this process, and *quota* all processes, to the
    pace; and the window, where the service tells its state, has the last word.
    """

    def __init__(  # noqa: PLR0913 — what decides about a request's going, each asked for by name
        self,
        pace: Pace,
        *,
        window: Window,
        quota: Quota,
        halt: Halt,
        clock: Clock,
        on_others: Callable[[Others], None] = lambda _: None,
        on_notice: Callable[[Notice], None] = lambda _: None,
        lower: LowerLimit | None = None,
        patience: float = math.inf,
    ) -> None:
        """Size the bucket by *pace*; *on_others* hears once of others' requests.

        *on_notice* hears what people are told of the pace; what goes wrong with that is nobody's trouble. *lower*
        learns the real limit where the replies tell nothing of the window. *patience* is how long the hold of another
        run, or of one before, may last: one that is longer ends this run.
        """
        self._pace = pace
        self._window = window
        self._quota = quota
        self._halt = halt
        self._clock = clock.monotonic
        self._sleep = clock.sleep
        self._on_others: Callable[[Others], None] | None = on_others
        self._on_notice = on_notice
        self._lower = lower
        self._refusals = 0
        self._wall = clock.wall
        self._patience = patience
        self._told_until = float("-inf")
        self._is_pace_told = False
        self._is_stall_told = False
        self._is_lowering_told = False
        # The window's state may ask for a little more than the pace; it is the quota that keeps to the letter.
        self._bucket = AsyncLimiter(pace.burst, pace.refill / 1.25)
        self._turnstile = asyncio.Lock()
        self._crowd = Crowd(pace.concurrency)
        self._landed = asyncio.Event()
        self._held_until = float("-inf")
        self._held = 0.0
        self.in_doubt = False
        """Whether it is not known if the service is there, or lets us: one alone may go until it is trusted again."""
        self._probe: Departure | None = None
        self._wary = False
        # What is left of a handful, until when, and how many may be in flight with it.
        self._left = 0
        self._left_until = float("-inf")
        self._room = 0
        self._unused = 0

    def pass_at_once(self) -> Departure | None:
        """Return the right to make one request where that needs no wait: a place of the last handful is left, and free.

        None says nothing but that `pass_through` must be asked, and waited for.
        """
        if not self._left or self._turnstile.locked() or self._halt.reason is not None:
            return None
        now = self._clock()
        if now >= self._left_until or self._crowd.count >= self._room:
            return None
        if self._window.is_trusted and self._window.wait(now, in_flight=self._uncounted()) > 0:
            return None
        self._left -= 1
        return self._depart(now)

    async def pass_through(self) -> Departure:
        """Return when one more request may go; raise Halted when the run is told to stop before that.

        A hold of another run that lasts too long gives the halt, with an OutageError.

        Raises:
            StorageError: the quota's file fails.
        """
        if (at_once := self.pass_at_once()) is not None:
            return at_once
        if self._turnstile.locked():
            await self._halt.wait(self._turnstile.acquire())
        else:
            await self._turnstile.acquire()
        try:
            return await self._pass()
        finally:
            self._turnstile.release()

    async def pass_alone(self) -> Departure:
        """Return when one more request may go, and no other is in flight: nobody goes until this one has landed.

        Raises what `pass_through` raises.
        """
        await self._halt.wait(self._turnstile.acquire())
        try:
            while self._crowd.count:
                await self._wait_for_a_landing()
            self._probe = departure = await self._pass()
            self._left = 0
            return departure
        finally:
            self._turnstile.release()

    async def _pass(self) -> Departure:
        while True:
            if self._halt.given:
                raise Halted
            now = self._clock()
            if self._held_until > now:
                await self._wait(self._held_until - now)
            elif self._must_wait_for_others(now):
                await self._wait_for_a_landing()
            elif (seconds := self._window.wait(now, in_flight=self._uncounted())) > 0:
                self._tell_pause(Paused(seconds, "window"))
                await self._wait(seconds)
            elif self._left and now < self._left_until:
                # Whoever was here before has left it.
                self._left -= 1
                return self._depart(now)
            elif await self._take_places():
                return self._depart(self._clock())

    def _depart(self, now: float) -> Departure:
        self._unused -= 1
        departure = self._crowd.depart(now)
        if self.in_doubt:
            self._probe = departure
        return departure

    def _must_wait_for_others(self, now: float) -> bool:
        return self._probe is not None or not self._crowd.has_room(now, rate=self._rate(now), most=self._most())

    def _most(self) -> int:
        """Return how many requests of this process may be in flight at most."""
        return min(self._part(), _WARY) if self._wary else self._part()

    def _part(self) -> int:
        """Return how many requests of this process may be in flight: its part of what all together may have."""
        return max(1, self._pace.concurrency // self._quota.runs)

    def _uncounted(self) -> int:
        """Return how many requests the service may not have counted yet when it told what is left."""
        others = self._pace.concurrency - self._part() if self._quota.runs > 1 else 0
        return self._crowd.count + others

    def _rate(self, now: float) -> float:
        if self._quota.runs > 1:
            # What the others have in flight is not known: only the pace that allows for it is safe.
            return self._pace.rate
        return self._window.rate(now, in_flight=self._crowd.count, otherwise=self._pace.rate)

    async def _take_places(self) -> bool:
        """Wait for this request's place; return whether it may go, or has to look again.

        Where it need not wait, and the rate is high, those that come right behind it may have theirs at once.
        """
        await self._through_bucket(1)
        while True:
            now = self._clock()
            rate = self._rate(now)
            place = self._quota.take(rate=rate, burst=self._pace.burst, most=self._handful())
            self._unused += place.taken
            self._tell_stall()
            if not place.taken and place.wait > _GLANCE:
                self._join_hold(place.wait)
            elif place.wait > 0:
                self._tell_slow_pace(place.wait)
                await self._wait(place.wait)
            if place.taken > 1:
                await self._through_bucket(place.taken - 1)
            # A hold may have begun meanwhile.
            if self._held_until > self._clock():
                return False
            if place.taken:
                self._left = place.taken - 1
                self._left_until = now + _HANDFUL_SECONDS
                self._room = self._crowd.bound(now, rate=rate, most=self._most())
                return True

    async def _through_bucket(self, requests: int) -> None:
        if self._bucket.has_capacity(requests):
            await self._bucket.acquire(requests)
        else:
            await self._halt.wait(self._bucket.acquire(requests))

    def _handful(self) -> int:
        """Return how many places to take at once: one when in doubt, and one where the pace is a usual one."""
        return 1 if self.in_doubt or self._wary else self._pace.handful

    def _join_hold(self, seconds: float) -> None:
        """Hold with another run, or on behalf of one before, that has met the limit."""
        if seconds > self._patience:
            until = local_time(seconds, now=self._wall())
            self._halt.give(
                OutageError(
                    "Stopped: another run has met the service's limit, and nobody may send for "
                    f"{seconds:,.0f} s (until {until}), longer than retry.outage_timeout ({self._patience:g} s). "
                    "Run again after that to continue."
                )
            )
            raise Halted
        _LOG.info("everybody waits %.1f s: another run has met the limit", seconds)
        self._tell_pause(Paused(seconds, "another run"))
        self.hold(seconds)

    def land(self, departure: Departure, reply: Reply | None) -> None:
        """Take note that the request of *departure* has landed with *reply*; None: it was abandoned.

        Raises:
            StorageError: the quota's file fails; by then all else has been noted.
        """
        now = self._clock()
        self._crowd.land(departure, now)
        if self._probe is departure:
            self._probe = None
        if isinstance(reply, Answer):
            counted = self._quota.granted - self._unused - self._crowd.count
            if reply.window.remaining is None and self._lower is not None:
                self._learn_limit(self._lower, now, counted, departure, refused=reply.is_limit)
            self._window.note(
                reply.window,
                sent=departure.at,
                received=now,
                counted=counted,
                in_flight=self._uncounted(),
                accepted=not reply.is_limit,
            )
        self._landed.set()
        # Words come late, and the quota's file last: whatever becomes of them, the reply is counted.
        tell, others = self._on_others, self._window.others if self._on_others is not None else None
        if others is not None and tell is not None:
            self._on_others = None
            _tell(tell, others)
        if self._pace.rest or self._pace.concurrency == 1:
            self._quota.land()

    def hold(self, seconds: float, *, everybody: bool = False) -> float:
        """Let nobody go for *seconds* from now on, of several holds the longest; return how many more that is.

        After it one goes alone, as a probe. *everybody* is whether the other runs of this machine hold as well.

        Raises:
            StorageError: the quota's file fails.
        """
        now = self._clock()
        until = max(self._held_until, now + seconds)
        more = until - max(self._held_until, now)
        self._held += more
        self._held_until = until
        self.in_doubt = True
        self._left = 0
        if everybody:
            self._tell_pause(Paused(until - now, "limit"))
            self._quota.hold(until)
        return more

    def lock_out(self, seconds: float) -> None:
        """Let no run of this machine go for *seconds*, though this one ends; raises StorageError."""
        self._quota.hold(self._clock() + seconds)

    def be_wary(self) -> None:
        """Let only a few go at once until `trust`: the service may be out."""
        self._wary = True
        self._left = 0

    def trust(self) -> None:
        """Let all go again: the service was there."""
        self._wary = False
        self.in_doubt = False
        self._probe = None

    def thin_out(self, departure: Departure) -> bool:
        """Halve how many may be in flight: this machine had no room for the request of *departure*.

        Return False where one at a time is too many already.
        """
        self._left = 0
        return self._crowd.thin_out(departed=departure.at, now=self._clock())

    def until_reset(self) -> float | None:
        """Return in how many seconds the service's window is over for certain; None where that is not known."""
        return self._window.until_reset(self._clock())

    @property
    def is_held(self) -> bool:
        """Whether everybody is being held."""
        return self._held_until > self._clock()

    @property
    def held_seconds(self) -> float:
        """How long everybody was held until now, in seconds."""
        return self._held - max(0.0, self._held_until - self._clock())

    @property
    def pace(self) -> Pace:
        """The pace as it is now: lower than at first where a lower limit was found."""
        return self._pace

    def _learn_limit(self, lower: LowerLimit, now: float, counted: int, departure: Departure, *, refused: bool) -> None:
        """Learn from a reply that tells nothing of the window, and go more slowly where the limit is lower."""
        if not refused:
            lower.note(now, counted - self._refusals)
            return
        self._refusals += 1
        before = lower.requests
        if lower.refused(now, counted - self._refusals, sent=departure.at):
            self._pace = self._pace.scaled(lower.requests / before)
            self._left = 0
            _LOG.info("the service takes about %d requests in a window", lower.requests)
            if not self._is_lowering_told:
                self._is_lowering_told = True
                _tell(self._on_notice, Lowered(lower.requests))

    def _tell_pause(self, pause: Paused) -> None:
        """Tell people of a long pause, once, unless it lasts longer than they know."""
        until = self._clock() + pause.seconds
        if pause.seconds >= _LONG and until > self._told_until + 1:
            self._told_until = until
            _tell(self._on_notice, pause)

    def _tell_slow_pace(self, seconds: float) -> None:
        if seconds >= _LONG and not self._is_pace_told:
            self._is_pace_told = True
            self._tell_pause(Paused(seconds, "pace"))

    def _tell_stall(self) -> None:
        if self._quota.is_stalled and not self._is_stall_told:
            self._is_stall_told = True
            _LOG.info("another process was stopped while it had the quota's file: this run goes on with its own part")
            _tell(self._on_notice, Stalled())

    async def _wait(self, seconds: float) -> None:
        await self._halt.wait(self._sleep(seconds))

    async def _wait_for_a_landing(self) -> None:
        self._landed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GLANCE):
                await self._halt.wait(self._landed.wait())


def _tell(hearer: Callable[[T], None], word: T) -> None:
    """Let *hearer* hear a *word*; what can't be said is dropped."""
    try:
        hearer(word)
    except Exception:  # noqa: BLE001 — whatever goes wrong with a word, no request is lost for it
        _LOG.debug("what people were to hear could not be said")
