"""Read each different value of a column once, by the code that reads rows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias

import polars as pl

from uploader.mapping.cleaning import StepName
from uploader.mapping.compiled_plan import LoneValue

ReadCell: TypeAlias = Callable[[object], LoneValue | None]
"""Reads one cell of a table; None where something has to be said about its row."""

ChangedRows: TypeAlias = tuple[pl.Series, tuple[StepName, ...]]
"""A mask of rows, and the cleaning steps that changed a value of each."""

ABSENT: Final = ""
"""The text of a value that adds nothing to its row: no JSON is empty."""

_DAY_OF: Final = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_FIRST: Final = (date(2, 1, 1) - date(1970, 1, 1)).days
_LAST: Final = (date(9998, 12, 31) - date(1970, 1, 1)).days

_MOST_KNOWN: Final = 30_000

_FEW: Final = 1000
"""So many different texts of a column are looked up in the next table before its different texts are sought."""


@dataclass(frozen=True, slots=True)
class ReadTexts:
    """A text for each row, `ABSENT` for nothing, null where the row is not certain; and which rows were cleaned."""

    texts: pl.Series
    changed: tuple[ChangedRows, ...] = ()


class UniqueValues:
    """Reads columns by *read*, which is called once for each different value, up to a bounded number of them.

    Columns that hold floats are read value by value: there -0.0 and 0.0 are one key.
    """

    def __init__(self, read: ReadCell) -> None:
        """Keep *read*; nothing is known yet."""
        self._read = read
        self._known: dict[object, LoneValue | None] = {}
        self._replacement = _Replacement([], [])

    def __call__(self, cells: pl.Series) -> ReadTexts:
        """Return what becomes of each of *cells*; of a null, null."""
        cells = _readable(cells)
        if not is_keyed(cells.dtype):
            return self._one_by_one(cells)
        if isinstance(cells.dtype, pl.String):
            return self._of_texts(cells)
        different = cells.drop_nulls().unique()
        found = self._found(different.to_list())
        texts = pl.Series([_text_of(one) for one in found], dtype=pl.String)
        # An empty list of values has no type that polars could replace.
        if not found:
            return ReadTexts(pl.Series([None], dtype=pl.String).new_from_index(0, len(cells)))
        made = cells.replace_strict(different, texts, return_dtype=pl.String)
        numbers = _numbered_changes(found)
        if not any(numbers.codes):
            return ReadTexts(made)
        codes = cells.replace_strict(different, pl.Series(numbers.codes, dtype=pl.UInt32), return_dtype=pl.UInt32)
        return ReadTexts(made, numbers.rows(codes))

    def _of_texts(self, cells: pl.Series) -> ReadTexts:
        """Return what `replace_strict` would make of texts, in a third of its time."""
        replacement = self._replacement
        places = replacement.places(cells)
        if places.null_count() > cells.null_count():
            different = cells.drop_nulls().unique().to_list()
            values = [*dict.fromkeys([*replacement.values, *different])]
            values = different if len(values) > _FEW else values
            replacement = _Replacement(values, self._found(values))
            self._replacement = replacement if len(values) <= _FEW else _Replacement([], [])
            places = replacement.places(cells)
        return replacement.replaced(places)

    def _one_by_one(self, cells: pl.Series) -> ReadTexts:
        found = [LoneValue(ABSENT) if cell is None else self._read(cell) for cell in cells.to_list()]
        texts = pl.Series([_text_of(one) for one in found], dtype=pl.String)
        made = pl.select(pl.when(cells.is_not_null()).then(texts)).to_series()
        numbers = _numbered_changes(found)
        return ReadTexts(made, numbers.rows(pl.Series(numbers.codes, dtype=pl.UInt32)))

    def _found(self, values: list[object]) -> list[LoneValue | None]:
        known, read = self._known, self._read
        if len(known) > _MOST_KNOWN:
            known.clear()
        found = []
        for value in values:
            if value in known:
                found.append(known[value])
            else:
                known[value] = one = read(value)
                found.append(one)
        return found


class _Replacement:
    """Replaces the texts *values* by what was *found* for each."""

    def __init__(self, values: list[str], found: list[LoneValue | None]) -> None:
        self.values = values
        self._places = pl.Enum(values)
        self._texts = pl.Series([_text_of(one) for one in found], dtype=pl.String)
        self._changes = _numbered_changes(found)
        self._numbers = pl.Series(self._changes.codes, dtype=pl.UInt32)

    def places(self, cells: pl.Series) -> pl.Series:
        """Return the place of each of *cells* among the values, null where it is none of them."""
        return cells.cast(self._places, strict=False).to_physical()

    def replaced(self, places: pl.Series) -> ReadTexts:
        """Return what the values at *places* become; of a null, null."""
        changed = self._changes.rows(self._numbers[places]) if any(self._changes.codes) else ()
        return ReadTexts(self._texts[places], changed)


def is_keyed(dtype: pl.DataType) -> bool:
    """Whether values of *dtype* are one where they are equal."""
    return isinstance(dtype, pl.String | pl.Boolean | pl.Date | pl.Datetime) or dtype.is_integer()


def _readable(cells: pl.Series) -> pl.Series:
    """Return *cells* with nulls for what Python can't hold, or no type of the API takes."""
    dtype = cells.dtype
    inner = dtype.inner if isinstance(dtype, pl.List | pl.Array) else dtype
    if isinstance(inner, pl.Date | pl.Datetime) and inner is dtype:
        days = 1 if isinstance(dtype, pl.Date) else _DAY_OF[dtype.time_unit]
        # 64 bits of nanoseconds are less than these years.
        rows = cells.to_physical().is_between(max(_FIRST * days, -(2**63)), min(_LAST * days, 2**63 - 1))
        return pl.select(pl.when(rows).then(cells)).to_series()
    if isinstance(inner, pl.String | pl.Boolean) or inner.is_integer() or inner.is_float():
        return cells
    return pl.Series([None], dtype=pl.String).new_from_index(0, len(cells))


@dataclass(frozen=True, slots=True)
class _NumberedChanges:
    """The different lists of *steps*, of which the first changed nothing; and for each value the number of its own."""

    steps: tuple[tuple[StepName, ...], ...]
    codes: list[int]

    def rows(self, codes: pl.Series) -> tuple[ChangedRows, ...]:
        """Return the rows of each list of steps, by the numbers of the rows' values."""
        return tuple((codes.eq(number).fill_null(value=False), steps) for number, steps in self._numbered())

    def _numbered(self) -> list[tuple[int, tuple[StepName, ...]]]:
        return [*enumerate(self.steps)][1:]


def _numbered_changes(found: list[LoneValue | None]) -> _NumberedChanges:
    numbers: dict[tuple[StepName, ...], int] = {(): 0}
    codes = [0 if one is None else numbers.setdefault(one.changed, len(numbers)) for one in found]
    return _NumberedChanges(tuple(numbers), codes)


def _text_of(found: LoneValue | None) -> str | None:
    return None if found is None else ABSENT if found.text is None else found.text
