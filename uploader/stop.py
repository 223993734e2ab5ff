"""End every wait of a run at once, when the run is told to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

GRACE_SECONDS: Final = 8.0
"""How long a request in flight may take to land once the order is given (contract: within 10 s in all)."""


class Stopped(Exception):  # noqa: N818 — it is an order that was obeyed, not an error
    """The run was told to stop while this was waiting."""


class Stop:
    """A stop order: once given, it stands, and whoever waits through it is woken with `Stopped`.

    Requests in flight have some seconds left to land. *reason* is what gave the order first, and what the run ends
    with; None before.
    """

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        """Begin without an order; requests in flight get *grace* seconds when it is given."""
        self.reason: BaseException | None = None
        self._grace = grace
        self._waits: set[asyncio.Timeout] = set()
        self._abandon: Callable[[], None] | None = None

    @property
    def is_requested(self) -> bool:
        """Whether the order was given."""
        return self.reason is not None

    def when_grace_is_over(self, abandon: Callable[[], None]) -> None:
        """Call *abandon* when the order was given and the requests in flight have had their time to land."""
        self._abandon = abandon

    def request(self, reason: BaseException) -> None:
        """Give the order, because of *reason*."""
        if self.is_requested:
            # Everybody was woken by the first order; who is still waking must not be disturbed.
            return
        self.reason = reason
        loop = asyncio.get_running_loop()
        for wait in tuple(self._waits):
            wait.reschedule(loop.time())
        if self._abandon is not None:
            loop.call_later(self._grace, self._abandon)

    def request_from_thread(self) -> Callable[[BaseException], object]:
        """Return what gives the order from another thread; it raises RuntimeError once the running loop is closed."""
        loop = asyncio.get_running_loop()
        return lambda reason: loop.call_soon_threadsafe(self.request, reason)

    async def wait(self, waiting: Awaitable[T]) -> T:
        """Return the result of *waiting*; raise Halted as soon as the order is given."""
        end = asyncio.timeout(0 if self.is_requested else None)
        try:
            async with end:
                self._waits.add(end)
                return await waiting
        except TimeoutError:
            if end.expired():
                raise Stopped from None
            raise
        finally:
            self._waits.discard(end)
