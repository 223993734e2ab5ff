"""Lend the tests of the gate a quota that nobody else shares, and gates made with it."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from uploader.clock import Clock
from uploader.model import WindowState
from uploader.rate import OtherClients, Pace, ServerWindow, reserve
from uploader.rate.limiter import Limiter
from uploader.stop import Stop


@dataclass(frozen=True, slots=True)
class Place:
    """Places in the quota, or when to ask again for one."""

    wait: float
    taken: int


class LoneQuota:
    """A quota that works, kept in memory; it begins with a full burst, and *runs* may be said to share it."""

    def __init__(self, clock: Callable[[], float], *, runs: int = 1) -> None:
        self._clock = clock
        self._due = float("-inf")
        self.paused_until = float("-inf")
        self.runs = runs
        self.granted = 0
        self.rest = 0.0
        self.is_stalled = False

    def take(self, *, rate: float, burst: int, most: int) -> Place:
        now = self._clock()
        if self.paused_until > now:
            return Place(self.paused_until - now, 0)
        self._due, wait, places = reserve(self._due, now=now, rate=rate, burst=burst, most=most)
        self.granted += places
        return Place(wait, places)

    def pause(self, until: float) -> None:
        self.paused_until = max(self.paused_until, until)

    def mark_answered(self) -> None:
        self._due = max(self._due, self._clock() + self.rest)


@dataclass(slots=True)
class RowsInFlight:
    """An airfield that works, kept in memory: the rows that are *rows*."""

    rows: set[int] = field(default_factory=set)

    def mark(self, row: int) -> None:
        self.rows.add(row)

    def clear(self, row: int) -> None:
        self.rows.discard(row)


class UntoldWindow(ServerWindow):
    """A window of which the replies tell nothing."""

    def __init__(self) -> None:
        super().__init__(requests=1_000_000, per=60.0, share=1.0)

    def add_reply(  # noqa: PLR0913 — as it is
        self,
        state: WindowState,
        *,
        sent: float,
        received: float,
        counted: int,
        in_flight: int = 0,
        accepted: bool = True,
    ) -> None:
        pass


def gate(  # noqa: PLR0913 — what a test may want to be different
    pace: Pace,
    halt: Stop,
    clock: Callable[[], float],
    *,
    window: ServerWindow | None = None,
    runs: int = 1,
    on_others: Callable[[OtherClients], None] = lambda _: None,
    quota: LoneQuota | None = None,
    patience: float = math.inf,
) -> Limiter:
    """Return a gate by *clock*, whose *window* is told nothing unless it is given."""
    return Limiter(
        pace,
        window=window or UntoldWindow(),
        quota=quota or LoneQuota(clock, runs=runs),
        stop=halt,
        clock=Clock(clock, clock, asyncio.sleep),
        on_others=on_others,
        longest_pause=patience,
    )
