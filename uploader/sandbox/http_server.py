"""Serve a sandbox over HTTP, on loopback only."""

import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

from aiohttp import web

from uploader.sandbox.api_replies import ApiReply
from uploader.sandbox.calls import CALLS
from uploader.sandbox.fault_replies import send_reply
from uploader.sandbox.service import Arrival, IncomingRequest, Sandbox
from uploader.sandbox.sqlite_store import Stray

# Long enough to finish a reply that is being written, short enough for a user who waits.
_GRACE_SECONDS = 0.1


@asynccontextmanager
async def serve(sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve *sandbox* while the context lasts, and yield its base URL; *port* 0: any free one.

    Leaving the context ends all requests at once, also those that hang. Raises ValueError for a *host* that is not
    loopback, and OSError for a *port* that is taken or a certificate that can't be read.
    """
    address = _loopback(host)
    secure = _secure(sandbox.rules.certificate)
    server = web.Server(_Handler(sandbox), handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=_GRACE_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port, ssl_context=secure).start()
        bound = runner.addresses[0][1]
        shown = f"[{address}]" if ":" in address else address
        yield f"{'https' if secure else 'http'}://{shown}:{bound}"
    finally:
        await runner.cleanup()
        sandbox.flush()


class _Handler:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._second = -1
        self._date: dict[str, str] = {}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        sandbox = self._sandbox
        token = request.headers.get("access_token", "")
        call = CALLS.get(request.path)
        if call is None or request.method != "POST":
            sandbox.record_stray(Stray(request.method, request.path, bool(token)))
            verdict = ApiReply(404 if call is None else 405, "")
            return web.Response(
                status=verdict.status,
                body=verdict.body_bytes(),
                content_type="application/json",
                headers=self._now(),
            )
        arrival = sandbox.arrive(call)
        body = await self._body(request, arrival)
        act = sandbox.answer(
            arrival, IncomingRequest(body, request.query.get("service_id", ""), token, request.content_type)
        )
        if act.delay:
            await sandbox.clock.sleep(act.delay)
        return await send_reply(request, act, self._now(), sandbox.clock)

    async def _body(self, request: web.BaseRequest, arrival: Arrival) -> bytes:
        try:
            return await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            self._sandbox.record_lost(arrival, error.status)
            raise
        except BaseException:
            self._sandbox.record_lost(arrival)
            raise

    def _now(self) -> dict[str, str]:
        second = int(self._sandbox.now() + self._sandbox.rules.replies.clock_skew)
        if second != self._second:
            self._second, self._date = second, {"Date": formatdate(second, usegmt=True)}
        return self._date


def _loopback(host: str) -> str:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        fine = ipaddress.ip_address(address).is_loopback
    except ValueError:
        fine = False
    if not fine:
        raise ValueError(f"host {host!r} is not loopback; the sandbox serves 127.0.0.1, ::1 or localhost")
    return address


def _secure(certificate: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
