"""Define what is reported of the pace during a run."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

PauseReason: TypeAlias = Literal["limit", "another run", "window", "pace"]
"""The service throttles us; another run was throttled; the window is used up; the configured pace allows no more."""


@dataclass(frozen=True, slots=True)
class Paused:
    """No request is sent for *seconds* from now on; *why* is the reason."""

    seconds: float
    why: PauseReason


@dataclass(frozen=True, slots=True)
class Stalled:
    """A suspended process keeps the lock of the file by which the runs share the quota."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """The service accepts fewer requests than the configuration allows: about *requests* in each window."""

    requests: int


Notice: TypeAlias = Paused | Stalled | Lowered


def local_time(seconds: float, *, now: float) -> str:
    """Return the local time *seconds* after *now* (since 1970): `02:14:07`, with the date if on another day."""
    today = datetime.fromtimestamp(now, UTC).astimezone()
    then = datetime.fromtimestamp(now + seconds, UTC).astimezone()
    return f"{then:%H:%M:%S}" if then.date() == today.date() else f"{then:%Y-%m-%d %H:%M:%S}"
