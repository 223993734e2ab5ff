"""A Parquet becomes records of Python's own values, and a damaged one a single line that quotes no cell."""

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.make import opened
from uploader.errors import InputError
from uploader.model import Row
from uploader.source import Source
from uploader.source.parquet_values import OutOfRange

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
    assert source.kinds == {name: kind for name, _, _, kind in COLUMNS} | {"record.a": "long"}
    assert (source.columns, source.is_retry) == (tuple(name for name, *_ in COLUMNS), False)


def read_back(folder: Path, *columns: pl.Series) -> Source:
    pl.DataFrame(columns).write_parquet(folder / "people.parquet")
    return opened(folder / "people.parquet")


def test_what_is_within_structs_has_a_kind_of_its_own(tmp_path: Path) -> None:
    address = pl.Struct({"city": pl.String(), "at": pl.Struct({"lat": pl.Float64()}), "tags": pl.List(pl.String())})
    value = {"city": "서울", "at": {"lat": 37.5}, "tags": ["a"]}

    with read_back(tmp_path, pl.Series("a", [value], address), pl.Series("a.city", [1])) as source:
        found = list(source.read())

    assert source.columns == ("a", "a.city")
    assert source.kinds == {
        "a": "other",
        "a.city": "long",
        "a.at": "other",
        "a.at.lat": "double",
        "a.tags": "array<string>",
    }
    assert found == [Row(1, {"a": value, "a.city": 1})]


RARE: list[tuple[pl.DataType, object, object, str]] = [
    (pl.Int8(), -128, -128, "long"),
    (pl.UInt64(), 2**64 - 1, 2**64 - 1, "long"),
    (pl.Float32(), 0.1, 0.10000000149011612, "double"),
    (pl.Float32(), float("inf"), float("inf"), "double"),
    (pl.Time(), time(1, 2, 3), time(1, 2, 3), "other"),
    (pl.Duration("ms"), timedelta(hours=1), timedelta(hours=1), "other"),
    (pl.Decimal(38, 2), Decimal("-0.50"), Decimal("-0.50"), "other"),
    (pl.Decimal(38, 0), Decimal(10**37), 10**37, "long"),
    (pl.Decimal(5, 0), Decimal(-7), -7, "long"),
    (pl.List(pl.Decimal(5, 0)), [Decimal(1), None], [1, None], "array<long>"),
    (pl.Array(pl.Decimal(5, 0), 1), [Decimal(1)], [1], "array<long>"),
    (pl.List(pl.Decimal(5, 1)), [Decimal("1.0")], [Decimal("1.0")], "other"),
    (pl.Binary(), b"\xff", b"\xff", "other"),
    (pl.Binary(), "서울".encode(), "서울".encode(), "binary text"),
    (pl.Null(), None, None, "other"),
    (pl.Datetime("ns", "Asia/Seoul"), 1, datetime(1970, 1, 1, tzinfo=UTC), "datetime"),
    (pl.List(pl.Struct({"key": pl.String(), "value": pl.Int64()})), [{"key": "a", "value": 1}], None, "other"),
    (pl.Array(pl.String(), 1), ["a"], ["a"], "array<string>"),
    (pl.List(pl.UInt64()), [2**64 - 1], [2**64 - 1], "array<long>"),
    (pl.List(pl.Date()), [date(2024, 1, 1)], None, "other"),
]


@pytest.mark.parametrize(("dtype", "value", "expected", "kind"), RARE, ids=lambda value: str(value)[:30])
def test_rare_types_come_exactly_as_they_are_stored(
    tmp_path: Path, dtype: pl.DataType, value: object, expected: object, kind: str
) -> None:
    with read_back(tmp_path, pl.Series("a", [value, None], dtype)) as source:
        found = list(source.read())

    assert source.kinds == {"a": kind}
    assert found == [Row(1, {"a": value if expected is None else expected}), Row(2, {"a": None})]


@pytest.mark.parametrize(
    ("dtype", "count", "spelled"),
    [
        (pl.Date(), 2_932_897, "2932897 days"),
        (pl.Date(), -719_163, "-719163 days"),
        (pl.Datetime("us", "Asia/Seoul"), 10**18, f"{10**18} us"),
        (pl.Datetime("ms"), 2**63 - 1, f"{2**63 - 1} ms"),
        (pl.Datetime("us"), -(10**18), f"{-(10**18)} us"),
        (pl.Duration("ms"), 2**63 - 1, f"{2**63 - 1} ms"),
    ],
    ids=str,
)
def test_a_moment_that_python_does_not_know_is_told_and_its_neighbours_are_whole(
    tmp_path: Path, dtype: pl.DataType, count: int, spelled: str
) -> None:
    with read_back(tmp_path, pl.Series("at", [0, count, None], dtype), pl.Series("id", ["a", "b", "c"])) as source:
        first, far, empty = (record.fields for record in source.read() if isinstance(record, Row))

    assert isinstance(first["at"], date | datetime | timedelta)
    assert (str(far["at"]), far["id"], empty) == (spelled, "b", {"at": None, "id": "c"})
    assert isinstance(far["at"], OutOfRange)


@pytest.mark.parametrize(
    ("dtype", "day"),
    [(pl.Date(), date(9999, 12, 31)), (pl.Date(), date(1, 1, 1)), (pl.Datetime("ns"), date(2262, 4, 11))],
)
def test_the_first_and_the_last_day_are_days(tmp_path: Path, dtype: pl.DataType, day: date) -> None:
    with read_back(tmp_path, pl.Series("at", [day], pl.Date()).cast(dtype)) as source:
        (row,) = source.read()

    assert isinstance(row, Row)
    assert str(row.fields["at"])[:10] == str(day)


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


MESSAGE = "can't be read as Parquet: it is cut off, damaged, or holds what polars can't read. Write it again."


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


def test_a_decimal_without_a_fraction_is_an_integer_within_a_struct_too(tmp_path: Path) -> None:
    dtype = pl.Struct({"id": pl.Decimal(20, 0), "rate": pl.Decimal(5, 2)})
    value = {"id": Decimal(10**19), "rate": Decimal("1.50")}

    with read_back(tmp_path, pl.Series("a", [value], dtype)) as source:
        (row,) = source.read()

    assert isinstance(row, Row)
    assert row.fields == {"a": {"id": 10**19, "rate": Decimal("1.50")}}
    assert isinstance(row.fields["a"], dict)
    assert type(row.fields["a"]["id"]) is int
    assert source.kinds == {"a": "other", "a.id": "long", "a.rate": "other"}
