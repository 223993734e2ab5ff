"""Send the first rows one by one, and stop the run if the service rejects all of them: then the mapping is wrong."""

from collections.abc import Iterator
from itertools import chain
from typing import Final, TypeAlias

from uploader.model import (
    AwaitsMerge,
    NotYet,
    NoWork,
    Outcome,
    Rejected,
    Request,
    Settled,
    UnchangedRange,
    Unsettled,
    Work,
    WorkOutcome,
)

HeldBack: TypeAlias = tuple[Request | Rejected, Rejected]
"""A row, as a request or as the check rejected it, and its outcome."""


_NOT_YET: Final = NotYet()


class Canary:
    """Hold back the outcomes of the first rows until the service does not reject one of them.

    If the first *rows* rows are all rejected, the mapping is at fault and not the rows. Then they stay unsettled, so
    that they are sent again after the mapping is fixed.

    States: watching, one row at a time (`one_by_one`); failed (`has_failed`); and over (`is_over`), when all rows pass.
    """

    def __init__(self, rows: int) -> None:
        """Hold back the first *rows* rows that are sent; 0: none."""
        self._rows = rows
        self._held_back: list[HeldBack] = []
        self._rejections: list[Rejected] = []
        self.is_waiting = False
        """Whether a row is at work, so that no other may be taken."""

        self.is_over = rows == 0

    def one_by_one(self, works: Iterator[Work | NoWork]) -> Iterator[Work | NoWork | NotYet]:
        """Yield *works*; until the canary is over, `NotYet` instead of a row as long as the one before is at work."""
        # The rows that follow are not passed through here, as that would cost time for each of them.
        return works if self.is_over else chain(self._first(works), works)

    def end(self) -> list[WorkOutcome]:
        """End the canary, and return what it still holds back, in its order."""
        self.is_over, self.is_waiting = True, False
        return self.release()

    def _first(self, works: Iterator[Work | NoWork]) -> Iterator[Work | NoWork | NotYet]:
        while not self.is_over:
            if self.is_waiting:
                yield _NOT_YET
                continue
            work = next(works, None)
            if work is None:
                return
            self.is_waiting = not isinstance(work, Settled | AwaitsMerge | UnchangedRange)
            yield work

    def pass_next(self) -> None:
        """Let the next row pass: the one before is no longer at work."""
        self.is_waiting = False

    @property
    def has_failed(self) -> bool:
        """Whether the service rejected all of the first rows."""
        return not self.is_over and len(self._rejections) >= self._rows

    @property
    def last_rejection(self) -> Rejected:
        """The service's latest rejection that is held back; raises IndexError if there is none."""
        return self._rejections[-1]

    def filter_outcome(self, work: Work, outcome: Outcome | Unsettled) -> list[WorkOutcome]:
        """Return what may be settled, in its order, now that *work* has its *outcome*."""
        if self.is_over or isinstance(outcome, Unsettled):
            return [(work, outcome)]
        if isinstance(work, Request | Rejected) and isinstance(outcome, Rejected) and self._holds_back(work):
            self._held_back.append((work, outcome))
            if isinstance(work, Request):
                self._rejections.append(outcome)
            return []
        # An unchanged row was accepted before, with this mapping.
        self.is_over = not isinstance(work, Rejected)
        return [*self.release(), (work, outcome)]

    def _holds_back(self, work: Request | Rejected) -> bool:
        # A row that the check rejected proves nothing, but must not overtake an earlier row of its person.
        return isinstance(work, Request) or bool(self._held_back)

    def release(self) -> list[WorkOutcome]:
        """Return what is held back, in its order, and clear it."""
        held_back, self._held_back = self._held_back, []
        return list(held_back)
