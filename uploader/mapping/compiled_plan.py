"""Compile the mapping once, so that mapping a row takes a few microseconds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Final, TypeAlias

import orjson

from uploader.api import TIME_KEY
from uploader.mapping.body_format import BodyFormat
from uploader.mapping.cleaning import Change, OmittedValue, Repairs, StepChange, StepName
from uploader.mapping.field_paths import MISSING, is_path, reaching, root_of
from uploader.mapping.identity_values import dash_line, is_dashes, odd_identity
from uploader.mapping.plan_steps import (
    ColumnStep,
    IdentityStep,
    MomentStep,
    OtherColumns,
    PropertyStep,
    identity_step,
    property_step,
    time_step,
)
from uploader.mapping.required_columns import check_columns, check_kinds, needed_columns, within_structs
from uploader.mapping.rules import MappingRules
from uploader.mapping.value_errors import Unreadable
from uploader.mapping.value_warnings import ValueWarnings
from uploader.model import OWN_COLUMNS, Damaged, Json, Person, Reason, Record, Rejected, Request, Row

_NOT_IDENTITY: Final = Unreadable(Reason("not_identity", "neither text nor a whole number"))
_WHOLE_FLOAT: Final = Unreadable(
    Reason("not_identity", 'a number with .0; expected text or a whole number (`strip: [".0"]` removes it)')
)


@dataclass(frozen=True, slots=True)
class LoneValue:
    """What one value alone adds to a request: *text*, or None if that is nothing; and what cleaned it.

    The text is JSON, but for the identity and the time the value itself.
    """

    text: str | None
    changed: tuple[StepName, ...] = ()


LoneReader: TypeAlias = Callable[[Mapping[str, object]], LoneValue | None]
"""Reads one value in the fields of a row; None where something has to be said about the row because of it."""


@dataclass(frozen=True, slots=True)
class CleanedValue:
    """What the cleaning made of the value of one *key*, step by step; *reason* is why it can't be read, or is omitted.

    *omitted* is whether the row is sent without it.
    """

    key: str
    column: str
    steps: tuple[StepChange, ...]
    reason: Reason | None = None
    omitted: bool = False


@dataclass(frozen=True, slots=True)
class RowNotes:
    """What is noted of the row at hand while it is mapped: the *changes* to it, and why its identity is *odd*."""

    changes: list[Change] = field(default_factory=list)
    odd: list[Reason] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """The compiled mapping: `map_row` returns the request of a record, or its rejection.

    *columns* names the columns that the mapping reads, each with the key that reads it. *repairs* counts the values
    cleaned so far. *body_format* is that of the endpoint that gets the requests. *refuse* returns why a row is not sent
    whatever it holds, or None.

    It has no states: only the counts of *repairs* change, and what is noted of the row at hand.
    """

    columns: Mapping[str, str]
    repairs: Repairs
    body_format: BodyFormat
    _warnings: ValueWarnings
    identity_steps: tuple[IdentityStep, ...]
    property_steps: tuple[PropertyStep, ...]
    _empty: frozenset[str]
    _null_is_empty: bool
    moment_step: MomentStep | None
    _others: OtherColumns | None
    _noted: RowNotes
    refuse: Callable[[Row], Reason | None] | None = None

    def map_row(self, record: Record, now: str) -> Request | Rejected:
        """Return the request of *record*, made at *now* (ISO 8601, UTC), or its rejection with column and reason."""
        self._noted.odd.clear()
        if isinstance(record, Damaged):
            return Rejected(record, (), record.reason)
        if self.refuse is not None and (refused := self.refuse(record)) is not None:
            return Rejected(record, (), refused)
        changes = self._noted.changes
        changes.clear()
        identity, person, trouble = self._identify(record, changes, self._noted.odd)
        if trouble is None:
            properties = self._properties(record)
            if isinstance(properties, Reason):
                built: bytes | Reason = properties
            elif properties and self.moment_step is None:
                built = self.body_format.encode(identity, properties, now)
            else:
                built = self._body(record, identity, properties, now)
            if isinstance(built, bytes):
                # Of a row that is not sent, nothing is counted.
                if changes:
                    self.repairs.count_changes(changes)
                return Request(record, person, built)
            trouble = built
        return Rejected(record, person, trouble)

    def trace(self, record: Record) -> list[CleanedValue]:
        """Return what the cleaning makes of each value of *record*, of those that it changes, omits, or can't read."""
        if isinstance(record, Damaged):
            return []
        fields = record.fields
        identity = (
            _traced(step.field, step.column, partial(self._identity_value, step, fields))
            for step in self.identity_steps
            if step.cleaner is not None
        )
        properties = (
            _traced(step.key, step.column, partial(self._cleaned, step, fields))
            for step in self.property_steps
            if step.cleaner is not None and step.column is not None
        )
        return [found for found in (*identity, *properties) if found.steps or found.reason is not None]

    def omitted_from(self, work: Request | Rejected) -> list[Reason]:
        """Return why values were left out of *work*, which must be what `map_row` returned last."""
        if isinstance(work, Rejected):
            return []
        return [change.reason for change in self._noted.changes if isinstance(change, OmittedValue)]

    def person(self, record: Record) -> Person:
        """Return only the person of *record*, the same as that of `map_row`."""
        if isinstance(record, Damaged):
            return ()
        return self._identify(record, [], [])[1]

    def suspect(self, request: Request) -> Sequence[Reason]:
        """Return what is odd about the row of *request*, which can be sent: in its identity, and in its texts.

        It must be what `map_row` returned last.
        """
        found = [*self._noted.odd]
        for may_find, find in self._warnings.checks:
            if may_find(request.body) is not None:
                found += find(request)
        return found

    def written_identity(self, row: Row) -> list[str]:
        """Return the identity columns of *row*, each followed by its value as it is written there, not cleaned."""
        found: dict[str, str] = {}
        for step in self.identity_steps:
            try:
                value = row.fields.get(step.column) if step.take is None else step.take(row.fields)
            except Unreadable:
                continue
            if isinstance(value, str | int) and value not in self._empty:
                found[step.column] = str(value)
        return [part for item in sorted(found.items()) for part in item]

    @property
    def identity_columns(self) -> Mapping[str, str]:
        """The column of each identity field that the mapping reads."""
        return {step.field: step.column for step in self.identity_steps}

    @property
    def cleans_identity(self) -> bool:
        """Whether an identity value may be sent otherwise than it is written."""
        return any(step.cleaner is not None for step in self.identity_steps)

    @property
    def has_several_identities(self) -> bool:
        """Whether a row may have more than one identity value."""
        return len(self.identity_steps) > 1

    def merged(self, requests: Sequence[Request]) -> Request | None:
        """Return *requests* (of one person, in file order) as one request, that of the last row.

        Later values win, also a null. None if the properties together exceed the size limit of a request.
        """
        identity: dict[str, str] = {}
        properties: dict[str, Json] = {}
        now = ""
        for request in requests:
            parts = self.body_format.parts(request.body)
            identity |= parts.identity
            properties |= parts.properties
            now = parts.time
        # The order is that of a single row, so that the same values make the same body.
        identity = {step.field: identity[step.field] for step in self.identity_steps if step.field in identity}
        properties = {
            step.key: properties[step.key] for step in self.property_steps if step.key in properties
        } | properties
        built = self.body_format.encode(identity, properties, now)
        last = requests[-1]
        return (
            replace(last, person=tuple(map("=".join, identity.items())), body=built, merged=tuple(requests[:-1]))
            if isinstance(built, bytes)
            else None
        )

    @property
    def needs_rows(self) -> bool:
        """Whether a row can be mapped only as a whole.

        So it is with paths into objects, with a row that may be refused whatever it holds, and with columns that only
        each row itself names.
        """
        has_paths = any(step.take is not None for step in self.column_steps)
        return has_paths or self.refuse is not None or self._others is not None

    @property
    def column_steps(self) -> list[ColumnStep]:
        """All steps but those of constants."""
        properties = [step for step in self.property_steps if step.column is not None]
        return [*self.identity_steps, *properties, *(() if self.moment_step is None else (self.moment_step,))]

    @property
    def empty_texts(self) -> frozenset[str]:
        """The texts that mean no value in every column."""
        return self._empty

    def asks_each_value(self, step: PropertyStep) -> bool:
        """Whether *step* has values that are sent with a warning though no text in them looks damaged."""
        return self._warnings.ask_each_value(step.key)

    def property_alone(self, step: PropertyStep) -> LoneReader:
        """Return a function that reads the value of *step* alone, by the same code as `map_row` and `suspect`."""
        alone = replace(self, property_steps=(step,), _others=None, _noted=RowNotes())
        changes, key, column = alone._noted.changes, step.key, step.column  # noqa: SLF001 — another plan of this class
        warnings = self._warnings

        def read(fields: Mapping[str, object]) -> LoneValue | None:
            changes.clear()
            found = alone._properties(Row(0, fields))  # noqa: SLF001 — as above
            steps = _step_names(changes)
            if isinstance(found, Reason) or steps is None or warnings.may_be_damaged(column, fields):
                return None
            if key not in found:
                return LoneValue(None, steps)
            try:
                text = orjson.dumps(found[key])
            except orjson.JSONEncodeError:
                return None
            return None if warnings.is_odd(key, text) else LoneValue(text.decode(), steps)

        return read

    def identity_alone(self, step: IdentityStep) -> LoneReader:
        """Return a function that reads the identity field of *step* alone, as `property_alone` does."""

        def read(fields: Mapping[str, object]) -> LoneValue | None:
            changes: list[Change] = []
            found = self._identity_of(step, fields, changes)
            steps = _step_names(changes)
            if found is None or steps is None:
                return None if steps is None else LoneValue(None, steps)
            value, looked_at, _ = found
            if value is None or looked_at is None or not _is_its_own_json(value):
                return None
            is_odd = odd_identity(step.field, step.column, looked_at) is not None
            return None if is_odd else LoneValue(value, steps)

        return read

    @staticmethod
    def moment_alone(step: MomentStep) -> LoneReader:
        """Return a function that reads the time of a request alone, as `property_alone` does."""

        def read(fields: Mapping[str, object]) -> LoneValue | None:
            try:
                return LoneValue(_moment_of(step, fields))
            except Unreadable:
                return None

        return read

    def _identify(
        self, row: Row, changes: list[Change], all_odd: list[Reason]
    ) -> tuple[dict[str, str], Person, Reason | None]:
        """Return the identity fields of *row* that can be read, its person, and the first reason why it can't be sent.

        Add what the cleaning did to *changes*, and what is odd about each value to *all_odd*.
        """
        identity: dict[str, str] = {}
        trouble: Reason | None = None
        fields, empty = row.fields, self._empty
        for step in self.identity_steps:
            plain_form = step.plain_form
            if plain_form is not None:
                written = fields.get(step.column)
                if written is None or (type(written) is str and written in empty):
                    continue
                # Most values have this form, so that nothing else is asked of them.
                if type(written) is str and written != step.column and plain_form.fullmatch(written) is not None:
                    identity[step.field] = written
                    continue
            found = self._identity_of(step, fields, changes)
            if found is None:
                continue
            value, looked_at, unreadable = found
            odd = None if looked_at is None else odd_identity(step.field, step.column, looked_at)
            if odd is not None:
                all_odd.append(odd.reason)
            if value is not None and (odd is None or odd.is_sent or step.sends_odd):
                identity[step.field] = value
            elif trouble is None:
                trouble = unreadable if odd is None or odd.is_absent else odd.reason
        if trouble is None and not identity:
            trouble = self._no_identity_in(row)
        return identity, tuple(map("=".join, identity.items())), trouble

    def _identity_of(
        self, step: IdentityStep, fields: Mapping[str, object], changes: list[Change]
    ) -> tuple[str | None, str | None, Reason | None] | None:
        """Return the value of *step*, the text to be looked at, and why it can't be read; None if it is empty."""
        try:
            value = self._identity_value(step, fields, changes)
        except Unreadable as unreadable:
            return None, None, unreadable.in_column(step.column, step.field, self.columns)
        if type(value) is str:
            if value in self._empty:
                return None
            return value, value if step.rule.cleaning.hash is None else _before_hash(value, changes), None
        if type(value) is int:
            return str(value), str(value), None
        if value is None or value is MISSING:
            return None
        refused = _WHOLE_FLOAT if isinstance(value, float) and value.is_integer() else _NOT_IDENTITY
        return None, None, refused.in_column(step.column, step.field, self.columns)

    def _no_identity_in(self, row: Row) -> Reason:
        """Return why *row* has no identity: it may be a line of dashes."""
        texts = [value for value in row.fields.values() if value is not None and value != ""]
        first = self.identity_steps[0]
        is_line = bool(texts) and all(map(is_dashes, texts))
        return dash_line(first.field, first.column) if is_line else self._no_identity()

    def _identity_value(self, step: IdentityStep, fields: Mapping[str, object], changes: list[Change]) -> object:
        """Return the cleaned value of *step*, or `MISSING`; add what was done to it to *changes*."""
        value = fields.get(step.column) if step.take is None else step.take(fields)
        if step.cleaner is None or value is None or value is MISSING:
            return value
        before = len(changes)
        try:
            return step.cleaner.clean(value, changes)
        except Unreadable as unreadable:
            if not unreadable.omits:
                raise
            del changes[before:]
            reason = unreadable.in_column(step.column, step.field, self.columns)
            changes.append(OmittedValue(step.column, step.field, reason))
            return MISSING

    def _no_identity(self) -> Reason:
        names = ", ".join(f"'{step.column}'" for step in self.identity_steps)
        return Reason("no_identity", f"no identity: nothing in {names}")

    def _body(self, row: Row, identity: dict[str, str], properties: dict[str, Json], now: str) -> bytes | Reason:
        if (step := self.moment_step) is not None:
            try:
                now = _moment_of(step, row.fields)
            except Unreadable as unreadable:
                return unreadable.in_column(step.column, TIME_KEY, self.columns)
        if not properties and (omitted := self._omitted_properties()):
            return _all_omitted(omitted)
        return self.body_format.encode(identity, properties, now)

    def _omitted_properties(self) -> list[OmittedValue]:
        identity = {(step.field, step.column) for step in self.identity_steps}
        omitted = [change for change in self._noted.changes if isinstance(change, OmittedValue)]
        return [change for change in omitted if (change.key, change.column) not in identity]

    def _properties(self, row: Row) -> dict[str, Json] | Reason:
        properties: dict[str, Json] = {}
        fields, empty, changes = row.fields, self._empty, self._noted.changes
        column: str | None = None
        key = ""
        try:
            for step in (
                self.property_steps if self._others is None else self._others.steps(self.property_steps, fields)
            ):
                column, key, read = step.column, step.key, step.read
                if step.cleaner is not None:
                    found = self._cleaned(step, fields, changes)
                    if found is not MISSING:
                        properties[key] = found  # type: ignore[assignment]  # what `read` returned, or None
                    continue
                take = step.take
                value = fields.get(column or "", MISSING) if take is None else take(fields)
                if type(value) is str and value not in empty:
                    properties[key] = value if step.keeps_texts else read(value)
                elif value is MISSING or type(value) is str or (value is None and self._null_is_empty):
                    if step.sends_null:
                        properties[key] = None
                elif value is not None or step.is_consent:
                    properties[key] = read(value)
                else:
                    properties[key] = None
        except Unreadable as unreadable:
            return unreadable.in_column(column, key, self.columns)
        return properties

    def _cleaned(self, step: PropertyStep, fields: Mapping[str, object], changes: list[Change]) -> object:
        """Return the value of *step* cleaned and read, or `MISSING`; add what was done to it to *changes*."""
        column, before = step.column or "", len(changes)
        try:
            value = fields.get(column, MISSING) if step.take is None else step.take(fields)
            if value is None and self._null_is_empty:
                value = MISSING
            if value is not None and value is not MISSING and step.cleaner is not None:
                value = step.cleaner.clean(value, changes)
            if value is MISSING:
                return None if step.sends_null else MISSING
            return None if value is None and not step.is_consent else step.read(value)
        except Unreadable as unreadable:
            if step.is_consent or not (step.omits or unreadable.omits):
                raise
            del changes[before:]
            changes.append(OmittedValue(column, step.key, unreadable.in_column(column, step.key, self.columns)))
            return MISSING


