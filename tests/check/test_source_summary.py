"""What is known of a source before the first request."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.check.source_summary import CheckSummary, DuplicateCount, FoundColumns
from uploader.counts import Problem
from uploader.mapping import Plan, Repairs
from uploader.mapping.rules import CleaningRules, MappingRules, PropertyRule
from uploader.model import Damaged, Reason, Rejected, Request, Row

EMPTY = Reason("no_property", "no property: every mapped column is empty")
QUOTES = Reason("quotes", "a quote that does not end")


def note_sendable(survey: CheckSummary, number: int, *columns: str) -> None:
    row = Row(number, dict.fromkeys(columns, "x"))
    survey.add_row(row, Request(row, ("email=x",), b"{}"))


def note_rejected(survey: CheckSummary, number: int, *columns: str) -> None:
    row = Row(number, dict.fromkeys(columns, "x"), line=number + 1)
    survey.add_row(row, Rejected(row, (), EMPTY))


def note_damaged(survey: CheckSummary, number: int) -> None:
    damaged = Damaged(number, QUOTES, line=number + 1)
    survey.add_row(damaged, Rejected(damaged, (), QUOTES))


def test_every_record_is_counted_as_what_the_mapping_makes_of_it() -> None:
    survey = CheckSummary()

    note_sendable(survey, 1)
    note_rejected(survey, 2)
    note_damaged(survey, 3)
    note_damaged(survey, 4)

    assert (survey.read, survey.rejected, survey.damaged, survey.sendable) == (4, 3, 2, 1)
    assert survey.problems.most_frequent() == [
        (QUOTES, Problem(2, [(3, 4), (4, 5)])),
        (EMPTY, Problem(1, [(2, 3)])),
    ]


def test_a_column_that_no_row_has_stays_unseen_beside_all_that_rows_do_have() -> None:
    survey = CheckSummary(FoundColumns({"mail", "name"}))

    note_sendable(survey, 1, "name", "city")
    note_rejected(survey, 2, "age")
    note_damaged(survey, 3)

    assert survey.columns.unseen == {"mail"}
    assert survey.columns.seen == {"name", "city", "age"}


def test_nothing_is_unseen_when_each_column_stood_in_some_row() -> None:
    survey = CheckSummary(FoundColumns({"mail", "name"}))

    note_sendable(survey, 1, "name")
    note_sendable(survey, 2, "mail")

    assert survey.columns.unseen == set()


def test_a_path_is_seen_in_a_row_in_which_it_leads_somewhere() -> None:
    survey = CheckSummary(FoundColumns({"a.b", "a.c", "d.e", "f.g"}))

    for fields in ({"a": {"b": None}}, {"a": 5, "d.e": "x"}, {"f": None}, {}):
        row = Row(1, fields)
        survey.add_row(row, Request(row, (), b"{}"))

    assert survey.columns.unseen == {"a.c", "f.g"}
    assert survey.columns.seen == {"a", "a.b", "d.e", "f"}


NOW = "2000-01-01T00:00:00.000Z"
KOREAN = "write phone_no: {column: phone, phone: KR}"
ZERO = Reason("phone_zero", f"column 'phone' → phone_no: a Korean mobile number without its leading zero; {KOREAN}")
FORM = Reason("phone_form", f"column 'phone' → phone_no: not a phone number as the API has it (821012345678); {KOREAN}")
ROWS = (
    Row(1, {"phone": "1012345678", "name": " Ann"}, 2),
    Row(2, {"phone": "1012345678", "name": "Ben", "points": "1,000"}, 3),
    Row(3, {"phone": "1012345678", "name": " Cho", "points": "1,00"}, 4),
    Row(4, {"phone": "01012345678", "name": "Dan ", "points": "7"}, 5),
    Damaged(5, QUOTES, 6),
)


def planned() -> Plan:
    rules = MappingRules(
        identity_rules({"phone_no": "phone"}),
        (
            PropertyRule("name", "name", cleaning=CleaningRules(trim=True)),
            PropertyRule("points", "points", kind="long", cleaning=CleaningRules(thousands=",")),
        ),
    )
    return compile_plan(rules, source="people", config="config.yaml", columns=None)


def test_what_passes_is_counted_warned_of_and_known_whole_at_the_end() -> None:
    survey = CheckSummary()

    passed = list(survey.count_rows(ROWS, planned(), NOW))

    assert [record for record, _ in passed] == list(ROWS)
    assert (survey.read, survey.rejected, survey.damaged) == (5, 2, 1)
    assert survey.repairs == Repairs({"trim": 2, "thousands": 1})
    assert survey.duplicates == DuplicateCount(1, is_exact=True)
    assert survey.warnings.most_frequent() == [
        (ZERO, Problem(2, [(1, 2), (2, 3)])),
        (FORM, Problem(1, [(4, 5)])),
    ]


def test_what_is_repaired_after_the_survey_is_not_counted_there() -> None:
    survey, plan = CheckSummary(), planned()
    list(survey.count_rows(ROWS[:1], plan, NOW))

    plan.map_row(ROWS[0], NOW)

    assert (survey.repairs, plan.repairs) == (Repairs({"trim": 1}), Repairs({"trim": 2}))


def surveyed(read: int, rejected: int) -> CheckSummary:
    return CheckSummary(read=read, rejected=rejected)


@pytest.mark.parametrize(
    ("read", "rejected", "share", "exceeds"),
    [
        (0, 0, 0.0, False),
        (20, 20, 0.0, False),
        (21, 21, 0.1, True),
        (21, 21, 1.0, False),
        (210, 21, 0.1, False),
        (209, 21, 0.1, True),
        (100, 29, 0.29, False),
        (100, 30, 0.29, True),
        (1_000_000, 21, 0.0, True),
        (1_000_000, 100_000, 0.1, False),
        (1_000_000, 100_001, 0.1, True),
    ],
)
def test_a_file_is_too_bad_with_more_than_twenty_rows_and_more_than_the_share_rejected(
    read: int, rejected: int, share: float, *, exceeds: bool
) -> None:
    assert surveyed(read, rejected).exceeds(share) is exceeds


@given(st.integers(0, 100), st.integers(21, 5_000), st.integers(0, 5_000))
def test_exactly_the_share_is_never_too_much_and_one_row_more_always_is(
    percent: int, rejected: int, sendable: int
) -> None:
    read = rejected + sendable

    found = surveyed(read, rejected).exceeds(percent / 100)

    assert found == (Fraction(rejected, read) > Fraction(percent, 100))


def test_of_many_rows_a_key_that_one_row_alone_has_is_not_told() -> None:
    survey = CheckSummary(FoundColumns({"missing"}))
    for number in range(1, 12):
        note_sendable(survey, number, "id", f"name-{number}")

    assert survey.names == {"id"}


def test_of_a_few_rows_every_key_is_told() -> None:
    survey = CheckSummary(FoundColumns({"missing"}))
    note_sendable(survey, 1, "id", "name")
    note_sendable(survey, 2, "id")

    assert survey.names == {"id", "name"}
