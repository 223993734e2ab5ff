"""Define the lease of places in the service's quota, and what a limiter asks of a quota."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from uploader.model import frozen


@frozen
class Lease:
    """How many places were *taken*, and how many seconds to *wait*: until they come, or before asking again."""

    wait: float
    taken: int


class Quota(Protocol):
    """The service's quota as all runs share it; times are seconds of the limiter's clock."""

    @property
    def runs(self) -> int:
        """How many runs share it."""
        ...

    @property
    def granted(self) -> int:
        """How many requests of all runs were granted so far."""
        ...

    @property
    def is_stalled(self) -> bool:
        """Whether a suspended process keeps the lock of the file by which the runs share it."""
        ...

    def lease(self, *, rate: float, burst: int, most: int) -> Lease | Awaitable[Lease]:
        """Take the next place of a bucket of *rate* (a second) and *burst*, or up to *most* that are free now.

        A quota that several hosts share returns an awaitable; a stop of the run ends that wait.
        """
        ...

    def pause(self, until: float) -> None:
        """Let no run send before *until*."""
        ...

    def mark_answered(self) -> None:
        """Record that a request has its reply."""
        ...


@dataclass(slots=True, eq=False)
class LeasedPlaces:
    """Places that are *left* of the last lease: they may be used *until* a time, with at most so many in flight.

    *unused* counts the places of all leases so far that no request has used. *rate* is that of the next lease, in
    requests a second.
    """

    left: int = 0
    until: float = float("-inf")
    most: int = 0
    unused: int = 0
    rate: float = 0.0
