"""Provide the time and the wait to all parts of the program, in one record."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """The time since 1970 (*wall*), a time that never goes back, and the wait; all in seconds."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


def real_clock() -> Clock:
    """Return the clock of this machine; tests use another one."""
    return Clock(time.time, time.monotonic, asyncio.sleep)  # noqa: TID251 — the only place that uses them
