"""Stop the run if the service rejects all of the first rows: then the mapping is wrong."""

from typing import TypeAlias

from uploader.model import Outcome, Rejected, Request, Unsettled, Work, WorkOutcome

HeldBack: TypeAlias = tuple[Request | Rejected, Rejected]
"""A row, as a request or as the check rejected it, and its outcome."""


class Canary:
    """Hold back the outcomes of the first rows until the service does not reject one of them.

    If the first *rows* rows are all rejected, the mapping is at fault and not the rows. Then they stay unsettled, so
    that they are sent again after the mapping is fixed.
    """

    def __init__(self, rows: int) -> None:
        """Hold back the first *rows* rows that are sent; 0: none."""
        self._rows = rows
        self._held_back: list[HeldBack] = []
        self._rejections: list[Rejected] = []
        self.is_over = rows == 0

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
