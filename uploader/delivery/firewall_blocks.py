"""Decide whether blocked rows are at fault themselves, or the whole run is refused."""

from collections import deque
from enum import Enum, auto
from typing import Final

from uploader.model import Outcome, Request, Unsettled, Work, WorkOutcome, frozen, person_of, record_of

LONGEST: Final = 5
"""After so many consecutive blocked rows the whole run counts as refused."""

_LATEST: Final = 1_024
"""How many requests are recorded: more than are ever in flight at once."""


@frozen
class FirstBlock:
    """When a row was first blocked: the times at which its request was *sent* and *replied* to; monotonic seconds."""

    sent: float
    replied: float


class _State(Enum):
    UNPROVEN = auto()
    """No reply of this run proves token, service ID and URL."""
    SERVED = auto()
    """A reply proves them, and no row was blocked since the last such reply."""
    BLOCKED = auto()
    """Rows were blocked, and no reply since then shows whether the rows or the run are at fault."""
    REFUSED = auto()
    """So many consecutive rows were blocked that the run is at fault."""


class BlockedRows:
    """Count consecutive blocked rows, and hold back their outcomes until the cause is known.

    A row is *blocked* when its request, sent alone, gets a reply that would refuse the whole run. The next reply that
    proves token, service ID and URL shows that the rows before it were blocked for their content. Then they are settled
    in their order. One count serves all sources of a command, since they share token, service ID and URL.

    Rows that are blocked together are tried alone later, one after another. So a row counts only if the service has not
    kept serving requests that were sent after that row's own.

    States: those of `_State`. A good reply leads from each to SERVED. The end of a source releases what is held back,
    and keeps the state.
    """

    def __init__(self) -> None:
        """Start without a proof, for a source that need not be named."""
        self._state = _State.UNPROVEN
        self._source = ""
        self._count = 0
        self._counted: list[int] = []
        self._rows: set[int] = set()
        self._served: deque[float] = deque(maxlen=_LATEST)
        self._blocked: deque[float] = deque(maxlen=_LATEST)
        self.add_served = self._served.append
        """Record when a request was sent whose reply proves them; called for nearly every row."""
        self._replies: set[str] = set()
        self._held_back: list[WorkOutcome] = []
        self._released: list[WorkOutcome] = []
        self.is_over = True
        """Whether nothing is held back, so that outcomes need no filter."""

    @property
    def is_proven(self) -> bool:
        """Whether a reply of this run proves token, service ID and URL."""
        return self._state is not _State.UNPROVEN

    @property
    def is_unresolved(self) -> bool:
        """Whether rows were blocked since the last reply that proves token, service ID and URL."""
        return self._state in {_State.BLOCKED, _State.REFUSED}

    @property
    def is_run_refused(self) -> bool:
        """Whether the whole run is refused."""
        return self._state is _State.REFUSED

    @property
    def description(self) -> str:
        """A text: how many consecutive rows were blocked, by which replies, and the first of those held back."""
        what, here = " or ".join(sorted(self._replies)), len(self._counted)
        row = f"row {min(self._counted)}{self._source and f' of {self._source}'}"
        if here == self._count:
            where = f"the first of them {row}"
        else:
            where = f"the last of them {row}" if here == 1 else f"the last {here} of them from {row} on"
        return f"{self._count} rows in a row were answered with {what}, {where}"

    @property
    def outcome_description(self) -> str:
        """A text: which of these rows count as rejected; those of earlier sources are settled."""
        here = len(self._counted)
        if here == self._count:
            return "None of them counts as rejected."
        which = "The last of them does" if here == 1 else f"The last {here} of them do"
        return f"{which} not count as rejected; those before, at the end of another source, do."

    def begin_source(self, source: str) -> None:
        """Record that the rows of *source* follow; "": it need not be named."""
        self._source = source

    def mark_proven(self) -> None:
        """Record that an earlier session of the run had a reply that proves token, service ID and URL."""
        if self._state is _State.UNPROVEN:
            self._state = _State.SERVED

    def add_good_reply(self) -> None:
        """Record a reply that proves them now: the rows that were blocked before are at fault."""
        self._state = _State.SERVED
        self._released += self._held_back
        self._held_back.clear()
        self._forget_rows()
        self.is_over = not self._released
        self._count = 0

    def add_first_block(self, block: FirstBlock) -> None:
        """Record that a row was blocked with others in flight: it is still to be tried alone."""
        self._blocked.append(block.sent)

    def clears(self, block: FirstBlock) -> bool:
        """Whether a request sent after the reply of *block* had a good reply: then that row is at fault."""
        return any(sent > block.replied for sent in self._served)

    def add_blocked(self, row: int, what: str, block: FirstBlock | None = None) -> None:
        """Record that *row* was blocked alone, by *what* (an HTTP status); *block* is when it was first blocked.

        It is held back even if it does not count: requests may overtake one another on their way.
        """
        self._rows.add(row)
        self.is_over = False
        if block is None or not self._was_served_after(block):
            self._count += 1
            self._counted.append(row)
            self._replies.add(what)
        self._state = _State.BLOCKED if self._count < LONGEST else _State.REFUSED

    def _was_served_after(self, block: FirstBlock) -> bool:
        """Whether requests sent after that of *block* had good replies, with fewer than five blocked ones to each."""
        served = sum(sent > block.sent for sent in self._served)
        blocked = sum(sent > block.sent for sent in self._blocked)
        return served > 0 and blocked < served * LONGEST

    def filter_outcome(self, work: Work, outcome: Outcome | Unsettled) -> list[WorkOutcome]:
        """Return what may be settled, in its order, now that *work* has its *outcome*."""
        released, self._released = self._released, []
        self.is_over = not self._rows
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

        The count is kept: the rows of the next source may be blocked as well.
        """
        released = [*self._released, *self._held_back]
        self._released.clear()
        self._held_back.clear()
        self._forget_rows()
        self.is_over = True
        return released

    def _forget_rows(self) -> None:
        self._rows.clear()
        self._counted.clear()
        self._replies.clear()
