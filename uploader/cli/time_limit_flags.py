"""Read the flags that limit how long a run may take."""

import re
import time
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from uploader.run.time_limit import Deadline, next_time
from uploader.units import seconds_of

_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_DATE_LENGTH: Final = len("2024-03-06")


_ZONED: Final = re.compile(r"(?P<time>.*\S)\s+(?P<zone>[A-Za-z][A-Za-z0-9_+/-]*)")


def until(_: click.Context, __: click.Parameter, text: str | None) -> Deadline | None:
    """Read `--until`: a time of day, of which the next one is meant, or a date and time; either may name its zone."""
    if text is None:
        return None
    now = datetime.now().astimezone()
    zoned = _ZONED.fullmatch(text)
    time_text, zone = (text, None) if zoned is None else (zoned["time"], _zone(zoned["zone"]))
    match = _CLOCK.fullmatch(time_text)
    if match is not None:
        at = next_time(now, hour=int(match[1]), minute=int(match[2]), second=int(match[3] or 0), zone=zone)
    else:
        at = _moment(text, time_text, zone)
        if at <= now:
            raise click.BadParameter(f"'{text}' is in the past; write a time in the future.")
    return Deadline(f"--until {text}", time.monotonic(), at=at)


def within(_: click.Context, __: click.Parameter, text: str | None) -> Deadline | None:
    """Read `--for`: a duration."""
    if text is None:
        return None
    seconds = seconds_of(text)
    if not seconds:
        raise click.BadParameter(f"'{text}' is not a duration; write 45s, 90m or 3h.")
    return Deadline(f"--for {text}", time.monotonic(), within=seconds)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise click.BadParameter(f"'{name}' is not a time zone; write one as in 05:00 Asia/Seoul.") from None


def _moment(text: str, time_text: str, zone: ZoneInfo | None) -> datetime:
    try:
        if len(time_text) > _DATE_LENGTH:
            shown = datetime.fromisoformat(time_text)
            # A time with an offset needs no zone, and gets none beside it.
            if shown.tzinfo is None or zone is None:
                return shown.astimezone() if zone is None else shown.replace(tzinfo=zone)
    except (ValueError, OverflowError):
        pass
    raise click.BadParameter(f"'{text}' is not a time; write 05:00, or 2024-03-06T05:00.")
