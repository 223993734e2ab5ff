"""What holds everybody: outages, the limit and this machine's own trouble; one probe, then all, and no row charged."""

import asyncio
import random
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest

from tests.delivery.harness import BUSY, LOST, OK, PAGE, REFUSED, Stage, limited, request, stage
from tests.fakes import Leap
from uploader.errors import OutageError
from uploader.model import Answer, Failed, Outcome, Reason, Reply, Request, Sent, Silence, Unsettled, WindowState

BUSY_REASON = Reason("50000", "not accepted by the service: INTERNAL_SERVER_ERROR (50000)")
FULL = Silence("this machine has no socket or file left", applied=False, local=True)


class Weather:
    """A service that is out from *begin* to *end* (seconds of the play), and then says *trouble*."""

    def __init__(self, trouble: Reply, begin: float, end: float) -> None:
        self.trouble, self.begin, self.end = trouble, begin, end
        self.asked: list[float] = []
        self.play: Stage | None = None

    def __iter__(self) -> Iterator[Reply]:
        while True:
            assert self.play is not None
            now = self.play.now
            if self.begin <= now < self.end:
                self.asked.append(now)
                yield self.trouble
            else:
                yield OK


def under(weather: Weather, **settings: Any) -> Stage:  # noqa: ANN401 — the fields of Stage, by name
    weather.play = Stage(iter(weather), **settings)
    return weather.play


async def deliver_all(play: Stage, rows: int, workers: int) -> list[Outcome | Unsettled]:
    """Return what became of *rows*, delivered by *workers*."""
    requests, outcomes = iter([request(number) for number in range(1, rows + 1)]), list[Outcome | Unsettled]()

    async def work() -> None:
        for one in requests:
            outcomes.append(await play.deliver(one))

    await asyncio.gather(*(work() for _ in range(workers)))
    return outcomes


@pytest.mark.parametrize(
    "trouble",
    [
        BUSY,
        PAGE,
        LOST,
        REFUSED,
        Answer(502, ""),
        Answer(503, ""),
        Silence("the server's name can't be resolved", applied=False, refused=True),
        Silence("the connection ended before the reply"),
    ],
    ids=lambda reply: getattr(reply, "why", None) or f"{reply.status} {reply.code}",
)
def test_an_outage_of_a_minute_costs_no_row_and_few_requests(leap: Leap, trouble: Reply) -> None:
    async def story() -> None:
        weather = Weather(trouble, 5.0, 65.0)
        play = under(weather, attempts=2, seconds=0.5)

        outcomes = await deliver_all(play, rows=3_000, workers=32)

        assert len(outcomes) == 3_000
        assert {type(outcome) for outcome in outcomes} == {Sent}
        assert len(weather.asked) <= 32 + 12
        assert weather.asked[-1] < 65.0 < next(time for time in play.times if time >= 65.0) <= 65.0 + 62.0

    leap(story())


def test_an_outage_is_probed_at_times_that_double_one_request_at_a_time(leap: Leap) -> None:
    async def story() -> None:
        weather = Weather(BUSY, 0.0, 300.0)
        play = under(weather, attempts=5)

        await deliver_all(play, rows=40, workers=12)

        probes = [time for time in weather.asked if time >= 1.0]
        assert probes == [1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 123.0, 183.0, 243.0]
        assert len(weather.asked) - len(probes) <= 12 + 12

    leap(story())


def test_everybody_goes_at_once_when_the_probe_came_back(leap: Leap) -> None:
    async def story() -> None:
        weather = Weather(REFUSED, 0.0, 2.0)
        play = under(weather, seconds=0.25)

        await deliver_all(play, rows=20, workers=20)

        assert [time for time in play.times if time >= 2.0][:4] == [3.5, 3.75, 3.75, 3.75]
        assert play.times[-1] == 3.75

    leap(story())


def test_what_was_charged_just_before_an_outage_was_recognised_is_excused(leap: Leap) -> None:
    async def story() -> None:
        weather = Weather(BUSY, 0.0, 10.0)
        play = under(weather, attempts=2)

        outcomes = await deliver_all(play, rows=12, workers=12)

        # Each was charged once for the outage, and would have no attempt left for a trouble of its own.
        assert {type(outcome) for outcome in outcomes} == {Sent}

        play.script = iter([BUSY, OK])
        assert await play.deliver(request(13)) == Sent(request(13), 2)

    leap(story())


def test_an_outage_that_outlasts_the_patience_ends_the_run_and_settles_no_row(leap: Leap) -> None:
    async def story() -> None:
        weather = Weather(Answer(503, ""), 0.0, 1e9)
        play = under(weather, attempts=5, outage_timeout=100.0)

        outcomes = await deliver_all(play, rows=12, workers=12)

        assert {type(outcome) for outcome in outcomes} == {Unsettled}
        assert isinstance(play.halt.reason, OutageError)
        assert str(play.halt.reason) == (
            "Stopped: not accepted by the service: HTTP 503, for longer than retry.outage_timeout (100 s). "
            "Run again to resume."
        )
        assert weather.asked[-1] == pytest.approx(100.0, abs=1.0)

    leap(story())


