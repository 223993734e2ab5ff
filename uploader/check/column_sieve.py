"""Leave few of the identity values of a source to be compared, by whole columns of their hashes."""

from typing import Final

import polars as pl

_BITS: Final = 64
"""A word of the marks has so many bits, one for each value that was seen."""

_WORDS_IN_SLOT: Final = 1
"""With a word for each slot, a sieve can mark 64 values as seen for each of its slots."""

_SEEN_DIVISOR: Final = 1 << 37
"""A hash of 64 bits has 27 above these; the lower ones choose the slots."""

_PRINT_MASK: Final = (1 << 32) - 1
_MOST_COUNT: Final = 255


class ColumnSieve:
    """Does for columns what `_Sieve` does for rows, by the same rules: see there.

    Rows that come in one call are taken in their order. Its tables are changed in place: 8, 4 and 1 bytes a slot.
    """

    def __init__(self, least: int, slots: int) -> None:
        """Let pass what is beside more than *least* persons; *slots* is a power of two."""
        self._enough = min(least, _MOST_COUNT)
        self._slots = slots
        self._words = slots * _WORDS_IN_SLOT
        self._seen = _zeros(self._words, pl.UInt64)
        self._prints = _zeros(slots, pl.UInt32)
        self._counts = _zeros(slots, pl.UInt8)
        self._bit_of = pl.Series([1 << place for place in range(_BITS)], dtype=pl.UInt64)
        self._changes = 0
        self.has_candidates = False

    @property
    def load(self) -> float:
        """How many changes a slot has on average."""
        return self._changes / self._slots

    def add(self, hashes: pl.Series, marks: pl.Series) -> None:
        """Add values by their *hashes*; *marks* are those of their persons."""
        if not len(hashes):
            return
        place = pl.col("hash") // _SEEN_DIVISOR % (self._words * _BITS)
        rows = pl.DataFrame([hashes.alias("hash"), marks.alias("mark")])
        # Sorted, equal places are beside each other, and the tables are read and written from begin to end.
        rows = rows.with_columns(place.alias("place")).sort("place", maintain_order=True)
        again = self._mark_seen(rows["place"])
        if again.any():
            self._add_repeated(rows.filter(again))

    def passes(self, hashes: pl.Series) -> pl.Series:
        """Return for each of *hashes* whether its value may be in rows of too many persons; null where it is null."""
        counts, enough = self._counts, self._enough
        first, second = self._slots_of(hashes)
        return (counts.gather(first) >= enough) & (counts.gather(second) >= enough)

    def _mark_seen(self, places: pl.Series) -> pl.Series:
        """Mark the sorted *places* as seen, and return which were seen before, in this column too."""
        words, bits = (places // _BITS).cast(pl.UInt32), self._bit_of.gather(places % _BITS)
        known = self._seen.gather(words)
        seen = (known & bits) != 0
        missing = ~seen
        while missing.any():
            words, bits, known = words.filter(missing), bits.filter(missing), known.filter(missing)
            self._seen.scatter(words, known | bits)
            # Of several bits of one word, only the last was written.
            known = self._seen.gather(words)
            missing = (known & bits) == 0
        return seen | (places == places.shift()).fill_null(value=False)

    def _add_repeated(self, rows: pl.DataFrame) -> None:
        first, second = self._slots_of(rows["hash"])
        marks = rows["mark"]
        both = pl.DataFrame({"slot": first.append(second), "mark": marks.clone().append(marks)})
        both = both.sort("slot", maintain_order=True)
        slots, marks = both["slot"], both["mark"]
        is_same_slot = (slots == slots.shift()).fill_null(value=False)
        before = marks.shift().zip_with(is_same_slot, self._prints.gather(slots))
        changes = (marks != before).cast(pl.UInt32).cum_sum()
        is_last = (slots != slots.shift(-1)).fill_null(value=True)
        ends = slots.filter(is_last)
        sums = changes.filter(is_last)
        added = sums - sums.shift(1, fill_value=0)
        self._prints.scatter(ends, marks.filter(is_last))
        counts = (self._counts.gather(ends).cast(pl.UInt32) + added).clip(0, _MOST_COUNT)
        self._counts.scatter(ends, counts.cast(pl.UInt8))
        self._changes += changes[-1]
        self.has_candidates = self.has_candidates or bool(self.passes(rows["hash"]).any())

    def _slots_of(self, hashes: pl.Series) -> tuple[pl.Series, pl.Series]:
        return (hashes % self._slots).cast(pl.UInt32), (hashes // self._slots % self._slots).cast(pl.UInt32)


def marks_of(hashes: pl.DataFrame) -> pl.Series:
    """Return a mark for each row of *hashes*, which tells most persons apart; it is never 0, which is no person."""
    mixed = pl.fold(
        acc=pl.lit(0, pl.UInt64),
        function=lambda mixed, column: mixed ^ column,
        exprs=[pl.col(name).fill_null(0) for name in hashes.columns],
    )
    mark = (mixed & _PRINT_MASK).cast(pl.UInt32)
    return hashes.select(pl.when(mark == 0).then(1).otherwise(mark).cast(pl.UInt32).alias("mark")).to_series()


def _zeros(size: int, dtype: type[pl.DataType]) -> pl.Series:
    return pl.Series([0], dtype=dtype).new_from_index(0, size)
