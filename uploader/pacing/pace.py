"""Size the pace of a run so that no window, however it is aligned, gets more than its share."""

from dataclasses import dataclass
from typing import Final

_LEAST_BURST: Final = 2
_BURSTS: Final = 40
"""A burst is at most this part of the budget: what may go at once can't go evenly."""

_HANDFUL_SECONDS: Final = 0.001
"""So much of the rate may be granted at once, to save work at thousands of requests a second."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run goes: a bucket that holds *burst* and refills at *rate* a second, and how many are in flight.

    A *handful* is how many may be granted together and used a little later, one by one.
    """

    burst: int
    rate: float
    concurrency: int
    handful: int = 1

    @property
    def refill(self) -> float:
        """Seconds in which the empty bucket fills up."""
        return self.burst / self.rate

    def grants_in(self, window: float) -> float:
        """Return the most requests that are let go in any *window* (seconds), however it is aligned."""
        return self.burst + self.rate * window

    def arrivals_in(self, window: float) -> float:
        """Return the most requests that can arrive in any *window*: those in flight at its begin arrive in it too.

        What is left of a handful is as good as in flight.
        """
        return self.grants_in(window) + self.concurrency + self.handful - 1


def pace(*, requests: int, per: float, share: float, burst: int, concurrency: int) -> Pace:
    """Size the bucket so that burst + rate x window never exceeds share x limit, in any window of *per* seconds.

    What is granted is not what arrives: requests in flight can bunch up. So those in flight are kept to a tenth of
    the limit, and burst + rate x window + in flight never exceeds the limit itself.
    """
    in_flight = max(1, min(concurrency, requests // 10))
    handful = max(1, min(in_flight, int(requests / per * _HANDFUL_SECONDS)))
    budget = max(1.0, min(share * requests, requests - in_flight - handful + 1))
    held = max(1, min(burst, int(budget // 2), max(_LEAST_BURST, int(budget // _BURSTS))))
    # With a budget below two the burst is all of it: one request, and the next just over a window later.
    return Pace(held, max(budget - held, 0.99) / per, in_flight, min(handful, held))
