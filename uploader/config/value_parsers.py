"""Read the text of a setting as a number, a word or a character."""

import codecs
import encodings.aliases
import math
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from uploader.api import IDENTITY_FIELDS
from uploader.config.error_messages import UnfitValueError, nearest
from uploader.config.written_form import EMPTY_OR_TEXT, INNER, NAME, pattern, written_as
from uploader.model import MaxJoined, Tolerance, Unpacking
from uploader.units import DURATION, SIZE, bytes_of, seconds_of

_LONGEST_HOURS = 8784
_HOUR = 3600.0

_LONGEST_NAME = 100

_SHARE = re.compile(r"(?P<amount>[0-9]{1,12}(\.[0-9]{1,12})?)(?P<percent>%?)")
_PERCENT = 100
_PERCENT_TEXT = r"(?:0{0,9}100(?:\.0{1,12})?|0{0,10}[0-9]{1,2}(?:\.[0-9]{1,12})?)%"
_PART_TEXT = r"0{1,12}(?:\.[0-9]{1,12})?"
_SHARE_TEXT = rf"{_PERCENT_TEXT}|{_PART_TEXT}|0{{0,11}}1(?:\.0{{1,12}})?"

_TIMES = re.compile(r"(?P<times>[1-9][0-9]{0,8})x")

# UTF-7 can hold half a character, and spells most characters in several ways.
_NOT_FOR_FILES = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")

