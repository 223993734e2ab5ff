"""Send short messages over HTTP within a hard time limit, whatever the other side does."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = range(300, 400)
_SUCCESSES: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class EndpointRoute:
    """The route to an endpoint; *authorization* is the header for the *proxy* (its URL), if that asks for one.

    The authorities in *ca_file* are trusted beside those of the system.
    """

    proxy: str | None = None
    authorization: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class NotifyEndpoint:
    """Where messages go: the *url*, of which only the host may be shown, and the *key* of the configuration for it."""

    key: str
    url: str = field(repr=False)
    route: EndpointRoute = EndpointRoute()

    @property
    def name(self) -> str:
        """The endpoint for people: the key and the host."""
        return f"{self.key} ({urlsplit(self.url).hostname})"


@dataclass(frozen=True, slots=True)
class EndpointMessage:
    """What is posted to an endpoint: *suffix* is added to the path of its URL."""

    endpoint: NotifyEndpoint
    body: bytes = field(repr=False)
    content_type: str
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class EndpointReply:
    """How an endpoint answered, in *words* without the path of its URL, and whether it accepted the message."""

    endpoint: NotifyEndpoint
    words: str
    is_success: bool = False


class EndpointPost:
    """Messages to one endpoint, posted one after the other by a thread that nobody waits for longer than allowed.

    Name lookup, connection, TLS and a reply that drips all count. The thread is left behind where it can't be ended.
    """

    def __init__(
        self, messages: Sequence[EndpointMessage], *, seconds: float, after: "EndpointPost | None" = None
    ) -> None:
        """Post *messages* within *seconds* each, and not before *after* has ended."""
        self._messages = messages
        self._seconds = seconds
        self._after = after
        self._replies: list[EndpointReply] = []
        self._open: socket.socket | None = None
        self._is_given_up = False
        self._thread = threading.Thread(target=self._run, name="notification", daemon=True)

    def start(self) -> None:
        """Begin; raises RuntimeError where this machine has no thread left."""
        self._thread.start()

    def replies(self, until: float) -> list[EndpointReply]:
        """Return the reply to each message; one that does not come *until* then (`time.monotonic`) is a failure."""
        self.join(until - time.monotonic())
        replies = list(self._replies)
        return replies + [
            EndpointReply(message.endpoint, "did not answer in time") for message in self._messages[len(replies) :]
        ]

    def join(self, seconds: float) -> None:
        """Wait until all is posted, but at most *seconds*."""
        self._thread.join(max(0.0, seconds))

    def give_up(self) -> None:
        """Close the connection, so that the thread ends soon."""
        self._is_given_up = True
        handle = self._open
        if handle is not None:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        if self._after is not None:
            # Half of the time is left for these messages, which say more.
            self._after.join(self._seconds / 2)
            self._after.give_up()
        for message in self._messages:
            reply = self._reply(message)
            if self._is_given_up:
                return
            self._replies.append(reply)

    def _reply(self, message: EndpointMessage) -> EndpointReply:
        endpoint = message.endpoint
        try:
            status = self._exchange(message)
        except Exception as error:  # noqa: BLE001 — whatever it is, it is no trouble of the run
            return EndpointReply(endpoint, _words(error))
        if status in _REDIRECTS:
            return EndpointReply(endpoint, f"answered {status}, a redirect, which is not followed")
        return EndpointReply(endpoint, f"answered {status}", is_success=status in _SUCCESSES)

    def _exchange(self, message: EndpointMessage) -> int:
        parts = urlsplit(message.endpoint.url)
        connection = _EndpointConnection(message.endpoint.route, parts.scheme, parts.hostname or "", parts.port, self)
        connection.timeout = self._seconds
        path = parts.path.rstrip("/") + message.suffix if message.suffix else parts.path
        try:
            headers = {"Content-Type": message.content_type, "Connection": "close", "User-Agent": "dfinery-uploader"}
            target = f"{path or '/'}{f'?{parts.query}' if parts.query else ''}"
            connection.request("POST", target, message.body, headers)
            return connection.getresponse().status
        finally:
            connection.close()
            self.watch(None)

    def watch(self, connection: socket.socket | None) -> None:
        """Keep a second handle of *connection*, by which another thread can end it; None closes the one before."""
        previous, self._open = self._open, None if connection is None else connection.dup()
        if previous is not None:
            previous.close()
        if self._is_given_up and connection is not None:
            raise TimeoutError


class _EndpointConnection(http.client.HTTPConnection):
    """A connection to an endpoint, through its proxy if it has one, encrypted for https."""

    def __init__(self, route: EndpointRoute, scheme: str, host: str, port: int | None, post: EndpointPost) -> None:
        self._post = post
        self._context = _trusting(route.ca_file) if scheme == "https" else None
        self._server = host
        port = _PORTS[scheme] if port is None else port
        if route.proxy is None:
            super().__init__(host, port)
            return
        proxy = urlsplit(route.proxy)
        if proxy.scheme != "http":
            raise _NoWayError("can't be reached through an https:// proxy")
        super().__init__(proxy.hostname or "", proxy.port or _PORTS[proxy.scheme])
        headers = {} if route.authorization is None else {"Proxy-Authorization": route.authorization}
        self.set_tunnel(host, port, headers)

    def connect(self) -> None:
        """Connect, and encrypt the connection where the URL says so; raises OSError."""
        super().connect()
        self._post.watch(self.sock)
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self._server)


class _NoWayError(Exception):
    """An endpoint can't be reached; the text says why."""


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        # Where it can't be read, the run itself says so; what it has to report may still get through.
        with suppress(OSError, ssl.SSLError):
            context.load_verify_locations(cafile=ca_file)
    return context


def _words(error: Exception) -> str:
    """Return why an endpoint got no message; the error's own text may hold the path of the URL."""
    match error:
        case _NoWayError():
            words = str(error)
        case ssl.SSLCertVerificationError():
            words = f"has a certificate that can't be verified ({error.verify_message})"
        case ssl.SSLError():
            words = "could not agree on an encrypted connection"
        case TimeoutError():
            words = "did not answer in time"
        case socket.gaierror():
            words = f"has a host that can't be found ({error.strerror})"
        case OSError():
            words = f"can't be reached ({error.strerror or 'the proxy refused, or the connection broke'})"
        case _:
            words = f"gave no valid answer ({type(error).__name__})"
    return words
