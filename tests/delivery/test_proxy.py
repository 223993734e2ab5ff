"""Reach the service through a real proxy: what it gets to see, and what its refusals mean."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.fakes import HOST, Proxy, proxying
from tests.make import Authority, authority
from uploader.delivery import Http, HttpProxy
from uploader.model import Answer, Reply, Silence
from uploader.sandbox import RunningSandbox, SandboxRules

TOKEN: Final = "canary-5f1d"
SECRET: Final = "Basic YW5uOnB3LTQ3MTE="
BODY: Final = (
    b'{"identity":{"external_id":"ann"},"user_properties":{"df_name":"Ann"},'
    b'"request_datetime":"2024-06-24T06:42:25.394Z"}'
)


@pytest.fixture
def company(tmp_path: Path) -> Authority:
    """Lend a certificate authority that no system knows."""
    return authority(tmp_path, HOST, "127.0.0.1")


def http(proxy: Proxy, company: Authority, *, secret: str | None = None, timeout: float = 5.0) -> Http:
    return Http(
        base_url=f"https://{HOST}",
        service_id="shop",
        access_token=TOKEN,
        timeout=timeout,
        connections=4,
        wall=lambda: 0.0,
        proxy=HttpProxy(proxy.url, secret),
        trust=ssl.create_default_context(cafile=company.file),
    )


async def refused(proxy: Proxy, company: Authority, *, within: float = 5.0) -> Reply:
    """Make one attempt through *proxy*, which lets nothing through; see to it that the reply holds no secret."""
    with proxying(proxy):
        async with http(proxy, company, secret=SECRET, timeout=within) as sender:
            reply = await sender.post(BODY)
    assert not {TOKEN, SECRET} & set(repr(reply).split("'"))
    return reply


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_a_service_is_reached_through_a_proxy_that_sees_neither_token_nor_body(
    company: Authority,
    sandbox: Callable[..., RunningSandbox],
    secure: bool,  # noqa: FBT001 — one of the cases
) -> None:
    server = sandbox(SandboxRules(token=TOKEN, service_id="shop", certificate=company.certificate))
    port = int(server.url.rpartition(":")[2])
    certificate = company.certificate if secure else None

    with proxying(Proxy(port, credentials="ann:pw-4711", certificate=certificate)) as proxy:
        async with http(proxy, company, secret=SECRET) as sender:
            replies = [await sender.post(BODY) for _ in range(3)]

    assert [(reply.status, reply.code) for reply in replies if isinstance(reply, Answer)] == [(200, "20000")] * 3
    assert [(request.body, request.token_ok) for request in server.sandbox.requests()] == [(BODY, True)] * 3
    (head,) = proxy.heads
    line, *headers = head.rstrip().split("\r\n")
    assert line == f"CONNECT {HOST}:443 HTTP/1.1"
    assert sorted(header.partition(":")[0].lower() for header in headers) == [
        *("accept", "accept-encoding", "host", "proxy-authorization", "user-agent")
    ]


async def test_requests_through_a_proxy_share_no_more_connections_than_allowed(
    company: Authority, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(SandboxRules(certificate=company.certificate))

    with proxying(Proxy(int(server.url.rpartition(":")[2]))) as proxy:
        async with http(proxy, company) as sender:
            replies = await asyncio.gather(*(sender.post(BODY) for _ in range(20)))

    assert {type(reply) for reply in replies} == {Answer}
    assert 1 <= len(proxy.heads) <= 4


@pytest.mark.parametrize(
    ("proxy", "silence"),
    [
        (
            Proxy(credentials="ann:another"),
            Silence(
                "the proxy asks for a user and a password that it knows (HTTP 407)",
                applied=False,
                fatal=True,
                by_proxy=True,
            ),
        ),
        *(
            (
                Proxy(status=status),
                Silence(
                    f"the proxy refuses to connect to the server (HTTP {status})",
                    applied=False,
                    fatal=True,
                    by_proxy=True,
                ),
            )
            for status in (302, 400, 403, 404, 405, 501)
        ),
        *(
            (
                Proxy(status=status),
                Silence(
                    f"the proxy can't reach the server (HTTP {status})", applied=False, refused=True, by_proxy=True
                ),
            )
            for status in (408, 429, 500, 502, 503, 504)
        ),
        (
            Proxy(ends=True),
            Silence("the proxy ended the connection before the request", applied=False, refused=True, by_proxy=True),
        ),
        (Proxy(status=99999), Silence("the proxy's reply was not HTTP", applied=False, refused=True, by_proxy=True)),
    ],
    ids=lambda case: case.why if isinstance(case, Silence) else "",
)
async def test_what_a_proxy_refuses_is_no_rows_trouble_and_was_not_applied(
    company: Authority, proxy: Proxy, silence: Silence
) -> None:
    assert await refused(proxy, company) == silence


async def test_a_proxy_that_says_nothing_is_unreachable_though_the_timeout_is_short(company: Authority) -> None:
    assert await refused(Proxy(silent=True), company, within=0.4) == Silence(
        "no connection in time", applied=False, refused=True, by_proxy=True
    )


async def test_a_proxy_that_nobody_runs_is_told_from_a_server_that_nobody_runs(company: Authority) -> None:
    async with http(Proxy(url="http://127.0.0.1:1"), company) as sender:
        assert await sender.post(BODY) == Silence(
            "no connection to the proxy", applied=False, refused=True, by_proxy=True
        )


async def test_a_service_behind_a_proxy_whose_handshake_is_interrupted_has_not_got_the_request(
    company: Authority,
) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(16)
        writer.close()

    async with await asyncio.start_server(break_off, "127.0.0.1", 0) as server:
        reply = await refused(Proxy(server.sockets[0].getsockname()[1]), company)

    # Where the end comes before TLS begins, asyncio waits for it all the same.
    assert reply in {
        Silence("no connection to the server through the proxy", applied=False, refused=True, by_proxy=True),
        Silence("no connection in time", applied=False, refused=True, by_proxy=True),
    }


async def test_a_service_behind_a_proxy_is_not_trusted_for_another_name(
    tmp_path: Path, sandbox: Callable[..., RunningSandbox]
) -> None:
    company = authority(tmp_path, "another.test", "127.0.0.1")
    server = sandbox(SandboxRules(certificate=company.certificate))

    reply = await refused(Proxy(int(server.url.rpartition(":")[2])), company)

    assert reply == Silence("the server's certificate can't be trusted", applied=False, fatal=True)
    assert server.sandbox.requests() == []
