"""Hold many records of a source at once, as columns."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from typing import TYPE_CHECKING, Literal, TypeAlias

from uploader.model import Record, Row

if TYPE_CHECKING:
    import polars as pl

CellForm: TypeAlias = Literal["text", "json", "typed"]
"""What a cell of a table is: the text of a CSV field, the token of a JSON value, or a value of polars' own type."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of a source from number *first* on, *count* of them: those in a *table*, and the *others*.

    The columns of *table* are named as the keys of `Row.fields`. In the form "text" each cell is a text, in "json" the
    JSON as it is written (null: the record has no such key), in "typed" a value of the column's own type. *numbers* are
    the record numbers of the table's rows, ascending. *others* are the records that only the row-by-row reader could
    split, or found damaged, ascending as well.
    """

    first: int
    count: int
    table: "pl.DataFrame"
    form: CellForm
    numbers: "pl.Series"
    others: list[Record] = field(repr=False)
    _row: Callable[[int], Row] = field(repr=False)

    def row(self, at: int) -> Row:
        """Return the row at the place *at* of the table (from 0), the same as reading row by row makes."""
        return self._row(at)


class LateRow(Row):
    """The row at the place *at* of the table of a *batch*; what it holds is made when it is asked for first.

    It has an origin of its own only in a retry file, whose rows are in no table.
    """

    __slots__ = ("_at", "_batch", "_made")

    def __init__(self, number: int, batch: Batch, at: int) -> None:
        """Stand for the row with this *number*."""
        # The other fields of a row are properties here.
        self.number = number  # type: ignore[misc] # a record that is never changed, while it is made
        self.retry_of = None  # type: ignore[misc] # as above
        self._batch = batch
        self._at = at
        self._made: Row | None = None

    @property
    def fields(self) -> Mapping[str, object]:
        """Its values by their columns."""
        return self._row().fields

    @property
    def line(self) -> int:
        """The line on which it starts."""
        return self._row().line

    @property
    def text(self) -> str:
        """The text of a JSON object."""
        return self._row().text

    def __eq__(self, other: object) -> bool:
        """Whether *other* is the same row, made or not."""
        return self._row() == (other._row() if isinstance(other, LateRow) else other)

    def __hash__(self) -> int:
        """Return the hash of its number."""
        return hash(self.number)

    def __reduce__(self) -> tuple[type[Row], tuple[object, ...]]:
        """Become a row that is made, in another place."""
        row = self._row()
        return Row, (row.number, row.fields, row.line, row.text, row.retry_of)

    def _row(self) -> Row:
        if self._made is None:
            self._made = self._batch.row(self._at)
        return self._made


def records_of(batch: Batch, places: Iterable[int] | None = None) -> Iterator[Record]:
    """Yield the rows at *places* of the table of *batch* (None: all), and its other records, by their numbers."""
    rows = map(batch.row, range(batch.table.height) if places is None else places)
    return merge(rows, batch.others, key=lambda record: record.number)


def has_cells(batch: Batch, names: Iterable[str]) -> bool:
    """Whether some row of the table of *batch* has a value in one of its columns *names*, or a JSON null."""
    table = batch.table
    return any(table[name].null_count() < table.height for name in names)
