"""Find values that a spreadsheet, or a conversion to another encoding, may have damaged."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Final

import orjson

from uploader.api import CONSENTS
from uploader.mapping.body_format import BodyFormat
from uploader.mapping.field_paths import Take
from uploader.mapping.mojibake import REPLACEMENT, is_mojibake
from uploader.mapping.rules import PropertyRule
from uploader.model import Reason, Request, column_in_words

_ERRORS: Final = frozenset(
    {"#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#GETTING_DATA"}
)
_NARROW: Final = re.compile("#{3,}")
_FOREIGN: Final = re.compile(rb"[\xc2\xc3\xc5\xcb\xe2\xe4-\xe9\xef]")
"""First bytes of UTF-8 that mojibake can't do without, and that Korean text seldom has."""

_ODD: Final = re.compile(rb"[#='\xc2\xc3\xc5\xcb\xe2\xe4-\xe9\xef]")
"""The same, and the first characters of what a spreadsheet writes: a body without any of them looks right."""

_FORMULA: Final = re.compile(r'=\s*(?:".*"|[A-Z][A-Z0-9.]*\(.*\))', re.DOTALL)
_MARKED: Final = re.compile(r"'[-+=@(]*[0-9][0-9 ().,:/+-]*")
"""A number behind the apostrophe that marks it as text; other texts may begin with one, such as '90s."""

_TEXTS: Final = frozenset({None, "string"})


class Spreadsheet:
    """Finds damaged values: called with a request, it returns what looks damaged, and in which column.

    Only texts of properties are checked: `identity_values` looks at the identity. The bytes of the body clear most
    requests within a microsecond (`may_find`).
    """

    def __init__(
        self,
        properties: Sequence[PropertyRule],
        paths: Mapping[str, Take],
        body_format: BodyFormat,
        *,
        unsent: frozenset[str] | None,
        named: Container[str],
    ) -> None:
        """Check the columns of *properties* in bodies of *body_format*; *paths* reads those that are paths.

        *unsent* names the columns that are never sent; None means that no other column is sent. *named* are the
        columns that the mapping names.
        """
        texts = [rule.column for rule in properties if rule.kind in _TEXTS and rule.key not in CONSENTS]
        self.text_columns = tuple(dict.fromkeys(column for column in texts if column is not None))
        """The columns whose texts are checked, each once."""
        self._paths = paths
        self._unsent = unsent
        self._named = named
        self._error, self._formula, self._apostrophe = map(body_format.text_begin, ("#", "=", "'"))
        self.may_find = _ODD.search
        """Returns None for most bodies in which nothing looks damaged."""

    def __call__(self, request: Request) -> Sequence[Reason]:
        """Return a reason for each value that looks damaged in *request*."""
        body, fields = request.body, request.row.fields
        found: list[Reason] = []
        if self._error in body:
            found.extend(self._errors(fields))
        if self._formula in body or self._apostrophe in body:
            found.extend(self._quoted(fields, body))
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

    def _quoted(self, fields: Mapping[str, object], body: bytes) -> Iterator[Reason]:
        for column in self._sent_texts(fields):
            value = self._value(fields, column)
            text = value.strip() if isinstance(value, str) else ""
            kind = _quoted_kind(text)
            # The cleaning may have taken it away.
            if kind is not None and orjson.dumps(text) in body:
                yield Reason.of_value(kind[0], column_in_words(column, self._named), kind[1], column)

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


def is_damaged(value: object) -> bool:
    """Whether *value*, of a column whose texts are checked, looks damaged, or may where the body holds it as it is."""
    return isinstance(value, str) and (
        _is_sheet_error(value) or REPLACEMENT in value or is_mojibake(value) or _quoted_kind(value.strip()) is not None
    )


def _is_sheet_error(value: str) -> bool:
    return value.strip() in _ERRORS or _NARROW.fullmatch(value.strip()) is not None


def _quoted_kind(text: str) -> tuple[str, str] | None:
    """Return the code and the phrase of what a spreadsheet wrote around *text*; None if it wrote nothing."""
    if _FORMULA.fullmatch(text) is not None and text.isprintable():
        return "formula", 'a formula of a spreadsheet (as ="001"); expected the value alone'
    if _MARKED.fullmatch(text) is not None:
        return "apostrophe", """an apostrophe before a number, as spreadsheets mark text (`strip: ["'"]` removes it)"""
    return None
