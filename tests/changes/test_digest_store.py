"""What one service accepted last survives every end of a run, and is never more than is known."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from uploader.changes import DigestStore
from uploader.changes.digest_store import delete
from uploader.changes.newer_properties import SetSince
from uploader.errors import LockedError, SignalledError, StorageError
from uploader.model import Origin, number_of_old

X, Y = b"x" * 12, b"y" * 12
ANN, BOB, MAIL = 1, -2, 3
A, B, C = b"a" * 8, b"b" * 8, b"c" * 8
OLD_ID = "20260101T000000Z-00000012"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "service.memory"


def opened(path: Path) -> DigestStore:
    return DigestStore(path, facts={"base_url": "http://127.0.0.1", "service_id": "svc"}, now=1000.0)


def accept(memory: DigestStore, person: int, body: bytes) -> None:
    """Go the whole way of one accepted request."""
    memory.forget([person])
    memory.commit()
    memory.add(person, body)
    memory.commit()


def killed(memory: DigestStore) -> None:
    """End *memory* as a process that is killed would: what was not committed is lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DigestStore, "commit", lambda _, **__: None)
        memory.__exit__(None, None, None)


def test_what_was_accepted_is_known_to_the_next_run(path: Path) -> None:
    with opened(path) as memory:
        accept(memory, ANN, X)

    with opened(path) as memory:
        assert (memory.body([ANN]), memory.body([BOB])) == (X, None)
        assert memory.facts()["people"] == "1"


def test_who_is_forgotten_is_unknown_at_once_and_after_a_crash(path: Path) -> None:
    with opened(path) as memory:
        accept(memory, ANN, X)
    memory = opened(path).__enter__()
    memory.forget([ANN])
    at_once = memory.body([ANN])
    memory.commit()
    killed(memory)

    with opened(path) as again:
        assert (at_once, again.body([ANN])) == (None, None)


def test_what_was_not_committed_is_not_remembered(path: Path) -> None:
    memory = opened(path).__enter__()
    memory.forget([ANN])
    memory.commit()
    memory.add(ANN, X)
    in_this_run = memory.body([ANN])
    killed(memory)

    with opened(path) as again:
        assert (in_this_run, again.body([ANN])) == (X, None)


def test_a_person_whose_values_were_accepted_with_different_bodies_is_unknown(path: Path) -> None:
    with opened(path) as memory:
        accept(memory, ANN, X)
        accept(memory, MAIL, Y)

        assert memory.body([ANN, MAIL]) is None
        accept(memory, MAIL, X)
        assert memory.body([ANN, MAIL]) == X


def test_who_was_never_forgotten_is_never_remembered(path: Path) -> None:
    with opened(path) as memory:
        memory.add(ANN, X)
        memory.commit()

    with opened(path) as memory:
        assert memory.body([ANN]) is None


@pytest.mark.parametrize("first", ["one", "other"])
def test_where_two_runs_meet_at_one_person_neither_remembers(path: Path, first: str) -> None:
    with opened(path) as one, opened(path) as other:
        for memory in (one, other) if first == "one" else (other, one):
            memory.forget([ANN])
        one.commit()
        other.commit()
        one.add(ANN, X)
        other.add(ANN, Y)
        one.commit()
        other.commit()

    with opened(path) as memory:
        assert memory.body([ANN]) is None
        # One of them may have left a request that is still on its way.
        accept(memory, ANN, X)
        assert memory.body([ANN]) is None
        accept(memory, ANN, X)
        assert memory.body([ANN]) == X
    with opened(path) as memory:
        assert memory.body([ANN]) == X


def test_what_a_killed_run_left_is_taken_over_by_the_next(path: Path) -> None:
    memory = opened(path).__enter__()
    memory.forget([ANN])
    memory.commit()
    killed(memory)

    with opened(path) as again:
        accept(again, ANN, Y)
        accept(again, ANN, Y)

    with opened(path) as last:
        assert last.body([ANN]) == Y


