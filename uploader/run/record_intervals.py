"""Record in the journal, every few seconds, what the run does: the report of the run is made from it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from uploader.clock import Clock
from uploader.errors import StorageError
from uploader.rate.limiter import Limiter
from uploader.run.connection import Connection
from uploader.run.session import Session
from uploader.stop import Stop
from uploader.timeline import Interval, IntervalTotals, Pause, QuotaWindow, counted_latencies, fullest_windows

_LOOK_SECONDS: Final = 0.5

_LEAST_SECONDS: Final = 1.0
"""The shortest interval that is recorded, but for the last one of a session."""

_LONGEST_PART: Final = 1 / 240
"""An interval is this part of the session so far: a session of a day has some 1,600 of them, one of a minute 60."""


@contextlib.contextmanager
def recorded_intervals(session: Session, connection: Connection) -> Iterator["IntervalRecorder"]:
    """Yield what records the intervals of *session*; at the end it records what is not recorded yet.

    Raises StorageError where that fails, and nothing else has ended the session.
    """
    rate = connection.settings.rate
    recorder = IntervalRecorder(
        session,
        connection.limiters,
        connection.registrations,
        limit=rate.requests,
        per=rate.per,
        clock=connection.clock,
    )
    try:
        yield recorder
    except BaseException:
        with contextlib.suppress(StorageError):
            recorder.record_last()
        raise
    recorder.record_last()


class IntervalRecorder:
    """Records what one session does in intervals that follow each other, longer ones in a longer session.

    Nothing is done for each row: the totals, which are counted anyway, are looked at twice a second. Registrations have
    a limit of their own: the windows and latencies are those of the rows' call alone, the pauses are those of both.

    States: recording; and broken, after a line that could not be written.
    """

    def __init__(  # noqa: PLR0913 — what it looks at, each asked for by name
        self,
        session: Session,
        limiters: Sequence[Limiter],
        registrations: Callable[[], int],
        *,
        limit: int,
        per: float,
        clock: Clock,
    ) -> None:
        """Start now; *limit* is how many requests the configuration allows in *per* seconds.

        The first of *limiters* is that of the rows' call. *registrations* is how many requests were sent to the other.
        """
        self._session = session
        self._limiters = limiters
        self._registrations = registrations
        self._limit = limit
        self._per = per
        self._clock = clock
        self._since_1970 = clock.wall() - clock.monotonic()
        self._began = self._last = clock.monotonic()
        self._before = self._totals()
        self._own_windows = _OwnWindows(limit=limit, per=per, now=self._last, requests=self._sent)
        self._is_broken = False

    async def record_regularly(self, stop: Stop) -> None:
        """Record interval after interval, until cancelled; a line that can't be written ends the run by *stop*."""
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            now = self._clock.monotonic()
            self._own_windows.look(now, self._sent)
            if now - self._last >= max(_LEAST_SECONDS, (now - self._began) * _LONGEST_PART):
                try:
                    self.record()
                except StorageError as error:
                    stop.request(error)
                    return

    def record(self) -> None:
        """Record the interval from the last one until now; raises StorageError."""
        if self._is_broken:
            return
        now, totals = self._clock.monotonic(), self._totals()
        since_1970 = self._since_1970
        windows = self._limiters[0].window.take_windows()
        self._own_windows.look(now, self._sent)
        self._is_broken = True
        self._session.record_interval(
            Interval(
                self._last + since_1970,
                now - self._last,
                totals.since(self._before),
                limit=self._limit / self._per,
                pace=self._limiters[0].pace.rate,
                per=self._per,
                latencies=counted_latencies(self._limiters[0].observations.take_latencies()),
                pauses=tuple(_dated(pause, since_1970) for pause in self._take_pauses(now)),
                windows=fullest_windows(self._own_windows.take(since_1970, stated=windows)),
            )
        )
        self._is_broken = False
        self._last, self._before = now, totals

    def record_last(self) -> None:
        """Record what is not recorded yet, at the end of the session; raises StorageError."""
        self._own_windows.end(self._clock.monotonic(), self._sent)
        self.record()

    @property
    def _sent(self) -> int:
        """How many requests count for the limit of the rows' call."""
        return self._session.traffic.requests - self._registrations()

    def _take_pauses(self, now: float) -> list[Pause]:
        pauses = [pause for limiter in self._limiters for pause in limiter.observations.take_pauses(now)]
        return sorted(pauses, key=lambda pause: pause.at)

    def _totals(self) -> IntervalTotals:
        traffic, outcomes = self._session.traffic, self._session.running_counts.outcomes
        return IntervalTotals(
            traffic.requests,
            traffic.retries,
            traffic.limited,
            outcomes.sent,
            outcomes.rejected + outcomes.failed,
            self._registrations(),
        )


class _OwnWindows:
    """What this run used in windows of its own, for a service whose replies do not state the window.

    States: counting; and off, once the service has stated its window.
    """

    def __init__(self, *, limit: int, per: float, now: float, requests: int) -> None:
        self._limit = limit
        self._per = per
        self._began = now
        self._requests = requests
        self._ended: list[QuotaWindow] = []
        self._is_off = False

    def look(self, now: float, requests: int) -> None:
        """End the window if it is over: it is seen a little late, so that its use is that of its share of the time."""
        elapsed = now - self._began
        if elapsed >= self._per:
            used = round((requests - self._requests) * self._per / elapsed)
            self._ended.append(QuotaWindow(now, used, self._limit, max(1, round(elapsed / self._per))))
            self._began, self._requests = now, requests

    def end(self, now: float, requests: int) -> None:
        """End the last window, though it is not over."""
        self.look(now, requests)
        if requests > self._requests:
            self._ended.append(QuotaWindow(now, requests - self._requests, self._limit))

    def take(self, since_1970: float, *, stated: list[QuotaWindow]) -> list[QuotaWindow]:
        """Return the windows since the last call: those that the service has *stated*, where it states any."""
        self._is_off = self._is_off or bool(stated)
        ended, self._ended = self._ended, []
        return stated if self._is_off else [replace(one, ends=round(one.ends + since_1970, 3)) for one in ended]


def _dated(pause: Pause, since_1970: float) -> Pause:
    return replace(pause, at=pause.at + since_1970)
