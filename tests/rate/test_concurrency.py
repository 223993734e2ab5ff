"""How many may be in flight: what latency and rate ask for, under a ceiling."""

from uploader.rate import Crowd


def flown(crowd: Crowd, times: int, seconds: float) -> Crowd:
    """Return *crowd* after so many requests, one after another, each of which took so many *seconds*."""
    for time in range(times):
        crowd.land(crowd.depart(float(time)), time + seconds)
    return crowd


def fill(crowd: Crowd, now: float, *, rate: float, most: int = 1_000) -> int:
    """Return how many go at once."""
    while crowd.has_room(now, rate=rate, most=most):
        crowd.depart(now)
    return crowd.count


def test_at_first_a_few_go_since_no_latency_is_known() -> None:
    assert fill(Crowd(100), 0.0, rate=100.0) == 4


def test_twice_as_many_may_be_in_flight_as_latency_and_rate_ask_for() -> None:
    assert fill(flown(Crowd(100), 50, 0.1), 100.0, rate=100.0) == 22


def test_a_reply_that_is_long_in_coming_makes_room_for_more() -> None:
    crowd = flown(Crowd(100), 50, 0.1)
    fill(crowd, 100.0, rate=10.0)

    assert fill(crowd, 102.0, rate=10.0) == 42


def test_the_ceiling_and_our_part_are_never_exceeded() -> None:
    slow = flown(Crowd(30), 50, 5.0)

    assert fill(slow, 100.0, rate=1_000.0, most=7) == 7
    assert fill(slow, 100.0, rate=1_000.0) == 30


def test_local_trouble_halves_the_ceiling_once_for_all_who_departed_before() -> None:
    crowd = flown(Crowd(64), 50, 5.0)
    fill(crowd, 100.0, rate=1_000.0)

    assert [crowd.thin_out(departed=100.0, now=101.0) for _ in range(5)] == [True] * 5
    assert crowd.ceiling == 32
    assert crowd.thin_out(departed=101.0, now=102.0)
    assert crowd.ceiling == 16


def test_the_ceiling_grows_again_one_by_one() -> None:
    crowd = Crowd(8)
    for _ in range(4):
        crowd.depart(0.0)
    crowd.thin_out(departed=0.0, now=1.0)
    before = crowd.ceiling

    flown(crowd, 100, 0.1)

    assert (before, crowd.ceiling) == (2, 4)
    assert flown(crowd, 1_000, 0.1).ceiling == 8


def test_one_at_a_time_that_finds_no_room_is_said_to_be_too_many() -> None:
    crowd = Crowd(1)

    assert not crowd.thin_out(departed=1.0, now=2.0)
