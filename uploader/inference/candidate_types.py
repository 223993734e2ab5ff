"""Test which types of the API can read a value, with the readers of the mapping."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from uploader.api import PropertyType
from uploader.mapping.rules import PropertyRule
from uploader.mapping.type_conversion import reader
from uploader.mapping.value_errors import Unreadable

ZONE: Final = "Asia/Seoul"
"""The time zone guessed for times without one."""

_LONG: Final = re.compile(r"0|-?[1-9][0-9]*")
_DOUBLE: Final = re.compile(r"0|-?(?:0|[1-9][0-9]*)\.[0-9]+|-?[1-9][0-9]*")
_EXACT_DIGITS: Final = 15
"""How many digits a Double always keeps."""


@dataclass(frozen=True, slots=True)
class CandidateType:
    """A type as a mapping can declare it; *kind* None means the own type of each value."""

    kind: PropertyType | None
    format: str | None = None
    timezone: str | None = None

    def maker(self) -> Callable[[object], bool]:
        """Return a function that tests whether this type reads a value without changing its meaning."""
        formats = () if self.format is None else (self.format,)
        read = reader(PropertyRule("it", "it", kind=self.kind, formats=formats, timezone=self.timezone))
        may_be = _LIMITS.get(self.kind)

        def reads(value: object) -> bool:
            if may_be is not None and isinstance(value, str) and not may_be(value):
                return False
            try:
                read(value)
            except Unreadable:
                return False
            return True

        return reads


OWN: Final = CandidateType(None)
STRING: Final = CandidateType("string")
LONG: Final = CandidateType("long")
DOUBLE: Final = CandidateType("double")
BOOLEAN: Final = CandidateType("boolean")
LISTS: Final = (CandidateType("array<string>"), CandidateType("array<long>"), CandidateType("array<double>"))
DIGIT_DATE: Final = CandidateType("date", "%Y%m%d")
DATES: Final = (
    CandidateType("date"),
    CandidateType("date", "%Y/%m/%d"),
    CandidateType("date", "%Y.%m.%d"),
    CandidateType("date", "%Y. %m. %d"),
    CandidateType("date", "%Y. %m. %d."),
    CandidateType("date", "%Y년 %m월 %d일"),
)
EITHER_WAY: Final = tuple(
    (CandidateType("date", f"%d{sign}%m{sign}%Y"), CandidateType("date", f"%m{sign}%d{sign}%Y"))
    for sign in ("/", "-", ".")
)
"""Pairs of date formats that differ only in the order of day and month."""

DATETIMES: Final = (
    CandidateType("datetime"),
    CandidateType("datetime", timezone=ZONE),
    *(
        CandidateType("datetime", pattern, ZONE)
        for pattern in (
            "%Y/%m/%d %H:%M:%S",
            "%Y/%m/%d %H:%M",
            "%Y.%m.%d %H:%M:%S",
            "%Y.%m.%d %H:%M",
            "%Y%m%d%H%M%S",
            "%Y%m%d %H:%M:%S",
        )
    ),
)
ALL: Final = (
    OWN,
    STRING,
    LONG,
    DOUBLE,
    BOOLEAN,
    *LISTS,
    DIGIT_DATE,
    *DATES,
    *(form for pair in EITHER_WAY for form in pair),
    *DATETIMES,
)


def _is_plain_number(text: str) -> bool:
    digits = text.lstrip("-0.").replace(".", "")
    return len(digits) <= _EXACT_DIGITS and _DOUBLE.fullmatch(text) is not None


def _is_long(text: str) -> bool:
    return _LONG.fullmatch(text) is not None


def _never(_: str) -> bool:
    return False


_LIMITS: Final[dict[PropertyType | None, Callable[[str], bool]]] = {
    # A text with a leading zero, a plus sign or an exponent may be a code, which a number would change.
    "long": _is_long,
    "double": _is_plain_number,
    # A text would be split by a separator that nobody chose.
    "array<string>": _never,
    "array<long>": _never,
    "array<double>": _never,
}
