"""No window receives more than the limit: held against the sandbox's own count, with two senders broken on purpose."""

import time
from collections.abc import Callable
from typing import Final

import pytest
from aiolimiter import AsyncLimiter

from tests import make
from tests.delivery.harness import Post, send_over_http
from tests.fakes import LoneQuota, UntoldWindow, gate
from uploader.clock import real_clock
from uploader.delivery.retry_policy import RetryPolicy
from uploader.model import Reply, Request, Sent
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

    async def acquire(self, *, alone: bool = False) -> Permit:  # noqa: ARG002 — as the one that works
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
    return [
        make.request(number, f"external_id={number}", body=make.body({"external_id": str(number)}, {"df_name": "A"}))
        for number in range(count)
    ]


def _honest(halt: Stop) -> Limiter:
    return gate(PACE, halt, time.monotonic)


def _bursting(halt: Stop) -> Limiter:
    return BurstingLimiter(PACE, halt)


@pytest.mark.slow
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

    settled = await send_over_http(
        _requests(ROWS),
        server.url,
        limiter=limiter,
        policy=RetryPolicy(40, base=0.001, cap=0.001),
        workers=PACE.concurrency,
        around=around,
    )

    assert (len(settled), {type(outcome) for outcome in settled}) == (ROWS, {Sent})
    report = server.sandbox.report()
    assert (max(window.received for window in report.windows) <= LIMIT, report.over_limit == 0) == (kept, kept)
