"""End what takes too long, with one timer for all of it."""

import asyncio
from types import TracebackType


class ExpiredError(Exception):
    """What was awaited took too long, and was cancelled."""


class Timeouts:
    """The same timeout for many tasks: as `asyncio.timeout` for each, at a tenth of its cost.

    What a task does within it, as a context manager, is ended when its time is over, with an ExpiredError. A task is
    within it once at a time. All have the same time, so that who began first ends first and one timer, set for the
    oldest, is enough.
    """

    def __init__(self, seconds: float) -> None:
        """Give each *seconds*, a finite time."""
        self._seconds = seconds
        # When each task began, and how often it had been cancelled by then.
        self._began: dict[asyncio.Task[object], tuple[float, int]] = {}
        self._ended: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
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
        self._began[task] = now, task.cancelling()
        if self._timer is None:
            self._timer = loop.call_at(now + self._seconds, self._end_oldest)

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
        """End all that are awaited now."""
        for task in self._began:
            self._end(task)

    def _end_oldest(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for task, (began, _) in self._began.items():
            if began + self._seconds > loop.time():
                self._timer = loop.call_at(began + self._seconds, self._end_oldest)
                return
            self._end(task)

    def _end(self, task: asyncio.Task[object]) -> None:
        if task not in self._ended:
            self._ended.add(task)
            task.cancel()
