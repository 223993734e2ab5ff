"""Make the works of a source from its batches, in the order of its rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from operator import attrgetter
from typing import Final, NamedTuple, Protocol

import polars as pl

from uploader.batch import Batch, LateRow, records_of
from uploader.mapping.good_rows import persons_of
from uploader.mapping.mapped_batch import MappedBatch
from uploader.model import NoWork, Person, Record, Rejected, Request, Settled, UnchangedRange, Work

AT_ONCE: Final = 200_000
"""Of about so many rows it is found at once whether they are unchanged: each time, all digests are read."""

_WEIGHT: Final = 10
"""So many more rows of a table take the memory of a record."""


class SettledNumbers(Protocol):
    """The numbers of the rows that are settled."""

    def __len__(self) -> int:
        """Return how many they are."""

    def __contains__(self, number: int) -> bool:
        """Whether row *number* is settled."""


class _GoodRow(NamedTuple):
    """What a request of a good row is made of: its *number* and place, its person, and the body up to its time.

    *moment* is that time where a column gives it.
    """

    number: int
    at: int
    person: Person
    body: str
    moment: str | None


@dataclass(frozen=True, slots=True)
class MappedRows:
    """A *batch*, and what was *mapped* of it; *good* are the rows of its table that need no plan, and no other work.

    *settled* are the numbers of its rows that are settled, *left* the records that only the plan can map.
    """

    batch: Batch
    mapped: MappedBatch
    good: pl.Series
    settled: Sequence[int]
    left: Sequence[Record]

    @classmethod
    def of(cls, batch: Batch, mapped: MappedBatch, settled: SettledNumbers) -> "MappedRows":
        """Return the rows of *batch*, of which some may be *settled*."""
        good = mapped.good
        numbers = range(batch.first, batch.first + batch.count) if len(settled) else ()
        done = [number for number in numbers if number in settled]
        if not done:
            return cls(batch, mapped, good, done, [*records_of(batch, (~good).arg_true())])
        is_open = ~batch.numbers.is_in(pl.Series(done, dtype=pl.Int64).implode())
        places = (~good & is_open).arg_true()
        left = [record for record in records_of(batch, places) if record.number not in settled]
        return cls(batch, mapped, good & is_open, done, left)

    def works(
        self,
        unchanged: pl.Series | None,
        *,
        map_row: Callable[[Record, str], Request | Rejected],
        complete: Callable[[bytes, str], bytes],
        now: Callable[[], str],
    ) -> Iterator[Work | NoWork]:
        """Yield the works of all rows, each made when it is taken; *unchanged* are those of which none is made."""
        batch = self.batch
        following = batch.first
        for one in self._in_order(unchanged):
            number = one.number
            if number > following:
                yield UnchangedRange(following, number - 1)
            following = number + 1
            match one:
                case _GoodRow():
                    body = complete(one.body.encode(), one.moment or now())
                    yield Request(LateRow(number, batch, one.at), one.person, body)
                case Settled():
                    yield one
                case _:
                    yield map_row(one, now())
        if following < batch.first + batch.count:
            yield UnchangedRange(following, batch.first + batch.count - 1)

    def _in_order(self, unchanged: pl.Series | None) -> Iterator[_GoodRow | Settled | Record]:
        """Yield all rows but those that are *unchanged*, in their order."""
        batch, mapped = self.batch, self.mapped
        places = (self.good if unchanged is None else self.good & ~unchanged).arg_true()
        skipped = 0 if unchanged is None else int(unchanged.sum())
        # A row that is nowhere would be taken for an unchanged one.
        assert len(places) + skipped + len(self.settled) + len(self.left) == batch.count  # noqa: S101 — each row is once
        moments = [None] * len(places) if mapped.moments is None else mapped.moments.gather(places).to_list()
        good = map(
            _GoodRow,
            batch.numbers.gather(places).to_list(),
            places.to_list(),
            persons_of(mapped.identity[places]),
            mapped.bodies.gather(places).to_list(),
            moments,
        )
        return merge(good, map(Settled, self.settled), self.left, key=attrgetter("number"))


class FindUnchanged(Protocol):
    """Finds the rows of which no work has to be made, as nothing of what they say is new."""

    @property
    def is_wanted(self) -> bool:
        """Whether it may find some now."""

    def find(self, batches: Sequence[MappedRows]) -> Sequence[pl.Series]:
        """Return for each of *batches*, which are the next to be taken, which rows of its table are unchanged."""

    def record_taken(self, person: Person) -> None:
        """Record that the work of a row about *person* was taken."""


def works_of(  # noqa: PLR0913 — what makes works, and of what
    batches: Iterable[Batch],
    *,
    map_batch: Callable[[Batch], MappedBatch],
    map_row: Callable[[Record, str], Request | Rejected],
    complete: Callable[[bytes, str], bytes],
    now: Callable[[], str],
    settled: SettledNumbers,
    unchanged: FindUnchanged,
) -> Iterator[Work | NoWork]:
    """Yield the works of the rows of *batches*, each made at the time when it is taken.

    Good rows become requests as *map_batch* has them, each body made whole by *complete* (see `BodyFormat`), the others
    what *map_row* makes of them. What *batches* raises
    is raised after the works before it.
    """
    waiting: list[MappedRows] = []
    following, trouble = iter(batches), None
    while trouble is None:
        rows = 0
        try:
            while rows < AT_ONCE and (batch := next(following, None)) is not None:
                waiting.append(MappedRows.of(batch, map_batch(batch), settled))
                rows = rows + batch.count + _WEIGHT * len(waiting[-1].left) if unchanged.is_wanted else AT_ONCE
        except Exception as error:  # noqa: BLE001 — raised after the works before it are yielded
            trouble = error
        if not waiting:
            break
        found = unchanged.find(waiting) if unchanged.is_wanted else [None] * len(waiting)
        for batch_rows, of_batch in zip(waiting, found, strict=True):
            for work in batch_rows.works(of_batch, map_row=map_row, complete=complete, now=now):
                if isinstance(work, Request | Rejected):
                    unchanged.record_taken(work.person)
                yield work
        waiting.clear()
    if trouble is not None:
        raise trouble
