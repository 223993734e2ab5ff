"""Detect an outage: distinguish a service that is out from single rows that fail."""

from typing import Final

_IN_A_ROW: Final = 12
"""So many consecutive bad replies, to as many rows, are an outage. Where three in ten replies are bad by chance, twelve
in sequence occur once in two million requests; that costs a second."""


_SUSPECT: Final = 3
"""After so many consecutive bad replies, few requests are in flight at once, until an outage is ruled out."""


class OutageDetector:
    """Judge the service by its latest replies; times are monotonic seconds.

    A reply is *bad* if it may be the service's fault: none at all, a proxy's page, an error inside the server. One good
    reply ends all suspicion. Attempts that were charged to rows during the outage are *excused*.
    """

    def __init__(self, most_rows: int) -> None:
        """Expect at most *most_rows* rows in flight at once: an outage needs bad replies to no more rows than that."""
        self._rows_needed = min(_IN_A_ROW, most_rows)
        self._bad = 0
        self._bad_since = 0.0
        self._rows: set[int] = set()
        self._out_since: float | None = None
        self._outages: list[tuple[float, float]] = []

    @property
    def is_outage(self) -> bool:
        """Whether the service is out."""
        return self._out_since is not None

    @property
    def is_suspected(self) -> bool:
        """Whether the latest replies were all bad, even if too few for an outage."""
        return self._bad >= _SUSPECT

    def add_bad_reply(self, row: int, at: float) -> None:
        """Record a bad reply to *row*."""
        if not self._bad:
            self._bad_since = at
        self._bad += 1
        if self._out_since is None:
            self._rows.add(row)
            if self._bad >= _IN_A_ROW and len(self._rows) >= self._rows_needed:
                self._out_since = self._bad_since

    def add_good_reply(self, at: float) -> None:
        """Record a good reply, which ends an outage."""
        self._bad = 0
        self._rows.clear()
        if self._out_since is not None:
            self._outages.append((self._out_since, at))
            self._out_since = None

    def excuses(self, at: float) -> bool:
        """Whether a bad reply that came *at* that time was the service's fault, not the row's."""
        if self._out_since is not None and at >= self._out_since:
            return True
        return any(begin <= at <= end for begin, end in self._outages)
