import asyncio
import io
import re
import ssl
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import aiohttp
import orjson
import pytest
import trustme

from uploader.clock import Clock, real_clock
from uploader.sandbox import (
    Fault,
    Profile,
    ReplyStyle,
    Report,
    RunningSandbox,
    Sandbox,
    SandboxRules,
    Stray,
    running,
    serve,
)
from uploader.sandbox.calls import USER_PROFILE, Call
from uploader.sandbox.service import Arrival

BODY = orjson.dumps(
    {
        "identity": {"external_id": "ann"},
        "user_properties": {"df_name": "Ann"},
        "request_datetime": "2024-06-24T06:42:25.394Z",
    }
)
HEADERS = {"access_token": "secret", "Content-Type": "application/json"}
PATH = "/api/v1/user-profile?service_id=shop"
OK = {"status": True, "code": "20000", "message": "OK", "data": True}


@dataclass(frozen=True, slots=True)
class Client:
    url: str
    box: Sandbox
    session: aiohttp.ClientSession
    waits: list[float] = field(default_factory=list)

    def post(self, path: str = PATH) -> "aiohttp.client._RequestContextManager":
        return self.session.post(self.url + path, data=BODY, headers=HEADERS, allow_redirects=False)


@asynccontextmanager
async def served(rules: SandboxRules, now: float | None = None) -> AsyncIterator[Client]:
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    real = real_clock()
    clock = Clock(real.wall, real.monotonic, wait) if now is None else Clock(lambda: now, lambda: 0.0, wait)
    with Sandbox(rules, clock=clock) as box:
        async with serve(box) as url, aiohttp.ClientSession() as session:
            yield Client(url, box, session, waits)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


class Watched(Sandbox):
    def __init__(self, rules: SandboxRules) -> None:
        super().__init__(rules)
        self.arrived = asyncio.Event()

    def arrive(self, call: Call = USER_PROFILE) -> Arrival:
        self.arrived.set()
        return super().arrive(call)


def fault(text: str) -> SandboxRules:
    return SandboxRules(faults=(Fault.parse(text),))


async def test_a_right_request_is_answered_as_documented() -> None:
    async with served(SandboxRules(limit=10), now=1_719_397_769.25) as client, client.post() as reply:
        assert (reply.status, await reply.json()) == (200, OK)
        assert {name.lower(): value for name, value in reply.headers.items()} == {
            "x-rate-limit-limit": "1m",
            "x-rate-limit-remaining": "9",
            "x-rate-limit-reset": "1719397800",
            "x-ratelimit-limit": "1m",
            "x-ratelimit-remaining": "9",
            "x-ratelimit-reset": "1719397800",
            "date": formatdate(1_719_397_769, usegmt=True),
            "content-type": "application/json",
            "content-length": str(len(orjson.dumps(OK))),
            "server": reply.headers["Server"],
        }


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            SandboxRules(per=2, replies=ReplyStyle(spelling="documented", unit="ms")),
            {"x-rate-limit-limit": "2s", "x-rate-limit-remaining": "9999", "x-rate-limit-reset": "1719397770000"},
        ),
        (
            SandboxRules(per=90, anchor=None, replies=ReplyStyle(spelling="lower")),
            {"x-ratelimit-limit": "90s", "x-ratelimit-remaining": "9999", "x-ratelimit-reset": "1719397859"},
        ),
        (
            SandboxRules(per=86_400, anchor=None, replies=ReplyStyle("429", "lower", "ms", clock_skew=100.5)),
            {"x-ratelimit-limit": "1d", "x-ratelimit-remaining": "9999", "x-ratelimit-reset": "1719484269750"},
        ),
        (SandboxRules(replies=ReplyStyle(spelling="none")), {}),
    ],
)
async def test_the_window_is_told_in_the_spelling_and_unit_of_the_rules(
    rules: SandboxRules, expected: dict[str, str]
) -> None:
    async with served(rules, now=1_719_397_769.25) as client, client.post() as reply:
        found = {name.lower(): value for name, value in reply.headers.items() if "limit" in name.lower()}

    assert found == expected


async def test_a_skewed_clock_shows_in_the_date() -> None:
    async with (
        served(SandboxRules(replies=ReplyStyle(clock_skew=-3600)), now=7_200.5) as client,
        client.post() as reply,
    ):
        assert reply.headers["Date"] == formatdate(3600, usegmt=True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/user-profile", 405),
        ("PUT", "/api/v1/user-profile", 405),
        ("GET", "/api/v1/identities", 405),
        ("POST", "/api/v1/identities/delete", 404),
        ("GET", "/", 404),
    ],
)
async def test_another_path_or_method_goes_astray(method: str, path: str, status: int) -> None:
    async with (
        served(SandboxRules()) as client,
        client.session.request(method, client.url + path, headers=HEADERS) as reply,
    ):
        assert reply.status == status
        assert client.box.strays() == [Stray(method, path, token=True)]
        assert client.box.report() == Report(0, 0, 0, (), 0, {}, {}, strays=1)


