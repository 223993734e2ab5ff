"""End awaits that take too long, with one timer for all tasks."""

import asyncio
from types import TracebackType
from typing import Final, TypeAlias

_LOOP_ITERATIONS: Final = 8
"""Iterations of the loop before a timeout counts.

After a process was suspended, its timer is due before it has read what came meanwhile. A reply then takes one iteration
to be read and one to reach its task; a reply that ends with its connection takes four.
"""

_LATE_SECONDS: Final = 1.0
"""A timer that is so many seconds late shows that the process was suspended, or the loop blocked, meanwhile.

No task could use its time then: what it was about to do, such as write a request, it does only now.
"""

_Entries: TypeAlias = dict["asyncio.Task[object]", list[float]]
"""When each task started its wait, and how often it had been cancelled by then; a new wait has a new list."""


class ExpiredError(Exception):
    """An await took too long, and was cancelled."""


class Timeouts:
    """The same timeout for many tasks: as `asyncio.timeout` for each, at a tenth of its cost.

    It is a context manager. What a task does within it is ended with an ExpiredError when its time is over. A task
    enters it once at a time. All tasks have the same time, so the oldest ends first, and one timer is enough. Data
    that is in a socket when the time is over still counts: it is read first. After the process was suspended, the time
    of every task starts again.
    """

    def __init__(self, seconds: float) -> None:
        """Give each task *seconds*, a finite time."""
        self._seconds = seconds
        self._began: _Entries = {}
        self._ended: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> None:
        """Start the time of the current task."""
        # Kept, since `get_running_loop` costs a system call.
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
        """End the time of the current task; raises ExpiredError in place of its own cancellation."""
        if kind is GeneratorExit:
            # Closed from outside: the current task is not the one that entered.
            return
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101 — as above
        _, cancelled = self._began.pop(task)
        if self._ended and task in self._ended:
            self._ended.remove(task)
            # A task that was cancelled by others too stays cancelled; one that has finished keeps its result.
            if task.uncancel() <= cancelled and isinstance(error, asyncio.CancelledError):
                raise ExpiredError from None

    def end_all(self) -> None:
        """End all current waits, except those that end when the data in their sockets is read."""
        self._end_after(_LOOP_ITERATIONS, dict(self._began))

    def _end_oldest(self) -> None:
        """End the waits whose time is over, and set the timer for the oldest of the others."""
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
        """End the waits of *entries* that are left after so many *iterations* of the loop."""
        if iterations:
            # A timer, since within an iteration timers run after data is read.
            loop = asyncio.get_running_loop()
            loop.call_at(loop.time(), self._end_after, iterations - 1, entries)
            return
        for task, entry in entries.items():
            # A task that finished in time and started a new wait has a new entry.
            if self._began.get(task) is entry:
                self._end(task)

    def _end(self, task: asyncio.Task[object]) -> None:
        if task not in self._ended:
            self._ended.add(task)
            task.cancel()
