"""End what takes too long, with one timer for all of it."""

import asyncio
from types import TracebackType
from typing import Final, TypeAlias

_LOOP_ITERATIONS: Final = 8
"""Turns of the loop before a timeout counts.

A process that was stopped finds its timer due before it has read what came meanwhile. A reply then takes a turn to be
read and one to be heard of; one that ends with its connection takes four.
"""

_LATE_SECONDS: Final = 1.0
"""A timer that comes so many seconds late says that the process was stopped, or the loop blocked, in the meantime.

Nobody's time was their own then: what a task was about to do, as to write a request, it does only now.
"""

_Entries: TypeAlias = dict["asyncio.Task[object]", list[float]]
"""When each task began, and how often it had been cancelled by then; who begins anew has another list."""


class ExpiredError(Exception):
    """What was awaited took too long, and was cancelled."""


class Timeouts:
    """The same timeout for many tasks: as `asyncio.timeout` for each, at a tenth of its cost.

    What a task does within it, as a context manager, is ended when its time is over, with an ExpiredError. A task is
    within it once at a time. All have the same time, so that who began first ends first and one timer, set for the
    oldest, is enough. What lies in a socket when the time is over still comes in time: it is read first. Where the time
    was over because the process was stopped, everybody's begins once more.
    """

    def __init__(self, seconds: float) -> None:
        """Give each *seconds*, a finite time."""
        self._seconds = seconds
        self._began: _Entries = {}
        self._ended: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> None:
        """Let the time of the current task begin."""
        # To ask which loop is running is a call of the system.
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        now = loop.time()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 — only a task awaits
        self._began[task] = [now, task.cancelling()]
        if self._timer is None:
            self._set_timer(loop, now + self._seconds)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it end; raises ExpiredError in place of the cancellation that came of it."""
        if kind is GeneratorExit:
            # Closed from outside: whichever task is the current one, it is not the one that began.
            return
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101 — as above
        _, cancelled = self._began.pop(task)
        if self._ended and task in self._ended:
            self._ended.remove(task)
            # Who was cancelled by somebody else as well stays cancelled, and who came to an end all the same has it.
            if task.uncancel() <= cancelled and isinstance(error, asyncio.CancelledError):
                raise ExpiredError from None

    def end_all(self) -> None:
        """End all that are awaited now, and have not ended when what has come for them is read."""
        self._end_after(_LOOP_ITERATIONS, dict(self._began))

    def _end_oldest(self) -> None:
        """End those whose time is over, and set the timer for the oldest of the others."""
        loop = asyncio.get_running_loop()
        self._timer = None
        now, due = loop.time(), _Entries()
        if self._began and now - self._due > _LATE_SECONDS:
            for entry in self._began.values():
                entry[0] = now
        for task, entry in self._began.items():
            if entry[0] + self._seconds > now:
                self._set_timer(loop, entry[0] + self._seconds)
                break
            due[task] = entry
        self._end_after(_LOOP_ITERATIONS, due)

    def _set_timer(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._due = due
        self._timer = loop.call_at(due, self._end_oldest)

    def _end_after(self, iterations: int, entries: _Entries) -> None:
        """End what is left of *entries* after so many *iterations* of the loop."""
        if iterations:
            # A timer, since within a turn timers come after what was read.
            loop = asyncio.get_running_loop()
            loop.call_at(loop.time(), self._end_after, iterations - 1, entries)
            return
        for task, entry in entries.items():
            # Who came in time, and began anew, has a new entry.
            if self._began.get(task) is entry:
                self._end(task)

    def _end(self, task: asyncio.Task[object]) -> None:
        if task not in self._ended:
            self._ended.add(task)
            task.cancel()
