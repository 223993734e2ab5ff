"""Measure a night in which nobody changed, and one in which 1 % did, beside the version before, in turn.

    python -m benchmarks.unchanged_night [--rows 500000] [--times 3] [--before FOLDER]

*FOLDER* is a worktree of an earlier commit; without it, this one is made to read row by row. The digest store is
filled directly, by the earlier version where there is one: then the first night here takes that store over. Each later
night is a `uploader run` with `changed_only`, as a process of its own. Where 1 % changed, what the sending takes is
measured apart: with a file of only those rows. nginx takes them, on loopback. Beside them stand `uploader check` of
the file, which reads and maps as much, and a script that keeps the plain SHA-256 of each line in a dictionary.

Wanted: at most 300 MB, and at most 24 bytes a person on disk; of 5,000,000 rows, at least 8 times as fast as the
version before, or as row by row. What others do on this machine counts in the seconds, but not in those of the
processor (CPU).
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from json import loads
from pathlib import Path
from typing import Final

from benchmarks.figures import Table, median
from benchmarks.measuring import ROOT, Usage, measure
from benchmarks.nginx import serving
from benchmarks.unthrottled import FREE

_LEAST_TIMES: Final = 8.0
_MANY: Final = 5_000_000
"""Of fewer rows, the start of the program is too much of the whole for such a ratio."""

_MOST_MEGABYTES: Final = 300.0
_MOST_BYTES: Final = 24.0
_CHANGED_EVERY: Final = 100
_SUMMARY: Final = "summary.json"

_CONFIG: Final = """\
api: {{base_url: "{url}", service_id: bench, access_token: bench}}
changed_only: true
rate: {rate}
mapping:
  identity: {{external_id: id}}
  properties: {{df_name: name, age: {{column: age, type: long}}}}
"""

_FILL: Final = """\
import os, sys, time
from itertools import islice
from pathlib import Path
from uploader.changes import Digests
from uploader.config import load
from uploader.endpoints import USER_PROFILE
from uploader.mapping import compile_plan
from uploader.model import Row
from uploader.run.fingerprints import mapping_of, service_of
from uploader.run.open_change_detection import open_stores

settings = load(Path("config.yaml"), overrides=(), environ=os.environ)
columns = ["id", "name", "age"]
plan = compile_plan(settings.rules(), endpoint=USER_PROFILE, source="a.csv", config="config.yaml", columns=columns)
settings.state_dir.mkdir(mode=0o700)
stores = open_stores(settings.state_dir, wall=time.time)
digests = Digests(stores.key(), mapping_of(settings))

def accepted(lines):
    for number, line in enumerate(lines, 1):
        work = plan.map_row(Row(number, dict(zip(("id", "name", "age"), line.rstrip().split(",")))), "now")
        yield digests.people(work.person), digests.body(work)

facts = {"base_url": settings.api.base_url, "service_id": settings.api.service_id}
service = service_of(settings.api.base_url, settings.api.service_id)
with open("a.csv") as file, stores.open(service, facts, record_from_now=True) as store:
    next(file)
    rows = accepted(file)
    while some := list(islice(rows, 1_000_000)):
        for people, _ in some:
            store.forget(people)
        store.commit()
        for people, body in some:
            for person in people:
                store.add(person, body)
        store.commit()
"""

_NAIVE: Final = """\
import hashlib, pickle, sys
known = pickle.load(open("naive.pickle", "rb")) if sys.argv[1] == "again" else {}
with open("a.csv", "rb") as file:
    for line in file:
        person, digest = line.partition(b",")[0], hashlib.sha256(line).digest()
        if known.get(person) != digest:
            known[person] = digest
pickle.dump(known, open("naive.pickle", "wb"))
"""


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree to be measured: its *name*, its code in *root*, its nights in *folder*, and what they took."""

    name: str
    root: Path
    folder: Path
    options: tuple[str, ...] = ()
    nights: dict[str, list[Usage]] = field(default_factory=dict)

    def run(self, source: str, *more: str) -> Usage:
        """Run a night with *source*."""
        words = ("-m", "uploader", "run", "-q", "--summary", _SUMMARY, *self.options, *more, source)
        return measure((sys.executable, *words), folder=self.folder, environ={"PYTHONPATH": str(self.root)})

    def night(self, kind: str, source: str, *, sent: int) -> None:
        """Run a night of *kind* with *source*, which sends so many rows, and keep what it took; raises SystemExit."""
        self.nights.setdefault(kind, []).append(self.run(source))
        said = loads((self.folder / _SUMMARY).read_text(encoding="utf-8"))
        if (said["requests"], said["unchanged"]) != (sent, said["read"] - sent):
            sys.exit(f"{self.name}, {kind}: {said['requests']} requests, not {sent}; {said['unchanged']} unchanged")

    def median(self, kind: str, what: str) -> float:
        """Return the median of *what* of the nights of *kind*."""
        return median([float(getattr(one, what)) for one in self.nights[kind]])

    def bytes_on_disk(self) -> int:
        """Return the size of its digest store."""
        return sum(path.stat().st_size for path in (self.folder / ".uploader" / "memory").iterdir())


