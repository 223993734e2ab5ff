"""See that others use the same quota, and how much of it."""

import math
from dataclasses import dataclass
from typing import Final

_SMOOTHING: Final = 3.0
"""Over so many samples the use of others is averaged, so that a rise shows at once …"""

_LULLS: Final = 4
"""… and over this part of the window as well: a lull of theirs leaves nothing to take."""

_NOTICED: Final = 0.03
"""Others are believed when they use more than this part of the limit in a window."""


@dataclass(frozen=True, slots=True)
class OtherClients:
    """What others use of the same quota, in requests a minute."""

    per_minute: float


@dataclass(frozen=True, slots=True)
class WindowUse:
    """What was gone of the window *at* a time: *used* by all, *counted* for us, and maybe those *in_flight* as well."""

    at: float
    used: int
    counted: int
    in_flight: int

    def others_since(self, before: "WindowUse") -> int:
        """Return how many others used since *before*; those in flight make it uncertain."""
        return (self.used - before.used) - (self.counted - before.counted)

    def others_for_certain_since(self, before: "WindowUse") -> int:
        """Return how many others used since *before* at least."""
        return self.others_since(before) - self.in_flight - before.in_flight


class OthersUse:
    """Estimate how much others use: what is gone, less what we sent."""

    def __init__(self, limit: int) -> None:
        """Expect no others yet; who uses less of *limit* in a window than chance may explain is not believed in."""
        self.learn_limit(limit)
        self._first: WindowUse | None = None
        self._last: WindowUse | None = None
        self._quick = self._slow = 0.0
        self.is_seen = False
        """Whether others use some of the quota, for certain."""
        self.seen_at = -math.inf
        """When the last sample was taken."""

    def learn_limit(self, limit: int) -> None:
        """Take *limit* for the service's own."""
        self._noticed = _NOTICED * limit

    @property
    def rate(self) -> float:
        """How many requests a second others make."""
        return max(self._quick, self._slow, 0.0)

    def believed(self, period: float) -> float:
        """Return the rate of others a second, 0 where it may be chance."""
        return self.rate if self.rate * period > self._noticed else 0.0

    def begin(self) -> None:
        """Begin a new window: what was used before says nothing of it."""
        self._first = self._last = None
        self.seen_at = -math.inf

    def add_sample(self, used: WindowUse, *, sample: float, period: float) -> None:
        """Take a sample of what is *used*, once in so many seconds."""
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
        self._last = used
        self.seen_at = used.at
        self.is_seen = bool(self.believed(period)) and used.others_for_certain_since(self._first) > self._noticed
