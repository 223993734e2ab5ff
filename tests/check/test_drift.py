"""What of a file differs too much from the one before it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.check.drift import Difference, DriftBounds, FileTotals, PeopleChanged, differences, sentence

BOUNDS = DriftBounds(rows=0.3, empty=0.2, changed=0.5, consents=0.05)
BEFORE = FileTotals(
    rows=1000, damaged=0, sendable=1000, columns={"id": 0, "email": 21}, consents={"df_push_optin": 400}
)
OFF = DriftBounds(rows=1.0, empty=1.0, changed=1.0, consents=1.0)


def rows(count: int) -> FileTotals:
    """Return the totals of a file of *count* rows in which no share differs from that of `BEFORE`."""
    columns = {name: empty * count // 1000 for name, empty in BEFORE.columns.items()}
    return FileTotals(count, 0, count, columns, {"df_push_optin": 400 * count // 1000})


def found(
    now: FileTotals, people: PeopleChanged | None = None, bounds: DriftBounds = BOUNDS, before: FileTotals = BEFORE
) -> list[str]:
    return [difference.phrase for difference in differences(before, now, bounds, people)]


@pytest.mark.parametrize(
    ("count", "phrases"),
    [
        (1000, []),
        (700, []),
        (699, ["699 rows instead of 1,000 (-30.1%, guard.rows 30%)"]),
        (1300, []),
        (1301, ["1,301 rows instead of 1,000 (+30.1%, guard.rows 30%)"]),
        (3000, ["3,000 rows instead of 1,000 (+200.0%, guard.rows 30%)"]),
        (0, ["0 rows instead of 1,000 (-100.0%, guard.rows 30%)"]),
    ],
)
def test_rows_that_went_up_or_down_by_more_than_the_bound_are_a_difference(count: int, phrases: list[str]) -> None:
    assert found(rows(count)) == phrases


@pytest.mark.parametrize(
    ("empty", "phrases"),
    [
        (0, []),
        (221, []),
        (222, ["column 'email' empty in 22.2% of rows instead of 2.1% (guard.empty 20%)"]),
        (1000, ["column 'email' empty in 100.0% of rows instead of 2.1% (guard.empty 20%)"]),
    ],
)
def test_a_column_whose_share_of_empty_cells_rose_by_more_than_the_bound_is_a_difference(
    empty: int, phrases: list[str]
) -> None:
    assert found(replace(BEFORE, columns={"id": 0, "email": empty})) == phrases


def test_the_share_of_empty_cells_is_that_of_the_rows_that_could_be_split() -> None:
    now = FileTotals(1000, 500, 500, {"id": 0, "email": 125}, {"df_push_optin": 200})

    assert found(now) == ["column 'email' empty in 25.0% of rows instead of 2.1% (guard.empty 20%)"]


def test_a_column_that_is_gone_is_a_difference_however_empty_it_was() -> None:
    before = replace(BEFORE, columns={"id": 0, "email": 999})

    assert found(replace(BEFORE, columns={"id": 0}), before=before) == ["column 'email' is gone (guard.empty 20%)"]


def test_a_new_column_is_no_difference_be_it_empty() -> None:
    assert found(replace(BEFORE, columns={**BEFORE.columns, "new": 1000})) == []


def test_what_is_within_an_object_that_is_still_there_is_not_gone() -> None:
    before = replace(BEFORE, columns={**BEFORE.columns, "address": 0, "address.city": 0})

    assert found(replace(before, columns={**BEFORE.columns, "address": 0}), before=before) == []


@pytest.mark.parametrize(
    ("true", "phrases"),
    [
        (0, []),
        (450, []),
        (451, ["consent df_push_optin true in 45.1% of rows instead of 40.0% (guard.consents 5%)"]),
    ],
)
def test_a_consent_that_more_people_gave_than_the_bound_allows_is_a_difference(true: int, phrases: list[str]) -> None:
    assert found(replace(BEFORE, consents={"df_push_optin": true})) == phrases


def test_a_consent_that_nobody_gave_before_is_compared_with_none() -> None:
    now = replace(BEFORE, consents={**BEFORE.consents, "df_sms_ads_optin": 60})

    assert found(now) == ["consent df_sms_ads_optin true in 6.0% of rows instead of 0.0% (guard.consents 5%)"]


@pytest.mark.parametrize(
    ("people", "phrases"),
    [
        (None, []),
        (PeopleChanged(known=0, changed=0), []),
        (PeopleChanged(known=2000, changed=1000), []),
        (PeopleChanged(known=2000, changed=1001), ["1,001 of 2,000 known people changed (50.0%, guard.changed 50%)"]),
        (PeopleChanged(known=2000, changed=2000), ["2,000 of 2,000 known people changed (100.0%, guard.changed 50%)"]),
    ],
)
def test_more_people_changed_than_the_bound_allows_is_a_difference(
    people: PeopleChanged | None, phrases: list[str]
) -> None:
    assert found(BEFORE, people) == phrases


def test_every_difference_has_its_code_and_all_are_told() -> None:
    now = FileTotals(400, 0, 400, {"email": 400}, {"df_push_optin": 400})

    told = differences(BEFORE, now, BOUNDS, PeopleChanged(400, 400))

    assert [difference.code for difference in told] == ["rows", "column", "empty", "consent", "changed"]
    assert sentence("people.csv", "2026-11-23T02:15:00+00:00", told) == (
        "people.csv differs too much from the last finished run (2026-11-23): "
        "400 rows instead of 1,000 (-60.0%, guard.rows 30%); "
        "column 'id' is gone (guard.empty 20%); "
        "column 'email' empty in 100.0% of rows instead of 2.1% (guard.empty 20%); "
        "consent df_push_optin true in 100.0% of rows instead of 40.0% (guard.consents 5%); "
        "400 of 400 known people changed (100.0%, guard.changed 50%)."
    )


@pytest.mark.parametrize("key", ["rows", "empty", "changed", "consents"])
def test_a_bound_of_the_whole_switches_its_comparison_off(key: str) -> None:
    now = FileTotals(5000, 0, 5000, {"email": 5000}, {"df_push_optin": 5000})
    codes = {"rows": {"rows"}, "empty": {"column", "empty"}, "changed": {"changed"}, "consents": {"consent"}}
    bounds = replace(BOUNDS, **{key: 1.0})

    told = {difference.code for difference in differences(BEFORE, now, bounds, PeopleChanged(9, 9))}

    assert told == set.union(*(codes[other] for other in codes if other != key))


def test_a_file_of_which_not_one_row_can_be_split_or_sent_has_no_shares() -> None:
    assert found(FileTotals(1000, 1000, 0, {"id": 0, "email": 0}, {"df_push_optin": 0})) == []


counts = st.integers(0, 300)


@st.composite
def files(draw: st.DrawFn) -> FileTotals:
    split = draw(counts)
    sendable = draw(st.integers(0, split))
    columns = draw(st.dictionaries(st.sampled_from("abcd"), st.integers(0, split)))
    consents = draw(st.fixed_dictionaries({"df_push_optin": st.integers(0, sendable)}))
    return FileTotals(split + draw(counts), draw(st.just(0)), sendable, columns, consents)


@given(files(), st.floats(0, 1))
def test_a_file_never_differs_from_itself(file: FileTotals, bound: float) -> None:
    assert differences(file, file, DriftBounds(bound, bound, bound, bound), PeopleChanged(5, 0)) == []


@given(files(), files())
def test_with_every_comparison_off_no_two_files_differ(before: FileTotals, now: FileTotals) -> None:
    assert differences(before, now, OFF, PeopleChanged(3, 3)) == []


@given(files(), files(), st.floats(0, 1), st.floats(0, 1))
def test_a_wider_bound_finds_nothing_that_a_narrower_one_does_not(
    before: FileTotals, now: FileTotals, one: float, other: float
) -> None:
    narrow, wide = sorted((one, other))

    def codes(bound: float) -> list[tuple[str, str]]:
        told: list[Difference] = differences(before, now, DriftBounds(bound, bound, bound, bound), PeopleChanged(7, 4))
        return [(difference.code, difference.phrase.partition("(")[0]) for difference in told]

    assert set(codes(wide)) <= set(codes(narrow))
