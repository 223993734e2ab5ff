"""Make the steps of the plan, each of which reads one identity field, property or time of a request."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from uploader.api import CONSENTS
from uploader.errors import ConfigError
from uploader.mapping.cleaning import Cleaner, cleaner_of
from uploader.mapping.datetimes import datetime_reader
from uploader.mapping.field_paths import Take
from uploader.mapping.identity_values import is_nothing, plain_form
from uploader.mapping.rules import NO_CLEANING, CleaningRules, IdentityRule, MappingRules, MomentRule, PropertyRule
from uploader.mapping.type_conversion import Reader, keeps_texts, kind_of, reader
from uploader.mapping.value_errors import Unreadable
from uploader.model import Json, Reason


@dataclass(frozen=True, slots=True)
class PropertyStep:
    """One property of the plan: where its value is, how it is read, and what an empty one becomes.

    *column* is None for a constant: *read* returns it whatever *take* finds. *take* is None where the value is that of
    *column*. *keeps_texts* is whether *read* returns a text as it is. *cleaner* is None where the value is read as it
    stands, and a value that can't be read rejects its row; with one, *omits* is whether such a value is left out
    instead. *rule* is what the step was made of.

    It has no states.
    """

    key: str
    column: str | None
    take: Take | None
    read: Reader
    sends_null: bool
    is_consent: bool
    rule: PropertyRule
    keeps_texts: bool = False
    cleaner: Cleaner | None = None
    omits: bool = False


@dataclass(frozen=True, slots=True)
class IdentityStep:
    """One identity field of the plan; *take*, *cleaner* and *rule* are as in `PropertyStep`.

    *plain_form* is the form of most values, of which nothing else is asked; None where the value is not that of the
    column, as it stands. *sends_odd* is whether a value is sent though it looks like that of nobody.
    """

    field: str
    column: str
    take: Take | None
    cleaner: Cleaner | None
    rule: IdentityRule
    plain_form: re.Pattern[str] | None
    sends_odd: bool


@dataclass(frozen=True, slots=True)
class MomentStep:
    """Where the time of a request is read, and how; *take* and *rule* are as in `PropertyStep`."""

    column: str
    take: Take | None
    read: Callable[[object], Json]
    rule: MomentRule


ColumnStep: TypeAlias = PropertyStep | IdentityStep | MomentStep
"""A step that reads a column."""


def property_step(rule: PropertyRule, take: Take | None, rules: MappingRules) -> PropertyStep:
    """Return the step of *rule*; *take* reads its value, or is None where that is the value of a column."""
    consent = rule.key in CONSENTS
    if rule.column is None:
        constant = reader(rule)(rule.value)
        return PropertyStep(
            rule.key,
            None,
            _constantly,
            lambda _: constant,
            sends_null=False,
            is_consent=consent,
            rule=rule,
        )
    read, kind = reader(rule), kind_of(rule)
    sends_null = rule.when_empty == "null" and not consent
    cleaner = None
    if rule.cleaning != NO_CLEANING or rule.null_values or rule.on_error == "omit":
        cleaner = cleaner_of(
            rule.cleaning,
            empty=frozenset((*rules.null_values, *rule.null_values)),
            hash_key=rules.hash_key,
            separator=rule.separator if kind is not None and kind.startswith("array<") else None,
            signed=kind in {"long", "double"},
        )
        read = _expecting(read, rule.cleaning)
    return PropertyStep(
        rule.key,
        rule.column,
        take,
        read,
        sends_null=sends_null,
        is_consent=consent,
        rule=rule,
        keeps_texts=cleaner is None and keeps_texts(read),
        cleaner=cleaner,
        omits=rule.on_error == "omit",
    )


def identity_step(rule: IdentityRule, take: Take | None, rules: MappingRules) -> IdentityStep:
    """Return the step of *rule*; *take* is as in `property_step`."""
    cleaner = None
    if rule.cleaning != NO_CLEANING or rule.null_values:
        empty = frozenset((*rules.null_values, *rule.null_values))
        left = None if rules.sends_odd_identities else is_nothing
        cleaner = cleaner_of(rule.cleaning, empty=empty, hash_key=rules.hash_key, left=left)
    is_direct = take is None and cleaner is None
    form = plain_form(rule.field) if is_direct else None
    return IdentityStep(rule.field, rule.column, take, cleaner, rule, form, rules.sends_odd_identities)


def time_step(rules: MappingRules, paths: Mapping[str, Take]) -> MomentStep | None:
    """Return the step that reads the time of a request, or None where that is now; *paths* reads columns by paths."""
    rule = rules.request_datetime
    if rule is None:
        return None
    return MomentStep(
        rule.column, paths.get(rule.column), datetime_reader(rule.formats, rule.timezone, pivot=rule.pivot), rule
    )


class OtherColumns:
    """Make the steps of columns that the mapping does not name, each under its own name."""

    def __init__(
        self, rules: MappingRules, taken: set[str], source: str, ignored: frozenset[str], roots: frozenset[str]
    ) -> None:
        """Make steps by *rules*; *taken* are the properties that they name. Messages call the file *source*.

        *ignored* are the columns that are not others, *roots* those with which paths of the mapping begin.
        """
        self._ignored = ignored
        self._roots = roots
        self._rules = rules
        self._taken = taken
        self._source = source
        self._known: dict[str, PropertyStep] = {}

    def steps(self, known: Iterable[PropertyStep], fields: Mapping[str, object]) -> list[PropertyStep]:
        """Return the *known* steps and those of the other columns of a row with these *fields*."""
        others = [column for column in fields if column not in self._ignored]
        if self._roots:
            # Only an object can be the start of a path; any other value of this name is an ordinary column.
            others = [name for name in others if name not in self._roots or not isinstance(fields[name], dict | None)]
        return [*known, *map(self._step, others)]

    def _step(self, column: str) -> PropertyStep:
        step = self._known.get(column)
        if step is None:
            step = self._known[column] = property_step(self.rule(column), None, self._rules)
        return step

    def rule(self, column: str) -> PropertyRule:
        """Return the rule of *column*; raises ConfigError where the mapping sends a property of that name."""
        if column in self._taken:
            raise ConfigError(
                f"mapping.properties.{column}: {self._source} has a column of this name too, and `other_columns: send` "
                f"would send both. Map column '{column}' to a key of its own, or set mapping.other_columns: ignore."
            )
        return PropertyRule(column, column, when_empty=self._rules.when_empty)


def _constantly(_: Mapping[str, object]) -> bool:
    return True


def _expecting(read: Reader, cleaning: CleaningRules) -> Reader:
    """Return *read* with reasons that say how the mapping expects a number to be written."""
    marks = (("thousands", cleaning.thousands), ("decimal", cleaning.decimal))
    expected = ", ".join(f"{name}: {mark!r}" for name, mark in marks if mark is not None)
    if not expected:
        return read

    def read_expecting(value: object) -> Json:
        try:
            return read(value)
        except Unreadable as unreadable:
            reason = unreadable.reason
            if not isinstance(value, str) or reason.code not in {"not_long", "not_double"}:
                raise
            raise Unreadable(Reason(reason.code, f"{reason.phrase} ({expected})")) from None

    return read_expecting
