"""Measure look-ups of stored digests: many at once in the sorted file, beside one by one as an earlier commit does.

    python -m benchmarks.digests [--people 5000000] [--before HEAD~1]

The store is filled directly, as a store without a sorted file. The earlier commit looks people up one by one in it.
Then this tree merges it, and looks all of them up, none changed and one of a hundred changed, each in a process of its
own.

Wanted of 5,000,000 people: at most 24 bytes a person on disk, under 300 MB, and look-ups at least 8 times faster.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from benchmarks.against import tree_of
from benchmarks.figures import Table
from benchmarks.measuring import ROOT, Usage, measure
from uploader.changes import Digests, DigestStore

_STORE: Final = "service.memory"
_MOST_BYTES: Final = 24.0
_MOST_MEGABYTES: Final = 300.0
_LEAST_RATIO: Final = 8.0
_AT_ONCE: Final = 500_000
_ONE_BY_ONE: Final = 200_000

_MADE: Final = """\
import json, os, sys, time
from pathlib import Path
os.environ["POLARS_MAX_THREADS"] = "1"
from uploader.changes import DigestStore, Digests
digests, people, changed = Digests(bytes(32), "mapping"), int(sys.argv[1]), int(sys.argv[2])
"""

_POINTS: Final = (
    _MADE
    + """\
import random
wanted = random.Random(1).sample(range(people), min(people, changed))
made = [digests.people((f"external_id={one}",)) for one in wanted]
with DigestStore(Path("service.memory"), facts={}, read_only=True) as store:
    began = time.perf_counter()
    assert None not in [store.body(one) for one in made]
    print(json.dumps([(time.perf_counter() - began) / len(made), 0]))
"""
)

_MERGE: Final = (
    _MADE
    + """\
began = time.perf_counter()
with DigestStore(Path("service.memory"), facts={}):
    pass
print(json.dumps([time.perf_counter() - began, 0]))
"""
)

_BATCHES: Final = (
    _MADE
    + """\
import polars as pl
def body(one):
    return b'{"identity":{"external_id":"%d"},"user_properties":{"df_name":"n%d"},"request_datetime":"' % (one, one)
digesting = looking = same = 0
with DigestStore(Path("service.memory"), facts={}) as store:
    some = [digests.people((f"external_id={one}",))[0] for one in range(0, people, 100)] if changed else []
    store.forget(some)
    store.commit()
    for one in some:
        store.add(one, b"another body")
    store.commit()
    for first in range(0, people, %d):
        numbers = range(first, min(people, first + %d))
        began = time.perf_counter()
        persons = digests.people_of(f"external_id={one}" for one in numbers)
        bodies = digests.bodies_of(body(one) for one in numbers)
        made = time.perf_counter()
        frame, series = pl.DataFrame({"0": persons}, schema={"0": pl.Int64}), pl.Series(bodies, dtype=pl.Binary)
        same += store.compare(frame, series).sum()
        looking += time.perf_counter() - made
        digesting += made - began
assert same == people - len(some), same
print(json.dumps([looking, digesting]))
""".replace("%d)", f"{_AT_ONCE})")
)


def main() -> int:
    """Measure, print the table, and return 0 if every figure is as wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--people", type=int, default=5_000_000, help="people of the store (default: %(default)s)")
    parser.add_argument("--before", default="HEAD~1", help="the earlier commit (default: %(default)s)")
    words = parser.parse_args()
    people = int(words.people)
    with tempfile.TemporaryDirectory(prefix="digests-") as name, tree_of(words.before) as old:
        folder = Path(name)
        _fill(folder / _STORE, people)
        filled = _size(folder) / people
        before, point_before = _run(_POINTS, folder, people, _ONE_BY_ONE, tree=old)
        merge, merge_seconds = _run(_MERGE, folder, people)
        size = _size(folder) / people
        point, point_now = _run(_POINTS, folder, people, _ONE_BY_ONE)
        night, looking = _run(_BATCHES, folder, people)
        changed, looking_changed = _run(_BATCHES, folder, people, 1)
    old_seconds = point_before[0] * people
    rows = (
        ("one by one, before", _each(point_before[0]), "", f"{before.megabytes:,.0f} MB", f"{filled:.1f}"),
        ("merged for the first time", f"{merge_seconds[0]:.1f} s", "", f"{merge.megabytes:,.0f} MB", f"{size:.1f}"),
        ("one by one", _each(point_now[0]), "", f"{point.megabytes:,.0f} MB", ""),
        *(
            (what, _each(found[0] / people), f"{old_seconds / found[0]:.1f}", f"{used.megabytes:,.0f} MB", "")
            for what, used, found in (
                ("all at once, none changed", night, looking),
                ("all at once, 1 % changed", changed, looking_changed),
            )
        ),
        ("their digests alone", _each(looking[1] / people), "", "", ""),
    )
    title = f"{people:,} people"
    print("\n".join(Table(title, ("", "time", "times faster", "peak", "bytes a person"), rows).lines()))
    good = size <= _MOST_BYTES and max(night.megabytes, merge.megabytes) < _MOST_MEGABYTES
    return 0 if good and old_seconds / looking[0] >= _LEAST_RATIO else 1


def _each(seconds: float) -> str:
    return f"{seconds * 1e6:.2f} µs each"


def _fill(path: Path, people: int) -> None:
    """Fill the store at *path* as a version without sorted files would leave it."""
    with DigestStore(path, facts={}, record_from_now=True):
        pass
    numbers = list(enumerate(Digests(bytes(32), "mapping").people_of(f"external_id={one}" for one in range(people))))
    numbers.sort(key=lambda pair: pair[1] or 0)
    with closing(sqlite3.connect(path)) as sql:
        sql.executemany("INSERT INTO accepted VALUES (?, ?)", _rows(numbers))
        sql.commit()


def _rows(numbers: list[tuple[int, int | None]]) -> Iterator[tuple[int | None, bytes]]:
    digests = Digests(bytes(32), "mapping")
    for one, person in numbers:
        body = b'{"identity":{"external_id":"%d"},"user_properties":{"df_name":"n%d"},"request_datetime":"' % (one, one)
        (found,) = digests.bodies_of([body])
        yield person, found


def _run(code: str, folder: Path, people: int, changed: int = 0, *, tree: Path = ROOT) -> tuple[Usage, list[float]]:
    """Run *code* with the package of *tree*; return what it took, and the seconds that it says."""
    used = measure(
        (sys.executable, "-c", code, str(people), str(changed)), folder=folder, environ={"PYTHONPATH": str(tree)}
    )
    return used, json.loads(used.said)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


if __name__ == "__main__":
    sys.exit(main())
