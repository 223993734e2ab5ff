"""Map rows that hold all columns and nothing but texts: as the plan does, at two thirds of its cost."""

from collections.abc import Mapping
from typing import Any

from uploader.mapping.type_conversion import Reader
from uploader.mapping.value_errors import Unreadable
from uploader.model import Json, Person, Reason, frozen


@frozen
class Texts:
    """The part of a plan where every value is a text that stands in its column.

    *identity* is field, column, and what comes before the value in the person; *steps* are key, column, reader, and
    whether an empty text is sent as null; *empty* are the texts that are no value, *named* the columns that the mapping
    names.
    """

    identity: tuple[tuple[str, str, str], ...]
    steps: tuple[tuple[str, str, Reader, bool], ...]
    empty: frozenset[str]
    named: Mapping[str, str]

    def identify(self, fields: Mapping[str, Any]) -> tuple[dict[str, str], Person]:
        """Return the identity of a row with these *fields*, and its person; both are empty where it has none."""
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
        """Return the properties of a row with these *fields*, or why a value of it can't be read."""
        properties: dict[str, Json] = {}
        empty, column = self.empty, ""
        try:
            for key, column, read, sends_null in self.steps:
                text = fields[column]
                if text not in empty:
                    properties[key] = read(text)
                elif sends_null:
                    properties[key] = None
        except Unreadable as unreadable:
            return unreadable.in_column(column, self.named)
        return properties
