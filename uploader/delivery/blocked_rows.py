"""Tell a row that is blocked before it reaches the service from a run that is refused as a whole."""

from collections import deque
from enum import Enum, auto
from typing import Final

from uploader.model import Outcome, Request, Unsettled, Work, WorkOutcome, frozen, person_of, record_of

LONGEST: Final = 5
"""So many blocked rows in a row are no longer their own trouble."""

_LATEST: Final = 1_024
"""So many requests are remembered: more than are ever in flight at once."""


@frozen
class FirstBlock:
    """When a row was blocked first: its request was *sent*, and the reply *replied*; monotonic seconds."""

    sent: float
    replied: float


class _State(Enum):
    UNPROVEN = auto()
    """No reply of this run proves token, service ID and URL."""
    SERVED = auto()
    """A reply proves them, and no row was blocked since the last of these replies."""
    BLOCKED = auto()
    """Rows were blocked, and no reply since then says whose trouble it is."""
    REFUSED = auto()
    """So many rows in a row were blocked that it is the run's trouble."""


class BlockedRows:
    """Count blocked rows in a row, and hold back what became of them until it is known whose trouble it is.

    A row is *blocked* when its request, sent alone, meets a reply that would refuse the whole run. The next reply that
    proves token, service ID and URL shows that the rows before it were blocked for what they hold. Then they are
    settled in their order. One streak serves all sources of a command, since they share token, service ID and URL.

    Rows that are blocked together are tried alone one after another, so the order of these tries says nothing of what
    lies between them. So a row counts only when the service did not go on taking requests sent after that row's own.

    States: `_State` names them: unproven, served, blocked, refused. A good reply leads to served from each of them; at
    the end of a source what is held back is released, and the state stays.
    """

    def __init__(self) -> None:
        """Begin without a proof, for a source that need not be named."""
        self._state = _State.UNPROVEN
        self._source = ""
        self._count = 0
        self._counted: list[int] = []
        self._rows: set[int] = set()
        self._served: deque[float] = deque(maxlen=_LATEST)
        self._blocked: deque[float] = deque(maxlen=_LATEST)
        self.add_served = self._served.append
        """Take note of when a request was sent that had a reply that proves them; called for nearly every row."""
        self._replies: set[str] = set()
        self._held_back: list[WorkOutcome] = []
        self._released: list[WorkOutcome] = []

    @property
    def is_proven(self) -> bool:
        """Whether a reply of this run proves token, service ID and URL."""
        return self._state is not _State.UNPROVEN

    @property
    def is_unresolved(self) -> bool:
        """Whether rows were blocked since the last reply that proves them."""
        return self._state in {_State.BLOCKED, _State.REFUSED}

    @property
    def is_over(self) -> bool:
        """Whether nothing is held back, and the next outcome need not be."""
        return not self._rows and not self._released

    @property
    def is_run_refused(self) -> bool:
        """Whether it is the run that is refused."""
        return self._state is _State.REFUSED

    @property
    def description(self) -> str:
        """How many rows were blocked in a row, by what, and the first of them that is held back."""
        what, here = " or ".join(sorted(self._replies)), len(self._counted)
        row = f"row {min(self._counted)}{self._source and f' of {self._source}'}"
        if here == self._count:
            where = f"the first of them {row}"
        else:
            where = f"the last of them {row}" if here == 1 else f"the last {here} of them from {row} on"
        return f"{self._count} rows in a row were answered with {what}, {where}"

    @property
    def outcome_description(self) -> str:
        """What becomes of these rows: those of the sources before this one are settled."""
        here = len(self._counted)
        if here == self._count:
            return "None of them counts as rejected."
        which = "The last of them does" if here == 1 else f"The last {here} of them do"
        return f"{which} not count as rejected; those before, at the end of another source, do."

    def begin_source(self, source: str) -> None:
        """Take note that the rows of *source* come now; "": it need not be named."""
        self._source = source

    def mark_proven(self) -> None:
        """Take note that an earlier attempt of the run had a reply that proves token, service ID and URL."""
        if self._state is _State.UNPROVEN:
            self._state = _State.SERVED

    def add_good_reply(self) -> None:
        """Take note of a reply that proves them now: what was blocked before was the rows' trouble."""
        self._state = _State.SERVED
        self._released += self._held_back
        self._held_back.clear()
        self._forget_rows()
        self._count = 0

    def add_first_block(self, block: FirstBlock) -> None:
        """Take note that a row was blocked, with others in flight: it is still to be tried alone."""
        self._blocked.append(block.sent)

    def clears(self, block: FirstBlock) -> bool:
        """Whether a request sent after *block* was heard of had a good reply: it is that row's own trouble."""
        return any(sent > block.replied for sent in self._served)

    def add_blocked(self, row: int, what: str, block: FirstBlock | None = None) -> None:
        """Take note that *row* was blocked alone, by *what* (an HTTP status); *block* is when it was so first.

        It is held back even where it does not count: requests may overtake one another on their way.
        """
        self._rows.add(row)
        if block is None or not self._was_served_after(block):
            self._count += 1
            self._counted.append(row)
            self._replies.add(what)
        self._state = _State.BLOCKED if self._count < LONGEST else _State.REFUSED

    def _was_served_after(self, block: FirstBlock) -> bool:
        """Whether requests sent after that of *block* had good replies, and no five blocked ones to each of them."""
        served = sum(sent > block.sent for sent in self._served)
        blocked = sum(sent > block.sent for sent in self._blocked)
        return served > 0 and blocked < served * LONGEST

    def filter_outcome(self, work: Work, outcome: Outcome | Unsettled) -> list[WorkOutcome]:
        """Return what may be settled, in its order, now that *outcome* became of *work*."""
        released, self._released = self._released, []
        if not isinstance(outcome, Unsettled) and self._holds_back(work, outcome):
            self._held_back.append((work, outcome))
            return released
        return [*released, (work, outcome)]

    def _holds_back(self, work: Work, outcome: Outcome) -> bool:
        if isinstance(work, Request) and record_of(outcome).number in self._rows:
            return True
        # A later row must not be settled before an earlier one of its person.
        person = set(person_of(work))
        return any(not person.isdisjoint(person_of(earlier)) for earlier, _ in self._held_back)

    def release(self) -> list[WorkOutcome]:
        """Return what is still held back at the end of a source, in its order.

        The count goes on: the rows of the next source may be blocked as well.
        """
        released = [*self._released, *self._held_back]
        self._released.clear()
        self._held_back.clear()
        self._forget_rows()
        return released

    def _forget_rows(self) -> None:
        self._rows.clear()
        self._counted.clear()
        self._replies.clear()
