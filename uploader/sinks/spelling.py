"""Spell a row of a retry file as its source would have it, with why it is there."""

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Literal

from uploader.mapper.unreadable import Unreadable
from uploader.mapper.values import own_type
from uploader.model import RAW_COLUMN, RETRY_COLUMNS, Damaged, Json, Record, Row

_OWN: Final = frozenset((*RETRY_COLUMNS, RAW_COLUMN))
_OWN_TAIL: Final = re.compile(
    r',"_row":\d+,"_kind":"[^"]*","_code":"[^"]*","_reason":"(?:[^"\\]|\\.)*","_attempts":\d+\}$'
)


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of a retry file: that of its source.

    *columns* are the source's (empty for JSONL); *raw* is whether some record could not be split into fields, so that
    the sixth column is needed.
    """

    format: Literal["csv", "jsonl"]
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    encoding: str = "utf-8"
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """What a retry file adds to a row: the five columns but `_row`."""

    kind: str
    code: str
    reason: str
    attempts: int


def header(shape: Shape) -> str:
    """Return the first line of a file of *shape*; empty where the format has none."""
    if shape.format == "jsonl":
        return ""
    own = (*RETRY_COLUMNS, RAW_COLUMN) if shape.raw else RETRY_COLUMNS
    return _csv_line([*_columns(shape), *own], shape.delimiter)


def spell(record: Record, remark: Remark, shape: Shape) -> str:
    """Return the line of *record*, as it was, with its *remark*."""
    if shape.format == "csv":
        return _csv_line(_cells(record, remark, shape), shape.delimiter)
    return _json_line(record, remark)


def _columns(shape: Shape) -> list[str]:
    return [column for column in shape.columns if column not in _OWN]


def _cells(record: Record, remark: Remark, shape: Shape) -> list[object]:
    own = [record.number, remark.kind, remark.code, remark.reason, remark.attempts]
    columns = _columns(shape)
    if isinstance(record, Damaged):
        return [*[""] * len(columns), *own, record.text]
    fields = [record.fields.get(column, "") for column in columns]
    return [*fields, *own, ""] if shape.raw else [*fields, *own]


def _csv_line(cells: list[object] | list[str], delimiter: str) -> str:
    line = io.StringIO()
    # Cells with a CR or an LF are quoted only when both are part of the line's end.
    csv.writer(line, delimiter=delimiter, lineterminator="\r\n").writerow(cells)
    return line.getvalue()


def _json_line(record: Record, remark: Remark) -> str:
    own: dict[str, object] = {
        "_row": record.number,
        "_kind": remark.kind,
        "_code": remark.code,
        "_reason": remark.reason,
        "_attempts": remark.attempts,
    }
    if isinstance(record, Damaged):
        return _json({**own, RAW_COLUMN: record.text}) + "\n"
    body = _fields_alone(record).removesuffix("}").rstrip()
    joint = "" if body.endswith("{") else ","
    return f"{body}{joint}{_json(own)[1:]}\n"


def _fields_alone(row: Row) -> str:
    """Return the object of *row* without the keys of a retry file: to the byte as it was written, where it can be."""
    added = _OWN & row.fields.keys()
    if row.text and not added:
        return row.text.strip()
    # No key is there twice, so that no other of these keys is left where the tail as it was written is found.
    text, found = _OWN_TAIL.subn("}", row.text.strip())
    if found and RAW_COLUMN not in added:
        return text
    # A null of Parquet is an empty cell, which JSONL says by leaving its key out; one of JSONL clears a property.
    absent = {name for name, value in row.fields.items() if value is None and not row.text}
    return _json({name: value for name, value in row.fields.items() if name not in _OWN | absent})


def _json(fields: Mapping[str, object]) -> str:
    return json.dumps(_plain(fields), ensure_ascii=False, separators=(",", ":"))


def _plain(value: object) -> Json:
    """Spell what only Parquet has, so that the mapping makes of it what it made of the column's value."""
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
    # As an object, which the mapping refuses as it refused the value; a mere text would be sent.
    return {type(value).__name__: str(value)}
