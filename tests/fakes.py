"""Fakes that really work: a clock that leaps, a quota and rows in flight in memory, a proxy over sockets."""

import asyncio
import base64
import math
import selectors
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from uploader.clock import Clock
from uploader.model import WindowState
from uploader.rate import EstimatedLimit, Lease, Notice, OtherClients, Pace, ServerWindow, reserve
from uploader.rate.limiter import Limiter
from uploader.stop import Stop

# Time

Leap: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a story in leaping time."""


class Leaper(selectors.SelectSelector):
    """Waits for nothing: its clock leaps to the moment that the loop would have waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits, and nothing is due"
        # Each round of the loop takes a microsecond, so that whoever waits for a moment does get there.
        self.now += max(1e-6, timeout)
        return super().select(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaper = Leaper()
        super().__init__(self._leaper)

    def time(self) -> float:
        return self._leaper.now


# The rate limit


class LoneQuota:
    """A quota that works, kept in memory; it begins with a full burst, and *runs* may be said to share it."""

    def __init__(self, clock: Callable[[], float], *, runs: int = 1) -> None:
        self._clock = clock
        self._due = float("-inf")
        self.paused_until = float("-inf")
        self.runs = runs
        self.granted = 0
        self.rest = 0.0
        self.is_stalled = False

    def lease(self, *, rate: float, burst: int, most: int) -> Lease:
        now = self._clock()
        if self.paused_until > now:
            return Lease(self.paused_until - now, 0)
        self._due, wait, places = reserve(self._due, now=now, rate=rate, burst=burst, most=most)
        self.granted += places
        return Lease(wait, places)

    def pause(self, until: float) -> None:
        self.paused_until = max(self.paused_until, until)

    def mark_answered(self) -> None:
        self._due = max(self._due, self._clock() + self.rest)


@dataclass(slots=True)
class RowsInFlight:
    """Rows in flight that work as those of a run do, kept in memory."""

    rows: set[int] = field(default_factory=set)

    def mark(self, row: int) -> None:
        self.rows.add(row)

    def clear(self, row: int) -> None:
        self.rows.discard(row)


class UntoldWindow(ServerWindow):
    """A window of which the replies tell nothing."""

    def __init__(self) -> None:
        super().__init__(requests=1_000_000, per=60.0, share=1.0)

    def add_reply(  # noqa: PLR0913 — as it is
        self,
        state: WindowState,
        *,
        sent: float,
        received: float,
        counted: int,
        in_flight: int = 0,
        accepted: bool = True,
    ) -> None:
        pass


def gate(  # noqa: PLR0913 — what a test may want to be different
    pace: Pace,
    halt: Stop,
    clock: Callable[[], float],
    *,
    window: ServerWindow | None = None,
    runs: int = 1,
    on_others: Callable[[OtherClients], None] = lambda _: None,
    on_notice: Callable[[Notice], None] = lambda _: None,
    estimated_limit: EstimatedLimit | None = None,
    quota: LoneQuota | None = None,
    patience: float = math.inf,
) -> Limiter:
    """Return a limiter by *clock*, whose *window* is told nothing unless it is given."""

    def tell(notice: Notice) -> None:
        if isinstance(notice, OtherClients):
            on_others(notice)
        else:
            on_notice(notice)

    return Limiter(
        pace,
        window=window or UntoldWindow(),
        quota=quota or LoneQuota(clock, runs=runs),
        stop=halt,
        clock=Clock(clock, clock, asyncio.sleep),
        on_notice=tell,
        estimated_limit=estimated_limit,
        outage_timeout=patience,
    )


# A proxy

HOST = "dfinery.test"
"""Where the service of these tests is. No resolver knows it: only the proxy leads there."""


@dataclass
class Proxy:
    """A proxy that leads to *port*, whatever host it is asked for.

    It asks for *credentials*, `user:password`, where they are given. With a *status* other than 200 it tunnels nothing
    and says that; with *silent* it says nothing; with *ends* it ends the connection. *certificate*, with its key, is
    what it speaks TLS with itself.
    """

    port: int = 0
    credentials: str | None = None
    status: int = 200
    silent: bool = False
    ends: bool = False
    certificate: Path | None = None
    url: str = ""
    heads: list[str] = field(default_factory=list)
    refused: int = 0

    @property
    def address(self) -> str:
        """Where it listens: host and port."""
        return self.url.rpartition("/")[2]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                self.heads.append(head)
                if self.silent:
                    await reader.read()
                elif not self.ends:
                    await self._answer(head, reader, writer)
        finally:
            writer.close()

    async def _answer(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status = self.status if self._is_known(head) else 407
        if status != 200:
            self.refused += 1
            writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
            await writer.drain()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
        finally:
            up_writer.close()

    def _is_known(self, head: str) -> bool:
        if self.credentials is None:
            return True
        secret = base64.b64encode(self.credentials.encode()).decode()
        return f"\r\nproxy-authorization: basic {secret}\r\n".lower() in head.lower()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@contextmanager
def proxying(proxy: Proxy) -> Iterator[Proxy]:
    """Run *proxy* in a thread of its own while the context lasts."""
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def keep() -> None:
        stop, busy = asyncio.Event(), set[asyncio.Task[None]]()

        async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            busy.add(task)
            try:
                with suppress(asyncio.CancelledError):
                    await proxy.handle(reader, writer)
            finally:
                busy.discard(task)

        secure = None
        if proxy.certificate is not None:
            secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            secure.load_cert_chain(proxy.certificate)
        server = await asyncio.start_server(tracked, "127.0.0.1", 0, ssl=secure)
        async with server:
            begun.set_result((asyncio.get_running_loop(), stop, server.sockets[0].getsockname()[1]))
            await stop.wait()
            server.close()
            for task in busy:
                task.cancel()
            while busy:
                await asyncio.wait(busy)
            # What is closed is gone with the next turns of the loop.
            await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(keep()), name="proxy", daemon=True)
    thread.start()
    loop, stop, port = begun.result()
    proxy.url = f"{'http' if proxy.certificate is None else 'https'}://127.0.0.1:{port}"
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
