"""Send the file as most would write it: aiohttp, `json=`, a semaphore, and a limiter if the limit is given.

    python -m benchmarks.peers.obvious FILE URL [LIMIT SECONDS]

It prints how many rows were accepted. It tries nothing twice and keeps no journal.
"""

import asyncio
import contextlib
import csv
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from aiolimiter import AsyncLimiter

from benchmarks.peers.body import profile

CONCURRENCY = 64


async def main(path: Path, url: str, limiter: AsyncLimiter | None) -> None:
    """Send every row of *path* to *url*."""
    semaphore = asyncio.Semaphore(CONCURRENCY)

    async def send(row: Mapping[str, str]) -> bool:
        async with semaphore, limiter or contextlib.nullcontext(), session.post(url, json=profile(row)) as response:
            return response.status == 200 and (await response.json())["code"] == "20000"  # noqa: PLR2004 — HTTP's OK

    async with aiohttp.ClientSession(headers={"access_token": "bench"}) as session:
        with path.open(encoding="utf-8", newline="") as file:
            accepted = await asyncio.gather(*(send(row) for row in csv.DictReader(file)))
    print(sum(accepted))


if __name__ == "__main__":
    limiter = AsyncLimiter(float(sys.argv[3]), float(sys.argv[4])) if len(sys.argv) > 3 else None  # noqa: PLR2004 — see above
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], limiter))
