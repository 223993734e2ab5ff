"""Measure how fast `uploader init` reads a file, in batches and row by row, in turn.

    python -m benchmarks.init [--rows 1000000] [--times 3] [--before FOLDER]

*FOLDER* is a worktree of an earlier commit, whose `init` is the one to compare with; without it, this one is made to
read row by row. Wanted of 1,000,000 rows of 9 columns: at least 3 times as fast, and the same proposal.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.check import write_source
from benchmarks.figures import median
from benchmarks.measuring import ROOT, Usage, measure

_LEAST_TIMES: Final = 3.0

_INIT: Final = """\
import sys
from io import BytesIO
from pathlib import Path
from uploader.app.init import init_config
from uploader.run.environment import Environment
source, config, *columnar = sys.argv[1:]
world = Environment(environ={}, stdin=BytesIO())
init_config(source, Path(config), world, **({"columnar": columnar[0]} if columnar else {}))
"""


def main() -> int:
    """Measure, print the table, and return 0 if every figure is as wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the file (default: %(default)s)")
    parser.add_argument("--times", type=int, default=3, help="passes of each (default: %(default)s)")
    parser.add_argument("--before", type=Path, help="a worktree of an earlier commit")
    asked = parser.parse_args()
    rows, before = int(asked.rows), asked.before
    row_path = ("row by row", ROOT, ("off",)) if before is None else ("before", before.resolve(), ())
    ways: list[tuple[str, Path, tuple[str, ...]]] = [("in batches", ROOT, ()), row_path]

    with tempfile.TemporaryDirectory(prefix="uploader-bench-") as name:
        folder = Path(name)
        write_source(folder / "easy.csv", rows)
        found: dict[str, list[Usage]] = {kind: [] for kind, _, _ in ways}
        proposals = set()
        for _ in range(int(asked.times)):
            for kind, root, words in ways:
                found[kind].append(_init(folder, root, words))
                config = folder / "config.yaml"
                proposals.add(config.read_bytes())
                config.unlink()

    print(f"init of {rows:,} rows of 9 columns, medians of {asked.times}; all of a process, its start included")
    print(f"  {'':<12} {'s':>8} {'s of CPU':>9} {'rows/s':>10} {'MB':>6}")
    for kind, usages in found.items():
        seconds, cpu = median([one.seconds for one in usages]), median([one.cpu for one in usages])
        megabytes = median([one.megabytes for one in usages])
        print(f"  {kind:<12} {seconds:>8.1f} {cpu:>9.1f} {rows / seconds:>10,.0f} {megabytes:>6.0f}")
    # What others do on this machine counts in the seconds, but not in those of the processor.
    slow, fast = (median([one.cpu for one in found[kind]]) for kind in (row_path[0], "in batches"))
    print(
        f"wanted of batches: {_LEAST_TIMES:g} times as fast (found {slow / fast:.1f}), "
        f"the same proposal ({'it is' if len(proposals) == 1 else 'it is NOT'})"
    )
    return 0 if slow >= _LEAST_TIMES * fast and len(proposals) == 1 else 1


def _init(folder: Path, root: Path, words: Sequence[str]) -> Usage:
    command = (sys.executable, "-c", _INIT, "easy.csv", "config.yaml", *words)
    return measure(command, folder=folder, environ={"PYTHONPATH": str(root)})


if __name__ == "__main__":
    sys.exit(main())
