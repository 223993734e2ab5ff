"""Carry rows from the source to their outcomes, several at a time, each person's in order."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeAlias

from uploader.coalesce.merged_row_outcomes import spread
from uploader.delivery.blocked_rows import Streak
from uploader.delivery.canary import Canary
from uploader.delivery.person_ordering import Turn, Turns, rows_of
from uploader.errors import RefusedError
from uploader.model import (
    Became,
    Failed,
    Kept,
    Outcome,
    Passed,
    Person,
    Rejected,
    Request,
    Settled,
    Unsettled,
    Work,
    members_of,
    person_of,
)
from uploader.stop import Halt, Halted

PARKING: Final = 1024
"""How many rows may wait for an earlier row of their person; they bound the memory, with the workers."""

_BREATH: Final = 256
"""After so many rows without a request in between, others (signals, the bar) get their turn."""

Deliver: TypeAlias = Callable[[Request], Awaitable[Outcome | Unsettled]]


class Pipeline:
    """The straight line from work to outcome: workers that share one iterator, and no queue.

    When the source, a delivery or the settling of an outcome raises, the halt is given: no new row begins, and the
    requests in flight land and are settled.
    """

    def __init__(  # noqa: PLR0913 — the collaborators, each asked for by name
        self,
        works: Iterator[Work | Passed],
        *,
        deliver: Deliver,
        settle: Callable[[Outcome | Unsettled], None],
        halt: Halt,
        canary: Canary | None = None,
        doubt: asyncio.Event | None = None,
        streak: Streak | None = None,
        owes: Callable[[Person], bool] = lambda _: False,
        room: int = PARKING,
        settled: int = 0,
    ) -> None:
        """Lend the collaborators: where *works* come from, how one is delivered, and who hears of each outcome.

        As long as *canary* is not over, rows go one by one; no longer when there is *doubt* whether the service is out,
        of which one row alone would not tell. *streak* holds back the rows that are blocked. *owes* tells whether a
        person has a row in the retry file. So many rows are *settled* already; a run that is stopped early ends before
        all of them have come by.
        """
        self._works = works
        self._deliver = deliver
        self._settle = settle
        self._owes = owes
        self._halt = halt
        self._canary = canary or Canary(0)
        self._streak = streak or Streak()
        self._turns = Turns(room)
        self._exhausted = False
        self._at_work = 0
        self._moved = asyncio.Event()
        self._doubt = doubt or asyncio.Event()
        self.taken = settled
        self._unsettled = 0

    def left_of(self, total: int) -> int:
        """Return how many of *total* rows got no outcome: never taken, still waiting for their turn, or broken off."""
        return total - self.taken + self._turns.parked + self._unsettled

    async def carry(self, workers: int) -> None:
        """Carry rows, at most *workers* at a time, until they end.

        When the halt is given, return no sooner than the requests in flight have landed, and raise its reason.

        Raises:
            RefusedError: the service rejected all of the first rows.
        """
        first = asyncio.create_task(self._work_first())
        await self._canary_or_doubt(first)
        self._end_canary()
        rest = (self._work() for _ in range(workers if first.done() else workers - 1))
        results = await asyncio.gather(first, *rest, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                self._fail(result)
        self._settle_released(self._streak.release())
        if self._halt.reason is not None:
            raise self._halt.reason

    async def _canary_or_doubt(self, first: asyncio.Task[None]) -> None:
        """Wait until the *first* worker has seen the canary through, or has to do with a service that may be out."""
        doubt = asyncio.create_task(self._doubt.wait())
        await asyncio.wait({first, doubt}, return_when=asyncio.FIRST_COMPLETED)
        doubt.cancel()

    async def _work_first(self) -> None:
        """Carry rows until the canary is over; in doubt, with the others from then on."""
        await self._work(as_canary=True)
        if self._doubt.is_set():
            await self._work()

    def _end_canary(self) -> None:
        """Settle what the canary still holds back: the rows are at an end, or the run is."""
        self._canary.is_over = True
        self._settle_released(self._canary.release())

    def _settle_released(self, released: Sequence[Became]) -> None:
        """Settle what was held back to the end; where the run is stopped, the rows are unsettled."""
        for work, outcome in released:
            if not self._halt.given:
                self._settle_whole(work, outcome)
            elif isinstance(work, Request) and isinstance(outcome, Failed | Rejected):
                self._settle_whole(work, Unsettled(work, outcome.attempts, outcome.unsure))
            else:
                # The check will reject it once more, behind the rows before it.
                self._unsettled += rows_of(work)

    async def _work(self, *, as_canary: bool = False) -> None:
        """Carry rows until they end; as the canary, no longer than until that is over."""
        since_breath = 0
        while not self._halt.given and not (as_canary and self._canary.is_over):
            turn = self._next_turn()
            if turn is None:
                if self._exhausted and not self._turns.parked:
                    return
                if self._exhausted or not self._turns.has_room:
                    await self._wait_for_a_turn()
                else:
                    since_breath = _BREATH
            elif isinstance(work := turn.work, Request):
                since_breath = 0
                # Awaited here, and not a call further down: whatever is between a task and its reply is gone through
                # once more for each row.
                try:
                    outcome = await self._deliver(work)
                except BaseException as trouble:  # noqa: BLE001 — kept, and raised when what is in flight has landed
                    self._fail(trouble)
                    outcome = Unsettled(work)
                self._settle_turn(turn, outcome)
            else:
                since_breath += 1
                self._settle_turn(turn, work)
            if since_breath >= _BREATH:
                since_breath = 0
                await asyncio.sleep(0)  # noqa: TID251 — it gives way and waits for nothing

    def _next_turn(self) -> Turn | None:
        """Return the next row whose person is free: a parked one first, else one of the next rows of the source."""
        turns = self._turns
        turn = turns.next_ready()
        passed = 0
        while turn is None and not self._exhausted and passed < _BREATH and turns.has_room:
            passed += 1
            try:
                work = next(self._works, None)
            except BaseException as trouble:  # noqa: BLE001 — kept, and raised when the requests in flight have landed
                self._fail(trouble)
                work = None
            if isinstance(work, Request):
                self.taken += 1 + len(work.members)
                turn = turns.admit(work)
            elif work is None:
                self._exhausted = True
                self._wake()
            elif not isinstance(work, Settled | Kept):
                self.taken += rows_of(work)
                turn = turns.admit(work)
        return turn

    def _settle_turn(self, turn: Turn, outcome: Outcome | Unsettled) -> None:
        settled = True
        if self._canary.is_over and self._streak.is_over:
            settled = self._settle_whole(turn.work, outcome)
        else:
            for one in self._not_held_back(turn.work, outcome):
                settled = self._settle_whole(*one) and settled
        # A row that is not settled is not overtaken: its later rows stay parked, and the run is ending.
        if settled and not isinstance(outcome, Unsettled) and self._turns.settle(turn):
            self._wake()

    def _not_held_back(self, work: Work, outcome: Outcome | Unsettled) -> Iterator[Became]:
        """Yield what may be settled, in its order, now that *outcome* became of *work*."""
        canary = self._canary
        for one in self._streak.note(work, outcome):
            if canary.is_over:
                yield one
            else:
                yield from canary.note(*one)
                if canary.is_dead:
                    self._fail(_refused(canary.last))

    def _settle_whole(self, work: Work, outcome: Outcome | Unsettled) -> bool:
        """Let what became of a row, and of those that it took with it, be heard of; return whether that succeeded."""
        if not members_of(work):
            return self._settle_one(outcome)
        outcomes = spread(work, outcome, is_owed=self._owes(person_of(work)))
        for done, one in enumerate(outcomes, start=1):
            if not self._settle_one(one):
                # What settles later relies on what settles before.
                self._unsettled += len(outcomes) - done
                return False
        return True

    def _settle_one(self, outcome: Outcome | Unsettled) -> bool:
        """Let *outcome* be heard of; return whether that succeeded."""
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
        self._halt.give(trouble)

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _wait_for_a_turn(self) -> None:
        with contextlib.suppress(Halted):
            await self._halt.wait(self._moved.wait())


def _refused(last: Rejected) -> RefusedError:
    return RefusedError(
        f"Stopped: the service rejected every one of the first rows, the last of them for this: {last.reason.phrase}. "
        "Mend the mapping or the file, then run again; none of these rows is lost. If they are meant to be rejected, "
        "set limits.canary: 0."
    )
