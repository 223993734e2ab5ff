"""Measure what change detection costs: bytes a person on disk, and a night in which nothing changed.

    python benchmarks/memory.py [--people 5000000]

The memory is filled directly, as a first night would leave it. Then `uploader run` is given the same file with
`changed_only`: it has nothing to send. Beside it, in the same run, stand `uploader check` of the file (which reads and
maps as much, and asks no memory), and a script that keeps the plain SHA-256 of each line in a pickled dictionary.

Wanted of 5,000,000 people: at most 24 bytes a person on disk, and a night of less than 6 minutes and 400 MB.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from uploader.changes import Digests
from uploader.config import Settings, load
from uploader.mapping import compile_plan
from uploader.model import Request, Row
from uploader.run.fingerprints import mapping_of, service_of
from uploader.run.open_change_detection import open_stores

_MOST_BYTES: Final = 24.0
_MOST_SECONDS: Final = 360.0
_MOST_MEGABYTES: Final = 400.0
_BATCH: Final = 100_000

_CONFIG: Final = """\
api: {base_url: "http://127.0.0.1:9", service_id: bench, access_token: bench}
changed_only: true
mapping:
  identity: {external_id: id}
  properties: {df_name: name, age: {column: age, type: long}}
"""

_NAIVE: Final = """\
import hashlib, pickle, sys
known = pickle.load(open("naive.pickle", "rb")) if sys.argv[1] == "again" else {}
with open("people.csv", "rb") as file:
    changed = 0
    for line in file:
        person, digest = line.partition(b",")[0], hashlib.sha256(line).digest()
        if known.get(person) != digest:
            changed += 1
            known[person] = digest
pickle.dump(known, open("naive.pickle", "wb"))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took: seconds, and its peak memory in MB."""

    seconds: float
    megabytes: float


def main() -> int:
    """Measure, print the table, and return 0 if every figure is as wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=5_000_000, help="people of the file (default: %(default)s)")
    people = int(parser.parse_args().people)

    with tempfile.TemporaryDirectory(prefix="uploader-bench-") as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(_CONFIG, encoding="utf-8")
        (folder / "config.yaml").chmod(0o600)
        _write_source(folder / "people.csv", people)
        began = time.monotonic()
        size = _fill(folder, people)
        filled = time.monotonic() - began
        command = (sys.executable, "-m", "uploader")
        checked = _cost(folder, *command, "check", "people.csv", "-q", "--set", "changed_only=false")
        night = _cost(folder, *command, "run", "people.csv", "-q")
        _cost(folder, sys.executable, "-c", _NAIVE, "first")
        naive = _cost(folder, sys.executable, "-c", _NAIVE, "again")
        pickled = (folder / "naive.pickle").stat().st_size

    print(f"{people:,} people, none changed; the memory was filled in {filled:.0f} s")
    print(f"  night (run)      {night.seconds:8.1f} s  {night.megabytes:8.0f} MB  {size / people:8.1f} bytes a person")
    print(f"  check alone      {checked.seconds:8.1f} s  {checked.megabytes:8.0f} MB")
    print(
        f"  naive dictionary {naive.seconds:8.1f} s  {naive.megabytes:8.0f} MB  {pickled / people:8.1f} bytes a person"
    )
    print(f"  wanted           {_MOST_SECONDS:8.1f} s  {_MOST_MEGABYTES:8.0f} MB  {_MOST_BYTES:8.1f} bytes a person")
    good = size / people <= _MOST_BYTES and night.seconds < _MOST_SECONDS and night.megabytes < _MOST_MEGABYTES
    return 0 if good else 1


def _write_source(path: Path, people: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("id,name,age\n")
        file.writelines(f"{number},name{number},{number % 90}\n" for number in range(1, people + 1))


def _requests(settings: Settings, people: int) -> Iterator[Request]:
    plan = compile_plan(
        settings.rules(), source="people.csv", config="config.yaml", columns=["id", "name", "age"], kinds={}
    )
    for number in range(1, people + 1):
        fields = {"id": str(number), "name": f"name{number}", "age": str(number % 90)}
        work = plan.map_row(Row(number, fields), "2026-01-01T00:00:00.000Z")
        if isinstance(work, Request):
            yield work


def _fill(folder: Path, people: int) -> int:
    """Record everybody, in batches of random order as the nights would; return the bytes on disk."""
    settings = load(folder / "config.yaml", overrides=(), environ=os.environ)
    library = open_stores(settings.state_dir, wall=time.time)
    digests = Digests(library.key(), mapping_of(settings))
    facts = {"base_url": settings.api.base_url, "service_id": settings.api.service_id}
    requests = _requests(settings, people)
    shuffler = random.Random(1)  # noqa: S311 — any order is as good
    with library.open(
        service_of(settings.api.base_url, settings.api.service_id), facts, record_from_now=True
    ) as memory:
        while batch := list(islice(requests, _BATCH)):
            shuffler.shuffle(batch)
            for request in batch:
                memory.forget(digests.people(request.person))
            memory.commit()
            for request in batch:
                for person in digests.people(request.person):
                    memory.add(person, digests.body(request))
            memory.commit()
    return sum(path.stat().st_size for path in (settings.state_dir / "memory").iterdir())


def _cost(folder: Path, *command: str) -> Cost:
    """Run *command* to its end; it must end well."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}, stderr=subprocess.PIPE
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _peak(process.pid))
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"{command[1:5]} ended with {process.returncode}: {process.communicate()[1]!r}")
    return Cost(time.monotonic() - began, peak)


def _peak(process: int) -> float:
    """Return the peak memory of *process* in MB so far; 0 if it has just ended."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0) / 1024


if __name__ == "__main__":
    sys.exit(main())
