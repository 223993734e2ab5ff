"""Rows that wait come back whole and in order, and leave nothing behind."""

import datetime as dt
import os
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import request
from uploader.coalesce.spill_to_disk import SpilledRows
from uploader.errors import StorageError
from uploader.model import Request


def spilled(number: int, **fields: object) -> Request:
    return request(number, "id=a", fields=fields, line=number + 1, text="as written")


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60))
def test_what_is_taken_is_what_was_kept_of_the_group_since_it_was_last_taken(steps: list[tuple[int, bool]]) -> None:
    kept: dict[int, list[Request]] = {}

    with SpilledRows(Path(tempfile.gettempdir())) as room:
        for number, (group, takes) in enumerate(steps):
            if takes:
                assert room.take(group) == kept.pop(group, [])
            else:
                room.keep(group, spilled(number))
                kept.setdefault(group, []).append(spilled(number))
            assert sorted(room.groups()) == sorted(kept)


def test_values_of_every_kind_come_back_as_they_were(tmp_path: Path) -> None:
    fields = {"born": dt.date(1990, 1, 2), "price": Decimal("12.50"), "raw": b"\0", "tags": ["a", None], "no": "\ud800"}

    with SpilledRows(tmp_path) as room:
        room.keep(1, spilled(1, **fields))

        assert room.take(1) == [spilled(1, **fields)]


def test_nothing_lies_in_the_folder_while_rows_wait_or_afterwards(tmp_path: Path) -> None:
    with SpilledRows(tmp_path) as room:
        room.keep(1, spilled(1))
        assert list(tmp_path.iterdir()) == []

    assert list(tmp_path.iterdir()) == []


def test_who_has_nothing_to_keep_needs_no_file(tmp_path: Path) -> None:
    with SpilledRows(tmp_path / "missing") as room:
        assert room.take(1) == []


def test_a_folder_that_takes_no_file_ends_the_run_with_its_name(tmp_path: Path) -> None:
    with SpilledRows(tmp_path / "missing") as room, pytest.raises(StorageError, match=r"missing: .*\(No such file"):
        room.keep(1, spilled(1))


def test_a_full_disk_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: 3)

    with SpilledRows(tmp_path) as room, pytest.raises(StorageError, match="the disk is full"):
        room.keep(1, spilled(1))


def test_a_file_that_can_not_be_read_back_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with SpilledRows(tmp_path) as room:
        room.keep(1, spilled(1))
        monkeypatch.setattr(os, "pread", broken)

        with pytest.raises(StorageError, match="Input/output error"):
            room.take(1)
