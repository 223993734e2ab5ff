"""Draw the charts of a run's report as SVG, each for one width of the page."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeAlias

import leather  # type: ignore[import-untyped]  # it has no types

from uploader.run_record import RunRecord
from uploader.timeline import (
    Interval,
    Pause,
    PauseKind,
    QuotaWindow,
    fewer_intervals,
    fullest_windows,
    is_gap,
    percentile,
)

BLUE: Final = "#1f5fa8"
ORANGE: Final = "#c2571a"
PURPLE: Final = "#7a3b8f"
GREY: Final = "#9aa3ad"
RED: Final = "#c0303c"
LIMIT: Final = "#3a3f45"
PAUSE_COLORS: Final[dict[PauseKind, str]] = {"throttled": "#f0c75e", "outage": "#e79aa2"}

DASHES: Final = {BLUE: "none", ORANGE: "6 3", PURPLE: "2 2", LIMIT: "8 4"}
"""Each line has dashes of its own, so that they differ without colours too."""

_HEIGHT: Final = 240
_MARGIN: Final = 10.0
_CHARACTER: Final = 7.2
"""The width of a character of a tick, in pixels."""

_PER_POINT: Final = 3
"""A point of a line has at least this many pixels."""

_PER_COLUMN: Final = 9

Point: TypeAlias = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class _Axis:
    """What an axis shows: from *least* to *most*, with *ticks* that have labels."""

    least: float
    most: float
    ticks: Sequence[float]
    label: Callable[[float], str]
    is_logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class _Box:
    """A rectangle in the units of the axes."""

    left: float
    right: float
    bottom: float
    top: float
    color: str


def throughput_chart(intervals: Sequence[Interval], pauses: Iterable[Pause], width: int) -> str:
    """Return the chart of the requests a second of *intervals*, beside the limit, with the *pauses* behind them."""
    shown = fewer_intervals(intervals, width // _PER_POINT)
    top = max([*(one.limit for one in shown), *(one.per_second for one in shown)])
    y = _count_axis(top)
    bands = [_Box(pause.at, pause.end, 0.0, y.most, PAUSE_COLORS[pause.kind]) for pause in pauses]
    x = _time_axis(shown, width, y)
    least = (x.most - x.least) / width
    return _chart(
        [
            # A short pause would be thinner than a pixel.
            _Boxes([_Box(one.left, max(one.right, one.left + least), one.bottom, one.top, one.color) for one in bands]),
            _line(_steps(shown, lambda one: one.limit), LIMIT),
            _line(_steps(shown, lambda one: one.per_second), BLUE),
        ],
        x,
        y,
        width,
    )


def latency_chart(intervals: Sequence[Interval], width: int) -> str:
    """Return the chart of three percentiles of the latency of *intervals*, of which one has a reply."""
    shown = fewer_intervals(intervals, width // _PER_POINT)
    lines = [
        (_steps(shown, partial(_percentile, share=share)), color)
        for share, color in ((0.99, PURPLE), (0.95, ORANGE), (0.5, BLUE))
    ]
    values = [value for points, _ in lines for _, value in points if value is not None]
    y = _logarithmic_axis(min(values), max(values))
    return _chart([_line(points, color) for points, color in lines], _time_axis(shown, width, y), y, width)


def _percentile(interval: Interval, share: float) -> float | None:
    return percentile(interval.latencies, share)


def most_columns(width: int) -> int:
    """Return how many columns a chart of this *width* has at most."""
    return width // _PER_COLUMN


def windows_chart(windows: Sequence[QuotaWindow], width: int) -> str:
    """Return the chart of what was used of each of *windows*, beside their limit."""
    shown = fullest_windows(windows, most_columns(width))
    y = _count_axis(max(max(one.used, one.limit) for one in shown))
    has_days = shown[-1].ends - shown[0].ends > _DAY
    labels = [f"{_local(one.ends):%m-%d %H:%M}" if has_days else f"{_local(one.ends):%H:%M:%S}" for one in shown]
    x = _column_axis(labels, width, y)
    columns = [_Box(n + 0.15, n + 0.85, 0.0, one.used, BLUE) for n, one in enumerate(shown)]
    limits: list[Point] = [(n + side, float(one.limit)) for n, one in enumerate(shown) for side in (0.0, 1.0)]
    return _chart([_Boxes(columns), _line(limits, LIMIT)], x, y, width)


def last_runs_chart(runs: Sequence[RunRecord], width: int) -> str:
    """Return the chart of the rows of *runs*: accepted, unchanged, not accepted, one upon the other."""
    y = _count_axis(max(1, *(one.counts.settled for one in runs)))
    days = [f"{datetime.fromisoformat(one.started).astimezone():%m-%d}" for one in runs]
    boxes = []
    for n, run in enumerate(runs):
        counts, bottom = run.counts, 0.0
        for rows, color in (
            (counts.sent, BLUE),
            (sum(counts.not_sent().values()), GREY),
            (counts.not_accepted, RED),
        ):
            boxes.append(_Box(n + 0.15, n + 0.85, bottom, bottom + rows, color))
            bottom += rows
    return _chart([_Boxes(boxes)], _column_axis(days, width, y), y, width)


def pauses_of(intervals: Iterable[Interval]) -> Iterator[Pause]:
    """Yield the pauses of *intervals*."""
    for interval in intervals:
        yield from interval.pauses


def _steps(intervals: Sequence[Interval], value: Callable[[Interval], float | None]) -> list[Point]:
    """Return a line that is level in each of *intervals*, and ends where the run was not sending."""
    points: list[Point] = []
    for number, interval in enumerate(intervals):
        if number and is_gap(intervals[number - 1], interval):
            points.append((interval.at, None))
        points += [(interval.at, value(interval)), (interval.end, value(interval))]
    return points


# Axes


def _count_axis(most: float) -> _Axis:
    """Return an axis of numbers from 0 to *most*, with a few round ones."""
    step = _round_up(max(most, 1e-9) / 4)
    ticks = [step * number for number in range(math.ceil(most / step) + 1)]
    # What reaches the top would hide the line of the limit.
    return _Axis(0.0, max(ticks[-1], most * 1.05), ticks, lambda value: f"{value:,.10g}")


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999)


def _logarithmic_axis(least: float, most: float) -> _Axis:
    """Return an axis of seconds, from *least* to *most*, in powers of ten."""
    first = math.floor(math.log10(least))
    last = max(math.ceil(math.log10(most)), first + 1)
    ticks = [10.0**power for power in range(first, last + 1)]
    return _Axis(ticks[0], ticks[-1], ticks, _latency_text, is_logarithmic=True)


def _latency_text(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


_TIME_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200)
_DAY: Final = 86400
_MINUTE: Final = 60


def _time_axis(intervals: Sequence[Interval], width: int, y: _Axis) -> _Axis:
    """Return the axis of the time of *intervals*, in seconds since 1970, with labels in local time."""
    least, most = intervals[0].at, max(intervals[-1].end, intervals[0].at + 1)
    span = most - least
    has_days = span > _DAY
    characters = len("11-29 02:00") if has_days else len("02:00:00")
    room = _plot_width(width, y)
    count = max(1.0, room / ((characters + 2) * _CHARACTER))
    days = (_DAY * n for n in range(1, math.ceil(span / _DAY) + 1))
    step = next((one for one in (*_TIME_STEPS, *days) if span / one <= count), _DAY)
    offset = (_local(least).utcoffset() or timedelta()).total_seconds()
    first = math.ceil((least + offset) / step) * step - offset
    # A label is centred below its tick, and must not be cut off at the right.
    last = most - (characters / 2 * _CHARACTER - _MARGIN) / room * span
    ticks = [first + step * n for n in range(math.floor((last - first) / step) + 1)]
    clock = "%H:%M:%S" if step < _MINUTE else "%H:%M"
    return _Axis(
        least,
        most,
        ticks or [least],
        lambda value: f"{_local(value):{'%m-%d %H:%M' if has_days else clock}}",
    )


def _column_axis(labels: Sequence[str], width: int, y: _Axis) -> _Axis:
    """Return the axis of one column for each of *labels*, as many of which are shown as there is room for."""
    longest = max(len(label) for label in labels)
    room = _plot_width(width, y)
    # Few columns are no wider than many.
    columns = max(len(labels), 8)
    each = math.ceil((longest + 2) * _CHARACTER / (room / columns))
    fits = [
        n
        for n in range(0, len(labels), each)
        if (n + 0.5) * room / columns + longest / 2 * _CHARACTER <= room + _MARGIN
    ]
    return _Axis(0.0, float(columns), [n + 0.5 for n in fits], lambda value: labels[int(value)])


def _plot_width(width: int, y: _Axis) -> float:
    """Return how wide the plot is beside the labels of *y*."""
    return width - 2 * _MARGIN - max(len(y.label(tick)) for tick in y.ticks) * _CHARACTER - 8


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).astimezone()


# What leather draws with


class _Scale(leather.Linear):  # type: ignore[misc]  # leather has no types
    """Project values as they are, without the room that leather's own scale leaves for its ticks."""

    def __init__(self, axis: _Axis) -> None:
        self._axis = axis

    def contains(self, value: float) -> bool:
        return self._axis.least <= value <= self._axis.most

    def project(self, value: float, range_min: float, range_max: float) -> float:
        least, most = self._axis.least, self._axis.most
        if self._axis.is_logarithmic:
            value, least, most = math.log(value), math.log(least), math.log(most)
        return round(range_min + (range_max - range_min) * (value - least) / (most - least), 1)

    def ticks(self) -> Sequence[float]:
        return self._axis.ticks


