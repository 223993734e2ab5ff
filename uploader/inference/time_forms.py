"""Find the formats of dates and times that may read a text, by its shape."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from uploader.mapping.datetimes import date_reader, datetime_reader
from uploader.mapping.value_errors import Unreadable

ZONE: Final = "Asia/Seoul"
"""The time zone guessed for times without one."""

LONGEST: Final = 40
"""No date and time is longer than this."""

_ZERO: Final = str.maketrans("123456789", "0" * 9)
_OFFSET: Final = r"(?P<gap> ?)(?:Z|UTC|GMT|[+-]00(?::?00)?)"
_ISO_DATE: Final = re.compile(r"0000-00-00")
_ISO_TIME: Final = re.compile(
    r"0000-00-00[T ]00:00(?::00(?:[.,]0+)?)?(?P<zone> ?(?:Z|UTC|GMT|[+-]00(?::?00)?))?", re.IGNORECASE
)
_MONTH: Final = r"(?P<month>[A-Za-z]{3,9})"
_YEAR_FIRST: Final = re.compile(r"(?P<year>0000|00)(?P<sign>[-/.])00?(?P=sign)00?(?P<end>\.?)")
_YEAR_LAST: Final = re.compile(r"00?(?P<sign>[-/.])00?(?P=sign)(?P<year>0000|00)")
_SPACED: Final = re.compile(r"(?P<year>0000|00)\. 00?\. 00?(?P<end>\.?)")
_KOREAN: Final = re.compile(r"(?P<year>0000|00)년(?P<first> ?)00?월(?P<second> ?)00?일")
_MONTH_SECOND: Final = re.compile(rf"00?(?P<sign>[- ]){_MONTH}(?P=sign)(?P<year>0000|00)")
_MONTH_FIRST: Final = re.compile(rf"{_MONTH} 00?, (?P<year>0000)")
_SHORT_MONTH: Final = 3
_CLOCK: Final = re.compile(
    rf"(?P<before>(?:오전|오후|[AaPp]\.?[Mm]\.?)(?P<space> ?))?(?:00?:00(?P<seconds>:00(?P<part>[.,]0+)?)?"
    rf"|00?시(?P<first> ?)00?분(?P<spoken>(?P<second> ?)00?초)?)"
    rf"(?P<after>(?P<blank> ?)(?:오전|오후|[AaPp]\.?[Mm]\.?))?(?P<zone>{_OFFSET})?(?P<kst> ?KST)?",
    re.IGNORECASE,
)
_FULL: Final = re.compile(
    r"(?P<date>.+?)(?P<sep>T| +)(?P<clock>(?:오전|오후|[AaPp]\.?[Mm]\.?)? ?00?[:시].*)", re.DOTALL
)
_DIGITS: Final = {
    8: "%Y%m%d",
    6: "%y%m%d",
    14: "%Y%m%d%H%M%S",
    12: "%Y%m%d%H%M",
    10: "unix",
    13: "unix_ms",
    16: "unix_us",
    5: "excel",
}
_MONTH_AND_DAY: Final = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_CALENDAR: Final = {
    "%Y%m%d": re.compile(rf"[0-9]{{4}}{_MONTH_AND_DAY}"),
    "%y%m%d": re.compile(rf"[0-9]{{2}}{_MONTH_AND_DAY}"),
    "%Y%m%d%H%M%S": re.compile(rf"[0-9]{{4}}{_MONTH_AND_DAY}[0-9]{{6}}"),
    "%Y%m%d%H%M": re.compile(rf"[0-9]{{4}}{_MONTH_AND_DAY}[0-9]{{4}}"),
}
"""What all texts that such a format reads are: most digits are IDs, which this tells sooner than the reader."""

_WITH_GAP: Final = {"00000000 000000": "%Y%m%d %H%M%S", "00000000T000000": "%Y%m%dT%H%M%S"}
_FRACTIONS: Final = ((re.compile(r"0{5}\.0+"), "excel"), (re.compile(r"0{10}\.0+"), "unix"))
_BOUNDS: Final = {
    "unix": (6e8, 4.1e9),
    "unix_ms": (6e11, 4.1e12),
    "unix_us": (6e14, 4.1e15),
    "excel": (10_000, 73_100),
}
"""The numbers that are taken for a time: epochs from 1989 to 2099, days of Excel from 1927 to 2100."""

NUMERIC: Final = frozenset(_BOUNDS)
NEEDS_NAME: Final = NUMERIC | {"%y%m%d", "%Y%m%d%H%M"}
"""Formats that would read numbers of any kind, and so need a name that says a time."""


@dataclass(frozen=True, slots=True)
class TimeForm:
    """A *format* of dates and times, None for ISO 8601.

    *has_time* is whether it reads more than a date, *has_zone* whether its texts name an offset. Formats of one *order*
    differ only in the order of day, month and year.
    """

    format: str | None
    has_time: bool = False
    has_zone: bool = False
    order: str = ""

    @property
    def is_korean(self) -> bool:
        """Whether the texts end in `KST`, the time of `ZONE`."""
        return (self.format or "").upper().endswith("KST")


def forms_like(text: str) -> tuple[TimeForm, ...]:
    """Return each form that may read *text*, by its shape: its digits do not matter."""
    return _of_shape(text.translate(_ZERO))


@lru_cache(maxsize=4096)
def _of_shape(shape: str) -> tuple[TimeForm, ...]:
    return tuple(_forms(shape))


def _forms(shape: str) -> Iterator[TimeForm]:
    if shape.isdecimal() or shape.replace(".", "", 1).isdecimal():
        yield from _numeric(shape)
    if _ISO_DATE.fullmatch(shape) is not None:
        yield TimeForm(None)
    if (iso := _ISO_TIME.fullmatch(shape)) is not None:
        yield TimeForm(None, has_time=True, has_zone=iso["zone"] is not None)
    if (full := _FULL.fullmatch(shape)) is not None and (clock := _clock(full["clock"])) is not None:
        sep = "T" if full["sep"] == "T" else " "
        for day in _days(full["date"]):
            form, has_zone = f"{day.format}{sep}{clock[0]}", clock[1]
            yield TimeForm(form, has_time=True, has_zone=has_zone, order=day.order and f"{day.order}{sep}{clock[0]}")
    else:
        yield from _days(shape)


def _numeric(shape: str) -> Iterator[TimeForm]:
    form = _DIGITS.get(len(shape)) if shape.isdecimal() else None
    if form is not None:
        has_time = "%H" in form or form.startswith("unix")
        yield TimeForm(form, has_time=has_time, has_zone=form.startswith("unix"))
    for pattern, name in _FRACTIONS:
        if pattern.fullmatch(shape) is not None:
            yield TimeForm(name, has_time=True, has_zone=name == "unix")


def _days(shape: str) -> Iterator[TimeForm]:
    """Yield the forms of a date without a time."""
    if (found := _YEAR_FIRST.fullmatch(shape)) is not None:
        sign, year = found["sign"], _year(found["year"])
        order = f"{sign}%y" if year == "%y" and not found["end"] else ""
        yield TimeForm(f"{year}{sign}%m{sign}%d{found['end']}", order=order)
    if (found := _YEAR_LAST.fullmatch(shape)) is not None:
        sign, year = found["sign"], _year(found["year"])
        for first, second in (("%d", "%m"), ("%m", "%d")):
            yield TimeForm(f"{first}{sign}{second}{sign}{year}", order=f"{sign}{year}")
    if (found := _SPACED.fullmatch(shape)) is not None:
        yield TimeForm(f"{_year(found['year'])}. %m. %d{found['end']}")
    if (found := _KOREAN.fullmatch(shape)) is not None:
        yield TimeForm(f"{_year(found['year'])}년{found['first']}%m월{found['second']}%d일")
    if (found := _MONTH_SECOND.fullmatch(shape)) is not None:
        month = "%b" if len(found["month"]) == _SHORT_MONTH else "%B"
        yield TimeForm(f"%d{found['sign']}{month}{found['sign']}{_year(found['year'])}")
    if (found := _MONTH_FIRST.fullmatch(shape)) is not None:
        yield TimeForm(f"{'%b' if len(found['month']) == _SHORT_MONTH else '%B'} %d, %Y")
    if (gapped := _WITH_GAP.get(shape)) is not None:
        yield TimeForm(gapped, has_time=True)


def _year(shape: str) -> str:
    return "%y" if len(shape) == 2 else "%Y"  # noqa: PLR2004 — two digits


def _clock(shape: str) -> tuple[str, bool] | None:
    """Return the format of a time of day, and whether it names an offset; None if *shape* is none."""
    found = _CLOCK.fullmatch(shape)
    if found is None or (found["before"] and found["after"]):
        return None
    hour = "%I" if found["before"] or found["after"] else "%H"
    if "시" in shape:
        form = f"{hour}시{found['first']}%M분" + (f"{found['second']}%S초" if found["spoken"] else "")
    else:
        fraction = f"{found['part'][0]}%f" if found["part"] else ""
        form = f"{hour}:%M" + (f":%S{fraction}" if found["seconds"] else "")
    before = f"%p{found['space']}" if found["before"] else ""
    after = f"{found['blank']}%p" if found["after"] else ""
    zone = f"{found['gap']}%z" if found["zone"] else ""
    return f"{before}{form}{after}{zone}{found['kst'] or ''}", bool(zone)


@cache
def form_reader(form: TimeForm, is_birth: bool) -> Callable[[str], bool]:  # noqa: FBT001 — a key of the cache
    """Return a function that tests whether *form* reads a text; of a birth date (*is_birth*) only the day matters."""
    formats = () if form.format is None else (form.format,)
    zone = ZONE if not form.has_time or form.format in NUMERIC or not form.has_zone else None
    only_day = (is_birth and form.format is not None) or not form.has_time
    read = date_reader(formats, timezone=zone) if only_day else datetime_reader(formats, zone)
    bounds, digits = _BOUNDS.get(form.format or ""), _CALENDAR.get(form.format or "")

    def reads(text: str) -> bool:
        if bounds is not None and not bounds[0] <= float(text) < bounds[1]:
            return False
        if digits is not None and digits.fullmatch(text) is None:
            return False
        try:
            read(text)
        except Unreadable:
            return False
        return True

    return reads
