"""What became of the rows, in numbers."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import request
from uploader.counts import Counts, OutcomeCounts, Problem, Problems, RunningCounts
from uploader.model import Damaged, Failed, Outcome, Reason, Rejected, Row, Sent, Superseded, Unchanged, Unsettled

LATE = Reason("silence", "no reply in time")
EMPTY = Reason("no_property", "no property: every mapped column is empty")


def rejected(number: int, reason: Reason = EMPTY) -> Rejected:
    return Rejected(Row(number, {}, line=number + 1), (), reason)


def failed(number: int, reason: Reason = LATE) -> Failed:
    return Failed(request(number, line=number + 1), reason, attempts=5)


def test_each_outcome_is_counted_as_what_it_is() -> None:
    running_counts = RunningCounts()
    outcomes: list[Outcome | Unsettled] = [
        Sent(request(1), 1),
        Sent(request(2), 3, unsure=True),
        failed(3),
        replace(failed(4), unsure=True),
        rejected(5),
        Unsettled(request(6), 1, unsure=True),
        Unsettled(request(7)),
        Unchanged(request(8)),
        Superseded(request(9), 10),
        Superseded(request(10)),
    ]

    for outcome in outcomes:
        running_counts.add(outcome)

    counts = running_counts.outcomes.counts(read=10)
    assert counts == Counts(10, sent=2, unchanged=1, superseded=2, rejected=1, failed=2, not_attempted=2)
    assert (running_counts.unsure, counts.settled) == ({2, 4, 6}, 8)
    assert running_counts.problems.most_frequent() == [
        (LATE, Problem(2, [(3, 4), (4, 5)])),
        (EMPTY, Problem(1, [(5, 6)])),
    ]


def test_a_row_that_is_in_doubt_twice_is_one_row() -> None:
    running_counts = RunningCounts()

    running_counts.add(Unsettled(request(6), 1, unsure=True))
    running_counts.add(Sent(request(6), 1, unsure=True))

    assert (running_counts.unsure, running_counts.outcomes.counts(read=1)) == ({6}, Counts(1, sent=1))


def test_a_problem_names_its_first_three_rows_and_counts_all() -> None:
    problems = Problems()

    for number in range(10, 20):
        problems.note(rejected(number))

    assert problems.most_frequent() == [(EMPTY, Problem(10, [(10, 11), (11, 12), (12, 13)]))]


def test_problems_stand_with_the_most_frequent_first_and_equals_in_the_order_found() -> None:
    problems = Problems()
    for number, reason in enumerate([EMPTY, LATE, Reason("x", "one"), Reason("x", "two"), Reason("x", "two")], 1):
        problems.note(rejected(number, reason))

    found = [(reason, problem.count) for reason, problem in problems.most_frequent()]

    assert found == [(Reason("x", "two"), 2), (EMPTY, 1), (LATE, 1), (Reason("x", "one"), 1)]


def test_a_record_that_could_not_be_split_has_its_place_too() -> None:
    problems = Problems()

    problems.note(Rejected(Damaged(4, EMPTY, 9, "x"), (), EMPTY))

    assert problems.most_frequent() == [(EMPTY, Problem(1, [(4, 9)]))]


OUTCOMES: st.SearchStrategy[Outcome | Unsettled] = st.sampled_from(
    [Sent(request(1), 1), failed(2), rejected(3), Unsettled(request(4))]
)


@given(st.lists(OUTCOMES))
def test_the_counts_of_a_tally_balance(outcomes: list[Outcome | Unsettled]) -> None:
    running_counts = RunningCounts()
    for outcome in outcomes:
        running_counts.add(outcome)

    not_attempted = sum(isinstance(outcome, Unsettled) for outcome in outcomes)
    counts = running_counts.outcomes.counts(read=len(outcomes), not_attempted=not_attempted)

    assert counts.balances
    assert counts.settled + not_attempted == len(outcomes)
    assert (
        sum(problem.count for _, problem in running_counts.problems.most_frequent()) == counts.rejected + counts.failed
    )


BALANCED = Counts(21, sent=1, unchanged=2, superseded=3, rejected=4, failed=5, not_attempted=6)


def test_counts_balance_when_every_row_is_accounted_for() -> None:
    assert BALANCED.balances
    assert Counts().balances


@pytest.mark.parametrize("name", ["read", "sent", "unchanged", "superseded", "rejected", "failed", "not_attempted"])
def test_counts_do_not_balance_when_any_number_is_one_off(name: str) -> None:
    assert not replace(BALANCED, **{name: getattr(BALANCED, name) + 1}).balances


COUNTS: st.SearchStrategy[Counts] = st.builds(Counts, *[st.integers(0, 99)] * len(fields(Counts)))


@given(COUNTS, COUNTS)
def test_counts_of_two_sources_add_up_number_by_number(one: Counts, other: Counts) -> None:
    both = one + other

    assert both == other + one
    for number in fields(Counts):
        assert getattr(both, number.name) == getattr(one, number.name) + getattr(other, number.name)


def test_rows_that_nobody_counted_were_not_attempted_unless_it_is_known_better() -> None:
    outcomes = OutcomeCounts(sent=1, unchanged=2, superseded=3, rejected=4, failed=5)

    assert outcomes.counts(read=21) == BALANCED
    assert outcomes.counts(read=21, not_attempted=5) == replace(BALANCED, not_attempted=5)


def test_only_kinds_of_rows_that_there_are_are_told_as_not_sent() -> None:
    assert BALANCED.not_sent() == {"unchanged": 2, "superseded": 3}
    assert Counts(1, sent=1).not_sent() == {}


def test_each_outcome_has_a_number_of_its_own_among_the_counts() -> None:
    outcomes = Sent, Unchanged, Superseded, Rejected, Failed

    assert [outcome.kind for outcome in outcomes] == [number.name for number in fields(Counts)[1:-1]]
