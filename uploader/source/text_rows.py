"""Make the rows of a table of texts, as reading row by row makes them."""

from collections.abc import Callable, Sequence

from uploader.model import Row
from uploader.source.one_thread import pl

_FEW = 16
"""After so many rows, all rows of the table are taken from polars at once, which costs less than one by one."""


class TextRows:
    """The rows of a *table* of texts, each made when it is asked for; the columns are the keys of its fields."""

    def __init__(self, table: "pl.DataFrame", numbers: "pl.Series", lines: Callable[[], Sequence[int]]) -> None:
        """Make rows of *table* with these *numbers*; *lines* returns those on which they begin."""
        self._table = table
        self._numbers = numbers
        self._find_lines = lines
        self._lines: Sequence[int] | None = None
        self._rows: list[tuple[str, ...]] | None = None
        self._made = 0

    def __call__(self, at: int) -> Row:
        """Return the row at the place *at*."""
        if self._lines is None:
            self._lines = self._find_lines()
        self._made += 1
        if self._rows is None and self._made > _FEW:
            self._rows = self._table.rows()
        texts = self._table.row(at) if self._rows is None else self._rows[at]
        return Row(self._numbers[at], dict(zip(self._table.columns, texts, strict=True)), self._lines[at])
