"""Send through the pure parts of the gate against a played service, in virtual time: no clock, no sleep, no socket."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.rate.service import Rules, Service
from uploader.model import WindowState
from uploader.rate import ConcurrencyLimit, Pace, Permit, ServerWindow, pace, reserve

STOPPED_SECONDS: Final = 5.0
_TIMER_LATE: Final = 0.0015
_NEAR: Final = 0.002
_GLANCE: Final = 0.01
_KNOWN_AFTER: Final = 3.0
"""Seconds after which we are expected to know what others did, besides the latency."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Another client, that takes *part* of the limit's rate from *begin* to *end*."""

    begin: float
    end: float
    part: float


@dataclass(frozen=True, slots=True)
class Case:
    """One run: the service, what our configuration says of it, the network, and what happens meanwhile."""

    rules: Rules = field(default_factory=Rules)
    configured: int = 1_000
    share: float = 0.95
    burst: int = 16
    concurrency: int = 50
    jitter: float = 0.0
    horizon: float = 300.0
    restarts: tuple[float, ...] = ()
    stops: tuple[float, ...] = ()
    others: tuple[Burst, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """What decides when a request goes; a broken variant replaces one of them."""

    pace: Callable[[Case], Pace] = lambda case: pace(
        requests=case.configured,
        per=case.rules.per,
        share=case.share,
        burst=case.burst,
        concurrency=case.concurrency,
    )
    window: Callable[[Case], ServerWindow] = lambda case: ServerWindow(
        requests=case.configured, per=case.rules.per, share=case.share
    )
    forgets: bool = False
    """Whether a restart forgets how full the bucket is."""


@dataclass(frozen=True, slots=True)
class Count:
    """One whole window: what we used of it, what *others* took, and what was *available* to us."""

    start: float
    mine: int
    others: int
    available: float


@dataclass(frozen=True, slots=True)
class Report:
    """What the service saw of a run.

    *our_overruns* are requests of ours beyond the limit, *overruns* anybody's in the whole windows. *greed* is how many
    more than our share we used at most, though it could be known that others had used the rest.
    """

    windows: tuple[Count, ...]
    our_overruns: int
    overruns: dict[float, int]
    greed: float
    trusted: bool
    others_seen: bool

    @property
    def used(self) -> float:
        """What part of all that was available was used."""
        return sum(window.mine for window in self.windows) / max(1.0, sum(window.available for window in self.windows))


def simulate(case: Case, parts: Parts | None = None) -> Report:
    """Return what the service saw of the run of *case*."""
    return _Simulation(case, parts or Parts()).run()


@dataclass
class _Simulation:
    case: Case
    parts: Parts
    _events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = field(default_factory=list)
    _number: int = 0
    _granted: int = 0
    _life: int = 0
    _asleep_until: float = 0.0
    _others_seen: bool = False

    def __post_init__(self) -> None:
        case = self.case
        self._dice = random.Random(case.seed)  # noqa: S311 — the same run every time
        self._service = Service(case.rules, ours=case.share * case.rules.limit, dark=_KNOWN_AFTER + 1.2 * case.jitter)
        self._pace = self.parts.pace(case)
        self._window = self.parts.window(case)
        self._crowd = ConcurrencyLimit(self._pace.concurrency)
        # As a quota file that is new: nobody knows what was used a moment ago, so there is no burst.
        self._due = 0.0 if self.parts.forgets else (self._pace.burst - 1) / self._pace.rate
        for at in case.restarts:
            self._at(at, self._restart)
        for at in case.stops:
            self._at(at, self._fall_asleep)
        for burst in case.others:
            self._at(burst.begin, self._other, burst)
        self._at(0.0, self._try, 0)

    def run(self) -> Report:
        while self._events:
            now, _, event, facts = heapq.heappop(self._events)
            if now > self.case.horizon:
                break
            event(now, *facts)
        service = self._service
        windows = self._windows()
        return Report(
            windows,
            service.our_overruns,
            {window.start: service.overruns[window.start] for window in windows},
            service.greed,
            self._window.is_trusted,
            self._others_seen,
        )

    def _at(self, moment: float, event: Callable[..., None], *facts: Any) -> None:  # noqa: ANN401 — what the event takes
        self._number += 1
        heapq.heappush(self._events, (moment, self._number, event, facts))

    def _try(self, now: float, life: int) -> None:
        """Ask the parts in the order of the gate: the crowd, the window, the bucket."""
        if now < self._asleep_until:
            self._at(self._asleep_until, self._try, life)
            return
        if life != self._life:
            return
        rate = self._window.rate(now, in_flight=self._crowd.count, otherwise=self._pace.rate)
        if not self._crowd.has_room(now, rate=rate, most=self._pace.concurrency):
            self._at(now + _GLANCE, self._try, life)
        elif (seconds := self._window.wait(now, in_flight=self._crowd.count)) > 0:
            self._at(now + max(seconds, 0.001), self._try, life)
        else:
            self._due, seconds, _ = reserve(self._due, now=now, rate=rate, burst=self._pace.burst)
            late = self._dice.uniform(0, _TIMER_LATE) if seconds > 0 else 0.0
            self._at(now + seconds + late, self._go, life)

    def _go(self, now: float, life: int) -> None:
        if now < self._asleep_until:
            self._at(self._asleep_until, self._go, life)
            return
        if life != self._life:
            return
        departure = self._crowd.grant(now)
        self._granted += 1
        self._at(now + self._latency(1.0), self._arrive, departure, life)
        self._try(now, life)

    def _arrive(self, now: float, departure: Permit, life: int) -> None:
        reply = self._service.answer(now)
        self._at(now + self._latency(0.2), self._land, departure, life, reply)

    def _land(self, now: float, departure: Permit, life: int, reply: tuple[WindowState, bool]) -> None:
        if now < self._asleep_until:
            self._at(self._asleep_until, self._land, departure, life, reply)
        elif life == self._life:
            state, accepted = reply
            self._crowd.release(departure, now)
            counted = self._granted - self._crowd.count
            in_flight = self._crowd.count
            sent = departure.at
            self._window.add_reply(
                state, sent=sent, received=now, counted=counted, in_flight=in_flight, accepted=accepted
            )
            self._others_seen = self._others_seen or self._window.others is not None

    def _restart(self, now: float) -> None:
        self._life += 1
        self._window = self.parts.window(self.case)
        self._crowd = ConcurrencyLimit(self._pace.concurrency)
        if self.parts.forgets:
            self._due = now
        self._at(now, self._try, self._life)

    def _fall_asleep(self, now: float) -> None:
        self._asleep_until = now + STOPPED_SECONDS

    def _other(self, now: float, burst: Burst) -> None:
        self._service.note_other(now)
        following = now + self._dice.expovariate(burst.part * self.case.rules.limit / self.case.rules.per)
        if following < burst.end:
            self._at(following, self._other, burst)

    def _latency(self, part: float) -> float:
        return self._dice.uniform(0, self.case.jitter * part) if self.case.jitter else _NEAR

    def _windows(self) -> tuple[Count, ...]:
        """Return the windows that lie wholly in the run."""
        service, per, share = self._service, self.case.rules.per, self.case.share * self.case.rules.limit
        starts = sorted(start for start in service.mine.keys() | service.taken.keys() if start >= 0)
        return tuple(
            Count(
                start,
                service.mine[start],
                service.taken[start],
                max(0.0, share * (1 - self._stopped(start, start + per) / per) - service.taken[start]),
            )
            for start in starts
            if start + per <= self.case.horizon
        )

    def _stopped(self, begin: float, end: float) -> float:
        """Return how many seconds between *begin* and *end* the process was stopped."""
        return sum(max(0.0, min(end, stop + STOPPED_SECONDS) - max(begin, stop)) for stop in self.case.stops)
