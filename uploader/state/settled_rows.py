"""Store which rows are settled, in one bit each: rows finish out of order."""

from collections.abc import Collection


class SettledRows:
    """A set of row numbers (from 1), one bit each."""

    def __init__(self) -> None:
        """Start with no row settled."""
        self._bits = bytearray()
        self._count = 0

    def __len__(self) -> int:
        """Return how many rows are settled."""
        return self._count

    def __contains__(self, number: int) -> bool:
        """Whether row *number* is settled."""
        place = number >> 3
        return place < len(self._bits) and bool(self._bits[place] & (1 << (number & 7)))

    def add(self, number: int) -> bool:
        """Mark row *number* as settled; return False if it was settled before."""
        place, bit = number >> 3, 1 << (number & 7)
        bits = self._bits
        if place >= len(bits):
            self._grow(place)
        if bits[place] & bit:
            return False
        bits[place] |= bit
        self._count += 1
        return True

    def add_all(self, numbers: Collection[int]) -> int:
        """Mark the rows with these *numbers* as settled; return how many were not settled before."""
        before, place = self._count, max(numbers, default=0) >> 3
        if place >= len(self._bits):
            self._grow(place)
        bits = self._bits
        for number in numbers:
            place, bit = number >> 3, 1 << (number & 7)
            if not bits[place] & bit:
                bits[place] |= bit
                self._count += 1
        return self._count - before

    def add_range(self, first: int, last: int) -> int:
        """Mark the rows from *first* to *last* as settled; return how many were not settled before."""
        begin, end = -(-first // 8), (last + 1) // 8
        if begin >= end:
            return sum(map(self.add, range(first, last + 1)))
        if end > len(self._bits):
            self._grow(end - 1)
        whole = 8 * (end - begin) - int.from_bytes(self._bits[begin:end], "big").bit_count()
        self._bits[begin:end] = b"\xff" * (end - begin)
        self._count += whole
        edges = (*range(first, 8 * begin), *range(8 * end, last + 1))
        return whole + sum(map(self.add, edges))

    def _grow(self, place: int) -> None:
        """Make room for the byte at *place*, and an eighth more, so that rows in order do not cost a copy each."""
        self._bits.extend(bytes(place - len(self._bits) + 1 + (len(self._bits) >> 3)))
