"""Rows of a group wait for its last one, and go with it, or one by one."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import request
from uploader.coalesce.merge_rows import MergeStage
from uploader.coalesce.person_groups import PersonGroups
from uploader.coalesce.same_person import SamePerson
from uploader.coalesce.spill_to_disk import SpilledRows
from uploader.model import (
    AwaitsMerge,
    NoWork,
    Person,
    Reason,
    Rejected,
    Request,
    RetryOf,
    Row,
    Settled,
    Superseded,
    Work,
    values_of,
)


def whole(*requests: Request) -> Request:
    """Return the last of *requests* with the others as its members, as these tests merge."""
    return replace(requests[-1], merged=requests[:-1])


def merged(  # noqa: PLR0913 — what `MergeStage` asks for, each with what most tests want
    works: Sequence[Work | NoWork],
    *,
    merge: Callable[[Sequence[Request]], Request | None] = lambda requests: whole(*requests),
    owes: Callable[[Person], bool] = lambda _: False,
    taken_by: Callable[[int], int] = lambda number: number,
    tied_rows: Callable[[str], int] = lambda _: 0,
    settled: Person = ("id=a",),
    most_rows: int = 1000,
) -> list[Work | NoWork]:
    """Return what becomes of *works*, of which all rows with a person were noted; *settled* are of that one."""
    groups = PersonGroups(SamePerson(Path(tempfile.gettempdir())))
    for work in works:
        match work:
            case Request(row=row, person=person):
                groups.add_row(row.number, values_of(person), is_fit=True)
            case Settled(number=number):
                groups.add_row(number, settled, is_fit=True)
            case _:
                pass
    groups.seal()
    with SpilledRows(Path(tempfile.gettempdir())) as room:
        merging = MergeStage(
            groups,
            room,
            merged=merge,
            must_resend=owes,
            merged_into=taken_by,
            rows_with_key=tied_rows,
            most_rows=most_rows,
        )
        return list(merging.merge(iter(works)))


def test_a_row_waits_for_the_last_one_of_its_person_and_goes_with_it() -> None:
    one, two, three, four = request(1, "id=a"), request(2, "id=b"), request(3, "id=a"), request(4, "id=a")

    assert merged([one, two, three, four]) == [AwaitsMerge(1), two, AwaitsMerge(3), whole(one, three, four)]


def test_rows_that_can_not_be_one_request_go_one_by_one() -> None:
    rows = [request(1, "id=a"), request(2, "id=a"), request(3, "id=a")]

    assert merged(rows, merge=lambda _: None) == [AwaitsMerge(1), AwaitsMerge(2), *rows]


@pytest.mark.parametrize(
    ("origins", "together"),
    [
        ([("r1-0", 1), ("r1-0", 3)], True),
        ([("r1-0", 3), ("r1-0", 1)], False),
        ([("r1-0", 1), ("r2-0", 1)], False),
        ([("r2-0", 1), ("r1-0", 1)], False),
    ],
)
def test_rows_of_a_retry_file_go_together_where_the_last_is_the_newest(
    origins: Sequence[tuple[str, int]], *, together: bool
) -> None:
    one, two = [
        replace(request(place, "id=a"), row=Row(place, {}, retry_of=RetryOf(*origin)))
        for place, origin in enumerate(origins, start=1)
    ]

    assert merged([one, two]) == [AwaitsMerge(1), *([whole(one, two)] if together else [one, two])]


def test_rows_of_a_person_who_is_owed_one_go_one_by_one() -> None:
    rows = [request(1, "id=a"), request(2, "id=a"), request(3, "id=b"), request(4, "id=b")]

    assert merged(rows, owes=lambda person: person == ("id=b",)) == [
        AwaitsMerge(1),
        whole(*rows[:2]),
        AwaitsMerge(3),
        *rows[2:],
    ]


def test_a_person_with_very_many_rows_gets_a_request_for_each_so_many() -> None:
    rows = [request(number, "id=a") for number in range(1, 8)]

    found = merged(rows, most_rows=3)

    assert [work for work in found if isinstance(work, Request)] == [whole(*rows[:3]), whole(*rows[3:6]), rows[6]]


def test_rows_whose_taker_is_settled_are_superseded_by_it() -> None:
    one, two, taker = request(1, "id=a"), request(2, "id=a"), Settled(3)

    assert merged([one, two, taker]) == [AwaitsMerge(1), AwaitsMerge(2), Superseded(one, 3), Superseded(two, 3), taker]


def test_rows_whose_taker_gave_way_to_a_later_run_give_way_to_it_as_well() -> None:
    one, taker = request(1, "id=a"), Settled(2)

    assert merged([one, taker], taken_by=lambda _: 0) == [AwaitsMerge(1), Superseded(one, 0), taker]


def test_settled_rows_count_where_a_person_has_very_many() -> None:
    rows: list[Work | NoWork] = [Settled(1), request(2, "id=a"), request(3, "id=a"), request(4, "id=a")]

    found = merged(rows, most_rows=2)

    assert found == [rows[0], rows[1], AwaitsMerge(3), whole(request(3, "id=a"), request(4, "id=a"))]


def test_a_settled_row_that_is_not_the_last_is_passed_over_and_the_others_are_merged() -> None:
    rows: list[Work | NoWork] = [request(1, "id=a"), Settled(2), request(3, "id=a")]

    assert merged(rows) == [AwaitsMerge(1), rows[1], whole(request(1, "id=a"), request(3, "id=a"))]


def test_rows_that_name_nobody_and_rows_that_are_kept_pass() -> None:
    passing: list[Work | NoWork] = [Settled(1), Rejected(Row(2, {}), (), Reason("x", "y")), AwaitsMerge(3)]

    assert merged(passing, settled=()) == passing


def test_rows_whose_last_one_never_comes_go_one_by_one_at_the_end() -> None:
    one, two, three = request(1, "id=a"), request(2, "id=a"), request(3, "id=a")
    groups = PersonGroups(SamePerson(Path(tempfile.gettempdir())))
    for row in (one, two, three):
        groups.add_row(row.row.number, row.person, is_fit=True)
    groups.seal()

    with SpilledRows(Path(tempfile.gettempdir())) as room:
        merging = MergeStage(
            groups,
            room,
            merged=lambda _: None,
            must_resend=lambda _: False,
            merged_into=lambda row: row,
            rows_with_key=lambda _: 0,
        )
        found = list(merging.merge(iter([one, two])))

    assert found == [AwaitsMerge(1), AwaitsMerge(2), one, two]


def test_a_request_of_all_rows_that_have_a_tie_needs_none_and_one_of_some_of_them_keeps_it() -> None:
    rows = [request(1, "id=a", "~1"), request(2, "id=a", "email=x", "~1"), request(3, "email=x", "~1")]

    (all_of_them,) = [
        work.person for work in merged(rows, merge=_named, tied_rows=lambda _: 3) if isinstance(work, Request)
    ]
    (some_of_them,) = [
        work.person for work in merged(rows, merge=_named, tied_rows=lambda _: 4) if isinstance(work, Request)
    ]

    assert (all_of_them, some_of_them) == (("id=a", "email=x"), ("id=a", "email=x", "~1"))


def _named(requests: Sequence[Request]) -> Request:
    """Return *requests* as one, which names all values of theirs, as the plan makes it."""
    values = dict.fromkeys(value for one in requests for value in values_of(one.person))
    return replace(whole(*requests), person=tuple(values))


@pytest.mark.parametrize(
    "rows",
    [
        [request(1, "id=a"), request(2, "email=x"), request(3, "id=a", "email=x"), request(4, "id=b")],
        [request(1, "id=a"), request(2, "id=b")],
    ],
    ids=["no value in common", "two of a field"],
)
def test_what_hashes_alone_have_made_one_goes_row_by_row(rows: list[Request]) -> None:
    groups = PersonGroups(SamePerson(Path(tempfile.gettempdir())))
    for row in rows:
        groups.add_row(row.row.number, ("id=hashed",), is_fit=True)
    groups.seal()

    with SpilledRows(Path(tempfile.gettempdir())) as room:
        merging = MergeStage(
            groups,
            room,
            merged=lambda requests: whole(*requests),
            must_resend=lambda _: False,
            merged_into=lambda row: row,
            rows_with_key=lambda _: 0,
        )
        found = list(merging.merge(iter(rows)))

    assert found == [*(AwaitsMerge(row.row.number) for row in rows[:-1]), *rows]


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.integers(1, 6))
def test_every_row_goes_once_and_in_the_order_of_its_person(people: list[str], most_rows: int) -> None:
    rows = [request(number, f"id={person}") for number, person in enumerate(people, start=1)]

    found = [work for work in merged(rows, most_rows=most_rows) if isinstance(work, Request)]

    went = [row for work in found for row in (*work.merged, work)]
    for person in set(people):
        assert [row.row.number for row in went if row.person == (f"id={person}",)] == [
            number for number, one in enumerate(people, start=1) if one == person
        ]
    assert all(len(work.merged) < most_rows for work in found)
