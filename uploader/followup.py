"""Know which rows have to be sent again to make the server right."""

from typing import Final, Literal, TypeAlias, assert_never

from uploader.model import Failed, Outcome, Person, Rejected, Sent, Superseded, Unchanged

Kind: TypeAlias = Literal["failed", "rejected", "again"]
"""Why a row stands in the retry file; `again`: it was accepted, but has to follow an earlier row that was not."""


_FEW: Final = 200_000
_BITS: Final = 1 << 28
"""32 MiB of bits: with a million people in the retry file, one accepted row in about 90 is sent again needlessly."""


class FollowUp:
    """Judge outcomes in the order in which the rows of a person are settled.

    When an older row is sent again, it overwrites what a later row of its person had set. So each accepted row that
    comes after an unaccepted one of the same person is sent again as well, in its place.
    """

    def __init__(self) -> None:
        """Begin with nobody who is owed a row."""
        self._owed = _Hashes()

    def owe(self, person: Person) -> None:
        """Take note that *person* has a row in the retry file already."""
        self._owed.add(person)

    def owes(self, person: Person) -> bool:
        """Whether *person* has a row in the retry file."""
        return self._owed.has_any(person)

    def kind(self, outcome: Outcome) -> Kind | None:
        """Return why the row of *outcome* must be sent again; None if it need not be."""
        match outcome:
            case Sent():
                if self._owed.is_empty or not self._owed.has_any(outcome.request.person):
                    return None
                self._owed.add(outcome.request.person)
                return "again"
            case Failed():
                self._owed.add(outcome.request.person)
                return "failed"
            case Rejected():
                self._owed.add(outcome.person)
                return "rejected"
            case Unchanged() | Superseded():
                return None
            case _ as never:
                assert_never(never)


class _Hashes:
    """A set of values of which only hashes are kept: exact while small, then one bit each, so that memory is bounded.

    Two values with one hash, or one bit, cost a needless request, never a missed one.
    """

    def __init__(self) -> None:
        self.is_empty = True
        self._few: set[int] = set()
        self._bits: bytearray | None = None

    def has_any(self, values: Person) -> bool:
        """Whether one of *values* was added."""
        bits = self._bits
        if bits is None:
            return not self._few.isdisjoint(map(hash, values))
        return any(bits[place >> 3] & (1 << (place & 7)) for place in map(_place, values))

    def add(self, values: Person) -> None:
        """Add *values*."""
        self.is_empty = False
        if self._bits is None:
            self._few.update(map(hash, values))
            if len(self._few) <= _FEW:
                return
            self._bits = bytearray(_BITS >> 3)
            for known in self._few:
                self._mark(known & (_BITS - 1))
            self._few.clear()
        for value in values:
            self._mark(_place(value))

    def _mark(self, place: int) -> None:
        assert self._bits is not None  # noqa: S101 — there are bits by now
        self._bits[place >> 3] |= 1 << (place & 7)


def _place(value: str) -> int:
    return hash(value) & (_BITS - 1)
