"""Cells count as filled in a table as they do in its rows."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uploader.batch import Batch, CellForm
from uploader.check.column_profile import ColumnProfile
from uploader.check.filled_cells import filled_cells
from uploader.mapping.good_rows import GoodRows
from uploader.model import Request, Row
from uploader.source.parquet_types import with_integers
from uploader.source.parquet_values import rows_of

FEW = ["", "-"]
MANY = ["", "-", 'é"\\', "null", "NULL", "none", "1"]


def good_rows(table: pl.DataFrame, form: CellForm, rows: list[Row]) -> GoodRows:
    numbers = pl.Series(range(1, table.height + 1), dtype=pl.Int64)
    batch = Batch(1, table.height, table, form, numbers, [], rows.__getitem__)
    return GoodRows(batch, numbers, table, table.select(), pl.Series(['{"a":true'] * table.height, dtype=pl.String))


def assert_same(columns: list[str] | None, mapped: list[str], empty: list[str], good: GoodRows) -> None:
    """Assert that the rows of *good* are counted the same one by one and all at once."""
    one_by_one, at_once = (ColumnProfile(columns, mapped=mapped, null_values=empty) for _ in range(2))
    rows = [good.batch.row(at) for at in range(good.count)]
    for row in rows:
        one_by_one.add_row(row, Request(row, (), b'{"a":true}'))
    # New keys come as rows.
    first = next((row for row in rows if at_once.wants_rows(good.batch)), None)
    if first is not None:
        for row in rows:
            at_once.add_row(row, Request(row, (), b'{"a":true}'))
    at_once.add_good(good)
    if first is not None:
        for row in rows:
            one_by_one.add_row(row, Request(row, (), b'{"a":true}'))

    assert at_once.totals() == one_by_one.totals()
    assert [*at_once.totals().columns] == [*one_by_one.totals().columns]


_VALUE = st.one_of(
    st.none(),
    st.sampled_from(MANY),
    st.text(max_size=3),
    st.integers(),
    st.booleans(),
    st.lists(st.integers(), max_size=2),
)


@given(
    st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys("abc", _VALUE)), min_size=1),
    st.booleans(),
    st.sampled_from([FEW, MANY, []]),
)
@settings(max_examples=60)
def test_tokens_of_json(objects: list[dict[str, object]], ascii_only: bool, empty: list[str]) -> None:  # noqa: FBT001 — how json writes
    objects = [{"id": "x", **one} for one in objects]
    names = dict.fromkeys(name for one in objects for name in one)
    table = pl.DataFrame(
        {
            name: [json.dumps(one[name], ensure_ascii=ascii_only) if name in one else None for one in objects]
            for name in names
        },
        schema=dict.fromkeys(names, pl.String),
    )
    rows = [Row(number, one) for number, one in enumerate(objects, 1)]

    assert_same(None, ["id", "a.b", "gone"], empty, good_rows(table, "json", rows))


def test_each_spelling_of_an_empty_text_in_json_is_empty() -> None:
    table = pl.DataFrame({"a": ['"-"', '"\\u002d"', '"\\u002D"', '"--"', "null", None, '"\\\\"', "[]", "0"]})

    assert filled_cells(table, "json", ["a"], FEW) == {"a": 4}


@pytest.mark.parametrize("empty", [FEW, MANY, []])
def test_texts_of_a_csv(empty: list[str]) -> None:
    table = pl.DataFrame({"a": ["", "-", "x", "NULL", " "], "b": ["1", "2", "", "", ""]})
    rows = [Row(number, fields) for number, fields in enumerate(table.to_dicts(), 1)]

    assert_same(["a", "b", "c"], ["a"], empty, good_rows(table, "text", rows))


@pytest.mark.parametrize("empty", [FEW, MANY])
def test_values_of_a_parquet_file_and_of_its_structs(empty: list[str]) -> None:
    table = pl.DataFrame(
        {
            "text": ["", "x", None, "-"],
            "word": pl.Series(["", "x", None, "none"], dtype=pl.Categorical),
            "enum": pl.Series(["-", "x", None, "x"], dtype=pl.Enum(["-", "x"])),
            "number": [1, 2, None, 3],
            "real": [float("nan"), 1.0, None, 2.0],
            "time": [datetime(2024, 1, 1, tzinfo=UTC), None, None, None],
            "list": [["-"], [], None, [""]],
            "struct": [{"a": "", "b": {"c": 1}}, {"a": "x", "b": None}, None, {"a": None, "b": {"c": None}}],
        }
    )
    rows = [Row(number, fields) for number, fields in enumerate(rows_of(with_integers(table)), 1)]
    mapped = ["text", "struct.a", "struct.b.c", "struct.gone", "number.x", "list.y", "nowhere.z"]

    assert_same(table.columns, mapped, empty, good_rows(table, "typed", rows))


def test_consents_that_are_true_are_counted_by_their_bodies() -> None:
    bodies = [
        b'{"df_push_optin":true,"a":1}',
        b'{"df_sms_ads_optin":true,"df_push_optin":true}',
        b'{"x":"\\"df_push_optin\\":true"}',
    ]
    table = pl.DataFrame({"a": ["1", "2", "3"]})
    rows = [Row(number, {"a": str(number)}) for number in (1, 2, 3)]
    good = good_rows(table, "text", rows)
    good = GoodRows(good.batch, good.numbers, table, table.select(), pl.Series([body.decode() for body in bodies]))
    one_by_one, at_once = (ColumnProfile(["a"], mapped=["a"], null_values=[]) for _ in range(2))

    for row, body in zip(rows, bodies, strict=True):
        one_by_one.add_row(row, Request(row, (), body))
    at_once.add_good(good)

    assert at_once.totals() == one_by_one.totals()
    assert at_once.totals().consents["df_push_optin"] == 2
