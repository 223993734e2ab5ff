"""Read the mapping section into `mapping.rules.MappingRules`."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, ValidationError

from uploader.api import IDENTITY_FIELDS, PropertyType
from uploader.config.datetime_formats import formats, pattern, zone
from uploader.config.error_messages import MisfitError, UnfitValueError
from uploader.config.property_rules import (
    KINDS,
    misfits_of,
    misread_times,
    otherwise_alone,
    rule_of,
    values_for_nothing,
)
from uploader.config.reading_errors import reading_errors
from uploader.config.settings_section import S, Section, SettingsOrigin, read_section
from uploader.config.value_parsers import flag, one_of, text, whole, word, words
from uploader.config.written_form import EMPTY_OR_TEXT, INNER, NAME, TEXT, capitalized, written_as
from uploader.config.yaml_document import KeyPath
from uploader.mapping.rules import (
    CleaningRules,
    Emptiness,
    IdentityRule,
    MappingRules,
    MomentRule,
    OnError,
    Otherwise,
)
from uploader.model import OWN_COLUMNS

SEPARATORS = ",.'’_ \u00a0\u2009\u202f"  # noqa: RUF001 — Swiss numbers use this apostrophe
"""The characters that may separate groups of three digits."""


@written_as(NAME)
def _column(value: object) -> str:
    name = text(value)
    if name in OWN_COLUMNS:
        raise UnfitValueError("is a column that retry files add, which can't be mapped; name a column of your own")
    return name


@written_as({"enum": KINDS}, capitalized(*KINDS))
def _kind(value: object) -> str:
    return one_of(*KINDS)(value.lower().replace(" ", "") if isinstance(value, str) else value)


@written_as(EMPTY_OR_TEXT, {"type": "array", "items": EMPTY_OR_TEXT})
def _constant(value: object) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    items = value if isinstance(value, (list, tuple)) else [value]
    constants = tuple(item for item in items if isinstance(item, str))
    if len(constants) != len(items):
        raise UnfitValueError("is not a constant; write one text, or a list of texts")
    return constants


@written_as({"type": "string", "minLength": 1, "maxLength": 1})
def _separator_of_thousands(value: object) -> str:
    if isinstance(value, str) and len(value) == 1 and value in SEPARATORS:
        return value
    raise UnfitValueError('is not one character that parts thousands; write ",", ".", "\'", or a space in quotes')


@written_as({"enum": [",", "."]})
def _decimal_mark(value: object) -> str:
    if isinstance(value, str) and value in {",", "."}:
        return value
    raise UnfitValueError('is not a decimal mark; write ","')


@written_as({"type": "object", "minProperties": 1, "additionalProperties": TEXT})
def _value_map(value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, tuple):
        value = dict(value)
    if not isinstance(value, dict) or not value:
        raise UnfitValueError("is not a map of values; write for example {남: Male, 여: Female}")
    if any(not isinstance(sent, str) for sent in value.values()):
        raise UnfitValueError("is not a map of texts; write one text for each word, as {남: Male, 여: Female}")
    return tuple((str(word_), sent) for word_, sent in value.items())


@written_as(NAME, INNER)
def _identity_field(value: object) -> object:
    if isinstance(value, (dict, IdentityFieldSettings)):
        return value
    return {"column": _column(value)}


@written_as(TEXT)
def _hash_key(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise UnfitValueError("is empty, or no text; write ${DFINERY_HASH_KEY}")


@written_as(NAME, INNER)
def _property(value: object) -> object:
    if isinstance(value, (str, dict, PropertySettings)):
        return {"column": value} if isinstance(value, str) else value
    raise UnfitValueError("is not a property; write the name of a column, or {column: NAME, type: long}")


@written_as({"const": "now"}, INNER)
def _moment(value: object) -> object:
    if value == "now":
        return None
    if isinstance(value, (dict, MomentSettings)):
        return value
    raise UnfitValueError("is neither now nor a column; write now, or {column: updated_at, timezone: Asia/Seoul}")


Column: TypeAlias = Annotated[str, BeforeValidator(_column)]
Formats: TypeAlias = Annotated[tuple[Annotated[str, BeforeValidator(pattern)], ...], BeforeValidator(formats)]
Pivot: TypeAlias = Annotated[int, BeforeValidator(whole(0, 99, 30))]
Zone: TypeAlias = Annotated[str, BeforeValidator(zone)]
Words: TypeAlias = Annotated[tuple[Annotated[str, BeforeValidator(text)], ...], BeforeValidator(words)]
NullValues: TypeAlias = Annotated[tuple[Annotated[str, BeforeValidator(word)], ...], BeforeValidator(words)]
WhenEmpty: TypeAlias = Annotated[Emptiness, BeforeValidator(one_of("omit", "null"))]


@dataclass(frozen=True, kw_only=True)
class ColumnSettings(Section):
    """The column of one identity field or property, and the steps that clean its values, in their order.

    It has no states: it is frozen.
    """

    column: Column | None = None
    """The column it is read from; a.b reaches into objects."""
    null_values: NullValues | None = None
    """Texts that mean no value in this column, beside source.null_values."""
    trim: Annotated[bool | None, BeforeValidator(flag)] = None
    """Whether white space and invisible characters at both ends are taken away."""
    strip: Words | None = None
    """Texts that are taken away at both ends, such as 원 or ₩."""
    case: Annotated[Literal["lower", "upper"] | None, BeforeValidator(one_of("lower", "upper"))] = None
    """lower or upper: how letters are written."""
    values: Annotated[tuple[tuple[str, str], ...] | None, BeforeValidator(_value_map)] = None
    """What is sent for each word, as {남: Male, 여: Female}."""
    otherwise: Annotated[Otherwise | None, BeforeValidator(one_of("reject", "keep", "omit"))] = None
    """What becomes of a word that is not among values."""
    phone: Annotated[Literal["KR"] | None, BeforeValidator(one_of("KR"))] = None
    """KR: reads a phone number in any usual spelling, and sends 821012345678."""
    thousands: Annotated[str, BeforeValidator(_separator_of_thousands)] | None = None
    """The character that separates groups of three digits."""
    hash: Annotated[Literal["hmac-sha256"] | None, BeforeValidator(one_of("hmac-sha256"))] = None
    """hmac-sha256: sends a keyed hash in place of the value; needs mapping.hash_key."""

    def cleaning(self, decimal: str | None = None) -> CleaningRules:
        """Return the steps as plain data."""
        return CleaningRules(
            trim=bool(self.trim),
            strip=self.strip or (),
            case=self.case,
            values=self.values,
            otherwise=self.otherwise or "reject",
            phone=self.phone,
            thousands=self.thousands,
            # A point is what a number has without this step.
            decimal=None if decimal == "." else decimal,
            hash=self.hash,
        )


@dataclass(frozen=True, kw_only=True)
class IdentityFieldSettings(ColumnSettings):
    """Where one identity field comes from."""

    key_path: ClassVar[KeyPath] = ("mapping", "identity", "NAME")

    def misfits(self) -> Iterator[MisfitError]:
        """Yield that there is no column, or `otherwise` without `values`."""
        if self.column is None:
            yield MisfitError(" has no column; write {column: NAME}")
        yield from otherwise_alone(self)


def _misfits_of_identity(settings: IdentityFieldSettings, *below: str) -> Iterator[MisfitError]:
    """Yield what the service can't use as an identity in *settings*; the last of *below* is the field's name."""
    if settings.hash is not None and below[-1] != "external_id":
        yield MisfitError(
            ": only an external_id may be a hash, since the service needs this value as it is; delete hash",
            *below,
            "hash",
        )
    yield from values_for_nothing(settings, *below)


IdentityField: TypeAlias = Annotated[IdentityFieldSettings | None, BeforeValidator(_identity_field)]


@dataclass(frozen=True, kw_only=True)
class IdentitySettings(Section):
    """The column of each identity field of `api.IDENTITY_FIELDS`; at least one has a column."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        **Section.__pydantic_config__, json_schema_extra={"minProperties": 1}
    )

    key_path: ClassVar[KeyPath] = ("mapping", "identity")

    external_id: IdentityField = None
    """The ID of a person in your own system."""
    phone_no: IdentityField = None
    """The phone number of a person."""
    email: IdentityField = None
    """The e-mail address of a person."""
    kakao_user_id: IdentityField = None
    """The ID of a person at Kakao."""
    line_user_id: IdentityField = None
    """The ID of a person at LINE."""

    def misfits(self) -> Iterator[MisfitError]:
        """Yield that no field has a column, and what the service can't use as an identity."""
        if not self.columns():
            yield MisfitError(f" names no column; give one at least of {', '.join(IDENTITY_FIELDS)}")
        for name in IDENTITY_FIELDS:
            found = getattr(self, name)
            yield from () if found is None else _misfits_of_identity(found, name)

    def columns(self) -> dict[str, str]:
        """Return identity field → column, for the fields that have one."""
        return {rule.field: rule.column for rule in self.rules()}

    def rules(self) -> tuple[IdentityRule, ...]:
        """Return the fields that have a column as plain data."""
        fields = ((name, getattr(self, name)) for name in IDENTITY_FIELDS)
        return tuple(
            IdentityRule(name, found.column, found.cleaning(), found.null_values or ())
            for name, found in fields
            if found is not None
        )


