from hypothesis import given
from hypothesis import strategies as st

from uploader.sandbox.rate_limit import WindowPlace, Windows

QUARTERS = st.integers(0, 4_000).map(lambda number: number / 4)


def test_windows_start_at_multiples_of_their_length() -> None:
    windows = Windows(limit=2, per=10, anchor=0)

    places = [windows.arrive(now) for now in (17.0, 19.5, 20.0, 41.0)]

    assert places == [
        WindowPlace(1, 10.0, 20.0, 1),
        WindowPlace(1, 10.0, 20.0, 0),
        WindowPlace(2, 20.0, 30.0, 1),
        WindowPlace(4, 40.0, 50.0, 1),
    ]


def test_an_anchor_moves_the_starts() -> None:
    windows = Windows(limit=2, per=10, anchor=3.5)

    places = [windows.arrive(now) for now in (13.25, 13.5)]

    assert places == [WindowPlace(0, 3.5, 13.5, 1), WindowPlace(1, 13.5, 23.5, 1)]


def test_without_an_anchor_the_first_request_opens_a_window() -> None:
    windows = Windows(limit=2, per=10, anchor=None)

    places = [windows.arrive(now) for now in (17.25, 27.0, 27.25, 40.0)]

    assert places == [
        WindowPlace(1, 17.25, 27.25, 1),
        WindowPlace(1, 17.25, 27.25, 0),
        WindowPlace(2, 27.25, 37.25, 1),
        WindowPlace(3, 40.0, 50.0, 1),
    ]


def test_whoever_exceeds_the_limit_is_locked_out_until_the_reset() -> None:
    windows = Windows(limit=1, per=10, anchor=0)

    over = [windows.arrive(now).over for now in (0.0, 1.0, 9.75, 10.0)]

    assert over == [False, True, True, False]


def test_a_burnt_quota_is_gone_until_the_reset() -> None:
    windows = Windows(limit=3, per=10, anchor=None)

    windows.use_up(5.0, 2)

    assert [windows.arrive(now) for now in (6.0, 7.0, 15.0)] == [
        WindowPlace(1, 5.0, 15.0, 0),
        WindowPlace(1, 5.0, 15.0, 0, over=True),
        WindowPlace(2, 15.0, 25.0, 2),
    ]


def test_a_lock_lets_nobody_in_until_the_reset() -> None:
    windows = Windows(limit=3, per=10, anchor=0)

    locked = windows.lock(1.0)

    assert locked == WindowPlace(0, 0.0, 10.0, 0, over=True)
    assert [windows.arrive(now).over for now in (2.0, 10.0)] == [True, False]


def test_a_limit_of_nothing_refuses_everything() -> None:
    assert Windows(limit=0, per=10, anchor=0).arrive(1.0).over


@given(st.lists(QUARTERS).map(sorted), st.sampled_from([0.0, 1.5, -2.25, None]), st.integers(0, 5))
def test_no_window_accepts_more_than_the_limit_and_each_holds_its_requests(
    times: list[float], anchor: float | None, limit: int
) -> None:
    windows = Windows(limit, per=8, anchor=anchor)

    places = [windows.arrive(now) for now in times]

    accepted = [place.start for place in places if not place.over]
    assert all(accepted.count(start) <= limit for start in accepted)
    assert all(place.start <= now < place.reset for place, now in zip(places, times, strict=True))
