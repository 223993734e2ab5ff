"""Read a value inside the objects of a row by a path such as `address.city`."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from uploader.mapping.value_errors import Unreadable
from uploader.model import Reason

MISSING: Final = object()
"""The value of a key that a row does not have; `None` is a null."""

Take: TypeAlias = Callable[[Mapping[str, object]], object]
"""Returns one value of the fields of a row, or `MISSING`; raises `Unreadable`."""


def root_of(column: str) -> str:
    """Return the key of a row at which the path *column* begins; *column* itself if it is no path."""
    return column.partition(".")[0]


def is_path(column: str) -> bool:
    """Whether *column* may be a path: each dot is a step into an object."""
    return "." in column


def reaching(column: str) -> Take:
    """Return a function that reads the value at the path *column*; a key with that whole name wins.

    Where a step is missing or null, the value is missing. Where a step is not an object, it is `Unreadable`.
    """
    steps = column.split(".")
    last = len(steps) - 1

    def take(fields: Mapping[str, object]) -> object:
        if column in fields:
            return fields[column]
        inner = fields.get(steps[0], MISSING)
        for place in range(1, last + 1):
            if inner is MISSING or inner is None:
                return MISSING
            if not isinstance(inner, dict):
                raise Unreadable(Reason("no_object", f"'{'.'.join(steps[:place])}' is no object"))
            inner = inner.get(steps[place], MISSING)
        return inner

    return take


def resolves(column: str, fields: Mapping[str, object]) -> bool:
    """Whether the path *column* leads to a value, or a null, in a row with *fields*."""
    try:
        return reaching(column)(fields) is not MISSING
    except Unreadable:
        return False
