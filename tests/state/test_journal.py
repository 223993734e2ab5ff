"""Append what became of every row; after the first trouble, nothing more."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.make import BEGUN, begin, failed, rejected, sent, settled, unsettled
from uploader.errors import StorageError
from uploader.state import Journal, StoredRun, read_run

FULL = "the disk is full. Make room there, then run again to resume."


@pytest.fixture
def volume(tmp_path: Path) -> StoredRun:
    return begin(tmp_path / "run.journal")


def raising(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def test_what_is_noted_is_in_the_file_at_once(volume: StoredRun) -> None:
    with Journal(volume.path, volume.state) as journal:
        journal.record(sent(1))
        assert settled(read_run(volume.path).state) == [1]
        journal.record(failed(2))
        journal.record(rejected(3))
        journal.record(unsettled(4))
        assert settled(read_run(volume.path).state) == [1, 2, 3]


def test_a_journal_that_is_opened_again_goes_on_where_it_ended(volume: StoredRun) -> None:
    for number in (1, 2, 3):
        found = read_run(volume.path)
        with Journal(found.path, found.state) as journal:
            journal.record(sent(number))

    assert settled(read_run(volume.path).state) == [1, 2, 3]
    assert read_run(volume.path).state.header == BEGUN


def test_each_line_is_one_write(volume: StoredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = os.write

    def noted(handle: int, data: bytes) -> int:
        written.append(data)
        return write(handle, data)

    with Journal(volume.path, volume.state) as journal, monkeypatch.context() as patch:
        patch.setattr(os, "write", noted)
        journal.record(sent(1))
        journal.record_pause(1.5)
        journal.record_facts("stopped", {"status": 6, "at": "t"})

    assert [line[9:] for line in written] == [b"s 1 1\n", b"h 1.500\n", b'p {"status":6,"at":"t"}\n']


def test_a_journal_awaits_a_sync_from_its_first_write_to_the_sync(volume: StoredRun) -> None:
    with Journal(volume.path, volume.state) as journal:
        found = [journal.is_dirty]
        journal.record(sent(1))
        found.append(journal.is_dirty)
        journal.sync()
        found.append(journal.is_dirty)

    assert found == [False, True, False]


@pytest.mark.parametrize("taken", [0, 1, 14])
def test_a_short_write_is_a_full_disk(volume: StoredRun, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    write = os.write
    with Journal(volume.path, volume.state) as journal:
        journal.record(sent(1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda handle, data: write(handle, data[:taken]))
            with pytest.raises(StorageError) as stopped:
                journal.record(sent(2))

    assert str(stopped.value) == f"{volume.path}: {FULL}"
    assert settled(read_run(volume.path).state) == [1]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EDQUOT])
def test_a_write_that_fails_stops_the_run(volume: StoredRun, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    with Journal(volume.path, volume.state) as journal, monkeypatch.context() as patch:
        patch.setattr(os, "write", raising(number))
        with pytest.raises(StorageError) as stopped:
            journal.record(sent(1))

    assert stopped.value.exit_status == 7
    assert str(stopped.value) == (
        f"{volume.path}: {os.strerror(number)}. Make room or allow access there, then run again to resume."
    )


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_after_the_first_trouble_nothing_more_is_written_or_synced(
    volume: StoredRun, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    with Journal(volume.path, volume.state) as journal:
        journal.record(sent(1))
        with monkeypatch.context() as patch:
            patch.setattr(os, call, raising(errno.EIO))
            with pytest.raises(StorageError) as first:
                journal.record(sent(2)) if call == "write" else journal.sync()
        size = volume.path.stat().st_size

        others: list[Callable[[], None]] = [
            lambda: journal.record(sent(3)),
            lambda: journal.record_pause(1),
            lambda: journal.record_facts("stopped", {}),
            journal.sync,
        ]
        for again in others:
            with pytest.raises(StorageError) as later:
                again()
            assert later.value is first.value

    assert volume.path.stat().st_size == size
    assert settled(read_run(volume.path).state) == [1]


def test_a_row_that_could_not_be_noted_can_be_noted_by_the_next_life(
    volume: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with Journal(volume.path, volume.state) as journal, monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, data: write(handle, data[:-1]))
        with pytest.raises(StorageError):
            journal.record(sent(1))

    found = read_run(volume.path)
    with Journal(found.path, found.state) as journal:
        journal.record(sent(1))

    after = read_run(volume.path)
    assert settled(after.state) == [1]
    assert after.state.written.size == volume.path.stat().st_size


def test_a_journal_that_can_not_be_cut_where_its_whole_lines_end_is_not_written(
    volume: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    with volume.path.open("ab") as file:
        file.write(b"torn")
    monkeypatch.setattr(os, "ftruncate", raising(errno.EIO))

    with pytest.raises(StorageError, match=f"{volume.path}: Input/output error"):
        Journal(volume.path, volume.state)


def test_a_folder_that_can_not_be_synced_stops_the_run(volume: StoredRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", raising(errno.EIO))

    with pytest.raises(StorageError, match=f"{volume.path.parent}: Input/output error"):
        Journal(volume.path, volume.state).__enter__()
