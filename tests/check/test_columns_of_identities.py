"""What columns of hashes say of identity values is what single rows say."""

from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uploader.check.column_sieve import ColumnSieve, marks_of
from uploader.check.duplicate_identities import MOST_KEPT, DuplicateIdentities
from uploader.check.joined_identities import SLOTS
from uploader.mapping.identity_hashes import hashes_of, hashes_of_column, hashes_of_texts, identity_of
from uploader.model import Person

FIELDS = ("external_id", "email")
PEOPLE = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, st.text("ab\ud800é", max_size=3))).map(
        lambda named: tuple(f"{name}={value}" for name, value in named.items())
    ),
    max_size=40,
)


def added(persons: Sequence[Person], most_kept: int, size: int) -> DuplicateIdentities:
    duplicates = DuplicateIdentities(most_kept)
    for begin in range(0, len(persons), size):
        duplicates.add_hashes(hashes_of(identity_of(persons[begin : begin + size], FIELDS)))
    return duplicates


def by_rows(persons: Sequence[Person], most_kept: int) -> DuplicateIdentities:
    duplicates = DuplicateIdentities(most_kept)
    for person in persons:
        duplicates.add_row(person)
    return duplicates


@given(PEOPLE, st.sampled_from([1, 2, 7, 100]), st.sampled_from([4, 16, MOST_KEPT]))
@settings(max_examples=50)
def test_duplicates_are_the_same_in_batches_of_any_size(persons: list[Person], size: int, most_kept: int) -> None:
    found, one_by_one, rows = added(persons, most_kept, size), added(persons, most_kept, 1), by_rows(persons, most_kept)

    assert (found.count, found.are_exact) == (one_by_one.count, one_by_one.are_exact)
    assert found.are_exact == rows.are_exact
    if rows.are_exact:
        assert found.count == rows.count


@pytest.mark.parametrize(("distinct", "is_exact"), [(MOST_KEPT, True), (MOST_KEPT + 1, False)])
def test_duplicates_are_exact_up_to_as_many_values_as_in_rows(distinct: int, *, is_exact: bool) -> None:
    persons = [(f"email={number}",) for number in [*range(distinct), *range(500)]]

    found = added(persons, MOST_KEPT, 20_000)

    assert found.are_exact == is_exact == by_rows(persons, MOST_KEPT).are_exact
    assert found.count == 500 if is_exact else abs(found.count - 500) < 100


@pytest.mark.parametrize(("distinct", "repeated"), [(20_000, 10_000), (50_000, 50_000), (20_000, 0)])
def test_the_estimate_is_about_right_and_does_not_depend_on_the_order(distinct: int, repeated: int) -> None:
    persons = [(f"external_id={number:08}",) for number in [*range(distinct), *range(repeated)]]

    found, reversed_ = added(persons, 4096, 3000), added(persons[::-1], 4096, 7000)

    assert not found.are_exact
    assert abs(found.count - repeated) <= repeated * 0.15
    assert found.count == reversed_.count


@given(PEOPLE)
@settings(max_examples=30)
def test_a_value_has_one_hash_wherever_it_is_and_another_in_another_field(persons: list[Person]) -> None:
    identity = identity_of([*persons, ("external_id=x" * 9, "email=x" * 9)], FIELDS)
    hashes = hashes_of(identity)
    assert hashes.null_count().equals(identity.null_count())

    for at in range(identity.height):
        assert hashes_of(identity[at]).equals(hashes[at])
    alone = hashes_of(identity.filter(pl.col("email").is_not_null()).select("external_id", "email"))
    assert alone["email"].equals(hashes["email"].drop_nulls())
    both = hashes_of(identity_of([("external_id=x", "email=x")], FIELDS)).row(0)
    assert both[0] != both[1]


def test_texts_have_the_hashes_of_their_column_also_halves_of_characters() -> None:
    texts = ["email=a", "external_id=" + "a" * 40, "", "email=é"]

    assert hashes_of_texts(texts) == hashes_of_column(pl.Series(texts))
    assert len({*hashes_of_texts([*texts, "\ud800", "\ud801"])}) == 6


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8)), max_size=80),
    st.integers(1, 5),
    st.sampled_from([16, 1 << 10]),
    st.sampled_from([1, 3, 80]),
)
@settings(max_examples=60)
def test_a_sieve_lets_pass_each_value_of_more_persons_than_the_limit(
    rows: list[tuple[int, int]], most: int, slots: int, size: int
) -> None:
    hashes = pl.Series([value for value, _ in rows], dtype=pl.Int64).hash()
    marks = pl.Series([person + 1 for _, person in rows], dtype=pl.UInt32)
    sieve = ColumnSieve(most, slots)
    for begin in range(0, len(rows), size):
        sieve.add(hashes[begin : begin + size], marks[begin : begin + size])

    passes = sieve.passes(hashes).to_list()

    persons = {value: {other for one, other in rows if one == value} for value, _ in rows}
    for (value, _), is_passed in zip(rows, passes, strict=True):
        assert is_passed or len(persons[value]) <= most
        # With room for all, a value of one person never passes.
        assert not is_passed or slots == 16 or len(persons[value]) > 1
    assert sieve.has_candidates >= any(passes)


def test_a_sieve_lets_few_others_pass() -> None:
    people = pl.DataFrame(
        {
            "external_id": [f"u{number}" for number in range(50_000)],
            "email": [f"{number}@e.com" for number in range(50_000)],
        }
    )
    hashes = hashes_of(people)
    sieve = ColumnSieve(5, 1 << 16)
    for begin in range(0, people.height, 10_000):
        part = hashes[begin : begin + 10_000]
        for name in part.columns:
            sieve.add(part[name], marks_of(part))

    assert not sieve.has_candidates
    assert sieve.load < 0.1


@pytest.mark.parametrize(("most", "is_enough"), [(2, False), (5, True)])
def test_ten_million_rows_of_different_people_leave_no_candidate_for_the_usual_limit(
    most: int, *, is_enough: bool
) -> None:
    """As many values for each slot as 30,000,000 are for the slots of a check; a low limit needs a second reading."""
    slots = 1 << 12
    numbers = pl.int_range(10_000_000 * slots // SLOTS, dtype=pl.UInt64, eager=True)
    hashes = pl.DataFrame([numbers.hash(seed=place).alias(name) for place, name in enumerate("abc")])
    sieve = ColumnSieve(most, slots)
    for begin in range(0, hashes.height, 1000):
        part = hashes[begin : begin + 1000]
        sieve.add(pl.concat([part[name].alias("") for name in part.columns]), pl.concat([marks_of(part)] * 3))

    assert sieve.has_candidates is not is_enough


def test_a_mark_is_never_that_of_no_person() -> None:
    hashes = pl.DataFrame(
        {"a": pl.Series([0, 1 << 32, 5], dtype=pl.UInt64), "b": pl.Series([None, None, 6], dtype=pl.UInt64)}
    )

    assert marks_of(hashes).to_list() == [1, 1, 3]
