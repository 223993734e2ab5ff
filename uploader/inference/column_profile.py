"""Profile the values of one column, in memory that does not grow with the file."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Final, Protocol, TypeAlias

from uploader.inference.candidate_types import CandidateType
from uploader.inference.cardinality import Distinct
from uploader.inference.list_items import ListItems
from uploader.inference.null_words import is_nothing, is_placeholder
from uploader.inference.occurrences import Occurrences, together
from uploader.inference.phone_counts import PhoneCounts, is_mobile
from uploader.inference.text_traits import Reading, TextTraits, is_email, traits_of
from uploader.mapping.birth_dates import is_birth_date
from uploader.mapping.invisible_characters import without_ends
from uploader.model import WHOLE_DOUBLES, WrittenFloat

_MOST_READINGS: Final = 500
_MOST_WORDS: Final = 50
_MOST_SPELLINGS: Final = 20
_LONGEST_WORD: Final = 20
_LONGEST_NOTHING: Final = 25
_ENOUGH: Final = 20

_FORMULA: Final = re.compile(r'="([^"]*)"')
_FIRST_MARKS: Final = ("=", "'", "‘", "’")  # noqa: RUF001 — spreadsheets write either
_APOSTROPHE: Final = re.compile(r"['‘’]([^'‘’]+)")  # noqa: RUF001 — spreadsheets write either

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
    return is_email(text) or is_mobile(text)


class DifferentValues(Protocol):
    """The different values that a column has in some rows."""

    def __iter__(self) -> Iterator[tuple[object, Occurrences]]:
        """Yield each value with its occurrences, in the order of their first rows."""

    def by_rows(self) -> Iterable[tuple[int, int]]:
        """Return each row, in their order, and the number of its value among those, from 0."""


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
        self._phones = PhoneCounts()
        self._distinct = Distinct()
        self._readers = readers
        self._misses = {form: Occurrences() for form, _ in readers}

    def add_nulls(self, found: Occurrences) -> None:
        """Add the nulls *found*."""
        self.nulls.add(found)

    def add_value(self, value: object, row: int) -> None:
        """Add one *value* of *row* that is not empty."""
        found = Occurrences.of(row)
        digits = self._add(value, found)
        if digits:
            self._phones.add_likely(digits, row)
        elif digits is not None:
            self._phones.add_other(found)

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
        self._phones.add_many(likely, others, values.by_rows)

    @property
    def phones(self) -> int:
        """How many values are phone numbers."""
        return self._phones.phones

    @property
    def mobiles(self) -> int:
        """How many values are mobile numbers."""
        return self._phones.mobiles

    @property
    def not_phone(self) -> Occurrences:
        """The values that are no phone numbers."""
        return self._phones.others

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
            for form, reads in self._readers:
                if not reads(value):
                    self._misses[form].add(found)
        self.filled += found.count
        self.families[family] += found.count
        return digits

    def _add_other(self, value: object, family: str, found: Occurrences) -> str | None:
        """Add a *value* that is no text."""
        digits = None
        if family in _WORDLY:
            text = str(value)
            digits = self._add_number(text, traits_of(text, is_birth=self._is_birth), found)
        elif family != TRUTH:
            self.other_words.add(found)
        if isinstance(value, float) and not (value.is_integer() and abs(value) < WHOLE_DOUBLES):
            self.fractions.add(found)
        if family == OTHER:
            self.foreign[type(value).__name__] += found.count
        return digits

    def _bare_text(self, value: str, found: Occurrences) -> str:
        """Return *value* without what surrounds it; "" if it is none, which is counted."""
        text = without_ends(value)
        if text != value:
            self.trimmed.add(found)
        text = self._without_marks(text, found)
        if not text:
            self.blank += found.count
        elif len(text) <= _LONGEST_NOTHING and is_nothing(text):
            _spell(self.nothing, text, found)
            return ""
        return text

    def _without_marks(self, text: str, found: Occurrences) -> str:
        """Return *text* without what a spreadsheet marks a text with: `="00126"` or `'00126`."""
        if not text.startswith(_FIRST_MARKS):
            return text
        for kind, pattern in _MARKS:
            if (marked := pattern.fullmatch(text)) is not None:
                self.damage.setdefault(kind, Occurrences()).add(found)
                return without_ends(marked[1])
        return text

    def _add_text(self, text: str, found: Occurrences) -> str:
        traits = traits_of(text, is_birth=self._is_birth)
        digits = self._add_number(text, traits, found)
        if traits.dash is not None:
            _spell(self.dashes, traits.dash[1], found)
            self.dash_units[traits.dash[0]] = None
        elif traits.is_in_parentheses:
            self.in_parentheses.add(found)
        elif traits.has_zone_name:
            self.zone_names.add(found)
        self.longest = max(self.longest, len(text))
        if traits.is_email:
            self.emails += found.count
            self.capitals += traits.has_capitals and found.count
        else:
            self.not_email.add(found)
        if len(text) > _LONG_TEXT and len(text.encode("utf-8", "surrogatepass")) > LARGEST:
            self.oversized.add(found)
        if traits.may_be_placeholder and is_placeholder(text):
            _spell(self.placeholders, text, found)
        elif traits.says_nothing:
            _spell(self.said_nothing, text, found)
        for separator in traits.separators:
            self.lists.setdefault(separator, ListItems()).add(text, separator, found.count)
        return digits

    def _add_number(self, text: str, traits: TextTraits, found: Occurrences) -> str:
        """Add what any *text*, or the digits of a number, can be; return it if it is like a phone number, else ""."""
        self._distinct.add(text)
        self._add_word(text, found)
        self._add_readings(traits.readings(text), found)
        if traits.is_code:
            self.codes.add(found)
        if traits.is_zero_date:
            _spell(self.zero_dates, text, found)
        if traits.are_padded:
            self.zero_lengths.add(traits.digits)
        elif traits.digits:
            self.plain_lengths.setdefault(traits.digits, Occurrences()).add(found)
        for kind in traits.damage:
            self.damage.setdefault(kind, Occurrences()).add(found)
        return text if traits.is_like_phone else ""

    def _add_word(self, text: str, found: Occurrences) -> None:
        known = self.words.get(text)
        if known is not None:
            known.add(found)
        elif len(text) <= _LONGEST_WORD and len(self.words) < _MOST_WORDS:
            self.words[text] = Occurrences(found.count, [*found.rows])
        else:
            self.other_words.add(found)

    def _add_readings(self, readings: frozenset[Reading], found: Occurrences) -> None:
        known = self.readings.get(readings)
        if known is None:
            if len(self.readings) >= _MOST_READINGS:
                readings = frozenset()
            known = self.readings.setdefault(readings, Occurrences())
        known.add(found)


_MARKS: Final = (("formula", _FORMULA), ("apostrophe", _APOSTROPHE))
"""The marks that a spreadsheet sets around a text."""


def _spell(spellings: dict[str, Occurrences], text: str, found: Occurrences) -> None:
    if text in spellings or len(spellings) < _MOST_SPELLINGS:
        spellings.setdefault(text, Occurrences()).add(found)


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
