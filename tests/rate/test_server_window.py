"""What a window learns from replies, and when it holds."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.model import WindowState
from uploader.rate import ServerWindow

SERVED = 1_700_000_000.0
"""What the service's clock shows at our 0."""


class Telling:
    """A window of 100 a minute with a share of 0.9, told of by replies that come at once."""

    def __init__(self, *, requests: int = 100) -> None:
        self.window = ServerWindow(requests=requests, per=60.0, share=0.9)
        self.sent = 0

    def tell(self, at: float, remaining: Iterable[int], *, reset: float = 60.0, flew: float = 0.0) -> bool:
        """Tell of *remaining* at *at* and each second after, the last reply having flown so long; whether it trusts."""
        for second, left in enumerate(remaining):
            now = at + second
            self.sent += 1
            state = WindowState(60.0, left, SERVED + reset, float(math.floor(SERVED + now)))
            self.window.add_reply(state, sent=now - flew, received=now, counted=self.sent)
        return self.window.is_trusted


def test_trust_is_earned_by_eight_replies_that_fit() -> None:
    telling = Telling()

    assert not telling.tell(1.0, range(99, 92, -1))
    assert telling.tell(8.0, [92])


@pytest.mark.parametrize("remaining", [[50] * 20, [99, 98, 97, 97, 97, 97, 97, 97, 97], range(0)])
def test_replies_that_do_not_fall_with_every_request_earn_no_trust(remaining: list[int]) -> None:
    telling = Telling()

    assert not telling.tell(1.0, remaining)
    assert telling.window.wait(10.0, in_flight=1_000) == 0.0


def test_trust_is_lost_when_what_remains_does_not_fall_any_more() -> None:
    telling = Telling()

    assert telling.tell(1.0, range(99, 89, -1))
    assert not telling.tell(11.0, [90, 90])


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (WindowState(60.0, 89, None, SERVED + 12), True),
        (WindowState(60.0, None, SERVED + 60, SERVED + 12), True),
        (WindowState(60.0, 89, SERVED + 60, SERVED + 12), True),
        (WindowState(1.0, 89, SERVED + 60, SERVED + 12), True),
        (WindowState(None, 89, SERVED + 60, None), True),
        (WindowState(60.0, 89, SERVED - 600, SERVED + 12), False),
        (WindowState(60.0, 89, SERVED + 9e9, SERVED + 12), False),
        (WindowState(60.0, 89, SERVED + 62, SERVED + 12), False),
    ],
)
def test_a_state_that_makes_no_sense_ends_the_trust(state: WindowState, kept: bool) -> None:  # noqa: FBT001 — found
    telling = Telling()
    telling.tell(1.0, range(99, 89, -1))

    telling.window.add_reply(state, sent=12.0, received=12.0, counted=11)

    assert telling.window.is_trusted is kept


def test_nobody_goes_when_what_is_left_is_in_flight_or_the_reserve() -> None:
    telling = Telling()
    telling.tell(1.0, range(28, 18, -1))

    waits = [telling.window.wait(12.0, in_flight=count) for count in (0, 8, 9, 50)]

    assert waits[:2] == [0.0, 0.0]
    # The reset is at 60, and the service's clock shows whole seconds only.
    assert all(48.0 <= seconds <= 49.01 for seconds in waits[2:])


def test_the_window_is_over_when_its_time_has_come_though_nobody_says_so() -> None:
    telling = Telling()
    telling.tell(1.0, range(19, 9, -1))

    assert telling.window.wait(59.0, in_flight=0) > 0
    assert telling.window.wait(61.0, in_flight=0) == 0.0


def test_after_an_idle_window_a_limit_far_above_the_configured_one_leaves_room_at_once() -> None:
    # Its reserve alone, a tenth of 200, is more than the configured limit.
    telling = Telling(requests=10)

    assert telling.tell(0.0, range(199, 189, -1))
    assert telling.window.wait(100.0, in_flight=0) == 0.0


def test_a_reply_of_the_next_window_begins_it() -> None:
    telling = Telling()
    telling.tell(1.0, range(19, 9, -1))

    telling.tell(60.2, [99], reset=120.0)

    assert telling.window.wait(60.3, in_flight=50) == 0.0
    assert 59.0 < (telling.window.until_reset(60.3) or 0.0) < 61.0


