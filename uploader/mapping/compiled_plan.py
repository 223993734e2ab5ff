"""Compile the mapping once, so that mapping a row takes a few microseconds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson

from uploader.api import CONSENTS
from uploader.errors import ConfigError
from uploader.mapping.cleaning import Repairs, trimming, ungrouping
from uploader.mapping.datetimes import datetime_reader
from uploader.mapping.field_paths import MISSING, Take, is_path, reaching, root_of
from uploader.mapping.identity_values import dash_line, is_dashes, is_plain, may_have_spaces, odd_identity
from uploader.mapping.required_columns import check_columns, check_kinds, needed_columns, within_structs
from uploader.mapping.rules import MappingRules, PropertyRule
from uploader.mapping.spreadsheet_damage import Spreadsheet
from uploader.mapping.text_only_rows import Texts
from uploader.mapping.type_conversion import Reader, kind_of, reader
from uploader.mapping.value_errors import Unreadable
from uploader.model import OWN_COLUMNS, Damaged, Json, Person, Reason, Record, Rejected, Request, Row

PROPERTIES_LIMIT: Final = 8192
"""How many bytes all properties of one user may take together (`api.md`, user_properties: 8 KB)."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One property of the plan: where its value is, how it is read, and what an empty one becomes.

    *column* is None for a constant: *read* returns it whatever it is given. *take* is None where the value is that of
    *column*, unchanged.
    """

    key: str
    column: str | None
    take: Take | None
    read: Reader
    sends_null: bool
    is_consent: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The compiled mapping: `map_row` returns the request of a record, or its rejection.

    *columns* names the columns that the mapping reads, each with the key that reads it. *repairs* counts the values
    repaired so far. *refuse* returns why a row is not sent whatever it holds, or None.

    It has no states: only the counts of *repairs* change.
    """

    columns: Mapping[str, str]
    repairs: Repairs
    _spreadsheet: Callable[[Request], Sequence[Reason]]
    _texts: Texts | None
    _identity: tuple[tuple[str, str, Take | None], ...]
    _steps: tuple[_Step, ...]
    _empty: frozenset[str]
    _null_is_empty: bool
    _moment: tuple[str, Take | None, Callable[[object], Json]] | None
    _others: Callable[[str], _Step] | None
    _ignored: frozenset[str]
    _roots: frozenset[str]
    _sends_odd: bool
    refuse: Callable[[Row], Reason | None] | None = None

    def map_row(self, record: Record, now: str) -> Request | Rejected:
        """Return the request of *record*, made at *now* (ISO 8601, UTC), or its rejection with column and reason."""
        if isinstance(record, Damaged):
            return Rejected(record, (), record.reason)
        if self.refuse is not None and (refused := self.refuse(record)) is not None:
            return Rejected(record, (), refused)
        if (texts := self._texts) is not None:
            identity, person = texts.identify(record.fields)
            if person and self._all_plain(identity):
                body = self._body(record, identity, texts.properties(record.fields), now)
                return Request(record, person, body) if isinstance(body, bytes) else Rejected(record, person, body)
        identity, trouble = self._identify(record)
        person = _person(identity)
        if trouble is None:
            repairs = self.repairs
            trimmed, thousands = repairs.trimmed, repairs.thousands
            built = self._body(record, identity, self._properties(record), now)
            if isinstance(built, bytes):
                return Request(record, person, built)
            # Nothing of this row is sent, so nothing was repaired.
            repairs.trimmed, repairs.thousands = trimmed, thousands
            trouble = built
        return Rejected(record, person, trouble)

    def person(self, record: Record) -> Person:
        """Return only the person of *record*, the same as that of `map_row`."""
        if isinstance(record, Damaged):
            return ()
        if self._texts is not None:
            identity, person = self._texts.identify(record.fields)
            if self._all_plain(identity):
                return person
        return _person(self._identify(record)[0])

    def suspect(self, request: Request) -> Sequence[Reason]:
        """Return what is odd about the row of *request*, which can be sent: in its identity, and in its texts."""
        found = self._spreadsheet(request)
        if self._sends_odd or len(request.person) < len(self._identity) or may_have_spaces(request.person):
            odd = (
                odd_identity(name, column, value)
                for name, column, value, _ in self._identity_values(request.row)
                if value is not None
            )
            return [*(one.reason for one in odd if one is not None), *found]
        return found

    def written_identity(self, row: Row) -> list[str]:
        """Return the identity columns of *row*, each followed by its value as it is written there."""
        found: dict[str, str] = {}
        for _, column, take in self._identity:
            try:
                value = row.fields.get(column) if take is None else take(row.fields)
            except Unreadable:
                continue
            if isinstance(value, str | int) and value not in self._empty:
                found[column] = str(value)
        return [part for item in sorted(found.items()) for part in item]

    @property
    def identity_columns(self) -> Mapping[str, str]:
        """The column of each identity field that the mapping reads."""
        return {name: column for name, column, _ in self._identity}

    @property
    def has_several_identities(self) -> bool:
        """Whether a row may have more than one identity value."""
        return len(self._identity) > 1

    def merged(self, requests: Sequence[Request]) -> Request | None:
        """Return *requests* (of one person, in file order) as one request, that of the last row.

        Later values win, also a null. None if the properties together exceed the size limit of a request.
        """
        identity: dict[str, str] = {}
        properties: dict[str, Json] = {}
        now = ""
        for request in requests:
            # orjson reads back exactly what it wrote, to the last digit.
            body = orjson.loads(request.body)
            identity |= body["identity"]
            properties |= body["user_properties"]
            now = body["request_datetime"]
        # The order is that of a single row, so that the same values make the same body.
        identity = {name: identity[name] for name, _, _ in self._identity if name in identity}
        properties = {step.key: properties[step.key] for step in self._steps if step.key in properties} | properties
        built = _encoded(identity, properties, now)
        last = requests[-1]
        return (
            replace(last, person=_person(identity), body=built, merged=tuple(requests[:-1]))
            if isinstance(built, bytes)
            else None
        )

    def _identify(self, row: Row) -> tuple[dict[str, str], Reason | None]:
        """Return the identity fields of *row* that can be read, and the first reason why it can't be sent."""
        identity: dict[str, str] = {}
        trouble: Reason | None = None
        for name, column, value, unreadable in self._identity_values(row):
            odd = None if value is None or self._sends_odd else odd_identity(name, column, value)
            if value is not None and (odd is None or odd.is_sent):
                identity[name] = value
            elif trouble is None:
                trouble = unreadable if odd is None or odd.is_absent else odd.reason
        if trouble is None and not identity:
            trouble = self._no_identity_in(row)
        return identity, trouble

    def _identity_values(self, row: Row) -> Iterator[tuple[str, str, str | None, Reason | None]]:
        """Yield field, column and value of each identity field of *row*; None and the reason if it can't be read."""
        for name, column, take in self._identity:
            try:
                value = row.fields.get(column) if take is None else take(row.fields)
            except Unreadable as unreadable:
                yield name, column, None, unreadable.in_column(column, self.columns)
                continue
            if type(value) is str:
                yield name, column, value if value not in self._empty else None, None
            elif type(value) is int:
                yield name, column, str(value), None
            elif value is not None and value is not MISSING:
                reason = Reason("not_identity", f"column '{column}': neither text nor a whole number")
                yield name, column, None, reason

    def _all_plain(self, identity: Mapping[str, str]) -> bool:
        """Whether nothing at all is odd about *identity*, which is asked of every row."""
        if not self._sends_odd:
            for name, column, _ in self._identity:
                if name in identity and not is_plain(name, column, identity[name]):
                    return False
        return True

    def _no_identity_in(self, row: Row) -> Reason:
        """Return why *row* has no identity: it may be a line of dashes."""
        texts = [value for value in row.fields.values() if value is not None and value != ""]
        name, column, _ = self._identity[0]
        return dash_line(name, column) if texts and all(map(is_dashes, texts)) else self._no_identity()

    def _no_identity(self) -> Reason:
        names = ", ".join(f"'{column}'" for _, column, _ in self._identity)
        return Reason("no_identity", f"no identity: nothing in {names}")

    def _body(
        self, row: Row, identity: dict[str, str], properties: dict[str, Json] | Reason, now: str
    ) -> bytes | Reason:
        if isinstance(properties, Reason):
            return properties
        if self._moment is not None:
            column, take, read = self._moment
            try:
                now = str(read(row.fields.get(column) if take is None else take(row.fields)))
            except Unreadable as unreadable:
                return unreadable.in_column(column, self.columns)
        return _encoded(identity, properties, now)

    def _properties(self, row: Row) -> dict[str, Json] | Reason:
        properties: dict[str, Json] = {}
        fields, empty = row.fields, self._empty
        column: str | None = None
        try:
            for step in self._steps if self._others is None else self._steps_of(row):
                column = step.column
                if column is None:
                    properties[step.key] = step.read(None)
                    continue
                take = step.take
                value = fields.get(column, MISSING) if take is None else take(fields)
                if type(value) is str and value in empty:
                    value = MISSING
                elif value is None:
                    value = MISSING if self._null_is_empty else None
                if value is MISSING:
                    if step.sends_null:
                        properties[step.key] = None
                elif value is not None or step.is_consent:
                    properties[step.key] = step.read(value)
                else:
                    properties[step.key] = None
        except Unreadable as unreadable:
            return unreadable.in_column(column, self.columns)
        return properties

    def _steps_of(self, row: Row) -> list[_Step]:
        """Return the steps of the mapping and of the other columns of *row* (`other_columns: send`)."""
        assert self._others is not None  # noqa: S101 — the caller checked; this line is for the type checker
        fields, ignored, roots = row.fields, self._ignored, self._roots
        others = [column for column in fields if column not in ignored]
        if roots:
            # Only an object can be the start of a path; any other value of this name is an ordinary column.
            others = [name for name in others if name not in roots or not isinstance(fields[name], dict | None)]
        return [*self._steps, *map(self._others, others)]


