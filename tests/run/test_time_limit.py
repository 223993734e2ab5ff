"""Know when the clock shows a time next, and whether the rows fit until then."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.clock import real_clock
from uploader.errors import TimeUpError
from uploader.rate import Pace
from uploader.run.time_limit import Deadline, moment_text, next_time
from uploader.stop import Stop

PACE = Pace(burst=4, rate=10.0, concurrency=8)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Let the machine be in another zone."""

    def be_in(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield be_in
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("now", "hour", "minute", "comes"),
    [
        ("2024-03-05T02:15:00+01:00", 5, 0, "2024-03-05T05:00:00+01:00"),
        ("2024-03-05T05:00:00+01:00", 5, 0, "2024-03-06T05:00:00+01:00"),
        ("2024-03-05T23:59:59.900000+01:00", 0, 0, "2024-03-06T00:00:00+01:00"),
        # Clocks are put forward on 31 March 2024 at 2:00, and back on 27 October at 3:00.
        ("2024-03-30T22:00:00+01:00", 5, 0, "2024-03-31T05:00:00+02:00"),
        ("2024-03-31T01:30:00+01:00", 5, 0, "2024-03-31T05:00:00+02:00"),
        ("2024-03-31T01:30:00+01:00", 2, 30, "2024-03-31T03:30:00+02:00"),
        ("2024-10-26T22:00:00+02:00", 5, 0, "2024-10-27T05:00:00+01:00"),
        ("2024-10-27T01:00:00+02:00", 2, 30, "2024-10-27T02:30:00+02:00"),
        ("2024-10-27T02:45:00+02:00", 2, 30, "2024-10-27T02:30:00+01:00"),
        ("2024-10-27T02:15:00+01:00", 2, 30, "2024-10-27T02:30:00+01:00"),
        ("2024-10-27T02:45:00+01:00", 2, 30, "2024-10-28T02:30:00+01:00"),
    ],
)
def test_a_time_of_the_clock_comes_next(
    zone: Callable[[str], None], now: str, hour: int, minute: int, comes: str
) -> None:
    zone("Europe/Berlin")

    found = next_time(datetime.fromisoformat(now), hour=hour, minute=minute)

    assert found.isoformat() == comes


@given(
    moment=st.datetimes(datetime(2024, 1, 1), datetime(2025, 12, 31)),  # noqa: DTZ001 — the zone is the machine's
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
)
def test_a_time_of_the_clock_comes_within_a_day(moment: datetime, hour: int, minute: int) -> None:
    now = moment.astimezone()

    found = next_time(now, hour=hour, minute=minute)

    assert 0 < (found - now).total_seconds() <= 25 * 3600


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (600, "600 rows need about 60 s, and --for 2m leaves 2 min: all fit."),
        (
            6000,
            (
                "6,000 rows need about 10 min, and --for 2m leaves 2 min: about 1,200 fit. "
                "Run again later to send the rest."
            ),
        ),
    ],
)
def test_a_forecast_says_whether_all_rows_fit(rows: int, words: str) -> None:
    clock = replace(real_clock(), monotonic=lambda: 1000.0)

    assert Deadline("--for 2m", 1000.0, within=120.0, clock=clock).forecast(rows, PACE) == words


def test_a_clock_that_is_set_moves_a_deadline_at_an_hour_and_no_other() -> None:
    at = datetime.fromisoformat("2024-03-05T05:00:00+00:00")
    wall = at.timestamp() - 60
    clock = replace(real_clock(), wall=lambda: wall, monotonic=lambda: 100.0)
    hour = Deadline("--until 05:00", 0.0, at=at, clock=clock)
    while_ = Deadline("--for 1h", 100.0, within=3600.0, clock=clock)

    left = [(hour.left(), while_.left())]
    wall += 120
    left.append((hour.left(), while_.left()))

    assert left == [(60.0, 3600.0), (-60.0, 3600.0)]
    while_.refuse_if_over()
    with pytest.raises(TimeUpError, match=r"^Stopped: the time limit \(--until 05:00\) was reached\."):
        hour.refuse_if_over()


async def test_a_halt_is_given_when_the_time_is_up() -> None:
    halt = Stop()
    deadline = Deadline("--for 50ms", time.monotonic(), within=0.05)

    async with asyncio.timeout(5):
        await deadline.keep(halt, lambda: (1.0, "no connection to the server"))

    assert isinstance(halt.reason, TimeUpError)
    assert halt.reason.exit_status == 10
    assert "during an outage: no connection to the server." in str(halt.reason)


@pytest.mark.parametrize(
    ("now", "hour", "comes"),
    [
        ("2024-03-05T19:59:00+00:00", 5, "2024-03-06T05:00:00+09:00"),
        ("2024-03-05T20:00:00+00:00", 5, "2024-03-07T05:00:00+09:00"),
        ("2024-03-05T02:00:00-08:00", 5, "2024-03-06T05:00:00+09:00"),
    ],
)
def test_a_time_of_another_zones_clock_comes_next(now: str, hour: int, comes: str) -> None:
    found = next_time(datetime.fromisoformat(now), hour=hour, minute=0, zone=ZoneInfo("Asia/Seoul"))

    assert found.isoformat() == comes


@pytest.mark.parametrize(
    ("machine", "at", "text"),
    [
        ("Europe/Berlin", "2024-03-06T05:00:00+01:00", "2024-03-06 05:00 CET, UTC+01:00"),
        ("Europe/Berlin", "2024-07-06T05:00:00+02:00", "2024-07-06 05:00 CEST, UTC+02:00"),
        ("Asia/Seoul", "2024-03-06T05:00:00+09:00", "2024-03-06 05:00 KST, UTC+09:00"),
        ("UTC", "2024-03-06T05:00:00+00:00", "2024-03-06 05:00 UTC"),
        ("America/Sao_Paulo", "2024-03-06T05:00:00-03:00", "2024-03-06 05:00 UTC-03:00"),
        ("UTC", "2024-03-06T05:00:00 Asia/Seoul", "2024-03-06 05:00 Asia/Seoul, here 2024-03-05 20:00 UTC"),
        ("Asia/Seoul", "2024-03-06T05:00:00 Asia/Seoul", "2024-03-06 05:00 KST, UTC+09:00"),
    ],
)
def test_a_time_limit_is_shown_with_its_day_and_zone(
    zone: Callable[[str], None], machine: str, at: str, text: str
) -> None:
    zone(machine)
    shown, _, name = at.partition(" ")
    moment = datetime.fromisoformat(shown)

    assert moment_text(moment.replace(tzinfo=ZoneInfo(name)) if name else moment) == text


def test_a_forecast_says_which_time_is_meant(zone: Callable[[str], None]) -> None:
    zone("Asia/Seoul")
    at = datetime.fromisoformat("2024-03-06T05:00:00+09:00")
    clock = replace(real_clock(), wall=lambda: at.timestamp() - 7200)

    assert Deadline("--until 05:00", 0.0, at=at, clock=clock).forecast(600, PACE) == (
        "600 rows need about 60 s, and --until 05:00 (2024-03-06 05:00 KST, UTC+09:00) leaves 2 h 0 min: all fit."
    )


def test_an_outage_that_the_time_limit_cut_short_is_named() -> None:
    deadline = Deadline("--for 1s", 0.0)

    assert str(deadline.error()) == "Stopped: the time limit (--for 1s) was reached. Run again to resume."
    assert str(deadline.error((1.0, "no connection to the server"))) == (
        "Stopped: the time limit (--for 1s) was reached during an outage: no connection to the server. "
        "Run again to resume."
    )
