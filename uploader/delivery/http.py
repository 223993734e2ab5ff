"""Make one attempt: send one POST, and return the reply."""

import errno
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from yarl import URL

from uploader.api import TIMEOUT_STATUS
from uploader.delivery.connection_pool import (
    CheckedRequest,
    ConnectionPool,
    EarlyReplyError,
    ReplyProtocol,
    UnsentError,
)
from uploader.delivery.timeouts import ExpiredError, Timeouts
from uploader.endpoints import ENDPOINTS, USER_PROFILE, Endpoint
from uploader.endpoints.replies import code_and_message
from uploader.endpoints.window_headers import read_window
from uploader.model import Answer, Reply, Request, Silence
from uploader.stop import Stopped

_MOST: Final = 64 * 1024
"""How many bytes of a reply are read; the API's own are under 200."""

_AGENT: Final = "dfinery-uploader"
_CONNECT_SECONDS: Final = 10.0
_OTHER_CONNECTIONS: Final = 3
"""How many more are tried for a request if a connection is unusable before the request leaves."""

_PROXY_CREDENTIALS: Final = 407
_PASSING: Final = frozenset({TIMEOUT_STATUS, 425, 429})
_NO_PROXY: Final = 501
_SERVER_ERRORS: Final = 500
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""The errors by which this machine has no socket, file, port or memory left for one more connection."""


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """The *url* of a proxy without credentials, for an encrypted address only, and the *authorization* header."""

    url: str
    authorization: str | None = field(default=None, repr=False)


class Http:
    """A pool of connections to the service; `post` never raises for what the network or the server does.

    It follows no redirect (the token would go along), keeps no cookies and asks for no compression. It uses no proxy
    but *proxy*, which does not see the token. It is an async context manager.

    States: created, open (within its context), and abandoned, once a stop has lasted too long: then requests in flight
    are cancelled, and no attempt is made any more.
    """

    def __init__(  # noqa: PLR0913 — the address, the credentials, and the bounds of one attempt
        self,
        *,
        base_url: str,
        service_id: str,
        access_token: str,
        timeout: float,
        connections: int,
        wall: Callable[[], float],
        proxy: HttpProxy | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Use the address and the credentials; *timeout* bounds one attempt, in seconds.

        *trust* has the certificate authorities; None: those of the system.
        """
        self._urls = {
            name: (URL(base_url) / endpoint.path.lstrip("/")).with_query(service_id=service_id)
            for name, endpoint in ENDPOINTS.items()
        }
        self._token = access_token
        self._timeout = timeout
        self._timeouts = Timeouts(timeout)
        self._abandoned = False
        self._connections = connections
        self._wall = wall
        self._proxy = proxy
        self._trust = trust
        self._session: aiohttp.ClientSession | None = None
        # Arguments of each request.
        self._own: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        """Open the pool, and no connection yet."""
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "access_token": self._token,
            "User-Agent": _AGENT,
        }
        if self._proxy is not None:
            # aiohttp sends the headers of a session to the proxy as well, in the clear.
            secret = self._proxy.authorization
            proxy_headers = {"User-Agent": _AGENT} | ({} if secret is None else {"Proxy-Authorization": secret})
            self._own = {"proxy": self._proxy.url, "proxy_headers": proxy_headers, "headers": headers}
            headers = {}
        self._session = aiohttp.ClientSession(
            connector=ConnectionPool(self._connections, self._trust),
            request_class=CheckedRequest,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # Less than the whole timeout, which `Timeouts` keeps: so a server that can't be reached is distinguished
            # from one that does not answer.
            timeout=aiohttp.ClientTimeout(total=None, connect=min(_CONNECT_SECONDS, self._timeout / 2)),
            headers=headers,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def post_to(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Reply]]:
        """Return what sends the body of a request to *endpoint*, as `post` does."""
        return lambda request: self.post(request.body, endpoint)

    async def post(self, body: bytes, endpoint: Endpoint = USER_PROFILE) -> Reply:
        """Send *body* once to *endpoint*; return the Answer of the service, or the Silence in its place.

        Raises:
            Stopped: it was abandoned after it may have left.
        """
        assert self._session is not None, "Http is entered before it is used"  # noqa: S101 — a bug otherwise
        payload, url = _Payload(body), self._urls[endpoint.name]
        try:
            with self._timeouts:
                # Not as a context manager, which would wait though the whole reply is there.
                try:
                    response = await self._send(self._session, url, payload)
                except UnsentError:
                    response = await self._send_elsewhere(self._session, url, payload)
                content = response.content
                if content.is_eof() and content.total_bytes <= _MOST:
                    # A short reply is there with its headers, and its connection is most often free again.
                    text: bytes | None = content.read_nowait()
                    if not response.closed:
                        response.close()
                else:
                    text = await _read_on(response)
        except ExpiredError:
            if not payload.may_have_left:
                return _PROXY_NOT_IN_TIME if self._is_on_its_way_to_proxy(payload) else _NOT_IN_TIME
            if self._abandoned:
                raise Stopped from None
            return _LATE
        except (aiohttp.ClientError, ssl.SSLError, OSError, TimeoutError) as error:
            # The texts of these errors may hold the request's headers, with the token: they are never passed on.
            through_proxy = self._is_on_its_way_to_proxy(payload)
            return _silence(error, may_have_left=payload.may_have_left, through_proxy=through_proxy)
        status, headers = response.status, response.headers
        code, message = code_and_message(text)
        crossed = status == TIMEOUT_STATUS and not code and payload.has_followed and _ends_connection(headers)
        return Answer(status, code, read_window(headers, now=self._wall), crossed, message)

    def _is_on_its_way_to_proxy(self, payload: "_Payload") -> bool:
        return self._proxy is not None and not payload.has_connection

    def _send(self, session: aiohttp.ClientSession, url: URL, payload: "_Payload") -> Awaitable[aiohttp.ClientResponse]:
        return session.post(url, data=payload, allow_redirects=False, **self._own)

    async def _send_elsewhere(
        self, session: aiohttp.ClientSession, url: URL, payload: "_Payload"
    ) -> aiohttp.ClientResponse:
        """Send *payload*, none of which has left, over another connection; raise UnsentError if all are unusable."""
        for _ in range(_OTHER_CONNECTIONS - 1):
            with suppress(UnsentError):
                return await self._send(session, url, payload)
        return await self._send(session, url, payload)

    def abandon(self) -> None:
        """Cancel the requests in flight: the run was stopped, and their time to end is over."""
        self._abandoned = True
        self._timeouts.end_all()


