"""Provide the time and the wait to all parts of the program, in one record, and say a time as people do."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """The time since 1970 (*wall*), a time that never goes back, and the wait; all in seconds."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


def real_clock() -> Clock:
    """Return the clock of this machine; tests use another one."""
    return Clock(time.time, time.monotonic, asyncio.sleep)  # noqa: TID251 — the only place that uses them


def local_time(seconds: float, *, now: float) -> str:
    """Return the local time *seconds* after *now* (since 1970): `02:14:07`, with the date if on another day."""
    today = datetime.fromtimestamp(now, UTC).astimezone()
    then = datetime.fromtimestamp(now + seconds, UTC).astimezone()
    return f"{then:%H:%M:%S}" if then.date() == today.date() else f"{then:%Y-%m-%d %H:%M:%S}"
