"""Read a phone number in any usual spelling as the API writes it: country code and number, nothing but digits."""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from uploader.mapping.invisible_characters import without_ends
from uploader.mapping.value_errors import Unreadable
from uploader.model import WHOLE_DOUBLES, Reason

_MOBILE: Final = re.compile(
    r"(?:\+?82[ -]?)?(?:0|\(0\))?10[ .-]?([0-46-9][0-9]{3}|5[0-8][0-9]{2})[ .-]?([0-9]{4})(?:\.0+)?"
)
"""The usual spellings of a mobile number, nearly all of a file; `phonenumbers`, which is slow, reads the others."""

_NUMBER: Final = re.compile(r"(?:tel:)?\+?[0-9 ()/.~-]+", re.IGNORECASE)
"""What a number is written with. `phonenumbers` also reads letters as keys, and cuts off what surrounds a number."""

_FLOAT: Final = re.compile(r"(\+?[0-9]+)\.0+")
_POWER: Final = re.compile(r"([0-9])\.([0-9]+)[eE]\+?([0-9]{1,2})")
_CODE_IN_BRACKETS: Final = re.compile(r"\(\+?82\)")
_MOBILE_DIGITS: Final = re.compile("8210[0-9]{8}")
_ABROAD: Final = re.compile(r"00[ -]?(?=82)")
_DASHES: Final = dict.fromkeys(map(ord, "‐‑‒–—―−ー"), "-")  # noqa: RUF001 — people type any dash
_COUNTRY_CODE: Final = 82


def korean_number(value: object) -> str:
    """Return the Korean phone number *value* as the API writes it, `821012345678` (`api.md`, identity).

    Raises:
        Unreadable: it is no valid number of Korea.
    """
    text = _text(value)
    if (usual := _MOBILE.fullmatch(text)) is not None:
        return f"{_COUNTRY_CODE}10{usual[1]}{usual[2]}"
    text = without_ends(unicodedata.normalize("NFKC", text)).translate(_DASHES)
    text = re.sub(r"\s", " ", text)
    if (written_as_float := _FLOAT.fullmatch(text)) is not None:
        text = written_as_float[1]
    elif (power := _POWER.fullmatch(text)) is not None and len(power[2]) == int(power[3]):
        # A spreadsheet writes it so, and all digits are there.
        text = power[1] + power[2]
    text = _CODE_IN_BRACKETS.sub("+82", text, count=1) if text.startswith("(") else text
    if _NUMBER.fullmatch(text) is None:
        raise Unreadable(_NOT_PHONE)
    return _validated(_ABROAD.sub("+", text, count=1) if text.startswith("00") else text)


_NOT_PHONE: Final = Reason("not_phone", "not a phone number of Korea (phone: KR)")

PHONE_READERS: Final[dict[str, Callable[[object], str]]] = {"KR": korean_number}
"""The reader of each country of `phone`."""


def _text(value: object) -> str:
    """Return the digits of *value*: a program may have made a number of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < WHOLE_DOUBLES:
        raise Unreadable(_NOT_PHONE)
    if value != int(value):
        raise Unreadable(_NOT_PHONE)
    return str(int(value))


def _validated(text: str) -> str:
    import phonenumbers  # noqa: PLC0415 — it takes a tenth of a second, which few sources need

    try:
        number = phonenumbers.parse(text, "KR")
    except phonenumbers.NumberParseException:
        raise Unreadable(_NOT_PHONE) from None
    if number.country_code != _COUNTRY_CODE or not phonenumbers.is_valid_number_for_region(number, "KR"):
        raise Unreadable(_NOT_PHONE)
    digits = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    # `phonenumbers` takes 010 with seven digits for valid, which Korea has given to nobody since 2004.
    if digits.startswith("8210") and _MOBILE_DIGITS.fullmatch(digits) is None:
        raise Unreadable(_NOT_PHONE)
    return digits
