"""Check that the first record of a CSV can name its columns."""

import re
from collections import Counter
from collections.abc import Sequence

from uploader.errors import InputError

DELIMITERS = (",", ";", "\t", "|")
"""The usual delimiters of a CSV, the most usual first."""
_NOTE_FOR_EXCEL = re.compile(r'"?sep=(?P<delimiter>.)"?', re.IGNORECASE)


def refuse_bad_header(label: str, header: Sequence[str], text: str, delimiter: str) -> None:
    """Raise InputError when *header*, written as *text*, has another delimiter, or a missing or repeated name."""
    if "\0" in text:
        raise InputError(
            f"{label}: the header holds NUL characters. "
            "If the file is UTF-16 without a byte order mark, set source.encoding: utf-16-le."
        )
    _refuse_note_for_excel(label, text)
    _refuse_other_delimiter(label, text, delimiter)
    faults = [*_nameless(header), *_repeated(header)]
    if faults:
        raise InputError(f"{label}: in the header {'; '.join(faults)}. Give each column a name of its own.")


def _refuse_note_for_excel(label: str, text: str) -> None:
    found = _NOTE_FOR_EXCEL.fullmatch(text)
    if found is not None:
        raise InputError(
            f"{label}: its first line is a note for Excel (sep=), not the header. "
            f'Remove that line, and set source.delimiter: "{_shown(found["delimiter"])}".'
        )


def _refuse_other_delimiter(label: str, text: str, delimiter: str) -> None:
    if delimiter in text or text.startswith('"'):
        return
    other = max(DELIMITERS, key=text.count)
    if other in text:
        shown = "\\t" if other == "\t" else other
        raise InputError(
            f"{label}: the header has no delimiter '{_shown(delimiter)}', but '{shown}'. "
            f"Is the delimiter '{shown}'? Set source.delimiter: \"{shown}\"."
        )


def _shown(delimiter: str) -> str:
    return "\\t" if delimiter == "\t" else delimiter


def _nameless(header: Sequence[str]) -> list[str]:
    positions = [str(at) for at, name in enumerate(header, 1) if not name.strip()]
    return [f"{_columns(positions)} no name"] if positions else []


def _repeated(header: Sequence[str]) -> list[str]:
    found = []
    for name, times in Counter(name for name in header if name.strip()).items():
        if times > 1:
            positions = [str(at) for at, other in enumerate(header, 1) if other == name]
            found.append(f"{_columns(positions)} the same name")
    return found


def _columns(positions: Sequence[str]) -> str:
    if len(positions) == 1:
        return f"column {positions[0]} has"
    return f"columns {', '.join(positions[:-1])} and {positions[-1]} have"
