"""Recognise a retry file, and the rows of it that could not be split into fields."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from uploader.model import RAW_COLUMN, RETRY_COLUMNS, Damaged, Reason, Record, Row

MakeRecord: TypeAlias = Callable[[int, Mapping[str, object], int, str], Record]
"""Takes what a Row takes: number, fields, line, text."""

RAW = Reason(
    "raw",
    f"the record could not be split into fields: enter its values under their own names and empty '{RAW_COLUMN}'",
)
"""Why a row with a text in RAW_COLUMN is not sent."""


def has_retry_columns(columns: Iterable[str]) -> bool:
    """Return whether a source with these *columns* is a retry file."""
    return set(RETRY_COLUMNS) <= set(columns)


def record_maker(*, is_retry: bool) -> MakeRecord:
    """Return what makes the records of a source: a Row of each, except where a retry file holds a raw text."""
    return _row_or_raw if is_retry else Row


def _row_or_raw(number: int, fields: Mapping[str, object], line: int, text: str) -> Record:
    raw = fields.get(RAW_COLUMN)
    return Damaged(number, RAW, line, str(raw)) if raw else Row(number, fields, line, text)
