"""Estimate the limit of a service whose replies do not state it, from what it accepts before it throttles."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from uploader.rate.rate_within_limit import Pace

_SAMPLES: Final = 100
"""A window is counted in this many parts."""

_LEAST_RESERVE: Final = 0.05
"""When the service throttles again, the estimate falls by at least this part."""

_LEAST_FALL: Final = 0.01
_LOWEST: Final = 0.4
"""An estimate is at least this part of what the last window accepted; a lower one makes no sense."""


@dataclass(frozen=True, slots=True)
class _Throttled:
    """The service throttled us *at* a time, after the last window had *accepted* so many requests."""

    at: float
    accepted: int


class EstimatedLimit:
    """Learn the limit from the second throttled reply on; times are monotonic seconds.

    Other clients may have caused the first one. At the second, the estimate is what the last window accepted. That is
    too much where the service's window began in the middle of ours. Then the service throttles again, and two throttled
    replies at different rates give the limit: a window of limit L is full L / rate seconds after it began.
    """

    def __init__(self, *, requests: int, per: float, share: float) -> None:
        """Start with the configured limit of *requests* in *per* seconds, and our *share* of it."""
        self._per = per
        self._reserve = max(1 - share, _LEAST_RESERVE)
        self.requests = requests
        """How many requests the service accepts in a window, as far as is known."""
        self._counts: deque[tuple[float, int]] = deque()
        self._last: _Throttled | None = None
        self._is_lowered = False
        self._ignored_until = -math.inf

    def add_accepted(self, now: float, counted: int) -> None:
        """Record that the service accepted a request; *counted* is how many it has accepted in all."""
        if not self._counts or now - self._counts[-1][0] >= self._per / _SAMPLES:
            self._counts.append((now, counted))
            while len(self._counts) > 1 and self._counts[1][0] <= now - self._per:
                self._counts.popleft()

    def add_throttled(self, now: float, counted: int, *, sent: float) -> bool:
        """Record that a request *sent* at that time was throttled; return whether the estimate is lower now."""
        if sent <= self._ignored_until:
            # It was in flight when the service throttled the one before.
            return False
        self._ignored_until = now
        before = self._counts[0][1] if self._counts else counted
        throttled, last = _Throttled(now, counted - before), self._last
        self._last = throttled
        self._counts.clear()
        self._counts.append((now, counted))
        if last is None or not throttled.accepted:
            return False
        found = self._estimate(throttled, last)
        if found >= self.requests:
            return False
        self.requests = found
        self._is_lowered = True
        return True

    def _estimate(self, throttled: _Throttled, last: _Throttled) -> int:
        if not self._is_lowered:
            return throttled.accepted
        most = throttled.accepted * (1 - self._reserve)
        if throttled.accepted >= last.accepted * (1 - _LEAST_FALL):
            return max(1, int(most))
        over = (throttled.at - last.at) % self._per
        limit = over / (self._per / throttled.accepted - self._per / last.accepted)
        return max(1, int(limit if _LOWEST * throttled.accepted <= limit <= most else most))


class LearnedPace:
    """The pace of a run: lower than at first once the service turns out to take less than the configured limit."""

    def __init__(self, pace: Pace, estimated_limit: EstimatedLimit | None) -> None:
        """Start with *pace*; *estimated_limit* learns the real limit, unless it is None."""
        self.now = pace
        self._estimated_limit = estimated_limit
        self._throttled = 0

    def add_reply(self, now: float, counted: int, *, sent: float, refused: bool) -> int | None:
        """Learn from a reply that does not state the window; return the limit if it turns out to be lower than before.

        *counted* is how many requests have arrived, and *refused* whether this one, *sent* then, was throttled.
        """
        estimated_limit = self._estimated_limit
        if estimated_limit is None:
            return None
        self._throttled += refused
        if not refused:
            estimated_limit.add_accepted(now, counted - self._throttled)
            return None
        before = estimated_limit.requests
        if not estimated_limit.add_throttled(now, counted - self._throttled, sent=sent):
            return None
        self.now = self.now.scaled(estimated_limit.requests / before)
        return estimated_limit.requests
