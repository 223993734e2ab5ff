"""Remember which rows are settled, though they finish out of order."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.state.settled_rows import SettledRows


@given(numbers=st.lists(st.integers(1, 5_000), max_size=60))
def test_a_bookmark_is_a_set_of_rows_in_whatever_order_they_come(numbers: list[int]) -> None:
    bookmark, model = SettledRows(), set[int]()

    for number in numbers:
        is_new = number not in model
        model.add(number)
        assert bookmark.add(number) == is_new

    assert {number for number in range(5_010) if number in bookmark} == model
    assert len(bookmark) == len(model)


@given(parts=st.lists(st.lists(st.integers(1, 900), max_size=20), max_size=9))
def test_many_rows_at_once_are_each_of_them(parts: list[list[int]]) -> None:
    at_once, one_by_one = SettledRows(), SettledRows()

    for numbers in parts:
        assert at_once.add_all(numbers) == sum(map(one_by_one.add, numbers))

    assert [number in at_once for number in range(1_000)] == [number in one_by_one for number in range(1_000)]
    assert len(at_once) == len(one_by_one)


@given(ranges=st.lists(st.tuples(st.integers(1, 400), st.integers(-1, 60)), max_size=20))
def test_a_range_of_rows_is_all_of_its_rows(ranges: list[tuple[int, int]]) -> None:
    at_once, one_by_one = SettledRows(), SettledRows()

    for first, more in ranges:
        numbers = range(first, first + more + 1)
        assert at_once.add_range(first, first + more) == sum(map(one_by_one.add, numbers))

    assert [number for number in range(500) if number in at_once] == [
        number for number in range(500) if number in one_by_one
    ]
    assert len(at_once) == len(one_by_one)


def test_a_row_far_behind_the_end_is_not_settled() -> None:
    bookmark = SettledRows()
    bookmark.add(1)

    assert 10**12 not in bookmark


@pytest.mark.slow
def test_rows_in_order_take_a_bit_each() -> None:
    tracemalloc.start()
    try:
        bookmark = SettledRows()
        for number in range(1, 200_001):
            bookmark.add(number)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(bookmark) == 200_000
    assert kept < 40_000
