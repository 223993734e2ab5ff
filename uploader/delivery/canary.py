"""Send the first rows one by one, and stop where the service rejects all of them: then the mapping is wrong."""

from typing import TypeAlias

from uploader.model import Outcome, Rejected, Request, Unsettled, Work, WorkOutcome

HeldBack: TypeAlias = tuple[Request | Rejected, Rejected]
"""A row, as it was to be sent or as the check rejected it, and what became of it."""


class Canary:
    """Hold back what becomes of the first rows until one of them is not rejected by the service.

    When *rows* of them in a row are rejected, the mapping is to blame and not the rows: they stay unsettled, so that
    they are sent again when it is mended.
    """

    def __init__(self, rows: int) -> None:
        """Watch the first *rows* rows that are sent; 0: none."""
        self._rows = rows
        self._held_back: list[HeldBack] = []
        self._rejections: list[Rejected] = []
        self.is_over = rows == 0

    @property
    def has_failed(self) -> bool:
        """Whether the service rejected as many rows as were watched."""
        return not self.is_over and len(self._rejections) >= self._rows

    @property
    def last_rejection(self) -> Rejected:
        """The service's latest rejection that is held back; raises IndexError where there is none."""
        return self._rejections[-1]

    def filter_outcome(self, work: Work, outcome: Outcome | Unsettled) -> list[WorkOutcome]:
        """Return what may be settled, in its order, now that *outcome* became of *work*."""
        if self.is_over or isinstance(outcome, Unsettled):
            return [(work, outcome)]
        if isinstance(work, Request | Rejected) and isinstance(outcome, Rejected) and self._holds_back(work):
            self._held_back.append((work, outcome))
            if isinstance(work, Request):
                self._rejections.append(outcome)
            return []
        # Whoever is unchanged was accepted before, with this mapping.
        self.is_over = not isinstance(work, Rejected)
        return [*self.release(), (work, outcome)]

    def _holds_back(self, work: Request | Rejected) -> bool:
        # What the check rejected says nothing of the service, but must not overtake an earlier row of its person.
        return isinstance(work, Request) or bool(self._held_back)

    def release(self) -> list[WorkOutcome]:
        """Return what was held back, in its order, and hold it back no more."""
        held_back, self._held_back = self._held_back, []
        return list(held_back)
