"""Tell the sandbox the time, and let it pass."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

# The sandbox stands for a machine of its own, so it has a clock of its own; tests hand in another.
_WALL = time.time  # noqa: TID251 - the real time of a server that is not part of a run
_SLEEP = asyncio.sleep  # noqa: TID251 - the real slowness of a server that is not part of a run


@dataclass(frozen=True, slots=True)
class Clock:
    """The time since 1970, the time that never steps back, and the wait; all in seconds."""

    wall: Callable[[], float] = _WALL
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = _SLEEP


REAL_CLOCK = Clock()
