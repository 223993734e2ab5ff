import asyncio
import contextlib
import math
from collections.abc import Awaitable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import Leap, LoneQuota, UntoldWindow
from tests.fakes import gate as gate_of
from uploader.clock import Clock
from uploader.errors import OutageError, StorageError
from uploader.model import Answer, WindowState
from uploader.rate import EstimatedLimit, Lease, Lowered, Notice, OtherClients, Pace, Paused, ServerWindow, Stalled
from uploader.rate.limiter import Limiter
from uploader.stop import Stop, Stopped

OPEN = Pace(burst=1_000, rate=1_000.0, concurrency=8)
ORDER = KeyboardInterrupt()


class Gate:
    """A limiter in leaping time, and who passed it when: seconds since the gate was built."""

    def __init__(self, pace: Pace, *, runs: int = 1) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.halt = Stop()
        self.limiter = gate_of(pace, self.halt, self._loop.time, runs=runs)
        self.passed: list[float] = []
        self.turned_away: list[float] = []

    @property
    def now(self) -> float:
        return round(self._loop.time() - self._began, 3)

    async def walk_through(self, times: int = 1) -> None:
        try:
            for _ in range(times):
                ticket = await self.limiter.acquire()
                self.passed.append(self.now)
                self.limiter.release(ticket, None)
        except Stopped:
            self.turned_away.append(self.now)

    def send(self, walkers: int) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.walk_through()) for _ in range(walkers)]


def test_a_burst_goes_at_once_and_the_rest_at_the_pace(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(Pace(burst=4, rate=10.0, concurrency=1))

        await gate.walk_through(8)

        assert gate.passed == [0.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.3, 0.4]

    leap(story())


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    burst=st.integers(1, 20),
    rate=st.floats(1.0, 500.0),
    walkers=st.integers(1, 12),
    pauses=st.lists(st.floats(0.0, 3.0), max_size=4),
)
def test_no_window_lets_more_go_than_the_burst_and_the_rate_allow(
    leap: Leap, burst: int, rate: float, walkers: int, pauses: list[float]
) -> None:
    pace = Pace(burst, rate, walkers)

    async def story() -> None:
        gate = Gate(pace)
        for pause in [*pauses, 0.0]:
            await asyncio.gather(*(gate.walk_through(10) for _ in range(walkers)))
            await asyncio.sleep(pause)

        for place, first in enumerate(gate.passed):
            for count, last in enumerate(gate.passed[place:], start=1):
                assert count <= pace.grants_in(last - first) + 0.001 * rate + 0.001

    leap(story())