def test_a_second_run_finds_what_the_first_has_finished_with(path: Path) -> None:
    with opened(path) as one, opened(path) as other:
        accept(one, ANN, X)
        accept(other, ANN, Y)

    with opened(path) as memory:
        assert memory.body([ANN]) == Y


# Rows of which an older one may still be sent


def test_only_what_newer_rows_have_set_is_told(path: Path) -> None:
    with opened(path) as memory:
        memory.newer.record([ANN], A + B, Origin(2, 5))
        memory.newer.record([ANN], C, Origin(1, 9))
        memory.commit()

    with opened(path) as memory:
        since = [memory.newer.set_since([ANN], origin).names for origin in (Origin(1, 9), Origin(1, 8), Origin(2, 5))]
        assert since == [{A, B}, {A, B, C}, set()]
        assert memory.newer.set_since([BOB], Origin(0, 0)) == SetSince()


def test_of_one_set_of_properties_the_newest_row_counts_whatever_the_order(path: Path) -> None:
    with opened(path) as memory:
        for row in (7, 9, 8):
            memory.newer.record([ANN], A, Origin(1, row))
            memory.commit()

        assert [memory.newer.set_since([ANN], Origin(1, row)).names for row in (8, 9)] == [{A}, set()]


def test_what_is_noted_counts_before_it_is_committed(path: Path) -> None:
    with opened(path) as memory:
        memory.newer.watch([ANN], since=0)
        memory.newer.record([ANN], A, Origin(3, 1))

        assert memory.newer.is_watched([ANN, BOB])
        assert not memory.newer.is_complete([ANN, BOB], since=2, run=2)
        assert memory.newer.set_since([ANN], Origin(2, 1)).names == {A}
        assert memory.newer.newest_run() == 3


def test_a_run_hears_at_once_of_what_another_has_noted(path: Path) -> None:
    with opened(path) as one, opened(path) as other:
        before = (one.newer.is_watched([ANN]), one.newer.newest_run())
        other.newer.watch([ANN], since=0)
        other.newer.record([ANN], A, Origin(4, 1))
        other.commit(power_safe=False)

        assert (before, one.newer.is_watched([ANN]), one.newer.newest_run()) == ((False, None), True, 4)


def test_what_was_set_before_somebody_was_watched_is_not_known(path: Path) -> None:
    with opened(path) as memory:
        memory.newer.watch([ANN], since=4)
        memory.commit()
        memory.newer.watch([ANN], since=6)

        assert [memory.newer.is_complete([ANN], since=run, run=run) for run in (3, 4, 5)] == [False, True, True]

        memory.newer.watch([ANN], since=2)
        memory.commit()

        assert [memory.newer.is_complete([ANN], since=run, run=run) for run in (1, 2)] == [False, True]


def test_who_may_be_one_person_with_others_is_not_known_until_these_are(path: Path) -> None:
    with opened(path) as memory:
        memory.newer.watch([ANN], since=1, unlinked_by=1)
        memory.commit()
        memory.newer.watch([ANN], since=1)
        unlinked, later = (memory.newer.is_complete([ANN], since=run, run=run) for run in (1, 2))
        memory.newer.link([ANN, BOB], BOB)
        memory.newer.record([BOB], A, Origin(2, 1))
        memory.newer.mark_linked([ANN])
        memory.commit()

        assert (unlinked, memory.newer.is_complete([ANN], since=1, run=1), later) == (False, True, True)
        assert memory.newer.set_since([ANN], Origin(1, 1)).names == {A}


def test_what_is_noted_of_people_of_whom_no_older_row_can_come_is_forgotten(path: Path) -> None:
    with opened(path) as memory:
        memory.newer.watch([ANN], since=0)
        memory.newer.record([ANN, BOB], A, Origin(1, 1))
        memory.newer.record([BOB], B, Origin(2, 1))
        memory.commit()
        memory.newer.forget_unwatched(before=2)

        assert [memory.newer.set_since([one], Origin(0, 1)).names for one in (ANN, BOB)] == [{A}, {B}]


