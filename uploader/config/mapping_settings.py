"""Read the mapping section into `mapping.rules.MappingRules`."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from uploader.api import CONSENTS, IDENTITY_FIELDS, PropertyType
from uploader.config.datetime_formats import pattern, zone
from uploader.config.error_messages import MisfitError, UnfitValueError
from uploader.config.settings_section import Section
from uploader.config.value_parsers import flag, one_of, text, words
from uploader.mapping.rules import FALSE_WORDS, TRUE_WORDS, Emptiness, MappingRules, MomentRule, PropertyRule
from uploader.model import OWN_COLUMNS, Json

SEPARATORS = ",.'’_ \u00a0\u2009\u202f"  # noqa: RUF001 — Swiss numbers use this apostrophe
"""The characters that may separate groups of three digits."""

KINDS = ("string", "long", "double", "boolean", "date", "datetime", "array<string>", "array<long>", "array<double>")
"""The types that a property can be declared as, those of `api.PropertyType`."""


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
Pattern: TypeAlias = Annotated[str, BeforeValidator(pattern)]
Zone: TypeAlias = Annotated[str, BeforeValidator(zone)]
Words: TypeAlias = Annotated[tuple[Annotated[str, BeforeValidator(text)], ...], BeforeValidator(words)]
WhenEmpty: TypeAlias = Annotated[Emptiness, BeforeValidator(one_of("omit", "null"))]


class IdentitySettings(Section):
    """The column of each identity field of `api.IDENTITY_FIELDS`; at least one has a column."""

    external_id: Column | None = None
    phone_no: Column | None = None
    email: Column | None = None
    kakao_user_id: Column | None = None
    line_user_id: Column | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if not self.columns():
            raise MisfitError(f" names no column; give one at least of {', '.join(IDENTITY_FIELDS)}")
        return self

    def columns(self) -> dict[str, str]:
        """Return identity field → column, for the fields that have one."""
        return {name: column for name in IDENTITY_FIELDS if (column := getattr(self, name)) is not None}


class PropertySettings(Section):
    """How one property is made: from a column, or from a constant.

    It has no states: it is frozen.
    """

    column: Column | None = None
    value: Annotated[str | tuple[str, ...], BeforeValidator(_constant)] | None = None
    type: Annotated[PropertyType, BeforeValidator(_kind)] | None = None
    format: Pattern | None = None
    timezone: Zone | None = None
    separator: Annotated[str, BeforeValidator(text)] | None = None
    true: Words | None = None
    false: Words | None = None
    when_empty: WhenEmpty | None = None
    trim: Annotated[bool, BeforeValidator(flag)] = False
    thousands: Annotated[str, BeforeValidator(_separator_of_thousands)] | None = None

    @model_validator(mode="after")
    def _says_where_from(self) -> Self:
        if (self.column is None) == (self.value is None):
            found = "neither column nor value" if self.column is None else "both column and value"
            raise MisfitError(f" has {found}; give the one that it is made from")
        return self


class MomentSettings(Section):
    """The column that `request_datetime` is read from."""

    column: Column
    format: Pattern | None = None
    timezone: Zone | None = None


class MappingSettings(Section):
    """How columns become identities, properties and the time of the request."""

    identity: IdentitySettings
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
        return MappingRules(
            identity=self.identity.columns(),
            properties=tuple(_rule(key, settings, self.when_empty) for key, settings in self.properties.items()),
            null_values=null_values,
            when_empty=self.when_empty,
            other_columns=self.other_columns,
            request_datetime=None if moment is None else MomentRule(moment.column, moment.format, moment.timezone),
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
    true, false = _boolean_words(key, settings)
    return PropertyRule(
        key=key,
        column=settings.column,
        value=list[Json](settings.value) if isinstance(settings.value, tuple) else settings.value,
        kind=kind,
        format=settings.format,
        timezone=settings.timezone,
        separator=settings.separator or "|",
        true=true,
        false=false,
        when_empty="omit" if consent else settings.when_empty or when_empty,
        trim=settings.trim,
        thousands=settings.thousands,
    )


def _refuse_unsafe(key: str, settings: PropertySettings) -> None:
    """Refuse settings that could clear a consent: after a null, the customer may be sent advertising."""
    if settings.type not in {None, "boolean"}:
        raise MisfitError(": a consent is a boolean; write boolean, or delete type", "properties", key, "type")
    if settings.when_empty == "null":
        raise MisfitError(
            ": a consent is never cleared; write omit, or delete when_empty", "properties", key, "when_empty"
        )


def _refuse_misplaced(key: str, settings: PropertySettings, kind: PropertyType | None) -> None:
    """Refuse a key that has no meaning for a property of this *kind*."""
    arrays = tuple(name for name in KINDS if name.startswith("array"))
    homes = {
        "format": ("date", "datetime"),
        "timezone": ("datetime",),
        "separator": arrays,
        "true": ("boolean",),
        "false": ("boolean",),
        "thousands": ("long", "double"),
    }
    for name, kinds in homes.items():
        if name in settings.model_fields_set and kind not in kinds:
            raise MisfitError(f" needs type: {' or '.join(kinds)}; write it, or delete {name}", "properties", key, name)
    if isinstance(settings.value, tuple) and kind not in arrays:
        raise MisfitError(f": a list needs type: {' or '.join(arrays)}; write it", "properties", key, "value")


def _refuse_misplaced_repairs(key: str, settings: PropertySettings) -> None:
    """Refuse to repair a constant, or a value that the repair would damage."""
    for name in ("trim", "thousands"):
        if settings.column is None and name in settings.model_fields_set:
            raise MisfitError(
                f" repairs a column, and this is a constant; write value as it is meant, and delete {name}",
                "properties",
                key,
                name,
            )
    if settings.thousands == "." and settings.type == "double":
        raise MisfitError(
            ": '.' is the decimal point of a double; write another character, or type: long",
            "properties",
            key,
            "thousands",
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
