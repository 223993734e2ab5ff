"""Find the identity values that stand beside many different people, in a file that is read in batches."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, TypeAlias

import polars as pl

from uploader.batch import Batch, records_of
from uploader.check.column_sieve import ColumnSieve, marks_of
from uploader.inference.different_values import are_keyed, decoded
from uploader.inference.occurrences import Occurrences
from uploader.inference.shared_values import FieldValues
from uploader.mapping.field_paths import root_of
from uploader.mapping.identity_hashes import hashes_of, identity_of
from uploader.mapping.rules import IdentityRule
from uploader.model import Row

ReadBatches: TypeAlias = Callable[[], AbstractContextManager[Iterable[Batch]]]
"""Reads the batches of a source once more."""

_SLOTS: Final = 1 << 20


class SharedInBatches:
    """Finds what `SharedValues` finds, in the same steps: a sieve of hashes, then the few rows that are left."""

    def __init__(self, rules: Sequence[IdentityRule], most: int) -> None:
        """Compare the identity fields of *rules*."""
        self._most = most
        self._fields = [FieldValues(rule) for rule in rules]
        self._sieve = ColumnSieve(most, _SLOTS)

    def find(self, read: ReadBatches) -> Mapping[str, Mapping[str, Occurrences]]:
        """Return for each identity field the spellings of its shared values, each with its rows."""
        if len(self._fields) < 2:  # noqa: PLR2004 — a value beside another one
            return {}
        with read() as batches:
            for batch in batches:
                for hashes in self._hashes(batch):
                    several = hashes.filter(pl.sum_horizontal(pl.all().is_not_null()) > 1)
                    self._add(several)
        if not self._sieve.has_candidates:
            return {}
        with read() as batches:
            for batch in batches:
                self._compare(batch)
        return {each.rule.field: each.shared(self._most) for each in self._fields}

    def _add(self, hashes: pl.DataFrame) -> None:
        marks = marks_of(hashes)
        values = pl.concat([column.alias("") for column in hashes.iter_columns()])
        of_persons = pl.concat([marks] * hashes.width)
        if values.null_count():
            values, of_persons = values.drop_nulls(), of_persons.filter(values.is_not_null())
        self._sieve.add(values, of_persons)

    def _hashes(self, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the hashes of the identity values in the table of *batch*, and of those in its other records."""
        table = pl.DataFrame([self._values(each, batch).alias(each.rule.field) for each in self._fields])
        others = [
            tuple(f"{each.rule.field}={value}" for each in self._fields if (value := each.value(record)))
            for record in batch.others
            if isinstance(record, Row)
        ]
        return hashes_of(table), hashes_of(identity_of(others, [each.rule.field for each in self._fields]))

    def _values(self, field: FieldValues, batch: Batch) -> pl.Series:
        """Return the value of *field* in each row of the table of *batch*, null for none."""
        name, table = field.rule.column, batch.table
        if name not in table.columns:
            if batch.form == "typed" and root_of(name) in table.columns:
                return _texts(field.value(batch.row(at)) for at in range(table.height))
            return pl.Series([None], dtype=pl.String).new_from_index(0, table.height)
        cells = table[name]
        if batch.form == "json":
            return _by_different(cells, lambda token: field.value_of(decoded(str(token))))
        if not are_keyed(cells) or cells.dtype.is_float():
            return _texts(field.value(batch.row(at)) for at in range(table.height))
        return _by_different(cells, field.value_of)

    def _compare(self, batch: Batch) -> None:
        """Compare what is beside the values in *batch* that pass the sieve."""
        in_table, in_others = map(self._passing, self._hashes(batch))
        rows = iter(in_others)
        passing = {
            **{int(batch.numbers[at]): fields for at, fields in enumerate(in_table) if fields},
            **{one.number: fields for one in batch.others if isinstance(one, Row) and (fields := next(rows))},
        }
        places = [at for at, fields in enumerate(in_table) if fields]
        for record in records_of(batch, places):
            if isinstance(record, Row) and record.number in passing:
                values = [each.value(record) for each in self._fields]
                for at in passing[record.number]:
                    self._fields[at].compare(record, at, values, self._most)

    def _passing(self, hashes: pl.DataFrame) -> list[list[int]]:
        """Return for each row of *hashes* the numbers of the fields whose values may be shared."""
        found: list[list[int]] = [[] for _ in range(hashes.height)]
        for number, column in enumerate(hashes.iter_columns()):
            passes = self._sieve.passes(column.fill_null(0)) & column.is_not_null()
            for at in passes.arg_true().to_list():
                found[at].append(number)
        return found


def _by_different(cells: pl.Series, read: Callable[[object], str]) -> pl.Series:
    """Return what *read* makes of each of *cells*, null for "" and for a null; it is called once for equal ones."""
    different = cells.drop_nulls().unique()
    if 2 * len(different) > len(cells):
        return _texts("" if cell is None else read(cell) for cell in cells.to_list())
    if different.is_empty():
        return pl.Series([None], dtype=pl.String).new_from_index(0, len(cells))
    return cells.replace_strict(different, _texts(map(read, different.to_list())), return_dtype=pl.String)


def _texts(values: Iterable[str]) -> pl.Series:
    return pl.Series([value or None for value in values], dtype=pl.String)
