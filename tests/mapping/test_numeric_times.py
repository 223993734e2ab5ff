"""How epoch seconds, epoch milliseconds and the days of Excel are read, alone and together."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.make import opened
from uploader.mapping.datetimes import date_reader, datetime_reader
from uploader.mapping.value_errors import Unreadable
from uploader.model import Reason, Row, WrittenFloat

SEOUL = "Asia/Seoul"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALL = ("unix_ms", "unix", "excel", "%Y-%m-%d %p %I:%M")


def moment(value: object, *formats: str, timezone: str | None = None) -> str | Reason:
    try:
        return datetime_reader(formats, timezone)(value)
    except Unreadable as unreadable:
        return unreadable.reason


def day(value: object, *formats: str, timezone: str | None = None) -> str | Reason:
    try:
        return date_reader(formats, timezone=timezone)(value)
    except Unreadable as unreadable:
        return unreadable.reason


def not_datetime(*formats: str) -> Reason:
    return Reason("not_datetime", f"not a date and time ({', '.join(formats)})")


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        ("1709631000", "unix", "2024-03-05T09:30:00.000Z"),
        (1709631000, "unix", "2024-03-05T09:30:00.000Z"),
        (1709631000.5, "unix", "2024-03-05T09:30:00.500Z"),
        ("1709631000.123999", "unix", "2024-03-05T09:30:00.123Z"),
        (WrittenFloat("1.709631e9"), "unix", "2024-03-05T09:30:00.000Z"),
        ("0", "unix", "1970-01-01T00:00:00.000Z"),
        ("-0.0001", "unix", "1969-12-31T23:59:59.999Z"),
        ("1709631000123", "unix_ms", "2024-03-05T09:30:00.123Z"),
        (1709631000123, "unix_ms", "2024-03-05T09:30:00.123Z"),
        ("1709631000123.9", "unix_ms", "2024-03-05T09:30:00.123Z"),
        ("-1709631000123", "unix_ms", "1915-10-29T14:29:59.877Z"),
        ("0", "unix_ms", "1970-01-01T00:00:00.000Z"),
        ("253402300799999", "unix_ms", "9999-12-31T23:59:59.999Z"),
        ("1709631000123999", "unix_us", "2024-03-05T09:30:00.123Z"),
        (1709631000123999.0, "unix_us", "2024-03-05T09:30:00.123Z"),
        ("253402300799999999", "unix_us", "9999-12-31T23:59:59.999Z"),
    ],
    ids=repr,
)
def test_an_epoch_number_is_a_moment_in_utc_whatever_the_zone(value: object, form: str, expected: str) -> None:
    assert moment(value, form) == expected
    assert moment(value, form, timezone=SEOUL) == expected


@pytest.mark.parametrize("form", ["unix", "unix_ms", "excel"])
@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "x",
            "1e9",
            "+1709631000",
            "1709631000.",
            ".5",
            " 1709631000",
            "1,709,631,000",
            "\u0661",
            True,
            None,
            [1],
        ),
        *(float("nan"), float("inf"), 1e300, 10**40, "9" * 15, "9" * 40, WrittenFloat("1e99")),
    ],
    ids=repr,
)
def test_what_is_no_plain_number_or_of_no_year_is_refused(form: str, value: object) -> None:
    assert moment(value, form, timezone=SEOUL) == not_datetime(form)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("45356", "2024-03-05T00:00:00.000Z"),
        (45356, "2024-03-05T00:00:00.000Z"),
        (45356.0, "2024-03-05T00:00:00.000Z"),
        ("45356.5", "2024-03-05T12:00:00.000Z"),
        ("45356.63333", "2024-03-05T15:12:00.000Z"),
        ("45356.6333333333", "2024-03-05T15:12:00.000Z"),
        (45356.633333333331, "2024-03-05T15:12:00.000Z"),
        ("45356.00000579", "2024-03-05T00:00:00.500Z"),
        ("45356.9999999999", "2024-03-06T00:00:00.000Z"),
        ("1", "1900-01-01T00:00:00.000Z"),
        ("59", "1900-02-28T00:00:00.000Z"),
        ("61", "1900-03-01T00:00:00.000Z"),
        ("2958465", "9999-12-31T00:00:00.000Z"),
    ],
    ids=repr,
)
def test_a_day_of_excel_is_a_local_time(value: object, expected: str) -> None:
    assert moment(value, "excel", timezone="UTC") == expected
    assert day(value, "excel") == expected[:10]
    assert moment(value, "excel") == Reason("no_zone", "a time with neither an offset nor a `timezone` in its mapping")


@pytest.mark.parametrize("value", ["60", "60.5", 60, "0", "0.5", "-1", "2958466", "1709631000", "20240305"], ids=repr)
def test_what_is_no_day_of_excel_is_refused(value: object) -> None:
    assert moment(value, "excel", timezone="UTC") == not_datetime("excel")
    assert day(value, "excel") == Reason("not_date", "not a date (excel)")


@given(st.dates(date(1900, 3, 1)))
def test_a_day_of_excel_counts_days_from_the_thirtieth_of_december_1899(found: date) -> None:
    assert day((found - date(1899, 12, 30)).days, "excel") == found.isoformat()


@given(st.datetimes(datetime(1900, 3, 1), datetime(9999, 12, 31)).map(lambda found: found.replace(microsecond=0)))  # noqa: DTZ001 — Excel knows no zones
def test_a_second_that_excel_holds_as_a_double_reads_back(found: datetime) -> None:
    number = (found - datetime(1899, 12, 30)) / timedelta(days=1)  # noqa: DTZ001 — as above

    assert moment(number, "excel", timezone="UTC") == found.isoformat() + ".000Z"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1709631000000", "2024-03-05T09:30:00.000Z"),
        ("1709631000", "2024-03-05T09:30:00.000Z"),
        ("45356.5", "2024-03-05T03:00:00.000Z"),
        ("2958465", "9999-12-30T15:00:00.000Z"),
        ("2958466", "1970-02-04T05:47:46.000Z"),
        ("99999999999", "5138-11-16T09:46:39.000Z"),
        ("100000000000", "1973-03-03T09:46:40.000Z"),
        ("2024-03-05 오후 3:12", "2024-03-05T06:12:00.000Z"),
        ("60", not_datetime(*ALL)),
        ("2024-03-05 15:12", not_datetime(*ALL)),
    ],
)
def test_numeric_formats_together_are_told_apart_by_their_magnitude(value: str, expected: str | Reason) -> None:
    assert moment(value, *ALL, timezone=SEOUL) == expected
    assert moment(value, *(ALL[place] for place in (2, 1, 0, 3)), timezone=SEOUL) == (
        expected if isinstance(expected, str) else not_datetime(*(ALL[place] for place in (2, 1, 0, 3)))
    )


@pytest.mark.parametrize("value", ["1709631000", 1709631000, "100000000", "99999999999", "-1709631000"], ids=repr)
def test_seconds_where_milliseconds_are_expected_are_no_time_in_1970(value: object) -> None:
    assert moment(value, "unix_ms") == not_datetime("unix_ms")
    assert isinstance(day(value, "unix_ms", timezone="UTC"), str)


@pytest.mark.parametrize("value", ["1709631000", "1709631000123", "99999999999999"])
def test_larger_units_where_microseconds_are_expected_are_no_time_in_1970(value: str) -> None:
    assert moment(value, "unix_us") == not_datetime("unix_us")
    assert isinstance(day(value, "unix_us", timezone="UTC"), str)


@pytest.mark.parametrize("value", ["1709631000", "1709631000000", "1709631000000000"])
def test_in_a_list_the_magnitude_tells_the_units_of_an_epoch_apart(value: str) -> None:
    assert moment(value, "unix_us", "unix_ms", "unix") == "2024-03-05T09:30:00.000Z"
    assert moment(value, "unix", "unix_ms", "unix_us") == "2024-03-05T09:30:00.000Z"


@pytest.mark.parametrize(
    ("value", "timezone", "expected"),
    [
        ("636595200", None, "1990-03-05"),
        ("636562800", SEOUL, "1990-03-05"),
        ("636562800", "UTC", "1990-03-04"),
        (
            "636562800",
            None,
            Reason("no_zone", "a moment whose date depends on the zone; its mapping needs `timezone`"),
        ),
        ("253402300799", SEOUL, Reason("not_date", "not a date (unix)")),
    ],
)
def test_the_date_of_an_epoch_number_is_that_of_the_zone(
    value: str, timezone: str | None, expected: str | Reason
) -> None:
    assert day(value, "unix", timezone=timezone) == expected


@given(st.integers(-(10**10), 10**11 - 1))
@example(0)
def test_seconds_and_milliseconds_of_one_moment_are_read_alike(seconds: int) -> None:
    found = moment(seconds, "unix")

    assert found == (EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat() + ".000Z"
    if not 10**5 <= abs(seconds) < 10**8:
        assert moment(f"{seconds}000", "unix_ms") == found


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet"])
def test_numbers_mean_the_same_in_every_format_of_a_file(name: str, tmp_path: Path) -> None:
    columns = {"whole": [1709631000, 45356], "part": [1709631000.25, 45356.5], "digits": [20240305, 19900102]}
    path = tmp_path / name
    frame = pl.DataFrame(columns)
    match path.suffix:
        case ".csv":
            frame.write_csv(path)
        case ".jsonl":
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        case _:
            frame.write_parquet(path)

    with opened(path) as source:
        rows_read = [record.fields for record in source.read() if isinstance(record, Row)]

    assert [moment(row["whole"], "unix", "excel", timezone="UTC") for row in rows_read] == [
        "2024-03-05T09:30:00.000Z",
        "2024-03-05T00:00:00.000Z",
    ]
    assert [moment(row["part"], "unix", "excel", timezone="UTC") for row in rows_read] == [
        "2024-03-05T09:30:00.250Z",
        "2024-03-05T12:00:00.000Z",
    ]
    assert [day(row["digits"], "%Y%m%d") for row in rows_read] == ["2024-03-05", "1990-01-02"]
