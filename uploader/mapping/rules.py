"""Hold the mapping as plain data, before it is compiled."""

import hmac
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from uploader.api import PropertyType
from uploader.model import Json, column_in_words

Emptiness: TypeAlias = Literal["omit", "null"]
Otherwise: TypeAlias = Literal["reject", "keep", "omit"]
OnError: TypeAlias = Literal["reject", "omit"]

TRUE_WORDS = ("true", "1", "yes", "y", "t")
FALSE_WORDS = ("false", "0", "no", "n", "f")


@dataclass(frozen=True, slots=True)
class CleaningRules:
    """What is done to a value before it is read as its type; the steps are applied in the order of the fields.

    *strip* are texts to remove at both ends. *values* maps words to the values that are sent for them; *otherwise* says
    what becomes of a value that is not among them. *phone* is the country whose numbers are read. *thousands* is the
    separator to remove between groups of three digits, *decimal* the mark that becomes the decimal point.

    It has no states.
    """

    trim: bool = False
    strip: tuple[str, ...] = ()
    case: Literal["lower", "upper"] | None = None
    values: tuple[tuple[str, Json], ...] | None = None
    otherwise: Otherwise = "reject"
    phone: Literal["KR"] | None = None
    thousands: str | None = None
    decimal: str | None = None
    hash: Literal["hmac-sha256"] | None = None


NO_CLEANING = CleaningRules()
"""Sends every value as it stands."""


@dataclass(frozen=True, slots=True)
class TimeRule:
    """How a date or a time is read: *formats* are strptime patterns or `NUMERIC_FORMATS`.

    The first format that reads a value counts (none: ISO 8601). *pivot* is the last year that `%y` takes for 20xx.
    *timezone* is that of a time without an offset.
    """

    formats: tuple[str, ...] = ()
    pivot: int | None = None
    timezone: str | None = None


ISO_TIMES = TimeRule()
"""Reads dates and times of ISO 8601."""


@dataclass(frozen=True, slots=True)
class PropertyRule:
    """How one property is made: from a *column*, or from the constant *value* where *column* is None.

    *kind* None is the short form: text in CSV, the value's own type in JSONL and Parquet. *times* is for dates and
    datetimes. *true* and *false* are compared in any case. *column* may be a path, `address.city`. *null_values* are
    texts that mean no value, beside those of all columns. *on_error* says what becomes of a value that can't be read.

    It has no states.
    """

    key: str
    column: str | None = None
    value: Json = None
    kind: PropertyType | None = None
    times: TimeRule = ISO_TIMES
    separator: str = "|"
    true: tuple[str, ...] = TRUE_WORDS
    false: tuple[str, ...] = FALSE_WORDS
    when_empty: Emptiness = "omit"
    cleaning: CleaningRules = NO_CLEANING
    null_values: tuple[str, ...] = ()
    on_error: OnError = "reject"


def property_label(rule: PropertyRule, named: Container[str]) -> str:
    """Return what a message calls the property of *rule*: its column, and its key where that is another name.

    *named* are the columns that the mapping names.
    """
    if rule.column is None:
        return f"'{rule.key}'"
    column = column_in_words(rule.column, named)
    return column if rule.column == rule.key else f"{column} → {rule.key}"


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """The *column* of one identity *field*; *null_values* are texts that mean no value, beside those of all columns."""

    field: str
    column: str
    cleaning: CleaningRules = NO_CLEANING
    null_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MomentRule:
    """The column that `request_datetime` is read from; *formats* and *pivot* are those of `TimeRule`."""

    column: str
    formats: tuple[str, ...] = ()
    timezone: str | None = None
    pivot: int | None = None


@dataclass(frozen=True, slots=True)
class MappingRules:
    """The whole mapping: the identity fields, the properties in the order they are sent, and the rest.

    *hash_key* is a secret: neither `repr` nor a digest shows it, and `key_fingerprint` stands for it.
    *sends_odd_identities* is whether identity values that no person has are sent as they stand.
    """

    identity: tuple[IdentityRule, ...]
    properties: tuple[PropertyRule, ...] = ()
    null_values: tuple[str, ...] = ("",)
    when_empty: Emptiness = "omit"
    other_columns: Literal["ignore", "send"] = "ignore"
    request_datetime: MomentRule | None = field(default=None)
    hash_key: bytes = field(default=b"", repr=False)
    sends_odd_identities: bool = False

    @property
    def identity_columns(self) -> Mapping[str, str]:
        """Identity field → column."""
        return {rule.field: rule.column for rule in self.identity}

    @property
    def key_fingerprint(self) -> str:
        """A text that differs where *hash_key* does, and from which it can't be computed; "" without one."""
        return (
            hmac.digest(self.hash_key, b"uploader: fingerprint of mapping.hash_key", "sha256").hex()
            if self.hash_key
            else ""
        )