def main() -> int:
    """Measure, print the tables, and return 0 if every figure is as wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000, help="people of the file (default: %(default)s)")
    parser.add_argument("--times", type=int, default=3, help="nights of each kind (default: %(default)s)")
    parser.add_argument("--before", type=Path, help="a worktree of an earlier commit")
    asked = parser.parse_args()
    rows, before = int(asked.rows), asked.before

    with tempfile.TemporaryDirectory(prefix="uploader-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        ours = Tree("in batches", ROOT, folder / "ours")
        other = (
            Tree("before", before.resolve(), folder / "before")
            if before
            else Tree("row by row", ROOT, folder / "rows", ("--set", "source.columnar=off"))
        )
        _prepare(ours, other, rows, stack.enter_context(serving(folder)).url)
        first = ours.run("a.csv")
        for _ in range(int(asked.times)):
            _nights(ours, other, rows)
        check = ("-m", "uploader", "check", "-q", "--set", "changed_only=false", "a.csv")
        peers = {"check alone": measure((sys.executable, *check), folder=ours.folder)}
        naive = [measure((sys.executable, "-c", _NAIVE, when), folder=ours.folder) for when in ("first", "again")]
        peers["naive dictionary"] = naive[-1]
        pickled = (ours.folder / "naive.pickle").stat().st_size
        sizes = {tree.name: tree.bytes_on_disk() for tree in (ours, other)} | {"naive dictionary": pickled}
    return _tell(rows, (ours, other), first, peers, sizes)


def _prepare(ours: Tree, other: Tree, rows: int, url: str) -> None:
    """Give both trees a folder with a store of so many *rows*, as the first night of *other* would leave it."""
    other.folder.mkdir()
    config = other.folder / "config.yaml"
    config.write_text(_CONFIG.format(url=url, rate=FREE), encoding="utf-8")
    config.chmod(0o600)
    # Each night is one in which the people of the other file of the two have changed back.
    for source, mark in (("a", "name"), ("b", "other")):
        _write(other.folder / f"{source}.csv", _people(rows, mark))
        _write(other.folder / f"{source}-changed.csv", _people(rows, mark, step=_CHANGED_EVERY))
    measure((sys.executable, "-c", _FILL), folder=other.folder, environ={"PYTHONPATH": str(other.root)})
    shutil.copytree(other.folder, ours.folder)


def _nights(ours: Tree, other: Tree, rows: int) -> None:
    """Run one night of each kind in both trees, each right after the same one of the other."""
    changed = len(range(_CHANGED_EVERY, rows + 1, _CHANGED_EVERY))
    for kind, source, sent in (
        ("nobody changed", "a.csv", 0),
        ("1 % changed", "b.csv", changed),
        ("those alone", "a-changed.csv", changed),
    ):
        for tree in (ours, other):
            tree.night(kind, source, sent=sent)


def _people(rows: int, mark: str, *, step: int = 1) -> Iterator[str]:
    for number in range(step, rows + 1, step):
        name = mark if number % _CHANGED_EVERY == 0 else "name"
        yield f"{number},{name}{number},{number % 90}\n"


def _write(path: Path, lines: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("id,name,age\n")
        file.writelines(lines)


def _tell(
    rows: int, trees: tuple[Tree, Tree], first: Usage, peers: Mapping[str, Usage], sizes: Mapping[str, int]
) -> int:
    """Print what the nights over *rows* took, and return 0 if every figure is as wanted."""
    ours, other = trees
    columns = ("", "s", "s of CPU", "MB")
    for kind in ours.nights:
        medians = [[tree.median(kind, what) for what in ("seconds", "cpu", "megabytes")] for tree in trees]
        cells = tuple(_cells(tree.name, *found) for tree, found in zip(trees, medians, strict=True))
        print("\n".join(Table(kind, columns, cells).lines()))
    once = {"first night": first, **peers}
    cells = tuple(_cells(name, one.seconds, one.cpu, one.megabytes) for name, one in once.items())
    print("\n".join(Table("once", columns, cells).lines()))
    for name, size in sizes.items():
        print(f"  {name:<18} {size / rows:8.1f} bytes a person on disk")
    ratios = {
        "nobody changed": other.median("nobody changed", "cpu") / ours.median("nobody changed", "cpu"),
        "1 % changed, less those alone": _besides_sending(other) / _besides_sending(ours),
    }
    most = max(ours.median(kind, "megabytes") for kind in ours.nights)
    bytes_of_person = sizes[ours.name] / rows
    least = _LEAST_TIMES if rows >= _MANY else 1.0
    for kind, ratio in ratios.items():
        print(f"wanted, {kind}: {least:g} times as fast as {other.name} (found {ratio:.1f})")
    print(f"wanted: at most {_MOST_MEGABYTES:g} MB (found {most:.0f})")
    print(f"wanted: at most {_MOST_BYTES:g} bytes a person (found {bytes_of_person:.1f})")
    return 0 if min(ratios.values()) >= least and most <= _MOST_MEGABYTES and bytes_of_person <= _MOST_BYTES else 1


def _cells(name: str, seconds: float, cpu: float, megabytes: float) -> tuple[str, ...]:
    return name, f"{seconds:,.1f}", f"{cpu:,.1f}", f"{megabytes:,.0f}"


def _besides_sending(tree: Tree) -> float:
    """Return the CPU of the night in which 1 % changed, less that of the sending of those alone."""
    return tree.median("1 % changed", "cpu") - tree.median("those alone", "cpu")


if __name__ == "__main__":
    sys.exit(main())