def compile_plan(  # noqa: PLR0913 — the facts about a source: its name, columns, their kinds, and what null means
    rules: MappingRules,
    *,
    source: str,
    config: str,
    columns: Sequence[str] | None,
    kinds: Mapping[str, str] | None = None,
    null_is_empty: bool = False,
    only_texts: bool = False,
) -> Plan:
    """Compile *rules* for a source with *columns* (None where each record brings its own keys).

    *only_texts* is whether every record has a text in each of *columns*.

    Raises:
        InputError: a column that the mapping needs is not in the source.
        ConfigError: a constant can't be read as its type, or the mapping doesn't suit the columns.
    """
    needed, repairs = needed_columns(rules), Repairs()
    if columns is not None:
        check_columns(needed, [*columns, *within_structs(columns, kinds or {})], source=source, config=config)
    paths = {name: reaching(name) for name in needed if is_path(name) and (columns is None or name not in columns)}
    roots = frozenset(map(root_of, paths))
    ignored = frozenset(OWN_COLUMNS | needed.keys())
    properties = list(rules.properties)
    others: _Others | None = None
    if rules.other_columns == "send":
        others = _Others(rules, {rule.key for rule in properties}, source)
        if columns is not None:
            properties.extend(others.rule(column) for column in columns if column not in ignored | roots)
            others = None
    check_kinds(properties, rules.request_datetime, kinds or {})
    identity = tuple((name, column, paths.get(column)) for name, column in rules.identity.items())
    steps = tuple(_step(rule, paths.get(rule.column or ""), repairs) for rule in properties)
    empty = frozenset(rules.null_values)
    return Plan(
        columns=needed,
        repairs=repairs,
        _spreadsheet=Spreadsheet(
            rules.identity, properties, paths, unsent=None if others is None else ignored | roots, named=needed
        ),
        _texts=_texts(identity, properties, steps, empty, needed) if only_texts and others is None else None,
        _identity=identity,
        _steps=steps,
        _empty=empty,
        _null_is_empty=null_is_empty,
        _moment=_moment(rules, paths),
        _others=others,
        _ignored=ignored,
        _roots=roots,
        _sends_odd=rules.sends_odd_identities,
    )


