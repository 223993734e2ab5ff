import asyncio
import errno
import os
import socket
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import trustme
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.delivery.harness import ENDED_EARLY
from uploader.clock import real_clock
from uploader.delivery import Http
from uploader.model import Answer, Reply, Silence, WindowState
from uploader.sandbox import FAULT_KINDS, Fault, RunningSandbox, SandboxRules, running
from uploader.stop import Stopped

TOKEN: Final = "canary-5f1d"
NOW: Final = 1_719_397_769.25
BODY: Final = (
    b'{"identity":{"external_id":"ann"},"user_properties":{"df_name":"Ann"},'
    b'"request_datetime":"2024-06-24T06:42:25.394Z"}'
)
OK: Final = Answer(200, "20000")
WINDOW: Final = WindowState(period=60.0, remaining=0, reset=1_719_397_800.0, date=1_719_397_769.0)
FRESH: Final = WindowState(period=60.0, remaining=9999, reset=1_719_397_800.0, date=1_719_397_769.0)
STORED: Final = Answer(200, "20000", FRESH)
DATED: Final = WindowState(date=1_719_397_769.0)
NO_REPLY: Final = Silence("no reply in time")
NO_CONNECTION: Final = Silence("no connection to the server", applied=False, refused=True)
NOT_IN_TIME: Final = Silence("no connection in time", applied=False, refused=True)
HUNG_UP: Final = Silence("the connection ended before the reply")
NOT_HTTP: Final = Silence("the reply was not HTTP")

FINE: Final = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"code":"20000"}'


def http(url: str, *, timeout: float = 2.0, connections: int = 4, service_id: str = "shop") -> Http:
    return Http(
        base_url=url,
        service_id=service_id,
        access_token=TOKEN,
        timeout=timeout,
        connections=connections,
        wall=lambda: NOW,
    )


async def post(url: str, *, within: float = 2.0) -> Reply:
    """Make one attempt, and see to it that the reply never holds the token."""
    async with http(url, timeout=within) as sender:
        reply = await sender.post(BODY)
    assert TOKEN not in repr(reply)
    return reply


async def bare_post(url: str) -> Reply:
    """Make one attempt, and leave out of the reply what it says of the window, which goes by the real clock."""
    reply = await post(url)
    return replace(reply, window=WindowState()) if isinstance(reply, Answer) else reply


@dataclass
class Raw:
    """A server that says what it is told to say, byte for byte, and notes what it hears."""

    said: tuple[bytes, ...]
    stays: bool = False
    url: str = ""
    heard: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    self.heard.append(head + await reader.readexactly(len(BODY)))
                    reply = self.said[min(len(self.heard), len(self.said)) - 1]
                    writer.write(reply)
                    await writer.drain()
                    if not (self.stays and reply):
                        break
        finally:
            writer.close()


