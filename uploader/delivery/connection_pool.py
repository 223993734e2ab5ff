"""Take a reply only from a connection that waits for one."""

import asyncio
import logging
import select
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage

from uploader.api import TIMEOUT_STATUS
from uploader.delivery.dns import Resolver

_LOG: Final = logging.getLogger("uploader.delivery")

_LOOP_ITERATIONS: Final = 8
"""Iterations of the loop in which a connection reads its socket before a request leaves; two are needed."""

_INTERIM: Final = frozenset({*range(100, 200)} - {101})
"""The statuses of a message that only precedes the reply."""


class UnsentError(aiohttp.ClientConnectionError):
    """The connection was unusable before the first byte of the request left; another one may be usable."""


class EarlyReplyError(aiohttp.ClientConnectionError):
    """Data came before the last byte of the request had left; the rest of the request is not sent."""


class ConnectionPool(aiohttp.TCPConnector):
    """At most *connections* to the service, each of which accepts no unrequested reply.

    A server that sends one may send the next while a request is in flight, and HTTP/1.1 can't distinguish it from that
    request's reply. So, after the first one, each connection has only one request.
    """

    def __init__(self, connections: int, trust: ssl.SSLContext | None = None) -> None:
        """Open no connection yet; *trust* has the certificate authorities; None: those of the system."""
        super().__init__(limit=connections, ttl_dns_cache=60, resolver=Resolver(), ssl=True if trust is None else trust)
        kind: Callable[..., ResponseHandler] = ReplyProtocol
        self._factory = partial(kind, self._loop, self)
        self.is_for_one_request_each = False
        """Whether no connection may have a second request."""

    def let_each_have_one_request(self) -> None:
        """Use no connection for a second request from now on, and log a warning."""
        if self.is_for_one_request_each:
            return
        self.is_for_one_request_each = self._force_close = True
        _LOG.warning(
            "the service, or something before it, sent a reply that nobody asked for: "
            "from now on each request has a connection of its own"
        )
        for idle in self._conns.values():
            for protocol, _ in idle:
                protocol.close()
        self._conns.clear()


class CheckedRequest(aiohttp.ClientRequest):
    """A request that checks its connection once more before its first byte leaves."""

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        """Write the request, or nothing of it if the connection is no longer usable."""
        protocol = conn.protocol
        if isinstance(protocol, ReplyProtocol) and not (protocol.begin_request() or await protocol.begin_when_read()):
            protocol.throw_away()
            return
        await super().write_bytes(writer, conn, content_length)


class ReplyProtocol(ResponseHandler):
    """One connection, which expects a reply only from the last byte of a request to the last byte of its reply.

    Data at any other time is unrequested, and ends the connection. aiohttp alone would keep it, take it for the reply
    to the next request on this connection, and not send that request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: ConnectionPool | None = None) -> None:
        """Start idle; *pool* is notified of an unrequested reply."""
        super().__init__(loop)
        self._pool = pool
        self.has_served = False
        """Whether a request had its reply over this connection."""
        # Whether a request has started to leave, and whether it is written. Its reply ends both.
        self._is_begun = False
        self._is_written = False
        self._reply: aiohttp.StreamReader | None = None
        self._unread = select.poll()
        self._below_tls: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep *transport*, and poll its socket."""
        super().connection_made(transport)
        self._unread.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._below_tls = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)

    def begin_request(self) -> bool:
        """Return whether a request may leave now: nothing has come since the last reply, not even the end of data."""
        pool = self._pool
        if self.has_served and pool is not None and pool.is_for_one_request_each:
            return False
        if not self.is_connected() or self._unread.poll(0):
            return False
        self._is_begun = True
        return True

    async def begin_when_read(self) -> bool:
        """Return the same after the socket is read: data of TLS itself, as session tickets, is no obstacle."""
        for _ in range(_LOOP_ITERATIONS):
            if not self.is_connected():
                break
            await asyncio.sleep(0)  # noqa: TID251 — it gives way and waits for nothing
            if self.begin_request():
                return True
        return False

    def start_timeout(self) -> None:
        """Expect the reply: aiohttp calls this when it has written the whole request."""
        self._is_begun = self._is_written = True
        super().start_timeout()

    def data_received(self, data: bytes) -> None:
        """Read *data* if a reply is expected; aiohttp itself continues reading with empty *data*."""
        below, transport = self._below_tls, self.transport
        if data and not (
            self._is_written
            and (transport is None or transport.get_write_buffer_size() == 0)
            and (below is None or below.get_write_buffer_size() == 0)
        ):
            # Nothing was asked for, or the request has not left as a whole.
            self.throw_away()
            if _may_be_a_reply(data):
                self._complain()
            return
        super().data_received(data)
        if self._reply is not None and self._reply.is_eof():
            self._end_reply()

    def feed_data(self, data: tuple[RawResponseMessage, aiohttp.StreamReader], size: int = 0) -> None:
        """Accept a message whose headers have come."""
        message, body = data
        if message.code not in _INTERIM:
            if self._reply is not None:
                # A second message right behind the reply.
                self.force_close()
                # A balancer sends 408 on a connection that was idle for too long: it is no reply.
                if message.code != TIMEOUT_STATUS:
                    self._complain()
            self._reply = body
        super().feed_data(data, size)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail the request that waits; one that has not started to leave can use another connection."""
        if not self._is_begun:
            self.set_exception(UnsentError())
        super().connection_lost(exc)

    def throw_away(self) -> None:
        """End the connection at once, and send nothing more. A reply that is complete stays valid."""
        _LOG.debug("a connection is not used any more: it ended, or something came that nobody asked for")
        self.set_exception(EarlyReplyError() if self._is_begun else UnsentError())
        if self.transport is not None:
            self.transport.abort()

    def _complain(self) -> None:
        if self._pool is not None:
            self._pool.let_each_have_one_request()

    def _end_reply(self) -> None:
        self._is_begun = self._is_written = False
        self.has_served = True
        self._reply = None
        try:
            more = self._parser is not None and self._parser.feed_eof() is not None
        except Exception:  # noqa: BLE001 — any error of the parser means half a message
            more = True
        if more:
            # A second message starts right behind the reply.
            self.force_close()
            self._complain()


def _may_be_a_reply(data: bytes) -> bool:
    """Whether *data* is neither a mere line end nor the 408 with which a balancer ends an idle connection."""
    return not (data.startswith(b"HTTP/1.") and data[8:12] == b" %d" % TIMEOUT_STATUS) and data.strip() != b""
