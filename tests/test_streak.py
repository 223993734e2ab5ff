"""Blocked rows in a row: held back until a good reply, and the run's trouble when they are too many."""

from hypothesis import given
from hypothesis import strategies as st

from tests.test_pipeline import number_of, rejected, request
from uploader.model import Failed, Outcome, Reason, Rejected, Request, Sent, Unsettled, Work
from uploader.streak import LONGEST, Streak

BLOCKED = Reason("403", "answered with HTTP 403")
BUSY = Reason("503", "not accepted by the service: HTTP 503")


def blocked(streak: Streak, work: Request) -> list[int]:
    """Let *work* be blocked; return the rows that may be settled."""
    streak.note_blocked(work.row.number, "HTTP 403")
    return heard(streak, work, Rejected(work.row, work.person, BLOCKED, 2))


def sent(streak: Streak, work: Request) -> list[int]:
    streak.note_good()
    return heard(streak, work, Sent(work, 1))


def heard(streak: Streak, work: Work, outcome: Outcome | Unsettled) -> list[int]:
    return [number_of(told) for _, told in streak.note(work, outcome)]


def one(number: int) -> Request:
    return request(number, f"id={number}")


def test_nothing_is_proven_until_a_reply_proves_it() -> None:
    streak, continued = Streak(), Streak()

    assert not streak.is_proven
    streak.note_good()
    continued.prove()
    assert (streak.is_proven, continued.is_proven) == (True, True)


def test_blocked_rows_are_settled_in_their_order_before_the_row_that_is_accepted() -> None:
    streak = Streak()

    told = [sent(streak, one(1)), blocked(streak, one(2)), blocked(streak, one(3)), sent(streak, one(4))]

    assert told == [[1], [], [], [2, 3, 4]]
    assert (streak.is_open, streak.is_over) == (False, True)


def test_what_an_earlier_attempt_proves_ends_no_streak() -> None:
    streak = Streak()
    streak.prove()
    blocked(streak, one(1))

    streak.prove()

    assert (streak.is_open, heard(streak, one(2), Failed(one(2), BUSY, 5))) == (True, [2])


def test_five_blocked_rows_in_a_row_are_the_runs_trouble() -> None:
    streak = Streak()
    streak.prove()

    too_long = []
    for number in range(11, 16):
        blocked(streak, one(number))
        too_long.append(streak.is_too_long)

    assert too_long == [False] * (LONGEST - 1) + [True]
    assert streak.told == "5 rows in a row were answered with HTTP 403, the first of them row 11"
    assert [number_of(outcome) for _, outcome in streak.release()] == [11, 12, 13, 14, 15]


def test_a_good_reply_begins_the_count_anew() -> None:
    streak = Streak()

    for number in range(1, 41, 5):
        for row in range(number, number + 4):
            blocked(streak, one(row))
        sent(streak, one(number + 4))

    assert not streak.is_too_long


def test_the_count_goes_on_with_the_next_source_though_its_rows_are_released() -> None:
    streak = Streak()
    streak.prove()
    for number in range(1, 5):
        blocked(streak, one(number))
    streak.release()

    blocked(streak, one(1))

    assert streak.is_too_long
    assert streak.told.endswith("the first of them row 1")


def test_what_differs_is_told_of() -> None:
    streak = Streak()
    streak.note_blocked(7, "HTTP 403")
    streak.note_blocked(8, "HTTP 302")

    assert streak.told == "2 rows in a row were answered with HTTP 302 or HTTP 403, the first of them row 7"


def test_a_later_row_of_a_blocked_rows_person_is_not_settled_before_it() -> None:
    streak, first, bad = Streak(), request(1, "id=1", "email=a"), rejected(2, "email=a")
    failed, other = request(3, "id=3"), request(4, "email=a")

    told = [
        blocked(streak, first),
        heard(streak, bad, bad),
        heard(streak, failed, Failed(failed, BUSY, 5)),
        heard(streak, other, Failed(other, BUSY, 5)),
        sent(streak, one(5)),
    ]

    assert told == [[], [], [3], [], [1, 2, 4, 5]]


def test_a_row_without_an_outcome_says_nothing_and_waits_for_nobody() -> None:
    streak, first = Streak(), one(1)
    blocked(streak, first)

    assert heard(streak, first, Unsettled(first, 1)) == [1]
    assert streak.is_open


@given(st.lists(st.sampled_from(["sent", "blocked", "failed"]), max_size=30), st.integers(1, 4))
def test_every_row_comes_out_once_and_in_its_persons_order(fates: list[str], people: int) -> None:
    streak, out = Streak(), list[int]()

    for number, fate in enumerate(fates, start=1):
        work = request(number, f"id={number % people}")
        match fate:
            case "sent":
                out += sent(streak, work)
            case "blocked":
                out += blocked(streak, work)
            case _:
                out += heard(streak, work, Failed(work, BUSY, 5))
    out += [number_of(outcome) for _, outcome in streak.release()]

    assert sorted(out) == list(range(1, len(fates) + 1))
    for person in range(people):
        mine = [number for number in out if number % people == person]
        assert mine == sorted(mine)
