"""Collect what the report of a run shows of its requests: their latencies, and when all of them paused."""

from collections import deque
from typing import Final

from uploader.timeline import Pause, PauseKind

_MOST_LATENCIES: Final = 100_000
"""So many are kept until they are taken, once a second or more seldom; of more, the latest."""


class RequestObservations:
    """The latencies and the pauses since they were taken last; times are monotonic seconds.

    States: sending; and paused since a time, until the service answers (`end_pause`).
    """

    def __init__(self) -> None:
        """Start without any."""
        self._latencies: deque[float] = deque(maxlen=_MOST_LATENCIES)
        self.add_latency = self._latencies.append
        """Add how many seconds an answer took."""
        self._pauses: list[Pause] = []
        self._open: tuple[PauseKind, float] | None = None

    def begin_pause(self, kind: PauseKind, now: float) -> None:
        """Record that all requests pause from *now* on; a pause of another kind ends with it."""
        if self._open is None or self._open[0] != kind:
            self.end_pause(now)
            self._open = kind, now

    def end_pause(self, now: float) -> None:
        """Record that the service has answered, so that requests are sent again."""
        if self._open is not None:
            kind, since = self._open
            self._pauses.append(Pause(kind, since, now - since))
            self._open = None

    def take_latencies(self) -> list[float]:
        """Return the latencies since the last call, in seconds."""
        taken = list(self._latencies)
        self._latencies.clear()
        return taken

    def take_pauses(self, now: float) -> list[Pause]:
        """Return the pauses since the last call, the present one until *now*; its rest comes with the next call."""
        if self._open is not None:
            kind, _ = self._open
            self.end_pause(now)
            self._open = kind, now
        taken, self._pauses = self._pauses, []
        return taken