@asynccontextmanager
async def serving(handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]) -> AsyncIterator[str]:
    """Serve *handle* on loopback while the context lasts; whoever is still being served then is cut off."""
    busy: set[asyncio.Task[None]] = set()

    async def tracked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        busy.add(task)
        try:
            with suppress(asyncio.CancelledError):
                await handle(reader, writer)  # type: ignore[misc]  # every handler here is a coroutine function
        finally:
            busy.discard(task)
            writer.close()

    server = await asyncio.start_server(tracked, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for task in busy:
            task.cancel()
        while busy:
            await asyncio.wait(busy)


@asynccontextmanager
async def raw(*said: bytes, stays: bool = False) -> AsyncIterator[Raw]:
    server = Raw(said, stays)
    async with serving(server.serve) as server.url:
        yield server


_FAULTS: Final[dict[str, Reply]] = {
    "code=50000": Answer(200, "50000", FRESH),
    "http=503": Answer(503, "", DATED),
    "http=500:50000": Answer(500, "50000", FRESH),
    "limit": Answer(429, "", WINDOW),
    "limit=40401": Answer(200, "40401", WINDOW),
    "latency=20ms": STORED,
    "hang": NO_REPLY,
    "drop-before": HUNG_UP,
    "drop-after": HUNG_UP,
    "drip": NO_REPLY,
    "cut": Silence("the connection ended in the middle of the reply"),
    "garbage": Answer(200, "", FRESH),
    "html": Answer(200, "", DATED),
    "redirect": Answer(302, "", DATED),
    "huge": Answer(200, "", FRESH),
    "number-code": STORED,
    "retry-after=7": Answer(429, "", WindowState(date=1_719_397_769.0, retry_after=7.0)),
    "close": STORED,
    "unasked=1m": STORED,
}


@pytest.mark.parametrize(("fault", "reply"), _FAULTS.items())
async def test_each_fault_gives_the_reply_that_it_is(fault: str, reply: Reply) -> None:
    with running(
        SandboxRules(faults=(Fault.parse(fault),)), clock=replace(real_clock(), wall=lambda: NOW, monotonic=lambda: 0.0)
    ) as server:
        assert await post(server.url, within=0.4) == reply

        assert [record.fault for record in server.sandbox.requests()] == [str(Fault.parse(fault))]


def test_no_fault_is_left_out() -> None:
    assert {Fault.parse(fault).kind for fault in _FAULTS} == set(FAULT_KINDS)


@pytest.mark.parametrize(
    ("rules", "reply"),
    [
        (SandboxRules(token=TOKEN, service_id="shop"), OK),
        (SandboxRules(token="another"), Answer(200, "40201")),
        (SandboxRules(service_id="another"), Answer(200, "40101")),
    ],
)
async def test_the_service_recognises_us_by_token_and_service_id(
    sandbox: Callable[..., RunningSandbox], rules: SandboxRules, reply: Reply
) -> None:
    server = sandbox(rules)

    assert await bare_post(server.url) == reply

    assert [(record.body, record.token_ok) for record in server.sandbox.requests()] == [
        (BODY, rules.token != "another")
    ]


async def test_a_request_is_what_the_documentation_asks_for() -> None:
    async with raw(FINE) as server:
        assert await post(server.url + "/") == OK

    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    assert (line, body) == ("POST /api/v1/user-profile?service_id=shop HTTP/1.1", BODY)
    assert dict(header.split(": ", 1) for header in headers) == {
        "Host": server.url.removeprefix("http://"),
        "Content-Type": "application/json",
        "access_token": TOKEN,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": "dfinery-uploader",
        "Content-Length": str(len(BODY)),
    }


@pytest.mark.parametrize(
    ("path", "service_id", "target"),
    [
        ("", "shop", b"/api/v1/user-profile?service_id=shop"),
        ("/", "shop", b"/api/v1/user-profile?service_id=shop"),
        ("/proxy", "shop", b"/proxy/api/v1/user-profile?service_id=shop"),
        ("/proxy/", "a&b=c d", b"/proxy/api/v1/user-profile?service_id=a%26b%3Dc+d"),
    ],
)
async def test_the_address_is_made_of_base_url_and_service_id(path: str, service_id: str, target: bytes) -> None:
    async with raw(FINE) as server, http(server.url + path, service_id=service_id) as sender:
        await sender.post(BODY)

    assert server.heard[0].split()[1] == target


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed_and_the_token_does_not_travel(
    sandbox: Callable[..., RunningSandbox], status: int
) -> None:
    elsewhere = sandbox()
    server = sandbox(SandboxRules(faults=(Fault.parse(f"redirect={status}:{elsewhere.url}/api/v1/user-profile"),)))

    assert await bare_post(server.url) == Answer(status, "")

    assert (elsewhere.sandbox.strays(), elsewhere.sandbox.requests()) == ([], [])
    assert (server.sandbox.strays(), len(server.sandbox.requests())) == ([], 1)


async def test_no_cookie_is_sent_back() -> None:
    cookie = FINE.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=1; Path=/\r\n\r\n", 1)
    # A name, since no jar keeps the cookies of a bare address.
    async with raw(cookie, stays=True) as server, http(server.url.replace("127.0.0.1", "localhost")) as sender:
        assert [await sender.post(BODY), await sender.post(BODY)] == [OK, OK]

    assert [b"cookie" in request.lower() for request in server.heard] == [False, False]


async def test_no_proxy_of_the_environment_is_obeyed(
    sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with raw(FINE) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)

        assert await bare_post(sandbox().url) == OK

    assert proxy.heard == []


async def test_requests_share_a_connection() -> None:
    async with raw(FINE, stays=True) as server, http(server.url) as sender:
        assert [await sender.post(BODY) for _ in range(3)] == [OK, OK, OK]

    assert (server.connections, server.heard) == (1, server.heard[:1] * 3)


async def test_there_are_no_more_connections_than_allowed() -> None:
    async with raw(FINE, stays=True) as server, http(server.url, connections=2) as sender:
        await asyncio.gather(*(sender.post(BODY) for _ in range(12)))

    assert (server.connections, len(server.heard)) == (2, 12)


async def test_a_request_is_not_repeated_on_a_connection_that_was_dropped() -> None:
    async with raw(FINE, b"", stays=True) as server, http(server.url) as sender:
        assert [await sender.post(BODY), await sender.post(BODY)] == [OK, HUNG_UP]

    assert len(server.heard) == 2


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (b"", HUNG_UP),
        (b"HTTP/1.1 100 Continue\r\n\r\n", HUNG_UP),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", NOT_HTTP),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", NOT_HTTP),
        (b"HTTP/1.1 200 OK\r\nPadding: " + b"x" * 100_000 + b"\r\n\r\n", NOT_HTTP),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n", NOT_HTTP),
        (
            b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"code":"20000"}',
            Silence("the connection ended in the middle of the reply"),
        ),
        (b'HTTP/1.1 200 OK\r\n\r\n{"code":"20000"}', OK),
        (b'HTTP/1.1 200 OK\r\n\r\n{"code":20000}', OK),
        (b'HTTP/1.1 200 OK\r\n\r\n{"code":true}', Answer(200, "")),
        (b'HTTP/1.1 200 OK\r\n\r\n{"code":null}', Answer(200, "")),
        (b'HTTP/1.1 200 OK\r\n\r\n{"code":"the-canary"}', Answer(200, "")),
        (b'HTTP/1.1 200 OK\r\n\r\n{"code":"2000000"}', Answer(200, "")),
        (b'HTTP/1.1 200 OK\r\n\r\n["20000"]', Answer(200, "")),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 60_000, Answer(200, "")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, "")),
        (b'HTTP/1.1 502 Bad Gateway\r\n\r\n{"code":"20000"}', Answer(502, "20000")),
        (b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n{"code":"20000"}', OK),
        (
            b'HTTP/1.1 200 OK\r\nx-ratelimit-remaining: 0\r\n\r\n{"code":"20000"}',
            Answer(200, "20000", WindowState(remaining=0)),
        ),
        (
            b'HTTP/1.1 200 OK\r\nx-ratelimit-remaining: 3\r\n\r\n{"code":40401}',
            Answer(200, "40401", WindowState(remaining=3)),
        ),
        (
            b"HTTP/1.1 429 No\r\nDate: Mon, 01 Jan 99999999999999999999 00:00:00 GMT\r\nRetry-After: 9\r\n\r\n",
            Answer(429, "", WindowState(retry_after=9.0)),
        ),
        (
            b"HTTP/1.1 429 No\r\nRetry-After: Wed, 26 Jun 2024 10:29:39 GMT\r\n\r\n",
            Answer(429, "", WindowState(retry_after=9.75)),
        ),
    ],
)
async def test_whatever_a_server_says_is_an_answer_or_a_silence(said: bytes, reply: Reply) -> None:
    async with raw(said) as server:
        assert await post(server.url) == reply


