"""Find genders that are none of the API's constants."""

import re
from collections.abc import Container, Sequence
from typing import Final

from uploader.api import GENDER, GENDERS
from uploader.mapping.body_format import BodyFormat
from uploader.mapping.rules import PropertyRule, property_label
from uploader.model import Reason, Request

_KNOWN: Final = re.compile(rb'null|"(?:%s)"' % "|".join(GENDERS).encode())
_EXPECTED: Final = (
    f"not one of {', '.join(GENDERS)}, which the service expects "
    "(`values: {남: Male, 여: Female}` maps words to them)"
)


class Genders:
    """Finds an unknown gender: called with a request in whose body it `may_find` one, it returns the reason."""

    def __init__(self, rule: PropertyRule, body_format: BodyFormat, *, named: Container[str]) -> None:
        """Look for the gender of *rule* in bodies of *body_format*; *named* are the columns that the mapping names."""
        begin = re.escape(body_format.member_begin(GENDER).encode())
        self.may_find = re.compile(b"%b(?!%b)" % (begin, _KNOWN.pattern)).search
        self._found = (Reason.of_value("gender", property_label(rule, named), _EXPECTED, rule.column),)

    def __call__(self, _request: Request) -> Sequence[Reason]:
        """Return the reason: the body has a gender that is no constant."""
        return self._found


def genders_of(properties: Sequence[PropertyRule], body_format: BodyFormat, *, named: Container[str]) -> Genders | None:
    """Return what finds an unknown gender; None if none of *properties* is the gender. *named* is as in `Genders`."""
    rule = next((rule for rule in properties if rule.key == GENDER), None)
    return None if rule is None else Genders(rule, body_format, named=named)


def is_known_gender(text: bytes) -> bool:
    """Whether *text*, a JSON value, is one of the API's constants, or null."""
    return _KNOWN.match(text) is not None
