"""Take those rows out of a batch that can be sent as they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uploader.batch import Batch
from uploader.mapping.mapped_batch import MappedBatch
from uploader.model import Person

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class GoodRows:
    """The good rows of a *batch*, as `MappedBatch` has them: their *numbers*, and the columns made of them.

    *table* holds their cells, of all columns of the batch. They are in the order of their numbers.
    """

    batch: Batch
    numbers: "pl.Series"
    table: "pl.DataFrame"
    identity: "pl.DataFrame"
    bodies: "pl.Series"

    @classmethod
    def of(cls, batch: Batch, mapped: MappedBatch) -> "GoodRows":
        """Return the good rows of *batch*, of which *mapped* was made."""
        good = mapped.good
        if good.all():
            return cls(batch, batch.numbers, batch.table, mapped.identity, mapped.bodies)
        kept = batch.table.filter(good), mapped.identity.filter(good), mapped.bodies.filter(good)
        return cls(batch, batch.numbers.filter(good), *kept)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.numbers)

    def persons(self) -> Iterator[Person]:
        """Yield the person of each row, the same as in its request."""
        return persons_of(self.identity)


def persons_of(identity: "pl.DataFrame") -> Iterator[Person]:
    """Return the person of each row of *identity*: a column of texts for each field, named by it."""
    columns = list(identity.iter_columns())
    if not any(column.null_count() for column in columns):
        # Most often: every row has every value.
        return zip(*((f"{column.name}=" + column).to_list() for column in columns), strict=True)
    return _persons_with_gaps(columns)


def _persons_with_gaps(columns: "Iterable[pl.Series]") -> Iterator[Person]:
    named = [(f"{column.name}=", column.to_list()) for column in columns]
    prefixes = [prefix for prefix, _ in named]
    for values in zip(*(column for _, column in named), strict=True):
        yield tuple([prefix + value for prefix, value in zip(prefixes, values, strict=True) if value is not None])
