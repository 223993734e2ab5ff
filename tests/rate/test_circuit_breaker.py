"""The circuit breaker does what the table of `docs/architecture.md` says, by each event in each state."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.fakes import Leap, gate
from uploader.rate import Breaker, Pace, Permit
from uploader.rate.circuit_breaker import CLOSED, WARY, BreakerState, HalfOpen, Open, Trouble
from uploader.stop import Stop

PAGE: Final = Path(__file__).parents[2] / "docs" / "architecture.md"
NOW: Final = 1_000.0
OPENED: Final = 900.0
PROBE: Final = Permit(950.0)
OTHER: Final = Permit(899.0)
TROUBLE: Final = Trouble(since=800.0, opened=OPENED, backoff=4.0)
STATES: Final[dict[str, BreakerState]] = {
    "Closed": CLOSED,
    "Wary": WARY,
    "Open": Open(NOW + 5.0, "an outage", TROUBLE),
    "HalfOpen": HalfOpen(None, TROUBLE),
    "HalfOpen, probe in flight": HalfOpen(PROBE, TROUBLE),
}
EVENTS: Final[dict[str, Callable[[Breaker], object]]] = {
    "an outage is suspected": lambda breaker: breaker.suspect(),
    "the service throttles, or is out": lambda breaker: breaker.open(NOW, 9.0, "an outage"),
    "another run was throttled": lambda breaker: breaker.open(NOW, 9.0, "another run", by_reply=False),
    "a row is blocked, or goes alone": lambda breaker: breaker.probe(),
    "the pause goes by": lambda breaker: breaker.seconds(NOW + 5.0),
    "a request is sent": lambda breaker: breaker.add_sent(PROBE),
    "the probe is over": lambda breaker: breaker.add_reply(PROBE),
    "another request is over": lambda breaker: breaker.add_reply(OTHER),
    "a good reply to a request from before it opened": lambda breaker: breaker.recover(OTHER.at),
    "a good reply to a request since it opened": lambda breaker: breaker.recover(PROBE.at),
    "the same while blocked rows are unresolved": lambda breaker: breaker.recover(PROBE.at, proven=False),
}
NEVER: Final = {("a request is sent", "Open"), ("a request is sent", "HalfOpen, probe in flight")}
"""What can't happen, since `seconds` is more than 0 then."""

Table: TypeAlias = dict[tuple[str, str], str]


def documented() -> Table:
    """Return what the page says becomes of the breaker by each event in each state."""
    lines = PAGE.read_text("utf-8").splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("| event "))
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    head, _, *events = rows
    return {(row[0], state): cell for row in events for state, cell in zip(head[1:], row[1:], strict=True)}


def name_of(state: BreakerState) -> str:
    in_flight = isinstance(state, HalfOpen) and state.probe is not None
    return type(state).__name__ + (", probe in flight" if in_flight else "")


def walked(breaker_type: type[Breaker]) -> Table:
    """Return what becomes of such a breaker by each event in each state."""
    found: Table = {}
    for event, happen in EVENTS.items():
        for state, value in STATES.items():
            breaker = breaker_type(1_800.0)
            breaker.state = value
            if (event, state) in NEVER:
                found[event, state] = "never" if breaker.seconds(NOW) > 0 else "may be"
                continue
            happen(breaker)
            found[event, state] = name_of(breaker.state)
    return found


def test_every_event_in_every_state_leads_where_the_page_says() -> None:
    assert walked(Breaker) == documented()


class EagerBreaker(Breaker):
    """Broken: any good reply closes it."""

    def recover(self, sent: float, *, proven: bool = True) -> bool:  # noqa: ARG002 — as the one that works
        self.state = CLOSED
        return True


class ForgetfulBreaker(Breaker):
    """Broken: it forgets that a probe is in flight."""

    def add_sent(self, permit: Permit) -> None:
        pass


@pytest.mark.parametrize(("broken", "cells"), [(EagerBreaker, 7), (ForgetfulBreaker, 1)])
def test_a_breaker_that_goes_elsewhere_is_found_out(broken: type[Breaker], cells: int) -> None:
    found, page = walked(broken), documented()

    assert sum(found[cell] != page[cell] for cell in page) == cells


def test_a_state_that_stays_keeps_what_it_knows() -> None:
    for state in STATES.values():
        breaker = Breaker(1_800.0)
        breaker.state = state

        breaker.add_reply(OTHER)
        breaker.suspect()

        assert breaker.state == (WARY if state is CLOSED else state)


def test_the_longest_pause_counts_and_gives_the_reason() -> None:
    breaker = Breaker()

    added = [breaker.open(NOW, 9.0, "first"), breaker.open(NOW, 5.0, "shorter"), breaker.open(NOW, 12.0, "longer")]

    assert (added, breaker.seconds(NOW), breaker.is_open(NOW)) == ([9.0, 0.0, 3.0], 12.0, True)
    assert isinstance(breaker.state, Open)
    assert breaker.state.why == "longer"


def test_each_back_off_is_twice_the_last_until_a_minute_and_ends_with_the_outage_timeout() -> None:
    breaker, now, seconds = Breaker(200.0), NOW, list[float]()

    while not breaker.outlasts(now, wait := breaker.next_backoff(now)):
        breaker.open(now, wait, "no connection", backs_off=True)
        seconds.append(wait)
        now += wait

    assert seconds == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 17.0]


def test_a_good_reply_to_an_older_request_moves_the_beginning_of_the_trouble() -> None:
    breaker = Breaker(100.0)
    breaker.state = HalfOpen(None, TROUBLE)

    assert not breaker.recover(850.0)

    assert (breaker.outlasts(949.0, 1.0), breaker.outlasts(950.0, 1.0)) == (False, True)
    assert breaker.next_backoff(NOW - 100.0) == TROUBLE.backoff


def test_the_pause_of_another_run_is_no_trouble_of_this_one() -> None:
    breaker = Breaker(30.0)
    breaker.open(NOW, 29.0, "another run", by_reply=False)

    assert not breaker.outlasts(NOW + 29.0, 30.0)


@pytest.mark.parametrize(
    ("state", "least", "most"),
    [("Closed", 8, 8), ("Wary", 4, 4), ("Open", 0, 0), ("HalfOpen", 1, 1), ("HalfOpen, probe in flight", 0, 0)],
)
def test_each_state_lets_so_many_go(leap: Leap, state: str, least: int, most: int) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        limiter = gate(Pace(burst=100, rate=1_000.0, concurrency=8), Stop(), loop.time)
        slow = await limiter.acquire()
        await asyncio.sleep(1.0)
        limiter.release(slow, None)
        value = STATES[state]
        limiter.breaker.state = Open(loop.time() + 5.0, value.why) if isinstance(value, Open) else value

        passing = [asyncio.create_task(limiter.acquire()) for _ in range(20)]
        await asyncio.sleep(1.0)

        assert least <= sum(task.done() for task in passing) <= most
        for task in passing:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    leap(story())