def compile_plan(  # noqa: PLR0913 — the endpoint, and the facts about a source: its name, columns, their kinds, and what null means
    rules: MappingRules,
    *,
    endpoint: BodyFormat,
    source: str,
    config: str,
    columns: Sequence[str] | None,
    kinds: Mapping[str, str] | None = None,
    null_is_empty: bool = False,
    today: date | None = None,
) -> Plan:
    """Compile *rules* for a source with *columns* (None where each record brings its own keys).

    The requests are those of *endpoint*. Birth dates are compared with *today* (None: they are not).

    Raises:
        InputError: a column that the mapping needs is not in the source.
        ConfigError: the mapping doesn't suit the columns.
    """
    needed, repairs = needed_columns(rules), Repairs()
    if columns is not None:
        check_columns(needed, [*columns, *within_structs(columns, kinds or {})], source=source, config=config)
    paths = {name: reaching(name) for name in needed if is_path(name) and (columns is None or name not in columns)}
    roots = frozenset(map(root_of, paths))
    ignored = frozenset(OWN_COLUMNS | needed.keys())
    properties = list(rules.properties)
    others: OtherColumns | None = None
    if rules.other_columns == "send":
        others = OtherColumns(rules, {rule.key for rule in properties}, source, ignored, roots)
        if columns is not None:
            properties.extend(others.rule(column) for column in columns if column not in ignored | roots)
            others = None
    check_kinds(properties, rules.request_datetime, kinds or {})
    identity = tuple(identity_step(rule, paths.get(rule.column), rules) for rule in rules.identity)
    steps = tuple(property_step(rule, paths.get(rule.column or ""), rules) for rule in properties)
    empty = frozenset(rules.null_values)
    unsent = None if others is None else ignored | roots
    warnings = ValueWarnings(properties, paths, endpoint, unsent=unsent, named=needed, today=today)
    return Plan(
        columns=needed,
        repairs=repairs,
        body_format=endpoint,
        _warnings=warnings,
        identity_steps=identity,
        property_steps=steps,
        _empty=empty,
        _null_is_empty=null_is_empty,
        moment_step=time_step(rules, paths),
        _others=others,
        _noted=RowNotes(),
    )


