"""Find the identity values that would join different people into one, in memory that does not grow with the file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from mmap import mmap
from typing import Final, TypeAlias

from uploader.counts import PLACES
from uploader.mapping import Plan
from uploader.model import MaxJoined, Person, Record, Request

ReadAgain: TypeAlias = Callable[[], AbstractContextManager[Iterable[Record]]]
"""Reads the records of the source once more."""

SLOTS: Final = 1 << 21
"""How many slots a sieve has: five bytes each, 10 MiB in all, beside the marks."""

_MARKS_IN_SLOT: Final = 64
"""How many values a sieve can mark as seen for each of its slots: a bit each, 16 MiB in all."""

MARKED_TWICE_IN_SLOT: Final = 16
"""How many values a sieve can mark as seen twice for each of its slots: 4 MiB in all."""

_TWICE_SHIFT: Final = 12
"""The 25 bits above these are none of those that choose the first mark."""

_SEEN_SHIFT: Final = 37
"""A hash of 64 bits has 27 above these; the lower ones choose the slots."""

_PRINT_BYTES: Final = 4
_PRINT_MASK: Final = (1 << 32) - 1
_MOST_COUNT: Final = 255
_MOST_LOAD: Final = 1.8
"""With more changes in a slot on average, a sieve lets too much pass."""

_MOST_COUNTED: Final = 50_000
"""So many different values are kept, in all, to tell how many people are joined; then it is "more than"."""


@dataclass(frozen=True, slots=True)
class JoinedValue:
    """One *value* of the identity field *name* that would join people: it is beside *people* values of *beside*.

    *is_at_least* is whether there are more than *people*. The value is in *rows* rows, of which *places* are the first
    as (row number, line).
    """

    name: str
    value: str = field(repr=False)
    beside: str
    people: int
    is_at_least: bool
    rows: int
    places: tuple[tuple[int, int], ...]


class JoinedIdentities:
    """Finds the values of an identity field that are beside more different values of another than a limit.

    Reading the source once leaves a few candidates: a sieve counts, in slots that values share by their hashes, how
    often the person changes. Only if there are candidates, the source is read again, and their values are compared
    themselves. So a hash alone refuses nothing.
    """

    def __init__(self, limits: MaxJoined, fields: Iterable[str], *, slots: int = SLOTS) -> None:
        """Begin without rows; *fields* are the identity fields of the mapping, *limits* the bounds of each."""
        known = tuple(fields)
        self._limits = {name: most for name in known if (most := limits.of(name)) is not None}
        self._slots = slots
        self._sieve = self._new_sieve() if len(known) > 1 and self._limits else None

    def _new_sieve(self) -> "_Sieve":
        return _Sieve(min(self._limits.values()), self._slots)

    def add_row(self, person: Person) -> None:
        """Add the identity values of one row that can be sent."""
        self.add_rows((person,))

    def add_rows(self, people: Iterable[Person]) -> None:
        """Add the identity values of many rows that can be sent."""
        if self._sieve is not None:
            several = [person for person in people if len(person) > 1]
            self._sieve.add(zip(several, several, strict=True))

    def find(self, plan: Plan, read_again: ReadAgain) -> list[JoinedValue]:
        """Return the values that join too many people, those that join most first; *plan* maps the records."""
        whole = self._sieve
        if whole is None or not whole.has_candidates:
            return []
        parts, found = parts_of(whole.load), list[JoinedValue]()
        if parts > 1:
            # Each part has a sieve of its own, and memory is to hold one at a time.
            self._sieve = None
        del whole
        for part in range(parts):
            of_part = _ValuesPart(part, parts)
            sieve = self._sieve or self._sieve_of(of_part, plan, read_again)
            if sieve.has_candidates:
                found = self._compare(sieve, of_part, plan, read_again)
            del sieve
            if found:
                break
        return sorted(found, key=lambda joined: -joined.people)

    def _sieve_of(self, part: "_ValuesPart", plan: Plan, read_again: ReadAgain) -> "_Sieve":
        """Return a sieve of only the values of *part*, for a source that is too large for one of all."""
        sieve = self._new_sieve()
        with read_again() as records:
            several = (person for person in map(plan.person, records) if len(person) > 1)
            sieve.add((person, list(filter(part.has, person))) for person in several)
        return sieve

    def _compare(self, sieve: "_Sieve", part: "_ValuesPart", plan: Plan, read_again: ReadAgain) -> list[JoinedValue]:
        """Return which of the candidates of *sieve* join too many people, by their values themselves."""
        candidates = Candidates(self._limits)
        with read_again() as records:
            for record in records:
                person = plan.person(record)
                values = [value for value in person if len(person) > 1 and part.has(value) and sieve.passes(value)]
                if values and isinstance(plan.map_row(record, ""), Request):
                    candidates.add(values, person, record)
        return candidates.joined()


class Candidates:
    """The values that may join too many people, with the different values beside each, up to a number of them."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        """Begin with none; *limits* are the bounds of each field that has one."""
        self._limits = limits
        self._found: dict[str, _Candidate] = {}
        self._room = _MOST_COUNTED

    def add(self, values: Iterable[str], person: Person, record: Record) -> None:
        """Add those *values* of *person* that may join too many people, of the next *record* that can be sent."""
        for value in values:
            most = self._limits.get(_field_of(value))
            if most is None:
                continue
            candidate = self._found.setdefault(value, _Candidate())
            candidate.rows += 1
            if len(candidate.places) < PLACES:
                candidate.places.append((record.number, record.line))
            self._room -= candidate.add([other for other in person if other is not value], most, self._room)

    def joined(self) -> list[JoinedValue]:
        """Return those that do join too many people, in the order in which they were found."""
        return [*self._joined()]

    def _joined(self) -> Iterator[JoinedValue]:
        for named, candidate in self._found.items():
            name, _, value = named.partition("=")
            beside, others = max(candidate.beside.items(), key=lambda item: len(item[1]))
            if len(others) > self._limits[name]:
                is_at_least = beside in candidate.is_at_least
                yield JoinedValue(
                    name, value, beside, len(others), is_at_least, candidate.rows, tuple(candidate.places)
                )


@dataclass(slots=True)
class _Candidate:
    """The different values *beside* one value, by their field; of those in *is_at_least* there are more."""

    rows: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)
    beside: dict[str, set[str]] = field(default_factory=dict)
    is_at_least: set[str] = field(default_factory=set)

    def add(self, others: Sequence[str], most: int, room: int) -> int:
        """Add the *others* of one row, and return how many were not known; above *most* there is *room*."""
        added = 0
        for other in others:
            name = _field_of(other)
            known = self.beside.setdefault(name, set())
            if other in known:
                continue
            if len(known) > most and room - added <= 0:
                self.is_at_least.add(name)
                continue
            known.add(other)
            added += 1
        return added


@dataclass(frozen=True, slots=True)
class _ValuesPart:
    """One of several parts of all values, each of which goes through a sieve of its own."""

    number: int
    parts: int

    def has(self, value: str) -> bool:
        return self.parts == 1 or (hash(value) >> 44) % self.parts == self.number


class _Sieve:
    """Lets pass every value that may be in rows of more than *least* different persons, and few others.

    The first row of a value only sets a bit, and the second row another one, so that a value of few rows costs no slot.
    Values share bits: of 30,000,000 different ones a tenth finds its first bit set, and few of those the second one.
    A value that was seen before has two slots. Each holds a fingerprint of the last person, and how often that
    changed: at least as often as there are different persons with the value, but for those of the first rows.

    It has one state: its tables only fill.
    """

    def __init__(self, least: int, slots: int) -> None:
        self._enough, self._has_second = counted_changes(least)
        self._mask = slots - 1
        self._shift = self._mask.bit_length()
        # The system lends memory of this kind page by page, when it is used: a small file needs little of it.
        self._seen = mmap(-1, slots * _MARKS_IN_SLOT // 8)
        self._seen_mask = slots * _MARKS_IN_SLOT - 1
        self._twice = mmap(-1, slots * MARKED_TWICE_IN_SLOT // 8)
        self._twice_mask = slots * MARKED_TWICE_IN_SLOT - 1
        self._prints = memoryview(mmap(-1, slots * _PRINT_BYTES)).cast("I")
        self._counts = mmap(-1, slots)
        self._changes = 0
        self.has_candidates = False

    @property
    def load(self) -> float:
        """How many changes a slot has on average."""
        return self._changes / len(self._counts)

    def add(self, people: Iterable[tuple[Person, Iterable[str]]]) -> None:
        """Add some values of each of *people*."""
        seen, seen_mask = self._seen, self._seen_mask
        for person, values in people:
            repeated = []
            for hashed in map(hash, values):
                place = (hashed >> _SEEN_SHIFT) & seen_mask
                at, bit = place >> 3, 1 << (place & 7)
                if not seen[at] & bit:
                    seen[at] |= bit
                elif not self._has_second or self._is_twice(hashed):
                    repeated.append(hashed)
            if repeated:
                self._add_repeated(person, repeated)

    def _is_twice(self, hashed: int) -> bool:
        """Whether a value that was seen before was so twice; it is from now on."""
        place = (hashed >> _TWICE_SHIFT) & self._twice_mask
        at, bit = place >> 3, 1 << (place & 7)
        if self._twice[at] & bit:
            return True
        self._twice[at] |= bit
        return False

    def _add_repeated(self, person: Person, hashes: Iterable[int]) -> None:
        prints, counts, mask, shift = self._prints, self._counts, self._mask, self._shift
        # 0 is no person.
        mark = hash(person) & _PRINT_MASK or 1
        for hashed in hashes:
            first, second = hashed & mask, (hashed >> shift) & mask
            if prints[first] != mark:
                prints[first] = mark
                self._changes += 1
                if counts[first] < _MOST_COUNT:
                    counts[first] += 1
            if prints[second] != mark:
                prints[second] = mark
                self._changes += 1
                if counts[second] < _MOST_COUNT:
                    counts[second] += 1
            if counts[first] >= self._enough and counts[second] >= self._enough:
                self.has_candidates = True

    def passes(self, value: str) -> bool:
        """Whether *value* may be in rows of too many persons."""
        hashed = hash(value)
        return (
            self._counts[hashed & self._mask] >= self._enough
            and self._counts[(hashed >> self._shift) & self._mask] >= self._enough
        )


def counted_changes(least: int) -> tuple[int, bool]:
    """Return how many changes a sieve counts for more than *least* persons, and whether it marks a second row.

    Of a low limit it does not: each value of one person that has three rows would pass.
    """
    has_second = least > 2  # noqa: PLR2004 — one change is left for one person
    return min(least - has_second, _MOST_COUNT), has_second


def parts_of(load: float) -> int:
    """Return in how many parts the values of a source are looked at, whose sieve has this *load*."""
    return round(load / _MOST_LOAD + 0.5) if load > _MOST_LOAD else 1


def _field_of(value: str) -> str:
    return value.partition("=")[0]
