"""Size the pace of a run so that no window, however it is aligned, gets more than its share."""

from dataclasses import dataclass, replace
from typing import Final

_LEAST_BURST: Final = 2
_BURSTS: Final = 40
"""A burst is at most the budget divided by this: what is sent at once is not spread evenly."""

_LESS_THAN_ONE: Final = 0.99
"""With so many requests in a window, every window holds one at most."""

_HANDFUL_SECONDS: Final = 0.001
"""Seconds of the rate that may be granted at once, to save work at thousands of requests a second."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run sends: a bucket that holds *burst* and refills at *rate* a second, and how many are in flight.

    *handful* is how many may be granted together and used a little later, one by one. *rest* is how many seconds must
    pass from a reply to the next request. It matters where the limit is one: a request uses up the window in which it
    arrives, and only its reply shows that it has arrived.
    """

    burst: int
    rate: float
    concurrency: int
    handful: int = 1
    rest: float = 0.0

    @property
    def refill(self) -> float:
        """Seconds in which the empty bucket fills up."""
        return self.burst / self.rate

    def scaled(self, part: float) -> "Pace":
        """Return the pace for a limit that is only this *part* of the one it was sized for."""
        burst = max(1, int(self.burst * part))
        concurrency = max(1, int(self.concurrency * part))
        return replace(
            self,
            burst=burst,
            rate=self.rate * part,
            concurrency=concurrency,
            handful=max(1, min(int(self.handful * part), burst)),
            rest=self.rest / part,
        )

    def grants_in(self, window: float) -> float:
        """Return the most requests that are granted in any *window* (seconds), however it is aligned."""
        return self.burst + self.rate * window

    def arrivals_in(self, window: float) -> float:
        """Return the most requests that can arrive in any *window*: those in flight at its start arrive in it too.

        The rest of a handful counts as in flight.
        """
        return self.grants_in(window) + self.concurrency + self.handful - 1


def is_one_at_a_time(requests: int) -> bool:
    """Whether a limit of *requests* is so small that all runs together may have one request in flight."""
    return _tenth(requests) == 1


def pace(*, requests: int, per: float, share: float, burst: int, concurrency: int) -> Pace:
    """Size the bucket so that burst + rate x window never exceeds share x limit, in any window of *per* seconds.

    What is granted is not what arrives: requests in flight can bunch up. So those in flight and the rest of a handful
    are together at most a tenth of the limit, and burst + rate x window + in flight never exceeds the limit.
    """
    tenth = _tenth(requests)
    handful = max(1, min(concurrency, int(requests / per * _HANDFUL_SECONDS), _bucket_size(burst, share * requests)))
    in_flight = max(1, min(concurrency, tenth - handful + 1))
    budget = max(1.0, min(share * requests, requests - in_flight - handful + 1))
    size = _bucket_size(burst, budget)
    # With a budget below two the burst is all of it: one request, and the next just over a window later.
    rate = max(budget - size, _LESS_THAN_ONE) / per
    return Pace(size, rate, in_flight, min(handful, size), rest=0.0 if requests > 1 else 1 / rate)


def _tenth(requests: int) -> int:
    return max(1, requests // 10)


def _bucket_size(burst: int, budget: float) -> int:
    """Return how many of *budget* the bucket may hold: at most *burst*, and only a small part of it."""
    return max(1, min(burst, int(budget // 2), max(_LEAST_BURST, int(budget // _BURSTS))))
