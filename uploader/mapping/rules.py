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

    *kind* None is the short form: text in CSV, the value's own type in JSONL and Parquet. *format* is a strptime
    pattern for dates and datetimes (None: ISO 8601). *true* and *false* are compared in any case. *column* may be a
    path, `address.city`. *trim* removes the white space around a text. *thousands* is the separator to remove between
    groups of three digits.

    It has no states.
    """

    key: str
    column: str | None = None
    value: Json = None
    kind: PropertyType | None = None
    format: str | None = None
    timezone: str | None = None
    separator: str = "|"
    true: tuple[str, ...] = TRUE_WORDS
    false: tuple[str, ...] = FALSE_WORDS
    when_empty: Emptiness = "omit"
    trim: bool = False
    thousands: str | None = None


@dataclass(frozen=True, slots=True)
class MomentRule:
    """The column that `request_datetime` is read from."""

    column: str
    format: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class MappingRules:
    """The whole mapping: identity field → column, the properties in the order they are sent, and the rest.

    *sends_odd_identities* is whether identity values that no person has are sent as they stand.
    """

    identity: Mapping[str, str]
    properties: tuple[PropertyRule, ...] = ()
    null_values: tuple[str, ...] = ("",)
    when_empty: Emptiness = "omit"
    other_columns: Literal["ignore", "send"] = "ignore"
    request_datetime: MomentRule | None = field(default=None)
    sends_odd_identities: bool = False