_DURATION_FORM = pattern(DURATION)
_SHARE_FORMS = ({"type": "number", "minimum": 0, "maximum": 1}, pattern(_SHARE_TEXT))
_SOME_SHARE_FORMS = (
    {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    pattern(rf"(?![0.]+%?$)(?:{_SHARE_TEXT})"),
)
_TOLERANCE_FORMS = (
    {"type": "integer", "minimum": 0},
    {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    pattern(rf"\+?[0-9]{{1,18}}|{_PERCENT_TEXT}|{_PART_TEXT}"),
)
_MOST_JOINED = ({"type": "integer", "minimum": 1}, {"enum": ["off"]}, pattern("[1-9][0-9]{0,17}"))


@written_as(NAME)
def text(value: object) -> str:
    """Return *value* if it is a text that is not empty; else raise UnfitValueError, as all functions here do."""
    if not isinstance(value, str) or not value:
        raise UnfitValueError("is not a text; write one value")
    return value


@written_as(EMPTY_OR_TEXT)
def word(value: object) -> str:
    """Return *value* if it is a text, also an empty one."""
    if not isinstance(value, str):
        raise UnfitValueError("is not a text; write one value, an empty one as two quotes")
    return value


@written_as(NAME)
def name(value: object) -> str:
    """Return *value* if it is a name that people can read and type: printable, without blanks around it."""
    if not isinstance(value, str) or not value.strip() or value != value.strip() or not value.isprintable():
        raise UnfitValueError("is not a name; write one word or a few, for example members")
    if len(value) > _LONGEST_NAME:
        raise UnfitValueError(f"is longer than {_LONGEST_NAME} characters; write for example members")
    return value


@written_as(INNER)
def words(value: object) -> list[object]:
    """Return *value* if it is a list, or a tuple of Python."""
    if not isinstance(value, (list, tuple)):
        raise UnfitValueError("is not a list; write it in brackets, for example [a, b]")
    return list(value)


def number(value: object) -> float | None:
    """Return *value* if it is a finite number of Python, which True and False are not; else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


@written_as(_DURATION_FORM)
def duration(value: object) -> float:
    """Return the seconds in *value*, such as `500ms`, `30s`, `1m` or `2h`; a number of Python is in seconds."""
    seconds = seconds_of(value) if isinstance(value, str) else _seconds(value)
    if seconds is None:
        raise UnfitValueError("is not a duration; write a number and its unit, as 500ms, 30s, 1m or 2h")
    if not 0 < seconds <= _LONGEST_HOURS * _HOUR:
        raise UnfitValueError(f"is not between 1ms and {_LONGEST_HOURS}h; write for example 30s")
    return seconds


def _seconds(value: object) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else number(value)


@written_as({"type": "boolean"}, {"enum": ["true", "false"]})
def flag(value: object) -> bool:
    """Return whether *value* is `true`; the other valid word is `false`."""
    if isinstance(value, bool):
        return value
    return one_of("true", "false")(value) == "true"


@written_as(*_SHARE_FORMS)
def share(value: object) -> float:
    """Return *value*, such as `10%` or `0.1`, as a part of 1."""
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    # Divided before it becomes a float: 0.7% is 0.007 as a float of its own has it, so that 7 of 1,000 are no more.
    part = number(value) if found is None else float(Decimal(found["amount"]) / (_PERCENT if found["percent"] else 1))
    if part is None or part < 0:
        raise UnfitValueError("is not a share; write 10% or 0.1")
    if part > 1:
        raise UnfitValueError("is more than the whole; write 10% or 0.1")
    return part


@written_as(*_TOLERANCE_FORMS)
def tolerance(value: object) -> Tolerance:
    """Return how many rows may be missing: `5` is a number of rows, `0.1%` and `0.001` are parts of all."""
    if isinstance(value, Tolerance):
        return value
    rows = _whole(value)
    if rows is not None and rows >= 0:
        return Tolerance(rows=rows)
    try:
        part = share(value)
    except UnfitValueError:
        raise UnfitValueError("is neither a number of rows nor a share; write 5 or 0.1%") from None
    if part == 1 and not (isinstance(value, str) and value.endswith("%")):
        raise UnfitValueError("may mean one row or all rows; write 1 or 100%")
    return Tolerance(share=part)


@written_as(*_SOME_SHARE_FORMS)
def some_share(value: object) -> float:
    """Return *value* as a part of 1, if it is above 0."""
    part = share(value)
    if part == 0:
        raise UnfitValueError("leaves nothing to use; write 95% or 0.95")
    return part


@written_as(pattern("[1-9][0-9]{0,8}x"), pattern(SIZE))
def unpacking(value: object) -> Unpacking:
    """Return how large a compressed file may become: a multiple of its size such as `200x`, or `500MB`."""
    if isinstance(value, Unpacking):
        return value
    if isinstance(value, str):
        if times := _TIMES.fullmatch(value):
            return Unpacking(times=int(times["times"]))
        most = bytes_of(value)
        if most:
            return Unpacking(times=None, size=most)
    raise UnfitValueError("is neither a multiple nor a size; write 200x, or a size such as 500MB or 10GiB")


def whole(least: int, most: int, example: int | str) -> Callable[[object], int]:
    """Return a function that reads a whole number from *least* to *most*; its errors say to write *example*."""

    @written_as({"type": "integer", "minimum": least, "maximum": most}, pattern(_WHOLE.pattern))
    def read(value: object) -> int:
        amount = _whole(value)
        if amount is None:
            raise UnfitValueError(f"is not a whole number; write {example}")
        if not least <= amount <= most:
            raise UnfitValueError(f"is not between {least} and {most}; write {example}")
        return amount

    return read


def _whole(value: object) -> int | None:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@written_as(
    *_MOST_JOINED,
    {
        "type": "object",
        "properties": {name: {"anyOf": _MOST_JOINED} for name in IDENTITY_FIELDS},
        "additionalProperties": False,
    },
)
def joined_limit(value: object) -> MaxJoined:
    """Return beside how many values another may stand: a number, `off`, or one of these for each identity field."""
    if isinstance(value, MaxJoined):
        return value
    if not isinstance(value, dict):
        return MaxJoined(_most_joined(value, "5, off, or for one field {phone_no: 50}"))
    unknown = next((name for name in value if name not in IDENTITY_FIELDS), None)
    if unknown is not None:
        raise UnfitValueError(f"names what is no identity field; write {', '.join(IDENTITY_FIELDS)}")
    return MaxJoined(of_field={name: _most_joined(most, "50 or off for each field") for name, most in value.items()})


def _most_joined(value: object, example: str) -> int | None:
    if value == "off":
        return None
    amount = _whole(value)
    if amount is None or amount < 1:
        raise UnfitValueError(f"is not a whole number from 1 on, or off; write {example}")
    return amount


def one_of(*known: str) -> Callable[[object], str]:
    """Return a function that reads one of the words *known*."""

    # YAML takes an unquoted null for nothing.
    @written_as({"enum": (*known, None) if "null" in known else known})
    def read(value: object) -> str:
        if isinstance(value, str) and value in known:
            return value
        close = nearest(value, known) if isinstance(value, str) else None
        raise UnfitValueError(f"is not one of {', '.join(known)}" + (f"; did you mean {close}?" if close else ""))

    return read


@written_as({"type": "integer", "minimum": 0, "maximum": 9}, pattern(r"[\x01-\x7e]|tab|\\t"))
def delimiter(value: object) -> str:
    r"""Return the character that separates fields; `tab` and `\t` mean a tab."""
    if value in ("tab", r"\t"):
        return "\t"
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in '"\r\n\0':
        raise UnfitValueError('is not one ASCII character that can separate; write ",", ";", "|" or tab')
    return value


@written_as(NAME)
def encoding(value: object) -> str:
    """Return `auto`, or Python's name of the text encoding *value*."""
    if value == "auto":
        return "auto"
    name = value if isinstance(value, str) and value.isprintable() else ""
    if _is_text_encoding(name):
        return codecs.lookup(name).name
    aliases = encodings.aliases.aliases
    close = nearest(name, sorted({*aliases, *aliases.values()}))
    advice = f"did you mean {close}?" if close and _is_text_encoding(close) else "write auto, utf-8 or cp949"
    raise UnfitValueError(f"is not a text encoding; {advice}")


def _is_text_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return codecs.lookup(name).name not in _NOT_FOR_FILES