@dataclass(frozen=True, kw_only=True)
class PropertySettings(ColumnSettings):
    """How one property is made: from a column, or from a constant.

    It has no states: it is frozen.
    """

    key_path: ClassVar[KeyPath] = ("mapping", "properties", "NAME")

    value: Annotated[str | tuple[str, ...], BeforeValidator(_constant)] | None = None
    """A constant, the same in every row."""
    type: Annotated[PropertyType, BeforeValidator(_kind)] | None = None
    """The type of the property; without it, text in CSV, and the value's own type elsewhere."""
    format: Formats = ()
    """How dates are written, in the signs of strptime, or unix, unix_ms, unix_us, excel; or a list of formats."""
    pivot: Pivot | None = None
    """The last year of two digits (%y) that is 20xx."""
    timezone: Zone | None = None
    """The zone of times that name no offset; a place such as Asia/Seoul."""
    separator: Annotated[str, BeforeValidator(text)] | None = None
    """What separates the items of a list that is written as text."""
    true: Words | None = None
    """The words for true, in any case; false belongs with it."""
    false: Words | None = None
    """The words for false."""
    when_empty: WhenEmpty | None = None
    """What an empty cell does to this property; never null for a consent."""
    decimal: Annotated[str | None, BeforeValidator(_decimal_mark)] = None
    """The decimal mark; it becomes a point."""
    on_error: Annotated[OnError | None, BeforeValidator(one_of("reject", "omit"))] = None
    """Whether a value that can't be read rejects its row, or is left out; never omit for a consent."""


