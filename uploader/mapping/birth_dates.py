"""Find birth dates that no customer can have, or that the API does not know as dates."""

import re
from collections.abc import Container, Sequence
from datetime import date
from typing import Final

from uploader.api import BIRTH
from uploader.mapping.body_format import BodyFormat
from uploader.mapping.rules import PropertyRule, property_label
from uploader.model import Reason, Request

_BIRTH: Final = re.compile(r"birth|생년월일|생일|(?<![a-z])dob(?![a-z])", re.IGNORECASE)
_OLDEST: Final = "1900-01-01"
_OLDEST_DECADE: Final = 190
_DATE: Final = re.compile(rb'"(\d{4}-\d{2}-\d{2})(?P<end>["T ])')
_SHORT_YEAR: Final = re.compile(rb'"(?:\d{2}([-./ ])\d{1,2}\1\d{1,2}|\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))"')
_NONE: Final = re.compile(rb"null[,}]")
_KINDS: Final = frozenset({None, "string", "date", "datetime"})

_FUTURE: Final = ("birth_in_future", "a birth date after today")
_OLD: Final = ("birth_before_1900", "a birth date before 1900")
_SHORT: Final = (
    "birth_short_year",
    "a birth date with a year of two digits; expected yyyy-MM-dd (`type: date`, with `format` and `pivot`, reads it)",
)
_FORM: Final = (
    "birth_form",
    "not a birth date as the service expects it, yyyy-MM-dd (`type: date`, with `format`, reads other forms)",
)


def is_birth_date(rule_key: str, column: str | None = None) -> bool:
    """Return whether the name of the property, *rule_key*, or that of its *column* says that it is a birth date."""
    return any(_BIRTH.search(name) is not None for name in (rule_key, column or ""))


class BirthDates:
    """Finds birth dates after today or before 1900: called with a request, it returns a reason for each.

    Looked at are the properties that may hold a date and that `is_birth_date` knows by their names; that of the API
    must hold one. The body is searched for them as bytes.
    """

    def __init__(
        self, properties: Sequence[PropertyRule], body_format: BodyFormat, *, today: date, named: Container[str]
    ) -> None:
        """Look at those of *properties* that are birth dates, where *body_format* has them.

        *named* are the columns that the mapping names.
        """
        self._today = today.isoformat().encode()
        self._oldest = _OLDEST.encode()
        rules = [rule for rule in properties if rule.kind in _KINDS and is_birth_date(rule.key, rule.column)]
        self._rules = {rule.key: rule for rule in rules}
        begin_of = body_format.member_begin
        self._begins = [(begin_of(rule.key).encode(), rule, property_label(rule, named)) for rule in rules]
        decades = b"|".join(b"%d" % decade for decade in range(_OLDEST_DECADE, today.year // 10))
        self._usual = b'(?!"(?:%b)[0-9]-[0-9]{2}-[0-9]{2}")' % decades
        self.may_find = re.compile(b"|".join(self._unusual(begin, rule) for begin, rule, _ in self._begins)).search
        """Returns None for a body without a birth date, or with one of an earlier decade, as nearly all are."""

    def __bool__(self) -> bool:
        """Return whether there is a birth date among the properties."""
        return bool(self._begins)

    def _unusual(self, begin: bytes, rule: PropertyRule) -> bytes:
        """Return the pattern of a value of *rule*, after its *begin*, that has to be looked at."""
        # A date of another type may be no day of the calendar.
        return re.escape(begin) + (self._usual if rule.kind == "date" else b"")

    def __contains__(self, key: str) -> bool:
        """Return whether the property *key* is a birth date."""
        return key in self._rules

    def __call__(self, request: Request) -> Sequence[Reason]:
        """Return a reason for each birth date in *request* that no customer can have."""
        found: list[Reason] = []
        for begin, rule, label in self._begins:
            place = request.body.find(begin)
            if place < 0:
                continue
            fault = self._fault(rule, request.body, place + len(begin))
            if fault is not None:
                found.append(Reason.of_value(fault[0], label, fault[1], rule.column))
        return found

    def is_odd(self, key: str, text: bytes) -> bool:
        """Whether *text*, the JSON of the property *key*, would be a reason to return in the body of a request."""
        rule = self._rules.get(key)
        # In a body, a comma or the end of its object follows.
        return rule is not None and self._fault(rule, text + b",", 0) is not None

    def _fault(self, rule: PropertyRule, body: bytes, place: int) -> tuple[str, str] | None:
        """Return the code and the phrase of what is wrong with the value of *rule* at *place*; None if nothing is."""
        match = _DATE.match(body, place)
        if match is not None and match[1] > self._today:
            return _FUTURE
        if match is not None and match[1] < self._oldest:
            return _OLD
        if rule.key != BIRTH or (match is not None and match["end"] == b'"' and _is_date(rule, match[1])):
            return None
        if _NONE.match(body, place) is not None:
            return None
        return _SHORT if _SHORT_YEAR.match(body, place) is not None else _FORM


def _is_date(rule: PropertyRule, text: bytes) -> bool:
    """Whether *text* is a day of the calendar: the type of a date has seen to it."""
    if rule.kind == "date":
        return True
    try:
        date.fromisoformat(text.decode())
    except ValueError:
        return False
    return True
