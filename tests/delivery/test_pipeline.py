import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.delivery.harness import Line, number_of
from tests.make import REASON, rejected, request, requests
from uploader.delivery.canary import Canary
from uploader.delivery.firewall_blocks import BlockedRows
from uploader.delivery.pipeline import HeldBackRows, Pipeline
from uploader.errors import RefusedError, StorageError
from uploader.model import (
    AwaitsMerge,
    Failed,
    NoWork,
    Outcome,
    Rejected,
    Request,
    Sent,
    Settled,
    Superseded,
    Unchanged,
    Unsettled,
    Work,
    person_of,
)

BROKEN = OSError("the source is cut off")
REFUSAL = RefusedError("the token is wrong")
DISK = StorageError("the disk is full")


async def a_while() -> None:
    """Let all others go on until they wait for something."""
    for _ in range(50):
        await asyncio.sleep(0)


_PEOPLE = st.lists(st.sampled_from(["id=a", "id=b", "id=c", "mail=a", "mail=b", "tel=a"]), max_size=3).map(tuple)
_ROWS = st.lists(st.tuples(_PEOPLE, st.booleans()), max_size=40)


def _works(rows: list[tuple[tuple[str, ...], bool]]) -> list[Work]:
    return [
        rejected(number, *person) if unfit else request(number, *person)
        for number, (person, unfit) in enumerate(rows, start=1)
    ]


@given(rows=_ROWS, workers=st.integers(1, 8), room=st.integers(1, 12), seed=st.integers(0, 999))
async def test_every_row_settles_once_and_in_its_persons_turn(
    rows: list[tuple[tuple[str, ...], bool]], workers: int, room: int, seed: int
) -> None:
    works = _works(rows)
    dice = random.Random(seed)  # noqa: S311 — delays that fall alike every time
    line = Line(works, lambda _: dice.randrange(6), room)

    await line.carry(workers)

    assert sorted(line.numbers) == [number_of(work) for work in works]
    assert line.pipeline.without_outcome(len(works)) == 0
    assert line.most_in_flight <= workers
    assert line.most_beyond <= workers + room
    for value in {value for work in works for value in person_of(work)}:
        turns = [number_of(work) for work in works if value in person_of(work)]
        assert [number for number in line.numbers if number in turns] == turns


@dataclass
class BrokenLine(Line):
    """A line that breaks at the row *at*, in the way that *trouble* names."""

    trouble: str = "source"
    at: int = 1

    def __post_init__(self) -> None:
        self.works = self._source(self.works)
        super().__post_init__()

    def _source(self, works: Iterable[Work | NoWork]) -> Iterator[Work | NoWork]:
        for work in works:
            if self._breaks("source", work):
                raise BROKEN
            yield work

    async def deliver(self, request: Request) -> Outcome | Unsettled:
        if self._breaks("deliver", request):
            raise REFUSAL
        if self._breaks("halt", request) or self._breaks("unsettled", request):
            self.halt.request(REFUSAL)
        return Unsettled(request) if self._breaks("unsettled", request) else Sent(request, 1)

    def settle(self, outcome: Outcome | Unsettled) -> None:
        if self._breaks("settle", outcome):
            raise DISK

    def _breaks(self, part: str, work: Outcome | Unsettled | Work | NoWork) -> bool:
        return (part, number_of(work)) == (self.trouble, self.at)


@given(
    rows=_ROWS,
    bounds=st.tuples(st.integers(1, 8), st.integers(1, 12)),
    seed=st.integers(0, 999),
    trouble=st.sampled_from(["source", "deliver", "settle", "halt", "unsettled"]),
    at=st.integers(1, 40),
)
async def test_the_books_balance_whatever_ends_the_run(
    rows: list[tuple[tuple[str, ...], bool]], bounds: tuple[int, int], seed: int, trouble: str, at: int
) -> None:
    workers, room = bounds
    dice = random.Random(seed)  # noqa: S311 — delays that fall alike every time
    line = BrokenLine(_works(rows), lambda _: dice.randrange(6), room, trouble=trouble, at=at)

    (raised,) = await asyncio.gather(line.carry(workers), return_exceptions=True)

    assert raised is line.halt.reason
    assert len(line.finished) == len(set(line.finished))
    assert len(line.finished) + line.pipeline.without_outcome(len(rows)) == len(rows)
    assert line.in_flight == set()


