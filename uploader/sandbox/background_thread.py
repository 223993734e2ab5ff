"""Run a sandbox in a background thread of another program."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from uploader.clock import Clock
from uploader.sandbox.http_server import serve
from uploader.sandbox.service import Sandbox
from uploader.sandbox.settings import SandboxRules


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that is served at *url*; *sandbox* may be called from any thread."""

    url: str
    sandbox: Sandbox


@contextmanager
def running(
    rules: SandboxRules, store: Path | None = None, *, port: int = 0, clock: Clock | None = None
) -> Iterator[RunningSandbox]:
    """Serve a new sandbox on *port* (0: any) until the context ends; raises what `Sandbox` and `serve` raise."""
    with Sandbox(rules, store, clock) as sandbox:
        started: Future[tuple[str, _ServerStop]] = Future()
        thread = threading.Thread(
            target=lambda: asyncio.run(_keep(sandbox, port, started)), name="sandbox", daemon=True
        )
        thread.start()
        url, stop = started.result()
        try:
            yield RunningSandbox(url, sandbox)
        finally:
            stop()
            thread.join()


class _ServerStop:
    """Stops the server from another thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def __call__(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()


async def _keep(sandbox: Sandbox, port: int, started: "Future[tuple[str, _ServerStop]]") -> None:
    stop = _ServerStop()
    try:
        async with serve(sandbox, port=port) as url:
            started.set_result((url, stop))
            await stop.wait()
    except (OSError, ValueError) as error:
        if started.done():
            raise
        started.set_exception(error)
