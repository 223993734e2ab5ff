"""Learn from the replies what the service's request window really is, and what of it is left."""

import math
from typing import Final

from uploader.model import WindowState
from uploader.rate.other_clients import OtherClients, OthersUse, WindowUse

_PROOFS: Final = 8
"""So many replies of one window must fit together before its state is believed."""

_SLACK: Final = 20
"""Of so many replies one may repeat what another one said: gateways count approximately."""

_WHOLE_SECOND: Final = 1.0
_MILLISECOND: Final = 0.001
_OFTEN: Final = 30
_SAMPLES: Final = 4
"""A window has so many samples at least, however short it is."""

_LEAST_SAMPLE: Final = 0.5
_LONGEST_SAMPLE: Final = 1.0
_RECHECK_SECONDS: Final = 0.02
_PROBE_SAMPLES: Final = 2.0
"""While others leave no room, one request goes in so many samples, to see whether they have stopped."""

_CAUTION: Final = 1.1
"""Others are expected to use so many times what they used of late."""

_CATCH_UP: Final = 1.15
"""In a window that has more room than the even pace would use, it may be so many times as fast."""


class ServerWindow:
    """The service's request window by our own monotonic clock, as far as its replies tell (`api.md`, Request limits).

    What a reply says is believed only after several replies of one window fit together: `remaining` falls at least as
    fast as we send, and `reset` stays until the window is over. As long as nothing is believed, `wait` never holds.
    Everything is relative to the reply's own `Date`, so that no clock need be right.

    States: untrusted, where replies are counted until enough of them agree; trusted; rolled over, where the window has
    ended and no reply tells of the next one yet; and sliding, where it is never trusted again.
    """

    def __init__(self, *, requests: int, per: float, share: float) -> None:
        """Begin with the configured limit of *requests* in *per* seconds, and the *share* of it that is ours."""
        self._limit = requests
        self._share = share
        self._even = requests * share / per
        self._real_limit = requests
        # How much of the limit this window has shown, and the one before; whether this one was seen from its begin.
        self._shown = self._shown_before = 0
        self._is_whole = self._is_fresh = False
        self._configured = self._period = per
        self._reset: float | None = None
        self._left = requests
        self._most = requests
        self._agreeing = 0
        self._without_state = 0
        self._ends = math.inf
        self._rolled_at: float | None = None
        self.is_trusted = False
        """Whether the replies tell the window's state, as far as can be seen."""
        self._slides = False
        self._proven = False
        self._state_at = -math.inf
        self._clock_offset = _ClockOffset()
        self._others = OthersUse(requests)
        self._sample = _sample_of(per)
        self._last_state: tuple[float | None, float, float | None] | None = None
        self._is_plausible = False

    @property
    def period(self) -> float:
        """The window's length in seconds: the one that the service names, else the configured one."""
        return self._period

    @property
    def others(self) -> OtherClients | None:
        """What others use of the quota; None where nobody else is seen."""
        return OtherClients(self._others.rate * 60) if self._others.is_seen else None

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
        """Learn from the reply to a request that was *sent* then and whose reply was *received* then.

        *counted* is how many requests of this machine have arrived for certain, and never falls; those *in_flight* may
        have arrived as well.
        """
        # As long as no reply tells what is left, each may have taken one of it.
        self._without_state += 1
        if state.remaining is None or state.reset is None or self._slides:
            return
        self._clock_offset.add_date(state.date, sent=sent, received=received)
        stated = state.period, state.reset, state.date
        if stated != self._last_state:
            # What so many replies of one second say alike is weighed once.
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
            # Where nothing is left it can't be seen how much more was asked for.
            gone = WindowUse(received, self._limit - self._left, counted, in_flight)
            self._others.add_sample(gone, sample=self._sample, period=self._period)

    def wait(self, now: float, *, in_flight: int) -> float:
        """Return how many seconds nobody may go; 0 where the window has room for one more.

        *in_flight* are the requests that may not have been counted by the service when it told what is left.
        """
        if not self.is_trusted:
            return 0.0
        if now >= self._ends:
            self._roll(now)
        room = self._room(in_flight)
        if room < 1:
            return self._ends - now
        if room - self._expected(now) >= 1:
            return 0.0
        looks_at = self._state_at + _PROBE_SAMPLES * self._sample
        if now >= looks_at and not in_flight:
            return 0.0
        return max(min(self._ends, looks_at) - now, _RECHECK_SECONDS)

    def rate(self, now: float, *, in_flight: int, otherwise: float) -> float:
        """Return how many requests a second may go: evenly what is ours of the window, or *otherwise* if in doubt.

        Where a window is known to have room left that the even pace would not use, it may be a little more.
        """
        if not self.is_trusted or self._rolled_at is not None:
            return otherwise
        left = self._ends - now
        if not self._proven or left <= 0:
            return self._even
        room = self._room(in_flight) - self._expected(now)
        return min(max(room / left, self._even), self._even * _CATCH_UP)

    def until_reset(self, now: float) -> float | None:
        """Return in how many seconds the window is over for certain; None where that is not known."""
        return None if math.isinf(self._ends) or self._slides or now >= self._ends else self._ends - now

    def _room(self, in_flight: int) -> float:
        return self._left - self._without_state - in_flight - (1 - self._share) * self._real_limit

    def _expected(self, now: float) -> float:
        """Return what must be left to others and to looking after them until the window is over."""
        rate = self._others.believed(self._period)
        if not rate:
            return 0.0
        return (rate * _CAUTION + 1 / (_PROBE_SAMPLES * self._sample)) * (self._ends - now)

    def _learn_period(self, period: float | None, left: float | None) -> bool:
        """Learn the window's length; return whether the seconds that are *left* of the window make sense.

        A length that is shorter than what is left of it is a lie; the configured one serves, then.
        """
        stated = self._configured if period is None else period
        if left is not None and left > stated + _WHOLE_SECOND:
            stated = self._configured
        if stated != self._period:
            self._period, self._sample = stated, _sample_of(stated)
        return left is None or -_WHOLE_SECOND <= left <= stated + _WHOLE_SECOND

    def _learn_limit(self, in_flight: int) -> None:
        """Learn the limit from the most that this window, or the one before, has shown to be left.

        Those in flight may be missing in it: within that doubt the configured limit is believed.
        """
        self._shown = max(self._shown, self._most + 1)
        shown = max(self._shown, self._shown_before)
        found = self._limit if shown <= self._limit <= shown + in_flight else shown
        if found != self._real_limit:
            self._real_limit = found
            self._others.learn_limit(found)
        if self._proven:
            # A first window may be one that slides: what it shows to be left is what an earlier run has left of it.
            self._even = min(found, self._limit) * self._share / self._configured

    def _is_of_this_window(self, remaining: int, reset: float, *, sent: float, received: float) -> bool:
        """Whether a reply speaks of the present window, which it may begin."""
        before = self._reset
        if before is None or reset > before:
            if before is not None and reset - before <= self._period - _WHOLE_SECOND:
                # A reset that moves on while its window lasts is no reset: the limit slides, or the header lies.
                self._slides, self.is_trusted = True, False
                return False
            self._begin(remaining, reset, received)
        elif reset < before:
            return False
        elif self._rolled_at is not None and sent > self._rolled_at:
            # The window that was thought to be over goes on: whoever said so was early.
            self._rolled_at = None
            self._left = remaining
            self._ends = received + self._sample
        return self._rolled_at is None

    def _begin(self, remaining: int, reset: float, received: float) -> None:
        """Begin a new window: it ends a period after its first reply came, at the latest, and by its own reset."""
        if self._reset is not None:
            self._proven = True
        whole = reset == int(reset)
        latest = reset + (_WHOLE_SECOND if whole else _MILLISECOND)
        known = self._clock_offset.earliest(latest)
        self._ends = min(received + self._period, received + self._period if known is None else max(known, received))
        self._reset = reset
        self._rolled_at = None
        self._left = self._most = remaining
        self._shown, self._shown_before = 0, self._shown
        # Of a window that was entered late nobody knows what others have used.
        self._is_whole = self._proven or self._is_fresh
        self._agreeing = 0
        self._others.begin()

    def _judge(self) -> None:
        """Believe the state when it falls with every request, and no more when it does not."""
        fallen = self._most - self._left
        if fallen + 1 + self._agreeing // _SLACK < self._agreeing:
            self.is_trusted = False
        elif self._agreeing >= _PROOFS and self._period >= _WHOLE_SECOND:
            self.is_trusted = True

    def _roll(self, now: float) -> None:
        """Take the window to be over, without a reply of the next one yet; two of them end the trust."""
        if self._rolled_at is not None:
            self.is_trusted = False
        self._rolled_at = now
        self._ends = now + self._period
        self._left = self._most = min(self._limit, self._real_limit)
        self._agreeing = self._without_state = 0
        self._others.begin()


def _sample_of(period: float) -> float:
    """Return how many seconds lie between two looks at what others use of a window of this *period*."""
    return min(max(period / _OFTEN, _LEAST_SAMPLE), _LONGEST_SAMPLE, period / _SAMPLES)


class _ClockOffset:
    """Bound how far the service's clock is ahead of ours, from the dates of its replies, which show whole seconds."""

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
        """Return a time of our clock by which the service's shows *moment* for certain; None if nothing is known."""
        return None if math.isinf(self._least) else moment - self._least
