"""Detect the format, the encoding and the delimiter of a file."""

import csv
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

from uploader.source.byte_stream import HEAD, SourceLocation
from uploader.source.csv_header import DELIMITERS
from uploader.source.encoding import BOM, MARKED, reads_as, settle
from uploader.source.format_detection import Format, evident_format, format_by_name
from uploader.source.lines import KOREAN, reads_whole

_AUTO: Final = "auto"
_LOOKED_AT: Final = 100
_MOST_TITLE_LINES: Final = 10
_MOST: Final = 0.5
_CELLS_OF_NOTE: Final = 2
_USUAL: Final = ","


@dataclass(frozen=True, slots=True)
class FileDialect:
    """The settings of `source:` that one file needs; "auto" where its name and its first bytes suffice."""

    format: Literal["auto", "csv", "jsonl", "parquet"] = _AUTO
    encoding: str = _AUTO
    delimiter: str = _USUAL
    skip_lines: int = 0


def sniff(location: SourceLocation, name: str, head: bytes) -> FileDialect:
    """Return the dialect of the file at *location*, which the user calls *name* and which begins with *head*.

    A file that is not UTF-8 is read whole: it is cp949 only if all of its bytes decode as that.
    """
    encoding = settle(_AUTO, head)
    found = evident_format(head, encoding)
    if found == "parquet":
        return FileDialect(_said(name, found))
    if encoding not in MARKED and not reads_whole(location, encoding) and reads_whole(location, KOREAN):
        encoding = KOREAN
        found = evident_format(head, encoding)
    settled = KOREAN if encoding == KOREAN else _AUTO
    if found == "jsonl" or format_by_name(name) == "jsonl":
        return FileDialect(_said(name, found), settled)
    delimiter, skip_lines = _layout(reads_as(encoding, head), is_whole=len(head) < HEAD)
    return FileDialect(_said(name, found), settled, delimiter, skip_lines)


def _said(name: str, found: Format | None) -> Literal["auto", "csv", "jsonl", "parquet"]:
    """Return the format to configure: "auto", except where the name of the file says another one."""
    by_name = format_by_name(name)
    return _AUTO if found is None or by_name in {None, found} else found


def _layout(text: str, *, is_whole: bool) -> tuple[str, int]:
    """Return the delimiter of *text*, the start of a file, and how many lines are above its header."""
    lines = text.removeprefix(BOM).splitlines(keepends=True)
    if not is_whole and len(lines) > 1:
        del lines[-1]
    tables = [_table(lines, delimiter) for delimiter in DELIMITERS]
    best = max(tables, key=lambda table: table.fitness)
    return best.delimiter, best.skip_lines


@dataclass(frozen=True, slots=True)
class _Table:
    """The first lines of a file, split by one *delimiter*, without the *skip_lines* above the header.

    *fitness* is how well it splits them: whether at all, and most of them into the same number of cells, without a
    title; then the share of these, and their number of cells.
    """

    delimiter: str
    skip_lines: int
    fitness: tuple[bool, bool, bool, float, int]


def _table(lines: Sequence[str], delimiter: str) -> _Table:
    records: list[tuple[int, list[str]]] = []
    start = 0
    # Only the first records: the last line may end inside a quoted field.
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    with suppress(csv.Error):
        for fields in islice(reader, _LOOKED_AT):
            if fields:
                records.append((start, fields))
            start = reader.line_num
    header = _header(records)
    widths = [len(fields) for _, fields in records[header:]]
    width = widths[0] if widths else 1
    equal = sum(other == width for other in widths) / max(1, len(widths))
    fitness = width > 1, equal > _MOST, not header, equal, width
    return _Table(delimiter, records[header][0] if header else 0, fitness)


def _header(records: Sequence[tuple[int, Sequence[str]]]) -> int:
    """Return the number of the record that is the header: the first one, unless those above it are a title."""
    usual = Counter(len(fields) for _, fields in records).most_common(1)
    width = usual[0][0] if usual else 1
    for at, (_, fields) in enumerate(records[:_MOST_TITLE_LINES]):
        filled = sum(bool(cell.strip()) for cell in fields)
        is_note = at == 0 and len(fields) <= _CELLS_OF_NOTE and fields[0].casefold().startswith("sep=")
        if len(fields) == width and 2 * filled > width and not is_note:
            return at if width > 1 and len(records) > at + 1 else 0
    return 0
