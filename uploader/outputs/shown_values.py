"""Word what was found in a row beside what was expected: for those who may see values of rows."""

import json
from typing import Final

from uploader.mapping.field_paths import MISSING, reaching
from uploader.mapping.value_errors import Unreadable
from uploader.model import Reason, Record, Row, WrittenFloat

_LONGEST_VALUE: Final = 60
_LONGEST_MESSAGE: Final = 300
_VERBS: Final = ("begins ", "ends ", "holds ", "was ")
"""How an expectation begins that has a verb of its own."""


def phrase_with_values(record: Record, reason: Reason, message: str = "") -> str:
    """Return the phrase of *reason* with the value of *record* that it is about, and the *message* of the service.

    Long texts are cut, and control characters are escaped. Without a value or a message, it is the phrase alone.
    """
    phrase, found = reason.phrase, _value_in(record, reason.column)
    if found is not MISSING and found is not None and reason.expected:
        label = phrase.removesuffix(reason.expected)
        verb = "" if reason.expected.startswith(_VERBS) else "is "
        phrase = f"{label}{quoted(found)} {verb}{reason.expected}"
    return f"{phrase}: {quoted(message, _LONGEST_MESSAGE)}" if message else phrase


def quoted(value: object, longest: int = _LONGEST_VALUE) -> str:
    """Return *value* as JSON on one line; of a text, only the first *longest* characters."""
    if isinstance(value, WrittenFloat):
        return _visible(str(value))
    if not isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False, default=str)
        return _visible(text if len(text) <= longest else f"{text[:longest]}…")
    if len(value) <= longest:
        return _visible(json.dumps(value, ensure_ascii=False))
    return f"{_visible(json.dumps(f'{value[:longest]}…', ensure_ascii=False))} ({len(value):,} characters)"


def _value_in(record: Record, column: str | None) -> object:
    """Return the value in *column* of *record*, as it stands in the source, or `MISSING`."""
    if column is None or not isinstance(record, Row):
        return MISSING
    try:
        return reaching(column)(record.fields)
    except Unreadable:
        return MISSING


def _visible(text: str) -> str:
    """Return *text*, which is JSON, with its unprintable characters as escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