def _texts(
    identity: Sequence[tuple[str, str, Take | None]],
    properties: Sequence[PropertyRule],
    steps: Sequence[_Step],
    empty: frozenset[str],
    named: Mapping[str, str],
) -> Texts | None:
    """Return the plan for rows of nothing but texts; None if some value is more than the text of one column."""
    if any(take is not None for _, _, take in identity) or any(rule.thousands is not None for rule in properties):
        return None
    simple = tuple(
        (step.key, step.column, step.read, step.sends_null)
        for step in steps
        if step.column is not None and step.take is None
    )
    before = tuple((name, column, f"{name}=") for name, column, _ in identity)
    return Texts(before, simple, empty, named) if len(simple) == len(steps) else None


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
            step = self._known[column] = _step(self.rule(column), None, Repairs())
        return step

    def rule(self, column: str) -> PropertyRule:
        if column in self._taken:
            raise ConfigError(
                f"mapping.properties.{column}: {self._source} has a column of this name too, and `other_columns: send` "
                f"would send both. Map column '{column}' to a key of its own, or set mapping.other_columns: ignore."
            )
        return PropertyRule(column, column, when_empty=self._when_empty)


def _step(rule: PropertyRule, take: Take | None, repairs: Repairs) -> _Step:
    """Return the step of *rule*; *take* reads its value, or is None where that is the value of a column."""
    consent = rule.key in CONSENTS
    if rule.column is None:
        constant = _constant(rule)
        return _Step(rule.key, None, None, lambda _: constant, sends_null=False, is_consent=consent)
    if rule.trim:
        take = trimming(take or _taking(rule.column), rule, repairs)
    read = reader(rule) if rule.thousands is None else ungrouping(reader(rule), rule, repairs)
    sends_null = rule.when_empty == "null" and not consent
    return _Step(rule.key, rule.column, take, read, sends_null=sends_null, is_consent=consent)


def _taking(column: str) -> Take:
    return lambda fields: fields.get(column, MISSING)


def _constant(rule: PropertyRule) -> Json:
    try:
        return reader(rule)(rule.value)
    except Unreadable as unreadable:
        wanted = f"that is of type {kind}" if (kind := kind_of(rule)) else "that the API has a type for"
        raise ConfigError(
            f"mapping.properties.{rule.key}.value: {unreadable.reason.phrase}. Write one {wanted}."
        ) from None


def _moment(rules: MappingRules, paths: Mapping[str, Take]) -> tuple[str, Take | None, Callable[[object], Json]] | None:
    rule = rules.request_datetime
    return None if rule is None else (rule.column, paths.get(rule.column), datetime_reader(rule.format, rule.timezone))


def _person(identity: Mapping[str, str]) -> Person:
    return tuple([f"{name}={value}" for name, value in identity.items()])


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
