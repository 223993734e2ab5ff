"""Find values that a spreadsheet may have damaged when it saved the file."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Final

from uploader.api import CONSENTS
from uploader.mapping.field_paths import Take
from uploader.mapping.rules import PropertyRule
from uploader.model import Reason, Request, column_in_words

_PLUS: Final = ord("+")
_HASH: Final = ord("#")
_POWER: Final = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{2,3}")
_NO_ZERO: Final = re.compile(r"10[0-9]{8}|1[16789][0-9]{7,8}")
_NO_ZERO_LENGTHS: Final = frozenset({9, 10})
_ERRORS: Final = frozenset(
    {"#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#GETTING_DATA"}
)
_NARROW: Final = re.compile("#{3,}")
_TEXTS: Final = frozenset({None, "string"})


class Spreadsheet:
    """Finds damaged values: called with a request, it returns what looks damaged, and in which column.

    Only texts are checked. The bytes of the body clear most requests within a fraction of a microsecond.
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
        self._names = [column for name, column in identity.items() if name != "phone_no" and column != self._phone]
        texts = [rule.column for rule in properties if rule.kind in _TEXTS and rule.key not in CONSENTS]
        self._texts = list(dict.fromkeys([*identity.values(), *(column for column in texts if column is not None)]))
        self._paths = paths
        self._phone_of = _taking(self._phone, paths)
        self._unsent = unsent
        self._named = named

    def __call__(self, request: Request) -> Sequence[Reason]:
        """Return a reason for each value that looks damaged in *request*."""
        body, fields = request.body, request.row.fields
        found: list[Reason] = []
        # A search for one byte is far quicker than one for two.
        if _PLUS in body and (b"E+" in body or b"e+" in body):
            found.extend(self._powers(fields))
        phone = self._phone_of(fields)
        if type(phone) is str and len(phone) in _NO_ZERO_LENGTHS and _NO_ZERO.fullmatch(phone):
            expected = "a Korean mobile number without its leading zero"
            found.append(Reason.of_value("phone_zero", f"column '{self._phone}'", expected, self._phone))
        if _HASH in body and b'"#' in body:
            found.extend(self._errors(fields))
        return found

    def _value(self, fields: Mapping[str, object], column: str) -> object:
        take = self._paths.get(column)
        return fields.get(column) if take is None else take(fields)

    def _powers(self, fields: Mapping[str, object]) -> Iterator[Reason]:
        if self._phone is not None and self._fits(fields, self._phone, _POWER):
            expected = "a phone number in scientific notation, cut short"
            yield Reason.of_value("phone_power", f"column '{self._phone}'", expected, self._phone)
        for column in self._names:
            if self._fits(fields, column, _POWER):
                expected = "an ID in scientific notation, perhaps cut short"
                yield Reason.of_value("id_power", f"column '{column}'", expected, column)

    def _fits(self, fields: Mapping[str, object], column: str, pattern: re.Pattern[str]) -> bool:
        value = self._value(fields, column)
        return isinstance(value, str) and pattern.fullmatch(value) is not None

    def _errors(self, fields: Mapping[str, object]) -> Iterator[Reason]:
        others = () if self._unsent is None else (column for column in fields if column not in self._unsent)
        for column in (*self._texts, *others):
            value = self._value(fields, column)
            if isinstance(value, str) and (value.strip() in _ERRORS or _NARROW.fullmatch(value.strip())):
                words = column_in_words(column, self._named)
                expected = "an error of a spreadsheet, such as #N/A or ####"
                yield Reason.of_value("sheet_error", words, expected, column)


def _taking(column: str | None, paths: Mapping[str, Take]) -> Take:
    if column is None:
        return lambda _: None
    return paths.get(column) or (lambda fields: fields.get(column))
