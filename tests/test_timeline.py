"""What a run did over time: kept in few bytes, joined without losing a request."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.timeline import (
    Interval,
    IntervalTotals,
    Pause,
    QuotaWindow,
    counted_latencies,
    fewer_intervals,
    fullest_windows,
    joined_pauses,
    percentile,
    read_interval,
    spell_interval,
    windows_of,
)

WHOLE = Interval(
    1000.5,
    5.0,
    IntervalTotals(100, 3, 2, 95, 1),
    limit=2000.0,
    pace=1900.25,
    per=60.0,
    latencies={0: 90, 8: 7},
    pauses=(Pause("throttled", 1001.0, 2.0), Pause("outage", 1004.0, 1.5)),
    windows=(QuotaWindow(1002.0, 90, 100), QuotaWindow(1060.0, 10, 100, 3)),
)


def minutes(count: int, *, since: float = 0.0) -> list[Interval]:
    """Return intervals of a minute, of which each has sent as many requests as its number."""
    return [Interval(since + 60.0 * n, 60.0, IntervalTotals(n, 0, 0, n, 0), latencies={n % 7: n}) for n in range(count)]


def test_an_interval_is_read_as_it_was_written() -> None:
    assert read_interval(spell_interval(WHOLE)) == WHOLE


@pytest.mark.parametrize("text", [b"", b"[]", b'{"at":1}', spell_interval(WHOLE).replace(b'"t"', b'"?"')])
def test_what_another_version_wrote_is_no_interval(text: bytes) -> None:
    assert read_interval(text) is None


@given(st.lists(st.floats(0.0005, 300.0), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_exact_to_five_percent(latencies: list[float], share: float) -> None:
    exact = sorted(latencies)[max(0, math.ceil(share * len(latencies)) - 1)]

    found = percentile(counted_latencies(latencies), share)

    assert found is not None
    assert abs(found / exact - 1) <= 0.05


def test_without_a_reply_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None


@given(st.integers(1, 500), st.integers(1, 50))
def test_fewer_intervals_have_the_same_totals_and_latencies(count: int, most: int) -> None:
    intervals = minutes(count)

    fewer = fewer_intervals(intervals, most)

    assert len(fewer) <= 2 * most
    assert sum(one.totals.requests for one in fewer) == sum(one.totals.requests for one in intervals)
    assert sum(sum(one.latencies.values()) for one in fewer) == sum(sum(one.latencies.values()) for one in intervals)
    assert (fewer[0].at, fewer[-1].end) == (intervals[0].at, intervals[-1].end)


def test_intervals_of_two_sessions_are_not_joined() -> None:
    fewer = fewer_intervals([*minutes(10), *minutes(10, since=86400.0)], 2)

    assert [(one.at, one.end) for one in fewer] == [(0.0, 600.0), (86400.0, 87000.0)]


def test_pauses_that_follow_each_other_are_one() -> None:
    pauses = [Pause("outage", 10.0, 5.0), Pause("outage", 15.1, 5.0), Pause("throttled", 20.1, 1.0)]

    outage, throttled = joined_pauses(pauses)
    assert (outage.kind, outage.at, round(outage.seconds, 3)) == ("outage", 10.0, 10.1)
    assert throttled == Pause("throttled", 20.1, 1.0)


def test_a_window_that_two_intervals_saw_is_one_as_full_as_it_got() -> None:
    seen = [
        Interval(0.0, 5.0, windows=(QuotaWindow(10.0, 40, 100),)),
        Interval(5.0, 5.0, windows=(QuotaWindow(10.0, 90, 100), QuotaWindow(20.0, 1, 100))),
    ]

    assert windows_of(seen) == [QuotaWindow(10.0, 90, 100), QuotaWindow(20.0, 1, 100)]


def test_the_fullest_windows_stand_for_all() -> None:
    windows = [QuotaWindow(float(n), 100 if n == 70 else n % 50, 100) for n in range(100)]

    shown = fullest_windows(windows, 10)

    assert (len(shown), sum(one.windows for one in shown)) == (10, 100)
    assert max(shown, key=lambda one: one.used) == QuotaWindow(70.0, 100, 100, 10)
