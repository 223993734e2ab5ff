"""End a run in time: at a time of day, or after a while."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from uploader.clock import Clock, real_clock
from uploader.errors import TimeUpError
from uploader.outputs.duration_text import spell_seconds
from uploader.rate import Pace
from uploader.stop import Stop

_LOOK_SECONDS: Final = 30.0
"""Seconds between two looks at the wall clock: it may have been set."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a run has to stop: *at* that local time, or *within* so many seconds of *began* (monotonic).

    *flag* is the option as the user typed it. Where *at* has a zone by name, the user named it.
    """

    flag: str
    began: float
    at: datetime | None = None
    within: float = 0.0
    clock: Clock = field(default_factory=real_clock)

    def left(self) -> float:
        """Return how many seconds are left."""
        if self.at is not None:
            return self.at.timestamp() - self.clock.wall()
        return self.began + self.within - self.clock.monotonic()

    def error(self, outage: tuple[float, str] | None = None) -> TimeUpError:
        """Return the error that the run ends with, if need be in an *outage* (since when, and why)."""
        during = "" if outage is None else f" during an outage: {outage[1]}"
        return TimeUpError(f"Stopped: the time limit ({self.flag}) was reached{during}. Run again to resume.")

    def refuse_if_over(self) -> None:
        """Raise TimeUpError when no time is left."""
        if self.left() <= 0:
            raise self.error()

    def forecast(self, rows: int, pace: Pace) -> str:
        """Return whether all *rows* fit, in words."""
        needed, left = rows / pace.rate, max(0.0, self.left())
        meant = "" if self.at is None else f" ({moment_text(self.at)})"
        words = f"{rows:,} rows need about {spell_seconds(needed)}, and {self.flag}{meant} leaves {spell_seconds(left)}"
        if needed <= left:
            return f"{words}: all fit."
        return f"{words}: about {int(left * pace.rate):,} fit. Run again later to send the rest."

    async def keep(self, stop: Stop, outage: Callable[[], tuple[float, str] | None]) -> None:
        """Request *stop* when the time is up; *outage* says whether the service is out then."""
        while (left := self.left()) > 0:
            await self.clock.sleep(min(left, _LOOK_SECONDS))
        stop.request(self.error(outage()))


def moment_text(at: datetime) -> str:
    """Return *at* with its date and zone; a time in another named zone than this machine's, in both."""
    local = at.astimezone()
    here = f"{local:%Y-%m-%d %H:%M} {_zone_text(local)}"
    if not isinstance(at.tzinfo, ZoneInfo) or local.utcoffset() == at.utcoffset():
        return here
    return f"{at:%Y-%m-%d %H:%M} {at.tzinfo.key}, here {here}"


def _zone_text(at: datetime) -> str:
    """Return the zone of *at* by its abbreviation and offset, `KST (UTC+09:00)`, or by its offset alone."""
    name, offset = at.tzname() or "", f"UTC{at.isoformat(timespec='minutes')[-6:]}"
    return offset if not name.isalpha() else name if name == "UTC" else f"{name}, {offset}"


def next_time(now: datetime, *, hour: int, minute: int, second: int = 0, zone: ZoneInfo | None = None) -> datetime:
    """Return when the clock of *zone* (None: the local one) shows that time next after *now*.

    A time that is skipped when clocks are put forward comes later by as much; one that comes twice counts twice.
    """
    today = now.astimezone(zone).replace(tzinfo=None, hour=hour, minute=minute, second=second, microsecond=0)
    moments = (
        moment
        for shown in (today, today + timedelta(days=1))
        for moment in (_in_zone(shown.replace(fold=0), zone), _in_zone(shown.replace(fold=1), zone))
        if moment > now and moment.replace(tzinfo=None) >= shown
    )
    return min(moments)


def _in_zone(shown: datetime, zone: ZoneInfo | None) -> datetime:
    """Return the moment at which the clock of *zone* (None: the local one) shows *shown*, which may not exist there."""
    if zone is None:
        return shown.astimezone()
    return shown.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
