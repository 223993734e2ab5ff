"""Rows of one person arrive in the order of the file, whatever the network does; held against the sandbox."""

import random
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests import make
from tests.delivery.harness import send_over_http
from tests.fakes import gate
from uploader.delivery.retry_policy import RetryPolicy
from uploader.model import Outcome, Request, Sent, Unsettled
from uploader.rate import Pace
from uploader.sandbox import Fault, RunningSandbox, Sandbox, SandboxRules

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
        values = (f"{name}={value}" for name, value in identity.items())
        requests.append(make.request(number, *values, body=make.body(identity, {"row": number})))
        last[str(person)] = number
    return requests, last


def _standing(box: Sandbox) -> dict[str, object]:
    """Return the row that stands for each person."""
    return {
        next(iter(profile.identity.values())).rpartition("-")[2]: profile.properties["row"]
        for profile in box.profiles()
    }


async def _send(requests: list[Request], url: str) -> list[Outcome | Unsettled]:
    return await send_over_http(
        requests,
        url,
        limiter=lambda halt: gate(Pace(1_000, 100_000.0, WORKERS), halt, time.monotonic),
        policy=RetryPolicy(30, base=0.01, cap=0.04),
        workers=WORKERS,
    )


@pytest.mark.slow
@pytest.mark.no_cover
@pytest.mark.parametrize("turns", [True, False], ids=["in turn", "without turns"])
async def test_the_last_row_of_a_person_stands(sandbox: Callable[..., RunningSandbox], turns: bool) -> None:  # noqa: FBT001 — one of the two lines is broken on purpose
    requests, last = _crowd()
    server = sandbox(UNRULY)

    settled = await _send([request if turns else replace(request, person=()) for request in requests], server.url)

    assert (len(settled), {type(outcome) for outcome in settled}) == (ROWS, {Sent})
    overtaken = {person for person, number in _standing(server.sandbox).items() if number != last[person]}
    assert _standing(server.sandbox).keys() == last.keys()
    assert (overtaken == set()) is turns
