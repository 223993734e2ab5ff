"""Rows of one person go one after another, in the order of the file; nobody else waits."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import rejected, request
from uploader.delivery.person_ordering import PersonQueue, QueuedWork
from uploader.model import Person, Request, Work


@dataclass(slots=True)
class Checker:
    """A simple model of the order: what is admitted, what is out, what is settled, and every rule that was broken."""

    people: list[Person]
    admitted: set[int] = field(default_factory=set)
    out: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)

    def earlier(self, row: int) -> set[int]:
        """Return the rows before *row* that share an identity value with it."""
        return {other for other in range(row) if set(self.people[other]) & set(self.people[row])}

    def may_go(self, row: int) -> bool:
        return row in self.admitted and row not in self.out | self.settled and self.earlier(row) <= self.settled

    def go(self, row: int) -> None:
        if row in self.out | self.settled:
            self.broken.append(f"{row} went twice")
        if not self.earlier(row) <= self.settled:
            self.broken.append(f"{row} went before {self.earlier(row) - self.settled}")
        self.out.add(row)

    def settle(self, row: int) -> None:
        self.out.remove(row)
        self.settled.add(row)

    @property
    def waiting(self) -> set[int]:
        return self.admitted - self.out - self.settled


def drive(
    turns: PersonQueue, people: list[Person], *, workers: int, room: int, choose: Callable[[int], int]
) -> Checker:
    """Carry rows of *people* as the pipeline does, each worker finishing when *choose* says so, and check each step."""
    check = Checker(people)
    rows = iter(range(len(people)))
    at_work: list[QueuedWork] = []
    exhausted = False
    while True:
        while len(at_work) < workers:
            turn = turns.next_ready()
            while turn is None and turns.has_room and not exhausted:
                row = next(rows, None)
                if row is None:
                    exhausted = True
                    break
                check.admitted.add(row)
                turn = turns.admit(request(row, *people[row]))
            if turn is None:
                break
            assert isinstance(turn.work, Request)
            check.go(turn.work.row.number)
            at_work.append(turn)
        if turns.waiting != len(check.waiting) or turns.waiting > room:
            check.broken.append(f"{turns.waiting} are parked, {len(check.waiting)} wait, with room for {room}")
        if len(at_work) < workers and any(map(check.may_go, check.admitted)):
            check.broken.append("one waits for nothing while a worker is idle")
        if not at_work:
            return check
        turn = at_work.pop(choose(len(at_work)))
        assert isinstance(turn.work, Request)
        check.settle(turn.work.row.number)
        turns.settle(turn)


VALUES = st.sampled_from(["a", "b", "c", "d", "e", "f"])
PEOPLE: st.SearchStrategy[list[Person]] = st.lists(st.lists(VALUES, max_size=3).map(tuple), max_size=14)


@given(PEOPLE, st.integers(1, 6), st.integers(1, 8), st.data())
def test_rows_of_one_person_go_in_file_order_and_everybody_goes_at_the_first_chance(
    people: list[Person], workers: int, room: int, data: st.DataObject
) -> None:
    def choose(count: int) -> int:
        return data.draw(st.integers(0, count - 1))

    check = drive(PersonQueue(room), people, workers=workers, room=room, choose=choose)

    assert check.broken == []
    assert check.settled == set(range(len(people)))
    assert check.waiting == set()


class NoOrder(PersonQueue):
    """A broken variant: whoever asks may go."""

    def admit(self, work: Work) -> QueuedWork | None:
        return QueuedWork(work, ())


class OneValue(PersonQueue):
    """A broken variant: only the first identity value of a row orders it."""

    def admit(self, work: Work) -> QueuedWork | None:
        assert isinstance(work, Request)
        return super().admit(Request(work.row, work.person[:1], work.body))


class OneAtATime(PersonQueue):
    """A broken variant: everybody is taken for one person."""

    def admit(self, work: Work) -> QueuedWork | None:
        assert isinstance(work, Request)
        return super().admit(Request(work.row, ("everybody",), work.body))


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (NoOrder, ["1 went before {0}"]),
        (OneValue, ["1 went before {0}"]),
        (OneAtATime, ["one waits for nothing while a worker is idle"]),
    ],
)
def test_a_wrong_order_does_not_pass_the_same_check(broken: type[PersonQueue], complaint: list[str]) -> None:
    people: list[Person] = [("a", "b"), ("c",) if broken is OneAtATime else ("b", "a")]

    check = drive(broken(8), people, workers=2, room=8, choose=lambda _: 0)

    assert check.broken[:1] == complaint


def test_a_row_waits_for_the_earlier_row_of_its_person() -> None:
    turns = PersonQueue(8)
    first = turns.admit(request(1, "email=a"))
    second = turns.admit(request(2, "email=a"))

    assert first is not None
    assert second is None
    assert turns.next_ready() is None
    assert turns.settle(first) is True

    ready = turns.next_ready()
    assert ready is not None
    assert ready.work == request(2, "email=a")
    assert turns.settle(ready) is False
    assert turns.admit(request(3, "email=a")) is not None


def test_a_row_that_joins_two_people_waits_for_both() -> None:
    turns = PersonQueue(8)
    ann, bob = turns.admit(request(1, "a")), turns.admit(request(2, "b"))
    assert ann is not None
    assert bob is not None

    assert turns.admit(request(3, "a", "b")) is None

    assert turns.settle(bob) is False
    assert turns.next_ready() is None
    assert turns.settle(ann) is True
    assert turns.next_ready() is not None


def test_the_lot_is_full_when_its_places_are_taken_and_has_room_when_one_has_gone() -> None:
    turns = PersonQueue(2)
    first = turns.admit(request(1, "a"))
    assert first is not None

    turns.admit(request(2, "a"))
    assert (turns.waiting, turns.has_room) == (1, True)
    turns.admit(request(3, "a"))
    assert (turns.waiting, turns.has_room) == (2, False)

    turns.settle(first)
    assert (turns.waiting, turns.has_room) == (2, False)
    turns.next_ready()
    assert (turns.waiting, turns.has_room) == (1, True)


def test_a_rejected_row_takes_its_turn_in_the_order_of_its_person() -> None:
    turns = PersonQueue(8)
    first = turns.admit(request(1, "a"))
    assert first is not None
    assert turns.admit(rejected(2, "a")) is None
    assert turns.admit(request(3, "a")) is None

    turns.settle(first)

    second = turns.next_ready()
    assert second is not None
    assert second.work == rejected(2, "a")
    assert turns.next_ready() is None
    turns.settle(second)
    third = turns.next_ready()
    assert third is not None
    assert third.work == request(3, "a")


def test_rejected_rows_without_a_person_wait_for_nobody_and_hold_up_nobody() -> None:
    turns = PersonQueue(1)

    admitted = [turns.admit(rejected(number)) for number in range(1, 4)]

    assert [turn.work for turn in admitted if turn is not None] == [rejected(1), rejected(2), rejected(3)]
    assert [turns.settle(turn) for turn in admitted if turn is not None] == [False, False, False]
    assert turns.waiting == 0


def test_a_row_that_names_one_value_twice_does_not_wait_for_itself() -> None:
    turns = PersonQueue(8)

    first = turns.admit(request(1, "a", "a"))
    assert first is not None
    assert turns.admit(request(2, "a", "a")) is None
    assert turns.settle(first) is True
