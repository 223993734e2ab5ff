"""A monitor that receives notifications over real sockets, and that hangs, drips, redirects or fails when it should."""

import json
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Literal, TypeAlias

Manner: TypeAlias = Literal["answers", "hangs", "drips", "redirects", "fails", "drips its handshake"]
"""How a monitor behaves; what it does wrong, it does for ever."""

_PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Received:
    """What arrived: the path, the kind of its content, and the content."""

    path: str
    content_type: str
    body: bytes

    @property
    def facts(self) -> Any:  # noqa: ANN401 — JSON
        """The content of a webhook."""
        return json.loads(self.body)


@dataclass(slots=True)
class Monitor:
    """A monitor at *url*, and what it *received*."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    @property
    def events(self) -> list[str]:
        """The events of all webhooks."""
        return [one.facts["event"] for one in self.received if one.content_type == "application/json"]

    @property
    def pings(self) -> list[str]:
        """The paths of all pings."""
        return [one.path for one in self.received if one.content_type != "application/json"]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    trust: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        if self.trust is not None:
            # The handshake comes with the first byte that the handler's own thread reads.
            connection = self.trust.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that hangs up is what these tests are about.
        pass


@contextmanager
def monitor(manner: Manner = "answers", *, trust: ssl.SSLContext | None = None) -> Iterator[Monitor]:
    """Run a monitor of this *manner*, encrypted where *trust* has a certificate."""
    found, over = Monitor(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            found.connections += 1
            if manner == "drips its handshake":
                _drip(self.request, b"\x16\x03\x03\x40\x00", over)
                raise ConnectionError
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.received.append(Received(self.path, self.headers["Content-Type"], body))
            match manner:
                case "hangs":
                    over.wait(_PATIENCE_SECONDS)
                case "drips":
                    _drip(self.request, b"HTTP/1.1 200 OK\r\nX-Slow: ", over)
                case "redirects":
                    self.send_response(307)
                    self.send_header("Location", f"{found.url}/elsewhere")
                    self.end_headers()
                case _:
                    self.send_response(500 if manner == "fails" else 200)
                    self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        server.trust = trust
        scheme = "http" if trust is None and manner != "drips its handshake" else "https"
        found.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            over.set()
            server.shutdown()
            thread.join()


def _drip(connection: socket.socket, beginning: bytes, over: threading.Event) -> None:
    """Send *beginning*, and then one byte after the other, each before any timeout of a single read."""
    until = time.monotonic() + _PATIENCE_SECONDS
    with suppress(OSError):
        connection.sendall(beginning)
        while not over.wait(0.05) and time.monotonic() < until:
            connection.sendall(b"x")
