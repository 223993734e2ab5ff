"""Which rows have to be sent again to make the server right."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.followup import FollowUp, Kind
from uploader.model import Failed, Outcome, Person, Reason, Rejected, Request, Row, Sent

REASON = Reason("500", "not accepted by the service: HTTP 500")


def sent(*person: str) -> Sent:
    return Sent(Request(Row(1, {}), person, b"{}"), attempts=1)


def failed(*person: str) -> Failed:
    return Failed(Request(Row(1, {}), person, b"{}"), REASON, attempts=5)


def rejected(*person: str) -> Rejected:
    return Rejected(Row(1, {}), person, REASON)


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
    outcomes: list[Outcome], kinds: list[Kind | None]
) -> None:
    followup = FollowUp()

    assert [followup.kind(outcome) for outcome in outcomes] == kinds


PEOPLE: st.SearchStrategy[Person] = st.lists(st.sampled_from("abcdef"), max_size=3).map(tuple)


@given(st.lists(st.tuples(st.sampled_from([sent, failed, rejected]), PEOPLE), max_size=12))
def test_what_must_be_sent_again_is_all_that_follows_what_must_be_sent_again(
    rows: list[tuple[Callable[..., Outcome], Person]],
) -> None:
    followup, owed = FollowUp(), list[set[str]]()

    for make, person in rows:
        outcome = make(*person)
        kind = followup.kind(outcome)

        follows = any(values & set(person) for values in owed)
        expected = {Failed: "failed", Rejected: "rejected", Sent: "again" if follows else None}[type(outcome)]
        assert kind == expected
        if kind is not None:
            owed.append(set(person))
