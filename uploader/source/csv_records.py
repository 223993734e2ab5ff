"""Take a CSV apart into records, as Python's strict `csv.reader` does."""

import csv
from dataclasses import dataclass
from itertools import chain

from uploader.errors import ChangedError, InputError
from uploader.model import Damaged, Reason
from uploader.source.csv_lines import CsvLines
from uploader.source.header import refuse_bad_header
from uploader.source.lines import LIMIT
from uploader.source.reading import Records
from uploader.source.retry_rows import has_retry_columns, record_maker
from uploader.source.stream import ByteStream

_NUL = Reason("nul", "the record holds a NUL character: remove it")
_QUOTES = Reason(
    "quotes",
    "a quoted field is followed by text instead of the delimiter: double the quotes that belong to the field",
)


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How a CSV is written."""

    encoding: str
    delimiter: str


def csv_columns(stream: ByteStream, dialect: CsvDialect) -> tuple[str, ...]:
    """Return the names in the header of *stream*; raises InputError when they can't name columns."""
    return _CsvParser(stream, dialect).header()


def csv_records(stream: ByteStream, dialect: CsvDialect, columns: tuple[str, ...]) -> Records:
    """Yield what stands below the header; blank lines are counted, but are no records.

    Raises InputError for what can't be told record by record (bytes that are no text, a quote that is never closed, a
    record without an end), and ChangedError when the header is no longer *columns*.
    """
    parser = _CsvParser(stream, dialect)
    if parser.header() != columns:
        raise ChangedError(f"{stream.place.label}: its header changed since it was first read. Run again.")
    return (yield from parser.records(columns))


class _CsvParser:
    """A `csv.reader` that knows where it is and what it has read."""

    def __init__(self, stream: ByteStream, dialect: CsvDialect) -> None:
        # Above LIMIT, so that CsvLines speaks first: it knows the place.
        csv.field_size_limit(4 * LIMIT)
        self._label = stream.place.label
        self._delimiter = dialect.delimiter
        self._lines = CsvLines(stream, dialect.encoding)
        self._reader = csv.reader(chain.from_iterable(self._lines.lists()), delimiter=dialect.delimiter, strict=True)
        self._blank_lines = 0

    def header(self) -> tuple[str, ...]:
        """Return the first record, which names the columns."""
        try:
            header = next(filter(self._is_record, self._reader), None)
        except csv.Error:
            if self._lines.ended:
                raise self._unclosed("the header") from None
            raise InputError(f"{self._label}: in the header {_QUOTES.phrase}.") from None
        if header is None:
            raise InputError(f"{self._label} has only blank lines. Check how it was made.")
        refuse_bad_header(self._label, header, self._lines.text(self._reader.line_num), self._delimiter)
        return tuple(header)

    def records(self, columns: tuple[str, ...]) -> Records:
        """Yield the records after the header, and return how many blank lines there were."""
        lines, reader, width = self._lines, self._reader, len(columns)
        make = record_maker(is_retry=has_retry_columns(columns))
        number = 0
        while True:
            lines.start = reader.line_num
            try:
                fields = next(reader, None)
            except csv.Error:
                number += 1
                yield self._damaged(number, self._quotes(number))
                continue
            if fields is None:
                return self._blank_lines
            if not fields:
                self._blank_lines += 1
                continue
            number += 1
            if len(fields) != width:
                yield self._damaged(number, _count_differs(len(fields), width))
            elif lines.nul_seen and "\0" in lines.text(reader.line_num):
                yield self._damaged(number, _NUL)
            else:
                yield make(number, dict(zip(columns, fields, strict=True)), lines.start + 1, "")

    def _is_record(self, fields: list[str]) -> bool:
        if not fields:
            self._blank_lines += 1
            self._lines.start = self._reader.line_num
        return bool(fields)

    def _damaged(self, number: int, reason: Reason) -> Damaged:
        return Damaged(number, reason, self._lines.start + 1, self._lines.text(self._reader.line_num))

    def _quotes(self, number: int) -> Reason:
        if self._lines.ended:
            raise self._unclosed(f"record {number}") from None
        return _QUOTES

    def _unclosed(self, what: str) -> InputError:
        return InputError(
            f"{self._label}: {what}, which begins on line {self._lines.start + 1}, opens a quote that is never closed. "
            "Close the quote, or double it where it belongs to the field."
        )


def _count_differs(found: int, expected: int) -> Reason:
    fields = "1 field" if found == 1 else f"{found} fields"
    return Reason("fields", f"the record has {fields} where the header has {expected}")
