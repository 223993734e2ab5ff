"""What a format reads that strptime does not, and how several formats work together."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.mapping.datetime_patterns import directives
from uploader.mapping.datetimes import date_reader, datetime_reader
from uploader.mapping.value_errors import Unreadable
from uploader.model import Reason


def moment(text: object, *formats: str, timezone: str | None = "UTC", pivot: int | None = None) -> str | Reason:
    try:
        return datetime_reader(formats, timezone, pivot=pivot)(text)
    except Unreadable as unreadable:
        return unreadable.reason


def day(text: object, *formats: str, pivot: int | None = None) -> str | Reason:
    try:
        return date_reader(formats, pivot=pivot)(text)
    except Unreadable as unreadable:
        return unreadable.reason


def not_datetime(form: str) -> Reason:
    return Reason("not_datetime", f"not a date and time ({form})")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-05 오후 3:12:00", "2024-03-05T15:12:00.000Z"),
        ("2024-03-05 오전 03:12:00", "2024-03-05T03:12:00.000Z"),
        ("2024-03-05 오전 12:01:00", "2024-03-05T00:01:00.000Z"),
        ("2024-03-05 오후 12:01:00", "2024-03-05T12:01:00.000Z"),
        ("2024-03-05 PM 3:12:00", "2024-03-05T15:12:00.000Z"),
        ("2024-03-05 pm 3:12:00", "2024-03-05T15:12:00.000Z"),
        ("2024-03-05 Am 3:12:00", "2024-03-05T03:12:00.000Z"),
        ("2024-03-05 p.m. 3:12:00", "2024-03-05T15:12:00.000Z"),
        ("2024-03-05 A.M. 3:12:00", "2024-03-05T03:12:00.000Z"),
    ],
)
def test_the_half_of_the_day_is_read_in_korean_and_english_in_any_case(text: str, expected: str) -> None:
    assert moment(text, "%Y-%m-%d %p %I:%M:%S") == expected
    assert moment(f"Tue {text}", "%a %Y-%m-%d %p %I:%M:%S") == expected


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-05 오후 13:12:00",
        "2024-03-05 오후 0:12:00",
        "2024-03-05 저녁 3:12:00",
        "2024-03-05 3:12:00",
        "2024-03-05 오 3:12:00",
        "2024-03-05 PMPM 3:12:00",
    ],
)
def test_an_hour_that_no_half_of_the_day_has_is_refused(text: str) -> None:
    form = "%Y-%m-%d %p %I:%M:%S"

    assert moment(text, form) == not_datetime(form)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-05 09:30:00", "2024-03-05T09:30:00.000Z"),
        ("2024-03-05 09:30:00.1", "2024-03-05T09:30:00.100Z"),
        ("2024-03-05 09:30:00.123456", "2024-03-05T09:30:00.123Z"),
        ("2024-03-05 09:30:00.123456789", "2024-03-05T09:30:00.123Z"),
        ("2024-03-05 09:30:00.", not_datetime("%Y-%m-%d %H:%M:%S.%f")),
        ("2024-03-05 09:30:00.1234567890", not_datetime("%Y-%m-%d %H:%M:%S.%f")),
        ("2024-03-05 09:30:00,1", not_datetime("%Y-%m-%d %H:%M:%S.%f")),
    ],
)
def test_a_fraction_of_a_second_may_be_missing(text: str, expected: str | Reason) -> None:
    assert moment(text, "%Y-%m-%d %H:%M:%S.%f") == expected


@given(st.datetimes(datetime(1000, 1, 1)), st.integers(0, 6))  # noqa: DTZ001 — the zone is that of the mapping
def test_a_fraction_of_any_length_is_cut_to_the_millisecond(found: datetime, digits: int) -> None:
    written = f"{found:%d.%m.}{found.year:04} {found:%H:%M:%S}" + f".{found.microsecond:06}"[: digits + 1].rstrip(".")
    kept = found.replace(microsecond=int(f"{found.microsecond:06}"[:digits].ljust(6, "0")))

    assert moment(written, "%d.%m.%Y %H:%M:%S.%f") == kept.isoformat(timespec="milliseconds") + "Z"
    assert moment(f"{written} Tue", "%d.%m.%Y %H:%M:%S.%f %a") == kept.isoformat(timespec="milliseconds") + "Z"


@pytest.mark.parametrize("zone", ["UTC", "utc", "Z", "z", "GMT", "+0000", "+00:00", "+00", "-00:00"])
def test_the_words_for_utc_are_offsets_with_and_without_a_format(zone: str) -> None:
    for text in (f"2024-03-05 09:30:00 {zone}", f"2024-03-05T09:30:00.000{zone}"):
        assert moment(text, timezone="Asia/Seoul") == "2024-03-05T09:30:00.000Z"
    text = f"2024-03-05 09:30:00 {zone}"
    assert moment(text, "%Y-%m-%d %H:%M:%S %z", timezone="Asia/Seoul") == "2024-03-05T09:30:00.000Z"


@pytest.mark.parametrize("zone", ["KST", "EST", "UTC+9", " UTC", "Asia/Seoul", "+9", "+090", "UT"])
def test_no_other_word_is_an_offset(zone: str) -> None:
    form = "%Y-%m-%d %H:%M:%S%z"

    assert moment(f"2024-03-05 09:30:00{zone}") == not_datetime("ISO 8601") or zone == " UTC"
    assert moment(f"2024-03-05 09:30:00{zone}", form) == not_datetime(form)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1990.03.05", "1990-03-05"),
        ("1991-04-06", "1991-04-06"),
        ("19920507", "1992-05-07"),
        (19920507, "1992-05-07"),
        ("1900.02.30", Reason("not_date", "not a date (%Y.%m.%d, %Y-%m-%d, %Y%m%d)")),
        ("05/07/1992", Reason("not_date", "not a date (%Y.%m.%d, %Y-%m-%d, %Y%m%d)")),
        (1992.0, Reason("not_date", "not a date (%Y.%m.%d, %Y-%m-%d, %Y%m%d)")),
    ],
    ids=repr,
)
def test_the_first_format_that_reads_a_value_counts(text: object, expected: str | Reason) -> None:
    assert day(text, "%Y.%m.%d", "%Y-%m-%d", "%Y%m%d") == expected


def test_where_two_formats_read_a_text_the_earlier_one_wins() -> None:
    assert day("03/04/2024", "%d/%m/%Y", "%m/%d/%Y") == "2024-04-03"
    assert day("03/04/2024", "%m/%d/%Y", "%d/%m/%Y") == "2024-03-04"


@pytest.mark.parametrize(
    ("text", "pivot", "expected"),
    [
        ("300101", 30, "2030-01-01"),
        ("310101", 30, "1931-01-01"),
        ("000101", 0, "2000-01-01"),
        ("010101", 0, "1901-01-01"),
        ("990101", 99, "2099-01-01"),
        ("680101", None, "2068-01-01"),
        ("690101", None, "1969-01-01"),
    ],
)
def test_a_year_of_two_digits_is_of_20xx_up_to_the_pivot(text: str, pivot: int | None, expected: str) -> None:
    assert day(text, "%y%m%d", pivot=pivot) == expected
    assert day(f"Tue {text}", "%a %y%m%d", pivot=pivot) == expected
    assert day(f"{text[2:4]}/{text[4:]}/{text[:2]}", "%x", pivot=pivot) == expected
    assert moment(f"{text} 00:00", "%y%m%d %H:%M", pivot=pivot) == f"{expected}T00:00:00.000Z"


@given(st.integers(0, 99), st.integers(0, 99))
def test_every_pivot_leaves_a_year_its_two_digits_and_orders_the_rest(short: int, pivot: int) -> None:
    found = day(f"{short:02}0615", "%y%m%d", pivot=pivot)

    assert found == f"{2000 + short if short <= pivot else 1900 + short}-06-15"


def test_the_shorthands_of_strptime_are_written_out_where_they_are_no_escaped_percent() -> None:
    assert directives("%x %%x %c") == [
        *("%m", "/", "%d", "/", "%y", " ", "%%", "x "),
        *("%a", " ", "%b", " ", "%d", " ", "%H", ":", "%M", ":", "%S", " ", "%Y"),
    ]
