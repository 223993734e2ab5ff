"""A real proxy over sockets: it tunnels (CONNECT) wherever it is asked to, to one port of this machine."""

import asyncio
import base64
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trustme

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


@dataclass(frozen=True)
class Authority:
    """A certificate authority that no system knows: its own certificate, and one with its key for each of *names*."""

    file: Path
    certificate: Path


def authority(folder: Path, *names: str) -> Authority:
    """Make a certificate authority in *folder* that vouches for *names*."""
    ca = trustme.CA()
    made = Authority(folder / "company.pem", folder / "server.pem")
    ca.cert_pem.write_to_path(made.file)
    ca.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(made.certificate)
    return made
