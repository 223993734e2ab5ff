"""A reading that follows another one hands on only what that one read."""

import os
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import opened
from uploader.errors import ChangedError
from uploader.model import Record, Row
from uploader.source import ReadTrace, byte_stream, parquet_records
from uploader.source.byte_stream import ByteStream, SourceLocation

BLOCK = 4


def _followed(path: Path, trail: ReadTrace) -> Iterator[bytes]:
    with ByteStream(SourceLocation(path, "people.csv"), follows=trail) as reading:
        yield from reading.blocks()


def _trail(path: Path) -> ReadTrace:
    with ByteStream(SourceLocation(path, "people.csv")) as reading:
        for _ in reading.blocks():
            pass
        return reading.trace


@given(
    before=st.binary(min_size=1, max_size=40),
    at=st.integers(0, 45),
    new=st.binary(max_size=12),
    cut=st.one_of(st.none(), st.integers(0, 40)),
    when=st.integers(0, 10),
    keeps_time=st.booleans(),
)
def test_whenever_a_file_is_changed_only_bytes_that_were_read_before_are_handed_on(  # noqa: PLR0913 — one change
    *, before: bytes, at: int, new: bytes, cut: int | None, when: int, keeps_time: bool
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_stream, "BLOCK", BLOCK)
        path = Path(folder) / "people.csv"
        path.write_bytes(before)
        found = path.stat()
        trail = _trail(path)
        handed_on = b""
        blocks = _followed(path, trail)

        try:
            for number, block in enumerate(blocks):
                handed_on += block
                if number == when:
                    with path.open("r+b") as file:
                        file.seek(at)
                        file.write(new)
                    if cut is not None:
                        os.truncate(path, cut)
                    if keeps_time:
                        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        except ChangedError:
            assert before.startswith(handed_on)
        else:
            assert handed_on == before


def test_a_file_that_is_as_it_was_is_handed_on_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_stream, "BLOCK", BLOCK)
    path = tmp_path / "people.csv"
    path.write_bytes(b"0123456789")

    assert b"".join(_followed(path, _trail(path))) == b"0123456789"


def test_a_file_that_is_only_touched_is_not_handed_on(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"0123456789")
    trail = _trail(path)
    os.utime(path, ns=(1, 1))

    with pytest.raises(ChangedError) as changed:
        next(_followed(path, trail))

    assert str(changed.value) == ("people.csv changed after it was checked. Run again with the file as it is now.")


def _parquet(columns: Mapping[str, Sequence[object]]) -> bytes:
    file = BytesIO()
    pl.DataFrame(columns).write_parquet(file, row_group_size=2, compression="uncompressed", statistics=False)
    return file.getvalue()


IDS = ["1", "2", "3", "4", "5"]
CHECKED = {"id": IDS, "a": ["x", "y", "z", "v", "w"], "b": ["q", "r", "s", "t", "u"]}


def _read(path: Path, follows: ReadTrace | None, rows: list[Record]) -> ReadTrace | None:
    with opened(path) as source:
        reading = source.read(follows)
        rows.extend(reading)
        return reading.trace


@pytest.mark.parametrize(
    "other",
    [
        {**CHECKED, "a": ["x", "y", "z", "v", "W"]},
        {**CHECKED, "a": CHECKED["b"], "b": CHECKED["a"]},
        {**CHECKED, "id": ["1", "2", "3", "5", "4"]},
        {"id": IDS, "b": CHECKED["a"], "a": CHECKED["b"]},
    ],
    ids=["another value", "swapped values", "swapped rows", "swapped names"],
)
def test_a_row_of_a_parquet_that_was_not_checked_is_not_handed_on_though_its_size_and_time_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: Mapping[str, Sequence[object]]
) -> None:
    monkeypatch.setattr(parquet_records, "_BATCH", 2)
    path = tmp_path / "people.parquet"
    path.write_bytes(_parquet(CHECKED))
    found = path.stat()
    checked: list[Record] = []
    trail = _read(path, None, checked)
    path.write_bytes(_parquet(other))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert path.stat().st_size == found.st_size
    rows: list[Record] = []

    with pytest.raises(ChangedError):
        _read(path, trail, rows)

    assert rows == checked[: len(rows)]


def test_a_parquet_that_is_as_it_was_is_handed_on_whole_however_polars_cuts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_records, "_BATCH", 3)
    path = tmp_path / "people.parquet"
    path.write_bytes(_parquet(CHECKED))
    rows: list[Record] = []

    _read(path, _read(path, None, []), rows)

    assert [row.fields["id"] for row in rows if isinstance(row, Row)] == IDS
