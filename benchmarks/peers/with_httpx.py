"""Send the file with httpx.

    python -m benchmarks.peers.with_httpx FILE URL

It prints how many rows were accepted.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx  # type: ignore[import-not-found, unused-ignore]  # a throwaway environment has it

from benchmarks.peers.body import bodies

CONCURRENCY = 64


async def main(path: Path, url: str) -> None:
    """Send every row of *path* to *url*, 64 at a time."""

    async def work(shared: Iterator[bytes]) -> int:
        accepted = 0
        for body in shared:
            reply = await client.post(url, content=body)
            accepted += reply.json()["code"] == "20000"
        return accepted

    headers = {"Content-Type": "application/json", "access_token": "bench"}
    limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    async with httpx.AsyncClient(headers=headers, limits=limits, timeout=60, trust_env=False) as client:
        shared = bodies(path)
        print(sum(await asyncio.gather(*(work(shared) for _ in range(CONCURRENCY)))))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
