"""Know how many connections this process may open: each takes one of its files."""

import resource
from dataclasses import replace
from pathlib import Path
from typing import Final

from uploader.pacing import Pace

_OPEN_FILES: Final = Path("/proc/self/fd")
_SPARE: Final = 16
"""So many files are kept for what a run opens by and by: retry file, journal, summary, the quota's neighbours."""


def fitted(pace: Pace) -> Pace:
    """Return *pace* with no more requests in flight than this process may open connections for; at least one.

    The process's own limit of open files is raised first, as far as it may be.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return pace
    opened = _opened()
    wanted = opened + _SPARE + pace.concurrency
    if soft < wanted and (hard == resource.RLIM_INFINITY or hard > soft):
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return replace(pace, concurrency=max(1, min(pace.concurrency, soft - opened - _SPARE)))


def _opened() -> int:
    try:
        return sum(1 for _ in _OPEN_FILES.iterdir())
    except OSError:
        # Where it can't be told, it is what a run has open at its begin.
        return _SPARE
