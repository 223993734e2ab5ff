"""Count the phone numbers among the values of a column."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from uploader.inference.occurrences import Occurrences
from uploader.mapping.phone_numbers import korean_number
from uploader.mapping.value_errors import Unreadable

_TRIED: Final = 200

_PHONE: Final = re.compile(r"\+?\(?[0-9](?:[ ().-]{0,2}[0-9]){7,14}(?:\.0)?")
_MOBILE: Final = re.compile(r"(?:\+?82[ -]?(?:\(0\)|0)?|0)1[016-9][ .-]?[0-9]{3,4}[ .-]?[0-9]{4}(?:\.0)?")
_LOST_ZERO: Final = re.compile(r"10[0-9]{8}(?:\.0)?")


def is_mobile(text: str) -> bool:
    """Whether *text* is written as a Korean mobile number."""
    return _MOBILE.fullmatch(text) is not None


def is_phone(text: str) -> bool:
    """Whether *text* is a phone number of Korea, in any usual spelling."""
    try:
        korean_number(text)
    except Unreadable:
        return False
    return True


def is_like_phone(text: str) -> bool:
    """Whether *text* has as many digits as a phone number, and nothing that none has."""
    return _PHONE.fullmatch(text) is not None


class PhoneCounts:
    """How many values are *phones*, and *mobiles* of these; and which are *others*.

    The library for phone numbers is slow: a column of other digits is not tried to its end. So the order of the values
    counts, and those that are counted at once bring it along.
    """

    def __init__(self) -> None:
        """Start with no value."""
        self.phones = 0
        self.mobiles = 0
        self.others = Occurrences()

    def add_other(self, found: Occurrences) -> None:
        """Add *found* of a value that is not like a phone number."""
        self.others.add(found)

    def add_likely(self, text: str, row: int) -> None:
        """Add the *text* of *row*, which is like a phone number."""
        if self._is_tried and is_phone(text):
            self._add_phone(text)
        else:
            self.others.add(Occurrences.of(row))

    def add_many(
        self,
        likely: Mapping[int, str],
        found: Mapping[int, Occurrences],
        by_rows: Callable[[], Iterable[tuple[int, int]]],
    ) -> None:
        """Add values of many rows, with the same result as one row after the other.

        *found* holds the occurrences of each value by its number, and *likely* the texts of those that are like phone
        numbers. *by_rows* returns each row, in their order, and the number of its value, which may be none of these.
        """
        if not likely or not self._is_tried:
            for each in found.values():
                self.others.add(each)
            return
        known: dict[str, bool] = {}
        for row, number in by_rows():
            text = likely.get(number)
            if text is not None and self._is_tried:
                is_known = known.get(text)
                if is_known is None:
                    is_known = known[text] = is_phone(text)
                if is_known:
                    self._add_phone(text)
                    continue
            if number in found:
                self.others.add(Occurrences.of(row))

    @property
    def _is_tried(self) -> bool:
        tried = self.phones + self.others.count
        return tried < _TRIED or 2 * self.phones >= tried

    def _add_phone(self, text: str) -> None:
        self.phones += 1
        self.mobiles += is_mobile(text) or _LOST_ZERO.fullmatch(text) is not None
