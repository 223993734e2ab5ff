"""Know which rows were in flight when a process died."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.errors import StorageError
from uploader.state import InFlightFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.flight"


def rows(path: Path) -> set[int]:
    with InFlightFile(path) as flight:
        return flight.rows()


def test_rows_that_took_off_and_did_not_land_are_told_to_the_next_life(path: Path) -> None:
    with InFlightFile(path) as flight:
        for row in (5, 6, 7):
            flight.mark(row)
        flight.clear(6)

    assert rows(path) == {5, 7}


def test_the_place_of_a_row_that_landed_goes_to_the_next_row(path: Path) -> None:
    with InFlightFile(path) as flight:
        for row in range(1, 1001):
            flight.mark(row)
            flight.mark(row + 10_000)
            flight.release(row)
            flight.release(row + 10_000)

    assert rows(path) == {1_000, 11_000}


def test_a_row_that_takes_off_again_keeps_its_one_place(path: Path) -> None:
    with InFlightFile(path) as flight:
        flight.mark(5)
        flight.mark(5)
        assert 5 in flight
        assert rows(path) == {5}
        flight.clear(5)
        assert 5 not in flight

    assert rows(path) == set()


def test_any_number_of_rows_may_be_in_flight(path: Path) -> None:
    many = set(range(1, 3_000))
    with InFlightFile(path) as flight:
        for row in many:
            flight.mark(row)

        # Not when it is closed: who is killed closes nothing.
        assert rows(path) == many


def test_rows_of_an_earlier_life_are_overwritten_only_one_by_one(path: Path) -> None:
    with InFlightFile(path) as flight:
        for row in range(1, 1_001):
            flight.mark(row)

    with InFlightFile(path) as flight:
        flight.mark(5_000)
        assert rows(path) == {5_000, *range(2, 1_001)}


def test_a_row_that_never_took_off_may_land_and_turn_back(path: Path) -> None:
    with InFlightFile(path) as flight:
        flight.release(1)
        flight.clear(2)

    assert rows(path) == set()
    assert path.stat().st_size == 0


def test_the_rows_of_an_earlier_life_stay_until_they_are_forgotten(path: Path) -> None:
    with InFlightFile(path) as flight:
        flight.mark(5)

    assert rows(path) == {5}
    assert rows(path) == {5}
    with InFlightFile(path) as flight:
        flight.clear_all()
    assert rows(path) == set()


@pytest.mark.parametrize("torn", range(1, 8))
def test_a_torn_place_is_passed_over(path: Path, torn: int) -> None:
    path.write_bytes((9).to_bytes(8, "little") + bytes([255] * torn))

    assert rows(path) == {9}


@given(moves=st.lists(st.tuples(st.sampled_from(["off", "land", "back"]), st.integers(1, 9)), max_size=40))
def test_whatever_the_moves_each_row_in_flight_is_in_the_file(
    moves: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("flight") / "run.flight"
    flying = set[int]()
    with InFlightFile(path) as flight:
        for move, row in moves:
            match move:
                case "off":
                    flight.mark(row)
                    flying.add(row)
                case "land":
                    flight.release(row)
                    flying.discard(row)
                case _:
                    flight.clear(row)
                    flying.discard(row)

    assert rows(path) >= flying


@pytest.mark.parametrize(
    ("fails", "words"), [(OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"), (None, "No space left")]
)
def test_a_place_that_can_not_be_written_whole_stops_the_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, fails: OSError | None, words: str
) -> None:
    def pwrite(_: int, data: bytes, __: int) -> int:
        if fails is not None:
            raise fails
        return len(data) - 1

    with InFlightFile(path) as flight:
        monkeypatch.setattr(os, "pwrite", pwrite)
        with pytest.raises(StorageError, match=f"{path}: {words}"):
            flight.mark(1)


def test_a_planted_link_is_refused(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path.symlink_to(victim)

    with pytest.raises(StorageError, match="is a symbolic link, which is not followed"):
        InFlightFile(path)
    assert victim.read_bytes() == b"precious"
