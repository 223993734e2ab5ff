"""Leave few of the identity values of a source to be compared, by whole columns of their hashes.

Operators, slices and `[]` work on a column at once. Methods that polars turns into a query, such as `gather` and
`shift`, take a tenth of a millisecond each, however short the column is.
"""

from typing import Final

import polars as pl

from uploader.check.joined_identities import MARKED_TWICE_IN_SLOT, counted_changes

_BITS: Final = 64
"""A word of the marks has so many bits. With a word for each slot, a sieve can mark 64 values as seen for each."""

_PRINT_MASK: Final = (1 << 32) - 1
_MOST_COUNT: Final = 255

_SLOTS_OF_WORD: Final = _BITS // MARKED_TWICE_IN_SLOT


class ColumnSieve:
    """Does for columns what `_Sieve` does for rows, by the same rules: see there.

    Rows that come in one call are taken in their order. Its tables are changed in place: 8, 2, 4 and 1 bytes a slot.
    """

    def __init__(self, least: int, slots: int) -> None:
        """Let pass what is beside more than *least* persons; *slots* is a power of two."""
        self._enough, has_second = counted_changes(least)
        self._slots = slots
        self._marks = [_Marks(slots, 1)]
        if has_second:
            self._marks.append(_Marks(slots // _SLOTS_OF_WORD, _BITS))
        self._prints = _zeros(slots, pl.UInt32)
        self._counts = _zeros(slots, pl.UInt8)
        self._changes = 0
        self.has_candidates = False

    @property
    def load(self) -> float:
        """How many changes a slot has on average."""
        return self._changes / self._slots

    def add(self, hashes: pl.Series, marks: pl.Series) -> None:
        """Add values by their *hashes*; *marks* are those of their persons (`marks_of`)."""
        for table in self._marks:
            if not len(hashes):
                return
            is_seen = table.mark(hashes)
            hashes, marks = hashes.filter(is_seen), marks.filter(is_seen)
        self._add_repeated(hashes, marks)

    def passes(self, hashes: pl.Series) -> pl.Series:
        """Return for each of *hashes* whether its value may be in rows of too many persons."""
        first, second = self._slots_of(hashes)
        return (self._counts[first] >= self._enough) & (self._counts[second] >= self._enough)

    def _add_repeated(self, hashes: pl.Series, marks: pl.Series) -> None:
        """Count, in both slots of each value, how often the person changes."""
        if not len(hashes):
            return
        first, second = self._slots_of(hashes)
        both = pl.DataFrame([pl.concat([first, second]).alias("slot"), pl.concat([marks, marks]).alias("mark")])
        both = both.sort("slot", maintain_order=True)
        slots, marks = both["slot"], both["mark"]
        is_next = pl.concat([_FALSE, slots[1:] == slots[:-1]])
        before = pl.concat([marks[:1], marks[:-1]]).zip_with(is_next, self._prints[slots])
        changes = (marks != before).cast(pl.UInt32).cum_sum()
        is_last = pl.concat([~is_next[1:], ~_FALSE])
        ends, sums = slots.filter(is_last), changes.filter(is_last)
        counts = self._counts[ends].cast(pl.UInt32) + (sums - pl.concat([sums[:1] ^ sums[:1], sums[:-1]]))
        self._counts.scatter(ends, counts.clip(0, _MOST_COUNT).cast(pl.UInt8))
        self._prints.scatter(ends, marks.filter(is_last))
        self._changes += changes[-1]
        self.has_candidates = self.has_candidates or bool(self.passes(hashes).any())

    def _slots_of(self, hashes: pl.Series) -> tuple[pl.Series, pl.Series]:
        # The lowest bits have chosen the bit of the mark, and the highest ones its word.
        first, mask = hashes // _BITS, self._slots - 1
        return (first & mask).cast(pl.UInt32), (first // self._slots & mask).cast(pl.UInt32)


class _Marks:
    """A bit for each of many values, several of which share one."""

    def __init__(self, words: int, divisor: int) -> None:
        """Begin with no marks, in so many *words*. The six bits of a hash above *divisor* choose the bit of a word."""
        # One more, for what is rounded up.
        self._words = _zeros(words + 1, pl.UInt64)
        self._scale = words / 2.0**64
        self._divisor = divisor
        self._bit_of = pl.Series([1 << place for place in range(_BITS)], dtype=pl.UInt64)

    def mark(self, hashes: pl.Series) -> pl.Series:
        """Mark the values with these *hashes*, and return for each whether it was marked, also by one before it."""
        # In their order, the words are read and written from begin to end: that takes half the time.
        ordered = hashes.sort()
        is_twice = ordered[1:] == ordered[:-1]
        known = ordered.filter(self._mark_ordered(ordered))
        is_seen = hashes.is_in(known.unique().implode()) if len(known) else _FALSE.new_from_index(0, len(hashes))
        if is_twice.any():
            twice = hashes.is_in(ordered[1:].filter(is_twice).unique().implode())
            is_seen |= twice & ~hashes.is_first_distinct()
        return is_seen

    def _mark_ordered(self, hashes: pl.Series) -> pl.Series:
        """Mark the values with these *hashes*, and return which were marked before this call."""
        bits = hashes // self._divisor if self._divisor > 1 else hashes
        # The division of integers is a query, and takes ten times as long. Any whole number near it will do.
        words, bits = (
            (hashes.cast(pl.Float64) * self._scale).cast(pl.UInt32),
            self._bit_of[(bits & _BITS - 1).cast(pl.UInt32)],
        )
        known = self._words[words]
        seen = (known & bits) != 0
        missing = ~seen
        while missing.any():
            words, bits, known = words.filter(missing), bits.filter(missing), known.filter(missing)
            self._words.scatter(words, known | bits)
            # Of several bits of one word, only the last was written.
            known = self._words[words]
            missing = (known & bits) == 0
        return seen


_FALSE: Final = pl.Series([False])


def marks_of(hashes: pl.DataFrame) -> pl.Series:
    """Return a mark for each row of *hashes*, which tells most persons apart; it is never 0, which is no person."""
    mixed = pl.Series([0], dtype=pl.UInt64).new_from_index(0, hashes.height)
    for column in hashes.iter_columns():
        mixed ^= column.fill_null(0) if column.null_count() else column
    return (mixed & _PRINT_MASK | 1).cast(pl.UInt32)


def _zeros(size: int, dtype: type[pl.DataType]) -> pl.Series:
    return pl.Series([0], dtype=dtype).new_from_index(0, size)
