"""Write what `curl --parallel --config` needs to send a file: one transfer for each row.

python -m benchmarks.peers.curl FILE URL CONFIG
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers.body import bodies


def transfers(path: Path, url: str) -> Iterator[str]:
    """Yield the lines of curl's configuration."""
    for number, body in enumerate(bodies(path)):
        text = body.decode().replace("\\", "\\\\").replace('"', '\\"')
        if number:
            yield "next\n"
        yield (
            f'url = "{url}"\nheader = "Content-Type: application/json"\nheader = "access_token: bench"\n'
            f'data-raw = "{text}"\noutput = "/dev/null"\n'
        )


if __name__ == "__main__":
    with Path(sys.argv[3]).open("w", encoding="utf-8") as config:
        config.writelines(transfers(Path(sys.argv[1]), sys.argv[2]))
