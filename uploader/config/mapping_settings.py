"""Read the mapping section into `mapping.rules.MappingRules`."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator

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
from uploader.config.settings_section import Section
from uploader.config.value_parsers import flag, one_of, text, whole, word, words
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


def _column(value: object) -> str:
    name = text(value)
    if name in OWN_COLUMNS:
        raise UnfitValueError("is a column that retry files add, which can't be mapped; name a column of your own")
    return name


def _kind(value: object) -> str:
    return one_of(*KINDS)(value.lower().replace(" ", "") if isinstance(value, str) else value)


def _constant(value: object) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    items = value if isinstance(value, list) else [value]
    constants = tuple(item for item in items if isinstance(item, str))
    if len(constants) != len(items):
        raise UnfitValueError("is not a constant; write one text, or a list of texts")
    return constants


def _separator_of_thousands(value: object) -> str:
    if isinstance(value, str) and len(value) == 1 and value in SEPARATORS:
        return value
    raise UnfitValueError('is not one character that parts thousands; write ",", ".", "\'", or a space in quotes')


def _decimal_mark(value: object) -> str | None:
    if value in (",", "."):
        return None if value == "." else ","
    raise UnfitValueError('is not a decimal mark; write ","')


def _value_map(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not value:
        raise UnfitValueError("is not a map of values; write for example {남: Male, 여: Female}")
    if any(not isinstance(sent, str) for sent in value.values()):
        raise UnfitValueError("is not a map of texts; write one text for each word, as {남: Male, 여: Female}")
    return tuple((str(word_), sent) for word_, sent in value.items())


def _identity_field(value: object) -> object:
    if isinstance(value, dict):
        return value
    return {"column": _column(value)}


def _hash_key(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise UnfitValueError("is empty, or no text; write ${DFINERY_HASH_KEY}")


def _property(value: object) -> object:
    if isinstance(value, (str, dict)):
        return {"column": value} if isinstance(value, str) else value
    raise UnfitValueError("is not a property; write the name of a column, or {column: NAME, type: long}")


def _moment(value: object) -> object:
    if value == "now":
        return None
    if isinstance(value, dict):
        return value
    raise UnfitValueError("is neither now nor a column; write now, or {column: updated_at, timezone: Asia/Seoul}")


Column: TypeAlias = Annotated[str, BeforeValidator(_column)]
Formats: TypeAlias = Annotated[tuple[Annotated[str, BeforeValidator(pattern)], ...], BeforeValidator(formats)]
Pivot: TypeAlias = Annotated[int, BeforeValidator(whole(0, 99, 30))]
Zone: TypeAlias = Annotated[str, BeforeValidator(zone)]
Words: TypeAlias = Annotated[tuple[Annotated[str, BeforeValidator(text)], ...], BeforeValidator(words)]
NullValues: TypeAlias = Annotated[tuple[Annotated[str, BeforeValidator(word)], ...], BeforeValidator(words)]
WhenEmpty: TypeAlias = Annotated[Emptiness, BeforeValidator(one_of("omit", "null"))]


class ColumnSettings(Section):
    """The column of one identity field or property, and the steps that clean its values, in their order.

    It has no states: it is frozen.
    """

    column: Column | None = None
    null_values: NullValues = ()
    trim: Annotated[bool, BeforeValidator(flag)] = False
    strip: Words = ()
    case: Annotated[Literal["lower", "upper"] | None, BeforeValidator(one_of("lower", "upper"))] = None
    values: Annotated[tuple[tuple[str, str], ...] | None, BeforeValidator(_value_map)] = None
    otherwise: Annotated[Otherwise, BeforeValidator(one_of("reject", "keep", "omit"))] = "reject"
    phone: Annotated[Literal["KR"] | None, BeforeValidator(one_of("KR"))] = None
    thousands: Annotated[str, BeforeValidator(_separator_of_thousands)] | None = None
    hash: Annotated[Literal["hmac-sha256"] | None, BeforeValidator(one_of("hmac-sha256"))] = None

    def cleaning(self, decimal: str | None = None) -> CleaningRules:
        """Return the steps as plain data."""
        return CleaningRules(
            trim=self.trim,
            strip=self.strip,
            case=self.case,
            values=self.values,
            otherwise=self.otherwise,
            phone=self.phone,
            thousands=self.thousands,
            decimal=decimal,
            hash=self.hash,
        )


class IdentityFieldSettings(ColumnSettings):
    """Where one identity field comes from."""

    @model_validator(mode="after")
    def _has_a_column(self) -> Self:
        if self.column is None:
            raise MisfitError(" has no column; write {column: NAME}")
        for misfit in otherwise_alone(self):
            raise misfit
        return self


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


class IdentitySettings(Section):
    """The column of each identity field of `api.IDENTITY_FIELDS`; at least one has a column."""

    external_id: IdentityField = None
    phone_no: IdentityField = None
    email: IdentityField = None
    kakao_user_id: IdentityField = None
    line_user_id: IdentityField = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if not self.columns():
            raise MisfitError(f" names no column; give one at least of {', '.join(IDENTITY_FIELDS)}")
        return self

    @model_validator(mode="after")
    def _is_cleaned_as_the_service_needs_it(self) -> Self:
        for name in IDENTITY_FIELDS:
            found = getattr(self, name)
            for misfit in () if found is None else _misfits_of_identity(found, name):
                raise misfit
        return self

    def columns(self) -> dict[str, str]:
        """Return identity field → column, for the fields that have one."""
        return {rule.field: rule.column for rule in self.rules()}

    def rules(self) -> tuple[IdentityRule, ...]:
        """Return the fields that have a column as plain data."""
        fields = ((name, getattr(self, name)) for name in IDENTITY_FIELDS)
        return tuple(
            IdentityRule(name, found.column, found.cleaning(), found.null_values)
            for name, found in fields
            if found is not None
        )


class PropertySettings(ColumnSettings):
    """How one property is made: from a column, or from a constant.

    It has no states: it is frozen.
    """

    value: Annotated[str | tuple[str, ...], BeforeValidator(_constant)] | None = None
    type: Annotated[PropertyType, BeforeValidator(_kind)] | None = None
    format: Formats = ()
    pivot: Pivot | None = None
    timezone: Zone | None = None
    separator: Annotated[str, BeforeValidator(text)] | None = None
    true: Words | None = None
    false: Words | None = None
    when_empty: WhenEmpty | None = None
    decimal: Annotated[str | None, BeforeValidator(_decimal_mark)] = None
    on_error: Annotated[OnError, BeforeValidator(one_of("reject", "omit"))] = "reject"


class MomentSettings(Section):
    """The column that `request_datetime` is read from."""

    column: Column
    format: Formats = ()
    pivot: Pivot | None = None
    timezone: Zone | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for misfit in misread_times(self):
            raise misfit
        return self


class MappingSettings(Section):
    """How columns become identities, properties and the time of the request."""

    identity: IdentitySettings
    hash_key: Annotated[SecretStr | None, BeforeValidator(_hash_key)] = None
    properties: dict[str, Annotated[PropertySettings, BeforeValidator(_property)]] = Field(default_factory=dict)
    when_empty: WhenEmpty = "omit"
    other_columns: Annotated[Literal["ignore", "send"], BeforeValidator(one_of("ignore", "send"))] = "ignore"
    request_datetime: Annotated[MomentSettings | None, BeforeValidator(_moment)] = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        hashed = [*_hashed("identity", self.identity), *_hashed("properties", self.properties)]
        if hashed and self.hash_key is None:
            raise _without_key(*hashed[0])
        self.rules(())
        return self

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
            hash_key=b"" if self.hash_key is None else self.hash_key.get_secret_value().encode(),
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
            yield from _misfits_of_identity(
                IdentityFieldSettings.model_validate(_identity_field(written)), "identity", name
            )
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
    for key, field in dict(fields).items() if isinstance(fields, (dict, Section)) else ():
        method = field.get("hash") if isinstance(field, dict) else getattr(field, "hash", None)
        # Another identity field can't be hashed at all, which is said of it elsewhere.
        if method == "hmac-sha256" and (section == "properties" or key == "external_id"):
            yield section, key


def _without_errors(written: object) -> PropertySettings | None:
    """Return the property as it is *written* without keys that have an error; None if all depends on one of these."""
    keys = {"column": written} if isinstance(written, str) else written
    if not isinstance(keys, dict):
        return None
    wrong = {key for key, value in keys.items() if value is None}
    try:
        PropertySettings.model_validate(keys)
    except ValidationError as error:
        wrong |= {str(details["loc"][0]) for details in error.errors(include_url=False)}
    if not wrong <= _INDEPENDENT:
        return None
    return PropertySettings.model_validate({key: value for key, value in keys.items() if key not in wrong})


_INDEPENDENT: Final = frozenset({"trim", "case", "phone", "hash", "on_error", "null_values", "when_empty", "otherwise"})
"""The keys of a property on which no other key depends."""
