"""The retry file of a continued run is made anew from what the journal knows, in the place of what a crash left."""

import os
import stat
from pathlib import Path

import pytest

from uploader.errors import StorageError
from uploader.model import Row
from uploader.outputs.retry_file import RetryFile, RetryFormat, RetryRemark

SHAPE = RetryFormat("csv", ("id", "name"))
FAILED = RetryRemark("failed", "50000", "trouble", 5)
AGAIN = RetryRemark("again", "", "after that", 1)
HEADER = b"id,name,_row,_kind,_code,_reason,_attempts\r\n"
FIRST = b"1,Kim,1,failed,50000,trouble,5\r\n"
SECOND = b"2,Lee,2,again,,after that,1\r\n"
THIRD = b"3,Cho,3,failed,50000,trouble,5\r\n"


def row(number: int) -> Row:
    return Row(number, {"id": str(number), "name": ("Kim", "Lee", "Cho")[number - 1]}, number + 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.retry.csv"


def files(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir())


@pytest.mark.parametrize(
    "left",
    [
        HEADER + FIRST,
        HEADER + FIRST + SECOND,
        HEADER + FIRST + b"2,Le",
        HEADER + FIRST + b"9,never settled,9,failed,50000,trouble,5\r\n",
        HEADER[:7],
        b"",
        None,
    ],
)
def test_what_an_earlier_life_left_is_replaced_by_what_it_owes(path: Path, left: bytes | None) -> None:
    if left is not None:
        path.write_bytes(left)

    with RetryFile(path, SHAPE) as retry:
        retry.rebuild(row(1), FAILED)
        retry.rebuild(row(2), AGAIN)
        retry.put_in_place(path)
        retry.write(row(3), FAILED)

    assert (path.read_bytes(), retry.path) == (HEADER + FIRST + SECOND + THIRD, path)
    assert files(path) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_an_earlier_life_left_stands_until_the_new_one_is_whole(path: Path) -> None:
    path.write_bytes(HEADER + FIRST)

    with RetryFile(path, SHAPE) as retry:
        retry.rebuild(row(1), FAILED)
        assert path.read_bytes() == HEADER + FIRST

    assert (files(path), path.read_bytes()) == ([path.name], HEADER + FIRST)


def test_what_was_rebuilt_for_nothing_is_thrown_away(path: Path) -> None:
    with RetryFile(path, SHAPE) as retry:
        retry.rebuild(row(1), FAILED)
        retry.discard()

        assert (files(path), retry.path) == ([], None)
        retry.write(row(2), AGAIN)

    assert path.read_bytes() == HEADER + SECOND


def test_a_file_that_nothing_is_owed_in_goes(path: Path) -> None:
    path.write_bytes(HEADER[:9])

    with RetryFile(path, SHAPE) as retry:
        retry.put_in_place(path)

    assert (files(path), retry.path) == ([], None)


def test_rows_that_an_earlier_life_could_not_write_get_a_file_of_their_own(path: Path) -> None:
    path.write_bytes(b"somebody else's")
    noted: list[Path] = []

    with RetryFile(path, SHAPE) as retry:
        retry.call_before_created(noted.append)
        retry.rebuild(row(1), FAILED)
        retry.put_in_place(None)

    mine = path.with_name("people.retry.2.csv")
    assert (noted, retry.path) == ([mine], mine)
    assert (path.read_bytes(), mine.read_bytes()) == (b"somebody else's", HEADER + FIRST)


def test_a_path_is_announced_before_the_file_is_made_and_once(path: Path) -> None:
    noted: list[tuple[Path, bool]] = []

    with RetryFile(path, SHAPE) as retry:
        retry.call_before_created(lambda wanted: noted.append((wanted, wanted.exists())))
        assert noted == []
        retry.write(row(1), FAILED)
        retry.write(row(2), AGAIN)

    assert noted == [(path, False)]


def test_a_path_that_can_not_be_announced_makes_no_file(path: Path) -> None:
    def fail(_: Path) -> None:
        raise StorageError("the disk is full")

    with RetryFile(path, SHAPE) as retry:
        retry.call_before_created(fail)
        with pytest.raises(StorageError, match="the disk is full"):
            retry.write(row(1), FAILED)

    assert files(path) == []


def test_a_planted_link_is_not_written_through(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    path.with_name(f".{path.name}.{os.getpid()}.new").symlink_to(target)

    with RetryFile(path, SHAPE) as retry, pytest.raises(StorageError):
        retry.rebuild(row(1), FAILED)

    assert target.read_bytes() == b"precious"


def test_a_rebuilt_file_in_utf_16_has_one_byte_order_mark(path: Path) -> None:
    with RetryFile(path, RetryFormat("csv", ("id", "name"), encoding="utf-16")) as retry:
        retry.rebuild(row(1), FAILED)
        retry.put_in_place(path)
        retry.write(row(2), AGAIN)

    written = path.read_bytes()
    assert written.decode("utf-16") == (HEADER + FIRST + SECOND).decode()
    assert written[2:].count(written[:2]) == 0


def test_what_is_left_of_dead_processes_is_cleared_away(path: Path) -> None:
    dead = path.with_name(f".{path.name}.{2**22 + 1}.new")
    dead.write_bytes(HEADER + FIRST)

    with RetryFile(path, SHAPE):
        pass

    assert files(path) == []
