"""Profile the columns of a file in one pass over all rows."""

from collections.abc import Mapping, Sequence
from typing import Final

from uploader.inference.candidate_types import ALL
from uploader.inference.column_profile import Column
from uploader.inference.occurrences import Occurrences
from uploader.model import OWN_COLUMNS, Damaged, Record, Row, is_mappable, looks_like_data, spoken_name, written_name

MOST_COLUMNS: Final = 1000
"""At most this many columns are profiled, so that memory stays bounded when keys are data."""


class FileProfile:
    """The profile of a file, to which `add_record` adds each record; of the values, only short words are kept.

    *rows* counts the records, *damaged* those that can't be split into fields, or are the header once more. *ignored*
    is whether there were too many columns to profile, *hidden* whether some keys were skipped because they look like
    data.

    It has one state: counting.
    """

    def __init__(self, columns: Sequence[str] | None, kinds: Mapping[str, str], *, null_is_empty: bool) -> None:
        """Profile *columns* (None: each record has its own keys); *kinds* holds the types of those that have one."""
        self.rows = 0
        self.damaged = 0
        self.ignored = False
        self.hidden = False
        self.kinds = kinds
        self.has_types = columns is None or bool(kinds)
        self._are_fixed = columns is not None
        self._null_is_empty = null_is_empty
        self._readers = [(form, form.maker()) for form in ALL]
        self._columns: dict[tuple[str, ...], Column] = {}
        self._objects: set[tuple[str, ...]] = set()
        self._nameless = [name for name in columns or () if not is_mappable(name)]
        for name in columns or ():
            if name not in OWN_COLUMNS and is_mappable(name):
                self._column((name,))

    def add_record(self, record: Record) -> None:
        """Add one record."""
        self.rows += 1
        self._add_record(record)

    @property
    def columns(self) -> list[Column]:
        """The columns that can be mapped, in the order in which they were first seen."""
        return [
            column
            for path, column in self._columns.items()
            if self._holds_values(path) and not self._trouble(path, column)
        ]

    @property
    def unmappable(self) -> list[tuple[str, str]]:
        """The columns that can't be mapped, each with the reason."""
        found = [(column.name, self._trouble(path, column)) for path, column in self._columns.items()]
        nameless = [(spoken_name(name), "it has no name") for name in self._nameless if not written_name(name)]
        return [*dict.fromkeys((name, trouble) for name, trouble in found if trouble), *nameless]

    @property
    def doubles(self) -> list[str]:
        """The columns that can't be mapped because another one has the same name."""
        return [spoken_name(name) for name in self._nameless if written_name(name)]

    def _add_record(self, record: Record) -> None:
        if isinstance(record, Damaged) or self._is_header(record):
            self.damaged += 1
            return
        for name, value in record.fields.items():
            if name not in OWN_COLUMNS and is_mappable(name) and self._is_nameable(name):
                self._add_value((name,), value, record.number)

    def _is_header(self, record: Row) -> bool:
        """Whether *record* repeats the names of the columns, as in files that were glued together."""
        return self._are_fixed and all(value == name for name, value in record.fields.items())

    def _add_value(self, path: tuple[str, ...], value: object, row: int) -> None:
        if isinstance(value, dict):
            if path in self._objects or len(self._objects) < MOST_COLUMNS:
                self._objects.add(path)
                for name, inner in value.items():
                    if self._is_nameable(name):
                        self._add_value((*path, name), inner, row)
            else:
                self.ignored = True
            return
        column = self._columns.get(path) or self._column(path)
        if column is None:
            return
        if value == "":
            column.gaps.has_empty_text = True
        elif value is not None:
            self._take_value(column, value, row)
        else:
            self._add_nulls(column, Occurrences.of(row))

    def _take_value(self, column: Column, value: object, row: int) -> None:
        column.add_value(value, row)

    def _add_nulls(self, column: Column, found: Occurrences) -> None:
        if not self._null_is_empty:
            column.add_nulls(found)

    def _is_nameable(self, name: str) -> bool:
        """Whether the key *name* may be written to a configuration; one that looks like data sets *hidden*."""
        if self._are_fixed or not looks_like_data(name):
            return True
        self.hidden = True
        return False

    def _column(self, path: tuple[str, ...]) -> Column | None:
        if len(self._columns) >= MOST_COLUMNS:
            self.ignored = True
            return None
        column = self._columns[path] = Column(".".join(path), self._readers, inside=len(path) > 1)
        return column

    def _holds_values(self, path: tuple[str, ...]) -> bool:
        """Whether *path* holds values of its own, not only objects and nulls."""
        return path not in self._objects or self._is_a_leaf(path)

    def _is_a_leaf(self, path: tuple[str, ...]) -> bool:
        """Whether some row has a value or an empty text at *path*, not an object or a null."""
        column = self._columns[path]
        return column.filled > 0 or column.gaps.has_empty_text or column.gaps.blank > 0 or bool(column.gaps.words)

    def _trouble(self, path: tuple[str, ...], column: Column) -> str:
        if not self._holds_values(path):
            return ""
        name = column.name
        if not name.strip():
            return "its name is blank, which no property's can be"
        if path in self._objects:
            return "an object in some rows, something else in others"
        if len(path) > 1 and any("." in step for step in path):
            return "the key of an object has a dot in it, which a path can't reach"
        if "." in name and not (self._are_fixed and len(path) == 1) and not self._is_reachable(path):
            return "its path is not the only one of this name, or leads through what is no object in some rows"
        return ""

    def _is_reachable(self, path: tuple[str, ...]) -> bool:
        """Whether the dotted name of *path* leads the mapping to its values, and to no others."""
        name = ".".join(path)
        others = [other for other in (*self._columns, *self._objects) if other != path and ".".join(other) == name]
        steps = tuple(name.split("."))
        above = [steps[:place] for place in range(1, len(steps))]
        return not others and not any(other in self._columns and self._is_a_leaf(other) for other in above)
