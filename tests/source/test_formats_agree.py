"""Hold the three formats to one meaning: the same table gives the same bodies, and those that a person would write."""

import csv
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, TypeAlias

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.batches import works_in_batches
from tests.make import identity_rules, opened
from tests.plans import compile_plan
from uploader.mapping.rules import MappingRules, MomentRule, PropertyRule
from uploader.model import Rejected

NOW: Final = "2026-06-01T00:00:00.000Z"
RULES: Final = MappingRules(
    identity=identity_rules({"external_id": "id", "email": "mail"}),
    properties=(
        PropertyRule("df_name", "이름", kind="string"),
        PropertyRule("age", "age", kind="long"),
        PropertyRule("score", "score", kind="double", when_empty="null"),
        PropertyRule("vip", "vip", kind="boolean"),
        PropertyRule("df_birth", "born", kind="date"),
        PropertyRule("joined", "joined", kind="datetime"),
        PropertyRule("tags", "tags", kind="array<string>"),
        PropertyRule("df_push_optin", "push", kind="boolean"),
    ),
    request_datetime=MomentRule("at"),
    # The identity values are any text here, and so seldom an address that a person has.
    sends_odd_identities=True,
)

Value: TypeAlias = str | int | float | bool | date | datetime | list[str] | None
"""What stands in a cell, in Python's own types; None is an absent value."""

Cells: TypeAlias = dict[str, Value]
Bodies: TypeAlias = list[bytes | str]
"""What becomes of each row: the body, or the code of its rejection."""

COLUMNS: Final[Mapping[str, Any]] = {
    "id": pl.String,
    "mail": pl.String,
    "이름": pl.String,
    "age": pl.Int64,
    "score": pl.Float64,
    "vip": pl.Boolean,
    "born": pl.Date,
    "joined": pl.Datetime("us", "UTC"),
    "tags": pl.List(pl.String),
    "push": pl.Boolean,
    "at": pl.Datetime("us", "Asia/Seoul"),
}

