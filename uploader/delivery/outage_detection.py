"""Tell everybody's trouble from a row's: a service that is out from a row that it does not like."""

from typing import Final

_IN_A_ROW: Final = 12
"""So many replies in a row, of as many rows, are everybody's trouble. Where three in ten fail by chance, one run of
twelve is met in two million requests; and it costs a second."""


_SUSPECT: Final = 3
"""After so many bad replies in a row only a few requests go at once, until it is known whose trouble it is."""


class OutageDetector:
    """Judge the service by its latest replies; times are monotonic seconds.

    A reply is *bad* when it may be the service's fault: none at all, a proxy's page, an error inside the server. One
    good reply ends all suspicion. What was charged to rows while the service was out is *excused*.
    """

    def __init__(self, most_rows: int) -> None:
        """Expect at most *most_rows* rows to be in flight at once: so many may be all that there is to ask."""
        self._rows_needed = min(_IN_A_ROW, most_rows)
        self._bad = 0
        self._bad_since = 0.0
        self._rows: set[int] = set()
        self._out_since: float | None = None
        self._outages: list[tuple[float, float]] = []

    @property
    def is_outage(self) -> bool:
        """Whether the service is out: everybody's trouble."""
        return self._out_since is not None

    @property
    def is_suspected(self) -> bool:
        """Whether the latest replies were all bad, though they are too few to tell."""
        return self._bad >= _SUSPECT

    def add_bad_reply(self, row: int, at: float) -> None:
        """Take note of a bad reply to *row*."""
        if not self._bad:
            self._bad_since = at
        self._bad += 1
        if self._out_since is None:
            self._rows.add(row)
            if self._bad >= _IN_A_ROW and len(self._rows) >= self._rows_needed:
                self._out_since = self._bad_since

    def add_good_reply(self, at: float) -> None:
        """Take note that the service was there."""
        self._bad = 0
        self._rows.clear()
        if self._out_since is not None:
            self._outages.append((self._out_since, at))
            self._out_since = None

    def excuses(self, at: float) -> bool:
        """Whether a bad reply that came then was the service's fault, and no row's."""
        if self._out_since is not None and at >= self._out_since:
            return True
        return any(begin <= at <= end for begin, end in self._outages)
