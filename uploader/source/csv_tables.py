"""Split blocks of a CSV into columns of texts, and prove that nothing was altered.

polars drops, pads and merges what it does not expect, without an error. So a table that it makes counts only if it can
be written again as the block, byte for byte. What can't be proven so is split by the strict `csv.reader`.
"""

import csv
import gc
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from itertools import accumulate
from typing import Final

from uploader.source.csv_records import MOST_FIELD, MOST_RECORD
from uploader.source.one_thread import pl
from uploader.source.reader import Way
from uploader.source.unread_text import Cut, whole_lines

LINE_END: Final = r"\r\n|\r|\n"
"""Where a line of a CSV ends, as a regular expression."""

_LINE_ENDS: Final = re.compile(LINE_END)
_READ_FOR_STYLE: Final = 20
_MOST_MISSES: Final = 3
_TRIED_AGAIN_AFTER: Final = 16
_UNPACKED_BY_POLARS: Final = (b"x\x01", b"x^", b"x\xda")
"""How text may begin that polars takes for compressed data."""


@dataclass(frozen=True, slots=True)
class MisfitRecord:
    """A record that has another number of fields than the header: the *text* that it is, and how many it has.

    *record* and *line* are its place in the block, from 0.
    """

    record: int
    line: int
    text: str
    fields: int


@dataclass(frozen=True, slots=True)
class CsvTable:
    """The records of one block of whole lines: those in a *table* of texts, and the *misfits*.

    *records* are the places of the table's rows among all records of the block, *begins* the lines on which they begin,
    both from 0; None where each row is the next one. *blank* of the *lines* are blank, and *last* is the one on which
    the last record begins.
    """

    way: Way
    table: "pl.DataFrame"
    lines: int
    last: int
    blank: int = 0
    records: Sequence[int] | None = None
    begins: Sequence[int] | None = None
    misfits: Sequence[MisfitRecord] = ()

    @property
    def count(self) -> int:
        """How many records the block has."""
        return self.table.height + len(self.misfits)


@dataclass(frozen=True, slots=True)
class _ColumnStyle:
    """Whether a column has quotes around texts that need none, and around empty texts."""

    plain: bool = False
    empty: bool = False