async def test_a_body_too_large_is_refused_and_remembered() -> None:
    async with served(SandboxRules()) as client:
        async with client.session.post(client.url + PATH, data=io.BytesIO(b"x" * 2_000_000), headers=HEADERS) as reply:
            assert reply.status == 413

        assert client.box.report().codes == {"HTTP 413": 1}


async def test_a_client_that_leaves_before_its_body_has_come_is_remembered() -> None:
    with Watched(SandboxRules()) as box:
        async with serve(box) as url:
            async with connected(url) as (_, writer):
                writer.write(b"POST /api/v1/user-profile HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
                await box.arrived.wait()
            await _until(lambda: box.report().codes == {"no reply": 1})


async def test_latency_is_waited_before_the_reply() -> None:
    async with served(SandboxRules(latency=(0.25, 0.25))) as client, client.post() as reply:
        assert (reply.status, client.waits) == (200, [0.25])


@pytest.mark.parametrize(
    ("text", "status", "body"),
    [
        ("code=50000", 200, {"status": False, "code": "50000", "message": "INTERNAL_SERVER_ERROR", "data": None}),
        ("code=77777", 200, {"status": False, "code": "77777", "message": "UNKNOWN", "data": None}),
        ("http=500:20000", 500, OK),
        ("limit=429", 429, {"status": False, "code": "", "message": "Too Many Requests", "data": None}),
        ("limit=40401", 200, {"status": False, "code": "40401", "message": "TOO_MANY_REQUEST", "data": None}),
        ("latency=5ms", 200, OK),
        ("number-code", 200, {**OK, "code": 20000}),
        ("close", 200, OK),
    ],
)
async def test_a_fault_of_the_api_keeps_the_shape_of_its_replies(text: str, status: int, body: object) -> None:
    async with served(fault(text)) as client, client.post() as reply:
        assert (reply.status, await reply.json()) == (status, body)
        assert "X-Rate-Limit-Remaining" in reply.headers


@pytest.mark.parametrize(
    ("text", "status"), [("http=503", 503), ("http=404", 404), ("html", 200), ("retry-after=7", 429), ("redirect", 302)]
)
async def test_a_fault_of_a_proxy_is_no_reply_of_the_api(text: str, status: int) -> None:
    async with served(fault(text)) as client, client.post() as reply:
        assert reply.status == status
        assert reply.content_type != "application/json"
        assert "X-Rate-Limit-Remaining" not in reply.headers
        assert client.box.profiles() == []


@pytest.mark.parametrize(
    ("text", "statuses"), [("unasked=1ms times 1", ["200", "200"]), ("unasked=1ms:408 times 1", ["200", "408"])]
)
async def test_a_reply_may_be_followed_by_one_that_nobody_asked_for(text: str, statuses: list[str]) -> None:
    async with served(fault(text)) as client, connected(client.url) as (reader, writer):
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        replies = [await _reply(reader) for _ in statuses]
        if statuses[1] == "408":
            assert await reader.read() == b""

        assert client.box.report().requests == 1

    assert [status for status, _ in replies] == statuses
    assert (replies[0] == replies[1]) == (statuses[0] == statuses[1])


async def _reply(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"(?i)content-length: (\d+)", head)
    assert length is not None
    return head.split()[1], await reader.readexactly(int(length[1]))


async def test_a_status_without_a_body_has_none() -> None:
    async with served(fault("http=204")) as client, client.post() as reply:
        assert (reply.status, await reply.read()) == (204, b"")


async def test_retry_after_asks_for_its_seconds_and_locks_nobody_out() -> None:
    async with served(fault("retry-after=7 times 1")) as client:
        async with client.post() as reply:
            assert reply.headers["Retry-After"] == "7"
        async with client.post() as reply:
            assert reply.status == 200


@pytest.mark.parametrize(
    ("text", "status", "location"),
    [
        ("redirect", 302, "http://127.0.0.1:1/"),
        ("redirect=301:http://127.0.0.1:2/x", 301, "http://127.0.0.1:2/x"),
    ],
)
async def test_a_redirect_points_where_it_was_told(text: str, status: int, location: str) -> None:
    async with served(fault(text)) as client, client.post() as reply:
        assert (reply.status, reply.headers["Location"]) == (status, location)


async def test_close_is_announced() -> None:
    async with served(fault("close")) as client, client.post() as reply:
        assert reply.headers["Connection"] == "close"


@pytest.mark.parametrize(("text", "profiles"), [("drop-before", 0), ("drop-after", 1)])
async def test_a_dropped_connection_has_no_reply_and_before_or_after_decides(text: str, profiles: int) -> None:
    async with served(fault(text)) as client, connected(client.url) as (reader, writer):
        writer.write(_raw_request())

        assert await reader.read() == b""
        assert len(client.box.profiles()) == profiles


async def test_a_cut_reply_is_shorter_than_it_says() -> None:
    async with served(fault("cut")) as client:
        async with connected(client.url) as (reader, writer):
            writer.write(_raw_request())

            head, _, body = (await reader.read()).partition(b"\r\n\r\n")

        whole = orjson.dumps(OK)
        assert f"Content-Length: {len(whole)}".encode() in head
        assert body == whole[: len(whole) // 2]


async def test_garbage_is_no_json() -> None:
    async with served(fault("garbage")) as client, client.post() as reply:
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(await reply.read())

        assert len(client.box.profiles()) == 1


async def test_a_huge_reply_is_ten_megabytes_of_good_json() -> None:
    async with served(fault("huge")) as client, client.post() as reply:
        body = await reply.read()

        assert len(body) > 10_000_000
        assert orjson.loads(body)["code"] == "20000"


async def test_a_dripping_reply_never_ends() -> None:
    async with served(fault("drip")) as client:
        async with client.post() as reply:
            body = await reply.content.readexactly(100)

        assert body == orjson.dumps(OK).ljust(100)
        assert client.waits[:99] == [0.2] * 99


async def test_a_hanging_request_ends_when_its_client_leaves() -> None:
    async with served(fault("hang times 1")) as client:
        with pytest.raises(TimeoutError):
            await client.session.post(
                client.url + PATH, data=BODY, headers=HEADERS, timeout=aiohttp.ClientTimeout(total=0.1)
            )
        async with client.post() as reply:
            assert reply.status == 200


async def test_the_server_stops_at_once_while_requests_hang_and_drip() -> None:
    rules = SandboxRules(faults=(Fault.parse("hang times 1"), Fault.parse("drip times 1")))
    with Sandbox(rules) as box:
        async with serve(box) as url, aiohttp.ClientSession() as session:
            posts = [asyncio.create_task(session.post(url + PATH, data=BODY, headers=HEADERS)) for _ in range(2)]
            await _until(lambda: box.report().requests == 2)
            stopping = time.monotonic()
        stopped = time.monotonic() - stopping
        for post in await asyncio.gather(*posts, return_exceptions=True):
            if isinstance(post, aiohttp.ClientResponse):
                post.close()

    assert stopped < 20


async def test_a_certificate_serves_https(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async with served(SandboxRules(certificate=certificate)) as client:
        assert client.url.startswith("https://127.0.0.1:")
        async with client.session.post(client.url + PATH, data=BODY, headers=HEADERS, ssl=trusting) as reply:
            assert await reply.json() == OK
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await client.post()


@pytest.mark.parametrize("host", ["0.0.0.0", "example.org", "10.0.0.1", ""])  # noqa: S104 - refused is the point
async def test_nothing_but_loopback_is_served(host: str) -> None:
    with Sandbox(SandboxRules()) as box, pytest.raises(ValueError, match="is not loopback"):
        await serve(box, host=host).__aenter__()


@pytest.mark.parametrize(("host", "start"), [("localhost", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
async def test_loopback_has_more_than_one_name(host: str, start: str) -> None:
    with Sandbox(SandboxRules()) as box:
        async with serve(box, host=host) as url:
            assert url.startswith(start)


def test_a_sandbox_runs_beside_a_test(sandbox: Callable[..., RunningSandbox], tmp_path: Path) -> None:
    store = tmp_path / "sandbox.db"
    one, other = sandbox(SandboxRules(limit=1)), sandbox(store=store)

    for place in (one, other):
        request = urllib.request.Request(place.url + PATH, data=BODY, headers=HEADERS)  # noqa: S310 - our own http
        with urllib.request.urlopen(request) as reply:  # noqa: S310 - our own http
            assert orjson.loads(reply.read()) == OK

    assert one.url != other.url
    assert one.sandbox.profiles() == other.sandbox.profiles() == [Profile({"external_id": "ann"}, {"df_name": "Ann"})]
    assert store.exists()


def test_a_background_sandbox_leaves_no_thread() -> None:
    before = threading.active_count()

    with running(SandboxRules()):
        during = threading.active_count()

    assert (during, threading.active_count()) == (before + 1, before)


def test_a_background_sandbox_that_can_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), running(SandboxRules(certificate=tmp_path / "none.pem")):
        pass


def test_a_taken_port_is_told(sandbox: Callable[..., RunningSandbox]) -> None:
    port = int(sandbox().url.rpartition(":")[2])

    with pytest.raises(OSError, match="address already in use"), running(SandboxRules(), port=port):
        pass


def _raw_request() -> bytes:
    head = [f"POST {PATH} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in HEADERS.items())]
    return "\r\n".join([*head, f"Content-Length: {len(BODY)}", "", ""]).encode() + BODY


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - the server is asked from outside, it has no event to wait for
            await asyncio.sleep(0.01)