@pytest.mark.parametrize("workers", [1, 3, 50])
async def test_at_most_so_many_are_in_flight_as_there_are_workers(workers: int) -> None:
    line = Line(requests(100))

    await line.carry(workers)

    assert line.most_in_flight == workers


async def test_rows_without_a_person_wait_for_nobody() -> None:
    line = Line([request(number) for number in range(1, 9)])

    await line.carry(8)

    assert line.most_in_flight == 8


async def test_an_empty_source_is_carried_at_once() -> None:
    line = Line([])

    await line.carry()

    assert (line.settled, line.pipeline.taken, line.pipeline.without_outcome(0)) == ([], 0, 0)


@asynccontextmanager
async def _closed_door(line: Line, numbers: set[int]) -> AsyncIterator[asyncio.Event]:
    """Keep the requests *numbers* in flight until the event is set."""
    door = asyncio.Event()

    async def deliver(request: Request) -> Outcome | Unsettled:
        if request.row.number in numbers:
            await door.wait()
        return Sent(request, 1)

    line.deliver = deliver  # type: ignore[method-assign]  # the part that this test slows down
    yield door


async def test_a_broken_source_loses_no_request_in_flight() -> None:
    def source() -> Iterator[Work]:
        yield from requests(3)
        raise BROKEN

    line = Line(source())
    async with _closed_door(line, {1, 2, 3}) as door:
        carrying = asyncio.create_task(line.carry(4))
        for _ in range(20):
            await asyncio.sleep(0)
        assert (line.halt.reason, carrying.done(), line.settled) == (BROKEN, False, [])

        door.set()
        with pytest.raises(OSError, match="the source is cut off"):
            await carrying

    assert (sorted(line.finished), line.pipeline.without_outcome(10)) == ([1, 2, 3], 7)


async def test_a_delivery_that_raises_lets_the_others_land_and_begins_no_new_row() -> None:
    line = Line(requests(50))

    async def deliver(request: Request) -> Outcome | Unsettled:
        if request.row.number == 2:
            raise REFUSAL
        await a_while()
        return Sent(request, 1)

    line.deliver = deliver  # type: ignore[method-assign]  # the part that this test breaks

    with pytest.raises(RefusedError, match="the token is wrong"):
        await line.carry(4)

    assert sorted(line.begun) == [1, 2, 3, 4]
    assert sorted(line.finished) == [1, 3, 4]
    assert [outcome for outcome in line.settled if isinstance(outcome, Unsettled)] == [Unsettled(request(2, "id=2"))]
    assert line.pipeline.without_outcome(50) == 47


async def test_many_deliveries_that_raise_at_once_end_the_run_with_the_first_reason() -> None:
    line = Line(requests(50), lambda number: number)

    async def deliver(request: Request) -> Outcome | Unsettled:
        if request.row.number == 4:
            await line.halt.wait(asyncio.Event().wait())
        raise RefusedError(f"refused {request.row.number}")

    line.deliver = deliver  # type: ignore[method-assign]  # the part that this test breaks

    with pytest.raises(RefusedError, match="refused 1"):
        await line.carry(8)

    assert (line.finished, sorted(line.numbers), line.pipeline.without_outcome(50)) == ([], [*range(1, 9)], 50)


async def test_a_disk_that_fills_up_ends_the_run_and_the_others_are_settled() -> None:
    line = Line(requests(50), lambda _: 3)

    def settle(outcome: Outcome | Unsettled) -> None:
        if number_of(outcome) == 2:
            raise DISK

    line.settle = settle  # type: ignore[method-assign]  # the part that this test breaks

    with pytest.raises(StorageError, match="the disk is full"):
        await line.carry(4)

    assert sorted(line.finished) == [1, *range(3, line.pipeline.taken + 1)]
    assert len(line.finished) + line.pipeline.without_outcome(50) == 50
    assert line.pipeline.taken < 10