@dataclass(slots=True)
class CsvTables:
    """Splits the blocks of one CSV, with its *delimiter* and its *columns*, by the first way that is proven.

    It keeps the style in which the latest block was written, and how often in a row no style was proven.
    """

    delimiter: str
    columns: tuple[str, ...]
    _styles: list[_ColumnStyle] = field(default_factory=list)
    _misses: int = 0

    def split(self, block: bytes) -> CsvTable | None:
        """Return the table of *block*; None where no way is proven.

        The block must be whole lines, the last one ended by a line feed, and begin where a record begins. What is
        returned ends where one ends.
        """
        if b"\0" in block or len(block) > MOST_RECORD:
            return None
        found = self._plain(block) if b'"' not in block else self._quoted(block)
        found = found or self._split(block)
        return None if found is None or _has_long_field(found.table) else found

    def _plain(self, block: bytes) -> CsvTable | None:
        """Return the table of *block*, which has no quotes."""
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
            if b"\r" in block:
                return None
        width = len(self.columns)
        if width == 1 and (block.startswith(b"\n") or b"\n\n" in block):
            # A blank line is no record, but it would be written again as it is.
            return None
        table = self._parsed(block, None)
        if table is None:
            return None
        lines = block.count(b"\n")
        # No text has a delimiter or a line end in it, as the block has just those that stand between the texts.
        if table.height != lines or block.count(self.delimiter.encode()) != (width - 1) * lines:
            return None
        is_proven = _is_written(block, [pl.all()], table, self.delimiter, b"\n")
        return CsvTable("plain", table, lines, lines - 1) if is_proven else None

    def _quoted(self, block: bytes) -> CsvTable | None:
        """Return the table of *block*, all of which is written in one style; None where it is not."""
        if self._misses >= _MOST_MISSES:
            # Most blocks of such a file have no one style.
            self._misses = (self._misses + 1) % _TRIED_AGAIN_AFTER
            return None
        table = self._parsed(block, '"')
        if table is not None and table.height:
            if self._styles and self._is_in_style(table, block):
                self._misses = 0
                return self._by_lines(table, block)
            before, self._styles = self._styles, _styles_of(block, self.delimiter, len(self.columns))
            if self._styles != before and self._is_in_style(table, block):
                self._misses = 0
                return self._by_lines(table, block)
        self._misses += 1
        return None

    def _is_in_style(self, table: "pl.DataFrame", block: bytes) -> bool:
        """Whether *table*, written in the style that was found, is *block*."""
        if len(self.columns) == 1 and not self._styles[0].empty and (table.to_series() == "").any():
            # It would be written as a blank line, which is no record.
            return False
        special = f'[{re.escape(self.delimiter)}"\r\n]'
        cells = [_cell(name, style, special) for name, style in zip(self.columns, self._styles, strict=True)]
        return _is_written(block, cells, table, self.delimiter, b"\r\n" if block.endswith(b"\r\n") else b"\n")

    def _by_lines(self, table: "pl.DataFrame", block: bytes) -> CsvTable:
        lines = _line_ends(block)
        return CsvTable("quoted", table, lines, lines - _lines_of(table.row(-1)))

    def _parsed(self, block: bytes, quote: str | None) -> "pl.DataFrame | None":
        """Return what polars makes of *block*: anything."""
        if block.startswith(_UNPACKED_BY_POLARS):
            return None
        try:
            return pl.read_csv(
                block,
                has_header=False,
                schema=dict.fromkeys(self.columns, pl.String),
                separator=self.delimiter,
                quote_char=quote,
                empty_string_is_null=False,
                infer_schema=False,
                extra_columns="raise",
                missing_columns="raise",
            )
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError):
            return None

    def _split(self, block: bytes) -> CsvTable | None:
        """Return what the strict `csv.reader` makes of *block*; None where it complains."""
        try:
            lines = StringIO(block.decode(), newline="").readlines()
        except UnicodeDecodeError:
            return None
        with _no_garbage_collection():
            try:
                rows = list(csv.reader(lines, delimiter=self.delimiter, strict=True))
            except csv.Error:
                return None
            begins = None if len(rows) == len(lines) else [0, *accumulate(map(_lines_of, rows))]
            if begins is not None and begins[-1] != len(lines):
                return None
            width = len(self.columns)
            if all(len(row) == width for row in rows):
                last = len(rows) - 1 if begins is None else begins[-2]
                return CsvTable("split", self._table(rows), len(lines), last, begins=begins)
            return self._sorted_out(rows, lines, begins or range(len(lines) + 1))

    def _sorted_out(self, rows: list[list[str]], lines: list[str], begins: Sequence[int]) -> CsvTable:
        """Return the table of the *rows* that fit, and the other ones; *begins* are the lines on which they begin."""
        width = len(self.columns)
        records = [at for at, row in enumerate(rows) if row]
        misfits = [
            MisfitRecord(record, begins[at], _text(lines[begins[at] : begins[at + 1]]), len(rows[at]))
            for record, at in enumerate(records)
            if len(rows[at]) != width
        ]
        fitting = [(record, at) for record, at in enumerate(records) if len(rows[at]) == width]
        return CsvTable(
            "split",
            self._table([rows[at] for _, at in fitting]),
            len(lines),
            begins[records[-1]] if records else -1,
            len(rows) - len(records),
            [record for record, _ in fitting],
            [begins[at] for _, at in fitting],
            misfits,
        )

    def _table(self, rows: list[list[str]]) -> "pl.DataFrame":
        columns = zip(*rows, strict=True) if rows else ([] for _ in self.columns)
        return pl.DataFrame(
            [pl.Series(name, values, dtype=pl.String) for name, values in zip(self.columns, columns, strict=True)]
        )


