"""Carry rows from the source to their outcomes, several at a time, each person's in order."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from uploader.coalesce.merged_row_outcomes import outcomes_of_merged
from uploader.delivery.canary import Canary
from uploader.delivery.firewall_blocks import BlockedRows
from uploader.delivery.person_ordering import PersonQueue, QueuedWork, rows_of
from uploader.errors import RefusedError
from uploader.model import (
    AwaitsMerge,
    Failed,
    NotYet,
    NoWork,
    Outcome,
    Person,
    Rejected,
    Request,
    Settled,
    UnchangedRange,
    Unsettled,
    Work,
    WorkOutcome,
    merged_rows_of,
    person_of,
)
from uploader.stop import Stop, Stopped

MOST_WAITING: Final = 1024
"""How many rows may wait for an earlier row of their person; with the workers, this bounds the RAM in use."""

_ROWS_BETWEEN_YIELDS: Final = 256
"""After so many rows without a request, the loop runs other tasks (signals, the progress bar)."""

Deliver: TypeAlias = Callable[[Request], Awaitable[Outcome | Unsettled]]


@dataclass(frozen=True, slots=True)
class HeldBackRows:
    """What holds back the outcomes of rows until more is known: the canary of the first rows, and blocked rows."""

    canary: Canary = field(default_factory=lambda: Canary(0))
    blocked_rows: BlockedRows = field(default_factory=BlockedRows)


class Pipeline:
    """The straight line from work to outcome: workers that share one iterator, and no queue.

    When the source, a delivery or the settling of an outcome raises, the run stops: no new row starts, and the requests
    in flight end and are settled.

    States: at work; exhausted (the source has ended, and rows still wait for their person); and stopping (no new row
    starts). The canary keeps all but one worker waiting while it lasts.
    """

    def __init__(  # noqa: PLR0913 — the collaborators, each asked for by name
        self,
        works: Iterator[Work | NoWork],
        *,
        deliver: Deliver,
        settle: Callable[[Outcome | Unsettled], None],
        settle_unchanged: Callable[[UnchangedRange], None] = lambda _: None,
        stop: Stop,
        held_back: HeldBackRows | None = None,
        must_resend: Callable[[Person], bool] = lambda _: False,
        room: int = MOST_WAITING,
    ) -> None:
        """Use *works* in their order; *deliver* sends one, and *settle* gets each outcome.

        *settle_unchanged* gets the rows of which no work is made. They are of nobody of whom a row is in the queue.
        *held_back* holds back outcomes. *must_resend* returns whether a person has a row in the retry file.
        """
        self._held_back = held_back or HeldBackRows()
        self._works = self._held_back.canary.one_by_one(works)
        self._deliver = deliver
        self._settle = settle
        self._settle_unchanged = settle_unchanged
        self._must_resend = must_resend
        self._stop = stop
        self._queue = PersonQueue(room)
        self._exhausted = False
        self._woken = asyncio.Event()
        self.taken = 0
        self._unsettled = 0

    def without_outcome(self, total: int) -> int:
        """Return how many of *total* rows have no outcome: never read, still waiting, or interrupted."""
        return total - self.taken + self._queue.waiting + self._unsettled

    async def run(self, workers: int, *, settled: int = 0) -> None:
        """Process all rows, at most *workers* at a time.

        *settled* is how many rows earlier sessions have settled; a run that stops early may not reach them all. When
        the run is stopped, wait until the requests in flight have ended, then raise the reason of the stop.

        Raises:
            RefusedError: the service rejected all of the first rows.
        """
        self.taken = settled
        results = await asyncio.gather(*(self._work() for _ in range(workers)), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                self._fail(result)
        self._end_canary()
        self._settle_released(self._held_back.blocked_rows.release())
        if self._stop.reason is not None:
            raise self._stop.reason

    def end_canary(self) -> None:
        """End the canary after the current step: an outage is suspected, which one row alone could not show."""
        if not self._held_back.canary.is_over:
            asyncio.get_running_loop().call_soon(self._end_canary)

    def _end_canary(self) -> None:
        """Settle what the canary still holds back, and let all workers begin."""
        self._settle_released(self._held_back.canary.end())
        self._wake()

    def _settle_released(self, released: Sequence[WorkOutcome]) -> None:
        """Settle the rows that were held back to the end; if the run is stopped, leave them unsettled."""
        for work, outcome in released:
            if not self._stop.is_requested:
                self._settle_whole(work, outcome)
            elif isinstance(work, Request) and isinstance(outcome, Failed | Rejected):
                self._settle_whole(work, Unsettled(work, outcome.attempts, outcome.unsure))
            else:
                # The resumed run's check rejects it again, in its order.
                self._unsettled += rows_of(work)

    async def _work(self) -> None:
        """Process rows until there are no more."""
        since_yield = 0
        while self._stop.reason is None:
            queued = self._next_queued()
            if queued is None:
                if self._exhausted and not self._queue.waiting:
                    return
                if self._exhausted or not self._queue.has_room or self._held_back.canary.is_waiting:
                    await self._wait_for_ready()
                else:
                    since_yield = _ROWS_BETWEEN_YIELDS
            elif isinstance(work := queued.work, Request):
                since_yield = 0
                # Awaited here, and not in a helper: each call between a task and its reply costs time for every row.
                try:
                    outcome = await self._deliver(work)
                except BaseException as trouble:  # noqa: BLE001 — kept, and raised when the requests in flight have ended
                    self._fail(trouble)
                    outcome = Unsettled(work)
                self._settle_queued(queued, outcome)
            else:
                since_yield += 1
                self._settle_queued(queued, work)
            if since_yield >= _ROWS_BETWEEN_YIELDS:
                since_yield = 0
                await asyncio.sleep(0)  # noqa: TID251 — it gives way and waits for nothing

    def _next_queued(self) -> QueuedWork | None:
        """Return the next row whose person is free: a parked one first, else one of the source."""
        queue, seen = self._queue, 0
        queued = queue.next_ready() if queue.ready else None
        while queued is None and not self._exhausted and seen < _ROWS_BETWEEN_YIELDS and queue.has_room:
            seen += 1
            try:
                work = next(self._works, None)
            except BaseException as trouble:  # noqa: BLE001 — kept, and raised when those in flight have ended
                self._fail(trouble)
                work = None
            if isinstance(work, Request):
                self.taken += 1 + len(work.merged)
                queued = queue.admit(work)
            elif work is None:
                self._exhausted = True
                self._wake()
            elif isinstance(work, UnchangedRange):
                self._settle_range(work)
            elif isinstance(work, NotYet):
                break
            elif not isinstance(work, Settled | AwaitsMerge):
                self.taken += rows_of(work)
                queued = queue.admit(work)
        return queued

    def _settle_range(self, rows: UnchangedRange) -> None:
        self.taken += rows.rows
        if not self._held_back.canary.is_over:
            # As for a single unchanged row: it was accepted before, with this mapping.
            self._end_canary()
        try:
            self._settle_unchanged(rows)
        except BaseException as trouble:  # noqa: BLE001 — as above
            self._fail(trouble)
            self._unsettled += rows.rows

    def _settle_queued(self, queued: QueuedWork, outcome: Outcome | Unsettled) -> None:
        settled, held_back = True, self._held_back
        if held_back.canary.is_over and held_back.blocked_rows.is_over:
            settled = self._settle_whole(queued.work, outcome)
        else:
            for one in self._filter_outcome(queued.work, outcome):
                settled = self._settle_whole(*one) and settled
        # Later rows of an unsettled row's person stay parked: none may overtake it, and the run ends.
        if settled and not isinstance(outcome, Unsettled) and self._queue.settle(queued):
            self._wake()

    def _filter_outcome(self, work: Work, outcome: Outcome | Unsettled) -> Iterator[WorkOutcome]:
        """Yield what may be settled, in its order, now that *work* has its *outcome*."""
        canary = self._held_back.canary
        if not canary.is_over:
            canary.pass_next()
            self._wake()
        for one in self._held_back.blocked_rows.filter_outcome(work, outcome):
            if canary.is_over:
                yield one
            else:
                yield from canary.filter_outcome(*one)
                if canary.has_failed:
                    self._fail(_all_rejected(canary.last_rejection))

    def _settle_whole(self, work: Work, outcome: Outcome | Unsettled) -> bool:
        """Settle a row and those merged into it; return whether that succeeded."""
        if not (work.merged if isinstance(work, Request) else merged_rows_of(work)):
            return self._settle_one(outcome)
        outcomes = outcomes_of_merged(work, outcome, must_resend=self._must_resend(person_of(work)))
        for done, one in enumerate(outcomes, start=1):
            if not self._settle_one(one):
                # A later row must not be settled without the earlier ones.
                self._unsettled += len(outcomes) - done
                return False
        return True

    def _settle_one(self, outcome: Outcome | Unsettled) -> bool:
        """Settle *outcome*; return whether that succeeded."""
        try:
            self._settle(outcome)
        except BaseException as trouble:  # noqa: BLE001 — as above
            self._fail(trouble)
            self._unsettled += 1
            return False
        if isinstance(outcome, Unsettled):
            self._unsettled += 1
        return True

    def _fail(self, trouble: BaseException) -> None:
        self._stop.request(trouble)

    def _wake(self) -> None:
        self._woken.set()
        self._woken = asyncio.Event()

    async def _wait_for_ready(self) -> None:
        with contextlib.suppress(Stopped):
            await self._stop.wait(self._woken.wait())


def _all_rejected(last: Rejected) -> RefusedError:
    return RefusedError(
        f"Stopped: the service rejected every one of the first rows, the last of them for this: {last.reason.phrase}. "
        "Fix the mapping or the file, then run again; none of these rows is lost. If they are meant to be rejected, "
        "set limits.canary: 0."
    )