async def test_a_disk_that_stays_full_loses_no_row_from_the_books() -> None:
    line = Line([*requests(20), rejected(21)])

    def settle(outcome: Outcome | Unsettled) -> None:  # noqa: ARG001 — it takes what it is given, and fails
        raise DISK

    line.settle = settle  # type: ignore[method-assign]  # the part that this test breaks

    with pytest.raises(StorageError):
        await line.carry(4)

    assert (line.settled, line.pipeline.without_outcome(21)) == ([], 21)


async def test_the_later_rows_of_a_person_do_not_overtake_one_that_was_interrupted() -> None:
    line = Line([request(1, "id=a"), request(2, "id=a"), *requests(0), request(3, "id=b")])

    async def deliver(request: Request) -> Outcome | Unsettled:
        if request.row.number == 1:
            line.halt.request(REFUSAL)
            return Unsettled(request, 1)
        return Sent(request, 1)

    line.deliver = deliver  # type: ignore[method-assign]  # the part that this test breaks

    with pytest.raises(RefusedError):
        await line.carry(4)

    assert 2 not in line.begun


@pytest.mark.parametrize("workers", [1, 4])
async def test_an_order_to_stop_begins_no_new_row_and_lets_those_in_flight_land(workers: int) -> None:
    line = Line(requests(50))
    async with _closed_door(line, set(range(1, 51))) as door:
        carrying = asyncio.create_task(line.carry(workers))
        await a_while()

        line.halt.request(REFUSAL)
        await a_while()
        assert not carrying.done()
        door.set()
        with pytest.raises(RefusedError, match="the token is wrong"):
            await carrying

    assert (sorted(line.finished), line.pipeline.without_outcome(50)) == ([*range(1, workers + 1)], 50 - workers)


async def test_an_order_that_was_given_before_carries_nothing() -> None:
    line = Line(requests(5))
    line.halt.request(REFUSAL)

    with pytest.raises(RefusedError):
        await line.carry()

    assert (line.settled, line.pipeline.taken, line.pipeline.without_outcome(5)) == ([], 0, 5)


async def test_an_order_to_stop_wakes_workers_that_wait_for_a_turn() -> None:
    line = Line([request(number, "id=a") for number in range(1, 20)])
    async with _closed_door(line, {1}) as door:
        carrying = asyncio.create_task(line.carry(4))
        await a_while()
        line.halt.request(REFUSAL)
        door.set()

        with pytest.raises(RefusedError):
            await carrying

    assert (line.finished, line.pipeline.without_outcome(19)) == ([1], 18)


async def test_who_is_cancelled_lets_go_and_keeps_the_books() -> None:
    line = Line(requests(50))
    async with _closed_door(line, set(range(1, 51))):
        carrying = asyncio.create_task(line.carry(4))
        await a_while()

        carrying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await carrying

    assert (line.finished, line.in_flight, line.pipeline.without_outcome(50)) == ([], set(), 50)


async def test_a_full_parking_lot_stops_the_reading_and_nothing_else() -> None:
    line = Line([*(request(number, "id=a") for number in range(1, 31)), request(31, "id=b")], room=5)
    async with _closed_door(line, {1}) as door:
        carrying = asyncio.create_task(line.carry(4))
        await a_while()
        assert (line.begun, line.pipeline.taken) == ([1], 6)

        door.set()
        await carrying

    assert [number for number in line.numbers if number != 31] == [*range(1, 31)]
    assert (31 in line.numbers, line.pipeline.without_outcome(31)) == (True, 0)
    assert line.most_beyond <= 4 + 5


async def test_memory_is_bounded_by_the_workers_and_the_parking_lot() -> None:
    people = 7
    line = Line([request(n, f"id={n % people}") for n in range(1, 2_000)], lambda n: n % 5, room=50)

    await line.carry(20)

    assert 50 < line.most_beyond <= people + 50
    assert len(line.settled) == 1_999


async def test_a_rejected_row_goes_through_in_its_persons_turn() -> None:
    line = Line([request(1, "id=a"), rejected(2, "id=a"), rejected(3, "id=b"), request(4, "id=a")], lambda _: 9)

    await line.carry(4)

    assert line.numbers == [3, 1, 2, 4]


async def test_rejected_rows_without_end_leave_others_their_turn() -> None:
    line = Line(rejected(number) for number in range(1, 100_000))
    carrying = asyncio.create_task(line.carry(2))

    await a_while()
    line.halt.request(REFUSAL)

    with pytest.raises(RefusedError):
        await carrying
    assert 0 < len(line.finished) < 99_999


