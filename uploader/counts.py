"""Count what became of the rows."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import assert_never

from uploader.model import (
    Failed,
    Outcome,
    OutcomeKind,
    Reason,
    Rejected,
    Sent,
    Superseded,
    Unchanged,
    Unsettled,
    record_of,
)

PLACES = 3
"""How many rows are kept as examples of one problem."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows of one source, with the names and the order of the summary.

    *read* counts all rows, *not_attempted* those without an outcome. The others count the kinds of outcomes.
    """

    read: int = 0
    sent: int = 0
    unchanged: int = 0
    superseded: int = 0
    rejected: int = 0
    failed: int = 0
    not_attempted: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Return the sum of both counts."""
        return Counts(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    @property
    def settled(self) -> int:
        """How many rows have an outcome."""
        return self.sent + self.unchanged + self.superseded + self.rejected + self.failed

    @property
    def not_accepted(self) -> int:
        """How many rows were rejected or failed."""
        return self.rejected + self.failed

    @property
    def balances(self) -> bool:
        """Whether the counts add up: every row read has an outcome or was not attempted."""
        return self.read == self.settled + self.not_attempted

    def not_sent(self) -> dict[OutcomeKind, int]:
        """Return the number of rows without a request, by kind, without kinds that have none."""
        found: dict[OutcomeKind, int] = {Unchanged.kind: self.unchanged, Superseded.kind: self.superseded}
        return {kind: count for kind, count in found.items() if count}


@dataclass(slots=True)
class Problem:
    """One reason why rows were not accepted: how many, and the first of them as (row number, line)."""

    count: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)

    def add(self, number: int, line: int) -> None:
        """Count row *number*, which starts on *line* (0: unknown)."""
        self.count += 1
        if len(self.places) < PLACES:
            self.places.append((number, line))


class Problems:
    """The reasons why rows were not accepted, each with its count and first places."""

    def __init__(self) -> None:
        """Start with none."""
        self._found: dict[Reason, Problem] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._found)

    def note(self, outcome: Failed | Rejected) -> None:
        """Count *outcome* under its reason."""
        record = record_of(outcome)
        self.add(outcome.reason, record.number, record.line)

    def add(self, reason: Reason, number: int, line: int = 0) -> None:
        """Count row *number*, which starts on *line* (0: unknown), under *reason*."""
        self._found.setdefault(reason, Problem()).add(number, line)

    def facts(self) -> list[Mapping[str, object]]:
        """Return the reasons with their counts and first places as plain data, without a value of any row."""
        return [
            {
                "code": reason.code,
                "reason": reason.phrase,
                "rows": problem.count,
                "first": [{"row": number, "line": line or None} for number, line in problem.places],
            }
            for reason, problem in self.most_frequent()
        ]

    def most_frequent(self) -> list[tuple[Reason, Problem]]:
        """Return the reasons with their problems, the most frequent first."""
        return sorted(self._found.items(), key=lambda item: -item[1].count)


@dataclass(slots=True)
class OutcomeCounts:
    """How many rows have each kind of outcome so far."""

    sent: int = 0
    unchanged: int = 0
    superseded: int = 0
    rejected: int = 0
    failed: int = 0

    def counts(self, *, read: int, not_attempted: int | None = None) -> Counts:
        """Return the counts of a source with *read* rows; if *not_attempted* is None, it is all other rows."""
        found = Counts(read, *astuple(self))
        return replace(found, not_attempted=read - found.settled if not_attempted is None else not_attempted)


@dataclass(slots=True)
class RunningCounts:
    """The running counts of the rows of one source; `add` takes each outcome once.

    *unsure* holds the rows that may have been sent twice.
    """

    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    unsure: set[int] = field(default_factory=set)
    problems: Problems = field(default_factory=Problems)

    def add(self, outcome: Outcome | Unsettled) -> None:
        """Count the *outcome* of one row."""
        match outcome:
            case Sent():
                self.outcomes.sent += 1
            case Unchanged():
                self.outcomes.unchanged += 1
                return
            case Superseded():
                self.outcomes.superseded += 1
            case Failed():
                self.outcomes.failed += 1
                self.problems.note(outcome)
            case Rejected():
                self.outcomes.rejected += 1
                self.problems.note(outcome)
            case Unsettled():
                pass
            case _ as never:
                assert_never(never)
        if outcome.unsure:
            self.unsure.add(record_of(outcome).number)


@dataclass(slots=True)
class Traffic:
    """The running counts of the requests of a run: all, *retries* of a row, and *limited* (throttled) ones."""

    requests: int = 0
    retries: int = 0
    limited: int = 0

    def add_attempts(self, attempts: int) -> None:
        """Count the *attempts* of one row, of which all but the first are retries."""
        self.requests += attempts
        self.retries += max(0, attempts - 1)


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of one source: its rows, its requests, and for how many seconds all sending was paused.

    Of the *requests*, *registrations* are those of this process that registered people: they have a limit of their own.
    """

    counts: Counts
    requests: int
    paused_seconds: float
    registrations: int = 0
