"""Count requests in fixed windows, and refuse those over the limit."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """The window that counted a request: its number, its start and reset (seconds since 1970), the requests left."""

    window: int
    start: float
    reset: float
    remaining: int
    over: bool = False


class Windows:
    """Assign every request to its window; times are seconds since 1970 and never step back."""

    def __init__(self, limit: int, per: float, anchor: float | None) -> None:
        """Allow *limit* requests in each window of *per* seconds; *anchor* None: the first request opens a window."""
        self._limit = limit
        self._per = per
        self._anchor = anchor
        self._number = 0
        self._start: float | None = None
        self._used = 0

    def arrive(self, now: float) -> WindowPlace:
        """Count one request that arrives at *now*."""
        start = self._roll(now)
        self._used += 1
        return self._place(start)

    def use_up(self, now: float, requests: int) -> None:
        """Count *requests* of another client at *now*."""
        self._roll(now)
        self._used += requests

    def lock(self, now: float) -> WindowPlace:
        """Exceed the limit at *now*: no request is accepted until the reset."""
        start = self._roll(now)
        self._used = max(self._used, self._limit + 1)
        return replace(self._place(start), over=True)

    def _place(self, start: float) -> WindowPlace:
        left = self._limit - self._used
        return WindowPlace(self._number, start, start + self._per, max(left, 0), over=left < 0)

    def _roll(self, now: float) -> float:
        if self._start is not None and now < self._start + self._per:
            return self._start
        self._used = 0
        if self._anchor is None:
            self._number += 1
            self._start = now
        else:
            self._number = math.floor((now - self._anchor) / self._per)
            self._start = self._anchor + self._number * self._per
        return self._start
