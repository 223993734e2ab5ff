"""Decide which rows must be sent again to make the server right."""

from collections.abc import Iterable
from typing import Final, assert_type

from uploader.model import Failed, NotSent, Outcome, Person, Rejected, RetryKind, Sent

_FEW: Final = 200_000
_BITS: Final = 1 << 28
"""32 MiB of bits: with a million people in the retry file, one accepted row in about 90 is sent again needlessly."""


class RowsToResend:
    """The people with a row in the retry file; outcomes come in the order in which a person's rows are settled.

    When an older row is sent again, it overwrites what a later row of its person has set. So each accepted row behind
    an unaccepted one of the same person is sent again as well, in its place.
    """

    def __init__(self) -> None:
        """Start with nobody who has a row in the retry file."""
        self._people = _Hashes()
        self.is_empty = True
        """Whether nobody has a row in the retry file."""

    def add(self, person: Person) -> None:
        """Record that *person* has a row in the retry file already."""
        self._people.add(person)
        self.is_empty = self.is_empty and not person

    def add_all(self, other: "RowsToResend") -> None:
        """Record that everybody in *other* has a row in the retry file already."""
        self._people.add_all(other._people)  # noqa: SLF001 — one of its own kind
        self.is_empty = self.is_empty and other.is_empty

    def has(self, person: Person) -> bool:
        """Whether *person* has a row in the retry file."""
        return self._people.has_any(person)

    def kind(self, outcome: Outcome) -> RetryKind | None:
        """Return why the row of *outcome* must be sent again; None if it need not be."""
        match outcome:
            case Sent():
                if self.is_empty or not self._people.has_any(outcome.request.person):
                    return None
                self.add(outcome.request.person)
                return "again"
            case Failed():
                self.add(outcome.request.person)
                return outcome.kind
            case Rejected():
                self.add(outcome.person)
                return outcome.kind
            case _:
                assert_type(outcome, NotSent)
                return None


class _Hashes:
    """A set of values that keeps hashes only: whole ones while it is small, then one bit each, so that RAM is bounded.

    Two values with the same hash or bit cost a needless request, never a missed one.
    """

    def __init__(self) -> None:
        self.few: set[int] = set()
        self.bits: bytearray | None = None

    def has_any(self, values: Person) -> bool:
        """Whether one of *values* was added."""
        bits = self.bits
        if bits is None:
            return not self.few.isdisjoint(map(hash, values))
        return any(bits[place >> 3] & (1 << (place & 7)) for place in map(_place, values))

    def add(self, values: Person) -> None:
        """Add *values*."""
        self._add(map(hash, values))

    def add_all(self, other: "_Hashes") -> None:
        """Add what *other* holds."""
        if other.bits is None:
            self._add(other.few)
            return
        self._keep_bits()
        assert self.bits is not None  # noqa: S101 — there are bits by now
        both = int.from_bytes(self.bits) | int.from_bytes(other.bits)
        self.bits[:] = both.to_bytes(len(self.bits))

    def _add(self, hashes: Iterable[int]) -> None:
        found = list(hashes)
        if self.bits is None:
            self.few.update(found)
            if len(self.few) > _FEW:
                self._keep_bits()
            return
        for one in found:
            self._mark(one & (_BITS - 1))

    def _keep_bits(self) -> None:
        if self.bits is not None:
            return
        self.bits = bytearray(_BITS >> 3)
        for known in self.few:
            self._mark(known & (_BITS - 1))
        self.few.clear()

    def _mark(self, place: int) -> None:
        assert self.bits is not None  # noqa: S101 — there are bits by now
        self.bits[place >> 3] |= 1 << (place & 7)


def _place(value: str) -> int:
    return hash(value) & (_BITS - 1)
