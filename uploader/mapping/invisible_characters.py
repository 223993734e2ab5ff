"""Name the characters that nobody sees, which spreadsheets and web pages leave around a value."""

from typing import Final

_RANGES: Final = (
    (0x00, 0x1F),  # control characters
    (0x7F, 0x9F),
    (0xAD, 0xAD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # bidirectional marks
    (0x115F, 0x1160),  # fillers of Hangul
    (0x180E, 0x180E),
    (0x200B, 0x200F),  # of no width, and bidirectional marks
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),  # fillers of Hangul
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFA0, 0xFFA0),
)

INVISIBLE: Final = frozenset(chr(code) for first, last in _RANGES for code in range(first, last + 1))
"""Characters that nobody sees, white space aside."""

_SPACES: Final = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_ENDS: Final = "".join(sorted(INVISIBLE.union(_SPACES)))


def without_ends(text: str) -> str:
    """Return *text* without the white space and the invisible characters at both ends."""
    return text.strip(_ENDS)


def without_start(text: str) -> str:
    """Return *text* without the white space and the invisible characters at its start."""
    return text.lstrip(_ENDS)


def without_end(text: str) -> str:
    """Return *text* without the white space and the invisible characters at its end."""
    return text.rstrip(_ENDS)
