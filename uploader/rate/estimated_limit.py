"""Find the limit of a service that tells nothing of its window, by what it took before it refused."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

_SAMPLES: Final = 100
"""A window is counted in so many parts."""

_LEAST_RESERVE: Final = 0.05
"""A limit that was refused again is believed to be lower by this part at least."""

_LEAST_FALL: Final = 0.01
_LOWEST: Final = 0.4
"""A window that was entered in its middle takes at least this part of what the fastest one takes."""


@dataclass(frozen=True, slots=True)
class _Throttled:
    """The service refused *at* a time, when the last window had taken so many requests."""

    at: float
    accepted: int


class EstimatedLimit:
    """Learn the limit from the second refusal on; times are monotonic seconds.

    A first refusal may be anybody's doing. At the second, the limit is taken to be what the last window took. That is
    too much where the service's window began in the middle of ours. Then the service refuses again, and two refusals
    at different rates tell the limit: a window of limit L is full L / rate seconds after it began.
    """

    def __init__(self, *, requests: int, per: float, share: float) -> None:
        """Begin with the configured limit of *requests* in *per* seconds, and the *share* of it that is ours."""
        self._per = per
        self._reserve = max(1 - share, _LEAST_RESERVE)
        self.requests = requests
        """What the service takes in a window, as far as is known."""
        self._counts: deque[tuple[float, int]] = deque()
        self._last: _Throttled | None = None
        self._is_lowered = False
        self._ignored_until = -math.inf

    def add_accepted(self, now: float, counted: int) -> None:
        """Take note that the service took a request, and *counted* in all (never falling)."""
        if not self._counts or now - self._counts[-1][0] >= self._per / _SAMPLES:
            self._counts.append((now, counted))
            while len(self._counts) > 1 and self._counts[1][0] <= now - self._per:
                self._counts.popleft()

    def add_throttled(self, now: float, counted: int, *, sent: float) -> bool:
        """Take note that a request that was *sent* then was refused; return whether the limit is believed lower now."""
        if sent <= self._ignored_until:
            # It was in flight when the service refused the one before.
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
