"""Find texts that are lists, by the items between their separators."""

from dataclasses import dataclass, field
from typing import Final

from uploader.inference.number_forms import is_code

SEPARATORS: Final = ("|", ";", ",", "/")
"""The separators of items that are looked for, in this order."""

_MOST: Final = 200
_LONGEST: Final = 200
_LONG_ITEM: Final = 40
_LENGTHS: Final = 8


@dataclass(slots=True)
class ListItems:
    """The items between one separator: in how many texts (*parted*) there are several, and what they are like.

    *lengths* are the numbers of items, *known* the different items up to a limit, *total* counts all of them. *is_long*
    is whether one is too long for an item, or empty; *is_spaced* whether some have spaces around them; *are_whole*
    whether all are whole numbers.
    """

    parted: int = 0
    total: int = 0
    lengths: set[int] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    is_long: bool = False
    is_spaced: bool = False
    are_whole: bool = True

    def add(self, text: str, separator: str, count: int = 1) -> None:
        """Add a *text* that has the *separator*, and that *count* rows have."""
        self.parted += count
        if self.is_long or len(text) > _LONGEST:
            self.is_long = True
            return
        items = text.split(separator)
        self.total += len(items) * count
        if len(self.lengths) < _LENGTHS:
            self.lengths.add(len(items))
        for item in items:
            word = item.strip()
            self.is_spaced = self.is_spaced or word != item
            self.is_long = self.is_long or not word or len(word) > _LONG_ITEM
            self.are_whole = self.are_whole and is_whole(word)
            if len(self.known) <= _MOST:
                self.known.add(word)

    @property
    def has_many(self) -> bool:
        """Whether there are too many different items to be the words of a list."""
        return len(self.known) > _MOST


def is_whole(text: str) -> bool:
    """Whether *text* is a whole number that is no code."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and not is_code(text) and len(digits) <= 18  # noqa: PLR2004 — 64 bits
