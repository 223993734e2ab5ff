"""Kill a merge at each of its writes, syncs, renames and deletions: the store says the same as before."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.changes import merge_driver
from tests.crash.strace import CALLS, Call, calls_in
from tests.crash.yard import FULL
from uploader.changes import DigestStore, digest_columns, merge_digests
from uploader.errors import StorageError

KILLED: Final = -9
FEW: Final = 8
OLD, NEW = b"o" * 12, b"n" * 12
PEOPLE: Final = range(-150, 150)
DRIVER: Final = str(Path(__file__).with_name("merge_driver.py"))

EXPECTED: Final = dict.fromkeys(PEOPLE, OLD) | dict.fromkeys(range(40), NEW) | dict.fromkeys(range(-20, 0))


@pytest.fixture(scope="module", params=["sorted", "of the version before"])
def before(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return the folder of a store, with or without a sorted file, and with as much that has changed since."""
    folder = tmp_path_factory.mktemp("before").resolve()
    has_file = request.param == "sorted"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge_digests, "FEWEST", 1 if has_file else 1_000)
        patch.setattr(digest_columns, "PEOPLE_OF_PART", 64)
        with store_in(folder) as store:
            _accept(store, dict.fromkeys(PEOPLE, OLD))
        patch.setattr(merge_digests, "FEWEST", 1_000)
        with store_in(folder) as store:
            _accept(store, dict.fromkeys(range(40), NEW))
            store.forget(range(-20, 0))
            store.commit()
            store.clear(range(-20, -10), accepted=True)
    if not has_file:
        with closing(sqlite3.connect(folder / "svc.memory", isolation_level=None)) as sql:
            sql.execute("DROP TABLE sorted_parts")
    return folder


def files_of(folder: Path) -> list[str]:
    """Return the names of the sorted files in *folder*, finished or not."""
    return sorted(one.name for one in folder.iterdir() if one.suffix in {".arrows", ".new"})


def store_in(folder: Path) -> DigestStore:
    return DigestStore(folder / "svc.memory", facts={})


def _accept(store: DigestStore, bodies: dict[int, bytes]) -> None:
    store.forget(bodies)
    store.commit()
    for person, body in bodies.items():
        store.add(person, body)


def merge(folder: Path, *, inject: str | None = None, log: Path | None = None, mistake: str = "none") -> int:
    """Merge the store in *folder*, in a process to which *inject* happens; return how it ended."""
    files = [f"svc.memory-{number}.{kind}" for number in (1, 2) for kind in ("arrows", "new")]
    names = ("svc.memory", "svc.memory-wal", *files)
    command = ["strace", "-f", "-o", str(log or "/dev/null"), "-e", "trace=" + ",".join(f"?{one}" for one in CALLS)]
    command += [word for path in (folder, *map(folder.joinpath, names)) for word in ("-P", str(path))]
    command += ["-e", f"inject={inject}"] if inject is not None else []
    command += [sys.executable, DRIVER, str(folder / "svc.memory"), mistake]
    root = str(Path(__file__).parents[2])
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, check=False, timeout=60).returncode


def judge(folder: Path) -> list[str]:
    """Return what is wrong with the store in *folder*, now and after it is merged by the next run."""
    wrong = []
    for when in ("now", "after the next run"):
        try:
            with DigestStore(folder / "svc.memory", facts={}, read_only=True) as store:
                found = {person: store.body([person]) for person in PEOPLE}
            wrong += [f"{when}: {person}" for person in PEOPLE if found[person] != EXPECTED[person]]
            if when == "now":
                merge_driver.merge(folder / "svc.memory")
        except StorageError as error:
            return [f"{when}: {error}"]
    left = files_of(folder)
    return wrong if len(left) == 1 else [*wrong, f"{left} are left"]


def calls_of(before: Path, folder: Path, mistake: str = "none") -> list[Call]:
    """Return the calls of a merge that comes to its end, in a copy of *before*."""
    shutil.copytree(before, folder / "whole")
    assert merge(folder / "whole", log=folder / "log", mistake=mistake) == 0
    return calls_in(folder / "log")


def kills(before: Path, folder: Path, calls: list[Call], how: str, mistake: str = "none") -> Iterator[list[str]]:
    """Break a merge at each of *calls*; yield what is wrong with the store then."""
    for name, nth in calls:
        shutil.rmtree(folder / "broken", ignore_errors=True)
        shutil.copytree(before, folder / "broken")
        status = merge(folder / "broken", inject=f"{name}:{how}:when={nth}", mistake=mistake)
        assert status in ({KILLED, 137} if "KILL" in how else {0, 1}), (name, nth)
        yield [f"{name} {nth}: {wrong}" for wrong in judge(folder / "broken")]


def some(calls: list[Call], first: int = 0, every: int = 1) -> list[Call]:
    """Return *calls* in the full size, otherwise a FEW, of which *every* so manieth counts from the *first* on."""
    return calls if FULL else calls[:: -(-len(calls) // FEW)][first::every]


@pytest.mark.long
def test_a_merge_that_is_killed_at_any_call_leaves_a_store_that_says_the_same(before: Path, tmp_path: Path) -> None:
    calls = calls_of(before, tmp_path)
    # The last ones are those of the merge.
    tried = calls if FULL else [*dict.fromkeys([*some(calls), *calls[-FEW:]])]

    assert [wrong for wrong in kills(before, tmp_path, tried, "signal=KILL") if wrong] == []


@pytest.mark.long
@pytest.mark.parametrize(("error", "first"), [("ENOSPC", 0), ("EIO", 1)])
def test_a_merge_whose_disk_fails_at_any_call_leaves_a_store_that_says_the_same(
    before: Path, tmp_path: Path, error: str, first: int
) -> None:
    calls = some(calls_of(before, tmp_path), first, every=2)

    assert [wrong for wrong in kills(before, tmp_path, calls, f"error={error}") if wrong] == []


@pytest.mark.long
def test_a_merge_that_names_its_file_first_is_found(before: Path, tmp_path: Path) -> None:
    calls = [call for call in calls_of(before, tmp_path, "switched-first") if call[0].startswith(("rename", "unlink"))]

    assert any(kills(before, tmp_path, calls, "signal=KILL", "switched-first"))


@pytest.mark.long
def test_the_file_is_on_disk_under_its_name_before_sqlite_names_it(before: Path, tmp_path: Path) -> None:
    calls_of(before, tmp_path)
    lines = (tmp_path / "log").read_text().splitlines()

    (new,), old = files_of(tmp_path / "whole"), files_of(before)
    renamed = next(at for at, line in enumerate(lines) if new in line and "rename" in line)
    kinds = [line.split()[1].partition("(")[0] for line in lines]
    assert kinds[renamed - 1] == "fsync"
    assert kinds[renamed + 1] == "fsync"
    # What begins the transaction's way to the disk comes after, and ends with a sync as well.
    committed = next(at for at in range(renamed + 2, len(kinds)) if kinds[at] == "pwrite64")
    assert "fdatasync" in kinds[committed:] or "fsync" in kinds[committed:]
    deleted = [at for at, line in enumerate(lines) if any(name in line for name in old) and "unlink" in line]
    assert len(deleted) == len(old)
    assert {"fdatasync", "fsync"} & set(kinds[committed : min(deleted, default=None)])
