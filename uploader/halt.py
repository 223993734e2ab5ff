"""End every wait of a run at once, when the run is told to stop."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Halted(Exception):  # noqa: N818 — it is an order that was obeyed, not an error
    """The run was told to stop while this was waiting."""


class Halt:
    """A stop order: once given, it stands, and whoever waits through it is woken with `Halted`.

    Requests in flight do not wait through it: they land. *reason* is what gave the order first, and what the run ends
    with; None before.
    """

    def __init__(self) -> None:
        """Begin without an order."""
        self.reason: BaseException | None = None
        self._waits: set[asyncio.Timeout] = set()

    @property
    def given(self) -> bool:
        """Whether the order was given."""
        return self.reason is not None

    def give(self, reason: BaseException) -> None:
        """Give the order, because of *reason*."""
        if self.given:
            # Everybody was woken by the first order; who is still waking must not be disturbed.
            return
        self.reason = reason
        now = asyncio.get_running_loop().time()
        for wait in tuple(self._waits):
            wait.reschedule(now)

    async def wait(self, waiting: Awaitable[T]) -> T:
        """Return the result of *waiting*; raise Halted as soon as the order is given."""
        wait = asyncio.timeout(0 if self.given else None)
        try:
            async with wait:
                self._waits.add(wait)
                return await waiting
        except TimeoutError:
            if wait.expired():
                raise Halted from None
            raise
        finally:
            self._waits.discard(wait)
