"""Number the runs of a state folder: each number is given once, and the later run has the greater one."""

import errno
import fcntl
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.make import BEGUN, begun_with
from uploader.errors import LockedError, StorageError
from uploader.model import number_of_old
from uploader.state import RunStore, run_numbers


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def last(state: Path) -> Path:
    return state / "numbers" / "last"


def begin(shelf: RunStore, number: int, run_id: str = BEGUN.run_id) -> None:
    shelf.create(begun_with(run_id=run_id, key=f"key{number}", number=number, state=shelf.state_id))


def test_numbers_go_up_from_one_also_in_the_next_process(state: Path) -> None:
    taken = [list(RunStore(state).next_numbers(count)) for count in (1, 3, 0, 2)]

    assert taken == [[1], [2, 3, 4], [], [5, 6]]


def test_two_who_take_numbers_at_once_never_get_the_same(state: Path) -> None:
    RunStore(state)
    with ThreadPoolExecutor(8) as threads:
        taken = [
            number for found in threads.map(lambda _: RunStore(state).next_numbers(2), range(40)) for number in found
        ]

    assert sorted(taken) == list(range(1, 81))


def test_the_id_of_a_state_folder_stays_and_no_other_has_it(state: Path, tmp_path: Path) -> None:
    first = RunStore(state).state_id
    RunStore(state).next_numbers(3)

    assert re.fullmatch("[0-9a-f]{8}", first)
    assert RunStore(state).state_id == first
    assert RunStore(tmp_path / "other").state_id != first


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\0" * 40,
        b"[]\n",
        b'{"state": "12345678", "last": 9',
        b'{"state": "../../..", "last": 9}\n',
        b'{"state": "12345678", "last": -1}\n',
        b'{"state": 12345678, "last": 9}\n',
    ],
)
def test_what_is_lost_or_damaged_is_made_good_from_the_runs(state: Path, content: bytes | None) -> None:
    shelf = RunStore(state)
    known = shelf.state_id
    shelf.next_numbers(9)
    # The one with the greatest number has neither the greatest name nor the latest time.
    for number, run_id in ((7, "20250101T000000Z-abc123"), (5, "20270101T000000Z-abc123"), (0, "20280101T000000Z-a")):
        begin(shelf, number, run_id)

    last(state).unlink()
    if content is not None:
        last(state).write_bytes(content)

    assert (list(RunStore(state).next_numbers(2)), RunStore(state).state_id) == ([8, 9], known)


def test_a_state_of_an_earlier_version_begins_to_number_and_its_runs_are_the_older_ones(state: Path) -> None:
    shelf = RunStore(state)
    for run_id in ("20990101T000000Z-000001ff", "20990101T000000Z-000002aa"):
        shelf.create(replace(BEGUN, run_id=run_id, key=run_id[-2:]))

    (number,) = shelf.next_numbers(1)
    begin(shelf, number)

    order = [volume.state.header.order for volume in shelf.runs() if volume.state.header is not None]
    assert order == [1, number_of_old("20990101T000000Z-000002aa"), number_of_old("20990101T000000Z-000001ff")]


def test_a_number_that_could_not_be_noted_is_not_given(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = RunStore(state)
    shelf.next_numbers(1)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StorageError, match="No space left on device"):
            shelf.next_numbers(1)

    assert sorted(path.name for path in (state / "numbers").iterdir()) == ["last", "lock"]
    assert list(shelf.next_numbers(1)) == [2]


def test_what_a_crash_left_beside_the_numbers_does_no_harm(state: Path) -> None:
    shelf = RunStore(state)
    shelf.next_numbers(1)
    last(state).with_suffix(".new").write_bytes(b'{"sta')

    assert list(shelf.next_numbers(1)) == [2]


def test_a_process_that_was_stopped_with_the_lock_keeps_nobody_waiting_for_ever(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = RunStore(state)
    shelf.next_numbers(1)
    monkeypatch.setattr(run_numbers, "_PATIENCE_SECONDS", 0.0)

    with (state / "numbers" / "lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LockedError, match="is locked by another run, which may be stopped"):
            shelf.next_numbers(1)

    assert list(shelf.next_numbers(1)) == [2]


@pytest.mark.parametrize("name", ["last", "lock"])
def test_a_link_in_the_place_of_the_numbers_is_refused(state: Path, tmp_path: Path, name: str) -> None:
    shelf = RunStore(state)
    shelf.next_numbers(1)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (state / "numbers" / name).unlink()
    (state / "numbers" / name).symlink_to(victim)

    with pytest.raises(StorageError, match="is a symbolic link"):
        shelf.next_numbers(1)

    assert victim.read_bytes() == b"precious"
