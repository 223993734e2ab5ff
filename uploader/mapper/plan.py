"""Compile the mapping once, so that a row costs a few microseconds."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from uploader.errors import ConfigError, InputError
from uploader.mapper.moments import datetime_reader
from uploader.mapper.unreadable import Unreadable
from uploader.mapper.values import Reader, kind_of, reader
from uploader.model import RAW_COLUMN, RETRY_COLUMNS, Damaged, Json, Reason, Record, Rejected, Request, Row
from uploader.rules import CONSENTS, MappingRules, MomentRule, PropertyRule

PROPERTIES_LIMIT: Final = 8192
"""How many bytes all properties of one user may take together (`api.md`, user_properties: 8 KB)."""

_MISSING: Final = object()
_OWN_COLUMNS: Final = frozenset((*RETRY_COLUMNS, RAW_COLUMN))


@dataclass(frozen=True, slots=True)
class _Step:
    """One property of the plan: where its value is, how it is read, and what an empty one becomes.

    *column* is None for a constant: reading anything gives it.
    """

    key: str
    column: str | None
    read: Reader
    sends_null: bool
    is_consent: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The compiled mapping: calling `carry` with a record gives what is sent for it, or why nothing is.

    *columns* names the columns that the mapping reads, each with the key that reads it.
    """

    columns: Mapping[str, str]
    _identity: tuple[tuple[str, str], ...]
    _steps: tuple[_Step, ...]
    _empty: frozenset[str]
    _null_is_empty: bool
    _moment: tuple[str, Callable[[object], Json]] | None
    _others: Callable[[str], _Step] | None
    _ignored: frozenset[str]

    def carry(self, record: Record, now: str) -> Request | Rejected:
        """Return the request of *record*, made at *now* (ISO 8601, UTC), or its rejection with column and reason."""
        if isinstance(record, Damaged):
            return Rejected(record, (), record.reason)
        identity, trouble = self._identify(record)
        person = tuple([f"{name}={value}" for name, value in identity.items()])
        if trouble is None:
            built = self._body(record, identity, now)
            if isinstance(built, bytes):
                return Request(record, person, built)
            trouble = built
        return Rejected(record, person, trouble)

    def _identify(self, row: Row) -> tuple[dict[str, str], Reason | None]:
        """Return the identity fields of *row*; those that can be read come even where another one can't."""
        identity: dict[str, str] = {}
        trouble: Reason | None = None
        for name, column in self._identity:
            value = row.fields.get(column)
            if type(value) is str:
                if value not in self._empty:
                    identity[name] = value
            elif type(value) is int:
                identity[name] = str(value)
            elif value is not None and trouble is None:
                trouble = Reason("not_identity", f"column '{column}': neither text nor a whole number")
        if trouble is None and not identity:
            names = ", ".join(f"'{column}'" for _, column in self._identity)
            trouble = Reason("no_identity", f"no identity: nothing in {names}")
        return identity, trouble

    def _body(self, row: Row, identity: dict[str, str], now: str) -> bytes | Reason:
        properties: dict[str, Json] = {}
        fields, empty = row.fields, self._empty
        column: str | None = None
        try:
            for step in self._steps if self._others is None else self._steps_of(row):
                column = step.column
                if column is None:
                    properties[step.key] = step.read(None)
                    continue
                value = fields.get(column, _MISSING)
                if type(value) is str and value in empty:
                    value = _MISSING
                elif value is None:
                    value = _MISSING if self._null_is_empty else None
                if value is _MISSING:
                    if step.sends_null:
                        properties[step.key] = None
                elif value is not None or step.is_consent:
                    properties[step.key] = step.read(value)
                else:
                    properties[step.key] = None
            if self._moment is not None:
                column, read = self._moment
                now = str(read(fields.get(column, "")))
        except Unreadable as unreadable:
            return Reason(unreadable.reason.code, f"column '{column}': {unreadable.reason.phrase}")
        return _encoded(identity, properties, now)

    def _steps_of(self, row: Row) -> list[_Step]:
        """Return the steps of the mapping, and those of the columns that only this row has (`other_columns: send`)."""
        assert self._others is not None  # noqa: S101 — the caller asked; this tells the type checker
        return [*self._steps, *(self._others(column) for column in row.fields if column not in self._ignored)]


def compile_plan(  # noqa: PLR0913 — what is known of a source: its name, columns, their kinds, and what null means there
    rules: MappingRules,
    *,
    source: str,
    config: str,
    columns: Sequence[str] | None,
    kinds: Mapping[str, str] | None = None,
    null_is_empty: bool = False,
) -> Plan:
    """Compile *rules* for a source with *columns* (None where each record brings its own keys).

    Raises:
        InputError: a column that the mapping needs is not in the source.
        ConfigError: a constant can't be read as its type, or the mapping doesn't suit the columns.
    """
    needed = _needed(rules)
    if columns is not None:
        check_columns(needed, columns, source=source, config=config)
    ignored = _OWN_COLUMNS | needed.keys()
    properties = list(rules.properties)
    keys = {rule.key for rule in properties}
    others: Callable[[str], _Step] | None = None
    if rules.other_columns == "send":
        others = _Others(rules, keys, source)
        if columns is not None:
            properties.extend(others.rule(column) for column in columns if column not in ignored)
            others = None
    _check_kinds(properties, rules.request_datetime, kinds or {})
    return Plan(
        columns=needed,
        _identity=tuple(rules.identity.items()),
        _steps=tuple(_step(rule) for rule in properties),
        _empty=frozenset(rules.null_values),
        _null_is_empty=null_is_empty,
        _moment=_moment(rules),
        _others=others,
        _ignored=frozenset(ignored),
    )


