"""Do the window's arithmetic: how fast we may go, and how long to hold when the limit was met."""

from dataclasses import dataclass
from typing import Final

from uploader.model import WindowState

_LEAST_HOLD: Final = 1.0
"""Seconds to hold when the reset that a server names is just past: its clock shows whole seconds only."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run goes: a bucket that holds *burst* and refills at *rate* a second, and how many are in flight."""

    burst: int
    rate: float
    concurrency: int

    @property
    def refill(self) -> float:
        """Seconds in which the empty bucket fills up."""
        return self.burst / self.rate

    def grants_in(self, window: float) -> float:
        """Return the most requests that are let go in any *window* (seconds), however it is aligned."""
        return self.burst + self.rate * window

    def arrivals_in(self, window: float) -> float:
        """Return the most requests that can arrive in any *window*: those in flight at its begin arrive in it too."""
        return self.grants_in(window) + self.concurrency


def pace(*, requests: int, per: float, share: float, burst: int, concurrency: int) -> Pace:
    """Size the bucket so that burst + rate x window never exceeds share x limit, in any window of *per* seconds.

    What is granted is not what arrives: requests in flight can bunch up. So those in flight are kept to a tenth of
    the limit, and burst + rate x window + in flight never exceeds the limit itself.
    """
    in_flight = max(1, min(concurrency, requests // 10))
    budget = max(1.0, min(share * requests, requests - in_flight))
    held = max(1, min(burst, int(budget // 2)))
    # With a budget below two the burst is all of it: one request, and the next just over a window later.
    return Pace(held, max(budget - held, 0.99) / per, in_flight)


def hold_for(window: WindowState, *, per: float, now: float) -> float:
    """Return how many seconds everybody must hold after a limit reply (`api.md`, Request limits).

    A `Retry-After` is obeyed. Otherwise it is the time from the reply's own date to the reset it names, so that a
    wrong local clock does no harm; *now* (seconds since 1970) serves where the reply has no date. A reset that makes
    no sense gives one whole window: the one the reply names, or *per* seconds.
    """
    if window.retry_after is not None and window.retry_after >= 0:
        return max(window.retry_after, _LEAST_HOLD)
    period = window.period or per
    if window.reset is None:
        return period
    left = window.reset - (now if window.date is None else window.date)
    if -_LEAST_HOLD < left <= 0:
        return _LEAST_HOLD
    return left if 0 < left <= period + 1 else period