def test_the_trouble_of_fewer_than_twelve_rows_is_their_own(leap: Leap) -> None:
    async def story() -> None:
        play = Stage(repeat(BUSY), attempts=5)

        outcomes = await deliver_all(play, rows=11, workers=11)

        assert sorted(outcomes, key=_number) == [Failed(request(number), BUSY_REASON, 5) for number in range(1, 12)]
        assert (play.limiter.paused_seconds, play.halt.is_requested) == (0.0, False)

    leap(story())


def _number(outcome: Outcome | Unsettled) -> int:
    assert isinstance(outcome, Failed)
    return outcome.request.row.number


def test_of_fewer_workers_than_twelve_all_must_meet_the_trouble(leap: Leap) -> None:
    async def story() -> None:
        weather = Weather(BUSY, 0.0, 20.0)
        play = under(weather, attempts=9, most_rows=3)

        outcomes = await deliver_all(play, rows=5, workers=3)

        assert {type(outcome) for outcome in outcomes} == {Sent}
        assert play.limiter.paused_seconds > 0

    leap(story())


@pytest.mark.slow
def test_three_bad_replies_in_ten_are_the_rows_own_trouble(leap: Leap) -> None:
    async def story() -> None:
        dice = random.Random(7)  # noqa: S311 — the same weather every time
        play = Stage(iter(lambda: BUSY if dice.random() < 0.3 else OK, None), attempts=3, seconds=0.01)

        outcomes = await deliver_all(play, rows=4_000, workers=32)

        failed = sum(isinstance(outcome, Failed) for outcome in outcomes)
        assert (play.limiter.paused_seconds, failed + sum(isinstance(outcome, Sent) for outcome in outcomes)) == (
            0,
            4_000,
        )
        assert 60 < failed < 160
        assert len(play.times) <= 4_000 / 0.7 * 1.05

    leap(story())


def test_one_probe_goes_after_a_limit_reply_and_then_all(leap: Leap) -> None:
    async def story() -> None:
        play = stage(limited(7), seconds=0.1)

        outcomes = await deliver_all(play, rows=3, workers=3)

        # Two more were in flight when the limit was met.
        assert play.times == [0.0, 0.0, 0.0, 7.1]
        await asyncio.gather(*(play.deliver(request(number)) for number in (4, 5, 6)))
        assert play.times[4:] == [7.2, 7.2, 7.2]
        assert all(isinstance(outcome, Sent) for outcome in outcomes)

    leap(story())


def test_a_limit_reply_holds_the_other_runs_of_this_machine_and_an_outage_does_not(leap: Leap) -> None:
    async def story() -> None:
        play = stage(limited(7), REFUSED)
        began = asyncio.get_running_loop().time()

        await play.deliver()

        assert round(play.quota.paused_until - began, 2) == 7.0
        assert play.times == [0.0, 7.0, 8.0]

    leap(story())


def test_a_hold_of_another_run_is_ours_too_and_ends_with_a_probe(leap: Leap) -> None:
    async def story() -> None:
        play = Stage(repeat(OK), seconds=0.5)
        play.quota.pause(asyncio.get_running_loop().time() + 9.0)

        await deliver_all(play, rows=3, workers=3)

        assert play.times == [9.0, 9.5, 9.5]
        assert round(play.limiter.paused_seconds, 2) == 9.0

    leap(story())


@pytest.mark.parametrize("retry_after", [None, 4.0])
def test_the_window_says_when_the_limit_is_over_unless_a_proxy_asks_for_more(
    leap: Leap, retry_after: float | None
) -> None:
    async def story() -> None:
        window = WindowState(period=60.0, remaining=0, reset=1_025.0, date=1_000.0, retry_after=retry_after)
        play = stage(Answer(200, "40401", window))

        await play.deliver()

        assert play.times == [0.0, retry_after or 25.0]

    leap(story())


def test_a_machine_without_sockets_left_sends_fewer_at_once_and_charges_no_row(leap: Leap) -> None:
    async def story() -> None:
        room, flying, most = 5, 0, list[int]()
        play = Stage(repeat(OK), attempts=1)

        async def post(_: Request) -> Reply:
            nonlocal flying
            flying += 1
            most.append(flying)
            try:
                await asyncio.sleep(0.05)
                return FULL if flying > room else OK
            finally:
                flying -= 1

        play.post = post
        outcomes = await deliver_all(play, rows=400, workers=32)

        assert ({type(outcome) for outcome in outcomes}, play.traffic.requests > 400) == ({Sent}, True)
        # It tries now and then whether there is room again.
        assert sum(count > room for count in most[200:]) < 20
        assert play.limiter.paused_seconds == 0.0

    leap(story())


def test_a_machine_without_a_single_socket_holds_everybody_and_ends_the_run_in_the_end(leap: Leap) -> None:
    async def story() -> None:
        play = Stage(repeat(FULL), attempts=1, outage_timeout=100.0)

        outcomes = await deliver_all(play, rows=20, workers=20)

        assert {type(outcome) for outcome in outcomes} == {Unsettled}
        assert isinstance(play.halt.reason, OutageError)
        assert "no socket or file left, for longer than retry.outage_timeout (100 s)" in str(play.halt.reason)

    leap(story())
