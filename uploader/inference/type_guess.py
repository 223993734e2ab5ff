"""Guess the type of a column from all its values, and say why."""

from dataclasses import dataclass
from typing import Final

from uploader.inference import name_hints
from uploader.inference.boolean_words import BooleanWords, has_both, is_known, lists_of
from uploader.inference.candidate_types import (
    DATES,
    DATETIMES,
    DIGIT_DATE,
    DOUBLE,
    EITHER_WAY,
    LISTS,
    LONG,
    OWN,
    STRING,
    ZONE,
    CandidateType,
)
from uploader.inference.column_profile import (
    DATE,
    EMPTY_LIST,
    FRACTION,
    FRACTIONS,
    MOMENT,
    NAIVE,
    TEXT,
    TEXTS,
    TRUTH,
    WHOLE,
    WHOLES,
    Column,
)

_NAIVE_FORM: Final = DATETIMES[1]
_UNIFORM: Final = (TEXT, WHOLE, FRACTION, TRUTH, DATE, MOMENT, TEXTS, WHOLES, FRACTIONS)
_NUMBERS: Final = frozenset({WHOLE, FRACTION})
_IN_DIGITS: Final = frozenset({TEXT, WHOLE})
_LISTS: Final = frozenset({TEXTS, WHOLES, FRACTIONS})
_TOGETHER: Final[tuple[tuple[frozenset[str], CandidateType, str], ...]] = (
    (frozenset({WHOLE}), STRING, "whole numbers beyond 64 bits: as texts they stay what they are"),
    (_NUMBERS, DOUBLE, "numbers, some of them whole"),
    (_IN_DIGITS, STRING, "texts and whole numbers: as texts they stay what they are"),
    (_LISTS, LISTS[1], "lists of whole numbers"),
    (_LISTS, LISTS[2], "lists of numbers, some of them whole"),
    (_LISTS, LISTS[0], "lists of texts and whole numbers: as texts they stay what they are"),
)
_NUMERIC: Final = (LONG, DOUBLE)
_TIMES: Final = (*DATES, DIGIT_DATE, *DATETIMES)
_NAMES: Final = {
    "string": "a text",
    "long": "a whole number",
    "double": "a number",
    "date": "a date",
    "datetime": "a date and time",
}
_PHONES_OF_TEN: Final = 9
_BITS: Final = frozenset({"0", "1"})


@dataclass(frozen=True, slots=True)
class TypeGuess:
    """The guessed type (*form*) of a column, the words of a boolean (None: it is no boolean), and *why*."""

    form: CandidateType
    why: str
    lists: BooleanWords | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A column that the mapping can't read, and *why*."""

    why: str


def guess(column: Column, kind: str | None, *, has_types: bool) -> TypeGuess | LeftOut:
    """Return the type of *column*; *kind* is its Parquet type, *has_types* whether the format has types."""
    if not column.filled:
        return _of_nothing(kind)
    if column.holds == {TEXT}:
        return _of_texts(column, has_types=has_types)
    return _of_values(column)


def values_of(column: Column) -> str:
    """Return the number of values of *column*, with its noun."""
    return f"{column.filled:,} {'value' if column.filled == 1 else 'values'}"


def consent_trouble(column: Column) -> tuple[int, int]:
    """Return how many values of *column* are not valid for a consent, and the first row with one."""
    unknown = [(count, row) for word, (count, row) in column.words.items() if not is_known(word)]
    rows = [row for _, row in unknown] + [row for row in (column.first_other, column.first_null) if row]
    return sum(count for count, _ in unknown) + column.other_words + column.nulls, min(rows, default=0)


def known_words(column: Column) -> list[str]:
    """Return the words of *column* that mean true or false."""
    return [word for word in column.words if is_known(word)]


def _all(column: Column) -> str:
    return "its only value is" if column.filled == 1 else f"all {column.filled:,} values are"


def _of_nothing(kind: str | None) -> TypeGuess | LeftOut:
    if kind == "naive datetime":
        return TypeGuess(_NAIVE_FORM, f"empty in every row; its times have no zone, {ZONE} is a guess")
    if kind == "other":
        return LeftOut("empty in every row, and of a type that the API does not have")
    return TypeGuess(OWN, "empty in every row")


def _of_texts(column: Column, *, has_types: bool) -> TypeGuess:
    moment = _moment(column)
    if moment is not None:
        return moment
    near_date = _near(column, _TIMES)
    if has_types or near_date:
        return _text(near_date)
    if name_hints.is_code(column.name):
        return TypeGuess(OWN, "text: by its name a code, whose digits are no number")
    if column.mobiles * 10 >= column.filled * _PHONES_OF_TEN:
        return TypeGuess(OWN, "text: its values look like phone numbers")
    return _boolean(column) or _number(column) or _text(_near(column, _NUMERIC))


