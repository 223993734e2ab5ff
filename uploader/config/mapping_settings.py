"""Read the mapping section into `mapping.rules.MappingRules`."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator

from uploader.api import CONSENTS, IDENTITY_FIELDS, PropertyType
from uploader.config.datetime_formats import formats, has_short_year, is_utc, pattern, unread_zone, zone
from uploader.config.error_messages import MisfitError, UnfitValueError
from uploader.config.settings_section import Section
from uploader.config.value_parsers import flag, one_of, text, whole, word, words
from uploader.mapping.birth_dates import is_birth_date
from uploader.mapping.rules import (
    FALSE_WORDS,
    TRUE_WORDS,
    CleaningRules,
    Emptiness,
    IdentityRule,
    MappingRules,
    MomentRule,
    OnError,
    Otherwise,
    PropertyRule,
)
from uploader.model import OWN_COLUMNS, Json

SEPARATORS = ",.'’_ \u00a0\u2009\u202f"  # noqa: RUF001 — Swiss numbers use this apostrophe
"""The characters that may separate groups of three digits."""

_EPOCHS = frozenset({"unix", "unix_ms"})
"""The formats that read a moment, whose date depends on the zone."""

KINDS = ("string", "long", "double", "boolean", "date", "datetime", "array<string>", "array<long>", "array<double>")
"""The types that a property can be declared as, those of `api.PropertyType`."""


_STEPS = ("trim", "strip", "case", "values", "phone", "thousands", "decimal", "hash")
_PART_OF_NUMBER = re.compile(r"[0-9+.,-]")


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

    @model_validator(mode="after")
    def _says_otherwise_to_values(self) -> Self:
        if "otherwise" in self.model_fields_set and self.values is None:
            raise MisfitError(" needs values; write them, or delete otherwise", "otherwise")
        return self

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
        return self


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

    @model_validator(mode="after")
    def _says_where_from(self) -> Self:
        if (self.column is None) == (self.value is None):
            found = "neither column nor value" if self.column is None else "both column and value"
            raise MisfitError(f" has {found}; give the one that it is made from")
        return self


class MomentSettings(Section):
    """The column that `request_datetime` is read from."""

    column: Column
    format: Formats = ()
    pivot: Pivot | None = None
    timezone: Zone | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _refuse_misread_times(self)
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
        if not self.properties and self.other_columns == "ignore":
            raise MisfitError(
                " maps no column, and mapping.other_columns is ignore: nothing would be sent; "
                "map one, or write other_columns: send",
                "properties",
            )
        self.rules(())
        return self

    def rules(self, null_values: tuple[str, ...]) -> MappingRules:
        """Return the mapping as plain data; a property without `when_empty` gets that of the mapping."""
        moment = self.request_datetime
        self._refuse_hash_without_key()
        return MappingRules(
            identity=self.identity.rules(),
            properties=tuple(_rule(key, settings, self.when_empty) for key, settings in self.properties.items()),
            null_values=null_values,
            when_empty=self.when_empty,
            other_columns=self.other_columns,
            request_datetime=None
            if moment is None
            else MomentRule(moment.column, moment.format, moment.timezone, moment.pivot),
            hash_key=b"" if self.hash_key is None else self.hash_key.get_secret_value().encode(),
        )

    def _refuse_hash_without_key(self) -> None:
        hashed = [
            *(("identity", rule.field) for rule in self.identity.rules() if rule.cleaning.hash is not None),
            *(("properties", key) for key, settings in self.properties.items() if settings.hash is not None),
        ]
        if hashed and self.hash_key is None:
            raise MisfitError(
                " needs mapping.hash_key; write hash_key: ${DFINERY_HASH_KEY} below mapping", *hashed[0], "hash"
            )


def misfits_of_properties(properties: object) -> Iterator[MisfitError]:
    """Yield what does not fit together in each of *properties*, a section as it is written.

    A property with an error in one of its values is left out: it is reported by itself.
    """
    for key, written in properties.items() if isinstance(properties, dict) else ():
        try:
            _rule(key, PropertySettings.model_validate(_property(written)), "omit")
        except MisfitError as misfit:
            yield misfit
        except (ValidationError, UnfitValueError):
            continue


def _rule(key: str, settings: PropertySettings, when_empty: Emptiness) -> PropertyRule:
    if not key.strip():
        raise MisfitError(" has a key without a name; write the property's name", "properties")
    consent = key in CONSENTS
    if consent:
        _refuse_unsafe(key, settings)
    kind = settings.type or ("boolean" if consent else None if settings.value is None else "string")
    _refuse_misplaced(key, settings, kind)
    _refuse_misplaced_repairs(key, settings)
    _refuse_misread_dates(key, settings, kind)
    true, false = _boolean_words(key, settings)
    return PropertyRule(
        key=key,
        column=settings.column,
        value=list[Json](settings.value) if isinstance(settings.value, tuple) else settings.value,
        kind=kind,
        formats=settings.format,
        pivot=settings.pivot,
        timezone=settings.timezone,
        separator=settings.separator or "|",
        true=true,
        false=false,
        when_empty="omit" if consent else settings.when_empty or when_empty,
        cleaning=settings.cleaning(settings.decimal),
        null_values=settings.null_values,
        on_error=settings.on_error,
    )


def _refuse_unsafe(key: str, settings: PropertySettings) -> None:
    """Refuse settings that could clear a consent: after a null, the customer may be sent advertising."""
    if settings.type not in {None, "boolean"}:
        raise MisfitError(": a consent is a boolean; write boolean, or delete type", "properties", key, "type")
    if settings.when_empty == "null":
        raise MisfitError(
            ": a consent is never cleared; write omit, or delete when_empty", "properties", key, "when_empty"
        )
    if settings.otherwise != "reject":
        raise MisfitError(
            ": a consent that is not among values rejects its row; write reject, or delete otherwise",
            "properties",
            key,
            "otherwise",
        )
    if settings.on_error != "reject":
        raise MisfitError(
            ": a consent that can't be read rejects its row; write reject, or delete on_error",
            "properties",
            key,
            "on_error",
        )
    if settings.null_values:
        raise MisfitError(
            ": a consent has no words for nothing of its own; delete null_values", "properties", key, "null_values"
        )


def _refuse_misplaced(key: str, settings: PropertySettings, kind: PropertyType | None) -> None:
    """Refuse a key that has no meaning for a property of this *kind*."""
    arrays = tuple(name for name in KINDS if name.startswith("array"))
    texts = ("string", *arrays[:1])
    homes: dict[str, tuple[PropertyType | str, ...]] = {
        "format": ("date", "datetime"),
        "pivot": ("date", "datetime"),
        "timezone": ("date", "datetime") if _EPOCHS.intersection(settings.format) else ("datetime",),
        "separator": arrays,
        "true": ("boolean",),
        "false": ("boolean",),
        "thousands": ("long", "double"),
        "decimal": ("double",),
        "phone": ("string",),
        "hash": ("string",),
        "case": texts if settings.values is None else KINDS,
    }
    for name, kinds in homes.items():
        # The short form is a text where steps of texts are asked for.
        found = kind or ("string" if settings.value is None else None)
        if name in settings.model_fields_set and found not in kinds:
            raise MisfitError(f" needs type: {' or '.join(kinds)}; write it, or delete {name}", "properties", key, name)
    if isinstance(settings.value, tuple) and kind not in arrays:
        raise MisfitError(f": a list needs type: {' or '.join(arrays)}; write it", "properties", key, "value")


def _refuse_misread_dates(key: str, settings: PropertySettings, kind: PropertyType | None) -> None:
    """Refuse formats that would read another date or time than is meant."""
    if is_birth_date(key) and has_short_year(settings.format) and settings.pivot is None:
        raise MisfitError(
            ": %y would make 2050 of 50, and a birth date lies in the past; "
            "add pivot, the last year that is 20xx, for example pivot: 25",
            "properties",
            key,
            "format",
        )
    _refuse_misread_times(settings, "properties", key, reads_times=kind == "datetime")


def _refuse_misread_times(settings: "PropertySettings | MomentSettings", *below: str, reads_times: bool = True) -> None:
    """Refuse a pivot without `%y`, and a format that passes over the zone in its text; the keys stand *below*."""
    if settings.pivot is not None and not has_short_year(settings.format):
        raise MisfitError(" needs a format with %y; write it, or delete pivot", *below, "pivot")
    form = unread_zone(settings.format) if reads_times else None
    if form is not None and not is_utc(settings.timezone):
        raise MisfitError(
            f": '{form}' passes over the zone in its text; write %z for Z or UTC, or timezone: UTC", *below, "format"
        )


def _refuse_misplaced_repairs(key: str, settings: PropertySettings) -> None:
    """Refuse to repair a constant, or a value that the repair would damage."""
    for name in (*_STEPS, "null_values", "on_error"):
        if settings.column is None and name in settings.model_fields_set:
            raise MisfitError(
                f" repairs a column, and this is a constant; write value as it is meant, and delete {name}",
                "properties",
                key,
                name,
            )
    if settings.type in {"long", "double"}:
        _refuse_marks_of_numbers(key, settings)


def _refuse_marks_of_numbers(key: str, settings: PropertySettings) -> None:
    """Refuse a step that would take a part of a number for something else."""
    if settings.thousands == "." and settings.type == "double" and settings.decimal is None:
        raise MisfitError(
            ": '.' is the decimal point of a double; write another character, or type: long",
            "properties",
            key,
            "thousands",
        )
    if settings.decimal is not None and settings.decimal == settings.thousands:
        raise MisfitError(
            f": '{settings.decimal}' is the separator of thousands, too; write another character in one of them",
            "properties",
            key,
            "decimal",
        )
    part = next((unit for unit in settings.strip if _PART_OF_NUMBER.search(unit) is not None), None)
    if part is not None:
        raise MisfitError(
            ": one text has a digit, a sign or a point, which may be a part of a number; delete it",
            "properties",
            key,
            "strip",
        )


def _boolean_words(key: str, settings: PropertySettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if settings.true is None and settings.false is None:
        return TRUE_WORDS, FALSE_WORDS
    if not settings.true or not settings.false:
        given, lacking = ("true", "false") if settings.true else ("false", "true")
        raise MisfitError(f" has no word in {lacking} beside {given}; give both lists", "properties", key)
    if {word.casefold() for word in settings.true} & {word.casefold() for word in settings.false}:
        raise MisfitError(" has a word in both true and false; leave it in one", "properties", key)
    return settings.true, settings.false
