"""Blocked rows in a row: held back until a good reply, and the run's trouble when they are too many."""

from hypothesis import given
from hypothesis import strategies as st

from tests.delivery.harness import number_of
from tests.make import rejected, request
from uploader.delivery.firewall_blocks import LONGEST, BlockedRows, FirstBlock
from uploader.model import Failed, Outcome, Reason, Rejected, Request, Sent, Unsettled, Work

BLOCKED = Reason("403", "answered with HTTP 403")
BUSY = Reason("503", "not accepted by the service: HTTP 503")


def blocked(streak: BlockedRows, work: Request) -> list[int]:
    """Let *work* be blocked; return the rows that may be settled."""
    streak.add_blocked(work.row.number, "HTTP 403")
    return heard(streak, work, Rejected(work.row, work.person, BLOCKED, 2))


def sent(streak: BlockedRows, work: Request) -> list[int]:
    streak.add_good_reply()
    return heard(streak, work, Sent(work, 1))


def heard(streak: BlockedRows, work: Work, outcome: Outcome | Unsettled) -> list[int]:
    return [number_of(told) for _, told in streak.filter_outcome(work, outcome)]


def one(number: int) -> Request:
    return request(number, f"id={number}")


def test_nothing_is_proven_until_a_reply_proves_it() -> None:
    streak, continued = BlockedRows(), BlockedRows()

    assert not streak.is_proven
    streak.add_good_reply()
    continued.mark_proven()
    assert (streak.is_proven, continued.is_proven) == (True, True)


def test_blocked_rows_are_settled_in_their_order_before_the_row_that_is_accepted() -> None:
    streak = BlockedRows()

    told = [sent(streak, one(1)), blocked(streak, one(2)), blocked(streak, one(3)), sent(streak, one(4))]

    assert told == [[1], [], [], [2, 3, 4]]
    assert (streak.is_unresolved, streak.is_over) == (False, True)


def test_what_an_earlier_attempt_proves_ends_no_streak() -> None:
    streak = BlockedRows()
    streak.mark_proven()
    blocked(streak, one(1))

    streak.mark_proven()

    assert (streak.is_unresolved, heard(streak, one(2), Failed(one(2), BUSY, 5))) == (True, [2])


def test_five_blocked_rows_in_a_row_are_the_runs_trouble() -> None:
    streak = BlockedRows()
    streak.mark_proven()

    too_long = []
    for number in range(11, 16):
        blocked(streak, one(number))
        too_long.append(streak.is_run_refused)

    assert too_long == [False] * (LONGEST - 1) + [True]
    assert streak.description == "5 rows in a row were answered with HTTP 403, the first of them row 11"
    assert [number_of(outcome) for _, outcome in streak.release()] == [11, 12, 13, 14, 15]


def test_a_good_reply_begins_the_count_anew() -> None:
    streak = BlockedRows()

    for number in range(1, 41, 5):
        for row in range(number, number + 4):
            blocked(streak, one(row))
        sent(streak, one(number + 4))

    assert not streak.is_run_refused


def test_the_count_goes_on_with_the_next_source_though_its_rows_are_released() -> None:
    streak = BlockedRows()
    streak.mark_proven()
    for number in range(1, 5):
        blocked(streak, one(number))
    streak.release()

    blocked(streak, one(1))

    assert streak.is_run_refused
    assert streak.description == "5 rows in a row were answered with HTTP 403, the last of them row 1"
    assert streak.outcome_description == (
        "The last of them does not count as rejected; those before, at the end of another source, do."
    )


def test_a_streak_that_crosses_the_end_of_a_source_tells_of_the_rows_that_are_held_back() -> None:
    streak = BlockedRows()
    streak.mark_proven()
    for number in range(48, 51):
        blocked(streak, one(number))
    streak.release()
    streak.begin_source("b.csv")

    for number in (2, 3):
        blocked(streak, one(number))

    assert streak.description.endswith("HTTP 403, the last 2 of them from row 2 of b.csv on")
    assert streak.outcome_description.startswith("The last 2 of them do not count as rejected; those before")


def at(streak: BlockedRows, number: int, *, sent: float, heard: float) -> list[int]:
    """Let the row *number* be blocked alone that was blocked first at *heard*."""
    work = one(number)
    streak.add_blocked(number, "HTTP 403", FirstBlock(sent, heard))
    return heard_of(streak, work)


def heard_of(streak: BlockedRows, work: Request) -> list[int]:
    return heard(streak, work, Rejected(work.row, work.person, BLOCKED, 2))


def test_rows_do_not_count_between_which_the_service_took_requests_and_are_held_back_all_the_same() -> None:
    streak, bad = BlockedRows(), range(6, 30, 2)
    for number in range(1, 31):
        if number in bad:
            streak.add_first_block(FirstBlock(number, number + 100))
        else:
            streak.add_served(number)

    told = [at(streak, number, sent=number, heard=number + 100) for number in bad]

    assert told == [[]] * len(bad)
    assert (streak.is_unresolved, streak.is_run_refused) == (True, False)
    assert [number_of(outcome) for _, outcome in streak.release()] == list(bad)


def test_rows_that_overtook_one_another_when_the_token_was_revoked_do_not_excuse_the_others() -> None:
    streak = BlockedRows()
    for number in range(1, 33):
        if number <= 18 or number in {20, 23}:
            streak.add_served(number)
        else:
            streak.add_first_block(FirstBlock(number, number + 100))

    too_long, told = [], []
    for number in (19, 21, 22, 24, 25):
        told += at(streak, number, sent=number, heard=number + 100)
        too_long.append(streak.is_run_refused)

    assert (told, too_long) == ([], [False] * 4 + [True])


def test_rows_that_do_not_count_are_not_settled_by_the_streak_that_stops_the_run() -> None:
    streak = BlockedRows()
    for number in (18, 19):
        streak.add_first_block(FirstBlock(number, number + 100))
    streak.add_served(20)

    told = []
    for number in (18, 19, *range(21, 26)):
        assert not streak.is_run_refused
        told += at(streak, number, sent=number, heard=number + 100)

    assert (told, streak.is_run_refused) == ([], True)
    assert streak.description == "5 rows in a row were answered with HTTP 403, the first of them row 21"
    assert len(streak.release()) == 7


def test_only_a_request_sent_after_a_row_was_blocked_clears_it() -> None:
    streak, block = BlockedRows(), FirstBlock(sent=1.0, replied=2.0)

    cleared = []
    for sent_at in (0.5, 1.5, 2.0, 2.5):
        streak.add_served(sent_at)
        cleared.append(streak.clears(block))

    assert cleared == [False, False, False, True]


def test_what_differs_is_told_of() -> None:
    streak = BlockedRows()
    streak.add_blocked(7, "HTTP 403")
    streak.add_blocked(8, "HTTP 302")

    assert streak.description == "2 rows in a row were answered with HTTP 302 or HTTP 403, the first of them row 7"


def test_a_later_row_of_a_blocked_rows_person_is_not_settled_before_it() -> None:
    streak, first, bad = BlockedRows(), request(1, "id=1", "email=a"), rejected(2, "email=a")
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
    streak, first = BlockedRows(), one(1)
    blocked(streak, first)

    assert heard(streak, first, Unsettled(first, 1)) == [1]
    assert streak.is_unresolved


@given(st.lists(st.sampled_from(["sent", "blocked", "failed"]), max_size=30), st.integers(1, 4))
def test_every_row_comes_out_once_and_in_its_persons_order(fates: list[str], people: int) -> None:
    streak, out = BlockedRows(), list[int]()

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
