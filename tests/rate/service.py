"""Play a service that counts requests, in virtual time: any window, any clock, headers true or false."""

import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from uploader.model import WindowState

Shape = Literal["fixed", "opened by the first request", "sliding"]
Header = Literal[
    "true",
    "missing",
    "constant",
    "falls at every tenth",
    "reset in the past",
    "reset in the far future",
    "period too short",
    "period too long",
]

SINCE_1970: Final = 1_700_000_000.0
"""What the service's clock shows when the simulation begins, if it is right."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the service counts (*limit* in each window of *per* seconds), and how it tells of it.

    Its clock is *skew* seconds ahead; it shows a reset in whole seconds, or in *milliseconds*.
    """

    limit: int = 1_000
    per: float = 60.0
    shape: Shape = "fixed"
    anchor: float = 0.0
    skew: float = 0.0
    milliseconds: bool = False
    header: Header = "true"


class Service:
    """Counts who came in which window; it counts those that it refuses as well (`api.md`, Request limits)."""

    def __init__(self, rules: Rules, *, ours: float, dark: float) -> None:
        """Watch whether more than *ours* of the limit is used by us, though it was known *dark* seconds before."""
        self._rules = rules
        self._ours = ours
        self._dark = dark
        self._start: float | None = None
        self._used = 0
        self._recent: deque[float] = deque()
        self._others: deque[float] = deque()
        self.mine: Counter[float] = Counter()
        self.taken: Counter[float] = Counter()
        self.overruns: Counter[float] = Counter()
        self.our_overruns = 0
        self.greed = 0.0

    def note_other(self, now: float) -> None:
        """Count a request of somebody else."""
        window, used = self._count(now)
        self.taken[window] += 1
        self.overruns[window] += used > self._rules.limit
        self._others.append(now)

    def answer(self, now: float) -> tuple[WindowState, bool]:
        """Count one of our requests; return what its reply says, and whether it is accepted."""
        window, used = self._count(now)
        self.mine[window] += 1
        over = used > self._rules.limit
        self.overruns[window] += over
        self.our_overruns += over
        while self._others and self._others[0] <= now - self._dark:
            self._others.popleft()
        self.greed = max(self.greed, used - self._ours - len(self._others))
        return self._told(now, window, max(0, self._rules.limit - used)), not over

    def _count(self, now: float) -> tuple[float, int]:
        """Return the window of a request that comes *now*, and how many came in it."""
        per = self._rules.per
        if self._rules.shape == "sliding":
            while self._recent and self._recent[0] <= now - per:
                self._recent.popleft()
            self._recent.append(now)
            return math.floor(now / per) * per, len(self._recent)
        if self._rules.shape == "fixed":
            start = self._rules.anchor + math.floor((now - self._rules.anchor) / per) * per
        else:
            start = now if self._start is None or now >= self._start + per else self._start
        if start != self._start:
            self._start, self._used = start, 0
        self._used += 1
        return start, self._used

    def _told(self, now: float, window: float, remaining: int) -> WindowState:
        rules = self._rules
        clock = SINCE_1970 + rules.skew
        reset = clock + rules.per + (now if rules.shape == "sliding" else window)
        unit = 1000 if rules.milliseconds else 1
        state = WindowState(
            period=rules.per,
            remaining=remaining,
            reset=math.floor(reset * unit) / unit,
            date=float(math.floor(clock + now)),
        )
        return state if rules.header == "true" else _TOLD[rules.header](state)


_TOLD: Final[dict[Header, Callable[[WindowState], WindowState]]] = {
    "missing": lambda state: WindowState(date=state.date),
    "constant": lambda state: replace(state, remaining=500),
    "falls at every tenth": lambda state: replace(state, remaining=(state.remaining or 0) // 10 * 10),
    "reset in the past": lambda state: replace(state, reset=1_600_000_000.0),
    "reset in the far future": lambda state: replace(state, reset=4_000_000_000.0),
    "period too short": lambda state: replace(state, period=1.0),
    "period too long": lambda state: replace(state, period=3_600.0),
}
"""What a service with such a header tells of the true state."""