def _all_omitted(omitted: Sequence[OmittedValue]) -> Reason:
    """Return why a row is not sent whose properties are all empty or *omitted*; the first of these stands for all."""
    first, *others = omitted
    more = f", and {len(others)} more omitted" if others else ""
    label = first.reason.phrase.removesuffix(first.reason.expected)
    return Reason.of_value(
        "no_property",
        f"no property is left: {label}".rstrip(": "),
        f"{first.reason.expected}, and omitted{more}",
        first.reason.column,
    )


def _before_hash(value: str, changes: Sequence[Change]) -> str:
    """Return what *value* was before it was hashed, if that is the last of *changes*; else *value*."""
    last = changes[-1] if changes else None
    return str(last.before) if isinstance(last, StepChange) and last.step == "hash" and last.after == value else value


def _step_names(changes: Sequence[Change]) -> tuple[StepName, ...] | None:
    """Return the steps of *changes*; None if a value was omitted."""
    names = tuple(change.step for change in changes if isinstance(change, StepChange))
    return names if len(names) == len(changes) else None


def _is_its_own_json(text: str) -> bool:
    """Whether *text* stands in JSON as it is, between quotes."""
    try:
        return orjson.dumps(text) == f'"{text}"'.encode()
    except (orjson.JSONEncodeError, UnicodeEncodeError):
        return False


def _traced(key: str, column: str, clean: Callable[[list[Change]], object]) -> CleanedValue:
    """Return what *clean* did to the value of *key*."""
    changes: list[Change] = []
    try:
        clean(changes)
    except Unreadable as unreadable:
        steps = tuple(change for change in changes if isinstance(change, StepChange))
        return CleanedValue(key, column, steps, unreadable.reason)
    omitted = next((change.reason for change in changes if isinstance(change, OmittedValue)), None)
    steps = tuple(change for change in changes if isinstance(change, StepChange))
    return CleanedValue(key, column, steps, omitted, omitted=omitted is not None)


def _moment_of(step: MomentStep, fields: Mapping[str, object]) -> str:
    return str(step.read(fields.get(step.column) if step.take is None else step.take(fields)))
