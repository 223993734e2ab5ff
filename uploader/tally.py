"""Count what became of the rows."""

from dataclasses import dataclass, field
from typing import assert_never

from uploader.model import Failed, Outcome, Reason, Rejected, Sent, Superseded, Unchanged, Unsettled, record_of

PLACES = 3
"""How many rows are named as examples of one problem."""


@dataclass(slots=True)
class Problem:
    """One reason why rows were not accepted: how many, and the first of them as (row number, line)."""

    count: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)


class Problems:
    """What is wrong with rows, each reason with its count and first places."""

    def __init__(self) -> None:
        """Begin with none."""
        self._found: dict[Reason, Problem] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._found)

    def note(self, outcome: Failed | Rejected) -> None:
        """Count *outcome* under its reason."""
        record = record_of(outcome)
        self.add(outcome.reason, record.number, record.line)

    def add(self, reason: Reason, number: int, line: int = 0) -> None:
        """Count row *number*, which begins on *line* (0: unknown), under *reason*."""
        problem = self._found.setdefault(reason, Problem())
        problem.count += 1
        if len(problem.places) < PLACES:
            problem.places.append((number, line))

    def most_frequent(self) -> list[tuple[Reason, Problem]]:
        """Return the reasons with their problems, the most frequent first."""
        return sorted(self._found.items(), key=lambda item: -item[1].count)


@dataclass(slots=True)
class Tally:
    """The running counts of one source's rows; `note` takes each outcome once.

    *unsure* are the rows that may have been sent twice.
    """

    sent: int = 0
    unchanged: int = 0
    superseded: int = 0
    rejected: int = 0
    failed: int = 0
    unsure: set[int] = field(default_factory=set)
    problems: Problems = field(default_factory=Problems)

    @property
    def settled(self) -> int:
        """How many rows have an outcome."""
        return self.sent + self.unchanged + self.superseded + self.rejected + self.failed

    def note(self, outcome: Outcome | Unsettled) -> None:
        """Count the *outcome* of one row."""
        match outcome:
            case Sent():
                self.sent += 1
            case Unchanged():
                self.unchanged += 1
                return
            case Superseded():
                self.superseded += 1
            case Failed():
                self.failed += 1
                self.problems.note(outcome)
            case Rejected():
                self.rejected += 1
                self.problems.note(outcome)
            case Unsettled():
                pass
            case _ as never:
                assert_never(never)
        if outcome.unsure:
            self.unsure.add(record_of(outcome).number)


@dataclass(slots=True)
class Traffic:
    """The running counts of one run's requests: all, those that were not a row's first, and the limit's replies."""

    requests: int = 0
    retries: int = 0
    limited: int = 0


@dataclass(frozen=True, slots=True)
class Books:
    """What became of every row of one source, for the summary: the contract's numbers."""

    read: int
    sent: int = 0
    unchanged: int = 0
    superseded: int = 0
    rejected: int = 0
    failed: int = 0
    not_attempted: int = 0

    @property
    def balance(self) -> bool:
        """Whether every row that was read is accounted for."""
        known = self.sent + self.unchanged + self.superseded + self.rejected + self.failed + self.not_attempted
        return self.read == known
