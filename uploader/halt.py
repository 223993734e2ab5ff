"""End every wait of a run at once, when the run is told to stop."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

T = TypeVar("T")

LANDING_SECONDS: Final = 8.0
"""How long a request in flight may take to land once the order is given (contract: within 10 s in all)."""


class Halted(Exception):  # noqa: N818 — it is an order that was obeyed, not an error
    """The run was told to stop while this was waiting."""


class Halt:
    """A stop order: once given, it stands, and whoever waits through it is woken with `Halted`.

    Requests in flight `land`: they have some seconds left. *reason* is what gave the order first, and what the run ends
    with; None before.
    """

    def __init__(self, landing: float = LANDING_SECONDS) -> None:
        """Begin without an order; requests in flight get *landing* seconds when it is given."""
        self.reason: BaseException | None = None
        self._landing = landing
        self._waits: set[asyncio.Timeout] = set()
        self._flights: set[asyncio.Timeout] = set()

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
        for flight in tuple(self._flights):
            flight.reschedule(now + self._landing)

    async def wait(self, waiting: Awaitable[T]) -> T:
        """Return the result of *waiting*; raise Halted as soon as the order is given."""
        return await self._until(asyncio.timeout(0 if self.given else None), self._waits, waiting)

    async def land(self, flying: Awaitable[T]) -> T:
        """Return the result of *flying*; raise Halted when it takes too long after the order was given."""
        return await self._until(asyncio.timeout(self._landing if self.given else None), self._flights, flying)

    async def _until(self, end: asyncio.Timeout, group: set[asyncio.Timeout], awaited: Awaitable[T]) -> T:
        try:
            async with end:
                group.add(end)
                return await awaited
        except TimeoutError:
            if end.expired():
                raise Halted from None
            raise
        finally:
            group.discard(end)
