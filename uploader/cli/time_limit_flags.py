"""Read the flags that limit how long a run may take."""

import re
import time
from datetime import datetime
from typing import Final

import click

from uploader.run.time_limit import Deadline, next_time
from uploader.units import seconds_of

_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_DATE_LENGTH: Final = len("2024-03-06")


def until(_: click.Context, __: click.Parameter, text: str | None) -> Deadline | None:
    """Read `--until`: a time of day, of which the next one is meant, or a date and time."""
    if text is None:
        return None
    now = datetime.now().astimezone()
    match = _CLOCK.fullmatch(text)
    if match is not None:
        at = next_time(now, hour=int(match[1]), minute=int(match[2]), second=int(match[3] or 0))
    else:
        at = _moment(text)
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


def _moment(text: str) -> datetime:
    try:
        if len(text) > _DATE_LENGTH:
            return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        pass
    raise click.BadParameter(f"'{text}' is not a time; write 05:00, or 2024-03-06T05:00.")
