"""Recognise a retry file, and its rows that could not be split into fields."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from uploader.model import RAW_COLUMN, RETRY_COLUMNS, ROW_COLUMN, RUN_COLUMN, Damaged, Reason, Record, RetryOf, Row

MakeRecord: TypeAlias = Callable[[int, Mapping[str, object], int, str], Record]
"""Takes the arguments of a Row: number, fields, line, text."""

RAW = Reason(
    "raw",
    f"the record could not be split into fields: enter its values under their own names and empty '{RAW_COLUMN}'",
)
"""Why a row with a text in RAW_COLUMN is not sent."""

_WHOLE: Final = re.compile(r"([0-9]{1,18})(?:\.0+)?")
"""A row's number, also as `12.0`: spreadsheets and data frames may turn the column into doubles."""


def has_retry_columns(columns: Iterable[str]) -> bool:
    """Return whether a source with these *columns* is a retry file."""
    return set(RETRY_COLUMNS) <= set(columns)


def record_maker(*, is_retry: bool) -> MakeRecord:
    """Return the function that makes the records of a source: a Row each, or Damaged for a raw text in a retry file."""
    return _row_or_raw if is_retry else Row


def _row_or_raw(number: int, fields: Mapping[str, object], line: int, text: str) -> Record:
    raw, origin = fields.get(RAW_COLUMN), _retry_of(number, fields)
    return Damaged(number, RAW, line, str(raw), origin) if raw else Row(number, fields, line, text, origin)


def _retry_of(number: int, fields: Mapping[str, object]) -> RetryOf:
    """Return the origin that the row names; a row that a user added has only its number in this file."""
    run, row = fields.get(RUN_COLUMN), _WHOLE.fullmatch(str(fields.get(ROW_COLUMN)))
    return RetryOf("" if run is None else str(run), number if row is None else int(row[1]))
