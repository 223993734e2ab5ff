"""Profile the columns of a file that is read in batches, with the same result as row by row."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import polars as pl

from uploader.batch import Batch
from uploader.inference.column_profile import Column
from uploader.inference.different_values import ColumnCells, MergedValues, are_held, are_keyed, decoded
from uploader.inference.file_profile import FileProfile
from uploader.inference.occurrences import SHOWN, Occurrences
from uploader.model import OWN_COLUMNS, Record, is_mappable

_NULL: Final = "null"


class BatchProfile(FileProfile):
    """The profile of a file, to which `add_batch` adds all records of a batch.

    It has two states: between batches; and within one, where *alone* gathers the values that come one by one, with
    their rows, until they are added with all of their columns.
    """

    def __init__(self, columns: Sequence[str] | None, kinds: Mapping[str, str], *, null_is_empty: bool) -> None:
        """Profile *columns*, as `FileProfile` does."""
        super().__init__(columns, kinds, null_is_empty=null_is_empty)
        self._alone: dict[Column, list[tuple[object, int]]] = {}

    def add_batch(self, batch: Batch) -> None:
        """Add all records of *batch*."""
        self.rows += batch.count
        table, numbers = self._without_headers(batch)
        cells = {name: table[name] for name in table.columns if name not in OWN_COLUMNS and is_mappable(name)}
        cells = {name: column for name, column in cells.items() if column.null_count() < len(column)}
        self._add_others(batch.others, self._begun(cells, numbers))
        one_by_one: dict[str, Iterable[object]] = {}
        for name, column in cells.items():
            text = column.cast(pl.String) if isinstance(column.dtype, pl.Categorical | pl.Enum) else column
            if are_keyed(text):
                self._add_cells(batch, name, text, numbers)
            else:
                one_by_one[name] = _values_of(batch, column)
        for row, values in zip(numbers if one_by_one else (), zip(*one_by_one.values(), strict=True), strict=True):
            for name, value in zip(one_by_one, values, strict=True):
                self._add_value((name,), value, row)
        while self._alone:
            one, alone = self._alone.popitem()
            one.add_values(MergedValues([], lambda: (), alone))

    def _take_value(self, column: Column, value: object, row: int) -> None:
        self._alone.setdefault(column, []).append((value, row))

    def _without_headers(self, batch: Batch) -> tuple[pl.DataFrame, pl.Series]:
        """Return the table of *batch*, and the numbers of its rows, without those that are damaged."""
        table, numbers = batch.table, batch.numbers
        texts = [isinstance(dtype, pl.String | pl.Categorical | pl.Enum) for dtype in table.dtypes]
        if not self._are_fixed or not table.height or not all(texts):
            return table, numbers
        is_header = table.select(
            pl.all_horizontal(pl.col(name).cast(pl.String).eq_missing(pl.lit(name)) for name in table.columns)
        ).to_series()
        if not is_header.any():
            return table, numbers
        self.damaged += int(is_header.sum())
        return table.filter(~is_header), numbers.filter(~is_header)

    def _begun(self, cells: Mapping[str, pl.Series], numbers: pl.Series) -> list[tuple[int, str]]:
        """Return the columns of *cells* that no row had before, each with its first row, in the order of rows."""
        if self._are_fixed:
            return []
        new = [name for name in cells if (name,) not in self._columns and self._is_nameable(name)]
        firsts = [(numbers[cells[name].is_not_null().arg_max() or 0], name) for name in new]
        return sorted(firsts, key=lambda first: first[0])

    def _add_others(self, others: Iterable[Record], begun: Sequence[tuple[int, str]]) -> None:
        """Add the records that are in no table, and begin the columns of the table between them."""
        begins = iter([*begun, (0, "")])
        row, name = next(begins)
        for record in others:
            while name and row < record.number:
                self._begin(name)
                row, name = next(begins)
            self._add_record(record)
        while name:
            self._begin(name)
            _, name = next(begins)

    def _begin(self, name: str) -> None:
        if (name,) not in self._columns:
            self._column((name,))

    def _add_cells(self, batch: Batch, name: str, cells: pl.Series, numbers: pl.Series) -> None:
        """Add all *cells* of the column called *name*, of equal ones one, and what other rows have in it."""
        column = self._columns.get((name,))
        if column is None or not self._is_nameable(name):
            return
        if cells.null_count():
            cells, numbers = cells.drop_nulls(), numbers.filter(cells.is_not_null())
        if isinstance(cells.dtype, pl.String):
            is_blank = cells == ('""' if batch.form == "json" else "")
            if is_blank.any():
                column.gaps.has_empty_text = True
                cells, numbers = cells.filter(~is_blank), numbers.filter(~is_blank)
        if batch.form == "json":
            is_null = cells == _NULL
            if is_null.any():
                rows = numbers.filter(is_null)
                self._add_nulls(column, Occurrences(len(rows), rows.head(SHOWN).to_list()))
                cells, numbers = cells.filter(~is_null), numbers.filter(~is_null)
        different = ColumnCells(cells, numbers)
        found = different.found()
        if batch.form == "json":
            found = [(_decoded(str(token), batch, name, places), places) for token, places in found]
        column.add_values(MergedValues(found, different.by_rows, self._alone.pop(column, ())))


def _decoded(token: str, batch: Batch, name: str, places: Occurrences) -> object:
    """Return the value of *token* in the column called *name*, as the reader of single rows reads it."""
    try:
        return decoded(token)
    except ValueError:
        return batch.row(int(batch.numbers.search_sorted(places.rows[0]))).fields[name]


def _values_of(batch: Batch, column: pl.Series) -> Iterable[object]:
    """Return the values of *column* as those of rows: polars makes none of some that Python can't hold."""
    if are_held(column):
        with suppress(pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, OverflowError):
            return column.to_list()
    return (batch.row(at).fields[column.name] for at in range(batch.table.height))
