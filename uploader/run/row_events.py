"""Report what becomes of single rows, to observers that ask for it."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from uploader.clock import Clock
from uploader.model import Outcome, Rejected, Reply, Request, UnchangedRange, Unsettled, record_of
from uploader.run.events import Events, RowReason, RowSettled, SourceRun
from uploader.run.observers import wants

Post: TypeAlias = Callable[[Request], Awaitable[Reply]]


class RowEvents:
    """Reports the rows of one source that are settled, and why the service rejects some, where somebody wants it."""

    def __init__(self, events: Events, run: SourceRun, clock: Clock) -> None:
        """Report to *events* on the rows of *run*."""
        self._events = events
        self._run = run
        self._clock = clock
        self._reports_all = wants(events, "settled")
        self._reports_reasons = wants(events, "reason_found")
        self._seconds: dict[int, float] = {}

    @property
    def are_wanted(self) -> bool:
        """Whether anything is reported."""
        return self._reports_all or self._reports_reasons

    def timed(self, post: Post) -> Post:
        """Return *post* so that the time of each request is known, if it is reported."""
        if not self._reports_all:
            return post
        clock, seconds = self._clock.monotonic, self._seconds

        async def timed_post(request: Request) -> Reply:
            began = clock()
            try:
                return await post(request)
            finally:
                seconds[request.row.number] = clock() - began

        return timed_post

    def report(self, outcome: Outcome | Unsettled | UnchangedRange) -> None:
        """Report the *outcome* of a row, which the journal has."""
        if isinstance(outcome, Unsettled):
            self._seconds.pop(outcome.request.row.number, None)
            return
        if self._reports_reasons and isinstance(outcome, Rejected) and outcome.attempts:
            record, reason, message = outcome.record, outcome.reason, outcome.message
            self._events.reason_found(
                RowReason(self._run, "rejected", record, reason, by_service=True, message=message)
            )
        if self._reports_all:
            row = None if isinstance(outcome, UnchangedRange) else record_of(outcome).number
            seconds = None if row is None else self._seconds.pop(row, None)
            self._events.settled(RowSettled(self._run, self._clock.wall(), outcome, seconds))
