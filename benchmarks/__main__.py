"""Measure the uploader beside its peers, print a table for each benchmark, and write docs/performance.md.

    python -m benchmarks [--full] [--only PART …] [--rows N] [--rounds N] [--dry]

The parts: unthrottled, limit, sizes, startup, check, init, nights, and with --full also resume.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.figures import Chapter, keep
from benchmarks.installing import install_missing
from benchmarks.limit import limit
from benchmarks.machine import measured
from benchmarks.measuring import ROOT
from benchmarks.page import rewrite
from benchmarks.scripts import CHECK, INIT, RESUME, chapters_of, unchanged_night
from benchmarks.sizes import sizes
from benchmarks.startup import startup
from benchmarks.unthrottled import unthrottled

_PROGRAMS: Final = ("nginx", "wrk", "hey", "curl", "node", "npm")
_LIBRARIES: Final = ("aiohttp", "uvloop", "aiolimiter", "orjson", "polars")
_LIMITED_ROWS: Final = 6_000
_SIZES: Final = (10_000, 100_000, 1_000_000)
_FULL_SIZES: Final = (*_SIZES, 10_000_000)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be measured: how many *rows* and *rounds*, and where the throwaway files go."""

    folder: Path
    rows: int
    rounds: int
    limited_rows: int
    sizes: tuple[int, ...]


def main() -> int:
    """Measure, print and write; return 0 if every figure that was wanted holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more rounds, 10,000,000 rows, and the long benchmarks")
    parser.add_argument("--only", nargs="+", choices=sorted(_PARTS), metavar="PART", help="only these parts")
    parser.add_argument("--rows", type=int, help="rows of each lap; sizes and limit follow it (for a quick try)")
    parser.add_argument("--rounds", type=int, help="rounds of laps (default: 5, with --full 9)")
    parser.add_argument("--dry", action="store_true", help="print only; leave results and page as they are")
    asked = parser.parse_args()
    parts = asked.only or [name for name in _PARTS if asked.full or name != "resume"]
    install_missing(_PROGRAMS if "unthrottled" in parts else ("nginx",))
    full, rounds = bool(asked.full), int(asked.rounds or (9 if asked.full else 5))

    chapters = []
    with tempfile.TemporaryDirectory(prefix="uploader-bench-") as name:
        wish = Wish(Path(name), 15_000, rounds, _LIMITED_ROWS, _FULL_SIZES if full else _SIZES)
        if asked.rows:
            few = int(asked.rows)
            wish = replace(wish, rows=few, limited_rows=few, sizes=(few, 10 * few))
        for part in parts:
            for chapter in _PARTS[part](wish):
                chapters.append(replace(chapter, measured=measured(_LIBRARIES)))
                print("\n" + "\n".join(chapter.lines()), flush=True)
                if not asked.dry:
                    # Each when it is there: what comes after it may be interrupted.
                    rewrite(ROOT / "docs" / "performance.md", keep(ROOT / "benchmarks" / "results.json", chapters))
    return 0 if all(one.holds for chapter in chapters for one in chapter.wanted) else 1


def _tell(line: str) -> None:
    print(f"… {line}", file=sys.stderr, flush=True)


_PARTS: Final[dict[str, Callable[[Wish], Iterator[Chapter]]]] = {
    "startup": lambda wish: iter([startup(wish.folder, times=3 * wish.rounds, tell=_tell)]),
    "check": lambda _: chapters_of([CHECK], tell=_tell),
    "init": lambda _: chapters_of([INIT], tell=_tell),
    "limit": lambda wish: iter([limit(wish.folder, rows=wish.limited_rows, rounds=min(3, wish.rounds), tell=_tell)]),
    "unthrottled": lambda wish: iter([unthrottled(wish.folder, rows=wish.rows, rounds=wish.rounds, tell=_tell)]),
    "sizes": lambda wish: iter([sizes(wish.folder, counts=wish.sizes, tell=_tell)]),
    "resume": lambda _: chapters_of([RESUME], tell=_tell),
    "nights": lambda wish: chapters_of([unchanged_night(wish.sizes[-1] // 2)], tell=_tell),
}


if __name__ == "__main__":
    sys.exit(main())