@pytest.mark.parametrize(
    "body",
    [
        b'{"code":"20000","code":"20000"}',
        b'{"code":"40001","code":"20000"}',
        b'{"code":"20000","code":null}',
        b'{"status":true,"code":"40001","message":"","c\\u006fde":20000}',
        b'{"status":false,"status":true,"code":"20000"}',
        b'{"status":false,"code":"20000"}',
        b'{"status":null,"code":20000}',
        b'{"status":"false","code":"20000"}',
        b'{"code":"20000"}{"code":"20000"}',
        b'{"code":"20000"} and so on',
        b'{"code":"20000"}\x00',
        b'\xef\xbb\xbf{"code":"20000"}',
        b'{"code":"20000","data":NaN}',
        b'{"code":"20000","data":"\xff"}',
        b'{"data":{"code":"20000"}}',
        b'[{"code":"20000"}]',
        b'{"code":"20000","data":' + b"[" * 1_010 + b"]" * 1_010 + b"}",
    ],
)
async def test_a_body_that_does_not_say_plainly_that_the_row_is_stored_says_nothing(body: bytes) -> None:
    async with raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as server:
        assert await post(server.url) == Answer(200, "")


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":true,"code":"20000","message":"OK","data":true}',
        b' {"code": "20000", "data": {"code": "40000", "status": false, "code": 1}}\r\n',
        b'{"data":[{"code":1}],"status":true,"c\\u006fde":20000}',
        b'{"message":1,"message":2,"code":"20000"}',
    ],
)
async def test_what_else_a_body_holds_does_not_count(body: bytes) -> None:
    async with raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as server:
        assert await post(server.url) == OK


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        ('{"code":"40001","message":"age must be Long"}', Answer(200, "40001", message="age must be Long")),
        ('{"code":40001,"message":"나이"}', Answer(200, "40001", message="나이")),
        ('{"code":"40001","message":"VALIDATION_FAILURE"}', Answer(200, "40001")),
        ('{"code":"40001","message":null}', Answer(200, "40001")),
        (
            '{"code":"40001","message":"VALIDATION_FAILURE","data":"age: text"}',
            Answer(200, "40001", message="age: text"),
        ),
        ('{"code":"40001","message":"bad","data":"age"}', Answer(200, "40001", message="bad: age")),
        ('{"code":"40001","message":"bad","data":"bad"}', Answer(200, "40001", message="bad")),
        ('{"code":"40001","message":"BAD_REQUEST","data":{"age":"x"}}', Answer(200, "40001")),
        ('{"code":"40001","message":["age"]}', Answer(200, "40001")),
        ('{"message":"a page"}', Answer(200, "", message="a page")),
        ("a page", Answer(200, "")),
        (f'{{"code":"40001","message":"{"m" * 2_000}"}}', Answer(200, "40001", message="m" * 1_000)),
    ],
)
async def test_the_message_of_a_reply_counts_where_it_says_more_than_the_code(body: str, reply: Reply) -> None:
    async with raw(b"HTTP/1.1 200 OK\r\n\r\n" + body.encode()) as server:
        assert await post(server.url) == reply


