"""Learn from the replies what the service's request window is, and what is left of it."""

import math
from collections import deque
from typing import Final

from uploader.model import WindowState
from uploader.rate.other_clients import OtherClients, OthersUse, WindowUse
from uploader.timeline import QuotaWindow

_MOST_ENDED: Final = 1000
"""So many ended windows are kept until they are taken; of more, the latest."""

_PROOFS: Final = 8
"""This many replies of one window must agree before its state is trusted."""

_SLACK: Final = 20
"""One in this many replies may repeat what another one said: gateways count approximately."""

_WHOLE_SECOND: Final = 1.0
_MILLISECOND: Final = 0.001
_OFTEN: Final = 30
_SAMPLES: Final = 4
"""A window has at least this many samples, however short it is."""

_LEAST_SAMPLE: Final = 0.5
_LONGEST_SAMPLE: Final = 1.0
_RECHECK_SECONDS: Final = 0.02
_PROBE_SAMPLES: Final = 2.0
"""While others leave no room, one request is sent in this many samples, to see whether they have stopped."""

_CAUTION: Final = 1.1
"""Others are expected to use this many times what they used of late."""

_CATCH_UP: Final = 1.15
"""In a window with more room than the even pace uses, the rate may be this many times as high."""


class ServerWindow:
    """The service's request window by our own monotonic clock, as far as its replies state it.

    The source is `api.md`, Request limits. A window is trusted only after several of its replies agree: `remaining`
    falls at least as fast as we send, and `reset` stays until the window is over. Until then, `wait` is always 0. All
    times are relative to the reply's own `Date`, so that no clock need be right.

    States: untrusted, where replies are counted until enough of them agree; trusted; rolled over, where the window has
    ended and no reply of the next one has come yet; and sliding, where it is never trusted again.
    """

    def __init__(self, *, requests: int, per: float, share: float) -> None:
        """Start with the configured limit of *requests* in *per* seconds, and our *share* of it."""
        self._limit = requests
        self._share = share
        self._even = requests * share / per
        self._real_limit = requests
        # How much of the limit this window has shown, and the one before; whether this one was seen from its start.
        self._shown = self._shown_before = 0
        self._is_whole = self._is_fresh = False
        self.configured = self._period = per
        """The configured length of the window, in seconds."""
        self._reset: float | None = None
        self._left = requests
        self._most = requests
        self._agreeing = 0
        self._without_state = 0
        self._ends = math.inf
        self._rolled_at: float | None = None
        self.is_trusted = False
        """Whether the replies state the window, as far as can be seen."""
        self.others: OtherClients | None = None
        """What others use of the quota; None where no others are seen."""
        self._slides = False
        self._proven = False
        self._state_at = -math.inf
        self._clock_offset = _ClockOffset()
        self._others = OthersUse(requests)
        self._sample = _sample_of(per)
        self._last_state: tuple[float | None, float, float | None] | None = None
        self._is_plausible = False
        self._ended_windows: deque[QuotaWindow] = deque(maxlen=_MOST_ENDED)

    def take_windows(self) -> list[QuotaWindow]:
        """Return the windows that have ended since the last call, and the present one as it is now.

        There are none where the replies do not state the window, or where it slides.
        """
        present = self._present_window()
        taken = [*self._ended_windows, *([] if present is None else [present])]
        self._ended_windows.clear()
        return [] if self._slides else taken

    def _present_window(self) -> QuotaWindow | None:
        if self._reset is None or self._rolled_at is not None:
            return None
        return QuotaWindow(self._reset, max(0, self._real_limit - self._left), self._real_limit)

    def add_reply(  # noqa: PLR0913 — what a reply says, and all that is known of its request
        self,
        state: WindowState,
        *,
        sent: float,
        received: float,
        counted: int,
        in_flight: int = 0,
        accepted: bool = True,
    ) -> None:
        """Learn from a reply: its request was *sent*, and the reply *received*, at these times.

        *counted* is how many requests of this machine have arrived for certain, and never falls; those *in_flight* may
        have arrived as well.
        """
        # Until a reply states what is left, each may have used one of it.
        self._without_state += 1
        if state.remaining is None or state.reset is None or self._slides:
            return
        self._clock_offset.add_date(state.date, sent=sent, received=received)
        stated = state.period, state.reset, state.date
        if stated != self._last_state:
            # Many replies of one second say the same: that is judged once.
            self._last_state = stated
            self._is_plausible = self._learn_period(
                state.period, None if state.date is None else state.reset - state.date
            )
        if not self._is_plausible:
            self._agreeing, self.is_trusted = 0, False
            return
        self._state_at = received
        # A reply of the second in which its window began, by the service's clock.
        self._is_fresh = state.date is not None and state.reset - state.date >= self._period
        continues = state.reset == self._reset and self._rolled_at is None
        if not continues and not self._is_of_this_window(state.remaining, state.reset, sent=sent, received=received):
            return
        self._without_state = 0
        self._left = min(self._left, state.remaining)
        self._most = max(self._most, state.remaining)
        if self._is_whole:
            self._learn_limit(in_flight)
        if accepted:
            self._agreeing += 1
            self._judge()
        if self._left and received - self._others.seen_at >= self._sample:
            # Where nothing is left, what others still ask for can't be seen.
            gone = WindowUse(received, self._limit - self._left, counted, in_flight)
            self._others.add_sample(gone, sample=self._sample, period=self._period)
            self.others = OtherClients(self._others.rate * 60) if self._others.is_seen else None

    def wait(self, now: float, *, in_flight: int) -> float:
        """Return for how many seconds to send nothing; 0 where the window has room for one more.

        *in_flight* are the requests that the service may not have counted yet when it stated what is left.
        """
        if not self.is_trusted:
            return 0.0
        if now >= self._ends:
            self._roll(now)
        room = self._room(in_flight)
        if room < 1:
            return self._ends - now
        if not self._others.rate or room - self._expected(now) >= 1:
            return 0.0
        looks_at = self._state_at + _PROBE_SAMPLES * self._sample
        if now >= looks_at and not in_flight:
            return 0.0
        return max(min(self._ends, looks_at) - now, _RECHECK_SECONDS)

    def rate(self, now: float, *, in_flight: int, otherwise: float) -> float:
        """Return how many requests a second to send: our part of the window, evenly; *otherwise* where it is unknown.

        Where a window has room left that the even pace would not use, it may be a little more.
        """
        if not self.is_trusted or self._rolled_at is not None:
            return otherwise
        left = self._ends - now
        if not self._proven or left <= 0:
            return self._even
        room = self._room(in_flight) - self._expected(now)
        return min(max(room / left, self._even), self._even * _CATCH_UP)

    def until_reset(self, now: float) -> float | None:
        """Return in how many seconds the window is certainly over; None where that is not known."""
        return None if math.isinf(self._ends) or self._slides or now >= self._ends else self._ends - now

    def _room(self, in_flight: int) -> float:
        return self._left - self._without_state - in_flight - (1 - self._share) * self._real_limit

    def _expected(self, now: float) -> float:
        """Return how many requests to leave to others, and to the probes that watch them, until the window is over."""
        rate = self._others.rate and self._others.believed(self._period)
        if not rate:
            return 0.0
        return (rate * _CAUTION + 1 / (_PROBE_SAMPLES * self._sample)) * (self._ends - now)

    def _learn_period(self, period: float | None, left: float | None) -> bool:
        """Learn the window's length; return whether the seconds that are *left* of the window make sense.

        A stated length that is shorter than what is left is wrong; then the configured one is used.
        """
        stated = self.configured if period is None else period
        if left is not None and left > stated + _WHOLE_SECOND:
            stated = self.configured
        if stated != self._period:
            self._period, self._sample = stated, _sample_of(stated)
        return left is None or -_WHOLE_SECOND <= left <= stated + _WHOLE_SECOND

    def _learn_limit(self, in_flight: int) -> None:
        """Learn the limit from the most that this window, or the one before, has stated as left.

        Requests in flight may be missing from it: within that margin the configured limit is kept.
        """
        self._shown = max(self._shown, self._most + 1)
        shown = max(self._shown, self._shown_before)
        found = self._limit if shown <= self._limit <= shown + in_flight else shown
        if found != self._real_limit:
            self._real_limit = found
            self._others.learn_limit(found)
        if self._proven:
            # The first window may be sliding: then it states only what an earlier run has left.
            self._even = min(found, self._limit) * self._share / self.configured

    def _is_of_this_window(self, remaining: int, reset: float, *, sent: float, received: float) -> bool:
        """Whether a reply is about the present window, which it may start."""
        before = self._reset
        if before is None or reset > before:
            if before is not None and reset - before <= self._period - _WHOLE_SECOND:
                # A reset that moves while its window lasts is no reset: the window slides, or the header is wrong.
                self._slides, self.is_trusted = True, False
                return False
            self._begin(remaining, reset, received)
        elif reset < before:
            return False
        elif self._rolled_at is not None and sent > self._rolled_at:
            # The window that we took to be over still lasts.
            self._rolled_at = None
            self._left = remaining
            self._ends = received + self._sample
        return self._rolled_at is None

    def _begin(self, remaining: int, reset: float, received: float) -> None:
        """Start a new window: it ends by its own reset, and at the latest a period after its first reply."""
        if self._reset is not None:
            self._proven = True
            self._end_window()
        whole = reset == int(reset)
        latest = reset + (_WHOLE_SECOND if whole else _MILLISECOND)
        known = self._clock_offset.earliest(latest)
        self._ends = min(received + self._period, received + self._period if known is None else max(known, received))
        self._reset = reset
        self._rolled_at = None
        self._left = self._most = remaining
        self._shown, self._shown_before = 0, self._shown
        # In a window that we entered late, what others have used is not known.
        self._is_whole = self._proven or self._is_fresh
        self._agreeing = 0
        self._others.begin()

    def _end_window(self) -> None:
        if (ended := self._present_window()) is not None:
            self._ended_windows.append(ended)

    def _judge(self) -> None:
        """Trust the state while it falls with every request, and no more when it does not."""
        fallen = self._most - self._left
        if fallen + 1 + self._agreeing // _SLACK < self._agreeing:
            self.is_trusted = False
        elif self._agreeing >= _PROOFS and self._period >= _WHOLE_SECOND:
            self.is_trusted = True

    def _roll(self, now: float) -> None:
        """Take the window to be over before a reply of the next one; the second time in a row ends the trust."""
        if self._rolled_at is not None:
            self.is_trusted = False
        self._end_window()
        self._rolled_at = now
        self._ends = now + self._period
        # Also where that is more than the configured limit: the pace keeps to that one, and the reserve is of this one.
        self._left = self._most = self._real_limit
        self._agreeing = self._without_state = 0
        self._others.begin()


def _sample_of(period: float) -> float:
    """Return how many seconds lie between two samples of what others use, in a window of this *period*."""
    return min(max(period / _OFTEN, _LEAST_SAMPLE), _LONGEST_SAMPLE, period / _SAMPLES)


class _ClockOffset:
    """Bounds how far the service's clock is ahead of ours, by the dates of its replies, which are whole seconds."""

    def __init__(self) -> None:
        self._least = -math.inf
        self._most = math.inf

    def add_date(self, date: float | None, *, sent: float, received: float) -> None:
        if date is None:
            return
        least, most = date - received, date + _WHOLE_SECOND - sent
        self._least = max(self._least, least)
        self._most = min(self._most, most)
        if self._least > self._most:
            # The service's clock was set: what it said before is void.
            self._least, self._most = least, most

    def earliest(self, moment: float) -> float | None:
        """Return when, by our clock, the service's clock certainly shows *moment*; None if nothing is known."""
        return None if math.isinf(self._least) else moment - self._least