class _Payload(aiohttp.BytesPayload):
    """The body of one request; it records whether it had a connection, and whether any of it may have left.

    aiohttp writes it only after the connection is made, with proxy and TLS. So if anything fails before that, the
    service has not got the row.
    """

    has_connection = False
    may_have_left = False
    has_followed = False
    """Whether it was written to a connection that had served another request."""

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body; on a lost connection none of it leaves."""
        self.has_connection = True
        if isinstance(writer, StreamWriter):
            protocol = writer.protocol
            transport = protocol.transport
            self.may_have_left = transport is not None and not transport.is_closing()
            self.has_followed = isinstance(protocol, ReplyProtocol) and protocol.has_served
        await super().write_with_length(writer, content_length)


async def _read_on(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the whole body, or None if it is longer than any answer of the API."""
    content, text = response.content, b""
    try:
        while not content.at_eof():
            text += await content.read(_MOST + 1 - len(text))
            if len(text) > _MOST:
                return None
    finally:
        # A connection with unread data is not used again.
        if not response.closed:
            response.close()
    return text


def _ends_connection(headers: Mapping[str, str]) -> bool:
    return headers.get("Connection", "").lower() == "close"


def _no_way_by_proxy(why: str) -> Silence:
    return Silence(why, applied=False, refused=True, by_proxy=True)


