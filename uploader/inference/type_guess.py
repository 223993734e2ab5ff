"""Guess the type of a column from all its values, and the cleaning that they need."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from uploader.inference import name_hints
from uploader.inference.boolean_words import has_both, is_known, lists_of
from uploader.inference.candidate_types import DOUBLE, LISTS, NAIVE_TIME, OWN, STRING, CandidateType
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
from uploader.inference.list_items import ListItems
from uploader.inference.number_forms import SAME, NumberShape, NumberStyle, WrittenNumber, best_style
from uploader.inference.occurrences import Occurrences, together, without
from uploader.inference.phone_counts import is_phone
from uploader.inference.reviews import Harm, Review
from uploader.inference.text_traits import Reading
from uploader.inference.time_forms import ZONE
from uploader.inference.time_guess import AmbiguousDates, counts_time, epoch_of, guess_times, is_nearly_all
from uploader.mapping.birth_dates import is_birth_date
from uploader.mapping.numeric_times import EPOCHS
from uploader.mapping.rules import PropertyRule, TimeRule

_UNIFORM: Final = (TEXT, WHOLE, FRACTION, TRUTH, DATE, MOMENT, TEXTS, WHOLES, FRACTIONS)
_NUMBERS: Final = frozenset({WHOLE, FRACTION})
_IN_DIGITS: Final = frozenset({TEXT, WHOLE})
_DIGITS_OR_TEXT: Final = frozenset({TEXT, WHOLE, FRACTION})
_LISTS: Final = frozenset({TEXTS, WHOLES, FRACTIONS})
_TOGETHER: Final[tuple[tuple[frozenset[str], CandidateType, str], ...]] = (
    (frozenset({WHOLE}), STRING, "whole numbers beyond 64 bits: as texts they stay what they are"),
    (_NUMBERS, DOUBLE, "numbers, some of them whole"),
    (_IN_DIGITS, STRING, "texts and whole numbers: as texts they stay what they are"),
    (_LISTS, LISTS[1], "lists of whole numbers"),
    (_LISTS, LISTS[2], "lists of numbers, some of them whole"),
    (_LISTS, LISTS[0], "lists of texts and whole numbers: as texts they stay what they are"),
)
_FOREIGN: Final = {
    "Decimal": ("Decimal is no type of the API", "write it as a float, or as text"),
    "bytes": ("Binary is no type of the API", "write it as text"),
    "timedelta": ("Duration is no type of the API", "write it as a number, such as its seconds"),
    "time": ("a time of day is no type of the API", "write it as text"),
}
"""The types of Python that the API has none for, in words, with what to do."""
_UNKNOWN_KIND: Final = "of a kind, or of a size, that the API has no type for"
_PHONES_OF_TEN: Final = 9
_PHONES: Final = tuple(name_hints.PHONES)
MARKS: Final = {"formula": ('="', '"'), "apostrophe": ("'", "‘", "’")}  # noqa: RUF001 — spreadsheets write either
"""What each mark of a spreadsheet leaves at the ends of a value."""
_BITS: Final = frozenset({"0", "1"})
_ITEMS_OF_TEN: Final = 3
_LEAST_PARTED: Final = 3


@dataclass(frozen=True, slots=True)
class TypeGuess:
    """How a column is read (*rule*, whose key is the name of the column), and *why*.

    *unread* are the values that it can't read, which are not what is *expected*. *reviews* are for a human.
    """

    rule: PropertyRule
    why: str
    unread: Occurrences = field(default_factory=Occurrences)
    expected: str = ""
    reviews: tuple[Review, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A column that the mapping can't read, and *why*; *harm* is None where nobody needs to look at it."""

    why: str
    harm: Harm | None = None


def guess(column: Column, kind: str | None, *, has_types: bool, has_gaps: bool, today: date) -> TypeGuess | LeftOut:
    """Return the type of *column*.

    *kind* is its Parquet type, *has_types* whether the format has types, *has_gaps* whether some rows have no value.
    """
    found = _guess(column, kind, has_types=has_types, today=today)
    if has_gaps and isinstance(found, TypeGuess) and _are_whole_floats(column, found):
        return _as_long(found)
    return found


def _guess(column: Column, kind: str | None, *, has_types: bool, today: date) -> TypeGuess | LeftOut:
    if not column.filled:
        return _of_nothing(column, kind)
    if column.types.held == {TEXT}:
        return _of_texts(column, kind, has_types=has_types, today=today)
    is_time = name_hints.is_time(column.name)
    if column.types.held <= _DIGITS_OR_TEXT and (is_time or counts_time(column.name)):
        times = _times(column, today)
        if times is not None and (is_time or EPOCHS.issuperset(times.rule.times.formats)):
            return times
    return _of_values(column)


