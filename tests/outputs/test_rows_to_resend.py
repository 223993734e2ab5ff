"""Which rows have to be sent again to make the server right."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from tests.make import request
from uploader.model import Failed, Outcome, Person, Reason, Rejected, RetryKind, Sent
from uploader.outputs import rows_to_resend as module
from uploader.outputs.rows_to_resend import RowsToResend

REASON = Reason("500", "not accepted by the service: HTTP 500")


def sent(*person: str) -> Sent:
    return make.sent(request(1, *person))


def failed(*person: str) -> Failed:
    return make.failed(request(1, *person))


def rejected(*person: str) -> Rejected:
    return make.rejected(1, *person)


@pytest.mark.parametrize(
    ("outcomes", "kinds"),
    [
        ([sent("a"), sent("a")], [None, None]),
        ([failed("a")], ["failed"]),
        ([rejected("a")], ["rejected"]),
        ([failed("a"), sent("a")], ["failed", "again"]),
        ([rejected("a"), sent("a")], ["rejected", "again"]),
        ([sent("a"), failed("a")], [None, "failed"]),
        ([sent("a"), failed("a"), sent("a"), sent("a")], [None, "failed", "again", "again"]),
        ([failed("a"), sent("b")], ["failed", None]),
        ([failed("a"), failed("a")], ["failed", "failed"]),
        ([failed("a"), rejected("a"), sent("a")], ["failed", "rejected", "again"]),
        ([failed("a"), sent("a", "b"), sent("b", "c"), sent("c")], ["failed", "again", "again", "again"]),
        ([sent("b"), failed("a"), sent("a", "b"), sent("b")], [None, "failed", "again", "again"]),
        ([failed("a", "b"), sent("b")], ["failed", "again"]),
        ([sent("a", "b"), failed("a"), sent("b")], [None, "failed", None]),
        ([failed("email=x"), sent("phone_no=x")], ["failed", None]),
        ([rejected(), sent(), sent("a")], ["rejected", None, None]),
    ],
)
def test_an_accepted_row_follows_an_unaccepted_row_of_its_person(
    outcomes: list[Outcome], kinds: list[RetryKind | None]
) -> None:
    followup = RowsToResend()

    assert [followup.kind(outcome) for outcome in outcomes] == kinds


PEOPLE: st.SearchStrategy[Person] = st.lists(st.sampled_from("abcdef"), max_size=3).map(tuple)


@given(st.lists(st.tuples(st.sampled_from([sent, failed, rejected]), PEOPLE), max_size=12))
def test_what_must_be_sent_again_is_all_that_follows_what_must_be_sent_again(
    rows: list[tuple[Callable[..., Outcome], Person]],
) -> None:
    followup, owed = RowsToResend(), list[set[str]]()

    for made, person in rows:
        outcome = made(*person)
        kind = followup.kind(outcome)

        follows = any(values & set(person) for values in owed)
        expected = {Failed: "failed", Rejected: "rejected", Sent: "again" if follows else None}[type(outcome)]
        assert kind == expected
        if kind is not None:
            owed.append(set(person))


def test_who_was_owed_a_row_in_an_earlier_life_of_the_run_is_owed_it_still() -> None:
    followup = RowsToResend()

    followup.add(("a", "b"))

    assert [followup.kind(outcome) for outcome in (sent("c"), sent("b", "c"), sent("c"))] == [None, "again", "again"]


@given(st.lists(st.tuples(st.sampled_from([sent, failed, rejected]), PEOPLE), max_size=12), st.integers(0, 12))
def test_to_owe_what_was_owed_is_as_good_as_to_have_judged_it(
    rows: list[tuple[Callable[..., Outcome], Person]], cut: int
) -> None:
    whole, later = RowsToResend(), RowsToResend()
    kinds = [whole.kind(make(*person)) for make, person in rows]

    for kind, (_, person) in zip(kinds[:cut], rows[:cut], strict=True):
        if kind is not None:
            later.add(person)

    assert [later.kind(make(*person)) for make, person in rows[cut:]] == kinds[cut:]


@pytest.mark.slow
@pytest.mark.no_cover
def test_nobody_is_forgotten_however_many_are_owed() -> None:
    followup = RowsToResend()
    for number in range(201_000):
        followup.add((f"external_id={number}",))

    kinds = [followup.kind(sent(f"external_id={number}")) for number in range(201_000)]
    strangers = [followup.kind(sent(f"email={number}")) for number in range(1_000)]

    assert set(kinds) == {"again"}
    assert strangers.count("again") < 50


@pytest.mark.parametrize("mine", [0, 1, 20])
@pytest.mark.parametrize("theirs", [0, 1, 20])
def test_who_was_owed_a_row_by_another_is_owed_one_whether_they_are_few_or_many(
    monkeypatch: pytest.MonkeyPatch, mine: int, theirs: int
) -> None:
    monkeypatch.setattr(module, "_FEW", 10)
    followup, other = RowsToResend(), RowsToResend()
    for number in range(mine):
        followup.add((f"external_id={number}",))
    for number in range(theirs):
        other.add((f"email={number}",))

    followup.add_all(other)

    assert all(followup.has((f"external_id={number}",)) for number in range(mine))
    assert all(followup.has((f"email={number}",)) for number in range(theirs))
    assert max(mine, theirs) > 1 or not followup.has(("stranger",))
