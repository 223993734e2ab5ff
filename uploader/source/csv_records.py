"""Split a CSV into records, as Python's strict `csv.reader` does."""

import csv
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from itertools import chain, islice

from uploader.errors import ChangedError, InputError
from uploader.model import Damaged, Reason, Row, alike, column_in_words, spoken_name
from uploader.source.byte_stream import ByteStream
from uploader.source.csv_header import column_names, refuse_bad_header
from uploader.source.csv_record_text import SHORT, CsvLines
from uploader.source.lines import LIMIT, DecodedText, UndecodedError, undecodable
from uploader.source.reader import PassEnd, Records, Suspicion
from uploader.source.retry_file_rows import has_retry_columns, record_maker

_NUL = Reason("nul", "the record holds a NUL character: remove it")
_QUOTES = Reason(
    "quotes",
    "a quoted field is followed by text instead of the delimiter: double the quotes that belong to the field",
)
_CTRL_Z = Reason(
    "ctrl_z", "the line holds nothing but a Ctrl-Z (character 1A), which programs of DOS put at the end: remove it"
)
_BLOCK = 4096
"""What copies and disks move at once: a file that was cut off often has a multiple of it."""
_LOOKED_AT = 50
"""Among so many records at most the header is searched."""
MOST_FIELD = 65_536
"""How many bytes a field may take in UTF-8."""
MOST_RECORD = 1_048_576
"""How many bytes a record may take in UTF-8, as it is written."""
_LONG_FIELD = Reason("field_size", f"a field takes more than 64 KiB ({MOST_FIELD:,} bytes in UTF-8): shorten it")
_LONG_RECORD = Reason("record_size", f"the record takes more than 1 MiB ({MOST_RECORD:,} bytes in UTF-8): shorten it")


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """The encoding and the delimiter of a CSV, and how many lines are above its header."""

    encoding: str
    delimiter: str
    skip_lines: int = 0


def csv_columns(stream: ByteStream, dialect: CsvDialect) -> tuple[str, ...]:
    """Return the names in the header of *stream*, each different; raises InputError when they can't name columns.

    A name that is missing or repeated is `unmappable`.
    """
    return CsvParser(stream, dialect, DecodedText(stream.blocks(), dialect.encoding)).header()


def csv_records(stream: ByteStream, dialect: CsvDialect, columns: tuple[str, ...]) -> Records:
    """Return the records below the header; blank lines are counted, but are no records.

    Raises InputError for what is wrong with the file as a whole: bytes that are no text, a quote that is never closed,
    a record longer than LIMIT, a truncated last record. Raises ChangedError when the header is no longer *columns*.
    """
    parser = CsvParser(stream, dialect, DecodedText(stream.blocks(), dialect.encoding))
    parser.refuse_other_header(columns)
    return parser.records(columns)


def lines_above_header(head: str, delimiter: str, names: Iterable[str]) -> int | None:
    """Return how many lines of *head*, the first text of a file, are above the record that has most of *names*.

    Names are compared by `alike`. None where no record has half of them.
    """
    wanted = set(map(alike, names))
    above, most, start = None, 0, 0
    lines = StringIO(head, newline="").readlines()
    reader = csv.reader(lines, delimiter=delimiter)
    with suppress(csv.Error):
        for fields in islice(reader, _LOOKED_AT):
            found = len(wanted.intersection(map(alike, fields)))
            if found > most and 2 * found >= len(wanted):
                above, most = start, found
            start = reader.line_num
    return above


@dataclass(frozen=True, slots=True)
class CsvPlace:
    """How much of a CSV was read: so many *lines*, of which some are *blank*, with so many *records*.

    *last* is the line on which the last record begins.
    """

    lines: int = 0
    blank: int = 0
    records: int = 0
    last: int = 0


