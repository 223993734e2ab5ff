"""Read moments that are written as numbers: seconds or parts of them since 1970, or the day numbers of Excel."""

import math
import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Final, Literal, TypeAlias

from uploader.mapping.datetime_patterns import Parser
from uploader.model import WHOLE_DOUBLES, WrittenFloat

NumericFormat: TypeAlias = Literal["unix", "unix_ms", "unix_us", "excel"]

NUMERIC_FORMATS: Final[tuple[NumericFormat, ...]] = ("unix", "unix_ms", "unix_us", "excel")
"""The formats that read a number: epoch seconds, milli- and microseconds, and the days of Excel's 1900 system."""

EPOCHS: Final = frozenset({"unix", "unix_ms", "unix_us"})
"""Those that count from 1970 in UTC."""

_NUMBER: Final = re.compile(r"-?\d{1,18}(?:\.\d{1,20})?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_END: Final = 10**11
"""From here on a number of seconds is after the year 5138, and a number of milliseconds is in or after 1973."""
_MILLISECONDS_END: Final = 10**14
"""The same of milliseconds and microseconds."""
_SECONDS_BEGIN: Final = 10**8
"""From here on, a number may well be of a larger unit: as milliseconds up to `_SECONDS_END` it is of 1970 to 1973."""

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
    the magnitude tells them apart: a day of Excel is below 2,958,466, 10^11 or more are milliseconds, and 10^14 or more
    microseconds. Of one of these alone, a number that may well be of a larger unit is not read, unless only
    *whole_days* matter: birth dates lie there.
    """
    parse = {"unix": _of_seconds, "unix_ms": _of_milliseconds, "unix_us": _of_microseconds, "excel": _of_days}[form]
    smaller, larger = _NEIGHBOURS.get(form, (frozenset(), frozenset()))
    begin, end = _SIZES.get(form, (0, 0))
    has_smaller, has_larger = not smaller.isdisjoint(together), not larger.isdisjoint(together)
    has_days = "excel" in together

    def is_other(number: Decimal) -> bool:
        if form == "excel":
            return False
        if has_days and 0 <= number < _EXCEL_END:
            return True
        size = abs(number)
        if has_smaller and size >= end:
            return True
        return size < begin and (has_larger or (size >= _SECONDS_BEGIN and not whole_days))

    def read(value: object) -> datetime | None:
        number = _number(value)
        if number is None or is_other(number):
            return None
        try:
            return parse(number)
        except OverflowError:
            return None

    return read


_NEIGHBOURS: Final = {
    "unix": (frozenset({"unix_ms", "unix_us"}), frozenset[str]()),
    "unix_ms": (frozenset({"unix_us"}), frozenset({"unix"})),
    "unix_us": (frozenset[str](), frozenset({"unix", "unix_ms"})),
}
"""The formats of smaller and of larger units than each."""
_SIZES: Final = {
    "unix": (0, _SECONDS_END),
    "unix_ms": (_SECONDS_END, _MILLISECONDS_END),
    "unix_us": (_MILLISECONDS_END, 0),
}
"""Where the numbers of each begin and end in a list with others."""


def _number(value: object) -> Decimal | None:
    if isinstance(value, str):
        return Decimal(value) if _NUMBER.fullmatch(value) is not None else None
    if isinstance(value, float):
        if not math.isfinite(value) or abs(value) >= WHOLE_DOUBLES:
            return None
        return Decimal(value.digits if isinstance(value, WrittenFloat) else repr(value))
    return None


def _of_seconds(number: Decimal) -> datetime:
    return _EPOCH + timedelta(microseconds=int((number * 1_000_000).to_integral_value(ROUND_FLOOR)))


def _of_milliseconds(number: Decimal) -> datetime:
    return _of_seconds(number / 1000)


def _of_microseconds(number: Decimal) -> datetime:
    return _of_seconds(number / 1_000_000)


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
