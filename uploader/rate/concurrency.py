"""Bound the requests in flight by what the latency and the rate need, under a ceiling."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_LEAST: Final = 4
_MARGIN: Final = 2.0
"""The bound is this many times what the mean latency needs, because latencies differ."""

_MEMORY: Final = 0.1
"""The weight of one reply in the mean latency."""

_RECOVERED: Final = 50
"""After this many replies without local trouble the ceiling grows by one."""


@dataclass(slots=True, eq=False)
class Permit:
    """The permit of one request, granted *at* a time in monotonic seconds."""

    at: float


class ConcurrencyLimit:
    """Count the requests in flight and bound them; times are monotonic seconds.

    The bound follows the latency up and down, so that a stall can't pile up more requests than the rate needs. Local
    trouble (no sockets or files left) halves the ceiling, which then grows again one by one.
    """

    def __init__(self, ceiling: int) -> None:
        """Never let more than *ceiling* be in flight."""
        self._highest = ceiling
        self._ceiling = ceiling
        self._latency = 0.0
        self._in_flight: OrderedDict[Permit, None] = OrderedDict()
        self._since_trouble = 0
        self._reduced_at = float("-inf")
        self.count = 0
        """How many are in flight."""
        self.others = 0
        """How many the other runs of this machine may have in flight."""

    @property
    def ceiling(self) -> int:
        """How many may be in flight at most, now."""
        return self._ceiling

    def has_room(self, now: float, *, rate: float, most: int) -> bool:
        """Whether one more may be sent, at *rate* requests a second and at most *most* in flight in this process."""
        return self.count < self.bound(now, rate=rate, most=most)

    def bound(self, now: float, *, rate: float, most: int) -> int:
        """Return how many may be in flight: as many as *rate* needs at the latency so far; *most* as for `has_room`."""
        oldest = next(iter(self._in_flight), None)
        # A request that has waited longer than the mean shows that the latency grows.
        latency = self._latency if oldest is None else max(self._latency, now - oldest.at)
        return min(self._ceiling, most, max(_LEAST, int(_MARGIN * latency * rate) + 2))

    def grant(self, now: float) -> Permit:
        """Count a request that is sent *now*, and return its permit, for `release`."""
        permit = Permit(now)
        self._in_flight[permit] = None
        self.count += 1
        return permit

    def release(self, permit: Permit, now: float) -> None:
        """Take back *permit*: its request is over *now*, and no longer in flight."""
        del self._in_flight[permit]
        self.count -= 1
        latency = now - permit.at
        self._latency += _MEMORY * (latency - self._latency) if self._latency else latency
        if self._ceiling < self._highest:
            self._since_trouble = (self._since_trouble + 1) % _RECOVERED
            self._ceiling += not self._since_trouble

    def reduce(self, *, granted_at: float, now: float) -> bool:
        """Halve the ceiling: this machine had no socket or file left for a request with a permit of *granted_at*.

        Return False where the ceiling is one already. A permit from before the last halving changes nothing.
        """
        if granted_at >= self._reduced_at:
            if self._ceiling == 1:
                return False
            self._ceiling = max(1, min(self._ceiling, self.count + 1) // 2)
            self._reduced_at = now
            self._since_trouble = 0
        return True
