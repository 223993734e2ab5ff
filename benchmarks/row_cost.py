"""Take apart what one row costs: each part of its way measured alone, on the same rows, in CPU time.

    python -m benchmarks.row_cost [--rows 20000] [--times 5]

Each part is called in a loop as the run calls it, with what comes after it replaced by nothing. HTTP is real: 64 tasks
that post to nginx. What a whole run takes beyond the sum of the parts is shown as such.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.contenders import bare, ours
from benchmarks.figures import Chapter, Table, keep, median
from benchmarks.installing import install_missing
from benchmarks.machine import measured
from benchmarks.measuring import ROOT
from benchmarks.nginx import serving
from benchmarks.page import rewrite
from benchmarks.parts import Bench
from benchmarks.unthrottled import Lap, Track

_MICRO: Final = 1e6


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a row's way, what belongs to it, and its µs of CPU for each row."""

    name: str
    what: str
    microseconds: float


def main() -> int:
    """Measure, print the table, and put it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000, help="rows of each loop (default: %(default)s)")
    parser.add_argument("--times", type=int, default=5, help="loops of each part (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="print only; leave results and page as they are")
    wanted = parser.parse_args()
    install_missing(("nginx",))
    with tempfile.TemporaryDirectory(prefix="uploader-bench-") as name:
        found = profile(Path(name), rows=int(wanted.rows), times=int(wanted.times))
    print("\n".join(found.lines()))
    if not wanted.dry:
        rewrite(ROOT / "docs" / "performance.md", keep(ROOT / "benchmarks" / "results.json", [found]))
    return 0


def profile(folder: Path, *, rows: int, times: int) -> Chapter:
    """Measure every part on so many *rows*, the median of so many *times*, and return what was found."""
    with serving(folder) as server, ExitStack() as stack:
        track = Track(folder, server, rows)
        bench = stack.enter_context(Bench.made(folder, rows, track.config))
        parts = [
            Part(name, what, median([loop() for _ in range(times)]) / rows * _MICRO)
            for name, what, loop in bench.loops(server)
        ]
        together = median([bench.together() for _ in range(times)]) / rows * _MICRO
        run, posts = ([track.lap(one) for _ in range(max(1, times // 2))] for one in (ours(track.config), bare()))
    return chapter(parts, together, run, posts)


def chapter(parts: Sequence[Part], together: float, run: Sequence[Lap], posts: Sequence[Lap]) -> Chapter:
    """Return what the *parts* cost, beside whole laps of the *run* and of the bare loop of *posts*.

    *together* is the µs for each row of all parts but HTTP, done row after row.
    """
    whole, bare_loop = (median([lap.microseconds for lap in laps]) for laps in (run, posts))
    known = sum(part.microseconds for part in parts)
    rows = [(part.name, part.what, part.microseconds) for part in parts]
    rows += [
        ("sum of the parts", "", known),
        ("all but HTTP, together", "row after row as in a run, each POST only yields once", together),
        ("whole run", "`uploader run` less its start and the check", whole),
        ("beyond the parts", "what they cost each other (caches), syncs, the end of a run", whole - known),
        ("bare loop", "the POSTs alone, bodies made in memory", bare_loop),
    ]
    return Chapter(
        "profile",
        "Where a row's time goes",
        "Each part alone, in a loop over the same rows, called as a run calls it; CPU of the process (user and "
        "system), medians. HTTP is real: 64 tasks that post to nginx. *Share* is that of the whole run. "
        "`make profile` measures it again.",
        (
            Table(
                "CPU for each row",
                ("part", "what", "µs/row", "share"),
                tuple((name, what, f"{cost:.2f}", f"{cost / whole:.1%}") for name, what, cost in rows),
            ),
        ),
        (),
        {"parts": [asdict(part) for part in parts], "together": together, "whole": whole, "bare_loop": bare_loop},
        measured(("aiohttp", "uvloop", "aiolimiter", "orjson")),
    )


if __name__ == "__main__":
    sys.exit(main())
