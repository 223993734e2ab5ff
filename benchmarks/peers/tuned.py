"""Send the file with a loop that does nothing but read, build the body and post it, tuned: aiohttp on uvloop.

    python -m benchmarks.peers.tuned FILE URL

It prints how many rows were accepted. It tries nothing twice, keeps no journal and minds no limit.
"""

import sys
from pathlib import Path

from benchmarks.peers.body import bodies
from benchmarks.peers.loop import post_all

if __name__ == "__main__":
    print(post_all(bodies(Path(sys.argv[1])), sys.argv[2]))
