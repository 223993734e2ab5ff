"""Decide which encoding a text file has."""

import codecs
from difflib import get_close_matches
from encodings.aliases import aliases

from uploader.errors import ConfigError, InputError

BOM = "\ufeff"
"""The byte order mark that some programs put before the first character of a file; never part of the text."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, whose mark begins like this one.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

MARKED = frozenset(marked for _, marked in _MARKS)
"""The encodings whose decoders drop the byte order mark."""

_BY_MARK = ("utf-16", "utf-32")
_HALVES = "utf-7"


def settle(encoding: str, head: bytes) -> str:
    """Return Python's name of the encoding of a file that begins with *head*; "auto" is UTF-8.

    A byte order mark overrides *encoding*: the same bytes mean nothing in any other one. Raises ConfigError for a name
    that Python does not know.
    """
    named = "utf-8" if encoding == "auto" else _known(encoding)
    return next((marked for mark, marked in _MARKS if head.startswith(mark)), named)


def refuse_without_mark(label: str, encoding: str, head: bytes) -> None:
    """Raise InputError where *encoding* needs a byte order mark, and *head* does not begin with one."""
    if encoding in _BY_MARK and not any(head.startswith(mark) for mark, marked in _MARKS if marked == encoding):
        raise InputError(
            f"{label} does not begin with a byte order mark, which {encoding} needs. "
            f"Set source.encoding: {encoding}-le or {encoding}-be."
        )


def reads_as(encoding: str, head: bytes) -> str:
    """Return the text of *head*, without its byte order mark and what can't be decoded."""
    return head.decode(encoding, "ignore").removeprefix(BOM)


def _known(encoding: str) -> str:
    try:
        # Encoding a text also refuses codecs that do not turn text into bytes, such as base64.
        "a".encode(encoding)
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError) as error:
        near = get_close_matches(encoding.lower(), sorted({*aliases, *aliases.values()}), n=1)
        hint = f"Did you mean '{near[0]}'?" if near else "Use a name such as utf-8, utf-16 or cp949."
        raise ConfigError(f"source.encoding: '{encoding}' is not an encoding that Python knows. {hint}") from error
    if name == _HALVES:
        raise ConfigError("source.encoding: utf-7 can hold halves of characters. Save the file as utf-8.")
    return name
