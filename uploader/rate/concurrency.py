"""Know how many requests need be in flight at once: what the latency and the rate ask for, under a ceiling."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_LEAST: Final = 4
_MARGIN: Final = 2.0
"""In flight may be so many times what the mean latency asks for: latencies differ."""

_MEMORY: Final = 0.1
"""How much one reply says of the latency."""

_RECOVERED: Final = 50
"""After so many replies without trouble one more may be in flight."""


@dataclass(slots=True, eq=False)
class Permit:
    """One request that goes: *at* is when, in monotonic seconds."""

    at: float


class ConcurrencyLimit:
    """Count the requests in flight and bound them; times are monotonic seconds.

    The bound follows the latency both ways, so that a stall can't pile up more requests than the rate asks for. Local
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

    @property
    def ceiling(self) -> int:
        """How many may be in flight at most, now."""
        return self._ceiling

    def has_room(self, now: float, *, rate: float, most: int) -> bool:
        """Whether one more may go, when *rate* a second are let go, and *most* in flight are this process's part."""
        return self.count < self.bound(now, rate=rate, most=most)

    def bound(self, now: float, *, rate: float, most: int) -> int:
        """Return how many may be in flight, when *rate* and *most* are as for `has_room`."""
        return min(self._ceiling, most, self.wanted(now, rate))

    def wanted(self, now: float, rate: float) -> int:
        """Return how many in flight *rate* a second asks for, by the latency so far."""
        oldest = next(iter(self._in_flight), None)
        # Who has been waiting longer than the mean tells of a latency that is growing.
        latency = self._latency if oldest is None else max(self._latency, now - oldest.at)
        return max(_LEAST, int(_MARGIN * latency * rate) + 2)

    def grant(self, now: float) -> Permit:
        """Count a request that goes *now*, and return its departure, by which it lands."""
        permit = Permit(now)
        self._in_flight[permit] = None
        self.count += 1
        return permit

    def release(self, permit: Permit, now: float) -> None:
        """Count the request of *permit* as landed *now*."""
        del self._in_flight[permit]
        self.count -= 1
        latency = now - permit.at
        self._latency += _MEMORY * (latency - self._latency) if self._latency else latency
        if self._ceiling < self._highest:
            self._grow()

    def _grow(self) -> None:
        self._since_trouble += 1
        if self._since_trouble >= _RECOVERED:
            self._ceiling += 1
            self._since_trouble = 0

    def reduce(self, *, granted_at: float, now: float) -> bool:
        """Halve the ceiling, since this machine had no socket or file left for a request that *granted_at* then.

        Return False where the ceiling is at one already. What departed before the last halving says nothing new.
        """
        if granted_at >= self._reduced_at:
            if self._ceiling == 1:
                return False
            self._ceiling = max(1, min(self._ceiling, self.count + 1) // 2)
            self._reduced_at = now
            self._since_trouble = 0
        return True
