"""Count the identity values that are in more than one row, in memory that does not grow with the file."""

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

from uploader.model import Person

if TYPE_CHECKING:
    import polars as pl

MOST_KEPT = 1 << 16
"""At most this many different values are kept; up to here the count is exact."""

_MANY = 2000
"""Of so many values in a column, those that are known to repeat are sorted out together."""


class DuplicateIdentities:
    """Counts the identity values that repeat in a source.

    Of a small source it keeps all values, as hashes of 64 bits. Of a large one it keeps a sample: the hashes that end
    in enough zero bits. Python's hashes differ between processes, so an estimate may differ as well.
    """

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        """Start empty, and keep *most_kept* values at most."""
        self._most_kept = most_kept
        self._mask = 0
        self._once: set[int] = set()
        self._repeated: set[int] = set()
        self._column: pl.Series | None = None

    def add_row(self, person: Person) -> None:
        """Add the identity values of one row."""
        self.add_rows((person,))

    def add_rows(self, people: Iterable[Person]) -> None:
        """Add the identity values of many rows."""
        for hashed in map(hash, chain.from_iterable(people)):
            if hashed & self._mask:
                continue
            if hashed in self._once:
                self._repeated.add(hashed)
            else:
                self._once.add(hashed)
                if len(self._once) > self._most_kept:
                    self._drop_some()

    def add_hashes(self, hashes: "pl.DataFrame") -> None:
        """Add the identity values of many rows by their *hashes*, a column for each field."""
        for column in hashes.iter_columns():
            # A null is no value, and a filter drops it.
            kept = column.filter((column & self._mask) == 0) if self._mask or column.null_count() else column
            if len(kept) > _MANY and self._repeated:
                # What repeats once more changes nothing.
                kept = kept.filter(~kept.is_in(self._repeated_column()))
            kept = kept.sort()
            found = set(kept.to_list())
            if len(found) < len(kept):
                self._repeated.update(kept[1:].filter(kept[1:] == kept[:-1]).to_list())
            self._repeated |= found & self._once
            self._once |= found
            self._drop_some()

    @property
    def are_exact(self) -> bool:
        """Whether all values were kept, so that `count` is exact."""
        return not self._mask

    @property
    def count(self) -> int:
        """How many values are in more than one row; an estimate unless `are_exact`."""
        return len(self._repeated) * (self._mask + 1)

    def _repeated_column(self) -> "pl.Series":
        import polars as pl  # noqa: PLC0415 it starts slowly

        if self._column is None or len(self._column) != len(self._repeated):
            self._column = pl.Series([*self._repeated], dtype=pl.UInt64)
        return self._column

    def _drop_some(self) -> None:
        if len(self._once) <= self._most_kept:
            return
        while len(self._once) > self._most_kept:
            self._mask = mask = self._mask * 2 + 1
            self._once = {hashed for hashed in self._once if not hashed & mask}
        self._repeated &= self._once
