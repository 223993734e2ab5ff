"""Read dates and datetimes strictly by their declared format."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from uploader.mapping.value_errors import Unreadable
from uploader.model import Reason

_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_PLAIN_DATE: Final = re.compile(r"\d{8}", re.ASCII)
_PLAIN_DATETIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ](?:[01]\d|2[0-3]):\d{2}:\d{2}", re.ASCII)
_ISO_DATETIME: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?(Z|z|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)
_NOT_DATE: Final = Reason("not_date", "not a date")
_NOT_DATETIME: Final = Reason("not_datetime", "not a date and time")
_NO_ZONE: Final = Reason("no_zone", "a time with neither an offset nor a `timezone` in its mapping")
_NOT_A_TIME: Final = Reason("no_such_time", "a local time that the clock change skips")
_TWICE: Final = Reason("time_twice", "a local time that the clock change gives twice; it needs an offset")
_OUT_OF_RANGE: Final = Reason("not_datetime", "a time outside the years 1 to 9999")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_OFFSET: Final = timedelta()
_SECONDS: Final = 6
_DAYS: Final = 366

_FIELDS: Final = {"Y": "year", "m": "month", "d": "day", "H": "hour", "M": "minute", "S": "second", "f": "microsecond"}
_WIDTHS: Final = {"y": 2, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "j": 3}
_WORDS: Final = frozenset({"%a", "%A", "%b", "%B", "%p", "%Z", "%%"})


def date_reader(pattern: str | None) -> Callable[[object], str]:
    """Return a function that reads a value as a Date, `yyyy-MM-dd`: text by the strptime *pattern*, else by ISO 8601.

    The function raises `Unreadable`.
    """
    parse = _iso_date if pattern is None else _date_by(pattern)

    def read(value: object) -> str:
        if isinstance(value, str):
            return parse(value).isoformat()
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        raise Unreadable(_NOT_DATE)

    return read


def datetime_reader(pattern: str | None, timezone: str | None) -> Callable[[object], str]:
    """Return a function that reads a value as a Datetime in UTC, cut to the millisecond (`api.md`).

    Text is read by the strptime *pattern*, else by ISO 8601. An offset in the text wins over *timezone*. The function
    raises `Unreadable`, also for a local time that does not exist or exists twice.
    """
    parse = _iso_datetime if pattern is None else _parser(pattern, _NOT_DATETIME)
    clock = None if timezone is None else _Clock(ZoneInfo(timezone))
    offset = _no_offset if clock is None else clock.offset

    def read(value: object) -> str:
        moment = parse(value) if isinstance(value, str) else value
        if not isinstance(moment, datetime):
            raise Unreadable(_NOT_DATETIME)
        return _spelled(moment, offset(moment)) if moment.tzinfo is None else spell_utc(moment)

    if clock is None or pattern is not None:
        return read
    offset_in = clock.by_year.get

    def read_plain(value: object) -> str:
        # The common case: whole seconds, in a year that is known to have one offset.
        if isinstance(value, str) and _PLAIN_DATETIME.fullmatch(value) is not None:
            moment = _plain_datetime(value)
            always = offset_in(moment.year)
            if always is not None:
                return (moment - always).isoformat() + ".000Z"
        return read(value)

    return read_plain


class Now:
    """Returns the current time as a Datetime of the API (`api.md`), formatted once for each millisecond."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """Read *clock*, in nanoseconds since 1970."""
        self._clock = clock
        self._milliseconds = -1
        self._spelled = ""

    def __call__(self) -> str:
        """Return the time now."""
        milliseconds = self._clock() // 1_000_000
        if milliseconds != self._milliseconds:
            self._milliseconds = milliseconds
            self._spelled = spell_utc(_EPOCH + timedelta(milliseconds=milliseconds))
        return self._spelled


def spell_utc(moment: datetime) -> str:
    """Return *moment*, which has an offset, as the API writes a Datetime: `2023-08-15T12:30:00.000Z`."""
    offset = moment.utcoffset() or _NO_OFFSET
    return _spelled(moment.replace(tzinfo=None), offset)


def _spelled(local: datetime, offset: timedelta) -> str:
    try:
        moment = local - offset
    except OverflowError:
        raise Unreadable(_OUT_OF_RANGE) from None
    # isoformat cuts what is below the millisecond; it does not round.
    return moment.isoformat(timespec="milliseconds") + "Z" if moment.microsecond else moment.isoformat() + ".000Z"


def _no_offset(_: datetime) -> timedelta:
    raise Unreadable(_NO_ZONE)


class _Clock:
    """The offsets from UTC of one time zone."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self.by_year: dict[int, timedelta | None] = {}
        """The offset of each year seen so far; None if it changes, or may change, within the year."""

    def offset(self, local: datetime) -> timedelta:
        """Return the offset of *local*; raises `Unreadable` where a clock change skips that time or gives it twice."""
        year = local.year
        if year not in self.by_year:
            self.by_year[year] = self._of_whole(year)
        always = self.by_year[year]
        return self._offset(local) if always is None else always

    def _offset(self, local: datetime) -> timedelta:
        first = self._zone.utcoffset(local) or _NO_OFFSET
        second = self._zone.utcoffset(local.replace(fold=1)) or _NO_OFFSET
        if first == second:
            return first
        # At a clock change the two offsets differ. The second is larger where local times are skipped.
        raise Unreadable(_NOT_A_TIME if first < second else _TWICE)

    def _of_whole(self, year: int) -> timedelta | None:
        """Return the one offset of all of *year*; None if the clock changes, or may change, in it."""
        if not MINYEAR < year < MAXYEAR:
            return None
        begin = datetime(year - 1, 12, 31)  # noqa: DTZ001 — a local time of this zone
        # One offset a day is enough, from the day before the year to the day after: no zone changes twice within a day.
        offsets = {self._zone.utcoffset(begin + timedelta(days=day)) for day in range(_DAYS + 2)}
        return offsets.pop() if len(offsets) == 1 else None


