"""Offer check, run and explain to programs: nothing is printed, no signal is handled, no log is set up."""

import asyncio
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

from uploader.app.check import CheckResult
from uploader.app.check import check as check_sources
from uploader.app.explain import Explanation
from uploader.app.explain import explain as explain_row
from uploader.app.run import run as run_sources
from uploader.config import Settings
from uploader.errors import InputError, SignalledError, UploaderError
from uploader.run.environment import Environment
from uploader.run.events import Events
from uploader.run.observers import Observers
from uploader.run.options import Options
from uploader.run.reports import LONGEST_SECONDS
from uploader.run.results import RunError, RunResult
from uploader.stop import Stop

__all__ = [
    "CheckResult",
    "Events",
    "Explanation",
    "RunError",
    "RunResult",
    "Settings",
    "UploaderError",
    "arun",
    "check",
    "explain",
    "run",
]

Sources: TypeAlias = str | Path | Sequence[str | Path]
"""One file, or several."""

# Without a handler of the program, Python would print warnings.
logging.getLogger("uploader").addHandler(logging.NullHandler())

_STOPPED: Final = "Stopped by the program that started it. Run again to resume."


def check(
    settings: Settings, sources: Sources, *, limit: int | None = None, events: Events | None = None
) -> CheckResult:
    """Read and map all *sources*, send nothing, and return what was found in each.

    What is wrong with a source as a whole is in the result (`error`, `exit_status`). Only the first *limit* rows of
    each are read, if it is given. No token is needed.

    Raises:
        UploaderError: the settings are wrong, or this machine refuses something.
    """
    result = check_sources(_options(settings, sources, limit=limit), _environment(settings, events or Events()))
    if result.error is not None and not isinstance(result.error, InputError):
        raise result.error
    return result


def explain(settings: Settings, source: str | Path, row: int) -> Explanation:
    """Return all that is known of one *row* of *source* (the first is 1): fields, request, and its last result.

    Nothing is sent, and no token is needed.

    Raises:
        UploaderError: there is no such row, or the source can't be read up to it.
    """
    return explain_row(_options(settings, source), row, _environment(settings, Events()))


def run(  # noqa: PLR0913 — what a run is asked for
    settings: Settings,
    sources: Sources,
    *,
    sandbox: bool = False,
    limit: int | None = None,
    retry_file: Path | None = None,
    fresh: bool = False,
    full: bool = False,
    events: Events | None = None,
) -> RunResult:
    """Check all *sources*, then send their rows, as `uploader run` does; return what became of them.

    *events* is called in the thread of the run, which is not that of the caller. An exception that is raised while this
    waits, such as KeyboardInterrupt, stops the run in order: requests in flight are settled first.

    *sandbox* sends to a server of this machine that is started for the run, and needs no token. *limit*, *retry_file*,
    *fresh* and *full* are as the flags of the command.

    Raises:
        RunError: an error ended the run; it has the results so far.
    """
    options = _options(settings, sources, limit=limit, sandbox=sandbox, retry_file=retry_file, fresh=fresh, full=full)
    running = _RunInThread(options, settings, events or Events())
    try:
        result = running.result.result()
    except BaseException:
        running.stop()
        with suppress(Exception):
            running.result.result()
        raise
    return _result_or_error(result)


async def arun(  # noqa: PLR0913 — what a run is asked for
    settings: Settings,
    sources: Sources,
    *,
    sandbox: bool = False,
    limit: int | None = None,
    retry_file: Path | None = None,
    fresh: bool = False,
    full: bool = False,
    events: Events | None = None,
) -> RunResult:
    """Do what `run` does, without blocking the event loop.

    Cancelling it stops the run in order, as a signal does the command: requests in flight are settled first, which
    takes up to ten seconds, and the next run resumes it. A check is read to its end, and nothing is sent then.

    Raises:
        RunError: an error ended the run; it has the results so far.
    """
    options = _options(settings, sources, limit=limit, sandbox=sandbox, retry_file=retry_file, fresh=fresh, full=full)
    running = _RunInThread(options, settings, events or Events())
    ended = asyncio.wrap_future(running.result)
    try:
        result = await asyncio.shield(ended)
    except asyncio.CancelledError:
        running.stop()
        while not ended.done():
            # Another cancellation must not leave the run behind.
            with suppress(asyncio.CancelledError):
                await asyncio.wait([ended])
        raise
    return _result_or_error(result)


def _options(  # noqa: PLR0913 — what a run is asked for
    settings: Settings,
    sources: Sources,
    *,
    limit: int | None = None,
    sandbox: bool = False,
    retry_file: Path | None = None,
    fresh: bool = False,
    full: bool = False,
) -> Options:
    names = (sources,) if isinstance(sources, (str, Path)) else sources
    return Options(
        tuple(map(str, names)),
        settings.file,
        limit=limit,
        sandbox=sandbox,
        retry_file=retry_file,
        fresh=fresh,
        full=full,
    )


def _environment(settings: Settings, events: Events) -> Environment:
    return Environment(environ=os.environ, stdin=None, events=events, settings=settings)


def _result_or_error(result: RunResult) -> RunResult:
    error = result.error
    if isinstance(error, UploaderError):
        raise RunError(str(error), result, error.exit_status) from error
    if error is not None:
        raise error
    return result


class _RunInThread:
    """One run in a thread of its own, where its event loop can neither meet that of the caller nor handle signals."""

    def __init__(self, options: Options, settings: Settings, events: Events) -> None:
        """Start the run."""
        self.result: Future[RunResult] = Future()
        self._stop = _StopOnRequest()
        environment = replace(
            _environment(settings, Observers([self._stop, events])), seconds_left=self._stop.seconds_left
        )

        def work() -> None:
            try:
                self.result.set_result(run_sources(options, environment))
            except BaseException as error:  # noqa: BLE001 — it is raised where the result is awaited
                self.result.set_exception(error)

        threading.Thread(target=work, name="uploader").start()

    def stop(self) -> None:
        """Let the run end in order, and soon."""
        self._stop.request()


class _StopOnRequest(Events):
    """Stops the run when it is asked to from another thread, at the latest when it starts to send.

    States: `_requested_at` is None, or the time of the monotonic clock when a stop was requested.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested_at: float | None = None
        self._give: Callable[[BaseException], object] | None = None

    def stoppable(self, stop: Stop, /) -> None:
        with self._lock:
            self._give = stop.request_from_thread()
            if self._requested_at is not None:
                stop.request(_stopped())

    def request(self) -> None:
        with self._lock:
            if self._requested_at is None:
                self._requested_at = time.monotonic()
            # A loop that is closed has nothing left to stop.
            with suppress(RuntimeError):
                if self._give is not None:
                    self._give(_stopped())

    def seconds_left(self) -> float:
        """Return how long the run may still take, its notifications included; no limit before it is asked to stop."""
        at = self._requested_at
        return math.inf if at is None else max(0.0, at + LONGEST_SECONDS - time.monotonic())


def _stopped() -> SignalledError:
    return SignalledError(_STOPPED, signal.SIGTERM)
