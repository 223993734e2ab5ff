"""Make the rule of one property from its settings, and refuse what does not fit together."""

import re
from typing import TYPE_CHECKING

from uploader.api import CONSENTS, PropertyType
from uploader.config.datetime_formats import has_short_year, is_utc, unread_zone, zone_in_text
from uploader.config.error_messages import MisfitError
from uploader.mapping.birth_dates import is_birth_date
from uploader.mapping.rules import FALSE_WORDS, TRUE_WORDS, Emptiness, PropertyRule
from uploader.model import Json

if TYPE_CHECKING:
    from uploader.config.mapping_settings import ColumnSettings, MomentSettings, PropertySettings

KINDS = ("string", "long", "double", "boolean", "date", "datetime", "array<string>", "array<long>", "array<double>")
"""The types that a property can be declared as, those of `api.PropertyType`."""

_EPOCHS = frozenset({"unix", "unix_ms"})
"""The formats that read a moment, whose date depends on the zone."""

_NULLS = frozenset({"", "null", "~"})
"""What YAML calls null, and what is empty: as a value to be sent, each would be a text."""

_STEPS = ("trim", "strip", "case", "values", "phone", "thousands", "decimal", "hash")
_PART_OF_NUMBER = re.compile(r"[0-9+.,-]")


def rule_of(key: str, settings: "PropertySettings", when_empty: Emptiness) -> PropertyRule:
    """Return the rule of the property *key*; raises MisfitError."""
    if not key.strip():
        raise MisfitError(" has a key without a name; write the property's name", "properties")
    consent = key in CONSENTS
    if consent:
        _refuse_unsafe(key, settings)
    kind = settings.type or ("boolean" if consent else None if settings.value is None else "string")
    _refuse_misplaced(key, settings, kind)
    _refuse_misplaced_repairs(key, settings)
    _refuse_misread_dates(key, settings, kind)
    refuse_values_for_nothing(settings, "properties", key, is_consent=consent)
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


def _refuse_unsafe(key: str, settings: "PropertySettings") -> None:
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


def _refuse_misplaced(key: str, settings: "PropertySettings", kind: PropertyType | None) -> None:
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


def _refuse_misread_dates(key: str, settings: "PropertySettings", kind: PropertyType | None) -> None:
    """Refuse formats that would read another date or time than is meant."""
    if is_birth_date(key, settings.column) and has_short_year(settings.format) and settings.pivot is None:
        raise MisfitError(
            ": %y would make 2050 of 50, and a birth date lies in the past; "
            "add pivot, the last year that is 20xx, for example pivot: 25",
            "properties",
            key,
            "format",
        )
    refuse_misread_times(settings, "properties", key, reads_times=kind == "datetime")


def refuse_misread_times(settings: "PropertySettings | MomentSettings", *below: str, reads_times: bool = True) -> None:
    """Refuse a pivot without `%y`, and a format that passes over the zone in its text; the keys stand *below*."""
    if settings.pivot is not None and not has_short_year(settings.format):
        raise MisfitError(" needs a format with %y; write it, or delete pivot", *below, "pivot")
    form = unread_zone(settings.format) if reads_times else None
    if form is not None and not is_utc(settings.timezone):
        raise MisfitError(
            f": '{form}' passes over the zone in its text; write %z for Z or UTC, or timezone: UTC", *below, "format"
        )
    other = zone_in_text(settings.format, settings.timezone) if reads_times else None
    if other is not None:
        form, abbreviation, zones = other
        raise MisfitError(
            f": '{form}' says {abbreviation} in its text, and timezone is another zone; write timezone: {zones}",
            *below,
            "format",
        )


def refuse_values_for_nothing(settings: "ColumnSettings", *below: str, is_consent: bool = False) -> None:
    """Refuse to send an empty text, or null as a text, for a word; the keys stand *below*."""
    for word, sent in settings.values or ():
        if sent.strip().lower() in _NULLS:
            remedy = (
                "a consent is true or false"
                if is_consent
                else f"for no value delete it, and write null_values: ['{word}'] beside values"
            )
            raise MisfitError(
                f": '{word}' would be sent as {'an empty text' if not sent.strip() else 'a text'}; {remedy}",
                *below,
                "values",
            )


def _refuse_misplaced_repairs(key: str, settings: "PropertySettings") -> None:
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


def _refuse_marks_of_numbers(key: str, settings: "PropertySettings") -> None:
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


def _boolean_words(key: str, settings: "PropertySettings") -> tuple[tuple[str, ...], tuple[str, ...]]:
    if settings.true is None and settings.false is None:
        return TRUE_WORDS, FALSE_WORDS
    if not settings.true or not settings.false:
        given, lacking = ("true", "false") if settings.true else ("false", "true")
        raise MisfitError(f" has no word in {lacking} beside {given}; give both lists", "properties", key)
    if {word.casefold() for word in settings.true} & {word.casefold() for word in settings.false}:
        raise MisfitError(" has a word in both true and false; leave it in one", "properties", key)
    return settings.true, settings.false
