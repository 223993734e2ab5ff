import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.fakes import Leap
from uploader.stop import Stop, Stopped

FIRST, SECOND = KeyboardInterrupt("first"), KeyboardInterrupt("second")


async def until_told(halt: Stop, waiting: Awaitable[object]) -> str:
    try:
        return f"got {await halt.wait(waiting)}"
    except Stopped:
        return "halted"


async def forever() -> None:
    await asyncio.Event().wait()


async def soon(word: str) -> str:
    await asyncio.sleep(0)
    return word


async def test_there_is_no_order_at_first() -> None:
    halt = Stop()

    assert (halt.is_requested, halt.reason) == (False, None)


async def test_the_first_reason_stands() -> None:
    halt = Stop()

    halt.request(FIRST)
    halt.request(SECOND)

    assert (halt.is_requested, halt.reason) == (True, FIRST)


async def test_a_result_passes_through() -> None:
    assert await Stop().wait(soon("tea")) == "tea"


async def test_a_failure_passes_through() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("spilt")

    with pytest.raises(ValueError, match="spilt"):
        await Stop().wait(fail())


async def test_an_order_wakes_everybody_who_waits() -> None:
    halt = Stop()
    waits = [asyncio.create_task(until_told(halt, forever())) for _ in range(3)]
    await asyncio.sleep(0)

    halt.request(FIRST)

    assert await asyncio.gather(*waits) == ["halted", "halted", "halted"]


async def test_an_order_that_was_given_before_ends_a_wait_at_once() -> None:
    halt = Stop()
    halt.request(FIRST)

    assert await until_told(halt, forever()) == "halted"
    assert await until_told(halt, asyncio.sleep(0)) == "halted"


async def test_who_got_a_result_before_the_order_keeps_it() -> None:
    halt = Stop()
    early = asyncio.create_task(until_told(halt, soon("tea")))
    late = asyncio.create_task(until_told(halt, forever()))
    assert await early == "got tea"

    halt.request(FIRST)

    assert await late == "halted"


@pytest.mark.parametrize("rounds", range(4))
async def test_a_second_order_disturbs_nobody_who_is_just_waking(rounds: int) -> None:
    halt = Stop()
    waits = [asyncio.create_task(until_told(halt, forever())) for _ in range(3)]
    await asyncio.sleep(0)

    halt.request(FIRST)
    for _ in range(rounds):
        await asyncio.sleep(0)
    halt.request(SECOND)

    assert await asyncio.gather(*waits) == ["halted", "halted", "halted"]


async def test_a_second_order_disturbs_nobody_who_is_slow_to_let_go() -> None:
    halt = Stop()

    async def clear_up() -> None:
        try:
            await forever()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)

    wait = asyncio.create_task(until_told(halt, clear_up()))
    await asyncio.sleep(0)

    halt.request(FIRST)
    for _ in range(5):
        await asyncio.sleep(0)
        halt.request(SECOND)

    assert await wait == "halted"


async def _timed_out() -> None:
    await asyncio.sleep(0)
    raise TimeoutError("theirs")


async def _out_of_time() -> None:
    async with asyncio.timeout(0):
        await forever()


@pytest.mark.parametrize("waiting", [_timed_out, _out_of_time])
async def test_a_timeout_of_somebody_else_is_not_an_order(waiting: Callable[[], Awaitable[None]]) -> None:
    with pytest.raises(TimeoutError):
        await Stop().wait(waiting())


async def test_an_order_is_not_a_timeout_of_somebody_else() -> None:
    halt = Stop()

    async def patient() -> str:
        async with asyncio.timeout(60):
            return await until_told(halt, forever())

    wait = asyncio.create_task(patient())
    await asyncio.sleep(0)

    halt.request(FIRST)

    assert await wait == "halted"


async def test_a_wait_that_is_cancelled_by_others_is_not_halted() -> None:
    halt = Stop()
    wait = asyncio.create_task(until_told(halt, forever()))
    await asyncio.sleep(0)

    wait.cancel()

    with pytest.raises(asyncio.CancelledError):
        await wait


async def test_who_does_not_wait_through_the_halt_is_left_alone() -> None:
    halt = Stop()
    door = asyncio.Event()
    in_flight = asyncio.create_task(door.wait())
    await asyncio.sleep(0)

    halt.request(FIRST)
    await asyncio.sleep(0)
    door.set()

    assert await in_flight is True


def test_what_is_in_flight_is_abandoned_when_its_time_to_land_is_over(leap: Leap) -> None:
    async def story() -> None:
        halt, over = Stop(grace=8.0), asyncio.Event()
        halt.when_grace_is_over(over.set)
        loop = asyncio.get_running_loop()
        began = loop.time()

        halt.request(FIRST)
        await asyncio.sleep(6.0)
        halt.request(SECOND)
        assert not over.is_set()
        await over.wait()

        assert loop.time() - began == pytest.approx(8.0, abs=0.01)

    leap(story())


async def test_without_an_order_nothing_in_flight_is_abandoned() -> None:
    halt, over = Stop(grace=0.0), asyncio.Event()
    halt.when_grace_is_over(over.set)

    await asyncio.sleep(0.01)

    assert not over.is_set()