def check_columns(needed: Mapping[str, str], found: Sequence[str], *, source: str, config: str) -> None:
    """Raise InputError for the first column of *needed* that is not *found* in the source."""
    for column, key in needed.items():
        if column in found:
            continue
        shown = [name for name in found if name not in _OWN_COLUMNS]
        if not needed.keys() & set(shown):
            # Perhaps there is no header and these "names" are a person's data: they are not repeated.
            raise InputError(
                f"{source} has no column '{column}', nor any other that the mapping names. Is its first line a "
                f"header, and is source.delimiter right? Otherwise change {key} in {config}."
            )
        near = difflib.get_close_matches(column, shown, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise InputError(
            f"{source} has no column '{column}' (it has: {', '.join(shown)}).{hint} Change {key} in {config}."
        )


class _Others:
    """Make the steps of columns that the mapping does not name, each under its own name."""

    def __init__(self, rules: MappingRules, taken: set[str], source: str) -> None:
        self._when_empty = rules.when_empty
        self._taken = taken
        self._source = source
        self._known: dict[str, _Step] = {}

    def __call__(self, column: str) -> _Step:
        step = self._known.get(column)
        if step is None:
            step = self._known[column] = _step(self.rule(column))
        return step

    def rule(self, column: str) -> PropertyRule:
        if column in self._taken:
            raise ConfigError(
                f"mapping.properties.{column}: {self._source} has a column of this name too, and `other_columns: send` "
                f"would send both. Map column '{column}' to a key of its own, or set mapping.other_columns: ignore."
            )
        return PropertyRule(column, column, when_empty=self._when_empty)


def _needed(rules: MappingRules) -> dict[str, str]:
    needed: dict[str, str] = {}
    for name, column in rules.identity.items():
        needed.setdefault(column, f"mapping.identity.{name}")
    for rule in rules.properties:
        if rule.column is not None:
            needed.setdefault(rule.column, f"mapping.properties.{rule.key}")
    if rules.request_datetime is not None:
        needed.setdefault(rules.request_datetime.column, "mapping.request_datetime")
    return needed


def _check_kinds(properties: Sequence[PropertyRule], moment: MomentRule | None, kinds: Mapping[str, str]) -> None:
    """Refuse what would read a typed column (Parquet) in one way now and in another from its retry file."""
    for rule in properties:
        if kinds.get(rule.column or "") == "naive datetime" and rule.kind is None:
            raise ConfigError(
                f"mapping.properties.{rule.key}: column '{rule.column}' holds times without a zone. "
                f"Write {{column: {rule.column}, type: datetime, timezone: Asia/Seoul}}."
            )
    patterns = [(f"properties.{rule.key}", rule.column or "", rule.format) for rule in properties]
    if moment is not None:
        patterns.append(("request_datetime", moment.column, moment.format))
    for key, column, pattern in patterns:
        if pattern is not None and kinds.get(column) in {"date", "datetime", "naive datetime"}:
            raise ConfigError(f"mapping.{key}.format: column '{column}' holds dates, not text. Remove `format`.")


def _step(rule: PropertyRule) -> _Step:
    consent = rule.key in CONSENTS
    if rule.column is None:
        constant = _constant(rule)
        return _Step(rule.key, None, lambda _: constant, sends_null=False, is_consent=consent)
    sends_null = rule.when_empty == "null" and not consent
    return _Step(rule.key, rule.column, reader(rule), sends_null=sends_null, is_consent=consent)


def _constant(rule: PropertyRule) -> Json:
    try:
        return reader(rule)(rule.value)
    except Unreadable as unreadable:
        wanted = f"that is of type {kind}" if (kind := kind_of(rule)) else "that the API has a type for"
        raise ConfigError(
            f"mapping.properties.{rule.key}.value: {unreadable.reason.phrase}. Write one {wanted}."
        ) from None


def _moment(rules: MappingRules) -> tuple[str, Callable[[object], Json]] | None:
    rule = rules.request_datetime
    return None if rule is None else (rule.column, datetime_reader(rule.format, rule.timezone))


def _encoded(identity: dict[str, str], properties: dict[str, Json], now: str) -> bytes | Reason:
    if not properties:
        return Reason("no_property", "no property: every mapped column is empty")
    try:
        body = orjson.dumps({"identity": identity, "user_properties": properties, "request_datetime": now})
    except orjson.JSONEncodeError:
        return Reason("not_unicode", "a value holds half of a surrogate pair, which is no text")
    if len(body) > PROPERTIES_LIMIT and len(orjson.dumps(properties)) > PROPERTIES_LIMIT:
        return Reason("too_large", "the properties take more than 8 KB together")
    return body