class _Boxes(leather.shapes.Shape):  # type: ignore[misc]  # leather has no types
    """Draw rectangles anywhere on the chart, such as bands of time, or columns upon columns."""

    def __init__(self, boxes: Sequence[_Box]) -> None:
        self._boxes = boxes

    def validate_series(self, series: object) -> None:
        """Accept every series."""

    def legend_to_svg(self, series: object, palette: object) -> list[object]:
        """Return no legend: the page has one."""
        del series, palette
        return []

    def to_svg(  # noqa: PLR0913, PLR0917 — leather calls it
        self, width: float, height: float, x_scale: _Scale, y_scale: _Scale, series: object, palette: object
    ) -> ET.Element:
        """Return the rectangles."""
        del series, palette
        group = ET.Element("g")
        for box in self._boxes:
            left, right = (x_scale.project(value, 0, width) for value in (box.left, box.right))
            top, bottom = (y_scale.project(value, height, 0) for value in (box.top, box.bottom))
            where = {"x": left, "y": top, "width": round(right - left, 1), "height": round(bottom - top, 1)}
            group.append(ET.Element("rect", {name: str(value) for name, value in where.items()} | {"fill": box.color}))
        return group


class _Line(leather.shapes.Line):  # type: ignore[misc]  # leather has no types
    """Draw a line as leather does, without a legend: the page has one."""

    def legend_to_svg(self, series: object, palette: object) -> list[object]:
        """Return no legend."""
        del series, palette
        return []