def test_the_pace_is_reached(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(Pace(burst=16, rate=150.0, concurrency=32))

        await asyncio.gather(*(gate.walk_through(50) for _ in range(32)))

        assert gate.passed[-1] == pytest.approx((1600 - 16) / 150, abs=0.01)

    leap(story())


def test_a_hold_closes_the_gate_for_all(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(OPEN)
        gate.limiter.pause(5.0)

        await asyncio.gather(*gate.send(3))

        assert gate.passed == [5.0, 5.0, 5.0]

    leap(story())


def test_a_hold_that_begins_while_one_waits_for_its_token_stops_that_one_too(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(Pace(burst=1, rate=0.1, concurrency=1))
        tasks = gate.send(2)
        await asyncio.sleep(5.0)

        gate.limiter.pause(30.0)
        await asyncio.gather(*tasks)

        assert gate.passed == [0.0, 35.0]

    leap(story())


@pytest.mark.parametrize(
    ("holds", "opens"),
    [
        ([(0.0, 5.0), (0.0, 2.0)], 5.0),
        ([(0.0, 2.0), (1.0, 5.0)], 6.0),
        ([(0.0, 10.0), (4.0, 1.0), (2.0, 3.0)], 10.0),
        ([(0.0, 0.0)], 0.0),
    ],
)
def test_of_several_holds_the_longest_counts(leap: Leap, holds: list[tuple[float, float]], opens: float) -> None:
    async def story() -> None:
        gate = Gate(OPEN)
        begun = asyncio.Event()

        async def hold_again_and_again() -> None:
            for pause, seconds in holds:
                await asyncio.sleep(pause)
                gate.limiter.pause(seconds)
                begun.set()

        holding = asyncio.create_task(hold_again_and_again())
        await begun.wait()
        await gate.walk_through()

        assert gate.passed == [opens]
        await holding

    leap(story())


def test_a_shorter_hold_does_not_open_the_gate_for_those_who_come_later(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(OPEN)
        gate.limiter.pause(10.0)
        gate.limiter.pause(2.0)
        await asyncio.sleep(3.0)

        await gate.walk_through()

        assert gate.passed == [10.0]

    leap(story())


def test_the_gate_says_whether_and_how_long_it_was_held(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(OPEN)
        held: list[tuple[bool, float]] = []

        async def look_after(seconds: float) -> None:
            await asyncio.sleep(seconds)
            held.append((gate.limiter.is_paused, round(gate.limiter.paused_seconds, 3)))

        await look_after(3.0)
        gate.limiter.pause(10.0)
        await look_after(0.0)
        await look_after(4.0)
        gate.limiter.pause(2.0)
        gate.limiter.pause(8.0)
        await look_after(7.0)
        await look_after(1.0)
        await look_after(50.0)
        gate.limiter.pause(1.0)
        await look_after(0.5)
        await look_after(0.5)

        assert held == [
            (False, 0.0),
            (True, 0.0),
            (True, 4.0),
            (True, 11.0),
            (False, 12.0),
            (False, 12.0),
            (True, 12.5),
            (False, 13.0),
        ]

    leap(story())


def test_an_order_to_stop_wakes_those_who_wait_for_a_token(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(Pace(burst=1, rate=0.01, concurrency=4))
        tasks = gate.send(4)
        await asyncio.sleep(7.0)

        gate.halt.request(ORDER)
        await asyncio.gather(*tasks)

        assert (gate.passed, gate.turned_away) == ([0.0], [7.0, 7.0, 7.0])

    leap(story())


def test_an_order_to_stop_wakes_those_who_are_held(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(OPEN)
        gate.limiter.pause(3_600.0)
        tasks = gate.send(3)
        await asyncio.sleep(7.0)

        gate.halt.request(ORDER)
        await asyncio.gather(*tasks)

        assert (gate.passed, gate.turned_away) == ([], [7.0, 7.0, 7.0])

    leap(story())


@pytest.mark.parametrize("pace", [OPEN, Pace(burst=1, rate=0.01, concurrency=1)])
def test_nobody_passes_after_the_order_to_stop_though_there_are_tokens(leap: Leap, pace: Pace) -> None:
    async def story() -> None:
        gate = Gate(pace)
        gate.halt.request(ORDER)

        await asyncio.gather(*gate.send(3))

        assert (gate.passed, gate.turned_away) == ([], [0.0, 0.0, 0.0])

    leap(story())


def test_those_who_were_woken_leave_their_tokens_to_others(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(Pace(burst=1, rate=1.0, concurrency=4))
        tasks = gate.send(4)
        await asyncio.sleep(0.5)
        for task in tasks[1:3]:
            task.cancel()

        await asyncio.gather(*tasks, return_exceptions=True)

        assert gate.passed == [0.0, 1.0]
        assert [round(later - earlier, 3) for earlier, later in pairwise(gate.passed)] == [1.0]

    leap(story())


def test_a_hold_tells_how_many_more_seconds_everybody_waits(leap: Leap) -> None:
    async def story() -> None:
        limiter = Gate(OPEN).limiter
        more = [limiter.pause(10.0), limiter.pause(4.0), limiter.pause(12.0)]
        await asyncio.sleep(6.0)
        more += [limiter.pause(6.0), limiter.pause(7.0)]
        await asyncio.sleep(60.0)
        more.append(limiter.pause(3.0))

        assert [round(seconds, 3) for seconds in more] == [10.0, 0.0, 2.0, 0.0, 1.0, 3.0]

    leap(story())


def test_after_a_hold_one_goes_alone_until_the_service_is_trusted_again(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(OPEN)
        gate.limiter.pause(2.0)
        probe = await gate.limiter.acquire()
        others = gate.send(3)
        await asyncio.sleep(5.0)
        assert gate.passed == []

        gate.limiter.breaker.recover(math.inf)
        gate.limiter.release(probe, None)
        await asyncio.gather(*others)

        assert [round(passed - 7.0, 1) for passed in gate.passed] == [0.0, 0.0, 0.0]

    leap(story())


def test_no_more_are_in_flight_than_the_pace_says(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(Pace(burst=100, rate=1_000.0, concurrency=3))
        flying = [await gate.limiter.acquire() for _ in range(3)]
        waiting = gate.send(1)
        await asyncio.sleep(3.0)
        assert gate.passed == []

        gate.limiter.release(flying[0], None)
        await asyncio.gather(*waiting)

        assert gate.passed == [3.0]

    leap(story())


def test_runs_that_share_the_quota_share_what_may_be_in_flight(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(Pace(burst=100, rate=1_000.0, concurrency=8), runs=4)
        flying = [await gate.limiter.acquire() for _ in range(2)]
        waiting = gate.send(1)
        await asyncio.sleep(1.0)
        assert (len(flying), gate.passed) == (2, [])

        gate.halt.request(ORDER)
        await asyncio.gather(*waiting)

    leap(story())


def test_others_who_use_the_quota_are_told_of_once(leap: Leap) -> None:
    async def story() -> None:
        loop, told = asyncio.get_running_loop(), list[OtherClients]()
        window = ServerWindow(requests=1_000, per=60.0, share=0.95)
        pace = Pace(burst=4, rate=10.0, concurrency=8)
        limiter = gate_of(pace, Stop(), loop.time, window=window, on_others=told.append)
        began = loop.time()

        for number in range(300):
            ticket = await limiter.acquire()
            # For each of ours comes one of somebody else.
            state = WindowState(60.0, 999 - 2 * number, began + 60.0, began + (loop.time() - began) // 1)
            limiter.release(ticket, Answer(200, "20000", state))

        assert [round(others.per_minute, -2) for others in told] == [600.0]

    leap(story())


def test_words_of_others_that_fail_are_not_tried_again(leap: Leap) -> None:
    async def story() -> None:
        loop, tried = asyncio.get_running_loop(), list[OtherClients]()

        def tell(others: OtherClients) -> None:
            tried.append(others)
            raise OSError("nobody can be told")

        window = ServerWindow(requests=1_000, per=60.0, share=0.95)
        limiter = gate_of(Pace(burst=4, rate=10.0, concurrency=8), Stop(), loop.time, window=window, on_others=tell)
        began = loop.time()

        for number in range(300):
            ticket = await limiter.acquire()
            # For each of ours comes one of somebody else.
            state = WindowState(60.0, 999 - 2 * number, began + 60.0, began + (loop.time() - began) // 1)
            with contextlib.suppress(OSError):
                limiter.release(ticket, Answer(200, "20000", state))

        assert len(tried) == 1

    leap(story())


@pytest.mark.parametrize(("seconds", "ends"), [(29.0, False), (31.0, True)])
def test_a_hold_of_another_run_that_lasts_longer_than_the_patience_ends_this_one(
    leap: Leap,
    seconds: float,
    ends: bool,  # noqa: FBT001 — what is found
) -> None:
    async def story() -> None:
        loop, halt = asyncio.get_running_loop(), Stop()
        began, quota = loop.time(), LoneQuota(loop.time)
        quota.pause(began + seconds)
        limiter = gate_of(OPEN, halt, loop.time, quota=quota, patience=30.0)

        with contextlib.suppress(Stopped):
            await limiter.acquire()

        assert isinstance(halt.reason, OutageError) is ends
        assert round(loop.time() - began) == (0 if ends else seconds)

    leap(story())


FAST = Pace(burst=64, rate=5_000.0, concurrency=16, handful=5)


class CountedQuota(LoneQuota):
    """A quota that counts how often it is asked."""

    asked = 0

    def lease(self, *, rate: float, burst: int, most: int) -> Lease:
        self.asked += 1
        return super().lease(rate=rate, burst=burst, most=most)


def test_at_a_high_rate_places_are_taken_by_the_handful(leap: Leap) -> None:
    async def story() -> None:
        halt, clock = Stop(), asyncio.get_running_loop().time
        quota = CountedQuota(clock)
        limiter = gate_of(FAST, halt, clock, quota=quota)

        for _ in range(40):
            limiter.release(await limiter.acquire(), None)

        assert (quota.granted, quota.asked) == (40, 8)

    leap(story())


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    burst=st.integers(1, 40),
    rate=st.floats(100.0, 5_000.0),
    handful=st.integers(1, 40),
    pauses=st.lists(st.floats(0.0, 0.02), min_size=1, max_size=8),
)
def test_no_window_lets_more_go_than_burst_rate_and_one_handful_allow(
    leap: Leap, burst: int, rate: float, handful: int, pauses: list[float]
) -> None:
    pace = Pace(burst, rate, 8, min(handful, burst))

    async def story() -> None:
        gate = Gate(pace)
        for pause in pauses:
            await gate.walk_through(7)
            await asyncio.sleep(pause)
        await asyncio.gather(*(gate.walk_through(20) for _ in range(8)))

        for place, first in enumerate(gate.passed):
            for count, last in enumerate(gate.passed[place:], start=1):
                assert count <= pace.grants_in(last - first) + pace.handful - 1 + 0.001 * rate + 0.001

    leap(story())


class DistantQuota(LoneQuota):
    """A quota that several hosts share: its leases take half a second to come."""

    def lease(self, *, rate: float, burst: int, most: int) -> Awaitable[Lease]:  # type: ignore[override]  # it may await
        async def answer() -> Lease:
            await asyncio.sleep(0.5)
            return super(DistantQuota, self).lease(rate=rate, burst=burst, most=most)

        return answer()


def test_a_lease_may_be_awaited(leap: Leap) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        began, quota = loop.time(), DistantQuota(loop.time)
        limiter = gate_of(FAST, Stop(), loop.time, quota=quota)

        for _ in range(10):
            limiter.release(limiter.acquire_now() or await limiter.acquire(), None)

        assert (quota.granted, round(loop.time() - began, 2)) == (10, 1.0)

    leap(story())


def test_an_order_to_stop_wakes_those_who_wait_for_a_lease(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(FAST)
        gate.limiter = gate_of(FAST, gate.halt, asyncio.get_running_loop().time, quota=DistantQuota(lambda: 0.0))
        tasks = gate.send(3)
        await asyncio.sleep(0.25)

        gate.halt.request(ORDER)
        await asyncio.gather(*tasks)

        assert (gate.passed, gate.turned_away) == ([], [0.25] * 3)

    leap(story())


def test_what_is_left_of_a_handful_is_not_used_during_a_hold_nor_after_it(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(FAST)
        await gate.walk_through()
        gate.limiter.pause(0.005)

        walkers = gate.send(3)
        await asyncio.sleep(0.004)
        assert gate.passed == [0.0]
        await asyncio.gather(*walkers)

        assert gate.passed[1] == pytest.approx(0.005, abs=0.001)

    leap(story())


def test_what_is_left_of_a_handful_is_void_when_it_is_not_used_at_once(leap: Leap) -> None:
    async def story() -> None:
        halt, clock = Stop(), asyncio.get_running_loop().time
        quota = CountedQuota(clock)
        limiter = gate_of(FAST, halt, clock, quota=quota)

        limiter.release(await limiter.acquire(), None)
        await asyncio.sleep(0.05)
        limiter.release(await limiter.acquire(), None)

        assert quota.asked == 2

    leap(story())


def test_who_has_a_place_of_a_handful_is_turned_away_by_the_order_to_stop(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(FAST)
        await gate.walk_through()
        gate.halt.request(ORDER)

        await gate.walk_through()

        assert (gate.passed, gate.turned_away) == ([0.0], [0.0])

    leap(story())


def test_a_handful_lets_no_more_be_in_flight_than_may_be(leap: Leap) -> None:
    async def story() -> None:
        limiter = gate_of(Pace(64, 5_000.0, 3, 3), Stop(), asyncio.get_running_loop().time)
        flying = [await limiter.acquire() for _ in range(3)]

        late = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0.5)
        assert not late.done()
        limiter.release(flying[0], None)
        await asyncio.sleep(0.1)

        assert late.done()

    leap(story())


def test_what_is_left_of_a_handful_is_not_counted_as_arrived(leap: Leap) -> None:
    async def story() -> None:
        told = list[object]()

        class Listening(UntoldWindow):
            def add_reply(self, *_: object, **known: object) -> None:
                told.append(known["counted"])

        limiter = gate_of(FAST, Stop(), asyncio.get_running_loop().time, window=Listening())
        for _ in range(3):
            limiter.release(await limiter.acquire(), Answer(200, "20000"))
        await asyncio.sleep(0.05)
        limiter.release(await limiter.acquire(), Answer(200, "20000"))

        assert told == [1, 2, 3, 4]

    leap(story())


class _CoarseClock:
    """A clock that moves in milliseconds, as the timers of an event loop do: whoever sleeps wakes a little late."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        now = self._loop.time()
        await asyncio.sleep(math.ceil((now + seconds) * 1_000) / 1_000 - now)


@pytest.mark.parametrize("handful", [1, 5, 10])
def test_a_pace_of_thousands_a_second_is_reached_though_timers_are_coarse(leap: Leap, handful: int) -> None:
    async def story() -> None:
        clock, halt = _CoarseClock(), Stop()
        pace = Pace(burst=16, rate=5_000.0, concurrency=64, handful=handful)
        limiter = Limiter(
            pace, window=UntoldWindow(), quota=LoneQuota(clock), stop=halt, clock=Clock(clock, clock, clock.sleep)
        )
        passed = 0

        async def walk() -> None:
            nonlocal passed
            for _ in range(40):
                ticket = await limiter.acquire()
                passed += 1
                await asyncio.sleep(0.002)
                limiter.release(ticket, None)

        began = clock()
        await asyncio.gather(*(walk() for _ in range(64)))

        assert passed / (clock() - began) > 0.95 * pace.rate

    leap(story())


def test_who_has_no_room_on_this_machine_leaves_no_handful(leap: Leap) -> None:
    async def story() -> None:
        limiter = gate_of(FAST, Stop(), asyncio.get_running_loop().time)
        flying = [await limiter.acquire() for _ in range(4)]
        assert limiter.reduce_concurrency(flying[0])
        limiter.release(flying[0], None)

        late = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0.001)

        assert not late.done(), "three are in flight where two may be"
        late.cancel()

    leap(story())


def test_who_passes_alone_waits_for_all_in_flight_and_is_waited_for(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(OPEN)
        flying = [await gate.limiter.acquire() for _ in range(3)]
        alone = asyncio.create_task(gate.limiter.acquire(alone=True))
        await asyncio.sleep(0.1)
        others = gate.send(3)

        for landed, departure in enumerate(flying, start=1):
            await asyncio.sleep(1.0)
            assert not alone.done(), f"{landed - 1} of 3 have landed"
            gate.limiter.release(departure, None)
        departure = await alone
        await asyncio.sleep(5.0)
        assert (gate.passed, gate.limiter.acquire_now()) == ([], None)
        gate.limiter.release(departure, None)
        await asyncio.gather(*others)

        assert gate.passed == pytest.approx([8.1] * 3, abs=0.1)

    leap(story())


def raising(_: object) -> None:
    raise UnicodeEncodeError("ascii", "é", 0, 1, "it can't be printed")


@pytest.mark.parametrize(("seconds", "told"), [(29.0, []), (43.0, [43.0])])
def test_a_long_pause_is_told_once_with_its_end(leap: Leap, seconds: float, told: list[float]) -> None:
    async def story() -> None:
        heard: list[Notice] = []
        loop = asyncio.get_running_loop()
        limiter = gate_of(OPEN, Stop(), loop.time, on_notice=heard.append)

        for _ in range(3):
            limiter.pause(seconds, everybody=True)

        assert [notice.seconds for notice in heard if isinstance(notice, Paused)] == pytest.approx(told)

    leap(story())


def test_who_waits_to_pass_alone_hears_the_order_to_stop(leap: Leap) -> None:
    async def story() -> None:
        gate = Gate(OPEN)
        flying = await gate.limiter.acquire()
        waiting = [asyncio.create_task(gate.limiter.acquire(alone=True)) for _ in range(2)]
        await asyncio.sleep(1.0)

        gate.halt.request(ORDER)

        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [Stopped, Stopped]
        assert gate.now == 1.0
        gate.limiter.release(flying, None)

    leap(story())


def test_what_can_not_be_told_to_people_changes_nothing(leap: Leap) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        quota = LoneQuota(loop.time)
        quota.is_stalled = True
        limiter = gate_of(OPEN, Stop(), loop.time, quota=quota, on_notice=raising)

        limiter.pause(60.0, everybody=True)
        limiter.release(await limiter.acquire(), None)

        assert quota.granted == 1

    leap(story())


def test_a_reply_is_counted_before_the_quota_fails_to_take_note_of_it(leap: Leap) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        quota, told = LoneQuota(loop.time), list[WindowState]()

        class Counted(UntoldWindow):
            def add_reply(self, state: WindowState, **_: Any) -> None:  # noqa: ANN401 — as it is
                told.append(state)

        def fail() -> None:
            raise StorageError("the disk is full")

        quota.mark_answered = fail  # type: ignore[method-assign]  # the quota that fails is played
        limiter = gate_of(replace(OPEN, concurrency=1), Stop(), loop.time, quota=quota, window=Counted())

        with pytest.raises(StorageError):
            limiter.release(await limiter.acquire(), Answer(200, "20000"))

        assert told == [WindowState()]

    leap(story())


def test_what_people_are_told_of_the_pace_is_no_warning_of_the_log_as_well(
    leap: Leap, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        heard: list[Notice] = []
        loop = asyncio.get_running_loop()
        quota = LoneQuota(loop.time)
        quota.is_stalled = True
        estimated_limit = EstimatedLimit(requests=1_000, per=60.0, share=0.95)
        limiter = gate_of(OPEN, Stop(), loop.time, quota=quota, on_notice=heard.append, estimated_limit=estimated_limit)

        for _ in range(2):
            for _ in range(300):
                limiter.release(await limiter.acquire(), Answer(200, "20000"))
                await asyncio.sleep(0.1)
            limiter.release(await limiter.acquire(), Answer(429, ""))
            await asyncio.sleep(90.0)

        assert heard == [Stalled(), Lowered(300)]

    with caplog.at_level("WARNING", "uploader.delivery"):
        leap(story())

    assert caplog.messages == []
