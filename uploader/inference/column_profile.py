"""Profile the values of one column, in memory that does not grow with the file."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, TypeAlias

from uploader.inference.candidate_types import OWN, STRING, CandidateType
from uploader.inference.cardinality import Distinct
from uploader.model import WrittenFloat

HOPELESS: Final = 1000
"""After this many values that a type can't read, it is no longer tried."""

_MOST_WORDS: Final = 50
_LONGEST_WORD: Final = 12
_ENOUGH: Final = 20

_EMAIL: Final = re.compile(r"[^\s@,;]+@[^\s@,;]+\.[^\s@.,;]+")
_PHONE: Final = re.compile(r"\+?\(?[0-9](?:[ ().-]{0,2}[0-9]){7,14}")
_MOBILE: Final = re.compile(r"(?:\+?82[ -]?(?:\(0\)|0)?|0)1[016-9][ .-]?[0-9]{3,4}[ .-]?[0-9]{4}")

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
_OF_ANY_TEXT: Final = (OWN, STRING)
"""The types that read every text."""
_WORDLY: Final = (TEXT, WHOLE)


def looks_personal(text: str) -> bool:
    """Whether *text* looks like an e-mail address or a Korean mobile number."""
    return _EMAIL.fullmatch(text) is not None or _MOBILE.fullmatch(text) is not None


@dataclass(slots=True)
class TypeTrial:
    """The result for one type: how many values it could not read, and the first row with one."""

    form: CandidateType
    misses: int = 0
    first: int = 0


_Trials: TypeAlias = Sequence[tuple[TypeTrial, Callable[[object], bool]]]


class Column:
    """The profile of one column: how many values it has, of which families, and which types read them.

    *nulls* counts the nulls that are not empty (JSON lines). *words* holds for each short value its count and its first
    row; *other_words* counts the other values. *inside* is whether the name is a path into objects, *is_ever_blank*
    whether some row has an empty text. *longest* is the length of the longest text. *oversized* counts the values that
    are too large for a request, *first_oversized* is the first row with one.

    It has one state: counting.
    """

    def __init__(self, name: str, readers: Readers, *, inside: bool = False) -> None:
        """Start with no value; *readers* test all types, and are made once for all columns."""
        self.name = name
        self.inside = inside
        self.filled = 0
        self.nulls = 0
        self.first_null = 0
        self.emails = 0
        self.phones = 0
        self.mobiles = 0
        self.longest = 0
        self.is_ever_blank = False
        self.oversized = 0
        self.first_oversized = 0
        self.families: Counter[str] = Counter()
        self.words: dict[str, list[int]] = {}
        self.other_words = 0
        self.first_other = 0
        self._distinct = Distinct()
        self._trials = {form: TypeTrial(form) for form, _ in readers}
        self._candidates = [(self._trials[form], reads) for form, reads in readers if form not in _OF_ANY_TEXT]
        self._since_full_trial = [(self._trials[form], reads) for form, reads in readers if form in _OF_ANY_TEXT]

    def add_null(self, row: int) -> None:
        """Add a null of *row*."""
        self.nulls += 1
        self.first_null = self.first_null or row

    def add_value(self, value: object, row: int) -> None:
        """Add one *value* of *row* that is not empty."""
        self.filled += 1
        family = _family(value)
        self.families[family] += 1
        if family in _WORDLY:
            self._add_text(str(value), row)
        elif family != TRUTH:
            self._add_other_word(row)
        if family != TEXT:
            _try(self._since_full_trial, value, row)
        if _try(self._candidates, value, row):
            self._candidates = [(trial, reads) for trial, reads in self._candidates if trial.misses < HOPELESS]

    def trial(self, form: CandidateType) -> TypeTrial:
        """Return the result for the type *form*."""
        return self._trials[form]

    def reads_all(self, form: CandidateType) -> bool:
        """Whether *form* reads every value, of which there is at least one."""
        return self.filled > 0 and not self._trials[form].misses

    def reads_nearly_all(self, form: CandidateType) -> bool:
        """Whether *form* reads all but a few values: some, but at most one in a hundred, are not read."""
        misses = self._trials[form].misses
        return 0 < misses < HOPELESS and misses * 100 <= self.filled

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

    def _add_text(self, text: str, row: int) -> None:
        self._distinct.add(text)
        self.longest = max(self.longest, len(text))
        if "@" in text:
            self.emails += _EMAIL.fullmatch(text) is not None
        elif _PHONE.fullmatch(text) is not None:
            self.phones += 1
            self.mobiles += _MOBILE.fullmatch(text) is not None
        if len(text) > _LONG_TEXT and len(text.encode("utf-8", "surrogatepass")) > LARGEST:
            self.oversized += 1
            self.first_oversized = self.first_oversized or row
        known = self.words.get(text)
        if known is not None:
            known[0] += 1
        elif len(text) <= _LONGEST_WORD and len(self.words) < _MOST_WORDS:
            self.words[text] = [1, row]
        else:
            self._add_other_word(row)

    def _add_other_word(self, row: int) -> None:
        self.other_words += 1
        self.first_other = self.first_other or row


def _try(trials: _Trials, value: object, row: int) -> bool:
    """Try *value* with each of *trials*, and return whether one of them is now hopeless."""
    is_hopeless = False
    for trial, reads in trials:
        if not reads(value):
            trial.misses += 1
            trial.first = trial.first or row
            is_hopeless = is_hopeless or trial.misses >= HOPELESS
    return is_hopeless


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
