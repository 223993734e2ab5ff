"""Tell a row that is blocked before it reaches the service from a run that is refused as a whole."""

from enum import Enum, auto
from typing import Final

from uploader.model import Became, Outcome, Request, Unsettled, Work, person_of, record_of

LONGEST: Final = 5
"""So many blocked rows in a row are no longer their own trouble."""


class _State(Enum):
    UNPROVEN = auto()
    """No reply of this run proves token, service ID and URL."""
    SERVED = auto()
    """A reply proves them, and no row was blocked since the last of these replies."""
    BLOCKED = auto()
    """Rows were blocked, and no reply since then says whose trouble it is."""
    REFUSED = auto()
    """So many rows in a row were blocked that it is the run's trouble."""


class Streak:
    """Count blocked rows in a row, and hold back what became of them until it is known whose trouble it is.

    A row is *blocked* when its request, sent alone, meets a reply that would refuse the whole run. The next reply that
    proves token, service ID and URL shows that the rows before it were blocked for what they hold. Then they are
    settled in their order. One streak serves all sources of a command, since they share token, service ID and URL.
    """

    def __init__(self) -> None:
        """Begin without a proof."""
        self._state = _State.UNPROVEN
        self._count = 0
        self._rows: list[int] = []
        self._what: set[str] = set()
        self._held_back: list[Became] = []
        self._freed: list[Became] = []

    @property
    def is_proven(self) -> bool:
        """Whether a reply of this run proves token, service ID and URL."""
        return self._state is not _State.UNPROVEN

    @property
    def is_open(self) -> bool:
        """Whether rows were blocked since the last reply that proves them."""
        return self._count > 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is held back, and the next outcome need not be."""
        return not self._rows and not self._freed

    @property
    def is_too_long(self) -> bool:
        """Whether it is the run that is refused."""
        return self._state is _State.REFUSED

    @property
    def told(self) -> str:
        """How many rows were blocked in a row, by what, and the first of them in this source."""
        what = " or ".join(sorted(self._what))
        return f"{self._count} rows in a row were answered with {what}, the first of them row {min(self._rows)}"

    def prove(self) -> None:
        """Take note that an earlier attempt of the run had a reply that proves token, service ID and URL."""
        if self._state is _State.UNPROVEN:
            self._state = _State.SERVED

    def note_good(self) -> None:
        """Take note of a reply that proves them now: what was blocked before was the rows' trouble."""
        self._state = _State.SERVED
        self._freed += self._held_back
        self._held_back.clear()
        self._forget_rows()
        self._count = 0

    def note_blocked(self, row: int, what: str) -> None:
        """Take note that *row* was blocked alone, by *what* (an HTTP status)."""
        self._count += 1
        self._rows.append(row)
        self._what.add(what)
        self._state = _State.BLOCKED if self._count < LONGEST else _State.REFUSED

    def note(self, work: Work, outcome: Outcome | Unsettled) -> list[Became]:
        """Return what may be settled, in its order, now that *outcome* became of *work*."""
        freed, self._freed = self._freed, []
        if not isinstance(outcome, Unsettled) and self._holds_back(work, outcome):
            self._held_back.append((work, outcome))
            return freed
        return [*freed, (work, outcome)]

    def _holds_back(self, work: Work, outcome: Outcome) -> bool:
        if isinstance(work, Request) and record_of(outcome).number in self._rows:
            return True
        # A later row must not be settled before an earlier one of its person.
        person = set(person_of(work))
        return any(not person.isdisjoint(person_of(earlier)) for earlier, _ in self._held_back)

    def release(self) -> list[Became]:
        """Return what is still held back at the end of a source, in its order.

        The count goes on: the rows of the next source may be blocked as well.
        """
        released = [*self._freed, *self._held_back]
        self._freed.clear()
        self._held_back.clear()
        self._forget_rows()
        return released

    def _forget_rows(self) -> None:
        self._rows.clear()
        self._what.clear()
