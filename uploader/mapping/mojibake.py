"""Recognise text whose bytes were read in the wrong encoding."""

import re
from typing import Final

REPLACEMENT: Final = "\ufffd"
"""What a decoder writes in the place of bytes that it can't read."""

_TWO_READ_AS_ONE: Final = re.compile(r"[\xa1-\xfe]{4,}")
_EASTERN: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff가-힣]")
_SYLLABLES: Final = re.compile(r"[가-힣]{2,}")
_LOST: Final = "占쏙옙"
"""U+FFFD as UTF-8, read as cp949: the best known mojibake of Korea."""


def is_mojibake(text: str) -> bool:
    """Whether *text* is UTF-8 that was read as cp949, cp1252 or Latin-1, or Korean text that was read as Latin-1.

    The proof is the way back: the bytes of such a text are valid in the right encoding, by chance hardly ever.
    """
    if text.isascii():
        return False
    return _LOST in text or _is_utf8_read_as_cp949(text) or _is_utf8_read_as_latin(text) or _is_korean(text)


def _is_utf8_read_as_cp949(text: str) -> bool:
    found = _read_again(text, "cp949", "utf-8")
    # The bytes of some syllables are a letter with an accent in UTF-8 as well: of "책" they are "å".
    return found is not None and _EASTERN.search(found) is not None


def _is_utf8_read_as_latin(text: str) -> bool:
    return any(_read_again(text, encoding, "utf-8") is not None for encoding in ("cp1252", "latin-1"))


def _read_again(text: str, wrong: str, right: str) -> str | None:
    """Return the bytes of *text* in the *wrong* encoding as the *right* one reads them; None if it can't."""
    try:
        return text.encode(wrong).decode(right)
    except ValueError:
        return None


def _is_korean(text: str) -> bool:
    found = (_read_again(run, "latin-1", "euc-kr") for run in _TWO_READ_AS_ONE.findall(text))
    return any(again is not None and _SYLLABLES.fullmatch(again) is not None for again in found)
