"""Guess the formats of a column of dates or times."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from uploader.inference import name_hints
from uploader.inference.column_profile import Column
from uploader.inference.occurrences import Occurrences, together, without
from uploader.inference.text_traits import Reading
from uploader.inference.time_forms import NEEDS_NAME, NUMERIC, ZONE, TimeForm
from uploader.mapping.birth_dates import is_birth_date
from uploader.mapping.numeric_times import EPOCHS

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_UNITS: Final = frozenset(
    {
        *("s", "sec", "secs", "second", "seconds", "ms", "msec", "milli", "millis", "milliseconds"),
        *("us", "usec", "micro", "micros", "microseconds", "ts", "epoch", "unix"),
    }
)
"""Last words of names that say in which unit a number counts time."""

_MOST_FORMATS: Final = 10
_KOREAN_SIGNS: Final = ("-", ".")


@dataclass(frozen=True, slots=True)
class TimeGuess:
    """The *formats* of a column (none: ISO 8601), in the order of how many values each reads, and what they miss.

    *is_zone_guessed* is whether nothing says that *timezone* is meant. *guessed_order* says which order of day, month
    and year was chosen; with *is_ambiguous* it is a guess, because another one reads as many values.
    """

    kind: Literal["date", "datetime"]
    formats: tuple[str, ...]
    timezone: str | None
    unread: Occurrences
    is_zone_guessed: bool = False
    guessed_order: str = ""
    is_ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class AmbiguousDates:
    """Dates of which nobody can tell the day from the month."""


def counts_time(name: str) -> bool:
    """Whether the last word of *name* is a unit of time, as in `last_ms`, so that large numbers are moments."""
    words = _WORD.findall(name)
    return bool(words) and words[-1].casefold() in _UNITS


def epoch_of(column: Column) -> str:
    """Return the format of an epoch that reads all of *column*; "" if none does. Seconds are too common as numbers."""
    for form in ("unix_ms", "unix_us"):
        unread = [found for found in column.readings if all(getattr(each, "format", None) != form for each in found)]
        if column.readings and not unread:
            return form
    return ""


def is_nearly_all(unread: int, total: int) -> bool:
    """Whether so few of *total* values are *unread* that they are faults: one in a hundred, or three in thirty."""
    return 0 <= unread < total and (unread * 100 <= total or (unread <= 3 and unread * 10 <= total))  # noqa: PLR2004 — 1 %, or a few that are at most 10 %


def guess_times(column: Column) -> TimeGuess | AmbiguousDates | None:
    """Return the formats of *column*; None if it does not hold dates or times."""
    is_birth = is_birth_date(column.name)
    sets = {
        readings: frozenset(form for form in readings if isinstance(form, TimeForm) and _is_likely(form, column))
        for readings in column.readings
    }
    nothing = [*column.stand_ins.zero_dates.values(), *column.stand_ins.said_nothing.values()]
    unread = without(together(column.readings[readings] for readings, forms in sets.items() if not forms), nothing)
    total = column.filled - sum(occurrences.count for occurrences in nothing)
    if not is_nearly_all(unread.count, total) and not (is_birth and 0 < 2 * (total - unread.count) >= total):
        return None
    counts = {readings: column.readings[readings].count for readings in sets}
    order, losers, is_even = _orders(sets, counts)
    if is_even and not order:
        return AmbiguousDates()
    chosen = _chosen({readings: forms - losers for readings, forms in sets.items()}, counts, is_birth=is_birth)
    read = frozenset(chosen)
    missed = [occurrences for readings, occurrences in column.readings.items() if not sets[readings] & read]
    unread = without(together(missed), nothing)
    has_time = any(form.has_time for form in chosen) and not is_birth
    naive = has_time and any(not form.has_zone for form in chosen)
    has_epoch_days = not has_time and any(form.format in EPOCHS for form in chosen)
    return TimeGuess(
        kind="datetime" if has_time else "date",
        formats=_formats(chosen),
        timezone=ZONE if naive or has_epoch_days else None,
        unread=unread,
        is_zone_guessed=any(not form.has_zone and not form.is_korean for form in chosen) if naive else has_epoch_days,
        guessed_order=order,
        is_ambiguous=is_even,
    )


def _is_likely(form: TimeForm, column: Column) -> bool:
    """Whether *form* can be meant: plain digits are dates only by their name, or if many different ones are."""
    name = column.name
    if form.format in NEEDS_NAME:
        return name_hints.is_time(name) or (form.format in EPOCHS and counts_time(name))
    if form.format == "%Y%m%d":
        return name_hints.is_time(name) or column.words.are_many
    if form.format is not None and "%y" in form.format:
        return name_hints.is_time(name) or column.words.are_many
    return True


_Sets: TypeAlias = Mapping[frozenset[Reading], frozenset[TimeForm]]


def _orders(sets: _Sets, counts: Mapping[frozenset[Reading], int]) -> tuple[str, frozenset[TimeForm], bool]:
    """Return the order of day and month in words, the forms of other orders, and whether it is no more than a guess."""
    by_order: dict[str, dict[TimeForm, int]] = {}
    for readings, forms in sets.items():
        for form in forms:
            if form.order:
                of_order = by_order.setdefault(form.order, {})
                of_order[form] = of_order.get(form, 0) + counts[readings]
    losers: set[TimeForm] = set()
    order, is_even = "", False
    for name, reads in by_order.items():
        most = max(reads.values())
        best = [form for form, count in reads.items() if count == most]
        year_first = [form for form in best if (form.format or "").startswith("%y")]
        if len(best) > 1 and year_first and name.startswith(_KOREAN_SIGNS):
            best, is_even = year_first, True
        if len(best) > 1:
            return "", frozenset(), True
        losers |= reads.keys() - set(best)
        order = {"%d": "day", "%m": "month", "%y": "year"}[(best[0].format or "")[:2]]
    return order, frozenset(losers), is_even


def _chosen(sets: _Sets, counts: Mapping[frozenset[Reading], int], *, is_birth: bool) -> list[TimeForm]:
    """Return the fewest forms that read all that any form reads; ISO 8601 if it alone reads it."""
    readable = {readings: forms for readings, forms in sets.items() if forms}
    for has_time in (False, True):
        iso = [
            frozenset(form for form in forms if form.format is None and form.has_time == has_time)
            for forms in readable.values()
        ]
        if all(iso) and not (is_birth and has_time):
            return list(frozenset[TimeForm]().union(*iso))
    left = {readings: {form for form in forms if form.format is not None} for readings, forms in readable.items()}
    found: list[TimeForm] = []
    while left and len(found) < _MOST_FORMATS:
        reads: dict[TimeForm, int] = {}
        for readings, forms in left.items():
            for form in forms:
                reads[form] = reads.get(form, 0) + counts[readings]
        if not reads:
            break
        best = max(sorted(reads, key=lambda form: form.format or ""), key=lambda form: reads[form])
        found.append(best)
        left = {readings: forms for readings, forms in left.items() if best not in forms}
    return found


def _formats(chosen: list[TimeForm]) -> tuple[str, ...]:
    """Return the formats of *chosen*; those of numbers come last, because they read what other formats mean."""
    written = list(dict.fromkeys(form.format for form in chosen if form.format is not None))
    # The fraction of a format may be missing in the text.
    shorter = {form.replace(f"%S{point}%f", "%S") for form in written for point in ".," if f"%S{point}%f" in form}
    kept = [form for form in written if form not in shorter]
    return tuple([form for form in kept if form not in NUMERIC] + [form for form in kept if form in NUMERIC])
