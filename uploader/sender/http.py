"""Make one attempt: one POST, and what came back."""

import errno
import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from types import TracebackType
from typing import Final, Self

import aiohttp
import orjson
from yarl import URL

from uploader.halt import Halted
from uploader.model import PATH, Answer, Reply, Silence
from uploader.policy import SUCCESS
from uploader.sender.connection import CheckedRequest, ConnectionPool, EarlyReplyError, UnsentError
from uploader.sender.window import read_window
from uploader.timeouts import ExpiredError, Timeouts

_MOST: Final = 64 * 1024
"""How many bytes of a reply are read; the API's own are under 200."""

_CONNECT_SECONDS: Final = 10.0
_OTHER_CONNECTIONS: Final = 3
"""How many more are tried for a request when a connection turns out to be of no use before the request leaves."""

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
            connector=ConnectionPool(self._connections),
            request_class=CheckedRequest,
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
                try:
                    response = await self._session.post(self._url, data=body, allow_redirects=False)
                except UnsentError:
                    response = await self._post_elsewhere(self._session, body)
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

    async def _post_elsewhere(self, session: aiohttp.ClientSession, body: bytes) -> aiohttp.ClientResponse:
        """Send *body*, nothing of which has left, over another connection; raise UnsentError when none takes it."""
        for _ in range(_OTHER_CONNECTIONS - 1):
            with suppress(UnsentError):
                return await session.post(self._url, data=body, allow_redirects=False)
        return await session.post(self._url, data=body, allow_redirects=False)

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
    reply = _unambiguous(text) if text else {}
    code = reply.get("code")
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)
    # A code is a short number: anything else is some other server's word and could be anything.
    if not (isinstance(code, str) and code.isascii() and code.isdigit() and len(code) <= 6):  # noqa: PLR2004 — the documented codes have five digits
        return ""
    # The code of a success beside the status of a failure says neither.
    return "" if code == SUCCESS and reply.get("status", True) is not True else code


def _unambiguous(text: bytes) -> dict[str, object]:
    """Return the JSON object that *text* is; an empty one when it is none, or says twice what a reply is judged by."""
    try:
        reply = orjson.loads(text)
        if not isinstance(reply, dict):
            return {}
        # orjson keeps the last of equal keys, this all of them.
        keys = [key for key, _ in json.loads(text, object_pairs_hook=tuple)]
    except (ValueError, RecursionError):
        return {}
    return {} if any(keys.count(key) > 1 for key in ("code", "status")) else reply


_LATE: Final = Silence("no reply in time")
_UNSENT: Final = Silence(
    "the server ended the connection, or replied, before the request was sent", applied=False, refused=True
)
_SILENCES: Final[tuple[tuple[type[Exception], Silence], ...]] = (
    (aiohttp.ClientConnectorCertificateError, Silence("the server's certificate can't be trusted", fatal=True)),
    (aiohttp.ClientSSLError, Silence("no TLS connection can be made with this server", fatal=True)),
    (aiohttp.ClientConnectorDNSError, Silence("the server's name can't be resolved", applied=False, refused=True)),
    (aiohttp.ConnectionTimeoutError, Silence("no connection in time", applied=False, refused=True)),
    (aiohttp.ClientConnectorError, Silence("no connection to the server", applied=False, refused=True)),
    (UnsentError, _UNSENT),
    (EarlyReplyError, Silence("the server replied before the whole request was sent")),
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