def test_what_an_earlier_version_noted_is_taken_over(path: Path) -> None:
    with opened(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        sql.execute("CREATE TABLE owed (person INTEGER, origin TEXT, state INTEGER, PRIMARY KEY (person, origin))")
        sql.execute("INSERT INTO owed VALUES (?, ?, 1), (?, ?, 0)", (ANN, OLD_ID, BOB, OLD_ID))

    with opened(path) as memory:
        later, first = memory.newer, number_of_old(OLD_ID)
        assert later.is_complete([ANN, BOB], since=first, run=first)
        assert not later.is_complete([ANN], since=first - 1, run=first - 1)
        assert [later.set_since([one], Origin(first, 1)) for one in (ANN, BOB)] == [
            SetSince(frozenset(), is_known=False),
            SetSince(),
        ]
        assert later.set_since([ANN], Origin(first + 1, 1)) == SetSince()
        assert later.newest_run() == first


# Requests of unknown fate


def begun(path: Path) -> DigestStore:
    """Return the memory of a run that has forgotten a person, and is gone."""
    memory = opened(path).__enter__()
    memory.forget([ANN])
    memory.commit()
    return memory


def test_behind_a_run_that_is_gone_the_second_acceptance_is_remembered(path: Path) -> None:
    killed(begun(path))

    found = []
    for _ in range(2):
        with opened(path) as memory:
            accept(memory, ANN, X)
            found.append(memory.body([ANN]))

    assert found == [None, X]


def test_a_person_of_whom_nothing_is_on_its_way_is_remembered_at_once(path: Path) -> None:
    memory = begun(path)
    memory.clear([ANN], accepted=False)
    memory.__exit__(None, None, None)

    with opened(path) as memory:
        accept(memory, ANN, X)
        assert memory.body([ANN]) == X


def test_a_row_that_was_not_accepted_does_not_end_the_doubt(path: Path) -> None:
    killed(begun(path))
    with opened(path) as memory:
        memory.forget([ANN])
        memory.commit()
        memory.clear([ANN], accepted=False)

    with opened(path) as memory:
        accept(memory, ANN, X)
        assert memory.body([ANN]) is None


def test_a_request_that_may_be_on_its_way_once_more_delays_what_is_remembered_next(path: Path) -> None:
    with opened(path) as memory:
        memory.forget([ANN])
        memory.commit()
        memory.add(ANN, X, unsure=True)
        memory.commit()
        known = memory.body([ANN])
    found = []
    for _ in range(2):
        with opened(path) as memory:
            accept(memory, ANN, Y)
            found.append(memory.body([ANN]))

    assert (known, found) == (X, [None, Y])


# The file


def test_only_its_owner_can_read_it(path: Path) -> None:
    with opened(path) as memory:
        accept(memory, ANN, X)
        modes = {one.name: one.stat().st_mode & 0o777 for one in path.parent.iterdir()}

    assert set(modes.values()) == {0o600}
    assert len(modes) == 4


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError), opened(path):
        pass

    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_file_is_refused_with_what_to_do(path: Path) -> None:
    path.write_bytes(b"no database at all " * 100)

    with pytest.raises(StorageError, match=r"is damaged. Run `uploader changes --forget`"), opened(path):
        pass


def test_a_full_disk_is_told_and_forgets_nothing_by_halves(path: Path) -> None:
    with opened(path) as memory:
        accept(memory, ANN, X)
    with sqlite3.connect(path) as sql:
        (pages,) = sql.execute("PRAGMA page_count").fetchone()
    sql.close()

    with opened(path) as memory:
        memory._sql.execute(f"PRAGMA max_page_count = {pages}")  # noqa: SLF001 — the only disk that is full on demand
        memory.forget([ANN, *range(10, 20_000)])
        with pytest.raises(StorageError, match=r"full\. Make room"):
            memory.commit()

    with opened(path) as memory:
        assert memory.body([ANN]) == X


def test_a_memory_in_use_can_not_be_deleted(path: Path) -> None:
    with opened(path), pytest.raises(LockedError):
        delete(path)
    delete(path)

    assert sorted(one.name for one in path.parent.iterdir()) == ["service.lock"]


