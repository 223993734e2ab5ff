"""Describe a run over time: intervals with their requests, latencies, pauses and the quota's windows, as plain data."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from itertools import pairwise
from typing import Final, Literal, TypeAlias

PauseKind: TypeAlias = Literal["throttled", "outage"]
"""Why all requests paused: the service throttled us (or another run of this machine), or it could not be reached."""

_LETTERS: Final[Mapping[PauseKind, str]] = {"throttled": "t", "outage": "o"}
_KINDS: Final = {letter: kind for kind, letter in _LETTERS.items()}

_STEPS: Final = 8
"""A latency is kept in steps of an eighth of a power of two of a millisecond: it is exact to 5 %."""

_MOST_WINDOWS: Final = 4
"""An interval keeps this many windows; where there are more, the fullest ones stand for those beside them."""

_GAP_SECONDS: Final = 5.0
"""Intervals further apart than this are of two sessions of the run."""

_JOINED_SECONDS: Final = 0.5
"""Pauses of one kind that are no further apart are one pause."""


@dataclass(frozen=True, slots=True)
class Pause:
    """No request but probes was sent from *at* (seconds since 1970), for *seconds*."""

    kind: PauseKind
    at: float
    seconds: float

    @property
    def end(self) -> float:
        """When it was over, in seconds since 1970."""
        return self.at + self.seconds


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """The window of the quota that ends at *ends* (seconds since 1970): *used* of *limit* requests.

    It stands for *windows* windows, of which it is the fullest.
    """

    ends: float
    used: int
    limit: int
    windows: int = 1


@dataclass(frozen=True, slots=True)
class IntervalTotals:
    """How much a run did: the requests are as in `Traffic`, *accepted* and *not_accepted* count rows."""

    requests: int = 0
    retries: int = 0
    limited: int = 0
    accepted: int = 0
    not_accepted: int = 0
    registrations: int = 0

    def __add__(self, other: "IntervalTotals") -> "IntervalTotals":
        """Return the sum of both."""
        return IntervalTotals(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    def since(self, before: "IntervalTotals") -> "IntervalTotals":
        """Return how much more that is than *before*."""
        return IntervalTotals(*(now - then for now, then in zip(astuple(self), astuple(before), strict=True)))


@dataclass(frozen=True, slots=True)
class Interval:
    """What a run did from *at* (seconds since 1970), for *seconds*.

    *limit* is the configured limit and *pace* the pace of this run, both in requests a second; the limit counts in
    windows of *per* seconds. *latencies* counts the answers by the step of their latency
    (`counted_latencies`). *windows* are those that the quota had.
    """

    at: float
    seconds: float
    totals: IntervalTotals = field(default_factory=IntervalTotals)
    limit: float = 0.0
    pace: float = 0.0
    per: float = 0.0
    latencies: Mapping[int, int] = field(default_factory=dict)
    pauses: tuple[Pause, ...] = ()
    windows: tuple[QuotaWindow, ...] = ()

    @property
    def end(self) -> float:
        """When it was over, in seconds since 1970."""
        return self.at + self.seconds

    @property
    def per_second(self) -> float:
        """How many requests it sent a second, without registrations: those have a limit of their own."""
        sent = self.totals.requests - self.totals.registrations
        return sent / self.seconds if self.seconds else 0.0


def counted_latencies(latencies: Iterable[float]) -> Mapping[int, int]:
    """Return how many of *latencies* (seconds) are in each step."""
    return Counter([math.floor(math.log2(max(seconds, 1e-6) * 1000) * _STEPS) for seconds in latencies])


def percentile(latencies: Mapping[int, int], share: float) -> float | None:
    """Return the latency in seconds that the *share* (0 to 1) of *latencies* does not exceed; None without any."""
    rank = share * sum(latencies.values())
    reached = 0
    for step in sorted(latencies):
        reached += latencies[step]
        if reached >= rank:
            return float(2.0 ** ((step + 0.5) / _STEPS) / 1000)
    return None


def spell_interval(interval: Interval) -> bytes:
    """Return *interval* as JSON, for the journal."""
    return json.dumps(
        {
            "at": round(interval.at, 3),
            "s": round(interval.seconds, 3),
            "n": astuple(interval.totals),
            "r": [round(interval.limit, 4), round(interval.pace, 4), interval.per],
            "l": sorted(interval.latencies.items()),
            "p": [[_LETTERS[one.kind], round(one.at, 3), round(one.seconds, 3)] for one in interval.pauses],
            "w": [[one.ends, one.used, one.limit, one.windows] for one in interval.windows],
        },
        separators=(",", ":"),
    ).encode()


def read_interval(text: bytes) -> Interval | None:
    """Return the interval that `spell_interval` has written; None if another version wrote something else."""
    try:
        facts = json.loads(text)
        limit, pace, per = map(float, facts["r"])
        return Interval(
            float(facts["at"]),
            float(facts["s"]),
            IntervalTotals(*map(int, facts["n"])),
            limit=limit,
            pace=pace,
            per=per,
            latencies={int(step): int(count) for step, count in facts["l"]},
            pauses=tuple(Pause(_KINDS[kind], float(at), float(seconds)) for kind, at, seconds in facts["p"]),
            windows=tuple(QuotaWindow(float(ends), *map(int, counts)) for ends, *counts in facts["w"]),
        )
    except (ValueError, LookupError, TypeError):
        return None


def fewer_intervals(intervals: Sequence[Interval], most: int) -> list[Interval]:
    """Return *intervals*, in their order, with neighbours joined so that about *most* are left.

    Intervals of two sessions are not joined, so that a gap stays one.
    """
    if len(intervals) <= most:
        return list(intervals)
    longest = sum(one.seconds for one in intervals) / most
    found: list[list[Interval]] = []
    taken = 0.0
    for interval in intervals:
        joins = found and not is_gap(found[-1][-1], interval) and taken + interval.seconds <= longest * 1.01
        if joins:
            found[-1].append(interval)
            taken += interval.seconds
        else:
            found.append([interval])
            taken = interval.seconds
    return [joined(group) for group in found]


def is_gap(before: Interval, after: Interval) -> bool:
    """Whether the run did not send between the two intervals: it was resumed with the later one."""
    return after.at - before.end > _GAP_SECONDS


def joined(intervals: Sequence[Interval]) -> Interval:
    """Return one interval for *intervals*, which follow each other."""
    if len(intervals) == 1:
        return intervals[0]
    first, last = intervals[0], intervals[-1]
    latencies: Counter[int] = Counter()
    for interval in intervals:
        latencies.update(interval.latencies)
    return Interval(
        at=first.at,
        seconds=last.end - first.at,
        totals=sum((one.totals for one in intervals), IntervalTotals()),
        limit=max(one.limit for one in intervals),
        pace=max(one.pace for one in intervals),
        per=last.per,
        latencies=latencies,
        pauses=tuple(joined_pauses(pause for one in intervals for pause in one.pauses)),
        windows=fullest_windows(window for one in intervals for window in one.windows),
    )


def joined_pauses(pauses: Iterable[Pause]) -> list[Pause]:
    """Return *pauses*, those of one kind that follow each other at once as one."""
    found: list[Pause] = []
    for pause in pauses:
        last = found[-1] if found else None
        if last is not None and last.kind == pause.kind and pause.at - last.end <= _JOINED_SECONDS:
            found[-1] = replace(last, seconds=max(last.end, pause.end) - last.at)
        else:
            found.append(pause)
    return found


def windows_of(intervals: Iterable[Interval]) -> list[QuotaWindow]:
    """Return the windows of *intervals*, the earliest first, each once."""
    found: dict[float, QuotaWindow] = {}
    for interval in intervals:
        for window in interval.windows:
            known = found.get(window.ends)
            found[window.ends] = window if known is None else _fullest([known, window], windows=known.windows)
    return [found[ends] for ends in sorted(found)]


def fullest_windows(windows: Iterable[QuotaWindow], most: int = _MOST_WINDOWS) -> tuple[QuotaWindow, ...]:
    """Return at most *most* of *windows*: where there are more, the fullest of each few that follow each other."""
    known = windows_of([Interval(0.0, 0.0, windows=tuple(windows))])
    if len(known) <= most:
        return tuple(known)
    ends = [len(known) * number // most for number in range(most + 1)]
    groups = [known[first:last] for first, last in pairwise(ends)]
    return tuple(_fullest(group, windows=sum(one.windows for one in group)) for group in groups)


def _fullest(group: Sequence[QuotaWindow], *, windows: int) -> QuotaWindow:
    """Return the fullest of *group*, which stands for *windows* windows."""
    return replace(max(group, key=lambda one: one.used / one.limit if one.limit else 0.0), windows=windows)
