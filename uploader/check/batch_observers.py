"""Watch the check of a source that is read in batches."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from uploader.batch import Batch
from uploader.mapping.good_rows import GoodRows
from uploader.mapping.mapped_batch import MappedBatch
from uploader.model import Person, Record, Rejected, Request

RowObserver: TypeAlias = Callable[[Record, Request | Rejected], None]
"""Watches a check record by record. In a check of batches, it gets every record as well, which takes much longer."""

MapBatch: TypeAlias = Callable[[Batch], MappedBatch]
"""Maps the table of a batch."""


@runtime_checkable
class BatchObserver(Protocol):
    """Watches a check record by record, and is content with good rows all at once.

    In a check of batches it first gets the records of a batch that are not good rows, in their order, and then the good
    rows of the batch (`add_good`), of which there may be none. A batch of which it `wants_rows` comes as records only.
    """

    def __call__(self, record: Record, work: Request | Rejected) -> None:
        """Take one record, and its request or rejection."""

    def wants_rows(self, batch: Batch) -> bool:
        """Whether it must have each record of *batch*."""

    def add_good(self, good: GoodRows) -> None:
        """Take the good rows of a batch."""


@runtime_checkable
class PeopleObserver(BatchObserver, Protocol):
    """Watches only whom each record is about: in a check record by record, it gets the people of many at once."""

    def add_people(self, people: Sequence[Person]) -> None:
        """Take the *people* of the next records, in their order."""


@dataclass(frozen=True, slots=True)
class NotGoodObserver:
    """Gives *observe* only the records of which something is to be said: no good rows of a batch."""

    observe: RowObserver

    def __call__(self, record: Record, work: Request | Rejected) -> None:
        """Pass on the record."""
        self.observe(record, work)

    def wants_rows(self, _batch: Batch) -> bool:
        """Return False: good rows say nothing."""
        return False

    def add_good(self, good: GoodRows) -> None:
        """Leave out the good rows."""


@dataclass(frozen=True, slots=True)
class NumberedObserver:
    """Gives *observe*, which needs only the records with these *numbers*, the batches that have some of them."""

    observe: RowObserver
    numbers: Container[int]

    def __call__(self, record: Record, work: Request | Rejected) -> None:
        """Pass on the record."""
        self.observe(record, work)

    def wants_rows(self, batch: Batch) -> bool:
        """Whether one of the numbers is in *batch*."""
        return any(number in self.numbers for number in range(batch.first, batch.first + batch.count))

    def add_good(self, good: GoodRows) -> None:
        """Leave out the good rows: none has one of the numbers."""
