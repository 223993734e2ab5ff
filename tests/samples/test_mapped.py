"""Hold the three samples to one meaning: whatever the format, the same bodies go out."""

import csv
import json
from pathlib import Path

import polars as pl
import pytest

from tests.plans import compile_plan
from uploader.config import load
from uploader.model import Reason, Rejected, Row

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
NOW = "2026-06-01T00:00:00.000Z"
CUT_OFF = 2345

Fields = dict[str, object]


@pytest.fixture(scope="module")
def csv_fields() -> list[Fields]:
    with (SAMPLES / "profiles.csv").open(encoding="utf-8", newline="") as file:
        return [dict(line) for number, line in enumerate(csv.DictReader(file), start=1) if number != CUT_OFF]


@pytest.fixture(scope="module")
def jsonl_fields() -> list[Fields]:
    lines = (SAMPLES / "profiles.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for number, line in enumerate(lines, start=1) if number != CUT_OFF]


@pytest.fixture(scope="module")
def parquet_fields() -> list[Fields]:
    return pl.read_parquet(SAMPLES / "profiles.parquet").to_dicts()


def test_the_three_formats_make_the_same_bodies(
    csv_fields: list[Fields], jsonl_fields: list[Fields], parquet_fields: list[Fields]
) -> None:
    whole = [fields for number, fields in enumerate(parquet_fields, start=1) if number != CUT_OFF]

    from_csv = _carried(csv_fields)

    assert _carried(jsonl_fields) == from_csv
    assert _carried(whole, null_is_empty=True) == from_csv


def test_just_the_eight_broken_rows_are_rejected(parquet_fields: list[Fields]) -> None:
    carried = _carried(parquet_fields, null_is_empty=True)

    assert [number for number, result in enumerate(carried, start=1) if isinstance(result, Reason)] == [
        *(150, 480, 777, 1024),
        *(1500, 1999, 2345, 2800),
    ]


def _carried(records: list[Fields], *, null_is_empty: bool = False) -> list[object]:
    """Return what becomes of each record under the project's own configuration: the body, or why there is none."""
    rules = load(ROOT / "config.yaml", environ={}, credentials=False).rules()
    plan = compile_plan(
        rules,
        source="profiles",
        config="config.yaml",
        columns=None,
        null_is_empty=null_is_empty,
    )
    results: list[object] = []
    for number, fields in enumerate(records, start=1):
        carried = plan.map_row(Row(number, fields), NOW)
        results.append(carried.reason if isinstance(carried, Rejected) else json.loads(carried.body))
    return results
