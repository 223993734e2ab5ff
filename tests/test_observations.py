"""What a report shows of the requests: when all of them paused, how long answers took, what was used of each window."""

import asyncio

from tests.fakes import Leap
from tests.fakes import gate as gate_of
from uploader.model import Answer, WindowState
from uploader.observations import RequestObservations
from uploader.rate import Pace, ServerWindow
from uploader.stop import Stop
from uploader.timeline import Pause, QuotaWindow

OPEN = Pace(burst=1_000, rate=1_000.0, concurrency=8)
GOOD = Answer(200, "20000", WindowState())


def test_a_pause_lasts_until_the_service_answers() -> None:
    observations = RequestObservations()

    observations.begin_pause("outage", 10.0)
    observations.begin_pause("outage", 12.0)
    observations.end_pause(15.0)
    observations.end_pause(16.0)

    assert observations.take_pauses(20.0) == [Pause("outage", 10.0, 5.0)]
    assert observations.take_pauses(21.0) == []


def test_a_pause_that_still_lasts_is_taken_piece_by_piece() -> None:
    observations = RequestObservations()

    observations.begin_pause("throttled", 10.0)

    assert observations.take_pauses(12.0) == [Pause("throttled", 10.0, 2.0)]
    observations.begin_pause("outage", 13.0)
    assert observations.take_pauses(14.0) == [Pause("throttled", 12.0, 1.0), Pause("outage", 13.0, 1.0)]


def test_the_limiter_observes_why_it_pauses_and_until_when(leap: Leap) -> None:
    async def story() -> None:
        now = asyncio.get_running_loop().time
        limiter = gate_of(OPEN, Stop(), now)
        began = now()
        limiter.pause(5.0, everybody=True)
        limiter.release(await limiter.acquire(), GOOD)
        limiter.breaker.recover(now())
        limiter.end_pause()
        limiter.pause(2.0)

        throttled, outage = limiter.observations.take_pauses(now() + 1)

        assert (throttled.kind, round(throttled.at - began), round(throttled.seconds)) == ("throttled", 0, 5)
        assert (outage.kind, round(outage.at - began), round(outage.seconds)) == ("outage", 5, 1)

    leap(story())


def test_the_limiter_observes_how_long_an_answer_took_and_not_how_long_silence_did(leap: Leap) -> None:
    async def story() -> None:
        limiter = gate_of(OPEN, Stop(), asyncio.get_running_loop().time)
        answered, abandoned = await limiter.acquire(), await limiter.acquire()
        await asyncio.sleep(0.25)
        limiter.release(answered, GOOD)
        limiter.release(abandoned, None)

        assert [round(seconds, 2) for seconds in limiter.observations.take_latencies()] == [0.25]
        assert limiter.observations.take_latencies() == []

    leap(story())


def test_the_window_of_the_service_is_known_while_it_lasts_and_after_it() -> None:
    window = ServerWindow(requests=100, per=10.0, share=1.0)
    assert window.take_windows() == []

    for n in range(1, 31):
        _reply(window, left=100 - n, reset=1010.0, at=n * 0.1)
    assert window.take_windows() == [QuotaWindow(1010.0, 30, 100)]

    _reply(window, left=60, reset=1010.0, at=9.0)
    _reply(window, left=99, reset=1020.0, at=10.5)
    assert window.take_windows() == [QuotaWindow(1010.0, 40, 100), QuotaWindow(1020.0, 1, 100)]


def _reply(window: ServerWindow, *, left: int, reset: float, at: float) -> None:
    state = WindowState(10.0, left, reset, 1000.0 + at)
    window.add_reply(state, sent=at - 0.01, received=at, counted=100 - left)
