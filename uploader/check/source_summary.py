"""Count what a source holds before the first request is sent."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from uploader.batch import Batch, has_cells
from uploader.check.column_profile import ColumnProfile
from uploader.check.duplicate_identities import DuplicateIdentities
from uploader.check.joined_identities import JoinedIdentities, JoinedValue
from uploader.counts import Problems
from uploader.mapping import Plan, Repairs, resolves
from uploader.mapping.good_rows import GoodRows
from uploader.model import Damaged, Person, Record, Rejected, Request, Row

_FEW: Final = 20
"""Up to this many rejected rows never refuse a file, whatever their share (`limits.max_rejected`)."""

_FEW_ROWS: Final = 10

_PEOPLE_AT_ONCE: Final = 1_000
"""The people of so many rows are looked at together."""

_MOST_NAMES: Final = 10_000
"""About this many column names are collected; a file with more has data in its keys."""

AddPeople: TypeAlias = Callable[[Sequence[Person]], None]


@dataclass(slots=True)
class FoundColumns:
    """Which columns the rows have.

    *unseen* starts as the columns that the mapping reads, and ends as those that no row had. While some are unseen,
    *seen* collects the columns that rows do have, and *common* those that are in more than one row.
    """

    unseen: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    common: set[str] = field(default_factory=set)

    def add_row(self, fields: Mapping[str, object]) -> None:
        """Add the columns of one row."""
        paths = {column for column in self.unseen if "." in column and resolves(column, fields)}
        self.add_names({*fields, *paths})
        self.unseen.difference_update(fields, paths)

    def add_names(self, names: set[str]) -> None:
        """Add the *names* of columns that one row, or more than one, has."""
        if names <= self.common:
            return
        self.common |= names & self.seen
        if len(self.seen) < _MOST_NAMES:
            self.seen |= names


@dataclass(slots=True)
class ChangeCounts:
    """How many rows are of people *known* from earlier runs, and how many of them have *changed*."""

    known: int = 0
    changed: int = 0

    @property
    def unchanged(self) -> int:
        """How many rows equal what was accepted last of their person."""
        return self.known - self.changed


@dataclass(frozen=True, slots=True)
class DuplicateCount:
    """How many identity values are in more than one row; an estimate unless it *is_exact*."""

    count: int = 0
    is_exact: bool = True


@dataclass(slots=True)
class CheckSummary:
    """The totals of a whole source: how many records it has, how many can't be sent, and why.

    *warnings* are about rows that can be sent. *changes* is None if they are not compared with what was sent before,
    *column_profile* unless a baseline is wanted. *joined* are the identity values that would join different people,
    which *joined_identities* finds (None: not wanted).

    States: counting, while `count_rows` or `count_batches` reads; and final, at the end of the records, when it sets
    *repairs* and *duplicates*; *joined* is set after that.
    """

    columns: FoundColumns = field(default_factory=FoundColumns)
    read: int = 0
    rejected: int = 0
    damaged: int = 0
    problems: Problems = field(default_factory=Problems)
    warnings: Problems = field(default_factory=Problems)
    repairs: Repairs = field(default_factory=Repairs)
    column_profile: ColumnProfile | None = None
    changes: ChangeCounts | None = None
    duplicates: DuplicateCount = DuplicateCount()
    joined_identities: JoinedIdentities | None = None
    joined: list[JoinedValue] = field(default_factory=list)

    def count_rows(
        self,
        records: Iterable[Record],
        plan: Plan,
        now: str,
        *,
        add_people: Sequence[AddPeople] = (),
    ) -> Iterator[tuple[Record, Request | Rejected]]:
        """Count and yield each of *records* with its request or rejection by *plan*; at their end all counts are final.

        *now* is the time of the request in each body. *add_people* get whom the records are about, many at once.
        """
        duplicates, people, sendable_people = DuplicateIdentities(), list[Person](), list[Person]()
        add_people = [duplicates.add_rows, *add_people]
        for record in records:
            work = plan.map_row(record, now)
            self.add_row(record, work)
            people.append(work.person)
            if isinstance(work, Request):
                sendable_people.append(work.person)
                for reason in plan.suspect(work):
                    self.warnings.add(reason, record.number, record.line)
            if len(people) >= _PEOPLE_AT_ONCE:
                self._add_people(people, sendable_people, add_people)
            yield record, work
        self._add_people(people, sendable_people, add_people)
        self.repairs = plan.repairs.copy()
        self.duplicates = DuplicateCount(duplicates.count, is_exact=duplicates.are_exact)

    def _add_people(self, people: list[Person], sendable_people: list[Person], add_people: Sequence[AddPeople]) -> None:
        """Add the identity values of some rows, and empty both lists."""
        for add in add_people:
            add(people)
        if self.joined_identities is not None:
            self.joined_identities.add_rows(sendable_people)
        people.clear()
        sendable_people.clear()

    def add_row(self, record: Record, work: Request | Rejected) -> None:
        """Count *record*, and *work*, its request or rejection."""
        self.read += 1
        if self.column_profile is not None:
            self.column_profile.add_row(record, work)
        if isinstance(work, Rejected):
            self.rejected += 1
            self.problems.note(work)
        match record:
            case Row(fields=fields):
                if self.columns.unseen:
                    self.columns.add_row(fields)
            case Damaged():
                self.damaged += 1
            case _ as never:
                assert_never(never)

    def wants_rows(self, batch: Batch) -> bool:
        """Whether it must have each row of *batch*, since one of its columns, or of its keys, is new."""
        profile = self.column_profile
        if profile is not None and profile.wants_rows(batch):
            return True
        return has_cells(batch, self.columns.unseen.intersection(batch.table.columns))

    def add_good(self, good: GoodRows) -> None:
        """Count the good rows of a batch."""
        self.read += good.count
        if self.column_profile is not None:
            self.column_profile.add_good(good)
        if self.columns.unseen:
            times = {column.name: good.count - column.null_count() for column in good.table.iter_columns()}
            self.columns.add_names({name for name, count in times.items() if count})
            self.columns.add_names({name for name, count in times.items() if count > 1})

    @property
    def names(self) -> set[str]:
        """The column names that a message may show; among many rows, a key of only one may be a person's data."""
        return self.columns.common if self.read - self.damaged > _FEW_ROWS else self.columns.seen

    @property
    def sendable(self) -> int:
        """How many rows can be sent."""
        return self.read - self.rejected

    @property
    def to_send(self) -> int:
        """How many rows can be sent, without those that are unchanged."""
        return self.sendable - (0 if self.changes is None else self.changes.unchanged)

    def exceeds(self, max_rejected: float) -> bool:
        """Whether more than the share *max_rejected*, and more than a few rows, are rejected."""
        # Division is exact where it matters: 29 / 100 is 0.29, but 0.29 * 100 is slightly less than 29.
        return self.rejected > _FEW and self.rejected / self.read > max_rejected
