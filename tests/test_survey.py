"""What is known of a source before the first request."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.model import Damaged, Reason, Rejected, Request, Row
from uploader.survey import Survey
from uploader.tally import Problem

EMPTY = Reason("no_property", "no property: every mapped column is empty")
QUOTES = Reason("quotes", "a quote that does not end")


def note_sendable(survey: Survey, number: int, *columns: str) -> None:
    row = Row(number, dict.fromkeys(columns, "x"))
    survey.note(row, Request(row, ("email=x",), b"{}"))


def note_rejected(survey: Survey, number: int, *columns: str) -> None:
    row = Row(number, dict.fromkeys(columns, "x"), line=number + 1)
    survey.note(row, Rejected(row, (), EMPTY))


def note_damaged(survey: Survey, number: int) -> None:
    damaged = Damaged(number, QUOTES, line=number + 1)
    survey.note(damaged, Rejected(damaged, (), QUOTES))


def test_every_record_is_counted_as_what_the_mapping_makes_of_it() -> None:
    survey = Survey()

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
    survey = Survey(unseen={"mail", "name"})

    note_sendable(survey, 1, "name", "city")
    note_rejected(survey, 2, "age")
    note_damaged(survey, 3)

    assert survey.unseen == {"mail"}
    assert survey.seen == {"name", "city", "age"}


def test_nothing_is_unseen_when_each_column_stood_in_some_row() -> None:
    survey = Survey(unseen={"mail", "name"})

    note_sendable(survey, 1, "name")
    note_sendable(survey, 2, "mail")

    assert survey.unseen == set()


def surveyed(read: int, rejected: int) -> Survey:
    return Survey(read=read, rejected=rejected)


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