async def test_a_file_sorted_by_person_keeps_all_workers_busy() -> None:
    works = [request(10 * person + row, f"id={person}") for person in range(200) for row in range(1, 11)]
    busy: list[int] = []
    line = Line(works, lambda _: 4)

    async def deliver(request: Request) -> Outcome | Unsettled:
        busy.append(len(line.in_flight))
        return Sent(request, 1)

    line.deliver = deliver  # type: ignore[method-assign]  # the part that this test watches

    await line.carry(32)

    assert set(busy[32:1_500]) == {32}


def _continued(rows: int, settled: Callable[[int], bool]) -> list[Work | NoWork]:
    return [Settled(number) if settled(number) else request(number, f"id={number}") for number in range(1, rows + 1)]


async def test_rows_of_an_earlier_life_are_passed_over() -> None:
    line = Line(_continued(1_000, lambda number: number % 100 != 0), before=990)

    await line.carry(4)

    assert (sorted(line.numbers), line.pipeline.taken) == ([*range(100, 1_001, 100)], 1_000)
    assert line.pipeline.without_outcome(1_000) == 0


async def test_a_run_of_which_everything_is_settled_ends_without_a_request() -> None:
    line = Line(_continued(5_000, lambda _: True), before=5_000)

    await line.carry(4)

    assert (line.begun, line.settled, line.pipeline.without_outcome(5_000)) == ([], [], 0)


async def test_others_get_their_turn_while_settled_rows_are_passed_over() -> None:
    line = Line(_continued(100_000, lambda _: True))
    breaths = 0

    async def breathe() -> None:
        nonlocal breaths
        while True:
            await asyncio.sleep(0)
            breaths += 1

    breathing = asyncio.create_task(breathe())
    await line.carry(4)
    breathing.cancel()

    assert breaths > 50


@pytest.mark.slow
async def test_an_order_to_stop_is_heard_while_settled_rows_are_passed_over() -> None:
    works = iter(_continued(1_000_000, lambda _: True))
    line = Line(works, before=1_000_000)
    carrying = asyncio.create_task(line.carry(4))
    for _ in range(3):
        await asyncio.sleep(0)

    line.halt.request(REFUSAL)

    with pytest.raises(RefusedError):
        await carrying
    # Those that had not come by are settled all the same.
    assert line.pipeline.without_outcome(1_000_001) == 1
    assert len(list(works)) > 900_000


async def test_settled_rows_are_not_among_those_left() -> None:
    line = Line(_continued(50, lambda number: number <= 20), before=20)

    async def deliver(request: Request) -> Outcome | Unsettled:
        if request.row.number == 25:
            line.halt.request(REFUSAL)
            return Unsettled(request, 1)
        return Sent(request, 1)

    line.deliver = deliver  # type: ignore[method-assign]  # the part that this test breaks

    with pytest.raises(RefusedError):
        await line.carry(2)

    assert len(line.finished) + line.pipeline.without_outcome(50) == 30
    assert 25 not in line.finished


def _taker(number: int, *members: int) -> Request:
    """Return the request of row *number*, which takes the rows *members* along; all are of one person."""
    return replace(request(number, "id=a"), merged=tuple(request(member, "id=a") for member in members))


async def test_rows_that_a_request_takes_along_are_superseded_by_it_when_it_is_settled() -> None:
    taker = _taker(4, 1, 3)
    line = Line([AwaitsMerge(1), request(2, "id=b"), AwaitsMerge(3), taker])

    await line.carry(1)

    assert line.settled == [
        Sent(request(2, "id=b"), 1),
        Sent(taker, 1),
        Superseded(request(1, "id=a"), 4),
        Superseded(request(3, "id=a"), 4),
    ]
    assert (line.pipeline.taken, line.pipeline.without_outcome(4)) == (4, 0)


