"""One timer for all does what a timeout for each would do."""

import asyncio
from collections.abc import Awaitable

import pytest

from uploader.timeouts import ExpiredError, Timeouts


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


async def test_a_result_and_a_failure_pass_through() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("spilt")

    timeouts = Timeouts(60.0)

    with timeouts:
        assert await after(0, "tea") == "tea"
    with pytest.raises(ValueError, match="spilt"), timeouts:
        await fail()


async def test_each_has_its_own_time_from_its_own_beginning() -> None:
    timeouts, began = Timeouts(0.1), now()
    ends = list[float]()

    async def one(waits: float) -> str:
        await asyncio.sleep(waits)
        word = await told(timeouts, forever())
        ends.append(round(now() - began, 2))
        return word

    assert await asyncio.gather(*(one(waits) for waits in (0.0, 0.04, 0.3))) == ["expired"] * 3
    assert ends == [pytest.approx(waits + 0.1, abs=0.03) for waits in (0.0, 0.04, 0.3)]


async def test_who_comes_in_time_is_not_ended_by_the_time_of_an_earlier_one() -> None:
    timeouts = Timeouts(0.1)

    async def many() -> list[str]:
        return [await told(timeouts, after(0.03, "tea")) for _ in range(8)]

    late = asyncio.create_task(told(timeouts, forever()))

    assert await many() == ["got tea"] * 8
    assert await late == "expired"


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
