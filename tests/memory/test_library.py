"""The memories of a state folder, one for each service."""

from pathlib import Path

import pytest

from uploader.errors import LockedError
from uploader.memory import Library, Shelved

X = b"x" * 12
FACTS = {"base_url": "http://127.0.0.1", "service_id": "svc"}


def remember(library: Library, service: str, people: int) -> None:
    with library.memory(service, FACTS) as memory:
        memory.forget(range(people))
        memory.commit()
        for person in range(people):
            memory.remember(person, X)


def test_each_service_has_a_memory_of_its_own(tmp_path: Path) -> None:
    library = Library(tmp_path, wall=lambda: 1000.0)
    remember(library, "one", 3)

    with library.memory("two", FACTS) as memory:
        assert memory.body([1]) is None
    assert (library.has("one"), library.has("two"), library.has("three")) == (True, True, False)


def test_each_memory_is_told_with_its_size_and_age(tmp_path: Path) -> None:
    remember(Library(tmp_path, wall=lambda: 1000.0), "one", 3)
    (path,) = (tmp_path / "memory").glob("*.memory")

    (found,) = Library(tmp_path, wall=lambda: path.stat().st_mtime + 90).shelved()

    age = path.stat().st_mtime + 90 - 1000
    assert found == Shelved("http://127.0.0.1", "svc", 3, found.size, age, found.used)
    assert 89 < found.used <= 90
    assert found.size >= path.stat().st_size


def test_asking_makes_nothing(tmp_path: Path) -> None:
    library = Library(tmp_path, wall=lambda: 0.0)

    assert (list(library.shelved()), library.has("one"), library.forget()) == ([], False, 0)
    assert list(tmp_path.iterdir()) == []


def test_forgetting_takes_the_memories_and_the_key(tmp_path: Path) -> None:
    library = Library(tmp_path, wall=lambda: 0.0)
    key = library.key()
    remember(library, "one", 3)
    remember(library, "two", 3)

    count = library.forget()

    assert (count, list(library.shelved()), library.key() != key) == (2, [], True)


def test_a_memory_in_use_is_not_forgotten(tmp_path: Path) -> None:
    library = Library(tmp_path, wall=lambda: 0.0)

    with library.memory("one", FACTS), pytest.raises(LockedError, match="in use by another process"):
        library.forget()


def test_the_folder_is_private(tmp_path: Path) -> None:
    Library(tmp_path, wall=lambda: 0.0).key()

    assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o700