@pytest.mark.parametrize(
    ("outcome", "settled"),
    [
        (
            Failed(_taker(3, 1, 2), REASON, 5, unsure=True),
            [
                Failed(request(1, "id=a"), REASON, 5, unsure=True, merged_into=3),
                Failed(request(2, "id=a"), REASON, 5, unsure=True, merged_into=3),
                Failed(_taker(3, 1, 2), REASON, 5, unsure=True),
            ],
        ),
        (
            Rejected(request(3).row, ("id=a",), REASON, 1),
            [
                Rejected(request(1).row, ("id=a",), REASON, 1, merged_into=3),
                Rejected(request(2).row, ("id=a",), REASON, 1, merged_into=3),
                Rejected(request(3).row, ("id=a",), REASON, 1),
            ],
        ),
    ],
)
async def test_rows_that_a_request_takes_along_are_no_more_accepted_than_it_is_and_keep_their_order(
    outcome: Outcome, settled: list[Outcome]
) -> None:
    line = Line([AwaitsMerge(1), AwaitsMerge(2), _taker(3, 1, 2)])

    async def deliver(request: Request) -> Outcome | Unsettled:
        assert request.row.number == 3
        return outcome

    line.deliver = deliver  # type: ignore[method-assign]  # the part that this test puts words into

    await line.carry()

    assert (line.settled, line.pipeline.without_outcome(3)) == (settled, 0)


@pytest.mark.parametrize(("work", "by"), [(Unchanged(_taker(3, 1, 2)), 3), (Superseded(_taker(3, 1, 2), 0), 0)])
async def test_rows_that_are_taken_along_by_one_that_needs_no_request_are_superseded_too(
    work: Unchanged | Superseded, by: int
) -> None:
    line = Line([work])

    await line.carry()

    assert line.settled == [work, Superseded(request(1, "id=a"), by), Superseded(request(2, "id=a"), by)]
    assert (line.begun, line.pipeline.without_outcome(3)) == ([], 0)


async def test_rows_that_a_request_takes_along_are_left_when_it_has_no_outcome() -> None:
    line = Line([_taker(3, 1, 2), request(4, "id=b")])

    async def deliver(request: Request) -> Outcome | Unsettled:
        line.halt.request(REFUSAL)
        return Unsettled(request, 1)

    line.deliver = deliver  # type: ignore[method-assign]  # the part that this test breaks

    with pytest.raises(RefusedError):
        await line.carry(1)

    assert (line.finished, line.pipeline.without_outcome(4)) == ([], 4)


async def test_the_books_have_the_rows_of_a_request_that_waits_for_its_turn() -> None:
    line = Line([_taker(2, 1), _taker(5, 3, 4)])
    async with _closed_door(line, {2}) as door:
        carrying = asyncio.create_task(line.carry(4))
        await a_while()
        line.halt.request(REFUSAL)
        door.set()

        with pytest.raises(RefusedError):
            await carrying

    assert (sorted(line.finished), line.pipeline.without_outcome(9)) == ([1, 2], 7)


@pytest.mark.parametrize("breaks", [1, 2, 3])
async def test_what_settles_together_stops_settling_where_it_breaks(breaks: int) -> None:
    line = Line([_taker(3, 1, 2)])

    def settle(outcome: Outcome | Unsettled) -> None:  # noqa: ARG001 — it takes what it is given, and may fail
        if len(line.settled) == breaks - 1:
            raise DISK

    line.settle = settle  # type: ignore[method-assign]  # the part that this test breaks

    with pytest.raises(StorageError):
        await line.carry()

    assert (line.numbers, line.pipeline.without_outcome(3)) == ([3, 1, 2][: breaks - 1], 4 - breaks)


async def test_first_rows_that_are_all_rejected_take_back_those_that_they_took_along() -> None:
    line = Line([_taker(2, 1), *(request(number, f"id={number}") for number in (3, 4, 5))])
    line.pipeline = Pipeline(
        iter(line.works),
        deliver=line.refuse,
        settle=line.settled.append,
        stop=line.halt,
        held_back=HeldBackRows(canary=Canary(2)),
    )

    with pytest.raises(RefusedError, match="every one of the first rows"):
        await line.carry()

    assert (line.finished, sorted(line.numbers), line.pipeline.without_outcome(5)) == ([], [1, 2, 3], 5)


