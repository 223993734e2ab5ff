"""No window, however it is aligned, sees more requests arrive than a limit of a few allows."""

import asyncio
import random
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import Leap
from tests.rate.cases import most_in_any_window
from uploader.clock import Clock
from uploader.rate import Pace, ServerWindow, is_one_at_a_time, pace
from uploader.rate.limiter import Limiter
from uploader.rate.shared_quota import SharedQuota
from uploader.stop import Stop

PER = 1.0
TIMEOUT = 30.0


async def arrivals(  # noqa: PLR0913 — what a case consists of
    folder: Path, pace: Pace, *, alone: float, limit: int, runs: int, seed: int
) -> list[float]:
    """Return when the requests of so many *runs* arrive, each of which may take long both ways."""
    loop = asyncio.get_running_loop()
    dice = random.Random(seed)  # noqa: S311 — the same run every time
    moments: list[float] = []

    async def send(quota: SharedQuota) -> None:
        limiter = Limiter(
            pace,
            window=ServerWindow(requests=limit, per=PER, share=1.0),
            quota=quota,
            stop=Stop(),
            clock=Clock(loop.time, loop.time, asyncio.sleep),
        )

        async def worker() -> None:
            for _ in range(4):
                departure = await limiter.acquire()
                await asyncio.sleep(dice.choice((0.0, 0.1, dice.uniform(0, 1.2 * PER))))
                moments.append(loop.time())
                await asyncio.sleep(dice.choice((0.0, dice.uniform(0, 0.5 * PER))))
                limiter.release(departure, None)

        await asyncio.gather(*(worker() for _ in range(3)))

    with ExitStack() as stack:
        quotas = [
            stack.enter_context(
                SharedQuota(
                    folder, clock=Clock(loop.time, loop.time, asyncio.sleep), window=PER, alone=alone, rest=pace.rest
                )
            )
            for _ in range(runs)
        ]
        await asyncio.gather(*map(send, quotas))
    return sorted(moments)


def paced(limit: int, share: float) -> Pace:
    return pace(requests=limit, per=PER, share=share, burst=16, concurrency=32)


@pytest.mark.long
@pytest.mark.parametrize(("share", "runs"), [(1.0, 1), (1.0, 2), (0.5, 1)])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 19])
def test_no_window_of_a_small_limit_sees_more_requests_arrive_than_it_allows(
    leap: Leap, tmp_path: Path, limit: int, share: float, runs: int
) -> None:
    async def story() -> None:
        assert is_one_at_a_time(limit)
        for seed in range(1):
            folder = tmp_path / str(seed)
            moments = await arrivals(folder, paced(limit, share), alone=TIMEOUT, limit=limit, runs=runs, seed=seed)

            assert len(moments) == 12 * runs
            assert most_in_any_window(moments, PER) <= limit

    leap(story())


@pytest.mark.parametrize(
    ("alone", "rests", "runs"),
    [(TIMEOUT, False, 1), (0.0, False, 1), (0.0, True, 2)],
    ids=["no rest after a reply", "as it was", "each run has one in flight"],
)
def test_a_limit_of_one_that_forgets_what_is_in_flight_is_seen_to_be_exceeded(
    leap: Leap,
    tmp_path: Path,
    alone: float,
    rests: bool,  # noqa: FBT001 — what is broken
    runs: int,
) -> None:
    async def story() -> None:
        found = paced(1, 1.0)
        broken = found if rests else replace(found, rest=0.0)

        moments = await arrivals(tmp_path / "quota", broken, alone=alone, limit=1, runs=runs, seed=0)

        assert most_in_any_window(moments, PER) > 1

    leap(story())
