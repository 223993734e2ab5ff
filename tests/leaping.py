"""Lend the tests a clock that leaps: waits are over at once, and take as long as they say."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

Leap: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a story in leaping time."""


class Leaper(selectors.SelectSelector):
    """Waits for nothing: its clock leaps to the moment that the loop would have waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits, and nothing is due"
        # Each round of the loop takes a microsecond, so that whoever waits for a moment does get there.
        self.now += max(1e-6, timeout)
        return super().select(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaper = Leaper()
        super().__init__(self._leaper)

    def time(self) -> float:
        return self._leaper.now