def test_a_memory_that_is_only_looked_at_stays_as_it_is(path: Path) -> None:
    with opened(path) as memory:
        accept(memory, ANN, X)
    before = path.read_bytes()

    with DigestStore(path, facts={}, read_only=True) as memory:
        assert memory.body([ANN]) == X

    assert path.read_bytes() == before


def test_a_memory_that_is_not_there_can_not_be_looked_at(path: Path) -> None:
    with pytest.raises(StorageError), DigestStore(path, facts={}, read_only=True):
        pass


def test_a_folder_in_its_place_is_refused(path: Path) -> None:
    path.mkdir()

    with pytest.raises(StorageError), opened(path):
        pass


def test_a_link_in_the_place_of_its_lock_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.with_suffix(".lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError), opened(path):
        pass

    assert not (tmp_path / "elsewhere").exists()


# Who begins to remember


def test_what_is_accepted_is_kept_from_the_run_on_that_asks_for_it(path: Path) -> None:
    with opened(path) as memory:
        before = memory.is_recording
    with DigestStore(path, facts={}, record_from_now=True) as memory:
        asked = memory.is_recording
    with opened(path) as memory:
        assert (before, asked, memory.is_recording) == (False, True, True)


def test_nothing_is_kept_while_a_run_is_at_work_that_would_not_know_of_it(path: Path) -> None:
    with opened(path), DigestStore(path, facts={}, record_from_now=True) as memory:
        beside = memory.is_recording
    with DigestStore(path, facts={}, record_from_now=True) as memory:
        assert (beside, memory.is_recording) == (False, True)


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    """Lend the file of a memory as another process has it."""
    with opened(path) as memory:
        accept(memory, ANN, X)
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        yield sql


@pytest.mark.parametrize("how", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_process_that_lets_go_of_the_file_is_waited_for(path: Path, other: sqlite3.Connection, how: str) -> None:
    pauses = iter(range(5))

    def pause() -> None:
        if next(pauses, None) is None and other.in_transaction:
            other.execute("COMMIT")

    with DigestStore(path, facts={}, pause=pause) as memory:
        other.execute(f"BEGIN {how}")
        accept(memory, BOB, Y)

        assert (memory.body([ANN]), memory.body([BOB])) == (X, Y)
    assert next(pauses, None) is None


def test_a_process_that_keeps_the_file_locked_is_not_waited_for_for_ever(path: Path, other: sqlite3.Connection) -> None:
    pauses: list[int] = []

    with DigestStore(path, facts={}, pause=lambda: pauses.append(1)) as memory:
        other.execute("BEGIN IMMEDIATE")
        memory.forget([ANN])
        with pytest.raises(StorageError) as found:
            memory.commit()
        waited = len(pauses)
        with pytest.raises(StorageError):
            memory.commit()
        with pytest.raises(StorageError):
            memory.body([BOB])

    assert str(found.value) == (
        f"{path} is kept locked by another process. End that one, or wait for its end, then run again to resume."
    )
    assert len(pauses) == waited > 100


@pytest.mark.parametrize("lock", ["database", "lock"])
def test_who_can_not_open_it_says_who_keeps_it(path: Path, other: sqlite3.Connection, lock: str) -> None:
    handle = os.open(path.with_suffix(".lock"), os.O_RDWR)
    if lock == "lock":
        fcntl.flock(handle, fcntl.LOCK_EX)
    else:
        other.execute("BEGIN EXCLUSIVE")

    # A database that is locked can be read all the same.
    for read_only in {False, lock == "lock"}:
        with (
            pytest.raises(StorageError, match="is kept locked by another process"),
            DigestStore(path, facts={}, pause=lambda: None, read_only=read_only),
        ):
            pass
    os.close(handle)


def test_a_stop_order_ends_the_waiting(path: Path, other: sqlite3.Connection) -> None:
    def stop() -> None:
        raise SignalledError("Stopped.", 15)

    memory = DigestStore(path, facts={}, pause=stop).__enter__()
    other.execute("BEGIN IMMEDIATE")
    memory.forget([ANN])
    with pytest.raises(SignalledError):
        memory.commit()
    with pytest.raises(SignalledError):
        memory.__exit__(None, None, None)
