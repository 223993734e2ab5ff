"""Send a reply to the client, whole or as its fault distorts it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

import orjson
from aiohttp import web

from uploader.clock import Clock
from uploader.sandbox.service import PlannedReply

DRIP_SECONDS = 0.2
HUGE_BYTES = 10 * 1024 * 1024

_PAGE = b"<!DOCTYPE html>\n<html><head><title>Gateway</title></head><body><h1>It is not here</h1></body></html>\n"
_GARBAGE = b'\x00\xff{"status": tru'
_JSON = "application/json"


async def send_reply(
    request: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], clock: Clock
) -> web.StreamResponse:
    """Send the reply of *act*, or what its fault makes of it; *date* is the `Date` header."""
    if act.fault is not None and act.fault.kind in _SENDERS:
        return await _SENDERS[act.fault.kind](request, act, date, clock)
    if act.fault is not None and act.fault.kind == "http" and not act.fault.code:
        return web.Response(status=act.reply.status, body=_PAGE, content_type="text/html", headers=date)
    return _whole(act, date, act.reply.body_bytes())


def _whole(act: PlannedReply, date: Mapping[str, str], body: bytes) -> web.Response:
    return web.Response(status=act.reply.status, body=body, content_type=_JSON, headers={**act.headers, **date})


async def _begin(
    request: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], length: int | None
) -> web.StreamResponse:
    response = web.StreamResponse(status=act.reply.status, headers={**act.headers, **date, "Content-Type": _JSON})
    if length is None:
        response.enable_chunked_encoding()
    else:
        response.content_length = length
    await response.prepare(request)
    return response


def _hang_up(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.close()


async def _hang(_: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], __: Clock) -> web.StreamResponse:
    # Ends when the client disconnects or the server stops: both cancel the handler.
    await asyncio.Event().wait()
    return _whole(act, date, b"")


async def _drop(request: web.BaseRequest, _: PlannedReply, date: Mapping[str, str], __: Clock) -> web.StreamResponse:
    _hang_up(request)
    return web.Response(headers=date)


async def _drip(
    request: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], clock: Clock
) -> web.StreamResponse:
    response = await _begin(request, act, date, None)
    with suppress(ConnectionResetError):
        for byte in act.reply.body_bytes():
            await response.write(bytes((byte,)))
            await clock.sleep(DRIP_SECONDS)
        while True:
            # Blanks after the JSON: still valid, and the reply never ends.
            await response.write(b" ")
            await clock.sleep(DRIP_SECONDS)
    return response


async def _cut(request: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], _: Clock) -> web.StreamResponse:
    body = act.reply.body_bytes()
    response = await _begin(request, act, date, len(body))
    await response.write(body[: len(body) // 2])
    _hang_up(request)
    return response


async def _garbage(_: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], __: Clock) -> web.StreamResponse:
    return web.Response(body=_GARBAGE, content_type=_JSON, headers={**act.headers, **date})


async def _html(_: web.BaseRequest, __: PlannedReply, date: Mapping[str, str], ___: Clock) -> web.StreamResponse:
    return web.Response(body=_PAGE, content_type="text/html", headers=date)


async def _redirect(_: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], __: Clock) -> web.StreamResponse:
    url = act.fault.url if act.fault is not None else ""
    return web.Response(status=act.reply.status, headers={**date, "Location": url})


async def _huge(request: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], _: Clock) -> web.StreamResponse:
    response = await _begin(request, act, date, None)
    with suppress(ConnectionResetError):
        await response.write(act.reply.body_bytes()[:-1] + b',"padding":"')
        for _chunk in range(HUGE_BYTES // 65_536):
            await response.write(b"x" * 65_536)
        await response.write(b'"}')
    return response


async def _number_code(_: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], __: Clock) -> web.StreamResponse:
    body = act.reply.body()
    number = {"code": int(act.reply.code)} if act.reply.code else {}
    return _whole(act, date, orjson.dumps({**body, **number}))


async def _retry_after(_: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], __: Clock) -> web.StreamResponse:
    seconds = act.fault.seconds if act.fault is not None else 0
    return web.Response(
        status=429, body=_PAGE, content_type="text/html", headers={**date, "Retry-After": f"{seconds:.0f}"}
    )


async def _close(_: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], __: Clock) -> web.StreamResponse:
    response = _whole(act, date, act.reply.body_bytes())
    response.force_close()
    return response


async def _unasked(
    request: web.BaseRequest, act: PlannedReply, date: Mapping[str, str], _: Clock
) -> web.StreamResponse:
    body = act.reply.body_bytes()
    response = _whole(act, date, body)
    if act.fault is not None and request.transport is not None:
        status = act.fault.status
        data = _written(status, _PAGE, {}) if status else _written(act.reply.status, body, {**act.headers, **date})
        # The next request may be answered meanwhile.
        asyncio.get_running_loop().call_later(act.fault.seconds, _say, request.transport, data, bool(status))
    return response


def _say(transport: asyncio.Transport, data: bytes, closes: bool) -> None:  # noqa: FBT001 — as call_later has it
    if not transport.is_closing():
        transport.write(data)
        if closes:
            transport.close()


def _written(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the bytes of a reply that no request asked for."""
    lines = (f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": str(len(body))}.items())
    return f"HTTP/1.1 {status} So\r\n{''.join(lines)}\r\n".encode() + body


_SENDERS: Mapping[
    str, Callable[[web.BaseRequest, PlannedReply, Mapping[str, str], Clock], Awaitable[web.StreamResponse]]
] = MappingProxyType(
    {
        "hang": _hang,
        "drop-before": _drop,
        "drop-after": _drop,
        "drip": _drip,
        "cut": _cut,
        "garbage": _garbage,
        "html": _html,
        "redirect": _redirect,
        "huge": _huge,
        "number-code": _number_code,
        "retry-after": _retry_after,
        "close": _close,
        "unasked": _unasked,
    }
)
