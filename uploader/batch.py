"""Hold many records of a source at once, as columns."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
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


def has_cells(batch: Batch, names: Iterable[str]) -> bool:
    """Whether some row of the table of *batch* has a value in one of its columns *names*, or a JSON null."""
    table = batch.table
    return any(table[name].null_count() < table.height for name in names)
