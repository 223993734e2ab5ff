"""Count the values of one kind, with the first rows that have one."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Self

SHOWN: Final = 3
"""So many of the first rows are kept."""


@dataclass(slots=True)
class Occurrences:
    """How many values there are, and the first *rows* with one."""

    count: int = 0
    rows: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, row: int) -> Self:
        """Return those of one value, that of *row*."""
        return cls(1, [row])

    def add(self, others: "Occurrences") -> None:
        """Add *others*, of other rows, which need not come in their order."""
        self.count += others.count
        rows = self.rows
        if len(rows) < SHOWN or others.rows[0] < rows[-1]:
            self.rows = sorted([*rows, *others.rows])[:SHOWN]

    @property
    def places(self) -> str:
        """The rows in words: `row 3`, or `rows 3, 5, 9 and 2 more`."""
        if not self.rows:
            return f"{self.count:,} rows"
        if self.count == 1:
            return f"row {self.rows[0]:,}"
        more = self.count - len(self.rows)
        return f"rows {', '.join(f'{row:,}' for row in self.rows)}" + (f" and {more:,} more" if more else "")


def together(several: Iterable[Occurrences]) -> Occurrences:
    """Return the sum of *several*, of which no row is counted twice in one column."""
    found = list(several)
    rows = sorted({row for occurrences in found for row in occurrences.rows})[:SHOWN]
    return Occurrences(sum(occurrences.count for occurrences in found), rows)


def without(occurrences: Occurrences, others: Iterable[Occurrences]) -> Occurrences:
    """Return *occurrences* without the values of *others*, which it counts too."""
    found = list(others)
    passed = {row for other in found for row in other.rows}
    return Occurrences(
        occurrences.count - sum(other.count for other in found), [row for row in occurrences.rows if row not in passed]
    )
