"""Several who share one number share one bucket."""

from hypothesis import given
from hypothesis import strategies as st

from uploader.rate import reserve


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    due, waits = 0.0, []
    for _ in range(6):
        due, wait, _ = reserve(due, now=100.0, rate=2.0, burst=3)
        waits.append(wait)

    assert waits == [0.0, 0.0, 0.0, 0.5, 1.0, 1.5]


def test_as_many_places_are_taken_together_as_may_go_at_once() -> None:
    due, found = 0.0, []
    for most in (2, 5, 5, 1):
        due, wait, places = reserve(due, now=100.0, rate=2.0, burst=4, most=most)
        found.append((wait, places))

    assert found == [(0.0, 2), (0.0, 2), (0.5, 1), (1.0, 1)]


@given(
    rate=st.floats(0.1, 1_000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 10), min_size=1, max_size=60),
    window=st.floats(0.1, 20),
    most=st.integers(1, 60),
)
def test_no_window_holds_more_than_the_burst_and_the_rate_allow(
    rate: float, burst: int, pauses: list[float], window: float, most: int
) -> None:
    due, now, times = 0.0, 0.0, []
    for pause in pauses:
        now += pause / rate
        due, wait, places = reserve(due, now=now, rate=rate, burst=burst, most=most)
        times += [now + wait] * places

    assert times == sorted(times)
    for first in times:
        assert sum(first <= time < first + window for time in times) <= burst + rate * window + 1e-6
