"""How many may be in flight: what latency and rate ask for, under a ceiling."""

from uploader.rate import ConcurrencyLimit


def flown(crowd: ConcurrencyLimit, times: int, seconds: float) -> ConcurrencyLimit:
    """Return *crowd* after so many requests, one after another, each of which took so many *seconds*."""
    for time in range(times):
        crowd.release(crowd.grant(float(time)), time + seconds)
    return crowd


def fill(crowd: ConcurrencyLimit, now: float, *, rate: float, most: int = 1_000) -> int:
    """Return how many go at once."""
    while crowd.has_room(now, rate=rate, most=most):
        crowd.grant(now)
    return crowd.count


def test_at_first_a_few_go_since_no_latency_is_known() -> None:
    assert fill(ConcurrencyLimit(100), 0.0, rate=100.0) == 4


def test_twice_as_many_may_be_in_flight_as_latency_and_rate_ask_for() -> None:
    assert fill(flown(ConcurrencyLimit(100), 50, 0.1), 100.0, rate=100.0) == 22


def test_a_reply_that_is_long_in_coming_makes_room_for_more() -> None:
    crowd = flown(ConcurrencyLimit(100), 50, 0.1)
    fill(crowd, 100.0, rate=10.0)

    assert fill(crowd, 102.0, rate=10.0) == 42


def test_the_ceiling_and_our_part_are_never_exceeded() -> None:
    slow = flown(ConcurrencyLimit(30), 50, 5.0)

    assert fill(slow, 100.0, rate=1_000.0, most=7) == 7
    assert fill(slow, 100.0, rate=1_000.0) == 30


def test_local_trouble_halves_the_ceiling_once_for_all_who_departed_before() -> None:
    crowd = flown(ConcurrencyLimit(64), 50, 5.0)
    fill(crowd, 100.0, rate=1_000.0)

    assert [crowd.reduce(granted_at=100.0, now=101.0) for _ in range(5)] == [True] * 5
    assert crowd.ceiling == 32
    assert crowd.reduce(granted_at=101.0, now=102.0)
    assert crowd.ceiling == 16


def test_the_ceiling_grows_again_one_by_one() -> None:
    crowd = ConcurrencyLimit(8)
    for _ in range(4):
        crowd.grant(0.0)
    crowd.reduce(granted_at=0.0, now=1.0)
    before = crowd.ceiling

    flown(crowd, 100, 0.1)

    assert (before, crowd.ceiling) == (2, 4)
    assert flown(crowd, 1_000, 0.1).ceiling == 8


def test_one_at_a_time_that_finds_no_room_is_said_to_be_too_many() -> None:
    crowd = ConcurrencyLimit(1)

    assert not crowd.reduce(granted_at=1.0, now=2.0)
