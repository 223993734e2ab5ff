"""Values that would join people are found exactly, in memory that does not grow with the file."""

import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.check.joined_identities import SLOTS, JoinedIdentities, JoinedValue
from uploader.mapping import Plan
from uploader.mapping.rules import MappingRules, PropertyRule
from uploader.model import MaxJoined, Record, Request, Row

FIELDS = ("external_id", "phone_no", "email")
COLUMNS = {"external_id": "id", "phone_no": "phone", "email": "mail"}


def planned() -> Plan:
    rules = MappingRules(
        identity_rules(COLUMNS), (PropertyRule("df_name", "name"), PropertyRule("age", "age", kind="long"))
    )
    return compile_plan(rules, source="people", config="c", columns=None)


PLAN = planned()


def person(number: int, phone: str = "", mail: str = "", *, age: str = "1", who: str = "") -> Row:
    fields = {"id": who or f"id{number}", "phone": phone, "mail": mail, "name": "Ann", "age": age}
    return Row(number, fields, number + 1)


def found(rows: Sequence[Row], limits: MaxJoined | None = None, *, slots: int = 1 << 10) -> list[JoinedValue]:
    joined = JoinedIdentities(limits or MaxJoined(), FIELDS, slots=slots)
    for row in rows:
        work = PLAN.map_row(row, "")
        if isinstance(work, Request):
            joined.add_row(work.person)

    @contextmanager
    def again() -> Iterator[Iterator[Record]]:
        yield iter(rows)

    return joined.find(PLAN, again)


def sharing(count: int, phone: str = "01000000000") -> list[Row]:
    return [person(number, phone) for number in range(1, count + 1)]


def test_a_value_beside_six_others_joins_six_people_and_one_beside_five_is_let_pass() -> None:
    assert found(sharing(5)) == []
    assert found(sharing(6)) == [
        JoinedValue(
            "phone_no", "01000000000", "external_id", 6, is_at_least=False, rows=6, places=((1, 2), (2, 3), (3, 4))
        )
    ]


def test_many_rows_of_one_person_join_nobody() -> None:
    assert found([person(number, "01011112222", "a@example.com", who="ann1") for number in range(1, 100)]) == []


def test_rows_that_are_not_sent_join_nobody() -> None:
    assert found([*sharing(5), person(6, "01000000000", age="old")]) == []


def test_one_id_beside_many_addresses_is_found_as_well() -> None:
    rows = [person(number, mail=f"a{number}@example.com", who="guest1") for number in range(1, 8)]

    assert [(one.name, one.beside, one.people) for one in found(rows)] == [("external_id", "email", 7)]


@pytest.mark.parametrize(
    ("limits", "names"),
    [
        (MaxJoined(None), []),
        (MaxJoined(7), []),
        (MaxJoined(of_field={"phone_no": 7}), []),
        (MaxJoined(of_field={"phone_no": None}), []),
        (MaxJoined(of_field={"email": 50}), ["phone_no"]),
        (MaxJoined(1), ["phone_no"]),
    ],
)
def test_the_limit_is_off_or_one_of_each_field(limits: MaxJoined, names: list[str]) -> None:
    assert [one.name for one in found(sharing(7), limits)] == names


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 3)).map(
            lambda one: (f"i{one[0]}", f"010{one[1]}" if one[1] else "", f"m{one[2]}@example.com" if one[2] else "")
        ),
        max_size=40,
    ),
    st.integers(1, 6),
    st.sampled_from([16, 64, 1 << 12]),
)
def test_what_is_found_is_what_counting_all_values_finds(
    people: list[tuple[str, str, str]], most: int, slots: int
) -> None:
    rows = [person(number, phone, mail, who=who) for number, (who, phone, mail) in enumerate(people, 1)]
    beside: dict[tuple[str, str], dict[str, set[str]]] = {}
    for values in people:
        named = [(name, value) for name, value in zip(FIELDS, values, strict=True) if value]
        for one in named:
            for other in named:
                if other != one:
                    beside.setdefault(one, {}).setdefault(other[0], set()).add(other[1])
    wanted = {
        one: max(map(len, others.values())) for one, others in beside.items() if max(map(len, others.values())) > most
    }

    joined = found(rows, MaxJoined(most), slots=slots)

    if slots == 1 << 12:
        assert {(one.name, one.value): one.people for one in joined} == wanted
    else:
        # Overfull sieves are asked part by part, and the first part with anything to find is all that is told.
        assert {(one.name, one.value): one.people for one in joined}.items() <= wanted.items()
        assert bool(joined) == bool(wanted)


def test_ten_million_rows_of_different_people_need_no_second_reading() -> None:
    """As many for each slot as 30,000,000 values are for the slots of a check."""
    slots = 1 << 12
    joined = JoinedIdentities(MaxJoined(), FIELDS, slots=slots)
    for number in range(10_000_000 * slots // SLOTS):
        joined.add_row((f"external_id={number}", f"phone_no={number}", f"email={number}"))

    readings: list[int] = []

    @contextmanager
    def again() -> Iterator[Iterator[Record]]:
        readings.append(1)
        yield iter(())

    assert joined.find(PLAN, again) == []
    assert readings == []


def test_memory_does_not_grow_with_the_people() -> None:
    joined = JoinedIdentities(MaxJoined(), FIELDS)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(30_000):
            joined.add_row((f"external_id={number}", f"phone_no=010{number}"))
        assert tracemalloc.get_traced_memory()[0] - before < 1 << 20
    finally:
        tracemalloc.stop()
