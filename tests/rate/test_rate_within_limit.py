"""How fast a run goes: laws of the arithmetic, and a simulated bucket that keeps them."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.rate.cases import most_in_any_window
from uploader.rate import Pace, pace


@dataclass(frozen=True, slots=True)
class Wish:
    """What a configuration says of the rate."""

    requests: int
    per: float
    share: float
    burst: int
    concurrency: int

    @property
    def budget(self) -> float:
        return self.share * self.requests

    def pace(self) -> Pace:
        return pace(
            requests=self.requests, per=self.per, share=self.share, burst=self.burst, concurrency=self.concurrency
        )


WISHES = st.builds(
    Wish,
    requests=st.integers(1, 50) | st.integers(1, 10**9),
    per=st.floats(0.001, 86_400),
    share=st.floats(0.01, 1),
    burst=st.integers(1, 50) | st.integers(1, 10**9),
    concurrency=st.integers(1, 1000),
).filter(lambda wish: wish.budget >= 1)
SMALL_WISHES = st.builds(
    Wish,
    requests=st.integers(1, 60),
    per=st.sampled_from([0.1, 1.0, 7.0, 60.0]),
    share=st.sampled_from([0.1, 0.29, 0.5, 0.95, 1.0]),
    burst=st.integers(1, 40),
    concurrency=st.integers(1, 40),
).filter(lambda wish: wish.budget >= 1)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (Wish(10_000, 60, 0.95, 16, 32), Pace(16, 9484 / 60, 32)),
        (Wish(10_000, 60, 1.0, 16, 32), Pace(16, 9952 / 60, 32)),
        (Wish(1_000, 2, 1.0, 4, 32), Pace(4, 964 / 2, 32)),
        (Wish(100, 10, 0.95, 16, 32), Pace(2, 88 / 10, 10)),
        (Wish(400, 10, 0.95, 16, 32), Pace(9, 359 / 10, 32)),
        (Wish(20, 10, 0.5, 16, 32), Pace(2, 8 / 10, 2)),
        (Wish(6, 10, 1.0, 16, 32), Pace(2, 3 / 10, 1)),
        (Wish(5, 10, 1.0, 16, 32), Pace(2, 2 / 10, 1)),
        (Wish(4, 10, 1.0, 16, 32), Pace(1, 2 / 10, 1)),
        (Wish(3, 10, 1.0, 16, 32), Pace(1, 1 / 10, 1)),
        (Wish(3, 10, 0.5, 16, 32), Pace(1, 0.99 / 10, 1)),
        (Wish(2, 10, 1.0, 16, 32), Pace(1, 0.99 / 10, 1)),
        (Wish(1, 10, 1.0, 16, 32), Pace(1, 0.99 / 10, 1, rest=1 / (0.99 / 10))),
        (Wish(3_000, 1, 1.0, 16, 300), Pace(16, 2_684, 298, handful=3)),
    ],
)
def test_a_pace_is_burst_and_refill_and_requests_in_flight(wish: Wish, expected: Pace) -> None:
    assert wish.pace() == expected


@given(WISHES)
@example(Wish(1, 1.0, 1.0, 1, 1))
def test_a_pace_always_moves(wish: Wish) -> None:
    found = wish.pace()

    assert found.burst >= 1
    assert found.rate > 0
    assert found.concurrency >= 1
    assert found.refill > 0


@given(WISHES)
def test_a_pace_is_never_more_than_was_asked_for(wish: Wish) -> None:
    found = wish.pace()

    assert found.burst <= wish.burst
    assert found.concurrency <= wish.concurrency


def within(count: float, most: float) -> bool:
    return count <= most or math.isclose(count, most, rel_tol=1e-9)


@given(WISHES)
def test_grants_stay_within_the_share_in_every_window(wish: Wish) -> None:
    granted = wish.pace().grants_in(wish.per)

    # A share below two leaves no room for a fraction: what counts then is that the second request comes too late.
    assert within(granted, wish.budget) if wish.budget >= 2 and wish.requests >= 3 else granted < 2


@given(WISHES.filter(lambda wish: wish.requests >= 3))
@example(Wish(3, 1.0, 1.0, 16, 32))
@example(Wish(20, 1.0, 0.05, 16, 32))
def test_arrivals_stay_within_a_limit_of_three_or_more_in_every_window(wish: Wish) -> None:
    assert within(wish.pace().arrivals_in(wish.per), wish.requests)


def test_a_limit_of_two_lets_whole_requests_arrive_within_it() -> None:
    assert math.floor(Wish(2, 1.0, 1.0, 16, 32).pace().arrivals_in(1.0)) == 2


@given(WISHES.filter(lambda wish: wish.budget >= 100))
@example(Wish(3_000, 1, 1.0, 1, 300))
@example(Wish(3_000, 1, 1.0, 16, 300))
@example(Wish(100, 0.001, 1.0, 1, 10))
def test_a_pace_wastes_little_of_its_share(wish: Wish) -> None:
    granted = wish.pace().grants_in(wish.per)

    assert within(min(wish.budget, 0.9 * wish.requests), granted)


class Bucket:
    """A leaky bucket with the arithmetic of aiolimiter, by a clock that is told."""

    def __init__(self, pace: Pace) -> None:
        self._most = pace.burst
        self._rate = pace.burst / pace.refill
        self._level = 0.0
        self._checked = 0.0

    def grant(self, now: float) -> float:
        """Return when a request that asks at *now* is let go."""
        self._leak(now)
        while self._level + 1 > self._most:
            # A timer may come a little late, never early.
            self._leak(math.nextafter(self._checked + (self._level + 1 - self._most) / self._rate, math.inf))
        self._level += 1
        return self._checked

    def _leak(self, now: float) -> None:
        self._level = max(self._level - (now - self._checked) * self._rate, 0.0)
        self._checked = now


def granted_by(pace: Pace, *, pauses: list[float], count: int) -> list[float]:
    """Return when *count* requests go that ask as soon as they can, but for *pauses* now and then."""
    bucket, now, times = Bucket(pace), 0.0, []
    waits = itertools.cycle([*pauses, *[0.0] * (pace.burst + 3)])
    for _ in range(count):
        now = bucket.grant(now + next(waits))
        times.append(now)
    return times


PAUSES = st.lists(st.floats(0, 3), max_size=4)


@given(SMALL_WISHES, PAUSES)
@example(Wish(60, 60.0, 0.95, 16, 32), [])
@example(Wish(2, 1.0, 1.0, 16, 32), [])
@example(Wish(1, 1.0, 1.0, 1, 1), [])
def test_no_window_of_a_bucket_at_this_pace_holds_more_than_the_share(wish: Wish, pauses: list[float]) -> None:
    times = granted_by(wish.pace(), pauses=[part * wish.per for part in pauses], count=4 * wish.requests)

    assert most_in_any_window(times, wish.per) <= wish.budget * (1 + 1e-9)


def whole_limit(wish: Wish) -> Pace:
    """A broken variant: the bucket holds the limit and refills it in one window."""
    return Pace(wish.requests, wish.requests / wish.per, wish.concurrency)


def burst_not_subtracted(wish: Wish) -> Pace:
    """A broken variant: the rate alone uses up the share, and the burst comes on top."""
    return Pace(wish.pace().burst, wish.budget / wish.per, wish.concurrency)


@pytest.mark.parametrize("wish", [Wish(100, 1.0, 0.95, 16, 32), Wish(20, 60.0, 1.0, 4, 8), Wish(5, 1.0, 1.0, 2, 1)])
@pytest.mark.parametrize(("broken", "excess"), [(whole_limit, 1.9), (burst_not_subtracted, 1.01)])
def test_a_bucket_that_forgets_its_burst_is_seen_to_exceed_the_share(
    wish: Wish, broken: Callable[[Wish], Pace], excess: float
) -> None:
    times = granted_by(broken(wish), pauses=[], count=4 * wish.requests)

    assert most_in_any_window(times, wish.per) >= excess * wish.budget


@pytest.mark.parametrize(
    ("times", "length", "most"),
    [([], 1.0, 0), ([0.0], 1.0, 1), ([0.0, 0.5, 1.0], 1.0, 3), ([0.0, 0.9, 1.1, 1.8], 1.0, 3), ([0, 2, 4], 1.0, 1)],
)
def test_the_fullest_window_is_found_at_any_alignment(times: list[float], length: float, most: int) -> None:
    assert most_in_any_window(times, length) == most
