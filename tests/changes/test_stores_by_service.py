"""The memories of a state folder, one for each service."""

import os
from pathlib import Path

import pytest

from uploader.changes import DigestStores, StoreSummary
from uploader.errors import LockedError, StorageError

X = b"x" * 12
FACTS = {"base_url": "http://127.0.0.1", "service_id": "svc"}


def remember(library: DigestStores, service: str, people: int) -> None:
    with library.open(service, FACTS) as memory:
        memory.forget(range(people))
        memory.commit()
        for person in range(people):
            memory.add(person, X)


def test_each_service_has_a_memory_of_its_own(tmp_path: Path) -> None:
    library = DigestStores(tmp_path, wall=lambda: 1000.0)
    remember(library, "one", 3)

    with library.open("two", FACTS) as memory:
        assert memory.body([1]) is None
    assert (library.exists("one"), library.exists("two"), library.exists("three")) == (True, True, False)


def test_each_memory_is_told_with_its_size_and_age(tmp_path: Path) -> None:
    remember(DigestStores(tmp_path, wall=lambda: 1000.0), "one", 3)
    (path,) = (tmp_path / "memory").glob("*.memory")

    (found,) = DigestStores(tmp_path, wall=lambda: path.stat().st_mtime + 90).summaries()

    age = path.stat().st_mtime + 90 - 1000
    assert found == StoreSummary("http://127.0.0.1", "svc", 3, found.size, age, found.used)
    assert 89 < found.used <= 90
    assert found.size >= path.stat().st_size


def test_looking_at_a_memory_leaves_nothing_and_is_no_use_of_it(tmp_path: Path) -> None:
    remember(DigestStores(tmp_path, wall=lambda: 1000.0), "one", 3)
    (path,) = (tmp_path / "memory").glob("*.memory")
    os.utime(path, (2000.0, 2000.0))
    before = sorted((tmp_path / "memory").iterdir())

    looks = [next(iter(DigestStores(tmp_path, wall=lambda: 2090.0).summaries())).used for _ in range(2)]

    assert (looks, sorted((tmp_path / "memory").iterdir())) == ([90.0, 90.0], before)


def test_what_a_writer_needs_stays_when_somebody_looks(tmp_path: Path) -> None:
    library = DigestStores(tmp_path, wall=lambda: 0.0)
    with library.open("one", FACTS) as memory:
        library.open("one", {}, read_only=True).__enter__().__exit__()
        memory.forget([1])
        memory.commit()

        assert [path.suffix for path in sorted((tmp_path / "memory").glob("*.memory-*"))] == [
            ".memory-shm",
            ".memory-wal",
        ]


def test_asking_makes_nothing(tmp_path: Path) -> None:
    library = DigestStores(tmp_path, wall=lambda: 0.0)

    assert (list(library.summaries()), library.exists("one"), library.forget()) == ([], False, 0)
    assert list(tmp_path.iterdir()) == []


def test_forgetting_takes_the_memories_and_the_key(tmp_path: Path) -> None:
    library = DigestStores(tmp_path, wall=lambda: 0.0)
    key = library.key()
    remember(library, "one", 3)
    remember(library, "two", 3)

    count = library.forget()

    assert (count, list(library.summaries()), library.key() != key) == (2, [], True)


def test_without_its_key_a_memory_is_of_no_use_until_it_is_forgotten(tmp_path: Path) -> None:
    library = DigestStores(tmp_path, wall=lambda: 0.0)
    remember(library, "one", 3)
    key = tmp_path / "memory" / "key"
    key.unlink()

    with pytest.raises(StorageError, match=r"key is gone. Run `uploader changes --forget`"):
        library.key()
    made = key.exists()
    library.forget()

    assert (made, len(library.key())) == (False, 32)


def test_a_memory_in_use_is_not_forgotten(tmp_path: Path) -> None:
    library = DigestStores(tmp_path, wall=lambda: 0.0)

    with library.open("one", FACTS), pytest.raises(LockedError, match="in use by another process"):
        library.forget()


def test_the_folder_is_private(tmp_path: Path) -> None:
    DigestStores(tmp_path, wall=lambda: 0.0).key()

    assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o700


def test_a_memory_that_begins_beside_a_run_keeps_nothing(tmp_path: Path) -> None:
    library = DigestStores(tmp_path, wall=lambda: 0.0)

    with library.announced("one"), library.open("one", FACTS, record_from_now=True) as memory:
        beside = memory.is_recording
    with library.open("one", FACTS, record_from_now=True) as memory:
        assert (beside, memory.is_recording) == (False, True)
