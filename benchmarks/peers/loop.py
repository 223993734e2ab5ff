"""Post bodies as fast as aiohttp on uvloop can: the ceiling of the transport that the uploader uses."""

import asyncio
from collections.abc import Iterator
from typing import Final

import aiohttp
import orjson
import uvloop
from yarl import URL

CONCURRENCY: Final = 64


def post_all(bodies: Iterator[bytes], address: str) -> int:
    """Post each of *bodies* to *address*, 64 at a time, as aiohttp's documentation shows it; return how many went."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_post_all(bodies, URL(address)))


def post_all_leanly(bodies: Iterator[bytes], address: str) -> int:
    """Do the same without aiohttp's time limit, each reply read as it lies there and without a context manager."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_post_all_leanly(bodies, URL(address)))


async def _post_all(bodies: Iterator[bytes], url: URL) -> int:
    async def work() -> int:
        accepted = 0
        for body in bodies:
            async with session.post(url, data=body, allow_redirects=False) as response:
                accepted += orjson.loads(await response.read())["code"] == "20000"
        return accepted

    async with _session(aiohttp.ClientTimeout(total=300)) as session:
        return sum(await asyncio.gather(*(work() for _ in range(CONCURRENCY))))


async def _post_all_leanly(bodies: Iterator[bytes], url: URL) -> int:
    async def work() -> int:
        accepted = 0
        for body in bodies:
            response = await session.post(url, data=body, allow_redirects=False)
            content = response.content
            text = content.read_nowait() if content.is_eof() else await content.read()
            accepted += orjson.loads(text)["code"] == "20000"
        return accepted

    async with _session(aiohttp.ClientTimeout(total=None)) as session:
        return sum(await asyncio.gather(*(work() for _ in range(CONCURRENCY))))


def _session(timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONCURRENCY),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=timeout,
        headers={"Content-Type": "application/json", "access_token": "bench"},
    )
