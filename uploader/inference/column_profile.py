"""Profile the values of one column, in memory that does not grow with the file."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import date, datetime
from typing import Final, TypeAlias

from uploader.inference.candidate_types import CandidateType
from uploader.inference.cardinality import Distinct
from uploader.inference.list_items import SEPARATORS, ListItems
from uploader.inference.null_words import is_nothing, is_placeholder, is_zero_date, says_nothing
from uploader.inference.number_forms import (
    WrittenNumber,
    is_code,
    is_in_parentheses,
    unit_of_dash,
    written_number,
)
from uploader.inference.occurrences import Occurrences, together
from uploader.inference.time_forms import LONGEST, TimeForm, time_forms
from uploader.mapping.birth_dates import is_birth_date
from uploader.mapping.invisible_characters import without_ends
from uploader.mapping.phone_numbers import korean_number
from uploader.mapping.value_errors import Unreadable
from uploader.model import WHOLE_DOUBLES, WrittenFloat

Reading: TypeAlias = TimeForm | WrittenNumber
"""A way in which a text can be read."""

_MOST_READINGS: Final = 500
_MOST_WORDS: Final = 50
_MOST_SPELLINGS: Final = 20
_LONGEST_WORD: Final = 20
_LONGEST_NOTHING: Final = 25
_LONGEST_DIGITS: Final = 20
_ENOUGH: Final = 20
_TRIED: Final = 200

_EMAIL: Final = re.compile(
    r"[^\s@:;,<>()\[\]\\\"]+@(?:[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?\.)+(?:[^\W\d_]{2,63}|xn--[a-z0-9-]{2,59})",
    re.IGNORECASE,
)
_PHONE: Final = re.compile(r"\+?\(?[0-9](?:[ ().-]{0,2}[0-9]){7,14}(?:\.0)?")
_MOBILE: Final = re.compile(r"(?:\+?82[ -]?(?:\(0\)|0)?|0)1[016-9][ .-]?[0-9]{3,4}[ .-]?[0-9]{4}(?:\.0)?")
_LOST_ZERO: Final = re.compile(r"10[0-9]{8}(?:\.0)?")
_FLOAT: Final = re.compile(r"-?[0-9]+\.0")
_GROUPED: Final = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+")
_ZONE_NAME: Final = re.compile(r".*[0-9]{1,2}:[0-9]{2}.* (?!UTC|GMT|AM|PM|Z)[A-Z]{1,5}", re.DOTALL)
_FORMULA: Final = re.compile(r'="([^"]*)"')
_FIRST_MARKS: Final = ("=", "'", "‘", "’")  # noqa: RUF001 — spreadsheets write either
_APOSTROPHE: Final = re.compile(r"['‘’]([^'‘’]+)")  # noqa: RUF001 — spreadsheets write either
_POWER: Final = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{1,3}")

LARGEST: Final = 8000
"""The most bytes of a value that leave its row below the 8 KB of `user_properties`."""
_LONG_TEXT: Final = LARGEST // 4

Readers: TypeAlias = Sequence[tuple[CandidateType, Callable[[object], bool]]]
"""The candidate types, each with the function that tests whether it reads a value."""

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
    return is_email(text) or _MOBILE.fullmatch(text) is not None


def is_email(text: str) -> bool:
    """Whether *text* is an e-mail address with a domain that can exist."""
    return "@" in text and _EMAIL.fullmatch(text) is not None


def is_phone(text: str) -> bool:
    """Whether *text* is a phone number of Korea, in any usual spelling."""
    try:
        korean_number(text)
    except Unreadable:
        return False
    return True


class Column:
    """The profile of one column: how many values it has, of which families, and what reads them.

    *filled* counts the values, without those of *nothing*: the words that stand for none. *nulls* are the nulls that
    are not empty (JSON lines). *words* are the short values, *other_words* the other ones. *readings* holds, for each
    set of readings, the texts that exactly these read. *codes* are digits that a number would change. *trimmed* are
    texts with a space or an invisible character at an end; those with nothing else are *blank*. *damage* holds the
    values of each kind that a spreadsheet or a program damaged; all else is counted of what is left without its marks.
    *fractions* are numbers that are no whole ones, *dashes* the texts that spreadsheets show
    for 0, by their dash, with the units in *dash_units*. *in_parentheses* are negative amounts of accounting,
    *zone_names* times that end in the name of a zone. *inside* is whether the name is a path into objects,
    *is_ever_blank* whether some row has an empty text. *longest* is the length of the longest text. *oversized* are the
    values that are too large for a request.

    It has one state: counting.
    """

    def __init__(self, name: str, readers: Readers, *, inside: bool = False) -> None:
        """Start with no value; *readers* test the types of values that are no text, and are made once for all."""
        self.name = name
        self.inside = inside
        self.filled = 0
        self.nulls = Occurrences()
        self.emails = 0
        self.capitals = 0
        self.phones = 0
        self.mobiles = 0
        self.longest = 0
        self.is_ever_blank = False
        self.oversized = Occurrences()
        self.families: Counter[str] = Counter()
        self.words: dict[str, Occurrences] = {}
        self.other_words = Occurrences()
        self.nothing: dict[str, Occurrences] = {}
        self.said_nothing: dict[str, Occurrences] = {}
        self.zero_dates: dict[str, Occurrences] = {}
        self.placeholders: dict[str, Occurrences] = {}
        self.trimmed = Occurrences()
        self.blank = 0
        self.not_email = Occurrences()
        self.not_phone = Occurrences()
        self.codes = Occurrences()
        self.damage: dict[str, Occurrences] = {}
        self.fractions = Occurrences()
        self.dashes: dict[str, Occurrences] = {}
        self.dash_units: dict[str, None] = {}
        self.in_parentheses = Occurrences()
        self.zone_names = Occurrences()
        self.foreign: Counter[str] = Counter()
        self.zero_lengths: set[int] = set()
        self.plain_lengths: dict[int, Occurrences] = {}
        self.readings: dict[frozenset[Reading], Occurrences] = {}
        self.lists: dict[str, ListItems] = {}
        self._is_birth = is_birth_date(name)
        self._distinct = Distinct()
        self._readers = readers
        self._misses = {form: Occurrences() for form, _ in readers}

    def add_null(self, row: int) -> None:
        """Add a null of *row*."""
        self.nulls.add(row)

    def add_value(self, value: object, row: int) -> None:
        """Add one *value* of *row* that is not empty."""
        family = _family(value)
        if family == TEXT:
            text = self._bare_text(str(value), row)
            if not text:
                return
            self._add_text(text, row)
        else:
            self._add_other(value, family, row)
        self.filled += 1
        self.families[family] += 1
        if family != TEXT:
            for form, reads in self._readers:
                if not reads(value):
                    self._misses[form].add(row)

    def misses(self, form: CandidateType) -> Occurrences:
        """Return the values that are no text and that *form* does not read."""
        return self._misses[form]

    def reads_all(self, form: CandidateType) -> bool:
        """Whether *form* reads every value that is no text."""
        return self.filled > 0 and not self._misses[form].count

    def unread(self, can_read: Callable[[Reading], bool]) -> Occurrences:
        """Return the values that are a text, or a number in its digits, and that no reading which *can_read* reads."""
        return together(occurrences for found, occurrences in self.readings.items() if not any(map(can_read, found)))

    def unknown_words(self, known: Container[str] | Callable[[str], bool]) -> Occurrences:
        """Return the values that are none of the words *known*."""
        is_known = known if callable(known) else known.__contains__
        return together(
            [*(occurrences for word, occurrences in self.words.items() if not is_known(word)), self.other_words]
        )

    @property
    def without_zeros(self) -> Occurrences:
        """The values that may have lost zeros: digits that are shorter than all that begin with a zero."""
        least = min(self.zero_lengths, default=0)
        return together(occurrences for length, occurrences in self.plain_lengths.items() if length < least)

    @property
    def different(self) -> float:
        """The estimated number of different values, as a part of all values."""
        return min(1.0, self._distinct.estimate() / self.filled) if self.filled else 0.0

    @property
    def has_many_values(self) -> bool:
        """Whether there are so many different values that a match of all is unlikely to be chance."""
        return self._distinct.estimate() >= _ENOUGH

    @property
    def is_constant(self) -> bool:
        """Whether many rows have a value, and all have the same one."""
        return self.filled >= _ENOUGH and self._distinct.estimate() == 1

    @property
    def holds(self) -> frozenset[str]:
        """The families of the values."""
        return frozenset(self.families)

    def _add_other(self, value: object, family: str, row: int) -> None:
        """Add a *value* that is no text."""
        if family in _WORDLY:
            self._add_number(str(value), row)
        elif family != TRUTH:
            self.other_words.add(row)
        if isinstance(value, float) and not (value.is_integer() and abs(value) < WHOLE_DOUBLES):
            self.fractions.add(row)
        if family == OTHER:
            self.foreign[type(value).__name__] += 1

    def _bare_text(self, value: str, row: int) -> str:
        """Return *value* without what surrounds it; "" if it is none, which is counted."""
        text = without_ends(value)
        if text != value:
            self.trimmed.add(row)
        text = self._without_marks(text, row)
        if not text:
            self.blank += 1
        elif len(text) <= _LONGEST_NOTHING and is_nothing(text):
            _spell(self.nothing, text, row)
            return ""
        return text

    def _without_marks(self, text: str, row: int) -> str:
        """Return *text* without what a spreadsheet marks a text with: `="00126"` or `'00126`."""
        if not text.startswith(_FIRST_MARKS):
            return text
        for kind, pattern in _MARKS:
            if (found := pattern.fullmatch(text)) is not None:
                self.damage.setdefault(kind, Occurrences()).add(row)
                return without_ends(found[1])
        return text

    def _add_text(self, text: str, row: int) -> None:
        self._add_number(text, row)
        if len(text) <= _LONGEST_WORD and (dash := unit_of_dash(text)) is not None:
            _spell(self.dashes, dash[1], row)
            self.dash_units[dash[0]] = None
        elif is_in_parentheses(text):
            self.in_parentheses.add(row)
        elif text[-1].isupper() and len(text) <= LONGEST and _ZONE_NAME.fullmatch(text) is not None:
            self.zone_names.add(row)
        self.longest = max(self.longest, len(text))
        if is_email(text):
            self.emails += 1
            self.capitals += text != text.lower()
        else:
            self.not_email.add(row)
        if len(text) > _LONG_TEXT and len(text.encode("utf-8", "surrogatepass")) > LARGEST:
            self.oversized.add(row)
        if is_placeholder(text):
            _spell(self.placeholders, text, row)
        elif says_nothing(text):
            _spell(self.said_nothing, text, row)
        for separator in SEPARATORS:
            if separator in text:
                self.lists.setdefault(separator, ListItems()).add(text, separator)

    def _add_number(self, text: str, row: int) -> None:
        """Add what any *text*, or the digits of a number, can be."""
        self._distinct.add(text)
        self._add_word(text, row)
        has_digits = text.isascii() or any(map(str.isdecimal, text))
        self._add_readings(text if has_digits else "", row)
        if has_digits:
            self._add_phone(text, row)
            if is_code(text):
                self.codes.add(row)
            if is_zero_date(text):
                _spell(self.zero_dates, text, row)
            if text.isdecimal() and len(text) <= _LONGEST_DIGITS:
                self._add_length(text, row)
        else:
            self.not_phone.add(row)
        if text.endswith(".0") or "," in text or "e" in text or "E" in text:
            for kind, pattern in _DAMAGE:
                if pattern.fullmatch(text) is not None:
                    self.damage.setdefault(kind, Occurrences()).add(row)

    def _add_length(self, text: str, row: int) -> None:
        if text[0] == "0" and text != "0":
            self.zero_lengths.add(len(text))
        else:
            self.plain_lengths.setdefault(len(text), Occurrences()).add(row)

    def _add_word(self, text: str, row: int) -> None:
        known = self.words.get(text)
        if known is not None:
            known.add(row)
        elif len(text) <= _LONGEST_WORD and len(self.words) < _MOST_WORDS:
            self.words[text] = Occurrences(1, [row])
        else:
            self.other_words.add(row)

    def _add_readings(self, text: str, row: int) -> None:
        readings = frozenset(_readings(text, is_birth=self._is_birth)) if text and len(text) <= LONGEST else frozenset()
        if readings not in self.readings and len(self.readings) >= _MOST_READINGS:
            readings = frozenset()
        self.readings.setdefault(readings, Occurrences()).add(row)

    def _add_phone(self, text: str, row: int) -> None:
        if _PHONE.fullmatch(text) is not None:
            # The library for phone numbers is slow: a column of other digits is not tried to its end.
            tried = self.phones + self.not_phone.count
            if (tried < _TRIED or 2 * self.phones >= tried) and is_phone(text):
                self.phones += 1
                self.mobiles += _MOBILE.fullmatch(text) is not None or _LOST_ZERO.fullmatch(text) is not None
                return
        self.not_phone.add(row)


_MARKS: Final = (("formula", _FORMULA), ("apostrophe", _APOSTROPHE))
"""The marks that a spreadsheet sets around a text."""

_DAMAGE: Final = (("float", _FLOAT), ("grouped", _GROUPED), ("power", _POWER))
"""The kinds of values that a spreadsheet or a program damaged."""


def _spell(spellings: dict[str, Occurrences], text: str, row: int) -> None:
    if text in spellings or len(spellings) < _MOST_SPELLINGS:
        spellings.setdefault(text, Occurrences()).add(row)


def _readings(text: str, *, is_birth: bool) -> Iterable[Reading]:
    number = written_number(text)
    if number is not None:
        yield number
    yield from time_forms(text, is_birth=is_birth)


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