def _are_whole_floats(column: Column, found: TypeGuess) -> bool:
    """Whether *column* is found to hold numbers with a fraction, and all of them are written like 20.0."""
    if column.texts.damage.get("float", Occurrences()).count < column.filled:
        return False
    return found.rule.kind == "double" or (found.rule.kind is None and column.types.held == {FRACTION})


def _as_long(found: TypeGuess) -> TypeGuess:
    """Return *found* as whole numbers: programs write these as 20.0 where some are missing."""
    rule = replace(found.rule, kind="long", cleaning=replace(found.rule.cleaning, strip=(".0",)))
    what = "whole numbers like 20.0, as programs write them where some are missing, are sent as 20"
    review = Review(Harm.MEANING, f"{what}; for a Double, write type: double without strip")
    return replace(found, rule=rule, why=f"{found.why}, all whole", reviews=(*found.reviews, review))


def values_of(column: Column) -> str:
    """Return the number of values of *column*, with its noun."""
    return f"{column.filled:,} {'value' if column.filled == 1 else 'values'}"


def known_words(column: Column) -> list[str]:
    """Return the words of *column* that mean true or false."""
    return [word for word in column.words.short if is_known(word)]


def _all(column: Column, unread: Occurrences | None = None) -> str:
    if unread is not None and unread.count:
        return f"{column.filled - unread.count:,} of {column.filled:,} values are"
    return "its only value is" if column.filled == 1 else f"all {column.filled:,} values are"


def _plain(column: Column) -> PropertyRule:
    return PropertyRule(column.name, column.name)


def text_rule(column: Column) -> PropertyRule:
    """Return the rule of *column* as a text: cleaned at its ends, and without the words for nothing."""
    marked = sum(column.texts.damage[kind].count for kind in MARKS if kind in column.texts.damage)
    rule = cleaned(column, _plain(column))
    # In few texts of many, a mark may be meant.
    return rule if 2 * marked >= column.filled else replace(rule, cleaning=replace(rule.cleaning, strip=()))


def cleaned(column: Column, rule: PropertyRule, *more: str) -> PropertyRule:
    """Return *rule* with what *column* needs at the ends of its values, and with its words for nothing.

    *more* are such words, too.
    """
    strip = tuple(text for kind, texts in MARKS.items() if kind in column.texts.damage for text in texts)
    nothing = tuple(dict.fromkeys((*column.gaps.words, *more)))
    cleaning = replace(rule.cleaning, trim=column.texts.trimmed.count > 0, strip=strip)
    return replace(rule, cleaning=cleaning, null_values=nothing)


def _of_nothing(column: Column, kind: str | None) -> TypeGuess | LeftOut:
    if kind == "naive datetime":
        rule = replace(_plain(column), kind="datetime", times=TimeRule(timezone=ZONE))
        return TypeGuess(rule, f"empty in every row; its times have no zone, {ZONE} is a guess")
    if kind == "other":
        return LeftOut("empty in every row, and of a type that the API does not have")
    return TypeGuess(_plain(column), "empty in every row")


def _of_texts(column: Column, kind: str | None, *, has_types: bool, today: date) -> TypeGuess:
    found = _times(column, today) or _phone(column)
    if found is not None:
        return found
    is_code = name_hints.is_code(column.name)
    if is_code and not has_types:
        return TypeGuess(text_rule(column), "text: by its name a code, whose digits are no number")
    if not has_types:
        found = _boolean(column)
    if found is None:
        # A text in JSON may be a number all the same; one in Parquet is meant.
        found = _number(column, needs_marks=kind is not None or is_code) or _list(column)
    if found is not None and has_types and found.rule.kind in {"long", "double"} and _is_unmarked(found.rule):
        what = "numbers that are written as texts; if they are codes, leave out the type"
        found = replace(found, reviews=(Review(Harm.MEANING, what), *found.reviews))
    return found or _text(column, has_types=has_types)


def _is_unmarked(rule: PropertyRule) -> bool:
    cleaning = rule.cleaning
    return not cleaning.strip and cleaning.thousands is None and cleaning.decimal is None


