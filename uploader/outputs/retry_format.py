"""Format a row of a retry file as its source has it, with the reason why it is there."""

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Literal

from uploader.mapping.type_conversion import own_type
from uploader.mapping.value_errors import Unreadable
from uploader.model import (
    OWN_COLUMNS,
    RAW_COLUMN,
    RETRY_COLUMNS,
    RUN_COLUMN,
    Damaged,
    Json,
    Record,
    RetryOf,
    Row,
    written_name,
)

_OWN_TAIL: Final = re.compile(
    r',"_row":\d+,"_kind":"[^"]*","_code":"[^"]*","_reason":"(?:[^"\\]|\\.)*","_attempts":\d+(?:,"_run":"[^"\\]*")?\}$'
)


@dataclass(frozen=True, slots=True)
class RetryFormat:
    """The format of a retry file: that of its source.

    *columns* are the source's (empty for JSONL). *raw* is whether some record could not be split into fields, so that
    the column for its raw text is needed. *run* is the value of `_run` for rows without an origin of their own; "":
    unknown.
    """

    format: Literal["csv", "jsonl"]
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    encoding: str = "utf-8"
    raw: bool = False
    run: str = ""


@dataclass(frozen=True, slots=True)
class RetryRemark:
    """Why a row is in a retry file: the values of `_kind`, `_code`, `_reason` and `_attempts`."""

    kind: str
    code: str
    reason: str
    attempts: int


def header(retry_format: RetryFormat) -> str:
    """Return the first line of a file of *retry_format*; empty where the format has none."""
    if retry_format.format == "jsonl":
        return ""
    more = [
        name for name, is_there in ((RAW_COLUMN, retry_format.raw), (RUN_COLUMN, _names_runs(retry_format))) if is_there
    ]
    return _csv_line([*map(written_name, _columns(retry_format)), *RETRY_COLUMNS, *more], retry_format.delimiter)


def spell(record: Record, remark: RetryRemark, retry_format: RetryFormat) -> str:
    """Return the line of *record*, as it was read, with its *remark*."""
    if retry_format.format == "csv":
        return _csv_line(_cells(record, remark, retry_format), retry_format.delimiter)
    return _json_line(record, remark, origin_of(record, retry_format.run))


def origin_of(record: Record, run: str) -> RetryOf:
    """Return the run and row where *record* was first read; *run* is the run of records that name none."""
    known = record.retry_of
    if known is None:
        return RetryOf(run, record.number)
    return known if known.run else RetryOf(run, known.row)


def _names_runs(retry_format: RetryFormat) -> bool:
    """Whether the run is known for any row."""
    return bool(retry_format.run) or RUN_COLUMN in retry_format.columns


def _columns(retry_format: RetryFormat) -> list[str]:
    return [column for column in retry_format.columns if column not in OWN_COLUMNS]


def _cells(record: Record, remark: RetryRemark, retry_format: RetryFormat) -> list[object]:
    columns, origin = _columns(retry_format), origin_of(record, retry_format.run)
    own = [origin.row, remark.kind, remark.code, remark.reason, remark.attempts]
    run = [origin.run] if _names_runs(retry_format) else []
    if isinstance(record, Damaged):
        return [*[""] * len(columns), *own, record.text, *run]
    fields = [record.fields.get(column, "") for column in columns]
    return [*fields, *own, *([""] if retry_format.raw else []), *run]


def _csv_line(cells: list[object] | list[str], delimiter: str) -> str:
    line = io.StringIO()
    # csv quotes cells with a CR or an LF only if the line terminator has both.
    csv.writer(line, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return line.getvalue()


def _json_line(record: Record, remark: RetryRemark, origin: RetryOf) -> str:
    own: dict[str, object] = {
        "_row": origin.row,
        "_kind": remark.kind,
        "_code": remark.code,
        "_reason": remark.reason,
        "_attempts": remark.attempts,
    }
    run = {RUN_COLUMN: origin.run} if origin.run else {}
    if isinstance(record, Damaged):
        return _json({**own, RAW_COLUMN: record.text, **run}) + "\n"
    body = _fields_alone(record).removesuffix("}").rstrip()
    joint = "" if body.endswith("{") else ","
    return f"{body}{joint}{_json({**own, **run})[1:]}\n"


def _fields_alone(row: Row) -> str:
    """Return the object of *row* without the keys of a retry file: byte for byte as written, where possible."""
    added = OWN_COLUMNS & row.fields.keys()
    if row.text and not added:
        return row.text.strip()
    # No key is there twice: once the tail that this program writes is cut off, none of these keys is left.
    text, found = _OWN_TAIL.subn("}", row.text.strip())
    if found and RAW_COLUMN not in added:
        return text
    # A null of Parquet is an empty cell, so its key is left out; a null of JSONL clears a property.
    absent = {name for name, value in row.fields.items() if value is None and not row.text}
    return _json({name: value for name, value in row.fields.items() if name not in OWN_COLUMNS | absent})


def _json(fields: Mapping[str, object]) -> str:
    return json.dumps(_plain(fields), ensure_ascii=False, separators=(",", ":"))


def _plain(value: object) -> Json:
    """Convert a value of Parquet to JSON, so that the mapping gives the same result as for the column's value."""
    match value:
        case None | str() | bool() | int():
            return value
        case float() if math.isfinite(value):
            return _number(value)
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case date():
            return _spelled(value)
        case _:
            return _of_no_type(value)


def _number(value: float) -> Json:
    try:
        return own_type(value)
    except Unreadable:
        return _of_no_type(value)


def _spelled(moment: date) -> Json:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        return moment.isoformat()
    try:
        return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    except OverflowError:
        return _of_no_type(moment)


def _of_no_type(value: object) -> Json:
    # An object is refused by the mapping, as the value was; a plain text would be sent.
    return {type(value).__name__: str(value)}
