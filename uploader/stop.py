"""End every wait of a run at once when the run is to stop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

GRACE_SECONDS: Final = 7.0
"""How long requests in flight may take after a stop is requested (contract: the run ends within 10 s).

What is left is for the journal, the notifications of the end and the last lines.
"""


class Stopped(Exception):  # noqa: N818 — a requested stop is not an error
    """A stop was requested during this wait."""


class Stop:
    """A stop of the run: once requested, it stays, and every `wait` raises `Stopped`.

    Requests in flight get some seconds to finish. *reason* is the first reason for the stop, which the run ends with;
    None before it is requested.
    """

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        """Start without a request to stop; after one, requests in flight get *grace* seconds."""
        self.reason: BaseException | None = None
        self._grace = grace
        self._waits: set[asyncio.Timeout] = set()
        self._abandon: Callable[[], None] | None = None

    @property
    def is_requested(self) -> bool:
        """Whether a stop was requested."""
        return self.reason is not None

    def when_grace_is_over(self, abandon: Callable[[], None]) -> None:
        """Call *abandon* when a stop was requested and the requests in flight have had their time."""
        self._abandon = abandon

    def request(self, reason: BaseException) -> None:
        """Stop the run because of *reason*."""
        if self.is_requested:
            # The first request ended every wait; a second one must not disturb the tasks that now finish.
            return
        self.reason = reason
        loop = asyncio.get_running_loop()
        for wait in tuple(self._waits):
            wait.reschedule(loop.time())
        if self._abandon is not None:
            loop.call_later(self._grace, self._abandon)

    def request_from_thread(self) -> Callable[[BaseException], object]:
        """Return a function that stops the run from another thread; it raises RuntimeError once the loop is closed."""
        loop = asyncio.get_running_loop()
        return lambda reason: loop.call_soon_threadsafe(self.request, reason)

    async def wait(self, waiting: Awaitable[T]) -> T:
        """Return the result of *waiting*; raise `Stopped` as soon as a stop is requested."""
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
