"""Find the identity values that stand beside many different people, in memory that does not grow with the file."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from uploader.inference.occurrences import Occurrences
from uploader.mapping.cleaning import Cleaner, cleaner_of
from uploader.mapping.field_paths import MISSING, reaching
from uploader.mapping.invisible_characters import without_ends
from uploader.mapping.rules import IdentityRule
from uploader.mapping.value_errors import Unreadable
from uploader.model import Record, Row

Records: TypeAlias = Callable[[], Iterable[Record]]
"""Reads the records of a source once more."""

_SLOTS: Final = 1 << 20
_PRINT: Final = (1 << 32) - 1
_MOST_COUNT: Final = 255
_MOST_CANDIDATES: Final = 20_000
_MOST_SPELLINGS: Final = 20


class SharedValues:
    """Finds the values of an identity field that are beside more than *most* different values of another.

    The first reading counts in slots, which values share, how often the person beside a value changes. A second one
    looks at the few values that are left.
    """

    def __init__(self, rules: Sequence[IdentityRule], most: int) -> None:
        """Compare the identity fields of *rules*."""
        self._most = most
        self._fields = [FieldValues(rule) for rule in rules]
        self._people = [_ChangesOfPeople() for _ in rules]

    def find(self, read: Records) -> Mapping[str, Mapping[str, Occurrences]]:
        """Return for each identity field the spellings of its shared values, each with its rows."""
        if len(self._fields) < 2:  # noqa: PLR2004 — a value beside another one
            return {}
        for record in read():
            values = self._values(record)
            for at, value in enumerate(values):
                if value:
                    self._people[at].add(value, [*values[:at], *values[at + 1 :]])
        if not any(each.has_candidates(self._most) for each in self._people):
            return {}
        for record in read():
            values = self._values(record)
            for at, value in enumerate(values):
                if value and isinstance(record, Row) and self._people[at].may_be_shared(value, self._most):
                    self._fields[at].compare(record, at, values, self._most)
        return {each.rule.field: each.shared(self._most) for each in self._fields}

    def _values(self, record: Record) -> list[str]:
        return [each.value(record) for each in self._fields] if isinstance(record, Row) else []


@dataclass(slots=True)
class _BesideOthers:
    """The hashes of the values *beside* one value, by their field, and its *spellings* with their rows."""

    beside: dict[int, set[int]] = field(default_factory=dict)
    spellings: dict[str, Occurrences] = field(default_factory=dict)


class FieldValues:
    """The values of one identity field, and what is beside those that may be shared."""

    def __init__(self, rule: IdentityRule) -> None:
        """Start with no value; *rule* says how they are read."""
        self.rule = rule
        self._take = reaching(rule.column)
        self._empty = frozenset(("", *rule.null_values))
        self._cleaner: Cleaner = cleaner_of(rule.cleaning, empty=self._empty, hash_key=b"")
        self._candidates: dict[str, _BesideOthers] = {}

    def value(self, record: Row) -> str:
        """Return the value of *record* as it would be sent; as it stands where it can't be; "" for none."""
        return self._cleaned(self.spelling(record))

    def value_of(self, cell: object) -> str:
        """Return the same of a row that has *cell* in the column."""
        return self._cleaned(_spelled(cell))

    def spelling(self, record: Row) -> str:
        """Return the value of *record*, without white space at its ends."""
        try:
            found = self._take(record.fields)
        except Unreadable:
            return ""
        return _spelled(found)

    def compare(self, record: Row, at: int, values: Sequence[str], most: int) -> None:
        """Note the *values* of *record* beside that of this field, number *at* of them."""
        candidate = self._candidates.get(values[at])
        if candidate is None:
            if len(self._candidates) >= _MOST_CANDIDATES:
                return
            candidate = self._candidates.setdefault(values[at], _BesideOthers())
        for place, other in enumerate(values):
            beside = candidate.beside.setdefault(place, set())
            if other and place != at and len(beside) <= most:
                beside.add(hash(other))
        spelling = self.spelling(record)
        if spelling in candidate.spellings or len(candidate.spellings) < _MOST_SPELLINGS:
            candidate.spellings.setdefault(spelling, Occurrences()).add(Occurrences.of(record.number))

    def shared(self, most: int) -> Mapping[str, Occurrences]:
        """Return the spellings of the values that are beside more than *most* people."""
        found = [each for each in self._candidates.values() if any(len(them) > most for them in each.beside.values())]
        return {spelling: occurrences for each in found for spelling, occurrences in each.spellings.items()}

    def _cleaned(self, found: str) -> str:
        if not found:
            return ""
        try:
            cleaned = self._cleaner.clean(found, [])
        except Unreadable:
            return found
        return "" if cleaned is MISSING else str(cleaned)


def _spelled(cell: object) -> str:
    return without_ends(str(cell)) if isinstance(cell, str | int | float) else ""


class _ChangesOfPeople:
    """Counts in slots, which values share, how often the person beside a value changes."""

    def __init__(self) -> None:
        self._people = array("I", bytes(array("I").itemsize * _SLOTS))
        self._changes = bytearray(_SLOTS)

    def add(self, value: str, others: Sequence[str]) -> None:
        """Count that *value* is beside the person with the *others*."""
        slot = hash(value) % _SLOTS
        # 0 is no person.
        person = hash(tuple(others)) & _PRINT or 1
        if any(others) and self._people[slot] != person:
            self._people[slot] = person
            self._changes[slot] = min(_MOST_COUNT, self._changes[slot] + 1)

    def may_be_shared(self, value: str, most: int) -> bool:
        """Whether *value* may be beside more than *most* people."""
        return self._changes[hash(value) % _SLOTS] > most

    def has_candidates(self, most: int) -> bool:
        """Whether any value may be beside more than *most* people."""
        return max(self._changes) > most
