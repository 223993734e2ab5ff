"""Find identity values that no person has: words for nothing, and what a program or a spreadsheet damaged."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from uploader.mapping.invisible_characters import INVISIBLE, without_ends
from uploader.mapping.mojibake import REPLACEMENT, is_mojibake
from uploader.mapping.similar_names import exact
from uploader.model import Reason

_Kind: TypeAlias = tuple[str, str, Callable[[str], bool]]
"""A kind of odd value: its code, its phrase, and what tells it."""

_ID: Final = re.compile(r"(?=[^0-9]*[0-9])[A-Za-z0-9_-]+")
_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")
_PHONE: Final = re.compile("82[1-9][0-9]{7,10}")
_PLAIN: Final[Mapping[str, re.Pattern[str]]] = {"email": _EMAIL, "phone_no": _PHONE}
"""What most values are, as `_ID` in the other fields: nothing more is asked of them."""

NOTHING: Final = frozenset(
    {
        *("null", "(null)", "<null>", "[null]", "nil", "none", "<none>", "(none)", "undefined"),
        *("n/a", "n.a.", "n.a", "#n/a", "#n/a n/a", "#na", "<na>", "nan", "-nan", "\\n", "nat", "<nat>"),
        *("#ref!", "#name?", "#value!", "#div/0!", "#num!", "#null!", "#spill!", "#calc!", "#getting_data"),
    }
)
"""What databases, spreadsheets and programs write for no value, in small letters."""

EXACTLY_NOTHING: Final = frozenset({"NA"})
"""The same in these letters only."""

SAID_NOTHING: Final = frozenset(
    {
        *("없음", "(없음)", "해당없음", "해당 없음", "해당사항없음", "해당사항 없음", "정보없음", "정보 없음"),
        *("미입력", "미등록", "미기재", "미확인", "미상", "불명", "공란", "무응답", "알수없음", "알 수 없음"),
    }
)
"""What people write for no value."""

_ZEROS: Final = re.compile("0+")
_WITHOUT_ZEROS: Final = frozenset({"email", "phone_no"})
"""The fields in which zeros alone name nobody: an ID may be 0."""

_TOTALS: Final = frozenset(
    {
        *("합계", "총계", "소계", "총합계", "총합", "누계", "전체합계", "전체 합계", "중간합계", "중간 합계", "계"),
        *("total", "totals", "grand total", "subtotal", "sub total", "sub-total", "sum", "합 계", "총 계", "소 계"),
    }
)
"""What the line below a table is called that adds up its columns, in small letters."""

_WORDS: Final = NOTHING | SAID_NOTHING
_DASH_SIGNS: Final = r"\-\u2010-\u2015\u2212\u2500"
_MARKS: Final = re.compile(rf"[{_DASH_SIGNS}_=+|.·*/\\?#~]+")
"""A value of marks alone, such as `-`, `--` or `.`, names nobody."""

_DASHES: Final = re.compile(rf"[{_DASH_SIGNS}=+|]{{2,}}")

_SPACE_PHRASE: Final = "begins or ends with a space, which is sent too (`trim: true` removes it)"

_FLOAT: Final = re.compile(r"[+-]?[0-9]+\.0+")
_POWER: Final = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{1,3}|[+-]?[0-9][.,][0-9]+[eE][0-9]{1,3}")
_GROUPED: Final = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+")
_APOSTROPHES: Final = ("'", "\u2018", "\u2019")
_QUOTED: Final = re.compile(r'".*"|“.*”', re.DOTALL)
_DOMAIN: Final = re.compile(
    r"[^\s@:;,<>()\[\]\\\"]+@(?:[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?\.)+(?:[^\W\d_]{2,63}|xn--[a-z0-9-]{2,59})",
    re.IGNORECASE,
)
_INVISIBLE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})
_MASKED: Final = re.compile("[*＊]{2}|[●○]{2}|(?<=[0-9-])[xX]{3}")  # noqa: RUF001 — full width, as people type it
_PLAIN_KEY: Final = re.compile(r"(?=.*[^\W\d_])[^\W\d][\w.-]*")
_NO_ZERO: Final = re.compile("10[0-9]{8}|1[16789][0-9]{7,8}")
_INVISIBLE: Final = INVISIBLE.union("\u17b4\u17b5\u2800", map(chr, range(0xFE00, 0xFE10)))
"""Also vowels of Khmer, a blank of Braille, and variation selectors, which `trim` leaves, since emoji end with them."""


@dataclass(frozen=True, slots=True)
class OddIdentity:
    """Why no person has a value: a *reason*.

    With *is_absent* it is a word for nothing, which is no value at all. With *is_sent* it is sent all the same.
    """

    reason: Reason
    is_absent: bool = False
    is_sent: bool = False


def plain_form(field: str) -> re.Pattern[str]:
    """Return the form of most values of the identity *field*.

    A whole value of this form is at one glance nothing odd, unless it is the name of its column.
    """
    return _PLAIN.get(field, _ID)


def is_plain(field: str, column: str, value: str) -> bool:
    """Whether *value* of *column*, as the identity *field*, is at one glance nothing odd; False says nothing."""
    return plain_form(field).fullmatch(value) is not None and value != column


def is_nothing(value: str) -> bool:
    """Whether *value* is a word for nothing, or blank."""
    stripped = value.strip()
    return (
        not stripped
        or stripped.casefold() in _WORDS
        or stripped in EXACTLY_NOTHING
        or _MARKS.fullmatch(stripped) is not None
    )


def odd_identity(field: str, column: str, value: str) -> OddIdentity | None:
    """Return what is odd about *value* of *column* as the identity *field*, after its cleaning; None if nothing is."""
    if is_plain(field, column, value):
        return None
    if is_nothing(value) or (field in _WITHOUT_ZEROS and _ZEROS.fullmatch(value) is not None):
        return OddIdentity(
            _reason("id_nothing", field, column, "a word for nothing (such as N/A or -), which is no identity"),
            is_absent=True,
        )
    # A space at an end hides nothing else, and was always sent.
    code, phrase = _odd(field, column, value.strip(" "))
    if code:
        return OddIdentity(_reason(code, field, column, phrase))
    if value != value.strip(" "):
        return OddIdentity(_reason("id_space", field, column, _SPACE_PHRASE), is_sent=True)
    code, phrase = _doubtful(field, column, value)
    return OddIdentity(_reason(code, field, column, phrase), is_sent=True) if code else None


def dash_line(field: str, column: str) -> Reason:
    """Return why a row of nothing but dashes is not sent, found in *column*, the identity *field*."""
    return _reason("dash_line", field, column, "a line of dashes among the records; expected a record")


def is_dashes(value: object) -> bool:
    """Whether *value* is a part of a line of dashes, as database clients draw it below a header."""
    return isinstance(value, str) and _DASHES.fullmatch(value.strip()) is not None


def column_of_field(column: str, field: str) -> str:
    """Return what messages call *column*, with the identity *field* that it becomes where that has another name."""
    return f"column '{column}'" if column == field else f"column '{column}' → {field}"


def _reason(code: str, field: str, column: str, phrase: str) -> Reason:
    return Reason.of_value(code, column_of_field(column, field), phrase, column)


def _odd(field: str, column: str, value: str) -> tuple[str, str]:
    """Return the code and the phrase of what is odd about *value*; both are empty if nothing is."""
    if value.casefold() == column.casefold():
        return "header_again", "the name of the column as its value, a header among the records; expected a record"
    kinds = (*_ANY_FIELD, *_OF_FIELD.get(field, _OTHER_FIELDS))
    return next(((code, phrase) for code, phrase, is_found in kinds if is_found(value)), ("", ""))


def _doubtful(field: str, column: str, value: str) -> tuple[str, str]:
    """Return the code and the phrase of what is doubtful about *value*, which is sent; both are empty if nothing is."""
    if value.casefold() in _TOTALS:
        return "totals_line", "a word for a total (such as 합계 or Total), a line of sums among the records"
    if _MASKED.search(value) is not None:
        return "id_masked", "masked (as 010-****-5678), which may be the same for several people"
    if field != "phone_no":
        return "", ""
    remedy = f"write phone_no: {{column: {_in_yaml(column)}, phone: KR}}"
    if _NO_ZERO.fullmatch(value) is not None:
        return "phone_zero", f"a Korean mobile number without its leading zero; {remedy}"
    return "phone_form", f"not a phone number as the API has it (821012345678); {remedy}"


def _in_yaml(column: str) -> str:
    """Return *column* as it stands in a configuration, in quotes where it may need them."""
    return column if _PLAIN_KEY.fullmatch(column) is not None else exact(column)


def _holds_invisible_at_an_end(value: str) -> bool:
    return _holds_invisible(value) and not _holds_invisible(without_ends(value))


def _holds_invisible(value: str) -> bool:
    # All that is not printable, but for the space; and letters that are drawn as nothing.
    return not (value.isascii() and value.isprintable()) and any(map(_is_invisible, value))


def _fits(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda value: pattern.fullmatch(value) is not None


def _is_invisible(character: str) -> bool:
    if character == " ":
        return False
    category = unicodedata.category(character)
    return category in _INVISIBLE_CATEGORIES or category == "Zs" or character in _INVISIBLE


_ANY_FIELD: Final[tuple[_Kind, ...]] = (
    (
        "id_invisible",
        "holds a control or invisible character at an end; expected none (`trim: true` removes it)",
        _holds_invisible_at_an_end,
    ),
    (
        "id_invisible",
        "holds a control or invisible character inside, or one that `trim` leaves at an end; expected none",
        _holds_invisible,
    ),
    (
        "id_replacement",
        f"holds {REPLACEMENT}, in the place of lost characters; expected the text as it was",
        lambda value: REPLACEMENT in value,
    ),
    ("id_mojibake", "was read in the wrong encoding before (mojibake); expected the text as it was", is_mojibake),
    (
        "id_formula",
        'a formula of a spreadsheet (as ="001"); expected the value alone',
        lambda value: value.startswith("="),
    ),
    (
        "id_apostrophe",
        "begins with an apostrophe, as spreadsheets mark text; expected the value alone",
        lambda value: value.startswith(_APOSTROPHES),
    ),
    ("id_quotes", "in quotation marks; expected the value alone", _fits(_QUOTED)),
)
"""What is odd in every field, in the order in which it is looked for."""

_NUMBERS: Final[tuple[_Kind, ...]] = (
    (
        "id_float",
        "a number with .0, as programs write it that took the ID for one; expected the ID without .0",
        _fits(_FLOAT),
    ),
    ("id_grouped", "a number with thousands separators; expected the ID without them", _fits(_GROUPED)),
)
_OTHER_FIELDS: Final[tuple[_Kind, ...]] = (
    *_NUMBERS,
    ("id_power", "an ID in scientific notation, perhaps cut short; expected all of its digits", _fits(_POWER)),
)
_OF_FIELD: Final[Mapping[str, tuple[_Kind, ...]]] = {
    "email": (
        (
            "email_domain",
            "not an e-mail address with a valid domain (as name@example.com)",
            lambda value: _DOMAIN.fullmatch(value) is None,
        ),
    ),
    "phone_no": (
        *_NUMBERS,
        (
            "phone_power",
            "a phone number in scientific notation, cut short; expected all of its digits",
            _fits(_POWER),
        ),
    ),
}
ODD_CODES: Final = frozenset(
    {"dash_line", "header_again"}
    | {code for kinds in (_ANY_FIELD, _OTHER_FIELDS, *_OF_FIELD.values()) for code, _, _ in kinds}
)
"""The reason codes that `limits.odd_identities` decides about."""
