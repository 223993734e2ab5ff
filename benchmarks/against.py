"""Measure this tree beside an earlier commit, in turn, in one run: how fast rows are checked, sent and skipped.

    python -m benchmarks.against REVISION [--rows 40000] [--rounds 7]

Both are run by the same Python with the same packages, against the same nginx. A ratio above 1: this tree is faster.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.figures import Table, median, spread
from benchmarks.measuring import ROOT, measure
from benchmarks.nginx import serving
from benchmarks.people import CONFIG, write_people
from benchmarks.unthrottled import FREE

_SUMMARY: Final = "summary.json"
_CHANGED: Final = ("--set", "changed_only=true", "--summary", _SUMMARY)
_TASKS: Final = {"check": ("check",), "send": ("run",), "record": ("run", *_CHANGED), "unchanged": ("run", *_CHANGED)}
"""A check of the whole file; a run that sends it; one that records it (`changed_only`); one that skips it."""


@dataclass(frozen=True, slots=True)
class Lap:
    """What one task took one tree: the seconds of the whole command, its CPU seconds, and its peak memory."""

    seconds: float
    cpu: float
    megabytes: float


def main() -> None:
    """Run the rounds, and print a table: for each task the ratios of time, CPU and memory."""
    words = _words()
    with tempfile.TemporaryDirectory(prefix="against-") as name, tree_of(words.revision) as old:
        whole = Path(name)
        with serving(whole) as server:
            people = write_people(whole / "people.csv", words.rows)
            folders = {old: whole / "old", ROOT: whole / "new"}
            for folder in folders.values():
                folder.mkdir()
                config = folder / "config.yaml"
                config.write_text(CONFIG.format(url=server.url, rate=FREE), encoding="utf-8")
                config.chmod(0o600)
            found: dict[str, list[tuple[Lap, Lap]]] = {task: [] for task in _TASKS}
            for number in range(1, words.rounds + 1):
                print(f"round {number} of {words.rounds}", file=sys.stderr)
                for folder in folders.values():
                    shutil.rmtree(folder / ".uploader", ignore_errors=True)
                # The tree that comes first in a round is behind in the next one.
                trees = (old, ROOT) if number % 2 else (ROOT, old)
                for task in _TASKS:
                    # One right after the other: the machine's speed drifts within a minute.
                    laps = {tree: _lap_of(task, tree, folders[tree], people) for tree in trees}
                    found[task].append((laps[old], laps[ROOT]))
    rows = tuple(_row(task, pairs) for task, pairs in found.items())
    columns = ("", "time, old/new", "from … to", "CPU, old/new", "from … to", "memory, old/new")
    print("\n".join(Table(f"{words.rows:,} rows, {words.rounds} rounds", columns, rows).lines()))


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("revision")
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


@contextmanager
def tree_of(revision: str) -> Iterator[Path]:
    """Lend a checkout of *revision* beside this one."""
    with tempfile.TemporaryDirectory(prefix="tree-") as name:
        tree = Path(name) / "old"
        subprocess.run(["git", "-C", str(ROOT), "worktree", "add", "-q", "--detach", str(tree), revision], check=True)  # noqa: S607 — the developer's own git
        try:
            yield tree
        finally:
            subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(tree)], check=True)  # noqa: S607 — the same


def _lap_of(task: str, tree: Path, folder: Path, people: Path) -> Lap:
    lap = _lap(tree, folder, *_TASKS[task], str(people))
    if task == "unchanged":
        summary = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
        if summary["requests"] or summary["unchanged"] != summary["read"]:
            sys.exit(f"{tree}: an unchanged night made {summary['requests']} requests.")
    return lap


def _lap(tree: Path, folder: Path, *words: str) -> Lap:
    took = measure((sys.executable, "-m", "uploader", *words), folder=folder, environ={"PYTHONPATH": str(tree)})
    return Lap(took.seconds, took.cpu, took.megabytes)


def _row(task: str, pairs: list[tuple[Lap, Lap]]) -> tuple[str, ...]:
    seconds = [old.seconds / new.seconds for old, new in pairs]
    cpu = [old.cpu / new.cpu for old, new in pairs]
    memory = [old.megabytes / new.megabytes for old, new in pairs]
    return (
        *(task, f"{median(seconds):.3f}", spread(seconds, 2), f"{median(cpu):.3f}", spread(cpu, 2)),
        f"{median(memory):.3f}",
    )


if __name__ == "__main__":
    main()
