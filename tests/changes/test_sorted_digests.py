"""A store that merges into a sorted file says what one that never does says, whatever happens to both."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from tests.seeds import seeds
from uploader.changes import (
    Digests,
    DigestStore,
    DigestStores,
    digest_columns,
    digest_store,
    merge_digests,
    sorted_digests,
)
from uploader.changes.digest_store import delete
from uploader.errors import StorageError

SEEDS: Final = 5
STEPS: Final = 40
PEOPLE: Final = (*range(-9, 9), -(2**63), 2**63 - 1)
BODIES: Final = [bytes([letter]) * 12 for letter in b"wxyz"]


class Unmerged(DigestStore):
    """The store as it was before there were sorted files."""

    def _is_merge_due(self) -> bool:
        return False


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "service.memory"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make everything so small that few people fill it: each run merges, a part has 4 people, a block 2."""
    monkeypatch.setattr(merge_digests, "FEWEST", 1)
    monkeypatch.setattr(merge_digests, "_SHARE", 2**70)
    monkeypatch.setattr(merge_digests, "_AT_ONCE", 3)
    monkeypatch.setattr(digest_columns, "PEOPLE_OF_PART", 4)
    monkeypatch.setattr(sorted_digests, "_BLOCK", 2)
    monkeypatch.setattr(digest_store, "_READ_AT_ONCE", 3)
    monkeypatch.setattr(digest_store, "_AT_ONCE", 2)


def opened(path: Path, kind: type[DigestStore] = DigestStore) -> DigestStore:
    return kind(path, facts={"base_url": "http://127.0.0.1"}, now=1000.0)


def accept(store: DigestStore, bodies: dict[int, bytes], *, unsure: bool = False) -> None:
    store.forget(bodies)
    store.commit()
    for person, body in bodies.items():
        store.add(person, body, unsure=unsure)
    store.commit()


def killed(store: DigestStore) -> None:
    """End *store* as a process that is killed would: what was not committed is lost, and nothing is merged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DigestStore, "commit", lambda _, **__: None)
        store.__exit__(KeyboardInterrupt)


def files(path: Path) -> list[str]:
    return sorted(one.name.removeprefix("service.memory-") for one in path.parent.iterdir() if "memory-" in one.name)


def compared(store: DigestStore, people: Sequence[Sequence[int | None]], bodies: Sequence[bytes]) -> list[bool | None]:
    width = max(map(len, people))
    columns = {
        str(at): pl.Series([one[at] if at < len(one) else None for one in people], dtype=pl.Int64)
        for at in range(width)
    }
    return store.compare(pl.DataFrame(columns), pl.Series(bodies, dtype=pl.Binary)).to_list()


# Random sequences of all that may happen


class Pair:
    """Two stores to which the same happens: one merges, the other does not; and what is known of each person."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 — any order is as good
        self._folder = folder
        self._kinds: list[tuple[Path, type[DigestStore]]] = [
            (folder / "service.memory", DigestStore),
            (folder / "judge" / "judge.memory", Unmerged),
        ]
        (folder / "judge").mkdir()
        self._processes = [self._start()]
        self.accepted: dict[int, set[bytes]] = {person: set() for person in PEOPLE}
        """What was accepted of each since it was durably forgotten last; only this may be known of them."""
        self.merges = 0

    def _start(self) -> list[DigestStore]:
        return [opened(path, kind).__enter__() for path, kind in self._kinds]

    def step(self) -> None:
        """Do something to both, then compare them."""
        process = self._random.choice(self._processes)
        people = self._random.sample(PEOPLE, self._random.randint(1, 5))
        step = self._random.choice(
            ["accept", "accept", "forget", "add", "clear", "commit", "end", "end", "kill", "start"]
        )
        if step == "start" and len(self._processes) < 2:
            self._processes.append(self._start())
        elif step in {"end", "kill"}:
            self._processes.remove(process)
            for store in process:
                killed(store) if step == "kill" else store.__exit__()
            if not self._processes:
                self.merges += any(one.endswith("arrows") for one in files(self._kinds[0][0]))
                self._processes.append(self._start())
        else:
            self._change(process, step, people)
        self._compare()

    def _change(self, process: list[DigestStore], step: str, people: list[int]) -> None:
        body, flag = self._random.choice(BODIES), self._random.random() < 0.2
        for store in process:
            if step == "accept":
                accept(store, dict.fromkeys(people, body), unsure=flag)
            elif step == "forget":
                store.forget(people)
            elif step == "clear":
                store.clear(people, accepted=flag)
            for person in people if step == "add" else ():
                store.add(person, body)
            if flag:
                store.commit()
        for known in (self.accepted[person] for person in people):
            if step == "accept" or (step == "forget" and flag):
                known.clear()
            known.update({body} if step in {"accept", "add"} else ())

    def _compare(self) -> None:
        for merged, judge in self._processes:
            for person in PEOPLE:
                assert merged.body([person]) == judge.body([person])
            assert merged.facts()["people"] == judge.facts()["people"]
            groups = [self._random.sample(PEOPLE, self._random.randint(1, 3)) for _ in range(20)]
            groups += [[person] for person in PEOPLE]
            bodies = [judge.body(one) or self._random.choice(BODIES) for one in groups]
            assert compared(merged, groups, bodies) == [
                None if (known := judge.body(one)) is None else known == body
                for one, body in zip(groups, bodies, strict=True)
            ]

    def close(self) -> None:
        """Let all processes end well, and hold what is left against what was accepted."""
        for process in self._processes:
            for store in process:
                store.__exit__()
        self._processes = [self._start()]
        self._compare()
        for store in self._processes[0]:
            for person in PEOPLE:
                assert store.body([person]) in {None, *self.accepted[person]}
            store.__exit__()