def _text(column: Column, *, has_types: bool) -> TypeGuess:
    rule = text_rule(column)
    reviews = tuple(_of_unread_texts(column))
    if not has_types and column.numbers.codes.count:
        plain = column.unread(lambda reading: isinstance(reading, WrittenNumber) and not reading.unit)
        if plain.count == column.numbers.codes.count < column.filled:
            why = f"{column.numbers.codes.count:,} of {column.filled:,} are digits with a leading zero or a plus sign"
            return TypeGuess(rule, f"text: {why}")
    others = column.unread(lambda reading: isinstance(reading, WrittenNumber))
    if not has_types and 0 < others.count * 2 < column.filled and not column.numbers.codes.count:
        numbers = f"{column.filled - others.count:,} of {column.filled:,} are numbers"
        review = Review(Harm.LOSS, f"a text, since only {numbers} (not {others.places})")
        return TypeGuess(rule, "text", reviews=reviews or (review,))
    return TypeGuess(rule, "text", reviews=reviews)


def _of_unread_texts(column: Column) -> Iterator[Review]:
    """Yield what a human has to know of amounts and times that no step and no format reads."""
    numbers = column.unread(lambda reading: isinstance(reading, WrittenNumber))
    amounts = column.texts.in_parentheses
    if amounts.count and is_nearly_all(numbers.count - amounts.count, column.filled):
        what = f"{_counted(amounts)} in parentheses, negative amounts that no step reads: {amounts.places}"
        yield Review(Harm.LOSS, f"{what}. Write them with a minus sign")
    if 2 * column.texts.zone_names.count > column.filled:
        yield Review(Harm.LOSS, "times with the name of a zone, which no format reads; write them with an offset")


def _counted(occurrences: Occurrences) -> str:
    return "1 value is" if occurrences.count == 1 else f"{occurrences.count:,} values are"


def _times(column: Column, today: date) -> TypeGuess | None:
    found = guess_times(column)
    if found is None:
        return None
    if isinstance(found, AmbiguousDates):
        why = "dates of which nobody can tell the day from the month; give it a format"
        return TypeGuess(text_rule(column), "text", reviews=(Review(Harm.MEANING, why),))
    nouns = {"date": "dates", "datetime": "times"}
    why = f"{_all(column, found.unread)} {nouns[found.kind]}"
    if found.formats == ("%Y%m%d",):
        why += " in digits"
    reviews: list[Review] = []
    if found.guessed_order:
        why += f"; the {found.guessed_order} comes first"
        why += "" if found.is_ambiguous else ", for only so all of them exist" if not found.unread.count else ""
        if found.is_ambiguous:
            reviews.append(Review(Harm.MEANING, f"that the {found.guessed_order} comes first is a guess"))
    if found.is_zone_guessed:
        reviews.append(Review(Harm.MEANING, f"times without a zone are read as {found.timezone}, a guess"))
    pivot = None
    if any("%y" in form for form in found.formats):
        pivot = today.year % 100 if is_birth_date(column.name) else None
        last = pivot if pivot is not None else 68
        reviews.append(Review(Harm.MEANING, f"years of two digits: up to {last:02} they are 20xx (pivot), else 19xx"))
    rule = replace(_plain(column), kind=found.kind, times=TimeRule(found.formats, pivot, found.timezone))
    rule = cleaned(column, rule, *column.stand_ins.zero_dates, *column.stand_ins.said_nothing)
    expected = "a date" if found.kind == "date" else "a date and time"
    return TypeGuess(rule, why, found.unread, expected, tuple(reviews))


def _phone(column: Column) -> TypeGuess | None:
    is_called = name_hints.plain(column.name).endswith(_PHONES) and 2 * column.phones.phones >= column.filled
    has_many = column.phones.mobiles * 10 >= column.filled * _PHONES_OF_TEN
    if not column.phones.phones or not (has_many or is_called):
        return None
    fakes = {word: occurrences for word, occurrences in column.stand_ins.placeholders.items() if occurrences.count > 1}
    rule = cleaned(column, _plain(column), *column.stand_ins.said_nothing, *fakes)
    rule = replace(rule, cleaning=replace(rule.cleaning, phone="KR"))
    misread = [occurrences for word, occurrences in fakes.items() if not is_phone(word)]
    unread = without(column.phones.others, [*column.stand_ins.said_nothing.values(), *misread])
    return TypeGuess(rule, f"{_all(column, unread)} phone numbers of Korea", unread, "a phone number of Korea")


