"""Do nothing but the POSTs, at the least that aiohttp can cost: bodies made in memory, no time limit, no `async with`.

    python -m benchmarks.peers.lean FILE URL
    python -m benchmarks.peers.lean FILE          makes the bodies and ends there, which is what to subtract

It prints how many rows were accepted. A server that does not answer would hold it up forever.
"""

import sys
from pathlib import Path

from benchmarks.peers.body import bodies
from benchmarks.peers.loop import post_all_leanly

if __name__ == "__main__":
    ready = list(bodies(Path(sys.argv[1])))
    print(post_all_leanly(iter(ready), sys.argv[2]) if len(sys.argv) > 2 else 0)  # noqa: PLR2004 — see above
