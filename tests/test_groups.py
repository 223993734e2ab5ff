"""Which rows become one request: those of one person, unless something would be lost by it."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.groups import Groups
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


def found(rows: Sequence[Noted], *, bits: int = 1 << 12) -> list[list[int]]:
    """Return the groups of two rows and more that `Groups` finds in *rows*; each knows its last row."""
    groups = Groups(bits)
    for number, (person, is_fit) in enumerate(rows, start=1):
        groups.note(number, person, is_fit=is_fit)
    if groups.needs_links:
        for number, (person, _) in enumerate(rows, start=1):
            groups.link(number, person)
    groups.seal()
    members: dict[int, list[int]] = {}
    for number, (person, _) in enumerate(rows, start=1):
        group = groups.of(person)
        if group is not None:
            members.setdefault(group, []).append(number)
    assert all(groups.last_of(group) == numbers[-1] for group, numbers in members.items())
    return sorted(numbers for numbers in members.values() if len(numbers) > 1)


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
def test_where_rows_have_one_value_each_one_pass_is_enough(rows: list[Noted]) -> None:
    groups = Groups(1 << 12)
    for number, (person, is_fit) in enumerate(rows, start=1):
        groups.note(number, person, is_fit=is_fit)

    assert not groups.needs_links
    assert found(rows) == expected(rows)


@given(_ROWS)
def test_values_that_share_their_bits_are_not_taken_for_each_other(rows: list[Noted]) -> None:
    assert found(rows, bits=1 << 8) == expected(rows)


@pytest.mark.parametrize("bits", [1 << 8, 1 << 16])
def test_a_person_without_a_second_row_is_no_group_of_several(bits: int) -> None:
    rows = [((f"external_id={number}", f"email={number}"), True) for number in range(2_000)]

    assert found(rows, bits=bits) == []


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


def test_memory_grows_with_the_values_that_repeat_only() -> None:
    groups = Groups(1 << 20)
    for number in range(20_000):
        groups.note(number, (f"external_id={number % 19_990}",), is_fit=True)

    assert len(groups._nodes) < 50  # noqa: SLF001 — what is kept is the point
