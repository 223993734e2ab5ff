from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from uploader.endpoints.window_headers import read_window
from uploader.model import WindowState

NOW = 1_719_397_700.0
DATE = "Wed, 26 Jun 2024 10:29:29 GMT"
DATED = 1_719_397_769.0
NOTHING = WindowState()


def read(headers: Mapping[str, str]) -> WindowState:
    return read_window(CIMultiDict(headers), now=lambda: NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Rate-Limit-Limit": "1m", "X-Rate-Limit-Remaining": "7", "X-Rate-Limit-Reset": "1719397800", "Date": DATE},
        {"x-ratelimit-limit": "1m", "x-ratelimit-remaining": "7", "x-ratelimit-reset": "1719397800", "date": DATE},
        {"X-RateLimit-Limit": "1m", "X-RATELIMIT-REMAINING": "7", "X-Ratelimit-Reset": "1719397800000", "DATE": DATE},
        {
            "x-rate-limit-limit": " 1 m ",
            "x-rate-limit-remaining": " 7 ",
            "x-rate-limit-reset": " 1719397800 ",
            "Date": DATE,
        },
    ],
    ids=["documented", "example", "milliseconds", "blanks"],
)
def test_the_window_is_read_in_every_spelling(headers: dict[str, str]) -> None:
    assert read(headers) == WindowState(period=60.0, remaining=7, reset=1_719_397_800.0, date=DATED)


@pytest.mark.parametrize(
    ("headers", "window"),
    [
        ({"X-Rate-Limit-Limit": "10000", "x-ratelimit-limit": "1m"}, WindowState(period=60.0)),
        ({"X-Rate-Limit-Remaining": "", "x-ratelimit-remaining": "7"}, WindowState(remaining=7)),
        ({"X-Rate-Limit-Reset": "soon", "x-ratelimit-reset": "1719397800"}, WindowState(reset=1_719_397_800.0)),
        ({"X-Rate-Limit-Remaining": "7", "x-ratelimit-remaining": "9"}, WindowState(remaining=7)),
    ],
)
def test_of_two_spellings_the_first_that_makes_sense_counts(headers: dict[str, str], window: WindowState) -> None:
    assert read(headers) == window


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("90s", 90),
        ("1m", 60),
        ("1M", 30 * 86_400),
        ("2H", 7_200),
        ("1d", 86_400),
        ("1y", 365 * 86_400),
        ("0m", None),
        ("1h", None),
        ("1D", None),
        ("-1m", None),
        ("1.5m", None),
        ("m", None),
        ("60", None),
        ("1 minute", None),
        ("1m1m", None),
        ("٣m", None),
        ("", None),
    ],
)
def test_the_period_is_a_number_and_a_unit_whose_case_counts(text: str, seconds: float | None) -> None:
    assert read({"x-ratelimit-limit": text}) == WindowState(period=seconds)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("9999", 9999), ("-1", None), ("1.0", None), ("many", None), ("²", None), ("", None), ("9" * 40, None)],
)
def test_what_remains_is_a_whole_number(text: str, number: int | None) -> None:
    assert read({"x-ratelimit-remaining": text}) == WindowState(remaining=number)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1719397769", 1_719_397_769.0),
        ("1682593200268", 1_682_593_200.268),
        ("99999999999", 99_999_999_999.0),
        ("100000000000", 100_000_000.0),
        ("0", 0.0),
        ("-5", None),
        ("2024-06-26T10:29:29Z", None),
        ("", None),
    ],
)
def test_seconds_and_milliseconds_are_told_apart_by_magnitude(text: str, seconds: float | None) -> None:
    assert read({"X-Rate-Limit-Reset": text}) == WindowState(reset=seconds)


@pytest.mark.parametrize(
    ("headers", "window"),
    [
        ({"Retry-After": "7"}, WindowState(retry_after=7.0)),
        ({"retry-after": " 0 "}, WindowState(retry_after=0.0)),
        ({"Retry-After": DATE}, WindowState(retry_after=DATED - NOW)),
        (
            {"Retry-After": "Wed, 26 Jun 2024 10:29:59 GMT", "Date": DATE},
            WindowState(date=DATED, retry_after=30.0),
        ),
        (
            {"Retry-After": "Wed, 26 Jun 2024 10:29:00 GMT", "Date": DATE},
            WindowState(date=DATED, retry_after=0.0),
        ),
        ({"Retry-After": "Wed, 26 Jun 2024 12:29:59 +0200", "Date": DATE}, WindowState(date=DATED, retry_after=30.0)),
        ({"Retry-After": "-7"}, NOTHING),
        ({"Retry-After": "1.5"}, NOTHING),
        ({"Retry-After": "later"}, NOTHING),
        ({"Retry-After": ""}, NOTHING),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_servers_own_clock(
    headers: dict[str, str], window: WindowState
) -> None:
    assert read(headers) == window


@pytest.mark.parametrize(
    "date",
    [
        "",
        "now",
        ",",
        "Wed, 31 Jun 2024 10:29:29 GMT",
        "Wed, 26 Jun 2024 10:29:29 +9999999999",
        "Wed, 26 Jun 99999999999999999999 10:29:29 GMT",
    ],
)
def test_a_date_that_makes_no_sense_is_absent(date: str) -> None:
    assert read({"Date": date, "Retry-After": date}) == NOTHING


_WORDS = st.sampled_from(
    ["Mon,", "01", "Jan", "2024", "00:00:00", "GMT", "+0000", "-", ":", ".", "9" * 20, "1s", "m", "²", "+-1", "-0"]
)
_VALUES = st.one_of(st.text(max_size=20), st.builds(str.join, st.sampled_from([" ", ""]), st.lists(_WORDS, max_size=7)))
_NAMES = st.sampled_from(["Date", "Retry-After", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"])


@given(st.dictionaries(_NAMES, _VALUES))
@example({"Date": "1-Jan-24 00:00:00 " + "9" * 20})
def test_no_header_breaks_the_reading(headers: dict[str, str]) -> None:
    window = read(headers)

    numbers = (window.period, window.remaining, window.reset, window.retry_after)
    assert all(number is None or number >= 0 for number in numbers)
