"""Run the command on a machine where one thing never ends: `stuck.py WHAT FLAG WORDS…`.

FLAG is a file that is made when it is reached. WHAT is `names` (the resolver never answers), `sync` (the disk never
does, in a thread), `end` (the main thread hangs where no exception reaches it) or `locked` (another process keeps the
digests locked, which the test does: only the flag is made here).
"""

import asyncio
import contextlib
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final, NoReturn
from unittest.mock import patch

import uvloop

from uploader.changes import store_locks, stores_by_service
from uploader.cli import main
from uploader.run.recorded_start import RecordedStart


def hang(*_: object, **__: object) -> NoReturn:
    """Never return, whatever is raised."""
    flag.touch()
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(3600)


def pause() -> None:
    """Wait for the process that has the digests locked, as ever."""
    flag.touch()
    store_locks.pause()


class Loop(uvloop.Loop):
    """Asks for names in its executor, as asyncio's own loop does, and not where no test can get at it."""

    async def getaddrinfo(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 — as there
        return await asyncio.get_running_loop().run_in_executor(None, hang)


_KINDS: Final[dict[str, list[Any]]] = {
    "names": [patch.object(socket, "getaddrinfo", hang), patch.object(uvloop, "new_event_loop", Loop)],
    "sync": [patch.object(os, "fdatasync", hang)],
    "end": [patch.object(RecordedStart, "_write", hang)],
    "locked": [patch.object(stores_by_service, "pause", pause)],
}

if __name__ == "__main__":
    kinds, flag = _KINDS[sys.argv.pop(1)], Path(sys.argv.pop(1))
    with contextlib.ExitStack() as stack:
        for kind in kinds:
            stack.enter_context(kind)
        main()