class CsvParser:
    """A `csv.reader` that knows its line and the text of its record."""

    def __init__(
        self, stream: ByteStream, dialect: CsvDialect, texts: Iterable[str], after: CsvPlace | None = None
    ) -> None:
        """Read *texts*, those of *stream* from its begin, or *after* a place; there the header was read already."""
        # Above LIMIT, so that CsvLines raises first: its error names the line.
        csv.field_size_limit(4 * LIMIT)
        self._location = stream.location
        self._label = stream.location.label
        self._dialect = dialect
        skipped, self._after = (dialect.skip_lines, CsvPlace()) if after is None else (0, after)
        self._lines = CsvLines(self._label, texts, self._after.lines, skipped)
        self._odd_size = stream.location.packing is None and stream.trace.version[0] % _BLOCK == 0
        self._reader = csv.reader(chain.from_iterable(self._lines.lists()), delimiter=dialect.delimiter, strict=True)
        # Skipped lines are read as blank ones.
        self._blank_lines = self._after.blank - skipped
        self._number, self._begins = self._after.records, self._after.last

    @property
    def place(self) -> CsvPlace:
        """How much was read, up to the last record."""
        return CsvPlace(self._line, self._blank_lines, self._number, self._begins)

    @property
    def is_between_texts(self) -> bool:
        """Whether no line is left of the texts that were read, and the file has more of them."""
        return not (self._lines.has_more(self._line) or self._lines.cut_line or self._lines.ended)

    def unread(self) -> str:
        """Return the text after the last record that was read already."""
        return self._lines.unread(self._line)

    def header(self) -> tuple[str, ...]:
        """Return the first record, which names the columns."""
        try:
            header = next(filter(self._is_record, self._reader), None)
        except csv.Error:
            if self._lines.ended:
                raise self._unclosed("the header") from None
            raise InputError(f"{self._label}: in the header {_QUOTES.phrase}.") from None
        except UndecodedError as error:
            raise self._undecodable("the header", error) from None
        if header is None:
            below = " below the lines that source.skip_lines skips" if self._dialect.skip_lines else ""
            raise InputError(f"{self._label} has only blank lines{below}. Check how it was made.")
        end, lines = self._line, self._lines
        refuse_bad_header(self._label, header, lines.text(end), self._dialect.delimiter, lines.following(end))
        return column_names(header)

    def refuse_other_header(self, columns: tuple[str, ...]) -> None:
        """Read the header; raises ChangedError when it is not *columns*."""
        if self.header() != columns:
            raise ChangedError(f"{self._label}: its header changed since it was first read. Run again.")

    def records(self, columns: tuple[str, ...]) -> Records:
        """Yield the records after the header, and return how many blank lines there were, and what looks cut off."""
        lines, reader, width = self._lines, self._reader, len(columns)
        make = record_maker(is_retry=has_retry_columns(columns))
        number, before = self._number, self._after.lines
        while True:
            start = lines.start = before + reader.line_num
            try:
                fields = next(reader, None)
            except csv.Error:
                number = self._number = number + 1
                yield self._damaged(number, self._quotes(number))
                continue
            except UndecodedError as error:
                raise self._undecodable(f"row {number + 1}", error) from None
            if fields is None:
                return PassEnd(self._blank_lines, self._suspicion(columns[-1]))
            if not fields:
                self._blank_lines += 1
                continue
            number = self._number = number + 1
            self._begins = start + 1
            if len(fields) != width:
                yield self._damaged(number, self._misfit(number, len(fields), width))
                continue
            if lines.nul_seen and "\0" in lines.text(self._line):
                yield self._damaged(number, _NUL)
                continue
            record = make(number, dict(zip(columns, fields, strict=True)), start + 1, "")
            if (lines.long_seen or before + reader.line_num - start > 1) and isinstance(record, Row):
                fault = self._size_fault(fields)
                yield record if fault is None else self._damaged(number, fault)
            else:
                yield record

    @property
    def _line(self) -> int:
        """How many lines were read, up to the last record."""
        return self._after.lines + self._reader.line_num

    def _is_record(self, fields: list[str]) -> bool:
        if not fields:
            self._blank_lines += 1
            self._lines.start = self._line
        return bool(fields)

    def _damaged(self, number: int, reason: Reason) -> Damaged:
        return Damaged(number, reason, self._lines.start + 1, self._lines.text(self._line))

    def _quotes(self, number: int) -> Reason:
        if self._lines.ended:
            raise self._unclosed(f"record {number}") from None
        return _QUOTES

    def _misfit(self, number: int, found: int, expected: int) -> Reason:
        if found < expected and self._lines.is_unended(self._line):
            raise InputError(
                f"{self._label}: the last record (record {number}, line {self._lines.start + 1}) is incomplete: it has "
                f"{found} of {expected} fields and no line end. The file looks cut off; get the whole file, or end "
                "the line if it is meant so."
            )
        return misfit(self._lines.text(self._line), found, expected)

    def _suspicion(self, column: str) -> Suspicion | None:
        """Return what looks wrong if the last line has no end: a quote at its end shows that no value was cut."""
        cut = self._lines.cut_line
        if not self._number or not cut or cut.endswith('"'):
            return None
        size = (
            f" (the file's size is a multiple of {_BLOCK:,} bytes, which makes that likely)" if self._odd_size else ""
        )
        name = column_in_words(spoken_name(column), ())
        return Suspicion(
            Reason(
                "no_line_end",
                f"{name}: the last line has no line end, as all others have: if the file was cut off{size}, "
                "this value may be shortened, and rows may be missing",
            ),
            self._number,
            self._begins,
        )

    def _size_fault(self, fields: list[str]) -> Reason | None:
        text = self._lines.text(self._line)
        if len(text) <= SHORT:
            return None
        if any(len(field) > SHORT and len(field.encode()) > MOST_FIELD for field in fields):
            return _LONG_FIELD
        return _LONG_RECORD if len(text.encode()) > MOST_RECORD else None

    def _undecodable(self, what: str, error: UndecodedError) -> InputError:
        return undecodable(self._location, self._dialect.encoding, f"{what} (line {error.line})")

    def _unclosed(self, what: str) -> InputError:
        return InputError(
            f"{self._label}: {what}, which begins on line {self._lines.start + 1}, opens a quote that is never closed. "
            "Close the quote, or double it where it belongs to the field."
        )


def misfit(text: str, found: int, expected: int) -> Reason:
    """Return why the record written as *text*, which has *found* fields, has not the *expected* ones of the header."""
    if text.strip("\x1a") == "":
        return _CTRL_Z
    fields = "1 field" if found == 1 else f"{found} fields"
    return Reason("fields", f"the record has {fields} where the header has {expected}")