def test_a_late_reply_of_an_old_window_says_nothing_of_the_new() -> None:
    telling = Telling()
    telling.tell(1.0, range(19, 9, -1))
    telling.tell(60.0, [99], reset=120.0)

    telling.tell(61.0, [3, 2, 1], reset=60.0)

    assert telling.window.wait(64.0, in_flight=50) == 0.0


def test_a_window_that_was_thought_to_be_over_goes_on_when_a_reply_says_so() -> None:
    telling = Telling()
    telling.tell(1.0, range(19, 9, -1))
    assert telling.window.wait(61.1, in_flight=0) == 0.0

    telling.tell(61.5, [9], reset=60.0)

    assert 0 < telling.window.wait(61.6, in_flight=0) <= 1.0


def test_a_reset_that_moves_with_the_time_is_no_window() -> None:
    telling = Telling()
    telling.tell(1.0, range(99, 89, -1), reset=61.0)

    assert not telling.tell(12.0, [89], reset=72.0)
    assert telling.window.until_reset(12.0) is None
    assert not telling.tell(13.0, range(88, 60, -1), reset=72.0)


def test_without_trust_the_configured_rate_goes_and_with_it_what_is_ours() -> None:
    telling = Telling()
    rates = [telling.window.rate(0.0, in_flight=0, otherwise=1.25)]
    telling.tell(1.0, range(99, 89, -1))

    rates.append(telling.window.rate(11.0, in_flight=0, otherwise=1.25))

    assert rates == [1.25, pytest.approx(1.5)]


def test_a_proven_window_with_room_left_may_go_a_little_faster() -> None:
    telling = Telling()
    telling.tell(1.0, range(99, 89, -1))
    telling.tell(60.0, range(99, 89, -1), reset=120.0)

    assert telling.window.rate(100.0, in_flight=0, otherwise=1.25) == pytest.approx(1.5 * 1.15)
    assert telling.window.rate(70.0, in_flight=40, otherwise=1.25) == pytest.approx(1.5)


@given(
    anchor=st.floats(0, 60),
    skew=st.floats(-1_000, 1_000),
    latencies=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), min_size=1, max_size=30),
    begin=st.floats(0, 50),
    milliseconds=st.booleans(),
)
def test_the_reset_is_never_awaited_too_short(
    anchor: float,
    skew: float,
    latencies: list[tuple[float, float]],
    begin: float,
    milliseconds: bool,  # noqa: FBT001 — a table's column
) -> None:
    window, unit, now = ServerWindow(requests=1_000, per=60.0, share=1.0), 1000 if milliseconds else 1, begin
    last = -math.inf
    for number, (there, back) in enumerate(latencies):
        now += 0.5
        arrived = now + there
        begins = anchor + math.floor((arrived - anchor) / 60.0) * 60.0
        if begins < last:
            continue
        last = begins
        state = WindowState(
            60.0,
            900 - number,
            math.floor((SERVED + skew + begins + 60.0) * unit) / unit,
            float(math.floor(SERVED + skew + arrived)),
        )
        window.add_reply(state, sent=now, received=arrived + back, counted=number)
    received = now + there + back
    left = window.until_reset(received)

    # A microsecond is what the clock since 1970 can't show.
    assert left is None or received + left >= last + 60.0 - 1e-5


@pytest.mark.parametrize("share", [0.95, 1.0])
@pytest.mark.parametrize("gone", [WindowState(), WindowState(60.0, 50, SERVED - 60, SERVED - 100)])
def test_replies_that_tell_no_more_of_the_window_leave_the_configured_pace(gone: WindowState, share: float) -> None:
    window = ServerWindow(requests=1_000, per=60.0, share=share)
    sent = [0] * 6
    now = 0.0

    while now < 6 * 60.0:
        if (seconds := window.wait(now, in_flight=0)) > 0:
            now += seconds
            continue
        number = int(now // 60)
        sent[number] += 1
        told = WindowState(60.0, 1_000 - sent[number], SERVED + 60 * (number + 1), float(math.floor(SERVED + now)))
        window.add_reply(told if now < 100 else gone, sent=now, received=now + 0.01, counted=sum(sent))
        now += 1 / window.rate(now, in_flight=0, otherwise=10.0)

    assert all(980 * share <= count <= 1_000 * share for count in sent[:2])
    assert all(count <= 1_000 * share for count in sent)
    assert all(599 <= count <= 601 for count in sent[3:])
    assert not window.is_trusted
