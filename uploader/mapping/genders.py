"""Find genders that are none of the API's constants."""

import re
from collections.abc import Callable, Container, Sequence
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


def genders_of(
    properties: Sequence[PropertyRule], body_format: BodyFormat, *, named: Container[str]
) -> Callable[[Request], Reason | None] | None:
    """Return what finds an unknown gender in a request; None if none of *properties* is the gender.

    *named* are the columns that the mapping names. The body is searched as bytes, as *body_format* says.
    """
    rule = next((rule for rule in properties if rule.key == GENDER), None)
    if rule is None:
        return None
    begin = body_format.member_begin(GENDER).encode()
    reason = Reason.of_value("gender", property_label(rule, named), _EXPECTED, rule.column)

    def unknown_gender(request: Request) -> Reason | None:
        place = request.body.find(begin)
        return None if place < 0 or is_known_gender(request.body, place + len(begin)) else reason

    return unknown_gender


def is_known_gender(body: bytes, place: int = 0) -> bool:
    """Whether the JSON at *place* of *body* is one of the API's constants, or null."""
    return _KNOWN.match(body, place) is not None
