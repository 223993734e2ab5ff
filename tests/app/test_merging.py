"""Rows of a group wait for its last one, and go with it, or one by one."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from uploader.app.merging import Merging
from uploader.groups import Groups
from uploader.model import Kept, Passed, Person, Reason, Rejected, Request, Row, Settled, Superseded, Work
from uploader.waiting import WaitingRoom


def request(number: int, *person: str) -> Request:
    return Request(Row(number, {}), person, b"%d" % number)


def whole(*requests: Request) -> Request:
    """Return the last of *requests* with the others as its members, as these tests merge."""
    return replace(requests[-1], members=requests[:-1])


def merged(
    works: Sequence[Work | Passed],
    *,
    merge: Callable[[Sequence[Request]], Request | None] = lambda requests: whole(*requests),
    owes: Callable[[Person], bool] = lambda _: False,
    taken_by: Callable[[int], int] = lambda number: number,
    most_rows: int = 1000,
) -> list[Work | Passed]:
    """Return what becomes of *works*, of which all rows with a person were noted."""
    groups = Groups(1 << 12)
    for work in works:
        match work:
            case Request(row=row, person=person):
                groups.note(row.number, person, is_fit=True)
            case Settled(number=number, person=person):
                groups.note(number, person, is_fit=True)
            case _:
                pass
    groups.seal()
    with WaitingRoom(Path(tempfile.gettempdir())) as room:
        merging = Merging(groups, room, merged=merge, owes=owes, taken_by=taken_by, most_rows=most_rows)
        return list(merging.merge(iter(works)))


def test_a_row_waits_for_the_last_one_of_its_person_and_goes_with_it() -> None:
    one, two, three, four = request(1, "id=a"), request(2, "id=b"), request(3, "id=a"), request(4, "id=a")

    assert merged([one, two, three, four]) == [Kept(1), two, Kept(3), whole(one, three, four)]


def test_rows_that_can_not_be_one_request_go_one_by_one() -> None:
    rows = [request(1, "id=a"), request(2, "id=a"), request(3, "id=a")]

    assert merged(rows, merge=lambda _: None) == [Kept(1), Kept(2), *rows]


def test_rows_of_a_person_who_is_owed_one_go_one_by_one() -> None:
    rows = [request(1, "id=a"), request(2, "id=a"), request(3, "id=b"), request(4, "id=b")]

    assert merged(rows, owes=lambda person: person == ("id=b",)) == [
        Kept(1),
        whole(*rows[:2]),
        Kept(3),
        *rows[2:],
    ]


def test_a_person_with_very_many_rows_gets_a_request_for_each_so_many() -> None:
    rows = [request(number, "id=a") for number in range(1, 8)]

    found = merged(rows, most_rows=3)

    assert [work for work in found if isinstance(work, Request)] == [whole(*rows[:3]), whole(*rows[3:6]), rows[6]]


def test_rows_whose_taker_is_settled_are_superseded_by_it() -> None:
    one, two, taker = request(1, "id=a"), request(2, "id=a"), Settled(3, ("id=a",))

    assert merged([one, two, taker]) == [Kept(1), Kept(2), Superseded(one, 3), Superseded(two, 3), taker]


def test_rows_whose_taker_gave_way_to_a_later_run_give_way_to_it_as_well() -> None:
    one, taker = request(1, "id=a"), Settled(2, ("id=a",))

    assert merged([one, taker], taken_by=lambda _: 0) == [Kept(1), Superseded(one, 0), taker]


def test_settled_rows_count_where_a_person_has_very_many() -> None:
    rows: list[Work | Passed] = [Settled(1, ("id=a",)), request(2, "id=a"), request(3, "id=a"), request(4, "id=a")]

    found = merged(rows, most_rows=2)

    assert found == [rows[0], rows[1], Kept(3), whole(request(3, "id=a"), request(4, "id=a"))]


def test_a_settled_row_that_is_not_the_last_is_passed_over_and_the_others_are_merged() -> None:
    rows: list[Work | Passed] = [request(1, "id=a"), Settled(2, ("id=a",)), request(3, "id=a")]

    assert merged(rows) == [Kept(1), rows[1], whole(request(1, "id=a"), request(3, "id=a"))]


def test_rows_that_name_nobody_and_rows_that_are_kept_pass() -> None:
    passing: list[Work | Passed] = [Settled(1), Rejected(Row(2, {}), (), Reason("x", "y")), Kept(3)]

    assert merged(passing) == passing


def test_rows_whose_last_one_never_comes_go_one_by_one_at_the_end() -> None:
    one, two, three = request(1, "id=a"), request(2, "id=a"), request(3, "id=a")
    groups = Groups(1 << 12)
    for row in (one, two, three):
        groups.note(row.row.number, row.person, is_fit=True)

    with WaitingRoom(Path(tempfile.gettempdir())) as room:
        merging = Merging(groups, room, merged=lambda _: None, owes=lambda _: False, taken_by=lambda row: row)
        found = list(merging.merge(iter([one, two])))

    assert found == [Kept(1), Kept(2), one, two]


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.integers(1, 6))
def test_every_row_goes_once_and_in_the_order_of_its_person(people: list[str], most_rows: int) -> None:
    rows = [request(number, f"id={person}") for number, person in enumerate(people, start=1)]

    found = [work for work in merged(rows, most_rows=most_rows) if isinstance(work, Request)]

    went = [row for work in found for row in (*work.members, work)]
    for person in set(people):
        assert [row.row.number for row in went if row.person == (f"id={person}",)] == [
            number for number, one in enumerate(people, start=1) if one == person
        ]
    assert all(len(work.members) < most_rows for work in found)