def search(folder: Path, seed: int) -> int:
    """Do many things to a pair of stores, and return how many merges there were."""
    pair = Pair(folder, seed)
    for _ in range(STEPS):
        pair.step()
    pair.close()
    return pair.merges


@pytest.mark.seeded
@pytest.mark.slow
@pytest.mark.parametrize("few", [0, 4], ids=["picked", "whole"])
@pytest.mark.parametrize("seed", seeds(SEEDS))
def test_a_store_that_merges_says_what_one_that_does_not_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, few: int
) -> None:
    monkeypatch.setattr(digest_store, "_FEW", few)

    assert search(tmp_path, seed) > 0


MERGED: Final = digest_columns.merged


def keep_the_deleted(old: Iterator[pl.DataFrame], new: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    return MERGED(old, (some for frame in new if (some := frame.drop_nulls()).height))


def ask_the_file_first(store: DigestStore, person: int) -> bytes | None:
    file = store._sorted  # noqa: SLF001 — the mistake is made where it would be made
    return (None if file is None else file.body(person)) or BODY(store, person)


def compare_with_the_file(store: DigestStore, people: pl.Series) -> Iterator[Iterator[pl.DataFrame]]:
    yield from list(LAYERS(store, people))[:1]


BODY, LAYERS = DigestStore._body, DigestStore._layers  # noqa: SLF001 — as above

MISTAKES: Final[dict[str, tuple[object, str, object]]] = {
    "a merge that forgets who was deleted": (digest_columns, "merged", keep_the_deleted),
    "a look-up of the file before SQLite": (DigestStore, "_body", ask_the_file_first),
    "a look-up of many in the file alone": (DigestStore, "_layers", compare_with_the_file),
    "a row deleted that hides one of the file": (digest_store, "_HIDE", digest_store._CLEAR),  # noqa: SLF001 — as above
    "a merge of the tokens": (merge_digests, "_KEEP", "CREATE TEMP TABLE kept AS SELECT * FROM accepted WHERE 0"),
    "a token instead of nothing": (digest_store, "_FORGET", digest_store._FORGET.replace("IN (0, 12)", "= 12")),  # noqa: SLF001 — as above
    "columns where polars does not put them": (sorted_digests, "_aligned", lambda size: -(-size // 32) * 32),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    monkeypatch.setattr(*MISTAKES[mistake])

    with pytest.raises(AssertionError):
        assert all(map(search, _folders(tmp_path), range(5)))


def _folders(parent: Path) -> Iterator[Path]:
    for number in count():
        (parent / str(number)).mkdir()
        yield parent / str(number)


# When there is a merge


def test_a_merge_leaves_one_file_and_an_empty_table(path: Path) -> None:
    for number in range(3):
        with opened(path) as store:
            accept(store, dict.fromkeys(range(number, number + 9), BODIES[number]))

    with opened(path) as store:
        left = store._sql.execute("SELECT count(*) FROM accepted").fetchone()  # noqa: SLF001 — what no one else asks
        assert (files(path), left, store.facts()["people"]) == (["3.arrows", "shm", "wal"], (0,), "11")
        assert [store.body([person]) for person in range(12)] == [*BODIES[:2], *[BODIES[2]] * 9, None]


def test_few_digests_stay_in_sqlite_and_need_no_polars(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from uploader.changes import DigestStore\n"
        "for _ in range(2):\n"
        "    with DigestStore(Path('x.memory'), facts={}) as store:\n"
        "        store.forget(range(2000)); store.commit()\n"
        "        for person in range(2000): store.add(person, b'x' * 12)\n"
        "        store.body([1])\n"
        "assert 'polars' not in sys.modules"
    )
    root = Path(__file__).parents[2]

    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(root)}, check=True)

    assert list(tmp_path.glob("*.arrows")) == []


def test_who_is_looked_up_one_by_one_in_the_file_needs_no_polars(path: Path) -> None:
    with opened(path) as store:
        accept(store, dict.fromkeys(PEOPLE, BODIES[0]))
    code = (
        "import sys; from pathlib import Path; from uploader.changes import DigestStore\n"
        f"with DigestStore(Path({str(path)!r}), facts={{}}) as store:\n"
        "    assert store.body([-9]) == b'w' * 12\n"
        "assert 'polars' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(Path(__file__).parents[2])}, check=True)


@pytest.mark.parametrize(("fewest", "share", "due"), [(5, 12, [4, 5]), (1, 2, [5, 6]), (1, 3, [3, 4])])
def test_a_merge_is_made_when_it_pays(
    path: Path, monkeypatch: pytest.MonkeyPatch, fewest: int, share: int, due: list[int]
) -> None:
    with opened(path) as store:
        accept(store, dict.fromkeys(range(12), BODIES[0]))
    monkeypatch.setattr(merge_digests, "FEWEST", fewest)
    monkeypatch.setattr(merge_digests, "_SHARE", share)

    found = []
    for changed in due:
        with opened(path) as store:
            accept(store, dict.fromkeys(range(changed), BODIES[1]))
        found.append(files(path))

    assert found == [["1.arrows"], ["2.arrows"]]


def test_nothing_is_merged_while_another_process_has_it_open(path: Path) -> None:
    with opened(path), opened(path) as store:
        accept(store, dict.fromkeys(PEOPLE, BODIES[0]))
        store.__exit__()
        assert files(path) == ["shm", "wal"]
        store.__enter__()

    with opened(path), DigestStore(path, facts={}, read_only=True):
        pass
    assert files(path) == ["1.arrows"]


def test_a_run_that_ends_with_an_error_merges_nothing(path: Path) -> None:
    store = opened(path).__enter__()
    accept(store, {1: BODIES[0]})
    store.__exit__(StorageError)

    assert files(path) == []


def test_the_digests_of_an_earlier_version_are_merged_after_the_first_run(path: Path) -> None:
    with opened(path, Unmerged) as store:
        accept(store, {person: BODIES[person % 4] for person in range(50)})
        store._sql.execute("DROP TABLE sorted_parts")  # noqa: SLF001 — it had no such table
    with opened(path) as store:
        before = compared(store, [[person] for person in range(50)], [BODIES[person % 4] for person in range(50)])
    with DigestStore(path, facts={}, read_only=True) as store:
        after = [store.body([person]) for person in range(50)]

    assert (before, after) == ([True] * 50, [BODIES[person % 4] for person in range(50)])
    assert files(path) == ["1.arrows"]


def test_an_unsure_digest_stays_unsure_through_a_merge(path: Path) -> None:
    with opened(path) as store:
        accept(store, {1: BODIES[0], 2: BODIES[0]})
        accept(store, {1: BODIES[1]}, unsure=True)
    with opened(path) as store:
        known = store.body([1])
        accept(store, {1: BODIES[2]})
        next_one = store.body([1])

    assert (known, next_one) == (BODIES[1], None)


def test_it_can_be_read_by_anything_that_reads_arrow(path: Path) -> None:
    with opened(path) as store:
        accept(store, dict.fromkeys(PEOPLE, BODIES[0]))

    found = pl.read_ipc_stream(path.with_name("service.memory-1.arrows"))

    assert found["person"].to_list() == sorted(PEOPLE)
    assert {head.to_bytes(8, "little") + tail.to_bytes(4, "little") for _, head, tail in found.rows()} == {BODIES[0]}


# The file


def merged(path: Path) -> Path:
    with opened(path) as store:
        accept(store, dict.fromkeys(PEOPLE, BODIES[0]))
    (file,) = path.parent.glob("*.arrows")
    assert file.stat().st_mode & 0o777 == 0o600
    return file


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[:-200])
    else:
        content[-100] ^= 1
        file.write_bytes(content)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("how", ["gone", "cut", "altered"])
def test_a_damaged_file_is_refused_with_what_to_do(path: Path, how: str, *, at_once: bool, read_only: bool) -> None:
    file = merged(path)
    damage(file, how)

    words = r"(is gone|is damaged)\. Run `uploader changes --forget`; the next run then sends everything\."
    with pytest.raises(StorageError, match=words):
        _look_up_all(path, at_once=at_once, read_only=read_only)


def _look_up_all(path: Path, *, at_once: bool, read_only: bool) -> None:
    with DigestStore(path, facts={}, read_only=read_only) as store:
        if at_once:
            compared(store, [[person] for person in PEOPLE], [BODIES[0]] * len(PEOPLE))
        for person in PEOPLE:
            store.body([person])


def test_a_damaged_file_is_not_merged_into_another(path: Path) -> None:
    file = merged(path)
    damage(file, "altered")

    with opened(path) as store:
        accept(store, {1: BODIES[1]})

    assert [name for name in files(path) if name.endswith("arrows")] == ["1.arrows"]


def test_a_link_in_its_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    file = merged(path)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="symbolic link"), opened(path):
        pass


def test_what_a_killed_merge_left_is_deleted_by_the_next_run_that_is_alone(path: Path) -> None:
    file = merged(path)
    for name in ("service.memory-2.arrows", "service.memory-2.new", "service.memory-2.arrows.old"):
        file.with_name(name).write_bytes(b"half")
    with DigestStore(path, facts={}, read_only=True):
        before = len(files(path))

    with opened(path, Unmerged):
        pass

    assert (before, files(path)) == (6, ["1.arrows", "2.arrows.old"])


def test_a_deleted_store_leaves_no_file(path: Path) -> None:
    merged(path)
    delete(path)

    assert sorted(one.name for one in path.parent.iterdir()) == ["service.lock"]


def test_its_size_is_told_and_it_is_forgotten_with_the_others(tmp_path: Path) -> None:
    library = DigestStores(tmp_path, wall=lambda: 0.0)
    with library.open("one", {}) as store:
        accept(store, dict.fromkeys(PEOPLE, BODIES[0]))
    (file,) = (tmp_path / "memory").glob("*.arrows")

    (found,) = library.summaries()
    library.forget()

    assert (found.people, found.size > file.with_name("one.lock").stat().st_size) == (len(PEOPLE), True)
    assert not file.exists()


# What fails in a merge


STEPS_OF_A_MERGE: Final = {
    "os.fsync": 2,
    "pathlib.Path.replace": 1,
    "uploader.changes.merge_digests.sync_folder": 1,
    "uploader.changes.merge_digests.name_parts": 1,
    "uploader.changes.merge_digests._delete_merged": 1,
    "uploader.changes.merge_digests.unlink_others": 1,
    "uploader.changes.merge_digests._give_back_room": 1,
}


@pytest.mark.parametrize("step", STEPS_OF_A_MERGE)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_merge_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch, step: str, when: str) -> None:
    merged(path)
    expected = dict.fromkeys(PEOPLE, BODIES[0]) | {1: BODIES[1], 3: None}
    store = opened(path).__enter__()
    accept(store, {1: BODIES[1]})
    store.forget([3])
    store.commit()
    store.clear([3], accepted=True)

    with monkeypatch.context() as patch:
        _fail(patch, step, when)
        store.__exit__()
    with opened(path) as again:
        found = {person: again.body([person]) for person in PEOPLE}
    with opened(path) as last:
        assert (found, {person: last.body([person]) for person in PEOPLE}) == (expected, expected)
    assert len(files(path)) == 1