def _boolean(column: Column) -> TypeGuess | None:
    words = known_words(column)
    unread = without(column.words.unknown(is_known), column.stand_ins.said_nothing.values())
    total = column.filled - sum(occurrences.count for occurrences in column.stand_ins.said_nothing.values())
    if not is_nearly_all(unread.count, total):
        return None
    if not name_hints.is_flag(column.name) and (not has_both(words) or set(words) <= _BITS):
        return None
    lists = lists_of(words)
    said = "" if lists.is_default else f", {lists.true[0]} and {lists.false[0]}"
    rule = replace(_plain(column), kind="boolean", true=lists.true, false=lists.false)
    rule = cleaned(column, rule, *column.stand_ins.said_nothing)
    return TypeGuess(rule, f"{_all(column, unread)} words for true and false{said}", unread, "true or false")


def _number(column: Column, *, needs_marks: bool) -> TypeGuess | None:
    """Return the numbers of *column*; *needs_marks* is whether plain digits are meant as a text."""
    shapes: dict[NumberShape, int] = {}
    units: dict[str, int] = {}
    for readings, occurrences in column.readings.items():
        for number in readings:
            if isinstance(number, WrittenNumber):
                shapes[number.shape] = shapes.get(number.shape, 0) + occurrences.count
                units.update({number.unit: units.get(number.unit, 0) + occurrences.count} if number.unit else {})
    style = best_style(shapes)
    nothing = [*column.stand_ins.said_nothing.values(), *column.stand_ins.dashes.values()]
    unread = without(column.unread(_reads(style)), nothing)
    total = column.filled - sum(occurrences.count for occurrences in nothing)
    has_marks = bool(units) or style.thousands is not None or style.decimal is not None
    if not is_nearly_all(unread.count, total) or (not has_marks and (column.numbers.codes.count or needs_marks)):
        return None
    if not has_marks and style.kind == "long" and _may_be_dates(column):
        why = "whole numbers that may be dates; give it a type"
        return TypeGuess(text_rule(column), "text", reviews=(Review(Harm.LOSS, why),))
    found = sorted(units, key=lambda unit: -units[unit])
    of_dashes = [unit for unit in column.stand_ins.dash_units if unit not in units]
    guessed = _number_guess(column, style, [*found, *of_dashes], unread)
    return replace(guessed, reviews=(*guessed.reviews, *_of_marks(column, style, shapes, has_units=bool(units))))


def _of_marks(
    column: Column, style: NumberStyle, shapes: Mapping[NumberShape, int], *, has_units: bool
) -> Iterator[Review]:
    """Yield what nobody can tell of the marks of numbers: one mark before three digits, and dashes beside units."""
    if style.thousands == "," and not has_units and shapes.keys() == {"once ,"}:
        what = 'that "," parts thousands is a guess; for a decimal mark, write type: double, decimal: "," instead'
        yield Review(Harm.MEANING, what)
    if style.kind == "double" and style.thousands is None and shapes.keys() == {"point of three"}:
        what = 'that "." is the decimal point is a guess; for thousands, write type: long, thousands: "."'
        yield Review(Harm.MEANING, what)
    if column.stand_ins.dashes:
        places = together(column.stand_ins.dashes.values()).places
        what = f"a dash beside a unit, which spreadsheets show for 0, counts as none (null_values): {places}"
        yield Review(Harm.MEANING, what)
    if style == NumberStyle("long") and not has_units and (form := epoch_of(column)):
        yield Review(Harm.MEANING, f"may be times since 1970; then write type: datetime, format: {form}")


def _reads(style: NumberStyle) -> Callable[[Reading], bool]:
    return lambda reading: isinstance(reading, WrittenNumber) and style.reads(reading.shape)


def _number_guess(column: Column, style: NumberStyle, units: list[str], unread: Occurrences) -> TypeGuess:
    nothing = (*column.stand_ins.said_nothing, *column.stand_ins.dashes)
    rule = cleaned(column, replace(_plain(column), kind=style.kind), *nothing)
    strip = (*rule.cleaning.strip, *units)
    cleaning = replace(rule.cleaning, strip=strip, thousands=style.thousands, decimal=style.decimal)
    noun = "whole numbers" if style.kind == "long" else "numbers"
    marks = [f"thousands with '{style.thousands}'"] if style.thousands is not None else []
    marks += [f"'{style.decimal}' for the decimal point"] if style.decimal is not None else []
    marks += [f"units {', '.join(units)}" if len(units) > 1 else f"unit {units[0]}"] if units else []
    why = "; ".join([f"{_all(column, unread)} {noun}", *marks])
    are_bits = set(column.words.short) <= _BITS and not column.words.others.count
    if style == NumberStyle("long") and not units and are_bits:
        why += "; if 0 and 1 mean no and yes, write type: boolean"
    reviews: tuple[Review, ...] = ()
    if style.thousands == "." or style.decimal is not None:
        reviews = (Review(Harm.MEANING, "which of '.' and ',' is the decimal point is a guess"),)
    elif len(units) > 1 and not any(set(units) <= same for same in SAME):
        reviews = (Review(Harm.MEANING, f"several units become one number: {', '.join(units)}"),)
    expected = "a whole number" if style.kind == "long" else "a number"
    return TypeGuess(replace(rule, cleaning=cleaning), why, unread, expected, reviews)


