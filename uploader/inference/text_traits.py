"""Find what a text may be by its pattern: the text itself, with a 1 for each digit but 0.

Most texts of a column share few patterns, and what is asked of a text here depends on nothing else. So each pattern is
looked at once, and a text only where its digits matter: is it a day of the calendar?
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from uploader.inference.list_items import SEPARATORS
from uploader.inference.null_words import is_zero_date, may_be_placeholder, says_nothing
from uploader.inference.number_forms import (
    WrittenNumber,
    is_code,
    is_in_parentheses,
    unit_of_dash,
    written_number,
)
from uploader.inference.phone_counts import is_like_phone
from uploader.inference.time_forms import LONGEST, TimeForm, form_reader, forms_like
from uploader.model import frozen

Reading: TypeAlias = TimeForm | WrittenNumber
"""A way in which a text can be read."""

_LONGEST_WORD: Final = 20
_LONGEST_DIGITS: Final = 20
_SHORTEST_LONG: Final = 19
"""Of a number of so many digits, these decide whether 64 bits hold it."""

_PATTERN: Final = str.maketrans("23456789", "1" * 8)
_MOST_PATTERNS: Final = 4096

_EMAIL: Final = re.compile(
    r"[^\s@:;,<>()\[\]\\\"]+@(?:[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?\.)+(?:[^\W\d_]{2,63}|xn--[a-z0-9-]{2,59})",
    re.IGNORECASE,
)
_FLOAT: Final = re.compile(r"-?[0-9]+\.0")
_GROUPED: Final = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+")
_POWER: Final = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{1,3}")
_DAMAGE: Final = (("float", _FLOAT), ("grouped", _GROUPED), ("power", _POWER))
"""The kinds of values that a spreadsheet or a program damaged."""

_ZONE_NAME: Final = re.compile(r".*[0-9]{1,2}:[0-9]{2}.* (?!UTC|GMT|AM|PM|Z)[A-Z]{1,5}", re.DOTALL)

_NOTHING: Final[frozenset[Reading]] = frozenset()


@frozen
class PatternReadings:
    """The ways in which the texts of one pattern can be read.

    *numbers* is how they are a number, which is uncertain if it *is_long*. *reads* tests for each of *forms* whether it
    reads a text, and *found* holds the readings by what these said: it is filled as texts come.
    """

    numbers: frozenset[Reading]
    is_long: bool
    forms: tuple[TimeForm, ...]
    reads: tuple[Callable[[str], bool], ...]
    found: dict[tuple[bool, ...], frozenset[Reading]]

    def of(self, text: str) -> frozenset[Reading]:
        """Return the ways in which *text*, of this pattern, can be read."""
        numbers = _numbers(text) if self.is_long else self.numbers
        if not self.forms:
            return numbers
        # A loop in the middle of another one: a comprehension would cost a call more.
        said = tuple([reads(text) for reads in self.reads])
        found = self.found.get(said)
        if found is None or self.is_long:
            found = numbers.union(form for form, is_read in zip(self.forms, said, strict=True) if is_read)
            self.found[said] = found
        return found


@frozen
class NumberTraits:
    """What the texts of one pattern are beside a plain number.

    *digits* is how many digits they are, 0 for other texts; those that *are_padded* begin with a zero. Of a code, a
    number would lose digits. *dash* is the unit and the dash that stands for 0.
    """

    is_code: bool
    digits: int
    are_padded: bool
    dash: tuple[str, str] | None
    is_in_parentheses: bool


@frozen
class TextTraits:
    """What all texts of one pattern have in common.

    *damage* is what a spreadsheet or a program did to them, *separators* may part a list.

    It has no states.
    """

    readings: PatternReadings
    number: NumberTraits
    is_like_phone: bool
    is_zero_date: bool
    damage: tuple[str, ...]
    has_zone_name: bool
    is_email: bool
    has_capitals: bool
    may_be_placeholder: bool
    says_nothing: bool
    separators: tuple[str, ...]


def traits_of(text: str, *, is_birth: bool) -> TextTraits:
    """Return the traits of *text*, which is not empty; of a birth date (*is_birth*) only the day matters."""
    # What is longer is rarely of a pattern that comes again.
    return _of_pattern(text.translate(_PATTERN), is_birth) if len(text) <= LONGEST else lone_traits(text, is_birth)


def is_email(text: str) -> bool:
    """Whether *text* is an e-mail address with a domain that can exist."""
    return "@" in text and _EMAIL.fullmatch(text) is not None


def lone_traits(text: str, is_birth: bool) -> TextTraits:  # noqa: FBT001 — a key of the cache
    """Return the traits of *text* as they are found in itself, whatever its pattern."""
    has_digits = text.isascii() or any(map(str.isdecimal, text))
    is_mail = is_email(text)
    return TextTraits(
        readings=_readings(text, has_digits=has_digits, is_birth=is_birth),
        number=_number_traits(text, has_digits=has_digits),
        is_like_phone=has_digits and is_like_phone(text),
        is_zero_date=has_digits and is_zero_date(text),
        damage=_damage(text),
        has_zone_name=text[-1].isupper() and len(text) <= LONGEST and _ZONE_NAME.fullmatch(text) is not None,
        is_email=is_mail,
        has_capitals=is_mail and text != text.lower(),
        may_be_placeholder=may_be_placeholder(text),
        says_nothing=says_nothing(text),
        separators=tuple([separator for separator in SEPARATORS if separator in text]),
    )


_of_pattern: Final = lru_cache(_MOST_PATTERNS)(lone_traits)


def _readings(text: str, *, has_digits: bool, is_birth: bool) -> PatternReadings:
    forms = forms_like(text) if has_digits and len(text) <= LONGEST else ()
    return PatternReadings(
        numbers=_numbers(text) if has_digits else _NOTHING,
        is_long=len(text) >= _SHORTEST_LONG and sum(map(str.isdecimal, text)) >= _SHORTEST_LONG,
        forms=forms,
        reads=tuple(form_reader(form, is_birth) for form in forms),
        found={},
    )


def _number_traits(text: str, *, has_digits: bool) -> NumberTraits:
    is_decimal = len(text) <= _LONGEST_DIGITS and text.isdecimal()
    return NumberTraits(
        is_code=has_digits and is_code(text),
        digits=len(text) if is_decimal else 0,
        are_padded=is_decimal and text[0] == "0" and text != "0",
        dash=unit_of_dash(text) if len(text) <= _LONGEST_WORD else None,
        is_in_parentheses=is_in_parentheses(text),
    )


def _numbers(text: str) -> frozenset[Reading]:
    number = written_number(text) if len(text) <= LONGEST else None
    return _NOTHING if number is None else _only(number)


@lru_cache(_MOST_PATTERNS)
def _only(number: WrittenNumber) -> frozenset[Reading]:
    return frozenset((number,))


def _damage(text: str) -> tuple[str, ...]:
    if text.endswith(".0") or "," in text or "e" in text or "E" in text:
        return tuple(kind for kind, pattern in _DAMAGE if pattern.fullmatch(text) is not None)
    return ()
