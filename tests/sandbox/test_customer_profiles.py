import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.errors import StorageError
from uploader.sandbox import Profile, RequestRecord, RequestWindow, Stray
from uploader.sandbox.sqlite_store import SandboxStore


@pytest.fixture
def store() -> Iterator[SandboxStore]:
    store = SandboxStore(None)
    yield store
    store.close()


def test_any_shared_value_names_the_same_profile(store: SandboxStore) -> None:
    store.apply({"external_id": "1", "email": "a@x"}, {"a": 1}, 1)
    store.apply({"email": "a@x", "phone_no": "82"}, {"b": 2}, 2)
    store.apply({"phone_no": "82"}, {"a": 3}, 3)

    assert store.profiles() == [
        Profile({"external_id": "1", "email": "a@x", "phone_no": "82"}, {"a": 3, "b": 2}),
    ]


def test_the_same_value_in_another_field_is_another_person(store: SandboxStore) -> None:
    store.apply({"external_id": "1"}, {"a": 1}, 1)
    store.apply({"phone_no": "1"}, {"a": 2}, 2)

    assert store.profiles() == [Profile({"external_id": "1"}, {"a": 1}), Profile({"phone_no": "1"}, {"a": 2})]


def test_null_clears_a_property(store: SandboxStore) -> None:
    store.apply({"external_id": "1"}, {"a": 1, "b": 2}, 1)
    store.apply({"external_id": "1"}, {"a": None}, 2)

    assert store.profiles() == [Profile({"external_id": "1"}, {"b": 2})]


def test_profiles_that_a_request_joins_become_one_and_the_newest_values_win(store: SandboxStore) -> None:
    store.apply({"external_id": "1"}, {"a": "old", "b": "old", "c": "kept"}, 1)
    store.apply({"email": "a@x"}, {"a": "new", "b": None}, 2)
    store.apply({"external_id": "1"}, {"d": "newest"}, 3)
    store.apply({"external_id": "1", "email": "a@x"}, {"e": "joined"}, 4)

    assert store.profiles() == [
        Profile({"external_id": "1", "email": "a@x"}, {"a": "new", "c": "kept", "d": "newest", "e": "joined"}),
    ]


def test_a_changed_email_is_the_one_shown_and_the_old_one_still_finds_the_person(store: SandboxStore) -> None:
    store.apply({"external_id": "1", "email": "old@x"}, {}, 1)
    store.apply({"external_id": "1", "email": "new@x"}, {}, 2)
    store.apply({"email": "old@x"}, {"a": 1}, 3)

    assert store.profiles() == [Profile({"external_id": "1", "email": "old@x"}, {"a": 1})]


def test_a_person_whose_properties_would_grow_over_the_limit_is_left_as_is(store: SandboxStore) -> None:
    store.apply({"external_id": "1"}, {"a": "x" * 5_000}, 1)

    assert not store.apply({"external_id": "1", "email": "a@x"}, {"b": "x" * 5_000}, 2)
    assert store.profiles() == [Profile({"external_id": "1"}, {"a": "x" * 5_000})]


NAMES = st.dictionaries(st.sampled_from(["external_id", "email"]), st.sampled_from("123"), min_size=1)
VALUES = st.dictionaries(st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 9)))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=12))
def test_no_two_profiles_share_a_name_and_the_last_request_stands(
    requests: list[tuple[dict[str, str], dict[str, int | None]]],
) -> None:
    store = SandboxStore(None)

    for seq, (identity, values) in enumerate(requests, start=1):
        store.apply(identity, {**values}, seq)
    profiles = store.profiles()
    store.close()

    names = [name for profile in profiles for name in profile.identity.items()]
    assert len(names) == len(set(names))
    if requests:
        identity, values = requests[-1]
        [last] = [profile for profile in profiles if identity.items() <= profile.identity.items()]
        assert {name: last.properties.get(name) for name in values} == values


def test_a_store_in_a_file_is_found_again_and_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.db"
    window = RequestWindow(3, 4.0, over=True)
    record = RequestRecord(7, 1.0, 2.0, window, status=429, identity={"email": "a@x"}, body=b"{}")
    store = SandboxStore(path)
    store.add_request(record)
    store.add_stray(Stray("GET", "/", token=True))
    store.flush()
    other = sqlite3.connect(path)
    seen = other.execute("SELECT COUNT(*) FROM requests").fetchone()
    other.close()
    store.close()

    again = SandboxStore(path)
    remembered = again.last_seq(), again.requests(), again.strays()
    again.close()

    assert seen == (1,)
    assert remembered == (7, [record], [Stray("GET", "/", token=True)])
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_store_commits_in_batches(tmp_path: Path) -> None:
    store = SandboxStore(tmp_path / "sandbox.db")
    for _ in range(1_001):
        store.not_stored("age: not registered")

    other = sqlite3.connect(tmp_path / "sandbox.db")
    seen = other.execute("SELECT times FROM not_stored").fetchone()
    other.close()
    store.close()

    assert seen == (1_000,)


@pytest.mark.parametrize("name", ["missing/sandbox.db", "notes.txt"])
def test_a_store_that_can_not_be_is_a_storage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("no database at all " * 100)

    with pytest.raises(StorageError, match="name a new file in a folder that can be written"):
        SandboxStore(tmp_path / name)
