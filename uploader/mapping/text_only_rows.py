"""Map rows that have a text in every column, with the results of the general plan at two thirds of its cost."""

from collections.abc import Mapping
from typing import Any

from uploader.mapping.type_conversion import Reader
from uploader.mapping.value_errors import Unreadable
from uploader.model import Json, Person, Reason, frozen


@frozen
class Texts:
    """The part of a plan where every value is the text of one column.

    *identity* holds field, column, and the prefix of the value in the person. *steps* hold key, column, reader, and
    whether an empty text is sent as null. *empty* are the texts that mean no value, *named* the columns that the
    mapping names.
    """

    identity: tuple[tuple[str, str, str], ...]
    steps: tuple[tuple[str, str, Reader, bool], ...]
    empty: frozenset[str]
    named: Mapping[str, str]

    def identify(self, fields: Mapping[str, Any]) -> tuple[dict[str, str], Person]:
        """Return the identity and the person of a row with these *fields*; both are empty if it has none."""
        identity: dict[str, str] = {}
        person: list[str] = []
        empty = self.empty
        for name, column, before in self.identity:
            text = fields[column]
            if text not in empty:
                identity[name] = text
                person.append(before + text)
        return identity, tuple(person)

    def properties(self, fields: Mapping[str, Any]) -> dict[str, Json] | Reason:
        """Return the properties of a row with these *fields*, or the reason why a value can't be read."""
        properties: dict[str, Json] = {}
        empty, key, column = self.empty, "", ""
        try:
            for key, column, read, sends_null in self.steps:
                text = fields[column]
                if text not in empty:
                    properties[key] = read(text)
                elif sends_null:
                    properties[key] = None
        except Unreadable as unreadable:
            return unreadable.in_column(column, key, self.named)
        return properties
