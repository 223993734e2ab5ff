"""Write a text in the two widths that Korean, Chinese and Japanese fonts have for the same sign."""

import unicodedata
from typing import Final

_WIDE: Final = {
    narrow: chr(code)
    for code in (*range(0xFF01, 0xFF5F), *range(0xFFE0, 0xFFE7))
    if len(narrow := unicodedata.normalize("NFKC", chr(code))) == 1
}
"""Each sign that has a full width, such as ₩, and how it then looks."""


def in_both_widths(text: str) -> frozenset[str]:
    """Return *text* as it stands, with its signs in their usual width, and with them in full width."""
    narrow = {ord(wide): usual for usual, wide in _WIDE.items()}
    usual = text.translate(narrow)
    return frozenset({text, usual, "".join(_WIDE.get(one, one) for one in usual)})
