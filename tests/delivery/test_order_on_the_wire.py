"""Rows of one person arrive in the order of the file, whatever the network does; held against the sandbox."""

import random
import time
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from tests.rate.parts import RowsInFlight, gate
from uploader.clock import real_clock
from uploader.counts import Traffic
from uploader.delivery import Delivery, Http, WaitLimits
from uploader.delivery.pipeline import Pipeline
from uploader.delivery.retry_policy import RetryPolicy
from uploader.model import Outcome, Reply, Request, Row, Sent, Unsettled
from uploader.rate import Pace
from uploader.sandbox import Fault, RunningSandbox, Sandbox, SandboxRules
from uploader.stop import Stop

WORKERS = 50
ROWS = 1_500
UNRULY = SandboxRules(
    limit=1_000_000,
    latency=(0.0, 0.02),
    faults=(Fault.parse("code=50000 for 25%"), Fault.parse("drop-before for 5%"), Fault.parse("drop-after for 5%")),
    seed=7,
)


def _crowd() -> tuple[list[Request], dict[str, int]]:
    """Return rows of which one in ten shares its person with one just before it, and each value's last word.

    A person goes by three names in turn, two at a time, so that every row shares one with the row before it.
    """
    dice = random.Random(7)  # noqa: S311 — the same crowd every time
    requests: list[Request] = []
    last: dict[str, int] = {}
    person, row = 0, 0
    for number in range(1, ROWS + 1):
        person, row = (person, row + 1) if dice.random() < 0.1 and row < 4 else (person + 1, 0)
        names = ("external_id", "email", "phone_no")
        identity = {name: f"{name}-{person}" for name in (names[row % 3], names[(row + 1) % 3])}
        body = orjson.dumps(
            {
                "identity": identity,
                "user_properties": {"row": number},
                "request_datetime": "2024-06-24T06:42:25.394Z",
            }
        )
        values = tuple(f"{name}={value}" for name, value in identity.items())
        requests.append(Request(Row(number, {}), values, body))
        last[str(person)] = number
    return requests, last


def _standing(box: Sandbox) -> dict[str, object]:
    """Return the row that stands for each person."""
    return {
        next(iter(profile.identity.values())).rpartition("-")[2]: profile.properties["row"]
        for profile in box.profiles()
    }


async def _send(requests: list[Request], url: str) -> list[Outcome | Unsettled]:
    halt, settled = Stop(), list[Outcome | Unsettled]()
    dice = random.Random(7)  # noqa: S311 — the same waits every time
    limiter = gate(Pace(1_000, 100_000.0, WORKERS), halt, time.monotonic)
    async with Http(
        base_url=url, service_id="shop", access_token="t", timeout=5, connections=WORKERS, wall=time.time
    ) as http:

        async def post(request: Request) -> Reply:
            return await http.post(request.body)

        delivery = Delivery(
            post,
            policy=RetryPolicy(30, base=0.01, cap=0.04),
            limiter=limiter,
            in_flight=RowsInFlight(),
            wait_limits=WaitLimits(60, 60),
            traffic=Traffic(),
            stop=halt,
            clock=real_clock(),
            jitter=dice.random,
            record_pause=lambda _: None,
            most_rows=WORKERS,
        )
        pipeline = Pipeline(iter(requests), deliver=delivery.deliver, settle=settled.append, stop=halt)
        await pipeline.run(WORKERS)
    return settled


@pytest.mark.parametrize("turns", [True, False], ids=["in turn", "without turns"])
async def test_the_last_row_of_a_person_stands(sandbox: Callable[..., RunningSandbox], turns: bool) -> None:  # noqa: FBT001 — one of the two lines is broken on purpose
    requests, last = _crowd()
    server = sandbox(UNRULY)

    settled = await _send([request if turns else replace(request, person=()) for request in requests], server.url)

    assert (len(settled), {type(outcome) for outcome in settled}) == (ROWS, {Sent})
    overtaken = {person for person, number in _standing(server.sandbox).items() if number != last[person]}
    assert _standing(server.sandbox).keys() == last.keys()
    assert (overtaken == set()) is turns