TEXTS: Final = st.text(
    st.one_of(
        st.sampled_from("a0 ,;'\"\n\r\t\\/{}[]:가힣é😀\u2028\x85\ufeff\xa0"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    min_size=1,
    max_size=12,
)
ZONES: Final = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS: Final = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES)  # noqa: DTZ001 — bounds
ROWS: Final = st.fixed_dictionaries(
    {
        "id": st.none() | TEXTS,
        "mail": st.none() | TEXTS,
        "이름": st.none() | TEXTS,
        "age": st.none() | st.integers(-(2**63), 2**63 - 1),
        "score": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "vip": st.none() | st.booleans(),
        "born": st.none() | st.dates(),
        "joined": st.none() | MOMENTS,
        "tags": st.none() | st.lists(TEXTS.map(lambda text: text.replace("|", "/")), min_size=1, max_size=3),
        "push": st.none() | st.booleans(),
        "at": MOMENTS,
    }
)


@dataclass(frozen=True)
class Table:
    """Rows, and how they are written: the columns in some order, some JSON values as texts, in some encoding."""

    rows: list[Cells]
    order: list[str]
    as_text: list[bool]
    encoding: str
    quote_all: bool
    line_end: str


TABLES: Final = st.builds(
    Table,
    rows=st.lists(ROWS, min_size=1, max_size=5),
    order=st.permutations(list(COLUMNS)),
    as_text=st.lists(st.booleans(), min_size=len(COLUMNS), max_size=len(COLUMNS)),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    quote_all=st.booleans(),
    line_end=st.sampled_from(["\r\n", "\n"]),
)


def text_of(value: Value) -> str:
    """Return *value* as a cell of a CSV says it."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return "|".join(value)
        case date():
            return value.isoformat()
        case _:
            return str(value)


def as_csv(table: Table) -> bytes:
    """Return *table* as the csv module writes it."""
    written = io.StringIO(newline="")
    # Minimal quoting leaves a \r bare where it is not part of the line end: no reader could tell it from one.
    dialect = csv.unix_dialect if table.quote_all or table.line_end == "\n" else csv.excel
    writer = csv.writer(written, dialect, lineterminator=table.line_end)
    writer.writerow(table.order)
    writer.writerows([text_of(row[column]) for column in table.order] for row in table.rows)
    return written.getvalue().encode(table.encoding)


def as_jsonl(table: Table) -> bytes:
    """Return *table* as the json module writes it, absent values as missing keys."""
    told = dict(zip(COLUMNS, table.as_text, strict=True))
    objects = [
        {
            column: text_of(row[column]) if told[column] or isinstance(row[column], date) else row[column]
            for column in table.order
            if row[column] is not None
        }
        for row in table.rows
    ]
    lines = [json.dumps(fields, ensure_ascii=table.quote_all) + table.line_end for fields in objects]
    return "".join(lines).encode(table.encoding)


def as_parquet(table: Table) -> bytes:
    """Return *table* as polars writes it."""
    written = io.BytesIO()
    moved = [
        {name: value.astimezone(UTC) if isinstance(value, datetime) else value for name, value in row.items()}
        for row in table.rows
    ]
    pl.DataFrame(
        {column: [row[column] for row in moved] for column in table.order},
        schema={column: COLUMNS[column] for column in table.order},
    ).write_parquet(written)
    return written.getvalue()


SEARCHED: Final = 200
"""So many tables find a writer that rounds; `make fuzz` tries as many others in each round."""

WRITERS: Final[Mapping[str, Callable[[Table], bytes]]] = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}


def bodies(suffix: str, content: bytes) -> Bodies:
    """Return what the program makes of a file with *content*, which is the same in batches."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"people.{suffix}"
        path.write_bytes(content)
        with opened(path) as source:
            plan = compile_plan(
                RULES,
                source=source.name,
                config="config.yaml",
                columns=source.columns,
                kinds=source.kinds,
                null_is_empty=source.format == "parquet",
            )
            carried = [plan.map_row(record, NOW) for record in source.read()]
            in_batches = works_in_batches(source, plan, NOW)
    assert in_batches == carried
    return [work.reason.code if isinstance(work, Rejected) else work.body for work in carried]


def by_hand(row: Cells) -> object:
    """Return what a person would send for *row*, its keys in order; or the code of its rejection."""
    identity = [(field, row[column]) for field, column in (("external_id", "id"), ("email", "mail")) if row[column]]
    if not identity:
        return "no_identity"
    properties: list[tuple[str, object]] = []
    for rule in RULES.properties:
        value = row[rule.column or ""]
        if value is not None or rule.when_empty == "null":
            properties.append((rule.key, told(value)))
    return repr([("identity", identity), ("user_properties", properties), ("request_datetime", told(row["at"]))])


def told(value: Value) -> Value:
    """Return *value* as JSON says it: points in time in UTC, cut to the millisecond."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        return (
            f"{moment.date()}T{moment.hour:02}:{moment.minute:02}:{moment.second:02}.{moment.microsecond // 1000:03}Z"
        )
    return value.isoformat() if isinstance(value, date) else value


def parsed(body: bytes | str) -> object:
    """Return *body* as the json module reads it, every key in its place, 1 and 1.0 and true apart."""
    return body if isinstance(body, str) else repr(json.loads(body, object_pairs_hook=list))


def agree(table: Table) -> None:
    """Assert that the three formats of *table* give the same bodies, and the right ones."""
    found = {suffix: bodies(suffix, write(table)) for suffix, write in WRITERS.items()}

    assert found["jsonl"] == found["csv"]
    assert found["parquet"] == found["csv"]
    assert [parsed(body) for body in found["csv"]] == [by_hand(row) for row in table.rows]


@pytest.fixture(autouse=True)
def trusted_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try the expressions of the plan for none of thousands of files: tests/mapping tries them."""
    monkeypatch.setattr("uploader.mapping.columnar_plan.differing_expression", lambda *_: None)


@settings(max_examples=SEARCHED)
@given(TABLES)
def test_the_three_formats_of_a_table_give_the_same_bodies(table: Table) -> None:
    agree(table)


@pytest.mark.slow
def test_a_writer_that_rounds_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def rounded(table: Table) -> bytes:
        return as_csv(Table(**{**vars(table), "rows": [row | {"age": _rounded(row["age"])} for row in table.rows]}))

    monkeypatch.setitem(WRITERS, "csv", rounded)

    with pytest.raises(AssertionError):
        _search(agree)


def _rounded(value: Value) -> Value:
    return int(float(value)) if isinstance(value, int) else value


def _search(law: Callable[[Table], None]) -> None:
    @settings(max_examples=SEARCHED, phases=[Phase.generate], derandomize=True)
    @given(TABLES)
    def searched(table: Table) -> None:
        law(table)

    searched()
