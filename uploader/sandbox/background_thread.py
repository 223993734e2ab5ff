"""Run a sandbox in a thread of its own, beside a program that does something else."""

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
from uploader.sandbox.settings import Rules


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that is being served: where, and the sandbox itself, to be asked from any thread."""

    url: str
    box: Sandbox


@contextmanager
def running(rules: Rules, store: Path | None = None, *, port: int = 0, clock: Clock | None = None) -> Iterator[Running]:
    """Serve a new sandbox on *port* (0: any) until the context ends; raises what `Sandbox` and `serve` raise."""
    with Sandbox(rules, store, clock) as box:
        begun: Future[tuple[str, _Stop]] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(_keep(box, port, begun)), name="sandbox", daemon=True)
        thread.start()
        url, stop = begun.result()
        try:
            yield Running(url, box)
        finally:
            stop()
            thread.join()


class _Stop:
    """Ends the server from another thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def __call__(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()


async def _keep(box: Sandbox, port: int, begun: "Future[tuple[str, _Stop]]") -> None:
    stop = _Stop()
    try:
        async with serve(box, port=port) as url:
            begun.set_result((url, stop))
            await stop.wait()
    except (OSError, ValueError) as error:
        if begun.done():
            raise
        begun.set_exception(error)
