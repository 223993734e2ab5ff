"""Name what people are told of the pace while a run goes on."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

PauseReason: TypeAlias = Literal["limit", "another run", "window", "pace"]
"""The service limits us; another run met the limit; the window is used up; the configured pace allows no more."""


@dataclass(frozen=True, slots=True)
class Paused:
    """Nobody sends for *seconds* from now on, and *why*."""

    seconds: float
    why: PauseReason


@dataclass(frozen=True, slots=True)
class Stalled:
    """A stopped process keeps the file by which the runs share the quota."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """The service refuses what the configuration allows: it takes about *requests* in each window."""

    requests: int


Notice: TypeAlias = Paused | Stalled | Lowered


def local_time(seconds: float, *, now: float) -> str:
    """Return the local time in *seconds* from *now* (since 1970): `02:14:07`, with the date on another day."""
    today = datetime.fromtimestamp(now, UTC).astimezone()
    then = datetime.fromtimestamp(now + seconds, UTC).astimezone()
    return f"{then:%H:%M:%S}" if then.date() == today.date() else f"{then:%Y-%m-%d %H:%M:%S}"