def test_no_repr_shows_the_message() -> None:
    assert "age" not in repr(Answer(200, "40001", message="age must be Long"))


_LINES = st.sampled_from(
    [
        b"Content-Length: 3",
        b"Content-Length: -1",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Content-Encoding: gzip",
        b"Location: http://[::1",
        b"Set-Cookie: a=\xff;",
        b"Date: 1-Jan-24 00:00:00 " + b"9" * 20,
        b"Retry-After: \xb2",
        b"Content-Type: \xff; charset=nothing",
        b": ",
        b"no header",
    ]
)
_STATUSES = st.sampled_from([b"200", b"204", b"302", b"304", b"407", b"429", b"500", b"000", b"999", b"99999", b"two"])


@settings(max_examples=60)
@given(status=_STATUSES, lines=st.lists(_LINES, max_size=4), body=st.binary(max_size=40))
@example(status=b"429", lines=[b"Date: 1-Jan-24 00:00:00 " + b"9" * 20], body=b"")
async def test_no_reply_makes_an_attempt_raise(status: bytes, lines: list[bytes], body: bytes) -> None:
    said = b"\r\n".join([b"HTTP/1.1 " + status + b" So", *lines, b"", body])

    async with raw(said) as server:
        reply = await post(server.url, within=1.0)

    assert isinstance(reply, Answer) or reply in {
        HUNG_UP,
        NOT_HTTP,
        Silence("the connection ended in the middle of the reply"),
    }


@pytest.mark.parametrize(("length", "reply"), [(65_536, OK), (65_537, Answer(200, ""))])
async def test_a_reply_counts_up_to_64_kib(length: int, reply: Reply) -> None:
    body = b'{"code":"20000"}'.ljust(length)

    async with raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (length, body)) as server:
        assert await post(server.url) == reply


async def test_an_endless_reply_is_cut_off_and_costs_no_memory() -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    told = 0

    async def never_stop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal told
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(chunk)
                told += 1
                await writer.drain()

    async with serving(never_stop) as url, http(url) as sender:
        await sender.post(BODY)
        tracemalloc.start()
        replies = [await sender.post(BODY) for _ in range(20)]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert replies == [Answer(200, "")] * 20
    assert peak < 2_000_000
    assert told < 21 * 200


async def test_a_slow_drip_ends_by_the_timeout(sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(SandboxRules(faults=(Fault.parse("drip"),)))
    loop = asyncio.get_running_loop()
    began = loop.time()

    assert await post(server.url, within=0.7) == NO_REPLY

    assert 0.6 < loop.time() - began < 20.0


async def test_a_server_that_nobody_runs_refuses_the_connection() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        assert await post(f"http://127.0.0.1:{taken.getsockname()[1]}") == NO_CONNECTION


async def test_a_server_that_takes_no_connection_is_unreachable_though_the_timeout_is_short() -> None:
    async def stall(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(stall) as url:
        reply = await post(url.replace("http:", "https:"), within=0.4)

    assert reply == NOT_IN_TIME


async def test_a_name_that_does_not_exist_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, f"{TOKEN} is unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    assert await post("http://dfinery.invalid") == Silence(
        "the server's name can't be resolved", applied=False, refused=True
    )


async def test_a_certificate_that_nobody_vouches_for_is_fatal(
    sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    server = sandbox(SandboxRules(certificate=tmp_path / "server.pem"))

    assert await post(server.url) == Silence("the server's certificate can't be trusted", applied=False, fatal=True)

    assert server.sandbox.requests() == []


async def test_a_server_without_tls_is_fatal_for_https(sandbox: Callable[..., RunningSandbox]) -> None:
    url = sandbox().url.replace("http:", "https:")

    assert await post(url) == Silence("no TLS connection can be made with this server", applied=False, fatal=True)


async def test_a_server_that_hangs_up_while_tls_begins_is_unreachable_and_not_fatal() -> None:
    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with serving(hang_up) as url:
        assert await post(url.replace("http:", "https:")) == NO_CONNECTION


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM])
async def test_a_machine_without_a_socket_left_is_told_from_a_server_that_is_not_there(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> socket.socket:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "socket", full)

    assert await post("http://127.0.0.1:9") == Silence(
        "this machine has no socket or file left", applied=False, local=True
    )


