"""Tell a part of the program the time, and let time pass for it: one record for all parts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """The time since 1970, the time that never steps back, and the wait; all in seconds."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


def real_clock() -> Clock:
    """Return the clock of this machine; whoever runs something hands it over, and tests hand over another."""
    return Clock(time.time, time.monotonic, asyncio.sleep)  # noqa: TID251 — this is where they are taken from