def _fail(patch: pytest.MonkeyPatch, step: str, when: str) -> None:
    module, _, name = step.rpartition(".")
    target: object = {"os": sys.modules["os"], "pathlib.Path": Path}.get(module, merge_digests)
    done: Callable[..., object] = getattr(target, name)

    def fail(*words: object) -> None:
        if when == "after":
            done(*words)
        raise OSError(28, "No space left on device")

    patch.setattr(target, name, fail)


def test_a_stop_ends_a_merge(path: Path) -> None:
    merged(path)
    calls = count()

    def stop() -> None:
        if next(calls):
            raise KeyboardInterrupt

    store = DigestStore(path, facts={}, raise_if_stopped=stop).__enter__()
    accept(store, dict.fromkeys(PEOPLE, BODIES[1]))
    with pytest.raises(KeyboardInterrupt):
        store.__exit__()

    with opened(path) as again:
        assert [again.body([person]) for person in PEOPLE] == [BODIES[1]] * len(PEOPLE)
    assert files(path) == ["2.arrows"]


# Digests of many


def test_the_digests_of_many_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_columns, "_TEXTS_AT_ONCE", 2)
    digests = Digests(bytes(32), "mapping")
    identity = pl.DataFrame({"external_id": ["1", None, "é"], "email": ["x", "y", None]})
    whole = '{"identity":{},"request_datetime":"2026-01-01T00:00:00.000Z"}'

    people, bodies = digest_columns.number_columns(
        identity, pl.Series([whole, None, '{"identity":{},"request_datetime":"']), digests
    )

    persons = [("external_id=1", "email=x"), ("email=y",), ("external_id=é",)]
    assert [[one for one in row if one is not None] for row in people.rows()] == list(map(digests.people, persons))
    assert bodies.to_list() == [digests.begin_of_body(whole.encode()), None, bodies[0]]
