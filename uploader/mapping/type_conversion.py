"""Read one value as one type of the API, exactly or not at all."""

import math
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from uploader.api import CONSENTS, PropertyType
from uploader.mapping.datetimes import date_reader, datetime_reader, spell_utc
from uploader.mapping.rules import PropertyRule
from uploader.mapping.value_errors import Unreadable
from uploader.model import LEAST_NORMAL, WHOLE_DOUBLES, Json, Reason, WrittenFloat

Reader = Callable[[object], Json]
"""Reads a value that is not empty; raises `Unreadable`."""

_LONG: Final = range(-(2**63), 2**63)
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,40}")
_NOT_ZERO: Final = re.compile(r"[+-]?[0.]*[1-9]")
_EXPONENT: Final = re.compile(r"[eE]")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

_NOT_STRING: Final = Reason("not_string", "not text")
_NOT_LONG: Final = Reason("not_long", "not a whole number")
_TOO_LONG: Final = Reason("long_range", "a whole number beyond 64 bits")
_NOT_DOUBLE: Final = Reason("not_double", "not a number")
_NOT_FINITE: Final = Reason("not_finite", "not a finite number")
_TOO_SMALL: Final = Reason("too_small", "a number so small that it would become 0")
_NOT_EXACT: Final = Reason("not_exact", "a whole number that a Double can't hold exactly")
_PART_LOST: Final = Reason("not_exact", "a number whose whole part a Double can't hold exactly")
_DIGITS_LOST: Final = Reason("too_small", "a number so small that a Double loses digits of it")
_NOT_BOOLEAN: Final = Reason("not_boolean", "neither true nor false")
_NULL_CONSENT: Final = Reason("null_consent", "a consent that is null")
_NOT_ARRAY: Final = Reason("not_array", "not an array")
_NOT_A_TYPE: Final = Reason("no_such_type", "a value of a kind that the API has no type for")
_DECIMAL: Final = Reason("no_such_type", "a DECIMAL with a fraction; its mapping needs `type: double`")
_MIXED: Final = Reason("mixed_array", "an array of mixed types")
_NAIVE: Final = Reason("no_zone", "a time without an offset; its mapping needs `type: datetime` and `timezone`")


def reader(rule: PropertyRule) -> Reader:
    """Return the function that reads the values of *rule*; without a type, each value keeps its own."""
    kind = kind_of(rule)
    if kind is None:
        return own_type
    if kind.startswith("array<"):
        return _array(_ELEMENTS[kind], rule.separator)
    return _scalar(kind, rule)


def keeps_texts(read: Reader) -> bool:
    """Whether *read* returns each text as it is."""
    return read in {own_type, _string}


def kind_of(rule: PropertyRule) -> PropertyType | None:
    """Return the type that *rule* declares; a consent is boolean by default."""
    return "boolean" if rule.kind is None and rule.key in CONSENTS else rule.kind


def own_type(value: object) -> Json:
    """Return *value* as the type of the API that it already has: text stays text, a number stays its number."""
    match value:
        case str() | bool():
            return value
        case int():
            return _long(value)
        case float():
            return _double(value)
        case list():
            return _own_array(value)
        case datetime():
            if value.tzinfo is None:
                raise Unreadable(_NAIVE)
            return spell_utc(value)
        case date():
            return value.isoformat()
        case Decimal():
            raise Unreadable(_DECIMAL)
        case _:
            raise Unreadable(_NOT_A_TYPE)


def _scalar(kind: PropertyType, rule: PropertyRule) -> Reader:
    match kind:
        case "string":
            return _string
        case "long":
            return _long
        case "double":
            return _double
        case "boolean":
            return _boolean(rule.true, rule.false)
        case "date":
            return date_reader(rule.times.formats, pivot=rule.times.pivot, timezone=rule.times.timezone)
        case _:
            return datetime_reader(rule.times.formats, rule.times.timezone, pivot=rule.times.pivot)


def _string(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise Unreadable(_NOT_STRING)


def _long(value: object) -> int:
    if isinstance(value, str):
        if _WHOLE.fullmatch(value) is None:
            raise Unreadable(_NOT_LONG)
        value = int(value)
    elif not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(_NOT_LONG)
    if value not in _LONG:
        raise Unreadable(_TOO_LONG)
    return value


def _double(value: object) -> float:
    if isinstance(value, Decimal | dict):
        value = _digits(value)
    if isinstance(value, str):
        if _NUMBER.fullmatch(value) is None:
            raise Unreadable(_NOT_DOUBLE)
        if _WHOLE.fullmatch(value) is not None:
            return _widened(int(value))
        number = float(value)
        return number if LEAST_NORMAL <= abs(number) < WHOLE_DOUBLES else _held(number, value)
    if isinstance(value, WrittenFloat):
        return _held(float(value), value.digits)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unreadable(_NOT_FINITE)
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return _widened(value)
    raise Unreadable(_NOT_DOUBLE)


def _digits(value: Decimal | dict[object, object]) -> object:
    """Return the digits of a Decimal of Parquet, or of the object that stands for it in a retry file."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    digits = value.get("Decimal")
    return digits if len(value) == 1 and isinstance(digits, str) else value


def _held(number: float, digits: str) -> float:
    """Return *number*, the Double nearest to *digits*; only decimal places may be lost to rounding."""
    if not math.isfinite(number):
        raise Unreadable(_NOT_FINITE)
    if number == 0:
        if _NOT_ZERO.match(digits) is not None:
            raise Unreadable(_TOO_SMALL)
        return number
    written = Decimal(digits)
    if abs(number) < LEAST_NORMAL:
        if not _is_spelling(number, written):
            raise Unreadable(_DIGITS_LOST)
        return number
    whole = int(written)
    # With an exponent, programs write a double by the fewest digits that identify it.
    if int(float(whole)) != whole and not (_EXPONENT.search(digits) and _is_spelling(number, written)):
        raise Unreadable(_PART_LOST)
    return number


def _is_spelling(number: float, written: Decimal) -> bool:
    """Return whether *written* is exactly what the request will show for *number*."""
    return Decimal(repr(number)) == written


def _widened(value: int) -> float:
    try:
        widened = float(value)
    except OverflowError:
        raise Unreadable(_NOT_EXACT) from None
    if int(widened) != value:
        raise Unreadable(_NOT_EXACT)
    return widened


def _boolean(true: tuple[str, ...], false: tuple[str, ...]) -> Reader:
    meaning = {word.casefold(): True for word in true} | {word.casefold(): False for word in false}

    def read(value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            value = str(value)
        if isinstance(value, str):
            found = meaning.get(value) if value in meaning else meaning.get(value.casefold())
            if found is not None:
                return found
        # A null clears any other property and is never read; a consent must not be cleared.
        raise Unreadable(_NULL_CONSENT if value is None else _NOT_BOOLEAN)

    return read


_ELEMENTS: Final[dict[str, Callable[[object], Json]]] = {
    "array<string>": _string,
    "array<long>": _long,
    "array<double>": _double,
}


def _array(element: Reader, separator: str) -> Reader:
    def read(value: object) -> Json:
        if isinstance(value, str):
            return [element(part) for part in value.split(separator)]
        if isinstance(value, list):
            return [element(part) for part in value]
        raise Unreadable(_NOT_ARRAY)

    return read


def _own_array(values: list[object]) -> Json:
    kinds = {float if type(value) is WrittenFloat else type(value) for value in values}
    if len(kinds) > 1:
        raise Unreadable(_MIXED)
    if kinds - {str, int, float}:
        raise Unreadable(_NOT_A_TYPE)
    return [own_type(value) for value in values]
