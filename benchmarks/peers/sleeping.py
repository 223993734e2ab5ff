"""Send the file as a careful beginner would: as many rows as the limit allows, then sleep for the window, and so on.

    python -m benchmarks.peers.sleeping FILE URL LIMIT SECONDS

It prints how many rows were accepted.
"""

import asyncio
import csv
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import aiohttp

from benchmarks.peers.body import profile


async def main(path: Path, url: str, limit: int, seconds: float) -> None:
    """Send every row of *path* to *url*, *limit* at a time, and sleep so many *seconds* in between."""

    async def send(row: Mapping[str, str]) -> bool:
        async with session.post(url, json=profile(row)) as response:
            return response.status == 200 and (await response.json())["code"] == "20000"  # noqa: PLR2004 — HTTP's OK

    accepted = 0
    async with aiohttp.ClientSession(headers={"access_token": "bench"}) as session:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            while piece := list(islice(rows, limit)):
                accepted += sum(await asyncio.gather(*map(send, piece)))
                await asyncio.sleep(seconds)
    print(accepted)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
