"""Which rows become one request: those of one person, unless something would be lost by it."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.coalesce.person_groups import PersonGroups
from uploader.coalesce.same_person import SamePerson
from uploader.model import Person

Noted = tuple[Person, bool]
"""The person of a row, and whether it can be sent."""

_PEOPLE = st.dictionaries(
    st.sampled_from(["external_id", "email", "phone_no"]), st.sampled_from("abcdefgh"), max_size=3
).map(lambda names: tuple(f"{field}={value}" for field, value in names.items()))
_ROWS = st.lists(st.tuples(_PEOPLE, st.sampled_from([True, True, True, False])), max_size=40)
_ALONE = st.lists(
    st.tuples(st.sampled_from("abcdef").map(lambda value: (f"email={value}",)), st.booleans()), max_size=40
)


FOLDER = Path(tempfile.gettempdir())


def found(rows: Sequence[Noted], *, on_disk: bool = False) -> list[list[int]]:
    """Return the groups that `PersonGroups` finds in *rows*; each knows its last row, and has two rows at least."""
    with PersonGroups(SamePerson(FOLDER, most_hashes=64, batch=4) if on_disk else SamePerson(FOLDER)) as groups:
        for number, (person, is_fit) in enumerate(rows, start=1):
            groups.add_row(number, person, is_fit=is_fit)
        groups.seal()
        members: dict[int, list[int]] = {}
        for number in range(1, len(rows) + 1):
            group = groups.group_of(number)
            if group is not None:
                members.setdefault(group, []).append(number)
    assert all(groups.last_of(group) == numbers[-1] for group, numbers in members.items())
    assert all(len(numbers) > 1 for numbers in members.values())
    return sorted(members.values())


def expected(rows: Sequence[Noted]) -> list[list[int]]:
    """Return the same by comparing every row with every other one."""
    groups: list[set[int]] = [{number} for number in range(len(rows))]
    for one in range(len(rows)):
        for other in range(one):
            if {*rows[one][0]} & {*rows[other][0]}:
                joined = [group for group in groups if one in group or other in group]
                groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    return sorted(sorted(number + 1 for number in group) for group in groups if len(group) > 1 and _is_one(rows, group))


def _is_one(rows: Sequence[Noted], group: set[int]) -> bool:
    """Whether the rows of *group* can become one request."""
    named = Counter(value.partition("=")[0] for value in {value for row in group for value in rows[row][0]})
    return all(rows[row][1] for row in group) and max(named.values()) == 1


@given(_ROWS)
def test_rows_are_one_group_where_any_chain_of_shared_values_joins_them(rows: list[Noted]) -> None:
    assert found(rows) == expected(rows)


@given(_ALONE)
def test_rows_of_one_value_each_are_one_group_where_they_share_it(rows: list[Noted]) -> None:
    assert found(rows) == expected(rows)


@given(_ROWS)
def test_what_is_noted_on_the_disk_says_the_same(rows: list[Noted]) -> None:
    assert found(rows, on_disk=True) == expected(rows)


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_person_without_a_second_row_is_no_group(on_disk: bool) -> None:  # noqa: FBT001 — one of two ways
    rows = [((f"external_id={number}", f"email={number}"), True) for number in range(2_000)]

    assert found(rows, on_disk=on_disk) == []


def test_rows_joined_by_a_later_one_are_one_group() -> None:
    rows = [(("external_id=a",), True), (("email=x",), True), (("external_id=a", "email=x"), True)]

    assert found(rows) == [[1, 2, 3]]


def test_a_group_with_a_rejected_row_is_none_wherever_that_row_stands() -> None:
    rows = [(("email=x",), True), (("email=y",), False), (("email=x",), False), (("email=y",), True)]

    assert found(rows) == []


def test_people_who_share_a_value_but_are_named_apart_stay_apart() -> None:
    rows = [((f"external_id={name}", "phone_no=000"), True) for name in "abc"]

    assert found(rows) == []


def test_a_value_that_is_no_text_harms_nobody() -> None:
    rows = [(("email=\ud800",), False), (("email=\ud800",), False), (("email=x",), True)]

    assert found(rows) == []


def test_people_with_more_values_than_can_be_counted_are_told_apart_all_the_same() -> None:
    rows = [((f"external_id={number}", "phone_no=000"), True) for number in range(600)]

    assert found(rows) == []
