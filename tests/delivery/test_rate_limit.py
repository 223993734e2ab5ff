"""No window receives more than the limit: held against the sandbox's own count, with two senders broken on purpose."""

import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import pytest
from aiolimiter import AsyncLimiter

from tests.rate.parts import LoneQuota, RowsInFlight, UntoldWindow, gate
from uploader.clock import real_clock
from uploader.counts import Traffic
from uploader.delivery import Delivery, Http, WaitLimits
from uploader.delivery.pipeline import Pipeline
from uploader.delivery.retry_policy import RetryPolicy
from uploader.model import Outcome, Reply, Request, Row, Sent, Unsettled
from uploader.rate import Pace, Permit, pace
from uploader.rate.limiter import Limiter
from uploader.sandbox import Fault, RunningSandbox, SandboxRules
from uploader.stop import Stop

LIMIT: Final = 100
PER: Final = 2.0
"""Seconds: a busy machine still makes a hundred requests in them."""

ROWS: Final = 120
PACE: Final = pace(requests=LIMIT, per=PER, share=0.95, burst=16, concurrency=32)
SHAKY: Final = SandboxRules(limit=LIMIT, per=PER, anchor=None, faults=(Fault.parse("code=50000 for 40%"),), seed=3)

Post = Callable[[Request], Awaitable[Reply]]


class BurstingLimiter(Limiter):
    """Broken: the whole limit as a bucket, which is filled at the start and leaks as well while it is emptied."""

    def __init__(self, pace: Pace, halt: Stop) -> None:
        super().__init__(
            pace,
            window=UntoldWindow(),
            quota=LoneQuota(time.monotonic),
            stop=halt,
            clock=real_clock(),
        )
        self._all_at_once = AsyncLimiter(LIMIT, PER)

    async def acquire(self) -> Permit:
        await self._all_at_once.acquire()
        return Permit(time.monotonic())

    def release(self, departure: Permit, reply: Reply | None) -> None:
        pass


def retry_outside_the_limiter(post: Post) -> Post:
    """Broken: the attempts of a row share one token."""

    async def stubborn(request: Request) -> Reply:
        reply = await post(request)
        while "50000" in repr(reply):
            reply = await post(request)
        return reply

    return stubborn


def _requests(count: int) -> list[Request]:
    body = (
        b'{"identity":{"external_id":"%d"},"user_properties":{"df_name":"A"},"request_datetime":"2024-06-24T06:42:25Z"}'
    )
    return [Request(Row(number, {}), (f"external_id={number}",), body % number) for number in range(count)]


async def _send(
    url: str, *, limiter: Callable[[Stop], Limiter], around: Callable[[Post], Post]
) -> list[Outcome | Unsettled]:
    halt, settled = Stop(), list[Outcome | Unsettled]()
    dice = random.Random(3)  # noqa: S311 — the same waits every time
    async with Http(
        base_url=url, service_id="shop", access_token="t", timeout=5, connections=PACE.concurrency, wall=time.time
    ) as http:

        async def post(request: Request) -> Reply:
            return await http.post(request.body)

        delivery = Delivery(
            around(post),
            policy=RetryPolicy(40, base=0.001, cap=0.001),
            limiter=limiter(halt),
            in_flight=RowsInFlight(),
            wait_limits=WaitLimits(PER, 60),
            traffic=Traffic(),
            stop=halt,
            clock=real_clock(),
            jitter=dice.random,
            record_pause=lambda _: None,
            most_rows=PACE.concurrency,
        )
        pipeline = Pipeline(iter(_requests(ROWS)), deliver=delivery.deliver, settle=settled.append, stop=halt)
        await pipeline.run(PACE.concurrency)
    return settled


def _honest(halt: Stop) -> Limiter:
    return gate(PACE, halt, time.monotonic)


def _bursting(halt: Stop) -> Limiter:
    return BurstingLimiter(PACE, halt)


@pytest.mark.parametrize(
    ("limiter", "around", "kept"),
    [
        (_honest, lambda post: post, True),
        (_honest, retry_outside_the_limiter, False),
        (_bursting, lambda post: post, False),
    ],
    ids=["as it is", "retry outside the limiter", "a limiter that bursts"],
)
async def test_no_window_receives_more_than_the_limit(
    sandbox: Callable[..., RunningSandbox],
    limiter: Callable[[Stop], Limiter],
    around: Callable[[Post], Post],
    kept: bool,  # noqa: FBT001 — what the sandbox must find
) -> None:
    server = sandbox(SHAKY)

    settled = await _send(server.url, limiter=limiter, around=around)

    assert (len(settled), {type(outcome) for outcome in settled}) == (ROWS, {Sent})
    report = server.sandbox.report()
    assert (max(window.received for window in report.windows) <= LIMIT, report.over_limit == 0) == (kept, kept)
