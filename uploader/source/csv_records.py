"""Split a CSV into records, as Python's strict `csv.reader` does."""

import csv
from dataclasses import dataclass
from itertools import chain

from uploader.errors import ChangedError, InputError
from uploader.model import Damaged, Reason, Row
from uploader.source.byte_stream import ByteStream
from uploader.source.csv_header import refuse_bad_header
from uploader.source.csv_record_text import SHORT, CsvLines
from uploader.source.lines import LIMIT, UndecodedError, undecodable
from uploader.source.reader import Records
from uploader.source.retry_file_rows import has_retry_columns, record_maker

_NUL = Reason("nul", "the record holds a NUL character: remove it")
_QUOTES = Reason(
    "quotes",
    "a quoted field is followed by text instead of the delimiter: double the quotes that belong to the field",
)
_FIELD = 65_536
_RECORD = 1_048_576
_LONG_FIELD = Reason("field_size", f"a field takes more than 64 KiB ({_FIELD:,} bytes in UTF-8): shorten it")
_LONG_RECORD = Reason("record_size", f"the record takes more than 1 MiB ({_RECORD:,} bytes in UTF-8): shorten it")


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """The encoding and the delimiter of a CSV."""

    encoding: str
    delimiter: str


def csv_columns(stream: ByteStream, dialect: CsvDialect) -> tuple[str, ...]:
    """Return the names in the header of *stream*; raises InputError when they can't name columns."""
    return _CsvParser(stream, dialect).header()


def csv_records(stream: ByteStream, dialect: CsvDialect, columns: tuple[str, ...]) -> Records:
    """Yield the records below the header; blank lines are counted, but are no records.

    Raises InputError for what is wrong with the file as a whole: bytes that are no text, a quote that is never closed,
    a record longer than LIMIT, a truncated last record. Raises ChangedError when the header is no longer *columns*.
    """
    parser = _CsvParser(stream, dialect)
    if parser.header() != columns:
        raise ChangedError(f"{stream.location.label}: its header changed since it was first read. Run again.")
    return (yield from parser.records(columns))


class _CsvParser:
    """A `csv.reader` that knows its line and the text of its record."""

    def __init__(self, stream: ByteStream, dialect: CsvDialect) -> None:
        # Above LIMIT, so that CsvLines raises first: its error names the line.
        csv.field_size_limit(4 * LIMIT)
        self._location = stream.location
        self._label = stream.location.label
        self._dialect = dialect
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
        except UndecodedError as error:
            raise self._undecodable("the header", error) from None
        if header is None:
            raise InputError(f"{self._label} has only blank lines. Check how it was made.")
        refuse_bad_header(self._label, header, self._lines.text(self._reader.line_num), self._dialect.delimiter)
        return tuple(header)

    def records(self, columns: tuple[str, ...]) -> Records:
        """Yield the records after the header, and return how many blank lines there were."""
        lines, reader, width = self._lines, self._reader, len(columns)
        make = record_maker(is_retry=has_retry_columns(columns))
        number = 0
        while True:
            start = lines.start = reader.line_num
            try:
                fields = next(reader, None)
            except csv.Error:
                number += 1
                yield self._damaged(number, self._quotes(number))
                continue
            except UndecodedError as error:
                raise self._undecodable(f"row {number + 1}", error) from None
            if fields is None:
                return self._blank_lines
            if not fields:
                self._blank_lines += 1
                continue
            number += 1
            if len(fields) != width:
                yield self._damaged(number, self._misfit(number, len(fields), width))
                continue
            if lines.nul_seen and "\0" in lines.text(reader.line_num):
                yield self._damaged(number, _NUL)
                continue
            record = make(number, dict(zip(columns, fields, strict=True)), start + 1, "")
            if (lines.long_seen or reader.line_num - start > 1) and isinstance(record, Row):
                fault = self._size_fault(fields)
                yield record if fault is None else self._damaged(number, fault)
            else:
                yield record

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

    def _misfit(self, number: int, found: int, expected: int) -> Reason:
        if found < expected and self._lines.is_unended(self._reader.line_num):
            raise InputError(
                f"{self._label}: the last record (record {number}, line {self._lines.start + 1}) breaks off: it has "
                f"{found} of {expected} fields and no line end. The file looks cut off; get it whole, or end the line "
                "if it is meant so."
            )
        return _count_differs(found, expected)

    def _size_fault(self, fields: list[str]) -> Reason | None:
        text = self._lines.text(self._reader.line_num)
        if len(text) <= SHORT:
            return None
        if any(len(field) > SHORT and len(field.encode()) > _FIELD for field in fields):
            return _LONG_FIELD
        return _LONG_RECORD if len(text.encode()) > _RECORD else None

    def _undecodable(self, what: str, error: UndecodedError) -> InputError:
        return undecodable(self._location, self._dialect.encoding, f"{what} (line {error.line})")

    def _unclosed(self, what: str) -> InputError:
        return InputError(
            f"{self._label}: {what}, which begins on line {self._lines.start + 1}, opens a quote that is never closed. "
            "Close the quote, or double it where it belongs to the field."
        )


def _count_differs(found: int, expected: int) -> Reason:
    fields = "1 field" if found == 1 else f"{found} fields"
    return Reason("fields", f"the record has {fields} where the header has {expected}")
