"""Keep a run within the files that this process may open: each connection takes one."""

import resource
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

from uploader.errors import StorageError
from uploader.rate.rate_within_limit import Pace

_OPEN_FILES: Final = Path("/proc/self/fd")
_SPARE: Final = 16
"""Files kept for what a run opens later: retry file, journal, summary, the other runs' files beside the quota's."""
_LEAST: Final = 16
"""Files that a run opens at least when it starts to send: those of the event loop, of its state, a connection."""
_SANDBOX: Final = 4
"""Further files that a run opens if the sandbox is in this process as well."""
_THREADS: Final = 5
"""Threads that a run needs: one that syncs, and four of libuv, which ends the process where it lacks one."""


def refuse_too_few_files(*, sandbox: bool) -> None:
    """Raise StorageError, before anything is sent, where this process may open too few files or threads for any run."""
    least = _opened() + _LEAST + (_SANDBOX if sandbox else 0)
    soft = _raised(least)
    if soft is not None and soft < least:
        raise StorageError(
            f"This process may open only {soft:,} files (ulimit -n), and a run needs {least:,}. Nothing was sent. "
            "Allow it more, then run again."
        )
    _try_threads()


def _try_threads() -> None:
    over = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(_THREADS):
            thread = threading.Thread(target=over.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        raise StorageError(
            f"This process may start only {len(started)} threads (ulimit -u, or the memory), and a run needs "
            f"{_THREADS}. Nothing was sent. Allow it more, then run again."
        ) from None
    finally:
        over.set()
        for thread in started:
            thread.join()


def fit_to_open_files(pace: Pace) -> Pace:
    """Return *pace* with no more requests in flight than this process may open connections for; at least one.

    The process's own limit of open files is raised first, as far as it may be.
    """
    opened = _opened()
    soft = _raised(opened + _SPARE + pace.concurrency)
    if soft is None:
        return pace
    return replace(pace, concurrency=max(1, min(pace.concurrency, soft - opened - _SPARE)))


def _raised(wanted: int) -> int | None:
    """Return how many files this process may open, after raising that towards *wanted*; None: there is no limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    if soft < wanted and (hard == resource.RLIM_INFINITY or hard > soft):
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def _opened() -> int:
    try:
        return sum(1 for _ in _OPEN_FILES.iterdir())
    except OSError:
        # Where they can't be counted, assume what a run has open at its start.
        return _SPARE
