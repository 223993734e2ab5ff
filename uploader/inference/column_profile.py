"""Profile the values of one column, in memory that does not grow with the file."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import Final, Protocol

from uploader.inference.column_counts import (
    EmailCounts,
    Gaps,
    NumberCounts,
    Readers,
    StandIns,
    TextCounts,
    TypeCounts,
    WordCounts,
    add_spelling,
)
from uploader.inference.list_items import ListItems
from uploader.inference.null_words import is_nothing, is_placeholder
from uploader.inference.occurrences import Occurrences, together
from uploader.inference.phone_counts import PhoneCounts, is_mobile
from uploader.inference.text_traits import Reading, TextTraits, is_email, traits_of
from uploader.mapping.birth_dates import is_birth_date
from uploader.mapping.invisible_characters import without_ends
from uploader.model import WHOLE_DOUBLES, WrittenFloat

_MOST_READINGS: Final = 500
_LONGEST_NOTHING: Final = 25
_ENOUGH: Final = 20

_FORMULA: Final = re.compile(r'="([^"]*)"')
_FIRST_MARKS: Final = ("=", "'", "‘", "’")  # noqa: RUF001 — spreadsheets write either
_APOSTROPHE: Final = re.compile(r"['‘’]([^'‘’]+)")  # noqa: RUF001 — spreadsheets write either

LARGEST: Final = 8000
"""The most bytes of a value that leave its row below the 8 KB of `user_properties`."""
_LONG_TEXT: Final = LARGEST // 4

TEXT: Final = "texts"
WHOLE: Final = "whole numbers"
FRACTION: Final = "numbers"
TRUTH: Final = "true and false"
DATE: Final = "dates"
MOMENT: Final = "times"
NAIVE: Final = "times without a zone"
TEXTS: Final = "lists of texts"
WHOLES: Final = "lists of whole numbers"
FRACTIONS: Final = "lists of numbers"
EMPTY_LIST: Final = "empty lists"
OTHER: Final = "values that the API has no type for"
_WORDLY: Final = (TEXT, WHOLE, FRACTION)


def looks_personal(text: str) -> bool:
    """Whether *text* looks like an e-mail address or a Korean mobile number."""
    return is_email(text) or is_mobile(text)


class DifferentValues(Protocol):
    """The different values that a column has in some rows."""

    def __iter__(self) -> Iterator[tuple[object, Occurrences]]:
        """Yield each value with its occurrences, in the order of their first rows."""

    def by_rows(self) -> Iterable[tuple[int, int]]:
        """Return each row, in their order, and the number of its value among those, from 0."""


class Column:
    """The profile of one column: how many values it has, of which types, and what reads them.

    *name* may be a path into objects: *inside*. *gaps* counts the rows without a value, *stand_ins* the texts that are
    counted as values and may be none. *readings* holds, for each set of readings, the texts that exactly these read.
    The other records each count all values, for what is guessed from them.

    It has one state: counting.
    """

    def __init__(self, name: str, readers: Readers, *, inside: bool = False) -> None:
        """Start with no value; *readers* test the types of values that are no text, and are made once for all."""
        self.name = name
        self.inside = inside
        self.gaps = Gaps()
        self.types = TypeCounts(readers)
        self.words = WordCounts()
        self.stand_ins = StandIns()
        self.texts = TextCounts()
        self.emails = EmailCounts()
        self.phones = PhoneCounts()
        self.numbers = NumberCounts()
        self.readings: dict[frozenset[Reading], Occurrences] = {}
        self._is_birth = is_birth_date(name)

    def add_nulls(self, found: Occurrences) -> None:
        """Add the nulls *found*."""
        self.gaps.nulls.add(found)

    def add_value(self, value: object, row: int) -> None:
        """Add one *value* of *row* that is not empty."""
        found = Occurrences.of(row)
        digits = self._add(value, found)
        if digits:
            self.phones.add_likely(digits, row)
        elif digits is not None:
            self.phones.add_other(found)

    def add_values(self, values: DifferentValues) -> None:
        """Add all *values* of some rows, of which none is empty, with the same result as one after the other."""
        likely: dict[int, str] = {}
        others: dict[int, Occurrences] = {}
        for at, (value, found) in enumerate(values):
            digits = self._add(value, found)
            if digits:
                likely[at] = digits
            if digits is not None:
                others[at] = found
        self.phones.add_many(likely, others, values.by_rows)

    @property
    def filled(self) -> int:
        """How many values there are, without those of the words for no value."""
        return self.types.families.total()

    def unread(self, can_read: Callable[[Reading], bool]) -> Occurrences:
        """Return the values that are a text, or a number in its digits, and that no reading which *can_read* reads."""
        return together(occurrences for found, occurrences in self.readings.items() if not any(map(can_read, found)))

    @property
    def different(self) -> float:
        """The estimated number of different values, as a part of all values."""
        filled = self.filled
        return min(1.0, self.words.estimate() / filled) if filled else 0.0

    @property
    def is_constant(self) -> bool:
        """Whether many rows have a value, and all have the same one."""
        return self.filled >= _ENOUGH and self.words.estimate() == 1

    def _add(self, value: object, found: Occurrences) -> str | None:
        """Add the *value* of all rows *found*.

        Return its text if it is like a phone number, "" if it is like none, and None if it is not counted as either.
        """
        family = _family(value)
        digits: str | None
        if family == TEXT:
            text = self._bare_text(str(value), found)
            if not text:
                return None
            digits = self._add_text(text, found)
        else:
            digits = self._add_other(value, family, found)
            self.types.add_typed(value, found)
        self.types.families[family] += found.count
        return digits

    def _add_other(self, value: object, family: str, found: Occurrences) -> str | None:
        """Add a *value* that is no text."""
        digits = None
        if family in _WORDLY:
            text = str(value)
            digits = self._add_number(text, traits_of(text, is_birth=self._is_birth), found)
        elif family != TRUTH:
            self.words.others.add(found)
        if isinstance(value, float) and not (value.is_integer() and abs(value) < WHOLE_DOUBLES):
            self.numbers.fractions.add(found)
        if family == OTHER:
            self.types.foreign[type(value).__name__] += found.count
        return digits

    def _bare_text(self, value: str, found: Occurrences) -> str:
        """Return *value* without what surrounds it; "" if it is none, which is counted."""
        text = without_ends(value)
        if text != value:
            self.texts.trimmed.add(found)
        text = self._without_marks(text, found)
        if not text:
            self.gaps.blank += found.count
        elif len(text) <= _LONGEST_NOTHING and is_nothing(text):
            add_spelling(self.gaps.words, text, found)
            return ""
        return text

    def _without_marks(self, text: str, found: Occurrences) -> str:
        """Return *text* without what a spreadsheet marks a text with: `="00126"` or `'00126`."""
        if not text.startswith(_FIRST_MARKS):
            return text
        for kind, pattern in _MARKS:
            if (marked := pattern.fullmatch(text)) is not None:
                self.texts.damage.setdefault(kind, Occurrences()).add(found)
                return without_ends(marked[1])
        return text

    def _add_text(self, text: str, found: Occurrences) -> str:
        traits = traits_of(text, is_birth=self._is_birth)
        digits = self._add_number(text, traits, found)
        texts, stand_ins = self.texts, self.stand_ins
        if traits.number.dash is not None:
            unit, dash = traits.number.dash
            add_spelling(stand_ins.dashes, dash, found)
            stand_ins.dash_units[unit] = None
        elif traits.number.is_in_parentheses:
            texts.in_parentheses.add(found)
        elif traits.has_zone_name:
            texts.zone_names.add(found)
        texts.longest = max(texts.longest, len(text))
        if traits.is_email:
            self.emails.addresses += found.count
            self.emails.capitals += traits.has_capitals and found.count
        else:
            self.emails.others.add(found)
        if len(text) > _LONG_TEXT and len(text.encode("utf-8", "surrogatepass")) > LARGEST:
            texts.oversized.add(found)
        if traits.may_be_placeholder and is_placeholder(text):
            add_spelling(stand_ins.placeholders, text, found)
        elif traits.says_nothing:
            add_spelling(stand_ins.said_nothing, text, found)
        for separator in traits.separators:
            texts.lists.setdefault(separator, ListItems()).add(text, separator, found.count)
        return digits

    def _add_number(self, text: str, traits: TextTraits, found: Occurrences) -> str:
        """Add what any *text*, or the digits of a number, can be; return it if it is like a phone number, else ""."""
        self.words.add(text, found)
        self._add_readings(traits.readings.of(text), found)
        number = traits.number
        if number.is_code:
            self.numbers.codes.add(found)
        if traits.is_zero_date:
            add_spelling(self.stand_ins.zero_dates, text, found)
        if number.are_padded:
            self.numbers.zero_lengths.add(number.digits)
        elif number.digits:
            self.numbers.plain_lengths.setdefault(number.digits, Occurrences()).add(found)
        for kind in traits.damage:
            self.texts.damage.setdefault(kind, Occurrences()).add(found)
        return text if traits.is_like_phone else ""

    def _add_readings(self, readings: frozenset[Reading], found: Occurrences) -> None:
        known = self.readings.get(readings)
        if known is None:
            if len(self.readings) >= _MOST_READINGS:
                readings = frozenset()
            known = self.readings.setdefault(readings, Occurrences())
        known.add(found)


_MARKS: Final = (("formula", _FORMULA), ("apostrophe", _APOSTROPHE))
"""The marks that a spreadsheet sets around a text."""


def _family(value: object) -> str:
    known = _FAMILIES.get(type(value))
    if known is not None:
        return known
    if isinstance(value, datetime):
        return NAIVE if value.tzinfo is None else MOMENT
    return _list_family(value) if isinstance(value, list) else OTHER


_FAMILIES: Final = {str: TEXT, bool: TRUTH, int: WHOLE, float: FRACTION, WrittenFloat: FRACTION, date: DATE}


def _list_family(values: list[object]) -> str:
    kinds = {type(value) for value in values}
    if not kinds:
        return EMPTY_LIST
    if kinds == {str}:
        return TEXTS
    if kinds == {int}:
        return WHOLES
    return FRACTIONS if kinds <= {int, float, WrittenFloat} else OTHER
