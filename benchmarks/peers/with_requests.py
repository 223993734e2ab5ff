"""Send the file with requests, one session in each of 64 threads.

    python -m benchmarks.peers.with_requests FILE URL

It prints how many rows were accepted.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests  # type: ignore[import-untyped, import-not-found, unused-ignore]  # a throwaway environment has it

from benchmarks.peers.body import bodies

CONCURRENCY = 64


def main(path: Path, url: str) -> None:
    """Send every row of *path* to *url*, 64 at a time."""
    own = threading.local()

    def begin() -> None:
        own.session = requests.Session()
        own.session.trust_env = False
        own.session.headers.update({"Content-Type": "application/json", "access_token": "bench"})

    def send(body: bytes) -> bool:
        return bool(own.session.post(url, data=body, timeout=60).json()["code"] == "20000")

    with ThreadPoolExecutor(CONCURRENCY, initializer=begin) as threads:
        print(sum(threads.map(send, bodies(path))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
