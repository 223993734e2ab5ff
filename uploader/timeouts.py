"""End what takes too long, with one timer for all of it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class ExpiredError(Exception):
    """What was awaited took too long, and was cancelled."""


class Timeouts:
    """The same timeout for many tasks: as `asyncio.timeout` for each, at a tenth of its cost.

    All have the same time, so that who began first ends first and one timer, set for the oldest, is enough.
    """

    def __init__(self, seconds: float) -> None:
        """Give each *seconds*, a finite time."""
        self._seconds = seconds
        self._began: dict[asyncio.Task[object], float] = {}
        self._ended: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, awaited: Awaitable[T]) -> T:
        """Return the result of *awaited*, of which a task has one at a time; raise ExpiredError when it is ended."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 — only a task awaits
        cancelled = task.cancelling()
        self._began[task] = now = loop.time()
        if self._timer is None:
            self._timer = loop.call_at(now + self._seconds, self._end_oldest)
        try:
            return await awaited
        except asyncio.CancelledError:
            # Who was cancelled by somebody else as well stays cancelled.
            if task in self._ended:
                self._ended.remove(task)
                if task.uncancel() <= cancelled:
                    raise ExpiredError from None
            raise
        finally:
            del self._began[task]
            if task in self._ended:
                # It came to its end in spite of being cancelled.
                self._ended.remove(task)
                task.uncancel()

    def end_all(self) -> None:
        """End all that are awaited now."""
        for task in self._began:
            self._end(task)

    def _end_oldest(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for task, began in self._began.items():
            if began + self._seconds > loop.time():
                self._timer = loop.call_at(began + self._seconds, self._end_oldest)
                return
            self._end(task)

    def _end(self, task: asyncio.Task[object]) -> None:
        if task not in self._ended:
            self._ended.add(task)
            task.cancel()