@dataclass(frozen=True, slots=True)
class _Layer:
    points: Sequence[Point]
    shape: Any


def _line(points: Sequence[Point], color: str) -> _Layer:
    return _Layer(points, _Line(color, 1.6, DASHES[color]))


def _chart(layers: Sequence["_Layer | _Boxes"], x: _Axis, y: _Axis, width: int) -> str:
    """Return the SVG of *layers*, the first at the back."""
    theme = leather.theme
    theme.margin = _MARGIN / width
    theme.background_color = "none"
    theme.tick_font_family = "inherit"
    theme.tick_font_size = theme.tick_font_char_height = 12
    theme.tick_font_char_width = _CHARACTER
    theme.label_color = LIMIT
    theme.tick_color = "#e3e6ea"
    chart = leather.Chart()
    chart.set_x_scale(_Scale(x))
    chart.set_y_scale(_Scale(y))
    chart.add_x_axis(ticks=x.ticks, tick_formatter=lambda value, *_: x.label(value))
    chart.add_y_axis(ticks=y.ticks, tick_formatter=lambda value, *_: y.label(value))
    for layer in layers:
        if isinstance(layer, _Layer):
            if any(value is not None for _, value in layer.points):
                chart.add_series(leather.Series(list(layer.points)), layer.shape)
        else:
            chart.add_series(leather.Series([(x.least, y.least)]), layer)
    root = ET.Element("svg", {"viewBox": f"0 0 {width} {_HEIGHT}", "width": str(width), "height": str(_HEIGHT)})
    root.append(chart.to_svg_group(width, _HEIGHT))
    return ET.tostring(root, encoding="unicode")