def _moment(column: Column) -> TypeGuess | None:
    every = _all(column)
    for form in DATES:
        if column.reads_all(form):
            return TypeGuess(form, f"{every} dates")
    if column.reads_all(DIGIT_DATE) and (name_hints.is_date(column.name) or column.has_many_values):
        return TypeGuess(DIGIT_DATE, f"{every} dates in digits")
    for form in DATETIMES:
        if column.reads_all(form):
            naive = form.timezone is not None
            note = f"; LOOK: some name no zone, {ZONE} is a guess" if naive else ""
            return TypeGuess(form, f"{every} times{note}")
    for day_first, month_first in EITHER_WAY:
        either = column.reads_all(day_first), column.reads_all(month_first)
        if all(either):
            return TypeGuess(
                OWN, "text: dates of which nobody can tell the day from the month; LOOK, and give it a format"
            )
        if any(either):
            form = day_first if either[0] else month_first
            which = "day" if either[0] else "month"
            return TypeGuess(form, f"{every} dates; the {which} comes first, for only so all of them exist")
    return None


def _boolean(column: Column) -> TypeGuess | None:
    words = known_words(column)
    if len(words) < len(column.words) or column.other_words:
        return None
    is_flag = name_hints.is_flag(column.name)
    if is_flag or (has_both(words) and not set(words) <= _BITS):
        lists = lists_of(words)
        said = "" if lists.is_default else f", {lists.true[0]} and {lists.false[0]}"
        return TypeGuess(CandidateType("boolean"), f"{_all(column)} words for true and false{said}", lists)
    return None


def _number(column: Column) -> TypeGuess | None:
    if column.reads_all(LONG):
        if column.reads_all(DIGIT_DATE):
            return TypeGuess(OWN, "text: whole numbers that may be dates; LOOK, and give it a type")
        bits = "; if 0 and 1 mean no and yes, write type: boolean" if set(column.words) <= _BITS else ""
        return TypeGuess(LONG, f"{_all(column)} whole numbers{bits}")
    if column.reads_all(DOUBLE):
        return TypeGuess(DOUBLE, f"{_all(column)} numbers")
    return None


def _near(column: Column, forms: tuple[CandidateType, ...]) -> str:
    """Return a phrase for the type that reads all values but a few; an empty one if there is no such type."""
    for form in forms:
        if column.reads_nearly_all(form):
            trial = column.trial(form)
            are, rows = ("is", "the row with it") if trial.misses == 1 else ("are", "those rows")
            return (
                f"{trial.misses:,} of {column.filled:,} values {are} not {_NAMES[form.kind or 'string']} (first: row "
                f"{trial.first:,}); with {_spelled(form)} {rows} would be rejected"
            )
    return ""


def _spelled(form: CandidateType) -> str:
    parts = [f"type: {form.kind}"]
    parts += [f'format: "{form.format}"'] if form.format is not None else []
    parts += [f"timezone: {form.timezone}"] if form.timezone is not None else []
    return "{" + ", ".join(parts) + "}"


def _text(near: str) -> TypeGuess:
    return TypeGuess(OWN, f"text: {near}" if near else "text")


def _of_values(column: Column) -> TypeGuess | LeftOut:
    held = column.holds - {EMPTY_LIST}
    own = column.trial(OWN)
    if len(held) <= 1 and not own.misses:
        return TypeGuess(OWN, next(iter(held), EMPTY_LIST))
    if held == {NAIVE} and column.reads_all(_NAIVE_FORM):
        return TypeGuess(_NAIVE_FORM, f"{NAIVE}; LOOK: {ZONE} is a guess")
    for together, form, why in _TOGETHER:
        if held <= together and column.reads_all(form):
            near = _near(column, _NUMERIC)
            return TypeGuess(form, f"{why}; {near}" if near else why)
    if len(held) == 1 and held <= frozenset(_UNIFORM) and column.reads_nearly_all(OWN):
        rows = "a row" if own.misses == 1 else f"{own.misses:,} rows"
        return TypeGuess(OWN, f"{next(iter(held))}; LOOK: {rows} can't be sent for it (first: row {own.first:,})")
    if len(held) == 1:
        return LeftOut(f"{own.misses:,} of its {values_of(column)} can't be sent (first: row {own.first:,})")
    several = ", ".join(
        f"{family} in {count:,} {'row' if count == 1 else 'rows'}" for family, count in column.families.most_common()
    )
    near = _near(column, _NUMERIC)
    return LeftOut(f"LOOK: {several}; no type reads them all" + (f"; {near}" if near else ""))
