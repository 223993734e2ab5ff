"""Store which rows are settled, in one bit each: rows finish out of order."""


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
            # It grows by an eighth, so that rows in order do not cost a copy each.
            bits.extend(bytes(place - len(bits) + 1 + (len(bits) >> 3)))
        if bits[place] & bit:
            return False
        bits[place] |= bit
        self._count += 1
        return True
