"""Find the different values of a column in a batch, each with its count and its first rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from typing import Final, TypeAlias

import polars as pl

from uploader.inference.occurrences import SHOWN, Occurrences
from uploader.mapping.json_tokens import value_of

Found: TypeAlias = tuple[object, Occurrences]
"""A value, and where it is."""

_DAY_OF: Final = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_FIRST_DAY: Final = -719_000
_LAST_DAY: Final = 2_932_000
"""The days from 1970 on that Python's dates surely hold."""


class ColumnCells:
    """The cells of a column in some rows, none of them null; *numbers* are those of the rows.

    It has one state.
    """

    def __init__(self, cells: pl.Series, numbers: pl.Series) -> None:
        """Find the different ones of *cells*, which `are_keyed`."""
        self._table = pl.DataFrame([cells.alias("cell"), numbers.alias("row")])
        self._keys = ["cell"]
        if cells.dtype.is_float():
            # -0.0 and 0.0 would be one.
            self._table = self._table.with_columns((1 / pl.col("cell") < 0).alias("sign"))
            self._keys = ["cell", "sign"]

    def found(self) -> list[Found]:
        """Return each value with its occurrences, in the order of their first rows."""
        table = self._table
        if not table.select(self._keys).is_duplicated().any():
            return [*zip(table["cell"].to_list(), map(Occurrences.of, table["row"].to_list()), strict=True)]
        several = table.group_by(self._keys, maintain_order=True).agg(
            pl.len().alias("count"), pl.col("row").head(SHOWN)
        )
        counts, rows = several["count"].to_list(), several["row"].to_list()
        return [*zip(several["cell"].to_list(), map(Occurrences, counts, rows), strict=True)]

    def by_rows(self) -> Iterator[tuple[int, int]]:
        """Yield each row, and the first row that has the same value."""
        first = self._table.select(pl.col("row").first().over(self._keys)).to_series()
        return zip(self._table["row"].to_list(), first.to_list(), strict=True)


class MergedValues:
    """The different values of a column in a batch: the *found* of its table, and those of single rows, *alone*.

    *by_rows* yields each row of the former and the first row with the same value. It has one state.
    """

    def __init__(
        self,
        found: list[Found],
        by_rows: Callable[[], Iterable[tuple[int, int]]],
        alone: Sequence[tuple[object, int]] = (),
    ) -> None:
        """Bring all into the order of their first rows."""
        self._by_rows = by_rows
        self._alone = alone
        self._found = found
        if alone:
            single = ((value, Occurrences.of(row)) for value, row in alone)
            self._found = sorted([*found, *single], key=lambda one: one[1].rows[0])

    def __iter__(self) -> Iterator[Found]:
        """Yield each value with its occurrences, in the order of their first rows."""
        return iter(self._found)

    def by_rows(self) -> Iterator[tuple[int, int]]:
        """Yield each row, in their order, and the number of its value among those, from 0."""
        number = {found.rows[0]: at for at, (_, found) in enumerate(self._found)}
        alone = ((row, row) for _, row in self._alone)
        rows = merge(self._by_rows(), alone) if self._alone else self._by_rows()
        # A value that was left out has no number.
        return ((row, number[first]) for row, first in rows if first in number)


def are_keyed(cells: pl.Series) -> bool:
    """Whether equal values of *cells* are one value, and Python holds each of them."""
    dtype = cells.dtype
    if isinstance(dtype, pl.Date):
        return _all_between(cells, _FIRST_DAY, _LAST_DAY)
    if isinstance(dtype, pl.Datetime):
        day = _DAY_OF[dtype.time_unit]
        # 64 bits of nanoseconds are less than these years.
        return dtype.time_unit == "ns" or _all_between(cells, _FIRST_DAY * day, _LAST_DAY * day)
    return isinstance(dtype, pl.String | pl.Boolean) or dtype.is_integer() or dtype.is_float()


def _all_between(cells: pl.Series, least: int, most: int) -> bool:
    return bool(cells.to_physical().is_between(least, most).all())


def are_held(cells: pl.Series) -> bool:
    """Whether Python holds all values of *cells* as they are, and they are not `are_keyed`."""
    if isinstance(cells.dtype, pl.Duration):
        return cells.dtype.time_unit != "ms" or _all_between(cells, -(8 * 10**16), 8 * 10**16)
    return not isinstance(cells.dtype, pl.Date | pl.Datetime)


def decoded(token: str) -> object:
    """Return the value of the JSON *token*; raises ValueError where only the reader of whole lines can."""
    return token[1:-1] if token.startswith('"') and "\\" not in token else value_of(token)
