"""Detect other clients of the same quota, and estimate how much they use."""

import math
from dataclasses import dataclass
from typing import Final

_SMOOTHING: Final = 3.0
"""The use of others is averaged over this many samples, so that a rise shows at once …"""

_LULLS: Final = 4
"""… and over this fraction of the window as well, so that a lull of theirs frees nothing."""

_NOTICED: Final = 0.03
"""Others count once they use more than this part of the limit in a window."""


@dataclass(frozen=True, slots=True)
class OtherClients:
    """How much other clients use of the same quota, in requests a minute."""

    per_minute: float


@dataclass(frozen=True, slots=True)
class WindowUse:
    """How much of the window was gone *at* a time: *used* by all, *counted* as ours, *in_flight* maybe ours as well."""

    at: float
    used: int
    counted: int
    in_flight: int

    def others_since(self, before: "WindowUse") -> int:
        """Return how many requests others made since *before*; those in flight make it uncertain."""
        return (self.used - before.used) - (self.counted - before.counted)

    def others_for_certain_since(self, before: "WindowUse") -> int:
        """Return how many requests others made since *before* at least."""
        return self.others_since(before) - self.in_flight - before.in_flight


class OthersUse:
    """Estimates how much others use: what is gone, less what we sent."""

    def __init__(self, limit: int) -> None:
        """Expect no others yet; what is too small a part of *limit* may be chance, and does not count."""
        self.learn_limit(limit)
        self._first: WindowUse | None = None
        self._last: WindowUse | None = None
        self._quick = self._slow = 0.0
        self.rate = 0.0
        """How many requests a second others make."""
        self.is_seen = False
        """Whether others use some of the quota, for certain."""
        self.seen_at = -math.inf
        """When the last sample was taken."""

    def learn_limit(self, limit: int) -> None:
        """Take *limit* as the service's limit."""
        self._noticed = _NOTICED * limit

    def believed(self, period: float) -> float:
        """Return how many requests a second others make; 0 where that may be chance."""
        return self.rate if self.rate * period > self._noticed else 0.0

    def begin(self) -> None:
        """Start a new window: what was used before says nothing about it."""
        self._first = self._last = None
        self.seen_at = -math.inf

    def add_sample(self, used: WindowUse, *, sample: float, period: float) -> None:
        """Add a sample of what is *used*, at most once in *sample* seconds; *period* is the window's length."""
        if self._first is None or self._last is None:
            self._first = self._last = used
            self.seen_at = used.at
            return
        elapsed = used.at - self._last.at
        if elapsed < sample:
            return
        found = used.others_since(self._last) / elapsed
        self._quick += min(1.0, elapsed / sample / _SMOOTHING) * (found - self._quick)
        self._slow += min(1.0, elapsed / max(sample * _SMOOTHING, period / _LULLS)) * (found - self._slow)
        self.rate = max(self._quick, self._slow, 0.0)
        self._last = used
        self.seen_at = used.at
        self.is_seen = bool(self.believed(period)) and used.others_for_certain_since(self._first) > self._noticed
