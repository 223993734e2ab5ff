"""Detect the format, the encoding and the delimiter of a file."""

import csv
from collections.abc import Sequence
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
    return FileDialect(_said(name, found), settled, _delimiter(reads_as(encoding, head), is_whole=len(head) < HEAD))


def _said(name: str, found: Format | None) -> Literal["auto", "csv", "jsonl", "parquet"]:
    """Return the format to configure: "auto", except where the name of the file says another one."""
    by_name = format_by_name(name)
    return _AUTO if found is None or by_name in {None, found} else found


def _delimiter(text: str, *, is_whole: bool) -> str:
    lines = text.removeprefix(BOM).splitlines(keepends=True)
    if not is_whole and len(lines) > 1:
        del lines[-1]
    return max(DELIMITERS, key=lambda delimiter: _fitness(lines, delimiter))


def _fitness(lines: Sequence[str], delimiter: str) -> tuple[bool, float, int]:
    """Return how well *delimiter* splits *lines*: whether at all, the share of records of equal width, that width."""
    widths: list[int] = []
    try:
        # Only the first records: the last line may end inside a quoted field.
        widths.extend(
            len(fields) for fields in islice(csv.reader(lines, delimiter=delimiter, strict=True), _LOOKED_AT) if fields
        )
    except csv.Error:
        widths = widths or [1]
    width = widths[0] if widths else 1
    return width > 1, sum(other == width for other in widths) / max(1, len(widths)), width
