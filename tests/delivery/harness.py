"""Put the parts of a delivery together: a pipeline to a list, retries by a script, all of it over HTTP."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Final, TypeAlias

from tests import make
from tests.fakes import LoneQuota, RowsInFlight, UntoldWindow
from uploader.clock import Clock, real_clock
from uploader.counts import Traffic
from uploader.delivery import AttemptRecords, Delivery, Http, ReplyJudge
from uploader.delivery.firewall_blocks import BlockedRows
from uploader.delivery.outage_detection import OutageDetector
from uploader.delivery.pipeline import Pipeline
from uploader.delivery.retry_policy import RetryPolicy
from uploader.model import (
    Answer,
    AwaitsMerge,
    NoWork,
    Outcome,
    Rejected,
    Reply,
    Request,
    Sent,
    Settled,
    Silence,
    UnchangedRange,
    Unsettled,
    WindowState,
    Work,
    record_of,
)
from uploader.rate import Pace, Permit
from uploader.rate.limiter import Limiter
from uploader.stop import Stop

# A pipeline


def number_of(outcome: Outcome | Unsettled | Work | NoWork) -> int:
    """Return the number of the row that it is about."""
    if isinstance(outcome, Settled | AwaitsMerge):
        return outcome.number
    if isinstance(outcome, UnchangedRange):
        return outcome.first
    return (outcome.row if isinstance(outcome, Request) else record_of(outcome)).number


@dataclass
class Line:
    """A pipeline from *works* to a list: what was taken, what is in flight, what was settled."""

    works: Iterable[Work | NoWork]
    delays: Callable[[int], int] = lambda _: 1
    room: int = 8192
    before: int = 0
    halt: Stop = field(default_factory=Stop)
    begun: list[int] = field(default_factory=list)
    in_flight: set[int] = field(default_factory=set)
    settled: list[Outcome | Unsettled] = field(default_factory=list)
    most_in_flight: int = 0
    most_beyond: int = 0

    def __post_init__(self) -> None:
        self.pipeline = Pipeline(
            iter(self.works),
            deliver=self._deliver,
            settle=self._settle,
            stop=self.halt,
            room=self.room,
        )

    async def carry(self, workers: int = 4) -> None:
        async with asyncio.timeout(10):
            await self.pipeline.run(workers, settled=self.before)

    async def deliver(self, request: Request) -> Outcome | Unsettled:
        """Deliver one request; a test may put another in its place."""
        return Sent(request, 1)

    async def refuse(self, request: Request) -> Outcome | Unsettled:
        """Reject *request* as the service would."""
        await asyncio.sleep(0)
        return Rejected(request.row, request.person, make.REASON, 1)

    def settle(self, outcome: Outcome | Unsettled) -> None:
        """Hear of an outcome; a test may put another in its place."""

    async def _deliver(self, request: Request) -> Outcome | Unsettled:
        number = request.row.number
        self.begun.append(number)
        self.in_flight.add(number)
        self.most_in_flight = max(self.most_in_flight, len(self.in_flight))
        self.most_beyond = max(self.most_beyond, self.pipeline.taken - len(self.settled))
        try:
            for _ in range(self.delays(number)):
                await asyncio.sleep(0)
            return await self.deliver(request)
        finally:
            self.in_flight.discard(number)

    def _settle(self, outcome: Outcome | Unsettled) -> None:
        self.settle(outcome)
        self.settled.append(outcome)

    @property
    def numbers(self) -> list[int]:
        return [number_of(outcome) for outcome in self.settled]

    @property
    def finished(self) -> list[int]:
        """The rows that have an outcome."""
        return [number_of(outcome) for outcome in self.settled if not isinstance(outcome, Unsettled)]


# Retries

OK = Answer(200, "20000")
BUSY = Answer(200, "50000")
BAD = Answer(200, "40001")
PAGE = Answer(200, "")
CROSSED = Answer(408, "", crossed=True)
LOST = Silence("no reply in time")
UNSENT = Silence("the name of the server changed", applied=False)
REFUSED = Silence("no connection to the server", applied=False, refused=True)
UNTRUSTED = Silence("the server's certificate can't be trusted", fatal=True)
ENDED_EARLY: Final = Silence(
    "the server ended the connection, or replied, before the request was sent", applied=False, refused=True
)
WINDOW: Final = 60.0


def limited(seconds: float) -> Answer:
    return Answer(429, "", WindowState(retry_after=seconds))


def request(number: int = 1) -> Request:
    """Return the request of row *number*, of a person of its own."""
    return make.request(number, f"external_id={number}")


REQUEST: Final = request()


class CountingLimiter(Limiter):
    """A limiter that knows how often it was passed."""

    passes = 0

    async def acquire(self, *, alone: bool = False) -> Permit:
        ticket = await super().acquire(alone=alone)
        self.passes += 1
        return ticket


@dataclass
class Stage:
    """A delivery in leaping time whose service answers by the script; times are seconds since the curtain rose."""

    script: Iterator[Reply]
    attempts: int = 3
    outage_timeout: float = 1_800.0
    seconds: float = 0.0
    most_rows: int = 32
    pace: Pace = field(default_factory=lambda: Pace(burst=1_000, rate=1_000.0, concurrency=32))
    bodies: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    back_offs: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)
    halt: Stop = field(default_factory=Stop)
    sky: RowsInFlight = field(default_factory=RowsInFlight)
    streak: BlockedRows = field(default_factory=BlockedRows)

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop, self._began, self._asked = loop, loop.time(), asyncio.Event()
        self.quota = LoneQuota(loop.time)
        self.limiter = CountingLimiter(
            self.pace,
            window=UntoldWindow(),
            quota=self.quota,
            stop=self.halt,
            clock=Clock(loop.time, loop.time, asyncio.sleep),
            outage_timeout=self.outage_timeout,
        )
        self.post: Callable[[Request], Awaitable[Reply]] = self._answer
        self.delivery = self.another()

    def another(self) -> Delivery:
        """Return a delivery through the same gate, as each source of a run has its own."""
        return Delivery(
            self._post,
            judge=ReplyJudge(
                RetryPolicy(self.attempts, base=0.5, cap=30.0),
                breaker=self.limiter.breaker,
                jitter=lambda: 1.0,
                outages=OutageDetector(self.most_rows),
                blocked_rows=self.streak,
            ),
            limiter=self.limiter,
            records=AttemptRecords(self.sky, self.traffic, self.held.append),
            stop=self.halt,
            clock=Clock(lambda: 0.0, self._loop.time, self._back_off),
        )

    @property
    def now(self) -> float:
        return round(self._loop.time() - self._began, 2)

    async def deliver(self, request: Request = REQUEST) -> Outcome | Unsettled:
        return await self.delivery.deliver(request)

    async def posted(self, times: int) -> None:
        """Return when the service has been asked so many *times*."""
        while len(self.bodies) < times:
            self._asked.clear()
            await self._asked.wait()

    async def _post(self, request: Request) -> Reply:
        return await self.post(request)

    async def _answer(self, request: Request) -> Reply:
        self.times.append(self.now)
        self.bodies.append(request.body)
        self._asked.set()
        reply = next(self.script)
        await asyncio.sleep(self.seconds)
        return reply

    async def _back_off(self, seconds: float) -> None:
        self.back_offs.append(seconds)
        await asyncio.sleep(seconds)


def stage(*replies: Reply, then: Reply = OK, **settings: Any) -> Stage:  # noqa: ANN401 — the fields of Stage, by name
    def script() -> Iterator[Reply]:
        yield from replies
        yield from repeat(then)

    return Stage(script(), **settings)


# Over HTTP

Post: TypeAlias = Callable[[Request], Awaitable[Reply]]
"""Makes one attempt."""


async def send_over_http(  # noqa: PLR0913 — what a test may want to be different
    requests: Iterable[Request],
    url: str,
    *,
    limiter: Callable[[Stop], Limiter],
    policy: RetryPolicy,
    workers: int,
    around: Callable[[Post], Post] = lambda post: post,
) -> list[Outcome | Unsettled]:
    """Send *requests* to the service at *url* as a run does; *around* may put something else in the place of a post."""
    halt, settled = Stop(), list[Outcome | Unsettled]()
    dice = random.Random(7)  # noqa: S311 — the same waits every time
    async with Http(
        base_url=url, service_id="shop", access_token="t", timeout=5, connections=workers, wall=time.time
    ) as http:

        async def post(request: Request) -> Reply:
            return await http.post(request.body)

        through = limiter(halt)
        delivery = Delivery(
            around(post),
            judge=ReplyJudge(policy, breaker=through.breaker, jitter=dice.random, outages=OutageDetector(workers)),
            limiter=through,
            records=AttemptRecords(RowsInFlight(), Traffic(), lambda _: None),
            stop=halt,
            clock=real_clock(),
        )
        pipeline = Pipeline(iter(requests), deliver=delivery.deliver, settle=settled.append, stop=halt)
        await pipeline.run(workers)
    return settled