# What no byte of a request left for can't be applied


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset instead of an end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


_HANDSHAKES: Final[dict[str, tuple[bytes, bool]]] = {
    "ended before its hello": (b"", False),
    "reset before its hello": (b"", True),
    "ended in its hello": (b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03", False),
    "reset in its hello": (b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03", True),
    "an alert": (b"\x15\x03\x03\x00\x02\x02\x28", False),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", False),
    "a plain reply": (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False),
}


@pytest.mark.parametrize(("said", "resets"), _HANDSHAKES.values(), ids=_HANDSHAKES)
async def test_a_request_whose_handshake_fails_has_not_been_applied(said: bytes, resets: bool) -> None:  # noqa: FBT001 — one of the cases
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(16)
        writer.write(said)
        with suppress(ConnectionError):
            await writer.drain()
        if resets:
            _reset(writer)

    async with serving(break_off) as url:
        reply = await post(url.replace("http:", "https:"))

    assert isinstance(reply, Silence)
    assert not reply.applied, reply


async def test_a_request_whose_time_is_over_while_it_connects_has_not_been_applied() -> None:
    async def stall(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(stall) as url, http(url.replace("http:", "https:"), timeout=0.4) as sender:
        attempt = asyncio.create_task(sender.post(BODY))
        await asyncio.sleep(0)
        # As after SIGSTOP, or in a machine that slept: the time to connect and that of the whole are over at once.
        time.sleep(0.5)  # noqa: ASYNC251 — it is the loop that sleeps
        reply = await attempt

    assert reply == NOT_IN_TIME


async def test_a_request_that_is_abandoned_while_it_connects_has_not_been_applied() -> None:
    connected = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)
        connected.set()
        await asyncio.Event().wait()

    async with serving(stall) as url, http(url.replace("http:", "https:"), timeout=60.0) as sender:
        attempt = asyncio.create_task(sender.post(BODY))
        await connected.wait()
        sender.abandon()

        assert await attempt == NOT_IN_TIME


async def _arrived(server: RunningSandbox) -> None:
    while not server.sandbox.requests():  # noqa: ASYNC110 — it comes to pass in another thread
        await asyncio.sleep(0.01)


async def test_a_request_that_is_abandoned_after_it_left_may_have_been_applied(
    sandbox: Callable[..., RunningSandbox],
) -> None:
    server = sandbox(SandboxRules(faults=(Fault.parse("hang"),)))

    async with http(server.url, timeout=60.0) as sender:
        attempt = asyncio.create_task(sender.post(BODY))
        await _arrived(server)
        sender.abandon()

        with pytest.raises(Stopped):
            await attempt


async def test_a_request_for_which_a_connection_was_lost_just_before_has_not_been_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect = aiohttp.TCPConnector.connect

    async def connect_and_lose(*words: Any, **more: Any) -> aiohttp.connector.Connection:  # noqa: ANN401 — aiohttp's own
        connection = await connect(*words, **more)
        assert connection.transport is not None
        connection.transport.abort()
        return connection

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", connect_and_lose)
    async with raw(FINE) as server:
        reply = await post(server.url)

    assert (reply, server.heard) == (ENDED_EARLY, [])


async def test_a_request_whose_reply_a_full_machine_can_not_take_may_have_been_applied(
    monkeypatch: pytest.MonkeyPatch, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox()

    async def full(*_: object) -> None:
        await _arrived(server)
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    monkeypatch.setattr(aiohttp.ClientResponse, "start", full)

    assert await post(server.url) == Silence("this machine has no socket or file left", local=True)
