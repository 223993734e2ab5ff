"""Find, make, compact and throw away the journals of a state folder."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.make import BEGUN, begun_with, failed, rejected, sent, settled, totals, unsettled
from uploader.counts import Counts
from uploader.errors import StorageError
from uploader.state import InFlightFile, Journal, RunStore, StoredRun, read_run
from uploader.state.journal_records import Word

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def shelf(state: Path) -> RunStore:
    return RunStore(state)


def ids(shelf: RunStore) -> list[str]:
    return [volume.state.header.run_id for volume in shelf.runs() if volume.state.header is not None]


def run(
    shelf: RunStore, run_id: str, end: Word | None = None, *, key: str = "key", limit: int | None = None
) -> StoredRun:
    """Put a run that settled one row and ended with *end* on the shelf."""
    started = datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    begun = begun_with(run_id=run_id, key=key, limit=limit, started=started.isoformat())
    volume = shelf.create(begun)
    with Journal(volume.path, volume.state) as journal:
        journal.record(sent(1))
        if end is not None:
            journal.record_facts(end, {"status": 0, "at": "t", "seconds": 1.0})
    return read_run(volume.path)


def continued(shelf: RunStore, key: str = "key") -> str | None:
    volume = shelf.interrupted(key)
    return None if volume is None or volume.state.header is None else volume.state.header.run_id


def test_a_run_that_begins_is_on_the_shelf_with_all_that_was_said_of_it(shelf: RunStore, state: Path) -> None:
    volume = shelf.create(BEGUN)

    assert volume.path == state / "runs" / f"{BEGUN.run_id}-{BEGUN.key}.journal"
    assert volume.state.header == BEGUN
    assert ids(shelf) == [BEGUN.run_id]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], None),
        ([("20260101T000000Z-a", None)], "20260101T000000Z-a"),
        ([("20260101T000000Z-a", "stopped")], "20260101T000000Z-a"),
        ([("20260101T000000Z-a", "finished")], None),
        ([("20260101T000000Z-a", "abandoned")], None),
        ([("20260101T000000Z-a", "finished"), ("20260102T000000Z-b", None)], "20260102T000000Z-b"),
        ([("20260101T000000Z-a", "abandoned"), ("20260102T000000Z-b", None)], "20260102T000000Z-b"),
        ([("20260101T000000Z-a", None), ("20260102T000000Z-b", "finished")], None),
        ([("20260101T000000Z-a", None), ("20260101T000000Z-b", "finished")], "20260101T000000Z-a"),
        ([("20260101T000000Z-a", "abandoned"), ("20260101T000000Z-b", None)], "20260101T000000Z-b"),
    ],
)
def test_the_last_run_is_continued_if_it_is_interrupted(
    shelf: RunStore, runs: list[tuple[str, Word | None]], expected: str | None
) -> None:
    for run_id, end in runs:
        run(shelf, run_id, end)

    assert continued(shelf) == expected


def test_a_run_of_something_else_is_not_continued(shelf: RunStore) -> None:
    run(shelf, "20260101T000000Z-a", key="other")

    assert continued(shelf, "key") is None
    assert continued(shelf, "other") == "20260101T000000Z-a"


def test_a_run_with_a_limit_neither_is_continued_nor_hides_one_that_can_be(shelf: RunStore) -> None:
    run(shelf, "20260101T000000Z-a")
    run(shelf, "20260102T000000Z-b", limit=5)
    run(shelf, "20260103T000000Z-c", "finished", limit=5)

    assert continued(shelf) == "20260101T000000Z-a"


def test_a_journal_without_one_whole_line_hides_no_run_that_can_be_continued(shelf: RunStore, state: Path) -> None:
    run(shelf, "20260101T000000Z-a")
    (state / "runs" / "20260102T000000Z-b-key.journal").write_bytes(b"\0" * 100)
    (state / "runs" / "20260103T000000Z-c-key.journal").write_bytes(b"")

    assert continued(shelf) == "20260101T000000Z-a"
    assert ids(shelf) == ["20260101T000000Z-a"]


def test_a_run_that_was_left_is_not_continued_and_keeps_what_it_knew(shelf: RunStore) -> None:
    volume = run(shelf, "20260101T000000Z-a")

    shelf.abandon(volume)

    (left,) = shelf.runs()
    assert continued(shelf) is None
    assert (left.state.is_abandoned, settled(left.state)) == (True, [1])


def test_the_newest_run_comes_first(shelf: RunStore) -> None:
    for run_id in ("20260102T000000Z-b", "20260101T000000Z-a", "20260103T000000Z-c"):
        run(shelf, run_id, key=run_id[-1])

    assert ids(shelf) == ["20260103T000000Z-c", "20260102T000000Z-b", "20260101T000000Z-a"]


def test_beside_a_run_are_those_of_its_commands_and_those_begun_since(shelf: RunStore) -> None:
    def put(number: int, command: str, *more: str) -> StoredRun:
        # By the clock the later one began first.
        run_id = f"20260301T{20 - number}0000Z-abc123"
        volume = shelf.create(begun_with(run_id=run_id, key=f"key{number}", number=number, command=command))
        with Journal(volume.path, volume.state) as journal:
            for one in (command, *more):
                journal.record_facts("life", {"pid": 1, "at": "t", "in_flight": [], "command": one})
        return read_run(volume.path)

    put(1, "one")
    put(2, "two", "four")
    put(3, "four")
    mine = put(4, "four")
    put(5, "five")

    beside = [
        volume.state.header.place.number
        for volume in shelf.runs_of_same_command(mine)
        if volume.state.header is not None
    ]

    assert beside == [5, 3, 2]


def test_runs_are_thrown_away_once_they_are_older_than_so_many_days(shelf: RunStore, state: Path) -> None:
    for days, end in ((31, "finished"), (31, "abandoned"), (31, None), (29, "finished"), (29, None)):
        moment = NOW - timedelta(days=days, hours=1)
        volume = run(shelf, f"{moment:%Y%m%dT%H%M%SZ}-{days}{end}", end)  # type: ignore[arg-type]  # words of entries
        with InFlightFile(volume.in_flight_path):
            pass

    assert shelf.delete_older(30, now=NOW) == 2
    assert sorted(run_id[17:] for run_id in ids(shelf)) == ["29None", "29finished", "31None"]
    assert shelf.delete_older(30, now=NOW, may_go=lambda _: True) == 1
    assert sorted(run_id[17:] for run_id in ids(shelf)) == ["29None", "29finished"]
    assert len(list((state / "runs").iterdir())) == 4


@pytest.mark.parametrize(("text", "kept"), [("id\n1\n", 1), ("", 0), (None, 0)])
def test_a_run_stays_as_long_as_its_retry_file_has_rows_unless_it_may_go(
    shelf: RunStore, tmp_path: Path, text: str | None, kept: int
) -> None:
    retry_file = tmp_path / "people.retry.csv"
    if text is not None:
        retry_file.write_text(text, encoding="utf-8")
    stored_run = run(shelf, f"{NOW - timedelta(days=40):%Y%m%dT%H%M%SZ}-1")
    with Journal(stored_run.path, stored_run.state) as journal:
        journal.record_facts("retry_file", {"path": str(retry_file)})
        journal.record_facts("finished", {"status": 3, "at": "t", "seconds": 1.0})

    shelf.delete_older(30, now=NOW)
    left = len(ids(shelf))
    shelf.delete_older(30, now=NOW, may_go=lambda _: True)

    assert (left, ids(shelf), retry_file.exists()) == (kept, [], text is not None)


def test_a_run_that_began_when_the_clock_was_behind_stays_as_long_as_the_one_before_it(shelf: RunStore) -> None:
    for number, days in ((1, 40), (2, 2), (3, 400), (4, -5_000), (5, 1)):
        moment = NOW - timedelta(days=days)
        shelf.create(begun_with(run_id=f"{moment:%Y%m%dT%H%M%SZ}-{number}", key=f"key{number}", number=number))

    assert shelf.delete_older(30, now=NOW, may_go=lambda _: True) == 1
    assert sorted(begun.place.number for begun in shelf.headers()) == [2, 3, 4, 5]
    # The one that began when the clock was ahead keeps nothing from going.
    assert shelf.delete_older(0, now=NOW, may_go=lambda _: True) == 3
    assert [begun.place.number for begun in shelf.headers()] == [4]


@pytest.mark.parametrize("days_of_the_first", [-1, -400])
@pytest.mark.parametrize(
    ("runs", "kept"),
    [
        # The first one started when the clock was ahead, the others when it was behind.
        (["1 a b", "2 b"], [1, 2]),
        (["2 a b", "1 b"], [1, 2]),
        (["1 a b", "2 b", "3 b"], [1, 3]),
        (["1 a b", "3 a"], [1, 3]),
        (["1 a b", "2 c"], [1]),
        (["3 a b", "2 a"], [3]),
    ],
)
def test_a_run_stays_with_an_earlier_one_of_its_source_and_the_last_with_one_of_the_source_before_it(
    shelf: RunStore, runs: list[str], kept: list[int], days_of_the_first: int
) -> None:
    for place, words in enumerate(runs):
        number, key, *next_key = words.split()
        moment = NOW - timedelta(days=40 if place else days_of_the_first)
        header = begun_with(run_id=f"{moment:%Y%m%dT%H%M%SZ}-{number}", key=key, number=int(number))
        shelf.create(begun_with(header, next_key="".join(next_key)))

    shelf.delete_older(30, now=NOW, may_go=lambda _: True)

    assert sorted(header.place.number for header in shelf.headers()) == kept


def test_locks_that_nobody_holds_and_no_journal_needs_are_thrown_away(shelf: RunStore, state: Path) -> None:
    run(shelf, f"{NOW:%Y%m%dT%H%M%SZ}-abc123", key="kept")
    for key in ("kept", "killed"):
        (state / "locks" / f"{key}.lock").write_text("process 1, since then\n", encoding="utf-8")

    with shelf.lock("held", since="now", is_temporary=True):
        assert shelf.delete_older(30, now=NOW) == 0
        assert sorted(path.stem for path in (state / "locks").iterdir()) == ["held", "kept"]


def finished(shelf: RunStore) -> StoredRun:
    """Put a finished run with an outcome of each kind on the shelf."""
    volume = shelf.create(BEGUN)
    with Journal(volume.path, volume.state) as journal, InFlightFile(volume.in_flight_path):
        journal.record_facts("life", {"pid": 1, "at": "t", "in_flight": [1, 7]})
        for number in range(1, 50):
            journal.record(sent(number, 2, unsure=number % 10 == 0))
        journal.record_pause(2.5)
        journal.record(sent(50), again=True)
        journal.record(unsettled(51, unsure=True))
        journal.record(failed(51, 5))
        journal.record(rejected(52))
        journal.record_facts("finished", {"status": 3, "at": "t", "seconds": 9.0})
    return read_run(volume.path)


def test_a_compacted_run_tells_the_same_of_itself_and_of_every_row_not_accepted(shelf: RunStore, state: Path) -> None:
    whole = finished(shelf)

    shelf.compact(whole)

    (small,) = shelf.runs()
    assert totals(small.state) == totals(whole.state)
    assert small.state.to_resend.keys() == {50, 51, 52}
    assert small.state.written.size < whole.state.written.size
    assert [path.name for path in (state / "runs").iterdir()] == [whole.path.name]


def test_what_was_noted_after_the_journal_was_read_is_not_lost_in_compacting_it(shelf: RunStore) -> None:
    before = finished(shelf)
    with Journal(before.path, before.state) as journal:
        journal.record(sent(53))
        journal.record(failed(54))

    shelf.compact(before)

    (small,) = shelf.runs()
    assert small.state.counts == before.state.counts + Counts(sent=1, failed=1, not_attempted=-2)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_run_whose_compacting_failed_is_whole_and_compacted_another_time(
    shelf: RunStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    whole = finished(shelf)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else Path, call, fail)
        with pytest.raises(StorageError, match=f"{whole.path}: Input/output error"):
            shelf.compact(whole)

    assert [settled(volume.state) for volume in shelf.runs()] == [settled(whole.state)]
    shelf.compact(whole)
    assert [totals(volume.state) for volume in shelf.runs()] == [totals(whole.state)]


def test_what_a_crash_while_compacting_left_does_no_harm(shelf: RunStore) -> None:
    whole = finished(shelf)
    whole.path.with_suffix(".new").write_bytes(whole.path.read_bytes()[: whole.state.written.size // 2] + b"\0" * 5000)

    assert [settled(volume.state) for volume in shelf.runs()] == [settled(whole.state)]
    assert shelf.interrupted(BEGUN.key) is None
    shelf.compact(whole)

    assert [totals(volume.state) for volume in shelf.runs()] == [totals(whole.state)]
    assert not whole.path.with_suffix(".new").exists()


def test_a_run_is_running_while_its_process_holds_the_lock_of_its_file(shelf: RunStore) -> None:
    volume = shelf.create(BEGUN)
    with Journal(volume.path, volume.state) as journal:
        journal.record_facts("life", {"pid": os.getpid(), "at": "t"})
    volume = read_run(volume.path)

    with shelf.lock(BEGUN.key, since="now"):
        assert (shelf.is_running(volume), shelf.is_busy(volume)) == (True, True)
    with shelf.lock("another file of the service", since="now"):
        assert (shelf.is_running(volume), shelf.is_busy(volume)) == (False, False)


def test_a_run_of_a_process_that_died_is_not_running_though_another_holds_the_lock(shelf: RunStore) -> None:
    volume = shelf.create(BEGUN)
    with Journal(volume.path, volume.state) as journal:
        journal.record_facts("life", {"pid": 1, "at": "t"})

    with shelf.lock(BEGUN.key, since="now"):
        assert not shelf.is_running(read_run(volume.path))
        assert shelf.is_busy(volume)


@pytest.mark.parametrize("days", [100_000, 400_000, 739_000, 999_999_999, 999_999_999_999])
def test_no_run_is_older_than_a_thousand_years(shelf: RunStore, days: int) -> None:
    run(shelf, "20260101T000000Z-a", "finished")

    assert (shelf.delete_older(days, now=NOW, may_go=lambda _: True), len(ids(shelf))) == (0, 1)