def whole_records(most_lines: int) -> Cut:
    """Return a function that cuts a block of at most *most_lines* lines where a record seems to end.

    That is after a line feed with an even number of quotes before it; after the last one, where the other would leave
    most of the text. Either may be within a record, which does not matter: such a block is not proven.
    """
    cut_lines = whole_lines(most_lines)

    def find(text: bytes) -> int:
        end = cut_lines(text)
        # To find none is much faster than to count none.
        even, is_odd = end, b'"' in text and text.count(b'"', 0, end) % 2
        while is_odd and even:
            before = text.rfind(b"\n", 0, text.rfind(b'"', 0, even)) + 1
            is_odd ^= text.count(b'"', before, even) % 2
            even = before
        return even if 2 * even > end else end

    return find


def _is_written(block: bytes, cells: "list[pl.Expr]", table: "pl.DataFrame", delimiter: str, end: bytes) -> bool:
    """Whether *block* is text, and *table* is written so when each column is as one of *cells* writes it."""
    try:
        # polars refuses bytes that are no text here, as Python does.
        text = pl.Series([block.removesuffix(end)], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.PolarsError:
        return False
    written = pl.concat_str(cells, separator=delimiter).str.join(end.decode())
    return table.select(written == pl.lit(text)).item() is True


def _cell(name: str, style: _ColumnStyle, special: str) -> "pl.Expr":
    """Return how the column called *name* is written in *style*, where texts with what is *special* need quotes."""
    column = pl.col(name)
    quoted = pl.concat_str(pl.lit('"'), column.str.replace_all('"', '""', literal=True), pl.lit('"'))
    if style.plain and style.empty:
        return quoted
    needs_quotes = column.str.contains(special)
    if style.plain:
        needs_quotes = column != ""
    elif style.empty:
        needs_quotes |= column == ""
    return pl.when(needs_quotes).then(quoted).otherwise(column)


def _styles_of(block: bytes, delimiter: str, width: int) -> list[_ColumnStyle]:
    """Return the style of each of the *width* columns, as the first records of *block* show it."""
    text = block[:MOST_FIELD].decode(errors="ignore")
    mark = re.escape(delimiter)
    cell = re.compile(f'(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<bare>[^{mark}"\r\n]*))(?:{mark}|(?P<end>\r?\n))')
    seen: list[dict[bool, bool]] = [{} for _ in range(width)]
    at = column = records = 0
    while records < _READ_FOR_STYLE and (found := cell.match(text, at)):
        at = found.end()
        quoted = found["quoted"]
        value = found["bare"] if quoted is None else quoted
        if column < width and re.search(f'[{mark}"\r\n]', value) is None:
            seen[column].setdefault(value == "", quoted is not None)
        is_end = found["end"] is not None
        column = 0 if is_end else column + 1
        records += is_end
    return [_ColumnStyle(plain := one.get(False, False), one.get(True, plain)) for one in seen]


def _has_long_field(table: "pl.DataFrame") -> bool:
    lengths = table.select(pl.max_horizontal(pl.all().str.len_bytes().max())).item()
    return lengths is not None and lengths > MOST_FIELD


def _line_ends(block: bytes) -> int:
    returns = block.count(b"\r")
    return block.count(b"\n") + (returns - block.count(b"\r\n") if returns else 0)


def _lines_of(fields: Sequence[str]) -> int:
    """Return how many lines a record of these *fields* takes."""
    return 1 + sum(len(_LINE_ENDS.findall(text)) for text in fields if "\n" in text or "\r" in text)


def _text(lines: list[str]) -> str:
    return "".join(lines).removesuffix("\n").removesuffix("\r")


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Look for no garbage: among the lists of many records that takes as long as the rest."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
