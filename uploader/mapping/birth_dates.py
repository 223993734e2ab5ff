"""Find birth dates that no customer can have."""

import re
from collections.abc import Container, Sequence
from datetime import date
from typing import Final

import orjson

from uploader.mapping.rules import PropertyRule
from uploader.model import Reason, Request, column_in_words

_BIRTH: Final = re.compile(r"birth|생년월일|생일|(?<![a-z])dob(?![a-z])", re.IGNORECASE)
_OLDEST: Final = "1900-01-01"
_DATE: Final = re.compile(rb'\d{4}-\d{2}-\d{2}(?=")')


def is_birth_date(key: str) -> bool:
    """Return whether the name of the property *key* says that it is a birth date."""
    return _BIRTH.search(key) is not None


class BirthDates:
    """Finds birth dates after today or before 1900: called with a request, it returns a reason for each.

    Looked at are the properties of type date that `is_birth_date` knows by their names. The body is searched for them
    as bytes; no text in it can contain a name with its quotes, which are escaped.
    """

    def __init__(self, properties: Sequence[PropertyRule], *, today: date, named: Container[str]) -> None:
        """Look at those of *properties* that are birth dates; *named* are the columns that the mapping names."""
        self._today = today.isoformat().encode()
        self._oldest = _OLDEST.encode()
        rules = [rule for rule in properties if rule.kind == "date" and is_birth_date(rule.key)]
        self._keys = frozenset(rule.key for rule in rules)
        self._begins = [(orjson.dumps(rule.key) + b':"', _label(rule, named), rule.column) for rule in rules]

    def __call__(self, request: Request) -> Sequence[Reason]:
        """Return a reason for each birth date in *request* that no customer can have."""
        found: list[Reason] = []
        for begin, label, column in self._begins:
            place = request.body.find(begin)
            match = None if place < 0 else _DATE.match(request.body, place + len(begin))
            if match is None:
                continue
            if match[0] > self._today:
                found.append(Reason.of_value("birth_in_future", label, "a birth date after today", column))
            elif match[0] < self._oldest:
                found.append(Reason.of_value("birth_before_1900", label, "a birth date before 1900", column))
        return found

    def is_odd(self, key: str, text: str) -> bool:
        """Whether *text*, the JSON of the property *key*, is a birth date that no customer can have."""
        match = _DATE.match(text.encode(), 1) if key in self._keys else None
        return match is not None and not self._oldest <= match[0] <= self._today


def _label(rule: PropertyRule, named: Container[str]) -> str:
    """Return what a message calls the property of *rule*: its column, and its key where that is another name."""
    if rule.column is None:
        return f"'{rule.key}'"
    column = column_in_words(rule.column, named)
    return column if rule.column == rule.key else f"{column} → {rule.key}"
