"""What a connection says without having been asked is nobody's reply, and every request reaches the service."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Protocol

import aiohttp
import pytest
import trustme

from tests.delivery.harness import ENDED_EARLY
from uploader.delivery import Http
from uploader.delivery.connection_pool import EarlyReplyError, ReplyProtocol
from uploader.model import Answer, Reply, Silence

FINE: Final = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"code":"20000"}'
CHUNKED: Final = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"code":"20000"}\r\n0\r\n\r\n'
TIMED_OUT: Final = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
OK: Final = Answer(200, "20000")
SECONDS: Final = 30.0

WARNING: Final = (
    "the service, or something before it, sent a reply that nobody asked for: "
    "from now on each request has a connection of its own"
)

UNASKED: Final = {
    "a reply": FINE,
    "a reply in chunks": CHUNKED,
    "half a reply": FINE[:20],
    "a balancer's 408": TIMED_OUT,
    "another status": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    "an interim reply": b"HTTP/1.1 102 Processing\r\n\r\n",
    "no HTTP": b"220 mail ESMTP\r\n",
    "one byte": b"H",
}


@dataclass
class Service:
    """A server that plays its part in threads, so that it speaks while our loop is busy, and notes what reached it.

    It says *greeting* at the beginning of its first *greetings* connections, and *more* after its first reply, as soon
    as it may *go* on; or it closes the connection then. Each reply it *repeats* after so many seconds.
    """

    context: ssl.SSLContext | None = None
    replies: Sequence[bytes] = (FINE,)
    greeting: bytes = b""
    greetings: int = 0
    more: bytes = b""
    closes: bool = False
    repeats: float = 0.0
    url: str = ""
    heard: list[bytes] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    connections: int = 0
    go: threading.Event = field(default_factory=threading.Event)
    said: threading.Event = field(default_factory=threading.Event)

    def serve(self, connection: socket.socket) -> None:
        self.connections += 1
        with suppress(OSError), connection:
            if self.connections <= self.greetings:
                connection.sendall(self.greeting)
                self.said.set()
            secure = self.context.wrap_socket(connection, server_side=True) if self.context else connection
            with secure, secure.makefile("rb") as reader:
                while body := self._body(reader):
                    number = next(self.numbers)
                    self.heard.append(body)
                    reply = self.replies[min(number, len(self.replies)) - 1]
                    secure.sendall(reply)
                    if self.repeats:
                        time.sleep(self.repeats)
                        secure.sendall(reply)
                        self.said.set()
                    if number == 1 and (self.more or self.closes):
                        self.go.wait(SECONDS)
                        secure.sendall(self.more)
                        if self.closes:
                            secure.shutdown(socket.SHUT_WR)
                        self.said.set()

    def _body(self, reader: Any) -> bytes:  # noqa: ANN401 — what makefile gives
        length = 0
        while (line := reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return bytes(reader.read(length))


@contextmanager
def service(**more: Any) -> Iterator[Service]:  # noqa: ANN401 — the fields of Service
    """Serve on loopback until the context ends."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        played = Service(**more)
        played.url = f"{'https' if played.context else 'http'}://127.0.0.1:{listening.getsockname()[1]}"

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threads.append(threading.Thread(target=played.serve, args=(connection,), daemon=True))
                    threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield played
        played.go.set()
        # A listening socket that is shut down wakes who accepts.
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join(SECONDS)
    for thread in threads:
        thread.join(SECONDS)


def http(url: str) -> Http:
    return Http(
        base_url=url,
        service_id="shop",
        access_token="canary",
        timeout=20.0,
        connections=4,
        wall=lambda: 1_719_397_769.0,
    )


def rows(first: int, last: int) -> list[bytes]:
    return [b'{"row":%d}' % row for row in range(first, last + 1)]


async def post_all(sender: Http, bodies: Sequence[bytes]) -> list[Reply]:
    return [await sender.post(body) for body in bodies]


