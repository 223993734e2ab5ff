"""Make the rule of one property from its settings, and find what does not fit together."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from uploader.api import CONSENTS, PropertyType
from uploader.config.datetime_formats import has_short_year, is_utc, unread_zone, zone_in_text
from uploader.config.error_messages import MisfitError
from uploader.config.unstorable_values import unstorable_values
from uploader.mapping.birth_dates import is_birth_date
from uploader.mapping.numeric_times import EPOCHS
from uploader.mapping.rules import FALSE_WORDS, TRUE_WORDS, Emptiness, PropertyRule, TimeRule
from uploader.model import Json

if TYPE_CHECKING:
    from uploader.config.mapping_settings import ColumnSettings, MomentSettings, PropertySettings

KINDS = ("string", "long", "double", "boolean", "date", "datetime", "array<string>", "array<long>", "array<double>")
"""The types that a property can be declared as, those of `api.PropertyType`."""

_NULLS = frozenset({"", "null", "~"})
"""What YAML calls null, and what is empty: as a value to be sent, each would be a text."""

_STEPS = ("trim", "strip", "case", "values", "phone", "thousands", "decimal", "hash")
_PART_OF_NUMBER = re.compile(r"[0-9+.,-]")
_DECIDING = frozenset({"type", "value", "values", "format", "true", "false", "separator"})
"""The keys that decide how a value is read; where one of them does not fit, no value is tried."""


def rule_of(key: str, settings: "PropertySettings", when_empty: Emptiness) -> PropertyRule:
    """Return the rule of the property *key*; raises the first of its `misfits_of`."""
    for misfit in misfits_of(key, settings):
        raise misfit
    return _rule(key, settings, when_empty)


def misfits_of(key: str, settings: "PropertySettings") -> Iterator[MisfitError]:
    """Yield all that does not fit together in the *settings* of the property *key*."""
    if not key.strip():
        yield MisfitError(" has a key without a name; write the property's name", "properties")
        return
    if (settings.column is None) == (settings.value is None):
        found = "neither column nor value" if settings.column is None else "both column and value"
        yield MisfitError(f" has {found}; give the one that it is made from", "properties", key)
        return
    misfits = [
        *(MisfitError(str(misfit), "properties", key, *misfit.below) for misfit in otherwise_alone(settings)),
        *(_unsafe(key, settings) if key in CONSENTS else ()),
        *_misplaced(key, settings, _kind_of(key, settings)),
        *_misplaced_repairs(key, settings),
        *values_for_nothing(settings, "properties", key, is_consent=key in CONSENTS),
        *_misread_dates(key, settings, _kind_of(key, settings)),
        *(_unfit_boolean_words(key, settings) if _kind_of(key, settings) == "boolean" else ()),
    ]
    # Of one key, the first is enough.
    first: dict[tuple[str, ...], MisfitError] = {}
    for misfit in misfits:
        first.setdefault(misfit.below, misfit)
    yield from first.values()
    if not misfits or (settings.column is not None and _DECIDING.isdisjoint(below[-1] for below in first)):
        yield from unstorable_values(_rule(key, settings, "omit"))


def otherwise_alone(settings: "ColumnSettings") -> Iterator[MisfitError]:
    """Yield `otherwise` where there are no `values` that it could complete."""
    if settings.otherwise is not None and settings.values is None:
        yield MisfitError(" needs values; write them, or delete otherwise", "otherwise")


def _rule(key: str, settings: "PropertySettings", when_empty: Emptiness) -> PropertyRule:
    consent = key in CONSENTS
    return PropertyRule(
        key=key,
        column=settings.column,
        value=list[Json](settings.value) if isinstance(settings.value, tuple) else settings.value,
        kind=_kind_of(key, settings),
        times=TimeRule(formats=settings.format, pivot=settings.pivot, timezone=settings.timezone),
        separator=settings.separator or "|",
        true=settings.true or TRUE_WORDS,
        false=settings.false or FALSE_WORDS,
        when_empty="omit" if consent else settings.when_empty or when_empty,
        cleaning=settings.cleaning(settings.decimal),
        null_values=settings.null_values or (),
        on_error=settings.on_error or "reject",
    )


def _kind_of(key: str, settings: "PropertySettings") -> PropertyType | None:
    """Return the type that is declared, or that a consent and a constant have without a declared one."""
    return settings.type or ("boolean" if key in CONSENTS else None if settings.value is None else "string")


def _is_given(settings: "PropertySettings", name: str) -> bool:
    """Whether the key *name*, whose default says nothing, has a value in *settings*."""
    return getattr(settings, name) not in {None, ()}


def _unsafe(key: str, settings: "PropertySettings") -> Iterator[MisfitError]:
    """Yield settings that could clear a consent: after a null, the customer may be sent advertising."""
    if settings.type not in {None, "boolean"}:
        yield MisfitError(": a consent is a boolean; write boolean, or delete type", "properties", key, "type")
    if settings.when_empty == "null":
        yield MisfitError(
            ": a consent is never cleared; write omit, or delete when_empty", "properties", key, "when_empty"
        )
    if settings.otherwise not in {None, "reject"}:
        yield MisfitError(
            ": a consent that is not among values rejects its row; write reject, or delete otherwise",
            "properties",
            key,
            "otherwise",
        )
    if settings.on_error not in {None, "reject"}:
        yield MisfitError(
            ": a consent that can't be read rejects its row; write reject, or delete on_error",
            "properties",
            key,
            "on_error",
        )
    if settings.null_values:
        yield MisfitError(
            ": a consent has no words for nothing of its own; delete null_values", "properties", key, "null_values"
        )


def _misplaced(key: str, settings: "PropertySettings", kind: PropertyType | None) -> Iterator[MisfitError]:
    """Yield each key that has no meaning for a property of this *kind*."""
    arrays = tuple(name for name in KINDS if name.startswith("array"))
    texts = ("string", *arrays[:1])
    homes: dict[str, tuple[PropertyType | str, ...]] = {
        "format": ("date", "datetime"),
        "pivot": ("date", "datetime"),
        "timezone": ("date", "datetime") if EPOCHS.intersection(settings.format) else ("datetime",),
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
        if _is_given(settings, name) and found not in kinds:
            yield MisfitError(f" needs type: {' or '.join(kinds)}; write it, or delete {name}", "properties", key, name)
    if isinstance(settings.value, tuple) and kind not in arrays:
        yield MisfitError(f": a list needs type: {' or '.join(arrays)}; write it", "properties", key, "value")


def _misread_dates(key: str, settings: "PropertySettings", kind: PropertyType | None) -> Iterator[MisfitError]:
    """Yield formats that would read another date or time than is meant."""
    if is_birth_date(key, settings.column) and has_short_year(settings.format) and settings.pivot is None:
        yield MisfitError(
            ": %y would make 2050 of 50, and a birth date lies in the past; "
            "add pivot, the last year that is 20xx, for example pivot: 25",
            "properties",
            key,
            "format",
        )
    yield from misread_times(settings, "properties", key, reads_times=kind == "datetime")


def misread_times(
    settings: "PropertySettings | MomentSettings", *below: str, reads_times: bool = True
) -> Iterator[MisfitError]:
    """Yield a pivot without `%y`, and a format that passes over the zone in its text; the keys stand *below*."""
    if settings.pivot is not None and not has_short_year(settings.format):
        yield MisfitError(" needs a format with %y; write it, or delete pivot", *below, "pivot")
    form = unread_zone(settings.format) if reads_times else None
    if form is not None and not is_utc(settings.timezone):
        yield MisfitError(
            f": '{form}' passes over the zone in its text; write %z for Z or UTC, or timezone: UTC", *below, "format"
        )
    other = zone_in_text(settings.format, settings.timezone) if reads_times else None
    if other is not None:
        form, abbreviation, zones = other
        yield MisfitError(
            f": '{form}' says {abbreviation} in its text, and timezone is another zone; write timezone: {zones}",
            *below,
            "format",
        )


def values_for_nothing(settings: "ColumnSettings", *below: str, is_consent: bool = False) -> Iterator[MisfitError]:
    """Yield what would send an empty text, or null as a text, for a word; the keys stand *below*."""
    for word, sent in settings.values or ():
        if sent.strip().lower() in _NULLS:
            remedy = (
                "a consent is true or false"
                if is_consent
                else f"for no value delete it, and write null_values: ['{word}'] beside values"
            )
            yield MisfitError(
                f": '{word}' would be sent as {'an empty text' if not sent.strip() else 'a text'}; {remedy}",
                *below,
                "values",
            )


def _misplaced_repairs(key: str, settings: "PropertySettings") -> Iterator[MisfitError]:
    """Yield what would repair a constant, or a value that the repair would damage."""
    for name in (*_STEPS, "null_values", "on_error"):
        if settings.column is None and _is_given(settings, name):
            yield MisfitError(
                f" repairs a column, and this is a constant; write value as it is meant, and delete {name}",
                "properties",
                key,
                name,
            )
    if settings.type in {"long", "double"}:
        yield from _marks_of_numbers(key, settings)


def _marks_of_numbers(key: str, settings: "PropertySettings") -> Iterator[MisfitError]:
    """Yield each step that would take a part of a number for something else."""
    if settings.thousands == "." and settings.type == "double" and settings.decimal in {None, "."}:
        yield MisfitError(
            ": '.' is the decimal point of a double; write another character, or type: long",
            "properties",
            key,
            "thousands",
        )
    elif settings.decimal is not None and settings.decimal == settings.thousands:
        yield MisfitError(
            f": '{settings.decimal}' is the separator of thousands, too; write another character in one of them",
            "properties",
            key,
            "decimal",
        )
    # Of a whole number, `.0` is no part.
    units = [unit for unit in settings.strip or () if settings.type != "long" or unit != ".0"]
    part = next((unit for unit in units if _PART_OF_NUMBER.search(unit) is not None), None)
    if part is not None:
        yield MisfitError(
            ": one text has a digit, a sign or a point, which may be a part of a number; delete it",
            "properties",
            key,
            "strip",
        )


def _unfit_boolean_words(key: str, settings: "PropertySettings") -> Iterator[MisfitError]:
    if settings.true is None and settings.false is None:
        return
    if not settings.true or not settings.false:
        given, lacking = ("true", "false") if settings.true else ("false", "true")
        yield MisfitError(f" has no word in {lacking} beside {given}; give both lists", "properties", key)
    elif {word.casefold() for word in settings.true} & {word.casefold() for word in settings.false}:
        yield MisfitError(" has a word in both true and false; leave it in one", "properties", key)
