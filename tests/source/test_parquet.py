"""A Parquet becomes records of Python's own values, and a damaged one a single line that quotes no cell."""

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from uploader.errors import InputError
from uploader.model import Row
from uploader.source import Source, open_source


def opened(path: Path) -> Source:
    return open_source(str(path), format="auto", encoding="auto", delimiter=",")


COLUMNS: list[tuple[str, pl.DataType, object, str]] = [
    ("text", pl.String(), "0101", "string"),
    ("category", pl.Categorical(), "gold", "string"),
    ("level", pl.Enum(["low", "high"]), "low", "string"),
    ("whole", pl.Int64(), 7, "long"),
    ("small", pl.UInt8(), 7, "long"),
    ("broken", pl.Float32(), 1.5, "double"),
    ("flag", pl.Boolean(), True, "boolean"),
    ("day", pl.Date(), date(2024, 2, 29), "date"),
    ("moment", pl.Datetime("us", "UTC"), datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC), "datetime"),
    ("wall", pl.Datetime("ms"), datetime(2024, 1, 2, 3, 4, 5), "naive datetime"),  # noqa: DTZ001 what is read is naive
    ("texts", pl.List(pl.String()), ["a", "b"], "array<string>"),
    ("longs", pl.List(pl.Int32()), [1, None], "array<long>"),
    ("doubles", pl.Array(pl.Float64(), 2), [0.5, 1.0], "array<double>"),
    ("flags", pl.List(pl.Boolean()), [True], "other"),
    ("nested", pl.List(pl.List(pl.Int64())), [[1]], "other"),
    ("money", pl.Decimal(10, 2), Decimal("1.50"), "other"),
    ("bytes", pl.Binary(), b"\0", "other"),
    ("record", pl.Struct({"a": pl.Int64()}), {"a": 1}, "other"),
    ("nothing", pl.String(), None, "string"),
]


def test_every_type_comes_as_pythons_own_value_with_a_word_for_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pl.DataFrame([pl.Series(name, [value], dtype) for name, dtype, value, _ in COLUMNS]).write_parquet(path)

    with opened(path) as source:
        found = list(source.read())

    assert found == [Row(1, {name: value for name, _, value, _ in COLUMNS})]
    assert source.kinds == {name: kind for name, _, _, kind in COLUMNS}
    assert (source.columns, source.is_retry) == (tuple(name for name, *_ in COLUMNS), False)


def test_rows_come_in_their_order_across_batches(tmp_path: Path) -> None:
    path = tmp_path / "year=2024" / "people[1].parquet"
    path.parent.mkdir()
    pl.DataFrame({"id": range(12_345)}).write_parquet(path, row_group_size=1000)

    with opened(path) as source:
        found = list(source.read())

    assert found == [Row(number, {"id": number - 1}) for number in range(1, 12_346)]


def test_a_file_without_rows_holds_no_records(tmp_path: Path) -> None:
    path = tmp_path / "people.pq"
    pl.DataFrame({"id": []}, schema={"id": pl.String}).write_parquet(path)

    with opened(path) as source:
        assert (source.columns, list(source.read())) == (("id",), [])


def test_the_fingerprint_tells_the_same_rows_from_others(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    digests = []

    for name in ("a", "a", "b"):
        pl.DataFrame({"id": [name]}).write_parquet(path)
        with opened(path) as source, source.read() as reading:
            list(reading)
        digests.append(reading.fingerprint.digest)

    assert digests[0] == digests[1] != digests[2]


def test_a_pass_can_be_left_before_its_end(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pl.DataFrame({"id": range(100_000)}).write_parquet(path, row_group_size=1000)

    with opened(path) as source, source.read() as reading:
        first = next(reading)

    assert (first, list(reading)) == (Row(1, {"id": 0}), [])


MESSAGE = "can't be read as Parquet: it is cut off, damaged, or holds what polars can't read. Write it anew."


def test_a_file_that_is_cut_off_is_refused_without_a_word_of_polars(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pl.DataFrame({"id": range(1000)}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(InputError) as refused:
        opened(path)

    assert str(refused.value) == f"{path} {MESSAGE}"


def test_a_file_with_damaged_pages_is_refused_without_a_word_of_polars(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pl.DataFrame({"id": [f"name {number}" for number in range(1000)]}).write_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 500 + content[504:])

    with opened(path) as source, pytest.raises(InputError) as refused:
        list(source.read())

    assert str(refused.value) == f"{path} {MESSAGE}"


def test_polars_is_loaded_for_a_parquet_only(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id\n1\n")
    program = (
        "import sys; from uploader.source import open_source;"
        "source = open_source('people.csv', format='auto', encoding='auto', delimiter=',');"
        "sys.exit('polars' in sys.modules or len(list(source.read())) != 1)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(Path.cwd())}, check=False
    )

    assert done.returncode == 0
