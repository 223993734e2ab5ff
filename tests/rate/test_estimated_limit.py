"""A limit that was lowered, of a service that tells nothing of its window, is found after a few refusals."""

import asyncio
import math
import random
from collections import Counter

import pytest

from tests.fakes import Leap, gate
from tests.rate.service import Rules, Service, Shape
from uploader.model import Answer
from uploader.rate import EstimatedLimit, Lowered, Notice, ServerWindow, pace
from uploader.stop import Stop

PER = 60.0
CONFIGURED = 1_000


class Run:
    """A run in leaping time against a played service whose limit is not the configured one."""

    def __init__(self, rules: Rules, *, share: float = 0.95, learns: bool = True, seed: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._clock, self._began = loop.time, loop.time()
        self._dice = random.Random(seed)  # noqa: S311 — the same run every time
        self._service = Service(rules, ours=CONFIGURED, dark=1.0)
        self._pace = pace(requests=CONFIGURED, per=PER, share=share, burst=16, concurrency=32)
        self.notices: list[Notice] = []
        self.limiter = gate(
            self._pace,
            Stop(),
            loop.time,
            window=ServerWindow(requests=CONFIGURED, per=PER, share=share),
            on_notice=self.notices.append,
            estimated_limit=EstimatedLimit(requests=CONFIGURED, per=PER, share=share) if learns else None,
        )
        self.limiter_budget = self._pace.grants_in(PER)
        self.refuse_at = math.inf
        self.refused: list[float] = []
        self.accepted: Counter[int] = Counter()

    @property
    def now(self) -> float:
        return self._clock() - self._began

    async def send_for(self, seconds: float) -> None:
        async def worker() -> None:
            while self.now < seconds:
                departure = await self.limiter.acquire()
                await asyncio.sleep(self._dice.uniform(0.01, 0.1))
                state, accepted = self._service.answer(self.now)
                if self.now >= self.refuse_at:
                    accepted, self.refuse_at = False, math.inf
                await asyncio.sleep(self._dice.uniform(0.01, 0.05))
                reply = Answer(200 if accepted else 429, "20000" if accepted else "", state)
                self.limiter.release(departure, reply)
                if accepted:
                    self.accepted[int(self.now // PER)] += 1
                    self.limiter.breaker.recover(departure.at)
                else:
                    self.refused.append(self.now)
                    self.limiter.pause(PER, everybody=True)

        await asyncio.gather(*(worker() for _ in range(32)))

    def episodes(self) -> int:
        """Count the windows that were overrun."""
        return len({at // 5 for at in self.refused})


SHAPES: list[Shape] = ["fixed", "opened by the first request", "sliding"]
CASES: list[tuple[int, Shape, float, float]] = [
    (500, "fixed", 0.95, -47.0),
    (500, "fixed", 0.95, -13.0),
    (900, "fixed", 1.0, -13.0),
    (700, "fixed", 0.95, -29.0),
    (150, "opened by the first request", 0.95, 0.0),
    (600, "sliding", 1.0, 0.0),
]


def check(leap: Leap, real: int, shape: Shape, share: float, anchor: float) -> None:
    async def story() -> None:
        run = Run(Rules(limit=real, shape=shape, anchor=anchor, header="missing"), share=share)

        await run.send_for(16 * PER)

        used = [run.accepted[number] for number in range(11, 15)]
        # Where the pace is below the real limit, nothing is to be learned.
        assert run.episodes() <= 5
        assert max(run.refused, default=0.0) < 9 * PER
        assert min(used) >= 0.7 * min(real, share * CONFIGURED)
        # People hear of it once: the log knows the rest.
        assert sum(isinstance(notice, Lowered) for notice in run.notices) <= 1

    leap(story())


def test_the_pace_that_is_told_is_the_lower_one_once_a_lower_limit_was_found(leap: Leap) -> None:
    async def story() -> None:
        run = Run(Rules(limit=150, shape="opened by the first request", anchor=0.0, header="missing"))
        first = run.limiter.pace

        await run.send_for(6 * PER)

        assert any(isinstance(notice, Lowered) for notice in run.notices)
        assert run.limiter.pace.rate < first.rate / 2

    leap(story())


@pytest.mark.long
@pytest.mark.parametrize(("real", "shape", "share", "anchor"), CASES)
def test_a_lower_limit_that_nobody_tells_is_kept_after_a_few_refusals(
    leap: Leap, real: int, shape: Shape, share: float, anchor: float
) -> None:
    check(leap, real, shape, share, anchor)


@pytest.mark.long
def test_a_run_that_does_not_learn_is_seen_to_overrun_every_other_window(leap: Leap) -> None:
    async def story() -> None:
        run = Run(Rules(limit=500, header="missing"), learns=False)

        await run.send_for(16 * PER)

        assert run.episodes() >= 7

    leap(story())


@pytest.mark.long
def test_one_refusal_alone_changes_nothing(leap: Leap) -> None:
    async def story() -> None:
        run = Run(Rules(limit=10_000, header="missing"))
        run.refuse_at = 100.0

        await run.send_for(5 * PER)

        assert (run.episodes(), [notice for notice in run.notices if isinstance(notice, Lowered)]) == (1, [])
        assert run.accepted[4] >= 0.97 * run.limiter_budget

    leap(story())


def test_a_second_refusal_is_told_to_people_once_with_what_the_last_window_took() -> None:
    lower = EstimatedLimit(requests=1_000, per=60.0, share=0.95)

    found = []
    for begin in (0.0, 120.0):
        counted = int(begin / 120.0) * 300
        for number in range(300):
            lower.add_accepted(begin + number * 0.1, counted + number + 1)
        found.append(lower.add_throttled(begin + 30.0, counted + 300, sent=begin + 29.9))
        # What was in flight then is refused as well, and says nothing new.
        found.append(lower.add_throttled(begin + 30.1, counted + 300, sent=begin + 29.95))

    assert (found, lower.requests) == ([False, False, True, False], 300)
