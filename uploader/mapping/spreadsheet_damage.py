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
        self._phone = identity.get("phone_no")
        texts = [rule.column for rule in properties if rule.kind in _TEXTS and rule.key not in CONSENTS]
        self._texts = list(dict.fromkeys(column for column in texts if column is not None))
        self._paths = paths
        self._phone_of = _taking(self._phone, paths)
        self._unsent = unsent
        self._named = named

    def __call__(self, request: Request) -> Sequence[Reason]:
        """Return a reason for each value that looks damaged in *request*."""
        body, fields = request.body, request.row.fields
        found: list[Reason] = []
        phone = self._phone_of(fields)
        if type(phone) is str and len(phone) in _NO_ZERO_LENGTHS and _NO_ZERO.fullmatch(phone):
            found.append(
                Reason("phone_zero", f"column '{self._phone}': a Korean mobile number without its leading zero")
            )
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
            if isinstance(value, str) and (value.strip() in _ERRORS or _NARROW.fullmatch(value.strip())):
                words = column_in_words(column, self._named)
                yield Reason("sheet_error", f"{words}: an error of a spreadsheet, such as #N/A or ####")

    def _misread(self, fields: Mapping[str, object]) -> Iterator[Reason]:
        for column in self._sent_texts(fields):
            value = self._value(fields, column)
            if not isinstance(value, str):
                continue
            if REPLACEMENT in value:
                words = column_in_words(column, self._named)
                yield Reason("replacement", f"{words}: holds {REPLACEMENT}, in the place of lost characters")
            elif is_mojibake(value):
                words = column_in_words(column, self._named)
                yield Reason("mojibake", f"{words}: was read in the wrong encoding before (mojibake)")

    def _sent_texts(self, fields: Mapping[str, object]) -> Iterator[str]:
        yield from self._texts
        if self._unsent is not None:
            yield from (column for column in fields if column not in self._unsent)


def _taking(column: str | None, paths: Mapping[str, Take]) -> Take:
    if column is None:
        return lambda _: None
    return paths.get(column) or (lambda fields: fields.get(column))
