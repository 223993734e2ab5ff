"""How many identity values stand in more than one row."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.check.duplicate_identities import MOST_KEPT, DuplicateIdentities


def noted(persons: list[tuple[str, ...]], most_kept: int = MOST_KEPT) -> DuplicateIdentities:
    repeats = DuplicateIdentities(most_kept)
    for person in persons:
        repeats.add_row(person)
    return repeats


def test_a_value_counts_once_however_often_it_is_repeated() -> None:
    repeats = noted([("email=a",), ("email=b", "external_id=1"), ("email=a",), ("email=a", "external_id=1"), ()])

    assert (repeats.count, repeats.are_exact) == (2, True)


def test_the_same_text_in_two_fields_is_two_values() -> None:
    assert noted([("email=a",), ("external_id=a",)]).count == 0


@given(st.lists(st.lists(st.text(max_size=2), max_size=3, unique=True).map(tuple)))
def test_the_number_is_exact_as_long_as_all_values_are_kept(persons: list[tuple[str, ...]]) -> None:
    repeats = noted(persons)

    times = Counter(value for person in persons for value in person)
    assert repeats.are_exact
    assert repeats.count == sum(count > 1 for count in times.values())


@pytest.mark.parametrize(("distinct", "repeated"), [(20_000, 10_000), (50_000, 50_000), (20_000, 0)])
def test_the_number_is_about_right_when_there_are_too_many_to_keep(distinct: int, repeated: int) -> None:
    numbers = [*range(distinct), *range(repeated)]

    repeats = noted([(f"external_id={number:08}",) for number in numbers], most_kept=4096)

    assert not repeats.are_exact
    assert abs(repeats.count - repeated) <= repeated * 0.15


@given(st.lists(st.integers(0, 300), max_size=400))
def test_there_are_never_more_values_kept_than_allowed_nor_repeats_without_a_repeat(numbers: list[int]) -> None:
    repeats = noted([(str(number),) for number in numbers], most_kept=64)

    assert repeats.count == 0 or len(set(numbers)) < len(numbers)
    assert repeats.are_exact == (len(set(numbers)) <= 64)
