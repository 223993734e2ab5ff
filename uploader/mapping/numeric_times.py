"""Read moments that are written as numbers: seconds or milliseconds since 1970, or the day numbers of Excel."""

import math
import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Final, Literal, TypeAlias

from uploader.mapping.datetime_patterns import Parser
from uploader.model import WrittenFloat

NumericFormat: TypeAlias = Literal["unix", "unix_ms", "excel"]

NUMERIC_FORMATS: Final[tuple[NumericFormat, ...]] = ("unix", "unix_ms", "excel")
"""The formats that read a number: epoch seconds, epoch milliseconds, and the days of Excel's 1900 system."""

_NUMBER: Final = re.compile(r"-?\d{1,15}(?:\.\d{1,20})?", re.ASCII)
_LARGEST: Final = 1e15
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_END: Final = 10**11
"""From here on a number of seconds is after the year 5138, and a number of milliseconds is in or after 1973."""
_SECONDS_BEGIN: Final = 10**8
"""From here to `_SECONDS_END`, a number may well be seconds: as milliseconds it is of the days from 1970 to 1973."""

_EXCEL_END: Final = 2_958_466
"""The day after 9999-12-31."""
_NO_DAY: Final = 60
"""Excel's 29 February 1900, which no calendar had."""
_DAY_ZERO: Final = datetime(1899, 12, 30)  # noqa: DTZ001 — Excel knows no zones
_DAY_ZERO_BEFORE: Final = datetime(1899, 12, 31)  # noqa: DTZ001 — as above
_MILLISECONDS: Final = 86_400_000
_SECONDS: Final = 86_400
_EXACT_PLACES: Final = 8
"""Fewer decimal places of a day hold no milliseconds."""


def numeric_parser(form: NumericFormat, together: Collection[str], *, whole_days: bool) -> Parser:
    """Return the parser of numbers, also written as text, of the format *form*.

    Its moments have an offset, but for those of Excel. Where other numeric formats stand *together* with it in a list,
    the magnitude tells them apart: a day of Excel is below 2,958,466, and 10^11 or more are milliseconds. Of `unix_ms`
    alone, a number that may well be seconds is not read, unless only *whole_days* matter: birth dates lie there.
    """
    parse = {"unix": _of_seconds, "unix_ms": _of_milliseconds, "excel": _of_days}[form]
    has_seconds, has_milliseconds, has_days = (other in together for other in NUMERIC_FORMATS)

    def is_other(number: Decimal) -> bool:
        if form == "excel":
            return False
        if has_days and 0 <= number < _EXCEL_END:
            return True
        size = abs(number)
        if form == "unix":
            return has_milliseconds and size >= _SECONDS_END
        return size < _SECONDS_END and (has_seconds or (size >= _SECONDS_BEGIN and not whole_days))

    def read(value: object) -> datetime | None:
        number = _number(value)
        if number is None or is_other(number):
            return None
        try:
            return parse(number)
        except OverflowError:
            return None

    return read


def _number(value: object) -> Decimal | None:
    if isinstance(value, str):
        return Decimal(value) if _NUMBER.fullmatch(value) is not None else None
    if isinstance(value, float):
        if not math.isfinite(value) or abs(value) >= _LARGEST:
            return None
        return Decimal(value.digits if isinstance(value, WrittenFloat) else repr(value))
    return None


def _of_seconds(number: Decimal) -> datetime:
    return _EPOCH + timedelta(microseconds=int((number * 1_000_000).to_integral_value(ROUND_FLOOR)))


def _of_milliseconds(number: Decimal) -> datetime:
    return _of_seconds(number / 1000)


def _of_days(number: Decimal) -> datetime | None:
    day = int(number)
    if not 1 <= number < _EXCEL_END or day == _NO_DAY:
        return None
    exponent = number.as_tuple().exponent
    places = -exponent if isinstance(exponent, int) else 0
    part = number - day
    if places >= _EXACT_PLACES:
        time = timedelta(milliseconds=int((part * _MILLISECONDS).to_integral_value(ROUND_HALF_UP)))
    else:
        # Excel writes 45356.63333 for 15:12:00, which is a third of a second before it.
        time = timedelta(seconds=int((part * _SECONDS).to_integral_value(ROUND_HALF_UP)))
    return (_DAY_ZERO_BEFORE if day < _NO_DAY else _DAY_ZERO) + timedelta(days=day) + time
