"""Hold the mapping as plain data, before it is compiled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from uploader.api import PropertyType
from uploader.model import Json

Emptiness: TypeAlias = Literal["omit", "null"]

TRUE_WORDS = ("true", "1", "yes", "y", "t")
FALSE_WORDS = ("false", "0", "no", "n", "f")


@dataclass(frozen=True, slots=True)
class PropertyRule:
    """How one property is made: from a *column*, or from the constant *value* where *column* is None.

    *kind* None is the short form: text in CSV, the value's own type in JSONL and Parquet. *formats* are strptime
    patterns, `unix`, `unix_ms` or `excel`, for dates and datetimes, and the first that reads a value counts (none:
    ISO 8601). *pivot* is the last year that `%y` takes for 20xx. *true* and *false* are compared in any case. *column*
    may be a path, `address.city`. *trim* removes the white space around a text. *thousands* is the separator to remove
    between groups of three digits.

    It has no states.
    """

    key: str
    column: str | None = None
    value: Json = None
    kind: PropertyType | None = None
    formats: tuple[str, ...] = ()
    pivot: int | None = None
    timezone: str | None = None
    separator: str = "|"
    true: tuple[str, ...] = TRUE_WORDS
    false: tuple[str, ...] = FALSE_WORDS
    when_empty: Emptiness = "omit"
    trim: bool = False
    thousands: str | None = None


@dataclass(frozen=True, slots=True)
class MomentRule:
    """The column that `request_datetime` is read from; *formats* and *pivot* are those of `PropertyRule`."""

    column: str
    formats: tuple[str, ...] = ()
    timezone: str | None = None
    pivot: int | None = None


@dataclass(frozen=True, slots=True)
class MappingRules:
    """The whole mapping: identity field → column, the properties in the order they are sent, and the rest."""

    identity: Mapping[str, str]
    properties: tuple[PropertyRule, ...] = ()
    null_values: tuple[str, ...] = ("",)
    when_empty: Emptiness = "omit"
    other_columns: Literal["ignore", "send"] = "ignore"
    request_datetime: MomentRule | None = field(default=None)