async def test_an_order_to_stop_is_heard_while_rows_are_kept() -> None:
    line = Line(AwaitsMerge(number) for number in range(1, 1_000_000))
    carrying = asyncio.create_task(line.carry(4))
    for _ in range(3):
        await asyncio.sleep(0)

    line.halt.request(REFUSAL)

    with pytest.raises(RefusedError):
        await carrying
    assert (line.pipeline.taken, line.pipeline.without_outcome(1_000_000)) == (0, 1_000_000)


class Firewalled(Line):
    """A line before which a firewall blocks rows, after the service was there; at one row the run is told to stop."""

    def block(self, rows: set[int], *, stopped_at: int = 0) -> None:
        streak = BlockedRows()
        streak.mark_proven()

        async def deliver(request: Request) -> Outcome | Unsettled:
            number = request.row.number
            if number == stopped_at:
                self.halt.request(REFUSAL)
                return Unsettled(request, 1)
            if number in rows:
                streak.add_blocked(number, "HTTP 403")
                return Rejected(request.row, request.person, REASON, 2, unsure=True)
            streak.add_good_reply()
            return Sent(request, 1)

        self.deliver = deliver  # type: ignore[method-assign]  # what becomes of each
        self.pipeline = Pipeline(
            iter(self.works),
            deliver=self._deliver,
            settle=self._settle,
            stop=self.halt,
            held_back=HeldBackRows(blocked_rows=streak),
        )


def _blocked_line(works: list[Work], blocked: set[int], *, stopped_at: int = 0) -> Line:
    line = Firewalled(works)
    line.block(blocked, stopped_at=stopped_at)
    return line


async def test_blocked_rows_are_settled_before_the_row_that_is_accepted_next() -> None:
    line = _blocked_line(requests(6), {2, 3, 5})

    await line.carry(1)

    assert line.numbers == [1, 2, 3, 4, 5, 6]
    assert [type(outcome) for outcome in line.settled] == [Sent, Rejected, Rejected, Sent, Rejected, Sent]


async def test_blocked_rows_at_the_end_are_settled_as_rejected() -> None:
    line = _blocked_line(requests(5), {3, 4, 5})

    await line.carry(1)

    assert line.numbers == [1, 2, 3, 4, 5]
    assert [type(outcome) for outcome in line.settled[2:]] == [Rejected] * 3
    assert line.pipeline.without_outcome(5) == 0


async def test_a_stop_in_the_middle_of_blocked_rows_leaves_them_unsettled_with_their_attempts_and_doubt() -> None:
    works = requests(9)
    line = _blocked_line(works, {3, 4}, stopped_at=5)

    with pytest.raises(RefusedError):
        await line.carry(1)

    left = [outcome for outcome in line.settled if isinstance(outcome, Unsettled)]
    assert left == [Unsettled(works[4], 1), *(Unsettled(works[place], 2, unsure=True) for place in (2, 3))]  # type: ignore[arg-type]  # they are requests
    assert line.pipeline.without_outcome(9) == 7


async def test_rows_behind_a_blocked_one_of_their_person_go_and_settle_behind_it() -> None:
    works: list[Work] = [request(1, "id=1"), request(2, "id=1"), rejected(3, "id=1"), request(4, "id=1")]
    line = _blocked_line(works, {1, 2})

    await line.carry(4)

    assert (line.begun, line.numbers) == ([1, 2, 4], [1, 2, 3, 4])


async def test_rows_that_the_check_rejected_behind_a_blocked_one_are_left_with_it() -> None:
    works: list[Work] = [request(1, "id=1"), rejected(2, "id=1"), request(3, "id=1")]
    line = _blocked_line(works, {1}, stopped_at=3)

    with pytest.raises(RefusedError):
        await line.carry(4)

    assert [type(outcome) for outcome in line.settled] == [Unsettled, Unsettled]
    assert line.pipeline.without_outcome(3) == 3


async def test_rows_that_a_blocked_one_takes_along_are_rejected_or_left_with_it() -> None:
    for stopped_at, kind in ((0, Rejected), (5, Unsettled)):
        line = _blocked_line([_taker(2, 1), request(5, "id=5")], {2}, stopped_at=stopped_at)

        with contextlib.suppress(RefusedError):
            await line.carry(1)

        assert sorted(number_of(outcome) for outcome in line.settled if isinstance(outcome, kind))[:2] == [1, 2]
        assert len(line.settled) == 3
