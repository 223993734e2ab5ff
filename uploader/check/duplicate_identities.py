"""Tell about how many identity values stand in more than one row, in memory that does not grow with the file."""

from uploader.model import Person

MOST_KEPT = 1 << 16
"""So many different values are kept; up to here the number is exact."""


class DuplicateIdentities:
    """The identity values of a source, as far as they are needed to tell how many of them repeat.

    Of a small source all are kept, as hashes of 64 bits. Of a large one only those whose hash ends in enough zeros, and
    what is found among them stands for the rest. Python's hashes differ from process to process: so may an estimate.
    """

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        """Begin with none, and keep *most_kept* at most."""
        self._most_kept = most_kept
        self._mask = 0
        self._once: set[int] = set()
        self._repeated: set[int] = set()

    def add_row(self, person: Person) -> None:
        """Take the identity values of one row."""
        for value in person:
            hashed = hash(value)
            if hashed & self._mask:
                continue
            if hashed in self._once:
                self._repeated.add(hashed)
            else:
                self._once.add(hashed)
                if len(self._once) > self._most_kept:
                    self._drop_some()

    @property
    def are_exact(self) -> bool:
        """Whether all values were kept, so that the number is no estimate."""
        return not self._mask

    @property
    def count(self) -> int:
        """How many values stand in more than one row; about so many where not all were kept."""
        return len(self._repeated) * (self._mask + 1)

    def _drop_some(self) -> None:
        while len(self._once) > self._most_kept:
            self._mask = mask = self._mask * 2 + 1
            self._once = {hashed for hashed in self._once if not hashed & mask}
        self._repeated &= self._once
