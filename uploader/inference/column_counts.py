"""Count the values of one column: a record for each thing that is guessed from."""

from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from uploader.inference.candidate_types import CandidateType
from uploader.inference.cardinality import Distinct
from uploader.inference.list_items import ListItems
from uploader.inference.occurrences import Occurrences, together

_MOST_WORDS: Final = 50
_MOST_SPELLINGS: Final = 20
_LONGEST_WORD: Final = 20
_ENOUGH: Final = 20

Readers: TypeAlias = Sequence[tuple[CandidateType, Callable[[object], bool]]]
"""The candidate types, each with the function that tests whether it reads a value."""

Spellings: TypeAlias = dict[str, Occurrences]
"""Texts of one kind, each with its occurrences."""


def add_spelling(spellings: Spellings, text: str, found: Occurrences) -> None:
    """Add *found* of *text* to *spellings*, which hold the first of its kind."""
    if text in spellings or len(spellings) < _MOST_SPELLINGS:
        spellings.setdefault(text, Occurrences()).add(found)


@dataclass(slots=True)
class Gaps:
    """What the rows without a value have in a column.

    *nulls* are the nulls that are not empty (JSON lines), *has_empty_text* whether some row has an empty text. *blank*
    counts the texts of nothing but spaces and invisible characters, and *words* holds the words for no value.
    """

    nulls: Occurrences = field(default_factory=Occurrences)
    has_empty_text: bool = False
    blank: int = 0
    words: Spellings = field(default_factory=dict)


class TypeCounts:
    """How many values there are of which type.

    *families* counts the values by their family, *foreign* those that the API has no type for by their type in Python.
    *readers* test the types of values that are no text.
    """

    def __init__(self, readers: Readers) -> None:
        """Start with no value."""
        self.families: Counter[str] = Counter()
        self.foreign: Counter[str] = Counter()
        self.readers = readers
        self._misses = {form: Occurrences() for form, _ in readers}

    @property
    def held(self) -> frozenset[str]:
        """The families of the values."""
        return frozenset(self.families)

    def add_typed(self, value: object, found: Occurrences) -> None:
        """Count which types do not read the *value*, which is no text, of all rows *found*."""
        for form, reads in self.readers:
            if not reads(value):
                self._misses[form].add(found)

    def misses(self, form: CandidateType) -> Occurrences:
        """Return the values that are no text and that *form* does not read."""
        return self._misses[form]

    def reads_all(self, form: CandidateType) -> bool:
        """Whether there are values, and *form* reads each that is no text."""
        return bool(self.families) and not self._misses[form].count


class WordCounts:
    """Which different values there are: the *short* ones themselves, how many *others*, an estimate of all."""

    def __init__(self) -> None:
        """Start with no value."""
        self.short: Spellings = {}
        self.others = Occurrences()
        self._distinct = Distinct()

    def add(self, text: str, found: Occurrences) -> None:
        """Add the *text* of all rows *found*."""
        self._distinct.add(text)
        known = self.short.get(text)
        if known is not None:
            known.add(found)
        elif len(text) <= _LONGEST_WORD and len(self.short) < _MOST_WORDS:
            self.short[text] = Occurrences(found.count, [*found.rows])
        else:
            self.others.add(found)

    def unknown(self, known: Container[str] | Callable[[str], bool]) -> Occurrences:
        """Return the values that are none of the words *known*."""
        is_known = known if callable(known) else known.__contains__
        return together([*(found for word, found in self.short.items() if not is_known(word)), self.others])

    def estimate(self) -> float:
        """Return about how many different values there are."""
        return self._distinct.estimate()

    @property
    def are_many(self) -> bool:
        """Whether there are so many different values that a match of all is unlikely to be chance."""
        return self._distinct.estimate() >= _ENOUGH


@dataclass(slots=True)
class StandIns:
    """The texts that stand where a value is missing, or is 0.

    *said_nothing* are words that mean no value, *placeholders* made-up values, *zero_dates* the day 0 of a month.
    *dashes* are the texts that spreadsheets show for 0, by their dash, with the units in *dash_units*.
    """

    said_nothing: Spellings = field(default_factory=dict)
    placeholders: Spellings = field(default_factory=dict)
    zero_dates: Spellings = field(default_factory=dict)
    dashes: Spellings = field(default_factory=dict)
    dash_units: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class TextCounts:
    """How the texts are written.

    *trimmed* have a space or an invisible character at an end; all else is counted of what is left without it. *damage*
    holds the values of each kind that a spreadsheet or a program damaged. *in_parentheses* are negative amounts of
    accounting, *zone_names* times that end in the name of a zone. *longest* is the length of the longest text,
    *oversized* are those too large for a request. *lists* holds the items of each separator.
    """

    trimmed: Occurrences = field(default_factory=Occurrences)
    damage: Spellings = field(default_factory=dict)
    in_parentheses: Occurrences = field(default_factory=Occurrences)
    zone_names: Occurrences = field(default_factory=Occurrences)
    longest: int = 0
    oversized: Occurrences = field(default_factory=Occurrences)
    lists: dict[str, ListItems] = field(default_factory=dict)


@dataclass(slots=True)
class EmailCounts:
    """How many texts are e-mail *addresses*, and how many of these have *capitals*; which are *others*."""

    addresses: int = 0
    capitals: int = 0
    others: Occurrences = field(default_factory=Occurrences)


@dataclass(slots=True)
class NumberCounts:
    """What the digits of the values say of their being numbers.

    *codes* are digits that a number would change, *fractions* numbers that are no whole ones. *zero_lengths* are the
    lengths of digits that begin with a zero, *plain_lengths* the values of other digits by their length.
    """

    codes: Occurrences = field(default_factory=Occurrences)
    fractions: Occurrences = field(default_factory=Occurrences)
    zero_lengths: set[int] = field(default_factory=set)
    plain_lengths: dict[int, Occurrences] = field(default_factory=dict)

    @property
    def without_zeros(self) -> Occurrences:
        """The values that may have lost zeros: digits that are shorter than all that begin with a zero."""
        least = min(self.zero_lengths, default=0)
        return together(found for length, found in self.plain_lengths.items() if length < least)
