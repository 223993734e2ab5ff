"""Send the first rows one by one, and stop where the service rejects all of them: then the mapping is wrong."""

from typing import TypeAlias

from uploader.model import Became, Outcome, Rejected, Request, Unsettled, Work

HeldBack: TypeAlias = tuple[Request | Rejected, Rejected]
"""A row, as it was to be sent or as the check rejected it, and what became of it."""


class Canary:
    """Hold back what becomes of the first rows until one of them is not rejected by the service.

    When *birds* of them in a row are rejected, the mapping is to blame and not the rows: they stay unsettled, so that
    they are sent again when it is mended.
    """

    def __init__(self, birds: int) -> None:
        """Watch the first *birds* rows that are sent; 0: none."""
        self._birds = birds
        self._held_back: list[HeldBack] = []
        self._rejections: list[Rejected] = []
        self.is_over = birds == 0

    @property
    def is_dead(self) -> bool:
        """Whether the service rejected as many rows as were watched."""
        return not self.is_over and len(self._rejections) >= self._birds

    @property
    def last(self) -> Rejected:
        """The service's latest rejection that is held back; raises IndexError where there is none."""
        return self._rejections[-1]

    def note(self, work: Work, outcome: Outcome | Unsettled) -> list[Became]:
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

    def release(self) -> list[Became]:
        """Return what was held back, in its order, and hold it back no more."""
        held_back, self._held_back = self._held_back, []
        return list(held_back)
