"""Name the texts that stand for no value, as databases, spreadsheets and people write them."""

import re
from typing import Final

from uploader.mapping.identity_values import EXACTLY_NOTHING, NOTHING, SAID_NOTHING

_MARKS: Final = re.compile(r"[-\u2010-\u2015\u2212\u2500_=.·*]+")
_ZEROS: Final = re.compile(r"0{4}([-/.])00\1(?:00)(?:[ T]00:00(?::00(?:\.0+)?)?)?|0{8}|0{14}|0")
_NO_MAIL: Final = re.compile(
    r"(?P<name>no|none|null|na|nomail|noemail|no-email|no_email|test|x+|a+|unknown|nobody|noreply|no-reply|없음)"
    r"@(?:(?:no|none|null|na|nomail|noemail|test|x+|a+|unknown|nowhere)\.[a-z.]+|(?P=name)\.[a-z.]+)",
    re.IGNORECASE,
)
_NO_NUMBER: Final = re.compile(
    r"(?:\+?82[ -]?)?0?1[016-9][ .-]?(?:(\d)\1{2,3}[ .-]?\1{4}|1234[ .-]?5678)|0{2,3}[ .-]?0{3,4}[ .-]?0{4}"
)

_MAYBE_NO_NUMBER: Final = re.compile(r"[+0-9][\d .-]+")
"""What all that the former matches are: whichever digits they have."""


def is_nothing(text: str) -> bool:
    """Whether *text* stands for no value in every column, such as `NULL`, `N/A` or `-`."""
    return text.casefold() in NOTHING or text in EXACTLY_NOTHING or _MARKS.fullmatch(text) is not None


def says_nothing(text: str) -> bool:
    """Whether *text* says that there is none, such as 없음: no value, except where a text is expected."""
    return text in SAID_NOTHING


def is_zero_date(text: str) -> bool:
    """Whether *text* is a date of zeros, such as `0000-00-00`, which databases write for none."""
    return _ZEROS.fullmatch(text) is not None


def is_placeholder(text: str) -> bool:
    """Whether *text* is an e-mail address or a phone number that people make up, such as `none@none.com`."""
    return (_NO_MAIL if "@" in text else _NO_NUMBER).fullmatch(text) is not None


def may_be_placeholder(text: str) -> bool:
    """Whether `is_placeholder` may hold, whichever digits *text* has."""
    return _NO_MAIL.fullmatch(text) is not None if "@" in text else _MAYBE_NO_NUMBER.fullmatch(text) is not None