@dataclass(frozen=True, kw_only=True)
class MomentSettings(Section):
    """The column that `request_datetime` is read from."""

    key_path: ClassVar[KeyPath] = ("mapping", "request_datetime")

    column: Column
    """The column with the time of the change."""
    format: Formats = ()
    """How times are written, in the signs of strptime, or unix, unix_ms, unix_us, excel; or a list of formats."""
    pivot: Pivot | None = None
    """The last year of two digits (%y) that is 20xx."""
    timezone: Zone | None = None
    """The zone of times that name no offset; a place such as Asia/Seoul."""

    def misfits(self) -> Iterator[MisfitError]:
        """Yield what would read another time than is meant."""
        yield from misread_times(self)


@dataclass(frozen=True, kw_only=True)
class MappingSettings(Section):
    """How columns become identities, properties and the time of the request."""

    key_path: ClassVar[KeyPath] = ("mapping",)

    identity: IdentitySettings
    """Who a row is about: at least one identity field, and its column or its rule."""
    hash_key: Annotated[str | None, BeforeValidator(_hash_key)] = field(default=None, repr=False)
    """The secret key of hash; write ${DFINERY_HASH_KEY}."""
    properties: dict[str, Annotated[PropertySettings, BeforeValidator(_property)]] = field(default_factory=dict)
    """What is stored: each property's name, and its column or its rule."""
    when_empty: WhenEmpty = "omit"
    """What an empty cell does: omit leaves the property as the service has it, null clears it."""
    other_columns: Annotated[Literal["ignore", "send"], BeforeValidator(one_of("ignore", "send"))] = "ignore"
    """What becomes of columns that are not mapped; send sends each under its own name."""
    request_datetime: Annotated[MomentSettings | None, BeforeValidator(_moment)] = None
    """When the change was made: now, the time of sending, or a column."""

    def misfits(self) -> Iterator[MisfitError]:
        """Yield a hash without its key, and what does not fit together in a property."""
        hashed = [*_hashed("identity", vars(self.identity)), *_hashed("properties", self.properties)]
        if self.hash_key is None:
            yield from (_without_key(*place) for place in hashed)
        for key, settings in self.properties.items():
            yield from misfits_of(key, settings)

    @property
    def names_a_property(self) -> bool:
        """Whether some property may be sent."""
        return bool(self.properties) or self.other_columns == "send"

    def rules(self, null_values: tuple[str, ...]) -> MappingRules:
        """Return the mapping as plain data; a property without `when_empty` gets that of the mapping."""
        moment = self.request_datetime
        return MappingRules(
            identity=self.identity.rules(),
            properties=tuple(rule_of(key, settings, self.when_empty) for key, settings in self.properties.items()),
            null_values=null_values,
            when_empty=self.when_empty,
            other_columns=self.other_columns,
            request_datetime=None
            if moment is None
            else MomentRule(moment.column, moment.format, moment.timezone, moment.pivot),
            hash_key=b"" if self.hash_key is None else self.hash_key.encode(),
        )


