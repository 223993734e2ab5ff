"""One timer for all does what a timeout for each would do."""

import asyncio
import selectors
import socket
from collections.abc import Awaitable, Callable

import pytest

from tests.fakes import Leap
from uploader.delivery.timeouts import ExpiredError, Timeouts


async def forever() -> None:
    await asyncio.Event().wait()


async def after(seconds: float, word: str) -> str:
    await asyncio.sleep(seconds)
    return word


async def told(timeouts: Timeouts, awaited: Awaitable[object]) -> str:
    try:
        with timeouts:
            return f"got {await awaited}"
    except ExpiredError:
        return "expired"


def now() -> float:
    return asyncio.get_running_loop().time()


class Stopper(selectors.SelectSelector):
    """Waits for real sockets by a clock of its own, and plays a process that is stopped while it waits.

    It has waited for longer than it wanted, and is told of no socket: so epoll ends when it is interrupted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.stops_for = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.stops_for:
            self.now, self.stops_for = self.now + self.stops_for, 0.0
            return []
        told = super().select(0 if timeout is not None else 5.0)
        # Who waits for a moment gets there at once.
        self.now += max(1e-6, 0.0 if told or timeout is None else timeout)
        return told


class StoppedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.stopper = Stopper()
        super().__init__(self.stopper)

    def time(self) -> float:
        return self.stopper.now


@pytest.mark.parametrize("end", [lambda _: None, Timeouts.end_all], ids=["its time is over", "all are ended"])
@pytest.mark.parametrize("closes", [False, True], ids=["a line", "to the end"])
def test_what_came_while_the_process_was_stopped_came_in_time(*, end: Callable[[Timeouts], None], closes: bool) -> None:
    loop, timeouts = StoppedLoop(), Timeouts(30.0)
    ours, theirs = socket.socketpair()

    async def story() -> str:
        reader, writer = await asyncio.open_connection(sock=ours)
        flight = asyncio.create_task(told(timeouts, reader.read() if closes else reader.readline()))
        await asyncio.sleep(1.0)
        theirs.sendall(b"tea\n")
        if closes:
            theirs.close()
        loop.stopper.stops_for = 3_600.0
        end(timeouts)
        word = await flight
        writer.close()
        return word

    with asyncio.Runner(loop_factory=lambda: loop) as runner, theirs:
        assert runner.run(story()) == "got b'tea\\n'"


def test_what_never_comes_is_ended_though_the_process_was_stopped() -> None:
    loop, timeouts = StoppedLoop(), Timeouts(30.0)

    async def story() -> str:
        flight = asyncio.create_task(told(timeouts, forever()))
        await asyncio.sleep(0)
        loop.stopper.stops_for = 3_600.0
        return await flight

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(story()) == "expired"


def test_who_waits_when_a_stopped_process_goes_on_gets_the_full_time_from_then_on_and_no_more() -> None:
    loop, timeouts = StoppedLoop(), Timeouts(30.0)

    async def story() -> None:
        written, ends = asyncio.Event(), list[float]()

        async def timed(awaited: Awaitable[object]) -> str:
            word = await told(timeouts, awaited)
            ends.append(round(now() - goes_on))
            return word

        flights = [asyncio.create_task(timed(awaited)) for awaited in (forever(), written.wait())]
        await asyncio.sleep(20.0)
        flights.append(asyncio.create_task(timed(forever())))
        await asyncio.sleep(0)
        loop.stopper.stops_for = 3_600.0
        await asyncio.sleep(0.1)
        goes_on = now()
        await asyncio.sleep(29.0)
        written.set()
        flights.append(asyncio.create_task(timed(forever())))

        assert await asyncio.gather(*flights) == ["expired", "got True", "expired", "expired"]
        # Whoever began later has the usual time.
        assert ends == [29, 30, 30, 59]

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(story())


@pytest.mark.parametrize(("stops_for", "ends"), [(30.8, 31), (32.0, 62)])
def test_only_a_timer_that_is_late_by_more_than_a_second_gives_anybody_more_time(stops_for: float, ends: int) -> None:
    loop, timeouts = StoppedLoop(), Timeouts(30.0)

    async def story() -> int:
        began = now()
        flight = asyncio.create_task(told(timeouts, forever()))
        await asyncio.sleep(0)
        loop.stopper.stops_for = stops_for
        assert await flight == "expired"
        return round(now() - began)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(story()) == ends


def test_what_is_ended_with_all_others_gets_no_more_time_though_the_process_was_stopped() -> None:
    loop, timeouts = StoppedLoop(), Timeouts(30.0)

    async def story() -> tuple[str, int]:
        began = now()
        flight = asyncio.create_task(told(timeouts, forever()))
        await asyncio.sleep(0)
        timeouts.end_all()
        loop.stopper.stops_for = 3_600.0
        return await flight, round(now() - began)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(story()) == ("expired", 3_600)


async def test_who_begins_anew_while_the_others_are_ended_is_not_ended() -> None:
    timeouts = Timeouts(60.0)

    async def twice() -> list[str]:
        return [await told(timeouts, after(0, "tea")), await told(timeouts, after(0.01, "more tea"))]

    flight = asyncio.create_task(twice())
    await asyncio.sleep(0)

    timeouts.end_all()

    assert await flight == ["got tea", "got more tea"]


async def test_a_result_and_a_failure_pass_through() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("spilt")

    timeouts = Timeouts(60.0)

    with timeouts:
        assert await after(0, "tea") == "tea"
    with pytest.raises(ValueError, match="spilt"), timeouts:
        await fail()


def test_each_has_its_own_time_from_its_own_beginning(leap: Leap) -> None:
    async def story() -> None:
        timeouts, began = Timeouts(10.0), now()
        ends = list[float]()

        async def one(waits: float) -> str:
            await asyncio.sleep(waits)
            word = await told(timeouts, forever())
            ends.append(now() - began)
            return word

        assert await asyncio.gather(*(one(waits) for waits in (0.0, 4.0, 30.0))) == ["expired"] * 3
        assert ends == [pytest.approx(waits + 10.0, abs=0.01) for waits in (0.0, 4.0, 30.0)]

    leap(story())


def test_who_comes_in_time_is_not_ended_by_the_time_of_an_earlier_one(leap: Leap) -> None:
    async def story() -> None:
        timeouts = Timeouts(10.0)

        async def many() -> list[str]:
            return [await told(timeouts, after(3.0, "tea")) for _ in range(8)]

        late = asyncio.create_task(told(timeouts, forever()))

        assert await many() == ["got tea"] * 8
        assert await late == "expired"

    leap(story())


async def test_all_are_ended_at_once_and_those_that_come_later_are_not() -> None:
    timeouts = Timeouts(60.0)
    flights = [asyncio.create_task(told(timeouts, forever())) for _ in range(3)]
    await asyncio.sleep(0)

    timeouts.end_all()
    timeouts.end_all()

    assert await asyncio.gather(*flights) == ["expired"] * 3
    assert await told(timeouts, after(0.01, "tea")) == "got tea"


async def test_who_is_closed_from_outside_takes_nobody_elses_time() -> None:
    timeouts = Timeouts(0.05)
    abandoned = told(timeouts, forever())

    async def begin_it() -> None:
        abandoned.send(None)

    async def close_it() -> str:
        abandoned.close()
        await forever()
        return ""

    await asyncio.create_task(begin_it())
    flight = asyncio.create_task(told(timeouts, close_it()))

    assert await asyncio.wait_for(flight, 5.0) == "expired"


async def test_who_is_cancelled_by_others_is_cancelled_and_not_expired() -> None:
    timeouts = Timeouts(60.0)
    flight = asyncio.create_task(told(timeouts, forever()))
    await asyncio.sleep(0)

    flight.cancel()

    with pytest.raises(asyncio.CancelledError):
        await flight


@pytest.mark.parametrize("others_first", [True, False])
async def test_who_is_cancelled_by_others_as_well_stays_cancelled(*, others_first: bool) -> None:
    timeouts = Timeouts(60.0)
    flight = asyncio.create_task(told(timeouts, forever()))
    await asyncio.sleep(0)

    for end in (flight.cancel, timeouts.end_all) if others_first else (timeouts.end_all, flight.cancel):
        end()

    with pytest.raises(asyncio.CancelledError):
        await flight


async def test_who_comes_to_an_end_in_spite_of_it_keeps_the_result_and_is_not_cancelled() -> None:
    timeouts = Timeouts(60.0)

    async def stubborn() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            return "tea"
        return ""

    async def drink() -> tuple[str, int]:
        word = await told(timeouts, stubborn())
        task = asyncio.current_task()
        return word, task.cancelling() if task is not None else -1

    flight = asyncio.create_task(drink())
    await asyncio.sleep(0)

    timeouts.end_all()

    assert await flight == ("got tea", 0)


async def test_a_timeout_within_another_ends_only_what_is_its_own() -> None:
    outer, inner = Timeouts(60.0), Timeouts(0.01)

    async def nested() -> str:
        return await told(inner, forever())

    assert await told(outer, nested()) == "got expired"


@pytest.mark.parametrize("inner_first", [True, False])
async def test_of_two_that_end_at_once_one_is_told_and_nobody_stays_cancelled(*, inner_first: bool) -> None:
    outer, inner = Timeouts(60.0), Timeouts(60.0)

    async def nested() -> str:
        word = await told(outer, told(inner, forever()))
        await asyncio.sleep(0)
        return word

    flight = asyncio.create_task(nested())
    await asyncio.sleep(0)

    for timeouts in (inner, outer) if inner_first else (outer, inner):
        timeouts.end_all()

    assert await flight in {"expired", "got expired"}