def _iso_date(text: str) -> date:
    return _date_as(_ISO_DATE, text)


def _plain_date(text: str) -> date:
    return _date_as(_PLAIN_DATE, text)


def _date_as(form: re.Pattern[str], text: str) -> date:
    """Return the date in *text*, which must have this *form*; `fromisoformat` alone would accept others as well."""
    if form.fullmatch(text) is None:
        raise Unreadable(_NOT_DATE)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Unreadable(_NOT_DATE) from None


def _plain_datetime(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable(_NOT_DATETIME) from None


def _iso_datetime(text: str) -> datetime:
    if _PLAIN_DATETIME.fullmatch(text) is not None:
        return _plain_datetime(text)
    match = _ISO_DATETIME.fullmatch(text)
    if match is None:
        raise Unreadable(_NOT_DATETIME)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    micro = int(fraction[:6].ljust(6, "0")) if fraction else 0
    try:
        zone = None if offset is None else _offset(offset)
        return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micro, zone)
    except ValueError:
        raise Unreadable(_NOT_DATETIME) from None


def _offset(text: str) -> tzinfo | None:
    return UTC if text in "Zz" else datetime.strptime(text.ljust(5, "0"), "%z").tzinfo


def _date_by(pattern: str) -> Callable[[str], date]:
    if pattern == "%Y%m%d":
        return _plain_date
    parse = _parser(pattern, _NOT_DATE)
    return lambda text: parse(text).date()


def _parser(pattern: str, trouble: Reason) -> Callable[[str], datetime]:
    expression = _expression(pattern)
    names = list(expression.groupindex)
    if len(names) < expression.groups:
        return lambda text: _strptime(text, pattern, expression, trouble)

    defaults = {"year": 1900, "month": 1, "day": 1}
    in_order = names == list(_FIELDS.values())[: len(names)] and len(names) >= len(defaults)

    def parse(text: str) -> datetime:
        match = expression.fullmatch(text)
        if match is None:
            raise Unreadable(trouble)
        found = match.groups()
        if len(found) > _SECONDS and in_order:
            found = (*found[:_SECONDS], found[_SECONDS].ljust(6, "0"))
        try:
            if in_order:
                return datetime(*map(int, found))  # type: ignore[arg-type]  # noqa: DTZ001 — the caller adds the zone
            return datetime(**{**defaults, **_numbers(names, found)})  # type: ignore[arg-type]  # noqa: DTZ001 — as above
        except ValueError:
            raise Unreadable(trouble) from None

    return parse


def _numbers(names: list[str], found: tuple[str, ...]) -> dict[str, int]:
    named = dict(zip(names, found, strict=True))
    if "microsecond" in named:
        named["microsecond"] = named["microsecond"].ljust(6, "0")
    return {name: int(text) for name, text in named.items()}


def _strptime(text: str, pattern: str, expression: re.Pattern[str], trouble: Reason) -> datetime:
    if expression.fullmatch(text) is None:
        raise Unreadable(trouble)
    try:
        return datetime.strptime(text, pattern)  # noqa: DTZ007 — the zone of the mapping is added by the caller
    except ValueError:
        raise Unreadable(trouble) from None


def _expression(pattern: str) -> re.Pattern[str]:
    """Return a regular expression for the texts that *pattern* reads, with a group for each directive.

    A group has a name if it is a plain number; the others are left to strptime. Where numbers touch, it is stricter
    than strptime: `2023111` by `%Y%m%d` could be two dates, so it is rejected.
    """
    pieces = re.findall(r"%.|[^%]+|%", pattern, re.DOTALL)
    parts: list[str] = []
    named: set[str] = set()
    for place, piece in enumerate(pieces):
        if piece == "%%":
            parts.append("%")
        elif not piece.startswith("%"):
            parts.append(r"\s+".join(map(re.escape, re.split(r"\s+", piece, flags=re.ASCII))))
        else:
            name = _FIELDS.get(piece[1:], "")
            digits = _digits(piece[1:], _touching(pieces, place))
            # strptime refuses a directive that is given twice.
            parts.append(f"(?P<{name}>{digits})" if name and name not in named else f"({digits})")
            named.add(name)
    return re.compile("".join(parts), re.ASCII | re.IGNORECASE | re.DOTALL)


def _digits(letter: str, touching: "_Touching") -> str:
    if letter == "Y":
        return r"\d{4}"
    if letter == "f":
        return r"\d{6}" if touching.after else r"\d{1,6}"
    if letter not in _WIDTHS:
        return ".+"
    width = _WIDTHS[letter]
    return rf"\d{{{width}}}" if touching.before or touching.after else rf"\d{{1,{width}}}"


@dataclass(frozen=True, slots=True)
class _Touching:
    """Whether another digit may come directly before and directly after the number of a directive."""

    before: bool
    after: bool


def _touching(pieces: list[str], place: int) -> _Touching:
    before = pieces[place - 1] if place else "-"
    after = pieces[place + 1] if place + 1 < len(pieces) else "-"
    return _Touching(
        before=before not in _WORDS if before.startswith("%") else before[-1].isdigit(),
        after=after not in {*_WORDS, "%z"} if after.startswith("%") else after[0].isdigit(),
    )