def _may_be_dates(column: Column) -> bool:
    """Whether all of *column* are eight digits that a calendar has."""
    from_digits = column.unread(lambda reading: getattr(reading, "format", None) == "%Y%m%d")
    return not from_digits.count


def _list(column: Column) -> TypeGuess | None:
    for separator, items in column.texts.lists.items():
        if not _is_list(column, items, separator):
            continue
        are_whole = items.are_whole and not column.numbers.codes.count
        singles = column.filled - items.parted
        # The texts without a separator must be numbers too.
        if are_whole and singles:
            numbers = column.unread(lambda reading: isinstance(reading, WrittenNumber) and reading.shape == "whole")
            are_whole = numbers.count <= items.parted
        rule = replace(
            cleaned(column, _plain(column)),
            kind="array<long>" if are_whole else "array<string>",
            separator=separator,
        )
        if items.is_spaced:
            rule = replace(rule, cleaning=replace(rule.cleaning, trim=True))
        why = f"{items.parted:,} of {values_of(column)} are several words with '{separator}' between them"
        return TypeGuess(rule, why)
    return None


def _is_list(column: Column, items: ListItems, separator: str) -> bool:
    if items.is_long or name_hints.is_prose(column.name) or name_hints.built_in(column.name) is not None:
        return False
    if name_hints.is_list(column.name):
        return True
    repeated = len(items.known) * 2 <= items.total and not items.has_many
    varied = len(items.lengths) > 1 or items.parted < column.filled
    usual = items.parted >= _LEAST_PARTED and items.parted * 10 >= column.filled * _ITEMS_OF_TEN
    return separator != "/" and repeated and varied and usual


def _of_values(column: Column) -> TypeGuess | LeftOut:
    held = column.types.held - {EMPTY_LIST}
    if len(held) <= 1 and not column.types.misses(OWN).count:
        reviews: tuple[Review, ...] = ()
        if held == {WHOLE} and (form := epoch_of(column)):
            what = f"may be times since 1970; then write type: datetime, format: {form}"
            reviews = (Review(Harm.MEANING, what),)
        return TypeGuess(_plain(column), next(iter(held), EMPTY_LIST), reviews=reviews)
    if held == {NAIVE} and column.types.reads_all(NAIVE_TIME):
        rule = replace(_plain(column), kind="datetime", times=TimeRule(timezone=ZONE))
        return TypeGuess(rule, NAIVE, reviews=(Review(Harm.MEANING, f"{ZONE} is a guess"),))
    if TEXT in held and held <= _DIGITS_OR_TEXT and not column.numbers.codes.count:
        numbers = _number(column, needs_marks=False)
        if numbers is not None and numbers.rule.kind is not None:
            return numbers
    for families, candidate, why in _TOGETHER:
        if held <= families and column.types.reads_all(candidate):
            return TypeGuess(cleaned(column, replace(_plain(column), kind=candidate.kind)), why)
    return _of_few(column, held)


def _of_few(column: Column, held: frozenset[str]) -> TypeGuess | LeftOut:
    """Return the type of a column in which no type reads every value."""
    own = column.types.misses(OWN)
    if len(held) == 1 and held <= frozenset(_UNIFORM) and is_nearly_all(own.count, column.filled):
        return TypeGuess(_plain(column), next(iter(held)), own, "a value that can be sent")
    if len(held) == 1:
        why = f"{own.count:,} of its {values_of(column)} can't be sent ({own.places})"
        known = [f"{name}; {advice}" for kind, (name, advice) in _FOREIGN.items() if kind in column.types.foreign]
        return LeftOut(f"{why}: {known[0]}" if known else f"{why}: {_UNKNOWN_KIND}", Harm.LOSS)
    several = ", ".join(
        f"{family} in {count:,} {'row' if count == 1 else 'rows'}"
        for family, count in column.types.families.most_common()
    )
    return LeftOut(f"{several}; no type reads them all", Harm.LOSS)