_LATE: Final = Silence("no reply in time")
_NOT_IN_TIME: Final = Silence("no connection in time", applied=False, refused=True)
_PROXY_NOT_IN_TIME: Final = _no_way_by_proxy("no connection in time")
_UNSENT: Final[tuple[tuple[type[Exception], Silence], ...]] = (
    (
        UnsentError,
        Silence(
            "the server ended the connection, or replied, before the request was sent", applied=False, refused=True
        ),
    ),
    (
        aiohttp.ClientConnectorCertificateError,
        Silence("the server's certificate can't be trusted", applied=False, fatal=True),
    ),
    (aiohttp.ClientSSLError, Silence("no TLS connection can be made with this server", applied=False, fatal=True)),
    (aiohttp.ClientConnectorDNSError, Silence("the server's name can't be resolved", applied=False, refused=True)),
    (aiohttp.ConnectionTimeoutError, _NOT_IN_TIME),
    (aiohttp.ClientConnectorError, Silence("no connection to the server", applied=False, refused=True)),
    (Exception, Silence("the connection ended before the request", applied=False)),
)
"""The Silence for each error of an attempt of which nothing had left; the first type that matches counts."""

_UNSENT_THROUGH_PROXY: Final[tuple[tuple[type[Exception], Silence], ...]] = (
    (UnsentError, replace(_UNSENT[0][1], by_proxy=True)),
    # An error of the server's own certificate does not come from the proxy.
    *_UNSENT[1:3],
    (aiohttp.ClientConnectorDNSError, _no_way_by_proxy("the proxy's name can't be resolved")),
    (aiohttp.ConnectionTimeoutError, _PROXY_NOT_IN_TIME),
    (aiohttp.ClientProxyConnectionError, _no_way_by_proxy("no connection to the proxy")),
    (aiohttp.ClientConnectorError, _no_way_by_proxy("no connection to the server through the proxy")),
    (aiohttp.ClientResponseError, _no_way_by_proxy("the proxy's reply was not HTTP")),
    (Exception, _no_way_by_proxy("the proxy ended the connection before the request")),
)
"""The same if no connection through the proxy was made; the proxy's own replies are not the service's."""

_SENT: Final[tuple[tuple[type[Exception], Silence], ...]] = (
    (EarlyReplyError, Silence("the server replied before the whole request was sent")),
    (TimeoutError, _LATE),
    (aiohttp.ServerDisconnectedError, Silence("the connection ended before the reply")),
    (aiohttp.ClientPayloadError, Silence("the connection ended in the middle of the reply")),
    (aiohttp.ClientResponseError, Silence("the reply was not HTTP")),
    (Exception, Silence("the connection broke")),
)
"""The same for an attempt that may have left."""


def _silence(error: Exception, *, may_have_left: bool, through_proxy: bool) -> Silence:
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return Silence("this machine has no socket or file left", applied=may_have_left, local=True)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused_by_proxy(error.status)
    unsent = _UNSENT_THROUGH_PROXY if through_proxy else _UNSENT
    return next(silence for kind, silence in (_SENT if may_have_left else unsent) if isinstance(error, kind))


def _refused_by_proxy(status: int) -> Silence:
    """Return the Silence for a proxy that answers with *status* instead of connecting (RFC 9110, CONNECT)."""
    if status == _PROXY_CREDENTIALS:
        why = "the proxy asks for a user and a password that it knows (HTTP 407)"
    elif status in _PASSING or (status >= _SERVER_ERRORS and status != _NO_PROXY):
        return _no_way_by_proxy(f"the proxy can't reach the server (HTTP {status})")
    else:
        why = f"the proxy refuses to connect to the server (HTTP {status})"
    return Silence(why, applied=False, fatal=True, by_proxy=True)
