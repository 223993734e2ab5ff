"""Read dates and datetimes strictly by their declared formats."""

import re
from collections.abc import Callable, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from uploader.mapping.datetime_patterns import UTC_OR_OFFSET, Parser, offset_of, pattern_parser
from uploader.mapping.numeric_times import EPOCHS, NUMERIC_FORMATS, numeric_parser
from uploader.mapping.value_errors import Unreadable
from uploader.model import Reason

_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_PLAIN_DATETIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ](?:[01]\d|2[0-3]):\d{2}:\d{2}", re.ASCII)
_ISO_DATETIME: Final = re.compile(
    rf"(\d{{4}})-(\d{{2}})-(\d{{2}})[T ](\d{{2}}):(\d{{2}})(?::(\d{{2}})(?:[.,](\d+))?)?(?: ?({UTC_OR_OFFSET}))?",
    re.ASCII | re.IGNORECASE,
)
_NO_ZONE: Final = Reason("no_zone", "a time with neither an offset nor a `timezone` in its mapping")
_DAY_WITHOUT_ZONE: Final = Reason("no_zone", "a moment whose date depends on the zone; its mapping needs `timezone`")
_NOT_A_TIME: Final = Reason("no_such_time", "a local time that the clock change skips")
_TWICE: Final = Reason("time_twice", "a local time that the clock change gives twice; it needs an offset")
_OUT_OF_RANGE: Final = Reason("not_datetime", "a time outside the years 1 to 9999")

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 — in UTC, as it is written
_NO_OFFSET: Final = timedelta()
_DAYS: Final = 366


def date_reader(
    formats: Sequence[str], *, pivot: int | None = None, timezone: str | None = None
) -> Callable[[object], str]:
    """Return a function that reads a value as a Date, `yyyy-MM-dd`, by the first of *formats* that reads it.

    No formats at all mean ISO 8601. *pivot* is the last year of `%y` in 20xx. *timezone* is where the day of `EPOCHS`
    is looked up; without it only a midnight in UTC has a certain day. The function raises `Unreadable`.
    """
    parsers = [_day_parser(form, formats, pivot, timezone) for form in formats] or [_iso_date]
    trouble = Reason("not_date", f"not a date ({', '.join(formats) or '%Y-%m-%d'})")

    def read(value: object) -> str:
        # A format reads a whole number as it reads a CSV cell.
        text = str(value) if formats and type(value) is int else value
        for parse in parsers:
            moment = parse(text)
            if moment is not None:
                return moment.date().isoformat()
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        raise Unreadable(trouble)

    return read


def datetime_reader(
    formats: Sequence[str], timezone: str | None, *, pivot: int | None = None
) -> Callable[[object], str]:
    """Return a function that reads a value as a Datetime in UTC, cut to the millisecond (`api.md`).

    A text or number is read by the first of *formats* that reads it, without any by ISO 8601. *pivot* is the last year
    of `%y` in 20xx. An offset in the text wins over *timezone*. The function raises `Unreadable`, also for a local time
    that does not exist or exists twice.
    """
    parsers = [_parser(form, formats, pivot, whole_days=False) for form in formats] or [_iso_datetime]
    trouble = Reason("not_datetime", f"not a date and time ({', '.join(formats) or 'ISO 8601'})")
    clock = None if timezone is None else _Clock(ZoneInfo(timezone))
    offset = _no_offset if clock is None else clock.offset

    def read(value: object) -> str:
        moment = value if isinstance(value, datetime) else None
        text = str(value) if formats and type(value) is int else value
        for parse in parsers if moment is None else ():
            moment = parse(text)
            if moment is not None:
                break
        if moment is None:
            raise Unreadable(trouble)
        return _spelled(moment, offset(moment)) if moment.tzinfo is None else spell_utc(moment)

    if clock is None or formats:
        return read
    offset_in = clock.by_year.get

    def read_plain(value: object) -> str:
        # The common case: whole seconds, in a year that is known to have one offset.
        if isinstance(value, str) and _PLAIN_DATETIME.fullmatch(value) is not None:
            try:
                local = datetime.fromisoformat(value)
            except ValueError:
                raise Unreadable(trouble) from None
            always = offset_in(local.year)
            if always is not None:
                return (local - always).isoformat() + ".000Z"
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
            local = _EPOCH + timedelta(milliseconds=milliseconds)
            self._spelled = local.isoformat(timespec="milliseconds") + "Z"
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


def _iso_date(value: object) -> datetime | None:
    # `fromisoformat` alone would accept other forms as well.
    if not isinstance(value, str) or _ISO_DATE.fullmatch(value) is None:
        return None
    return _plain_datetime(value)


def _plain_datetime(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _iso_datetime(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    if _PLAIN_DATETIME.fullmatch(value) is not None:
        return _plain_datetime(value)
    match = _ISO_DATETIME.fullmatch(value)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    micro = int(fraction[:6].ljust(6, "0")) if fraction else 0
    try:
        zone = None if offset is None else offset_of(offset)
        return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micro, zone)
    except ValueError:
        return None


def _parser(form: str, formats: Sequence[str], pivot: int | None, *, whole_days: bool) -> Parser:
    for numeric in NUMERIC_FORMATS:
        if form == numeric:
            return numeric_parser(numeric, formats, whole_days=whole_days)
    return pattern_parser(form, pivot)


def _day_parser(form: str, formats: Sequence[str], pivot: int | None, timezone: str | None) -> Parser:
    """Return the parser of *form* for dates: a moment of `EPOCHS` becomes its local time in *timezone*."""
    parse = _parser(form, formats, pivot, whole_days=True)
    if form not in EPOCHS:
        return parse
    zone = UTC if timezone is None else ZoneInfo(timezone)

    def parse_day(value: object) -> datetime | None:
        moment = parse(value)
        if moment is None:
            return None
        if timezone is None and (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
            raise Unreadable(_DAY_WITHOUT_ZONE)
        try:
            return moment.astimezone(zone)
        except OverflowError:
            return None

    return parse_day
