"""Read columns of datetimes by their different hours, each of which the reader of rows reads.

polars knows neither the formats of the mapping nor, for all years, the clock changes of zones. So the reader of rows
says what the begin, the middle and the end of each hour are in UTC. Where all three lie in one hour there, so does what
is between them: no zone changes twice within a day.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from uploader.batch import CellForm
from uploader.mapping.column_expressions import ColumnExpression, fits
from uploader.mapping.compiled_plan import LoneValue
from uploader.mapping.datetime_patterns import directives
from uploader.mapping.unique_values import ReadCell, UniqueValues

_ISO: Final = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")
_WIDTHS: Final = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2}
_DAY: Final = {"%Y", "%m", "%d"}
_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
_SIXTY: Final = "[0-5][0-9]"
_ZONE: Final = "(?:Z|[+-][0-9]{2}:?[0-9]{2})"
_SAMPLES: Final = (("00", "00"), ("30", "00"), ("59", "59"))
"""A minute and a second at the begin, in the middle and at the end of an hour."""

_CELL: Final = pl.col("cell")
"""A cell of the column that is read."""

_HOUR_WIDTH: Final = len("2023-08-15T12")
_HOUR: Final = timedelta(hours=1)
_UNITS: Final = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 — polars counts from here, in whatever zone
_FIRST: Final = (datetime(2, 1, 1) - _EPOCH) // _HOUR  # noqa: DTZ001 — as above
_LAST: Final = (datetime(9998, 12, 31) - _EPOCH) // _HOUR  # noqa: DTZ001 — as above
_LAST_OF_NANOSECONDS: Final = 2**63 // (3600 * _UNITS["ns"]) - 1


@dataclass(frozen=True, slots=True)
class _Layout:
    """A text of fixed width up to its minutes: a regular expression of its *hour*, with that of so many characters.

    *marks* are what is before the minutes, and before the seconds (None: it has none).
    """

    hour: str
    width: int
    marks: tuple[str, str | None]

    @property
    def pattern(self) -> str:
        """The regular expression of the whole text."""
        return self.hour + "".join(_escaped(mark) + _SIXTY for mark in self.marks if mark is not None)

    def completed(self, hour: str, minute: str, second: str) -> str:
        """Return the text of a time in *hour*."""
        before_minute, before_second = self.marks
        return hour + before_minute + minute + ("" if before_second is None else before_second + second)


def datetime_expressions(read: ReadCell, formats: Sequence[str], form: CellForm) -> tuple[ColumnExpression, ...]:
    """Return the expressions for columns of texts or JSON tokens, which *read* reads value by value."""
    if formats:
        layout = _layout(formats[0]) if len(formats) == 1 else None
        return () if layout is None else (_by_hours(read, layout, form),)
    layout = _layout(_ISO[0])
    assert layout is not None  # noqa: S101 — it is of fixed width
    iso = _Layout(layout.hour.replace("T", "[T ]"), layout.width, layout.marks)
    return _by_hours(read, iso, form), _by_hours_and_zones(read, iso, form)


def moments_expression(read: ReadCell, dtype: pl.Datetime) -> ColumnExpression:
    """Return the expression for columns of *dtype*, polars' own datetimes; *read* reads them as Python's."""
    second = _UNITS[dtype.time_unit]
    hour = 3600 * second

    def hour_in_utc(number: object) -> LoneValue | None:
        assert isinstance(number, int)  # noqa: S101 — for the type checker
        begin = number * hour
        samples = pl.Series([begin, begin + hour // 2, begin + hour - second], dtype=pl.Int64).cast(dtype)
        return _one_hour([read(one) for one in samples.to_list()])

    def is_certain(cells: pl.Series) -> pl.Series:
        physical = cells.to_physical()
        # What is below a microsecond is cut by polars, which may be another one before 1970.
        first, last = (0, _LAST_OF_NANOSECONDS) if dtype.time_unit == "ns" else (_FIRST, _LAST)
        return physical.is_between(first * hour, last * hour)

    hours = UniqueValues(hour_in_utc)

    def make(cells: pl.Series) -> pl.Series:
        physical = cells.to_physical()
        seconds = (physical % hour // second).cast(pl.UInt32)
        thousandths = (physical % second // (second // 1000)).cast(pl.UInt32)
        return _joined(cells, hours(physical // hour).texts, _OF_HOUR.gather(seconds), _OF_SECOND.gather(thousandths))

    return ColumnExpression(is_certain, make, quoted=True)


def _by_hours(read: ReadCell, layout: _Layout, form: CellForm) -> ColumnExpression:
    quote, begin = ('"', 1) if form == "json" else ("", 0)
    width = begin + layout.width

    def hour_in_utc(hour: object) -> LoneValue | None:
        return _one_hour([read(layout.completed(str(hour), *sample) + quote) for sample in _SAMPLES])

    hours = UniqueValues(hour_in_utc)
    before_minute, before_second = layout.marks
    minute = width + len(before_minute)
    second = None if before_second is None else minute + 2 + len(before_second)

    def make(cells: pl.Series) -> pl.Series:
        read_hours = hours(cells.str.slice(0, width)).texts
        if layout.marks == (":", ":"):
            return _joined(cells, read_hours, _CELL.str.slice(width, 6), ".000Z")
        seconds = "00" if second is None else _CELL.str.slice(second, 2)
        return _joined(cells, read_hours, ":", _CELL.str.slice(minute, 2), ":", seconds, ".000Z")

    return ColumnExpression(fits(quote + layout.pattern + quote), make, quoted=True)


def _by_hours_and_zones(read: ReadCell, layout: _Layout, form: CellForm) -> ColumnExpression:
    """Return the expression for texts with thousandths of a second, with an offset, or with both."""
    quote, begin = ('"', 1) if form == "json" else ("", 0)
    width = begin + layout.width
    after = width + len(":00:00")

    def hour_in_utc(key: object) -> LoneValue | None:
        hour, zone = str(key)[:width], str(key)[width:]
        return _one_hour([read(layout.completed(hour, *sample) + zone + quote) for sample in _SAMPLES])

    hours = UniqueValues(hour_in_utc)

    ends = _CELL.str.slice(after).str.strip_suffix('"')
    fractions = ends.str.extract("\\A(\\.[0-9]{3})").fill_null(".000")
    zones = ends.str.extract(f"({_ZONE})\\z").fill_null("")

    def make(cells: pl.Series) -> pl.Series:
        keys = _joined(cells, _CELL.str.slice(0, width), zones)
        return _joined(cells, hours(keys).texts, _CELL.str.slice(width, 6), fractions, "Z")

    return ColumnExpression(fits(f"{quote}{layout.pattern}(?:\\.[0-9]{{3}})?{_ZONE}?{quote}"), make, quoted=True)


def _one_hour(samples: list[LoneValue | None]) -> LoneValue | None:
    """Return the hour in UTC in which *samples* of an hour lie, if it is one hour."""
    hours = set()
    for (minute, second), sample in zip(_SAMPLES, samples, strict=True):
        text = "" if sample is None or sample.text is None else sample.text.strip('"')
        if sample is None or sample.changed or text[_HOUR_WIDTH:] != f":{minute}:{second}.000Z":
            return None
        hours.add(text[:_HOUR_WIDTH])
    return LoneValue(hours.pop()) if len(hours) == 1 else None


def _layout(pattern: str) -> _Layout | None:
    """Return the layout of texts that *pattern* reads, with all digits; None if it is not of fixed width."""
    pieces = directives(pattern)
    place = pieces.index("%H") + 1 if "%H" in pieces else 0
    before, marks = pieces[:place], _marks(pieces[place:])
    named = [piece for piece in before if piece.startswith("%")]
    if marks is None or sorted(named) != sorted((*_DAY, "%H")):
        return None
    hour = "".join(f"[0-9]{{{_WIDTHS[piece]}}}" if piece in _WIDTHS else _escaped(piece) for piece in before)
    return _Layout(hour, sum(_WIDTHS.get(piece, len(piece)) for piece in before), marks)


def _marks(pieces: Sequence[str]) -> tuple[str, str | None] | None:
    """Return what is before the minutes and the seconds in *pieces*, which follow the hour; None if there is more."""
    texts = ["" if piece.startswith("%") else piece for piece in pieces]
    match [piece for piece in pieces if piece.startswith("%")]:
        case ["%M"] if pieces[-1] == "%M":
            return texts[0], None
        case ["%M", "%S"] if pieces[-1] == "%S":
            return texts[0], texts[pieces.index("%M") + 1]
        case _:
            return None


def _escaped(text: str) -> str:
    # Not `re.escape`: polars refuses an escaped space.
    return _SPECIAL.sub(r"\\\g<0>", text)


def _joined(cells: pl.Series, *parts: pl.Series | pl.Expr | str) -> pl.Series:
    """Return the texts of *parts*, which may be expressions of `_CELL`, joined; null where one of them is null."""
    exprs = [pl.lit(part) if isinstance(part, str | pl.Series) else part for part in parts]
    return cells.to_frame("cell").select(pl.concat_str(exprs).alias("joined")).to_series()


_OF_HOUR: Final = pl.Series([f":{second // 60:02}:{second % 60:02}" for second in range(3600)])
"""Minute and second of each second of an hour."""

_OF_SECOND: Final = pl.Series([f".{thousandth:03}Z" for thousandth in range(1000)])
"""The end of a datetime with each thousandth of a second."""
