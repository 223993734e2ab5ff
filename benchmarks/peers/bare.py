"""Do nothing but the POSTs: the same tuned loop, its bodies made in memory before it begins.

    python -m benchmarks.peers.bare FILE URL
    python -m benchmarks.peers.bare FILE          makes the bodies and ends there, which is what to subtract

It prints how many rows were accepted.
"""

import sys
from pathlib import Path

from benchmarks.peers.body import bodies
from benchmarks.peers.loop import post_all

if __name__ == "__main__":
    ready = list(bodies(Path(sys.argv[1])))
    print(post_all(iter(ready), sys.argv[2]) if len(sys.argv) > 2 else 0)  # noqa: PLR2004 — see above
