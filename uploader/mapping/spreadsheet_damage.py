"""Find values that a spreadsheet, or a conversion to another encoding, may have damaged."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Final

from uploader.api import CONSENTS
from uploader.mapping.field_paths import Take
from uploader.mapping.mojibake import REPLACEMENT, is_mojibake
from uploader.mapping.rules import PropertyRule
from uploader.model import Reason, Request, column_in_words

_HASH: Final = ord("#")
_NO_ZERO: Final = re.compile(r"10[0-9]{8}|1[16789][0-9]{7,8}")
_NO_ZERO_LENGTHS: Final = frozenset({9, 10})
_ERRORS: Final = frozenset(
    {"#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#GETTING_DATA"}
)
_NARROW: Final = re.compile("#{3,}")
_FOREIGN: Final = re.compile(rb"[\xc2\xc3\xc5\xcb\xe2\xe4-\xe9\xef]")
"""First bytes of UTF-8 that mojibake can't do without, and that Korean text seldom has."""

_TEXTS: Final = frozenset({None, "string"})


class Spreadsheet:
    """Finds damaged values: called with a request, it returns what looks damaged, and in which column.

    Only texts are checked, of identity fields only the phone number's lost zero: `identity_values` looks at the rest.
    The bytes of the body clear most requests within a fraction of a microsecond.
    """

    def __init__(
        self,
        identity: Mapping[str, str],
        properties: Sequence[PropertyRule],
        paths: Mapping[str, Take],
        *,
        unsent: frozenset[str] | None,
        named: Container[str],
    ) -> None:
        """Check the columns of *identity* and *properties*; *paths* reads those that are paths.

        *unsent* names the columns that are never sent; None means that no other column is sent. *named* are the
        columns that the mapping names.
        """
        self.phone_column = identity.get("phone_no")
        """The column of the phone numbers that may lack their first zero."""
        texts = [rule.column for rule in properties if rule.kind in _TEXTS and rule.key not in CONSENTS]
        self.text_columns = tuple(dict.fromkeys(column for column in texts if column is not None))
        """The columns whose texts are checked, each once."""
        self._paths = paths
        self._phone_of = _taking(self.phone_column, paths)
        self._unsent = unsent
        self._named = named

    def __call__(self, request: Request) -> Sequence[Reason]:
        """Return a reason for each value that looks damaged in *request*."""
        body, fields = request.body, request.row.fields
        found: list[Reason] = []
        if lacks_zero(self._phone_of(fields)):
            expected = "a Korean mobile number without its leading zero"
            found.append(Reason.of_value("phone_zero", f"column '{self.phone_column}'", expected, self.phone_column))
        if _HASH in body and b'"#' in body:
            found.extend(self._errors(fields))
        if _FOREIGN.search(body) is not None:
            found.extend(self._misread(fields))
        return found

    def _value(self, fields: Mapping[str, object], column: str) -> object:
        take = self._paths.get(column)
        return fields.get(column) if take is None else take(fields)

    def _errors(self, fields: Mapping[str, object]) -> Iterator[Reason]:
        for column in self._sent_texts(fields):
            value = self._value(fields, column)
            if isinstance(value, str) and _is_sheet_error(value):
                words = column_in_words(column, self._named)
                expected = "an error of a spreadsheet, such as #N/A or ####"
                yield Reason.of_value("sheet_error", words, expected, column)

    def _misread(self, fields: Mapping[str, object]) -> Iterator[Reason]:
        for column in self._sent_texts(fields):
            value = self._value(fields, column)
            if not isinstance(value, str):
                continue
            if REPLACEMENT in value:
                words = column_in_words(column, self._named)
                expected = f"holds {REPLACEMENT}, in the place of lost characters"
                yield Reason.of_value("replacement", words, expected, column)
            elif is_mojibake(value):
                words = column_in_words(column, self._named)
                expected = "was read in the wrong encoding before (mojibake)"
                yield Reason.of_value("mojibake", words, expected, column)

    def _sent_texts(self, fields: Mapping[str, object]) -> Iterator[str]:
        yield from self.text_columns
        if self._unsent is not None:
            yield from (column for column in fields if column not in self._unsent)


def lacks_zero(value: object) -> bool:
    """Whether *value* is the text of a Korean phone number without its leading zero."""
    return type(value) is str and len(value) in _NO_ZERO_LENGTHS and _NO_ZERO.fullmatch(value) is not None


def is_damaged(value: object) -> bool:
    """Whether *value*, of a column whose texts are checked, looks damaged."""
    return isinstance(value, str) and (_is_sheet_error(value) or REPLACEMENT in value or is_mojibake(value))


def _is_sheet_error(value: str) -> bool:
    return value.strip() in _ERRORS or _NARROW.fullmatch(value.strip()) is not None


def _taking(column: str | None, paths: Mapping[str, Take]) -> Take:
    if column is None:
        return lambda _: None
    return paths.get(column) or (lambda fields: fields.get(column))
