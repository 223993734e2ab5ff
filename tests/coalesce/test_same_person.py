"""Which rows are one person's, and which of them need a tie for it."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.coalesce.same_person import SamePerson
from uploader.errors import StorageError
from uploader.model import Person

FOLDER = Path(tempfile.gettempdir())
IN_MEMORY = {"most_hashes": 1 << 20, "most_numbers": 1 << 20, "batch": 1 << 10}
ON_DISK = {"most_hashes": 64, "most_numbers": 0, "batch": 4}

_PERSON: st.SearchStrategy[Person] = st.dictionaries(
    st.sampled_from(["external_id", "email", "phone_no"]), st.sampled_from("abcdefgh"), max_size=3
).map(lambda names: tuple(f"{field}={value}" for field, value in names.items()))
_ROWS = st.lists(_PERSON, max_size=40)


def tied(rows: Sequence[Person], *, at_once: int = 1, **sizes: int) -> list[list[int]]:
    """Return the rows that have the same tie, of each tie that a row of *rows* has; they are added *at_once*."""
    with SamePerson(FOLDER, **sizes) as ties:
        if at_once > 1:
            for first in range(0, len(rows), at_once):
                ties.add_people(rows[first : first + at_once])
        else:
            for person in rows:
                ties.add_row(person)
        ties.unite()
        ties.keep_indirect()
    found: dict[str, list[int]] = {}
    for number in range(1, len(rows) + 1):
        tie = ties.person_key(number)
        if tie is not None:
            found.setdefault(tie, []).append(number)
    assert all(ties.rows_with(tie) == len(numbers) for tie, numbers in found.items())
    assert ties.is_empty is not bool(found)
    return sorted(found.values())


def people(rows: Sequence[Person]) -> list[set[int]]:
    """Return the rows of each person, by comparing every row with every other one."""
    found: list[set[int]] = []
    for number, person in enumerate(rows, start=1):
        joined = [one for one in found if any({*rows[other - 1]} & {*person} for other in one)]
        found = [one for one in found if one not in joined] + [{number}.union(*joined)]
    return found


def expected(rows: Sequence[Person]) -> list[list[int]]:
    """Return the rows of each person who has two of them, and no value that stands in all of them."""
    return sorted(
        sorted(one) for one in people(rows) if len(one) > 1 and not set.intersection(*({*rows[row - 1]} for row in one))
    )


@given(_ROWS, st.integers(2, 9), st.sampled_from([IN_MEMORY, ON_DISK]))
def test_rows_have_the_same_ties_when_many_are_added_at_once(
    rows: list[Person], at_once: int, sizes: dict[str, int]
) -> None:
    assert tied(rows, at_once=at_once, **sizes) == tied(rows, **sizes)


@given(_ROWS)
def test_rows_of_one_person_have_a_tie_where_no_value_stands_in_all_of_them(rows: list[Person]) -> None:
    assert tied(rows, **IN_MEMORY) == expected(rows)


@given(_ROWS)
def test_on_the_disk_it_is_the_same(rows: list[Person]) -> None:
    assert tied(rows, **ON_DISK) == expected(rows)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_row_that_joins_two_others_may_stand_anywhere(place: int) -> None:
    rows: list[Person] = [("external_id=a",), ("email=x",)]
    rows.insert(place, ("external_id=a", "email=x"))

    assert tied(rows) == [[1, 2, 3]]


def test_a_long_chain_is_one_person() -> None:
    rows: list[Person] = [(f"external_id={number}", f"email={number + 1}") for number in range(0, 2_000, 2)]
    rows += [(f"external_id={number + 2}", f"email={number + 1}") for number in range(0, 2_000, 2)]

    assert tied(rows) == [[*range(1, 2_001)]]


def test_where_no_value_comes_again_nothing_is_kept() -> None:
    with SamePerson(FOLDER) as ties:
        for number in range(1, 2_001):
            ties.add_row((f"external_id={number}", f"email={number}"))
        ties.unite()
        ties.keep_indirect()

        assert (ties.is_empty, ties.person_key(7)) == (True, None)


def test_nothing_lies_in_the_folder_while_values_are_on_the_disk(tmp_path: Path) -> None:
    with SamePerson(tmp_path, **ON_DISK) as ties:
        for number in range(1, 41):
            ties.add_row((f"external_id={number % 20}", f"email={number}"))
        assert list(tmp_path.iterdir()) == []
        ties.unite()
        assert list(tmp_path.iterdir()) == []


def filled(ties: SamePerson) -> None:
    """Note rows in *ties*, and join them."""
    for number in range(1, 41):
        ties.add_row((f"external_id={number % 20}", f"email={number}"))
    ties.unite()


@pytest.mark.parametrize("sizes", [{**IN_MEMORY, "most_hashes": 64, "batch": 4}, {**IN_MEMORY, "most_numbers": 0}])
def test_a_folder_that_takes_no_file_ends_the_run_with_its_name(tmp_path: Path, sizes: dict[str, int]) -> None:
    with (
        SamePerson(tmp_path / "missing", **sizes) as ties,
        pytest.raises(StorageError, match=r"missing: .*\(No such file"),
    ):
        filled(ties)


def test_a_disk_that_is_full_when_values_are_noted_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: 3)

    with SamePerson(tmp_path, **ON_DISK) as ties, pytest.raises(StorageError, match="the disk is full"):
        filled(ties)


def test_a_disk_without_room_for_the_rows_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)

    with SamePerson(tmp_path, **ON_DISK) as ties, pytest.raises(StorageError, match="No space left on device"):
        filled(ties)


def test_values_that_can_not_be_read_back_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", broken)

    with SamePerson(tmp_path, **ON_DISK) as ties, pytest.raises(StorageError, match="Input/output error"):
        filled(ties)