def misfits_of_mapping(mapping: Mapping[str, object], *, needs_property: bool) -> Iterator[MisfitError]:
    """Yield what does not fit together in *mapping*, the section as it is written.

    *needs_property* is whether nothing is sent without a property. Of a section with an error, pydantic reports only
    that: this finds the misfits beside it.
    """
    identity, properties = (mapping.get(name) for name in ("identity", "properties"))
    if "hash_key" not in mapping:
        yield from (_without_key(*place) for place in _hashed("identity", identity))
        yield from (_without_key(*place) for place in _hashed("properties", properties))
    fields = identity if isinstance(identity, dict) else {}
    for name, written in ((name, fields[name]) for name in IDENTITY_FIELDS if name in fields):
        with suppress(ValidationError, UnfitValueError):
            yield from _misfits_of_identity(_read(IdentityFieldSettings, _identity_field(written)), "identity", name)
    if needs_property and properties in (None, {}) and mapping.get("other_columns", "ignore") == "ignore":
        yield nothing_to_send()
    for key, written in properties.items() if isinstance(properties, dict) else ():
        settings = _without_errors(written)
        if settings is not None:
            yield from misfits_of(key, settings)


def nothing_to_send(*below: str) -> MisfitError:
    """Return the error of a mapping, the section at *below*, that has no property to send."""
    return MisfitError(
        " maps no column, and mapping.other_columns is ignore: nothing would be sent; "
        "map one, or write other_columns: send",
        *below,
        "properties",
        needs=("properties", "other_columns"),
    )


def _without_key(section: str, key: str) -> MisfitError:
    words = " needs mapping.hash_key; write hash_key: ${DFINERY_HASH_KEY} below mapping"
    return MisfitError(words, section, key, "hash", needs=("hash_key",))


def _hashed(section: str, fields: object) -> Iterator[tuple[str, str]]:
    """Yield the place of each of *fields*, a section as it is written or as it is read, that is to be hashed."""
    for key, written in fields.items() if isinstance(fields, dict) else ():
        method = written.get("hash") if isinstance(written, dict) else getattr(written, "hash", None)
        # Another identity field can't be hashed at all, which is said of it elsewhere.
        if method == "hmac-sha256" and (section == "properties" or key == "external_id"):
            yield section, key


def _without_errors(written: object) -> PropertySettings | None:
    """Return the property as it is *written* without keys that have an error; None if all depends on one of these."""
    keys = {"column": written} if isinstance(written, str) else written
    if not isinstance(keys, dict):
        return keys if isinstance(keys, PropertySettings) else None
    wrong = {key for key, value in keys.items() if value is None}
    try:
        _read(PropertySettings, keys)
    except ValidationError as error:
        wrong |= {str(one.key_path[0]) for one in reading_errors(error)}
    if not wrong <= _INDEPENDENT:
        return None
    return _read(PropertySettings, {key: value for key, value in keys.items() if key not in wrong})


def _read(section: type[S], values: object) -> S:
    """Return the *section* that *values* make, which holds no path; raises ValidationError."""
    return read_section(section, values, SettingsOrigin(Path(), Path()))


_INDEPENDENT: Final = frozenset({"trim", "case", "phone", "hash", "on_error", "null_values", "when_empty", "otherwise"})
"""The keys of a property on which no other key depends."""
