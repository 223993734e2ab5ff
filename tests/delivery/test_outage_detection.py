"""Everybody's trouble is told from a row's."""

import pytest

from uploader.delivery.outage_detection import OutageDetector


def struck(health: OutageDetector, rows: list[int], begin: float = 0.0) -> OutageDetector:
    """Return *health* after a bad reply to each of *rows*, one a second."""
    for second, row in enumerate(rows):
        health.add_bad_reply(row, begin + second)
    return health


@pytest.mark.parametrize(
    ("rows", "most_rows", "out"),
    [
        (list(range(11)), 32, False),
        (list(range(12)), 32, True),
        ([1] * 50, 32, False),
        ([*range(11), 0, 1, 2], 32, False),
        ([*range(11), 0, 1, 11], 32, True),
        ([1, 2, 3, 4] * 3, 4, True),
        ([1, 2, 3, 4] * 2, 4, False),
        ([1] * 12, 1, True),
        ([row for row in range(11) for _ in range(5)], 32, False),
        ([row for row in range(12) for _ in range(5)], 32, True),
    ],
)
def test_a_service_is_out_when_twelve_replies_in_a_row_were_bad_of_as_many_rows_as_there_can_be(
    rows: list[int],
    most_rows: int,
    out: bool,  # noqa: FBT001 — what is found
) -> None:
    assert struck(OutageDetector(most_rows), rows).is_outage is out


def test_one_good_reply_ends_all_suspicion() -> None:
    health = struck(OutageDetector(32), list(range(11)))

    health.add_good_reply(11.0)

    assert not struck(health, list(range(11)), begin=12.0).is_outage


def test_what_came_from_the_first_of_the_bad_replies_to_the_recovery_is_excused() -> None:
    health = struck(OutageDetector(32), list(range(12)), begin=10.0)
    during = [health.excuses(at) for at in (9.9, 10.0, 21.0, 500.0)]

    health.add_good_reply(100.0)

    assert during == [False, True, True, True]
    assert [health.excuses(at) for at in (9.9, 10.0, 100.0, 100.1)] == [False, True, True, False]


def test_each_of_two_outages_is_excused_and_what_lies_between_is_not() -> None:
    health = struck(OutageDetector(32), list(range(12)))
    health.add_good_reply(20.0)
    struck(health, list(range(12)), begin=50.0)
    health.add_good_reply(70.0)

    assert [health.excuses(at) for at in (5.0, 30.0, 60.0, 80.0)] == [True, False, True, False]
