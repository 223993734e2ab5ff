"""Name the columns of a CSV by its first record, and refuse one that can't name them."""

import re
from collections import Counter
from collections.abc import Container, Sequence

from uploader.errors import InputError
from uploader.model import OWN_COLUMNS, is_mappable, unmappable, written_name

DELIMITERS = (",", ";", "\t", "|")
"""The usual delimiters of a CSV, the most usual first."""
_NOTE_FOR_EXCEL = re.compile(r'"?sep=(?P<delimiter>.)"?', re.IGNORECASE)


def column_names(header: Sequence[str]) -> tuple[str, ...]:
    """Return the names in *header*, each different: a missing or repeated one is made `unmappable`."""
    times = Counter(header)
    return tuple(
        name if name.strip() and times[name] == 1 else unmappable(name, position)
        for position, name in enumerate(header, 1)
    )


def refuse_bad_header(label: str, header: Sequence[str], text: str, delimiter: str, following: str) -> None:
    """Raise InputError when *header*, written as *text*, has another delimiter, or repeats a column of retry files.

    *following* is the text of the next lines: where they have the *delimiter*, the first may be a title.
    """
    if "\0" in text:
        raise InputError(
            f"{label}: the header holds NUL characters. "
            "If the file is UTF-16 without a byte order mark, set source.encoding: utf-16-le."
        )
    _refuse_note_for_excel(label, text)
    _refuse_other_delimiter(label, text, delimiter, following)
    if faults := [*_repeated([name if name in OWN_COLUMNS else "" for name in header])]:
        raise _bad_names(label, faults)


def refuse_unmappable(label: str, columns: Sequence[str], wanted: Container[str] | None) -> None:
    """Raise InputError when a column of *wanted* (None: every one) is `unmappable` in *columns*."""
    header = [written_name(column) if not is_mappable(column) else f"\0{column}" for column in columns]
    nameless = _nameless(header) if wanted is None else []
    repeated = _repeated([name if wanted is None or name in wanted else "" for name in header])
    if nameless or repeated:
        raise _bad_names(label, [*nameless, *repeated])


def _bad_names(label: str, faults: Sequence[str]) -> InputError:
    return InputError(f"{label}: in the header {'; '.join(faults)}. Give each column a name of its own.")


def _refuse_note_for_excel(label: str, text: str) -> None:
    found = _NOTE_FOR_EXCEL.fullmatch(text)
    if found is not None:
        raise InputError(
            f"{label}: its first line is a note for Excel (sep=), not the header. "
            f'Remove that line, or set source.skip_lines: 1, and set source.delimiter: "{_shown(found["delimiter"])}".'
        )


def _refuse_other_delimiter(label: str, text: str, delimiter: str, following: str) -> None:
    if delimiter in text or text.startswith('"'):
        return
    other = max(DELIMITERS, key=text.count)
    if other in text and (delimiter not in following or other in following):
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
