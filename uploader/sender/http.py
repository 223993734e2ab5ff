"""Make one attempt: one POST, and what came back."""

import errno
import ssl
from collections.abc import Callable
from functools import lru_cache
from types import TracebackType
from typing import Final, Self

import aiohttp
import orjson
from yarl import URL

from uploader.halt import Halted
from uploader.model import PATH, Answer, Reply, Silence
from uploader.sender.resolver import Resolver
from uploader.sender.window import read_window
from uploader.timeouts import ExpiredError, Timeouts

_MOST: Final = 64 * 1024
"""How many bytes of a reply are read; the API's own are under 200."""

_CONNECT_SECONDS: Final = 10.0
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""What says that this machine has no socket, file, port or memory left for one more connection."""


class Http:
    """A pool of connections to the service; `post` never raises for what the network or the server does.

    It follows no redirect (the token would go along), keeps no cookies, asks for no compression, and obeys no proxy
    of the environment. It is an async context manager.
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
    ) -> None:
        """Take the address and the credentials; *timeout* bounds one attempt, in seconds."""
        self._url = (URL(base_url) / PATH.lstrip("/")).with_query(service_id=service_id)
        self._token = access_token
        self._timeout = timeout
        self._timeouts = Timeouts(timeout)
        self._abandoned = False
        self._connections = connections
        self._wall = wall
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool; no connection is made yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ttl_dns_cache=60, resolver=Resolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # Less than the whole, which is not aiohttp's: a server that can't be reached is told from one that does
            # not answer.
            timeout=aiohttp.ClientTimeout(total=None, connect=min(_CONNECT_SECONDS, self._timeout / 2)),
            headers={
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
                "access_token": self._token,
                "User-Agent": "dfinery-uploader",
            },
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def post(self, body: bytes) -> Reply:
        """Send *body* once; return the Answer of the service, or the Silence in its place.

        Raises:
            Halted: it was abandoned.
        """
        assert self._session is not None, "Http is entered before it is used"  # noqa: S101 — a bug otherwise
        try:
            with self._timeouts:
                # Not as a context manager, which waits for what has ended already when the whole reply is there.
                response = await self._session.post(self._url, data=body, allow_redirects=False)
                content = response.content
                if content.is_eof() and content.total_bytes <= _MOST:
                    # A short reply is there as soon as its headers are, and its connection most often free again.
                    text: bytes | None = content.read_nowait()
                    if not response.closed:
                        response.close()
                else:
                    text = await _read_on(response)
        except ExpiredError:
            if self._abandoned:
                raise Halted from None
            return _LATE
        except (aiohttp.ClientError, ssl.SSLError, OSError, TimeoutError) as error:
            # Their own words may hold the request's headers, the token among them: they are never passed on.
            return _silence(error)
        return Answer(response.status, _code(text), read_window(response.headers, now=self._wall))

    def abandon(self) -> None:
        """End what is in flight: the run is told to stop, and it has had its time to land."""
        self._abandoned = True
        self._timeouts.end_all()


async def _read_on(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body when all of it has come, or None when it is longer than any answer of the API."""
    content, text = response.content, b""
    try:
        while not content.at_eof():
            text += await content.read(_MOST + 1 - len(text))
            if len(text) > _MOST:
                return None
    finally:
        # A connection with something left in it is not used again.
        if not response.closed:
            response.close()
    return text


@lru_cache(maxsize=16)
def _code(text: bytes | None) -> str:
    """Return the code in a reply of the API, text or number (`api.md`, Replies); "" where it is not the API's."""
    if not text:
        return ""
    try:
        reply = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ""
    code = reply.get("code") if isinstance(reply, dict) else None
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)
    # A code is a short number: anything else is some other server's word and could be anything.
    return code if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) <= 6 else ""  # noqa: PLR2004 — the documented codes have five digits


_LATE: Final = Silence("no reply in time")
_SILENCES: Final[tuple[tuple[type[Exception], Silence], ...]] = (
    (aiohttp.ClientConnectorCertificateError, Silence("the server's certificate can't be trusted", fatal=True)),
    (aiohttp.ClientSSLError, Silence("no TLS connection can be made with this server", fatal=True)),
    (aiohttp.ClientConnectorDNSError, Silence("the server's name can't be resolved", applied=False, refused=True)),
    (aiohttp.ConnectionTimeoutError, Silence("no connection in time", applied=False, refused=True)),
    (aiohttp.ClientConnectorError, Silence("no connection to the server", applied=False, refused=True)),
    (TimeoutError, _LATE),
    (aiohttp.ServerDisconnectedError, Silence("the connection ended before the reply")),
    (aiohttp.ClientPayloadError, Silence("the connection ended in the middle of the reply")),
    (aiohttp.ClientResponseError, Silence("the reply was not HTTP")),
)
"""The first type that fits says what is known; anything else is a connection that broke."""


def _silence(error: Exception) -> Silence:
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return Silence("this machine has no socket or file left", applied=False, local=True)
    for kind, silence in _SILENCES:
        if isinstance(error, kind):
            return silence
    return Silence("the connection broke")
