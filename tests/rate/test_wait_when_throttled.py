"""How long everybody holds after a limit reply."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.model import WindowState
from uploader.rate import pause_after_throttling

RESET = 1_719_397_769.0


@pytest.mark.parametrize(
    ("window", "now", "seconds"),
    [
        (WindowState(), RESET, 60.0),
        (WindowState(period=10.0), RESET, 10.0),
        (WindowState(period=0.0), RESET, 60.0),
        (WindowState(retry_after=7.0), RESET, 7.0),
        (WindowState(retry_after=600.0, reset=RESET, date=RESET - 5), RESET, 600.0),
        (WindowState(retry_after=0.0), RESET, 1.0),
        (WindowState(retry_after=-3.0), RESET, 60.0),
        (WindowState(reset=RESET), RESET - 12.5, 12.5),
        (WindowState(reset=RESET, date=RESET - 12), RESET + 5000, 12.0),
        (WindowState(reset=RESET, date=RESET - 12), RESET - 5000, 12.0),
        (WindowState(reset=RESET, date=RESET), RESET - 30, 1.0),
        (WindowState(reset=RESET), RESET + 0.9, 1.0),
        (WindowState(reset=RESET), RESET + 1.0, 60.0),
        (WindowState(reset=RESET), RESET - 61.0, 61.0),
        (WindowState(reset=RESET), RESET - 61.5, 60.0),
        (WindowState(reset=RESET, period=10.0), RESET - 11.0, 11.0),
        (WindowState(reset=RESET, period=10.0), RESET - 12.0, 10.0),
        (WindowState(reset=0.0), RESET, 60.0),
        (WindowState(remaining=0, reset=RESET, date=RESET - 3, period=60.0), RESET, 3.0),
    ],
)
def test_everybody_holds_until_the_reset_if_it_makes_sense_else_for_a_window(
    window: WindowState, now: float, seconds: float
) -> None:
    assert pause_after_throttling(window, per=60.0, now=now) == seconds


MOMENTS = st.none() | st.floats(-1e12, 1e12)


@given(
    st.builds(
        WindowState,
        period=st.none() | st.floats(0, 1e6),
        remaining=st.none() | st.integers(0, 10),
        reset=MOMENTS,
        date=MOMENTS,
    ),
    st.floats(0.001, 1e6),
    st.floats(0, 1e10),
)
def test_a_hold_always_ends_a_second_after_the_longest_window_at_the_latest(
    window: WindowState, per: float, now: float
) -> None:
    assert 0 < pause_after_throttling(window, per=per, now=now) <= max(window.period or per, 1.0) + 1