async def turn() -> None:
    """Let the loop read what lies in its sockets."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["plain", "TLS"])
def context(
    request: pytest.FixtureRequest, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> ssl.SSLContext | None:
    """Return what the server needs for TLS, which our side trusts then; None: without TLS."""
    if request.param == "plain":
        return None
    ours, theirs = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ours)
    return theirs


@pytest.mark.parametrize("more", UNASKED.values(), ids=UNASKED)
@pytest.mark.parametrize("when", ["it was read", "it lies in the socket"])
async def test_what_comes_on_an_idle_connection_is_not_taken_for_the_next_reply(
    context: ssl.SSLContext | None, more: bytes, when: str
) -> None:
    with service(context=context, more=more) as server:
        async with http(server.url) as sender:
            first = await sender.post(b"1")
            await turn()
            server.go.set()
            assert server.said.wait(SECONDS)
            if when == "it was read":
                await turn()
            replies = [first, *await post_all(sender, [b"2", b"3"])]

    assert (replies, server.heard) == ([OK] * 3, [b"1", b"2", b"3"])
    assert server.connections == (2 if more == TIMED_OUT else 3)


@pytest.mark.parametrize("when", ["it was read", "it lies in the socket"])
async def test_a_request_is_not_written_to_a_connection_that_the_server_has_closed(
    context: ssl.SSLContext | None, when: str
) -> None:
    with service(context=context, closes=True) as server:
        async with http(server.url) as sender:
            first = await sender.post(b"1")
            await turn()
            server.go.set()
            assert server.said.wait(SECONDS)
            if when == "it was read":
                await turn()
            replies = [first, *await post_all(sender, [b"2", b"3"])]

    assert (replies, server.heard, server.connections) == ([OK] * 3, [b"1", b"2", b"3"], 2)


@pytest.mark.parametrize("more", UNASKED.values(), ids=UNASKED)
async def test_what_comes_when_a_request_has_its_connection_and_is_not_written_is_not_its_reply(
    context: ssl.SSLContext | None, more: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = aiohttp.ClientRequest.send

    with service(context=context, more=more) as server:

        async def speak_now(request: aiohttp.ClientRequest, connection: Any) -> aiohttp.ClientResponse:  # noqa: ANN401 — as aiohttp has it
            response = await send(request, connection)
            if server.heard:
                server.go.set()
                assert server.said.wait(SECONDS)
            return response

        async with http(server.url) as sender:
            first = await sender.post(b"1")
            await turn()
            monkeypatch.setattr(aiohttp.ClientRequest, "send", speak_now)
            replies = [first, *await post_all(sender, [b"2", b"3"])]

    assert (replies, server.heard) == ([OK] * 3, [b"1", b"2", b"3"])
    assert server.connections == (2 if more == TIMED_OUT else 3)


class Greeted(Protocol):
    def __call__(self, server: Service, *, is_read: bool) -> None: ...


@pytest.fixture
def greeted(monkeypatch: pytest.MonkeyPatch) -> Greeted:
    """Let each connection be used only when the greeting has arrived, and was read or not."""
    connect = aiohttp.TCPConnector._wrap_create_connection  # noqa: SLF001 — the moment when a connection is made

    def patch(server: Service, *, is_read: bool) -> None:
        to_greet = list(range(server.greetings))

        async def wait_for_it(pool: Any, *args: Any, **more: Any) -> Any:  # noqa: ANN401 — passed through
            made = await connect(pool, *args, **more)
            if to_greet:
                to_greet.pop()
                assert server.said.wait(SECONDS)
                server.said.clear()
            if is_read:
                await turn()
            return made

        monkeypatch.setattr(aiohttp.TCPConnector, "_wrap_create_connection", wait_for_it)

    return patch


@pytest.mark.parametrize("greeting", UNASKED.values(), ids=UNASKED)
@pytest.mark.parametrize("is_read", [True, False], ids=["read", "in the socket"])
async def test_what_a_server_says_before_the_first_request_is_not_its_reply(
    greeted: Greeted, greeting: bytes, *, is_read: bool
) -> None:
    with service(greeting=greeting, greetings=1) as server:
        greeted(server, is_read=is_read)
        async with http(server.url) as sender:
            replies = await post_all(sender, [b"1", b"2"])

    assert (replies, server.heard) == ([OK] * 2, [b"1", b"2"])
    assert server.connections == (2 if greeting == TIMED_OUT else 3)


async def test_a_server_that_always_speaks_first_is_unreachable_and_gets_no_request(
    greeted: Greeted,
) -> None:
    with service(greeting=FINE, greetings=99) as server:
        greeted(server, is_read=True)
        async with http(server.url) as sender:
            reply = await sender.post(b"1")

    assert (reply, server.heard, server.connections) == (ENDED_EARLY, [], 4)


@pytest.mark.parametrize(
    "reply",
    {
        "two replies": FINE + FINE,
        "three replies": FINE + CHUNKED + FINE,
        "one and a half": FINE + FINE[:30],
        "one and all but the end": CHUNKED + FINE[:-1],
        "one and a byte": FINE + b"H",
        "chunks and a byte": CHUNKED + b"H",
    }.items(),
    ids=lambda item: item[0],
)
async def test_what_stands_behind_a_reply_is_not_the_next_one(
    context: ssl.SSLContext | None, reply: tuple[str, bytes]
) -> None:
    with service(context=context, replies=(reply[1], FINE)) as server:
        async with http(server.url) as sender:
            replies = await post_all(sender, [b"1", b"2", b"3"])

    assert (replies, server.heard, server.connections) == ([OK] * 3, [b"1", b"2", b"3"], 3)


async def test_after_a_reply_that_nobody_asked_for_no_connection_has_a_second_request(
    context: ssl.SSLContext | None, caplog: pytest.LogCaptureFixture
) -> None:
    with service(context=context, more=FINE) as server:
        async with http(server.url) as sender:
            # Four connections lie idle then, of which the first hears more.
            replies = list(await asyncio.gather(*(sender.post(body) for body in rows(1, 4))))
            assert server.connections == 4
            server.go.set()
            assert server.said.wait(SECONDS)
            await turn()
            replies += await asyncio.gather(*(sender.post(body) for body in rows(5, 8)))
            replies += await post_all(sender, rows(9, 12))

    assert (replies, sorted(server.heard)) == ([OK] * 12, sorted(rows(1, 12)))
    assert server.connections == 12
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [WARNING]


async def test_a_reply_that_comes_once_more_each_time_is_taken_for_no_row_after_the_first_that_nobody_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = FINE.replace(b"20000", b"40001")
    with service(replies=(FINE, refused), repeats=0.005) as server:
        async with http(server.url) as sender:
            first = await sender.post(b"1")
            assert await asyncio.to_thread(server.said.wait, SECONDS)
            await turn()
            replies = await post_all(sender, rows(2, 40))

    assert (first, {reply.code for reply in replies if isinstance(reply, Answer)}) == (OK, {"40001"})
    assert (len(server.heard), server.connections) == (40, 40)
    assert caplog.messages.count(WARNING) == 1


@pytest.mark.parametrize("more", [TIMED_OUT, b"\r\n"], ids=["a balancer's 408", "the end of a line"])
async def test_what_ends_an_idle_connection_and_is_no_reply_to_anything_leaves_the_others_in_use(
    more: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with service(more=more) as server:
        async with http(server.url) as sender:
            first = await sender.post(b"1")
            server.go.set()
            assert server.said.wait(SECONDS)
            await turn()
            replies = [first, *await post_all(sender, rows(2, 6))]

    assert (replies, len(server.heard), server.connections) == ([OK] * 6, 6, 2)
    assert WARNING not in caplog.messages


async def test_a_408_right_behind_a_reply_ends_its_connection_and_leaves_the_others_in_use(
    context: ssl.SSLContext | None, caplog: pytest.LogCaptureFixture
) -> None:
    with service(context=context, replies=(FINE + TIMED_OUT, FINE)) as server:
        async with http(server.url) as sender:
            replies = await post_all(sender, rows(1, 6))

    assert (replies, len(server.heard), server.connections) == ([OK] * 6, 6, 2)
    assert WARNING not in caplog.messages


@pytest.mark.parametrize(
    ("replies", "crossed"),
    [
        ((FINE, TIMED_OUT), [False, True]),
        ((TIMED_OUT, TIMED_OUT), [False, False]),
        ((FINE, TIMED_OUT.replace(b"Length: 0", b"Length: 16") + b'{"code":"50000"}'), [False, False]),
        ((FINE, TIMED_OUT.replace(b"408", b"503")), [False, False]),
        ((FINE, TIMED_OUT.replace(b"Connection: close\r\n", b"")), [False, False]),
    ],
    ids=["on a connection in use", "on a new one", "with a code", "another status", "which goes on"],
)
async def test_only_a_408_that_ends_a_connection_which_has_served_may_be_about_the_connection(
    replies: Sequence[bytes], crossed: Sequence[bool]
) -> None:
    with service(replies=replies) as server:
        async with http(server.url) as sender:
            told = await post_all(sender, rows(1, 2))

    assert [reply.crossed for reply in told if isinstance(reply, Answer)] == crossed
    assert len(server.heard) == 2


@pytest.mark.parametrize("behind", [b"and so on", b"\x00", b"{}"])
async def test_a_reply_with_something_else_behind_it_counts_for_nothing(behind: bytes) -> None:
    with service(replies=(FINE + behind, FINE)) as server:
        async with http(server.url) as sender:
            replies = await post_all(sender, [b"1", b"2", b"3"])

    assert replies == [Silence("the reply was not HTTP"), OK, OK]
    assert (server.heard, server.connections) == ([b"1", b"2", b"3"], 2)


@pytest.mark.parametrize(
    "reply",
    [
        FINE,
        CHUNKED,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + FINE,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + CHUNKED,
        FINE + b"\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_a_connection_that_answers_as_asked_is_used_again(context: ssl.SSLContext | None, reply: bytes) -> None:
    with service(context=context, replies=(reply,)) as server:
        async with http(server.url) as sender:
            replies = await post_all(sender, rows(1, 6))

    assert {type(reply) for reply in replies} == {Answer}
    assert (server.heard, server.connections) == (rows(1, 6), 1)


@pytest.mark.parametrize(
    "reply",
    [
        FINE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        FINE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
async def test_a_connection_that_ends_with_its_reply_is_not_used_again(reply: bytes) -> None:
    with service(replies=(reply,)) as server:
        async with http(server.url) as sender:
            replies = await post_all(sender, rows(1, 4))

    assert (replies, server.heard, server.connections) == ([OK] * 4, rows(1, 4), 4)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_reply_that_comes_while_the_request_is_still_being_written_is_none() -> None:
    size, heard, replied = 16 << 20, list[int](), threading.Event()

    def reply_at_once() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            heard.append(len(connection.recv(1_000)))
            connection.sendall(FINE)
            replied.wait(SECONDS)
            while piece := connection.recv(1 << 20):
                heard.append(len(piece))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        replying = threading.Thread(target=reply_at_once, daemon=True)
        replying.start()
        async with http(f"http://127.0.0.1:{listening.getsockname()[1]}") as sender:
            reply = await sender.post(b"x" * size)
        replied.set()
        await asyncio.to_thread(replying.join, SECONDS)

    assert reply == Silence("the server replied before the whole request was sent")
    assert sum(heard) < size


async def test_a_reply_is_none_until_the_last_byte_has_left_the_process(context: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    told, over = threading.Event(), threading.Event()

    def speak() -> None:
        with suppress(OSError), context.wrap_socket(theirs, server_side=True) if context else theirs as secure:
            secure.recv(1)
            told.wait(SECONDS)
            secure.sendall(FINE)
            over.wait(SECONDS)

    speaking = threading.Thread(target=speak, daemon=True)
    speaking.start()
    ours.settimeout(0)
    tls: dict[str, Any] = (
        {"ssl": aiohttp.connector._SSL_CONTEXT_VERIFIED, "server_hostname": "127.0.0.1"} if context else {}  # noqa: SLF001 — as `context` sets it
    )
    transport, protocol = await loop.create_connection(lambda: ReplyProtocol(loop), sock=ours, **tls)
    protocol.set_response_params()
    protocol.begin_request()
    # Less than what makes aiohttp wait before it calls the request written.
    transport.write(b"x" * 60_000)
    protocol.start_timeout()
    told.set()

    with pytest.raises(EarlyReplyError):
        await asyncio.wait_for(protocol.read(), SECONDS)

    over.set()
    await asyncio.to_thread(speaking.join, SECONDS)
