"""What holds for every CSV: nothing is altered, and nothing is lost in silence."""

import csv
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from uploader.errors import InputError
from uploader.model import Damaged, Record, Row
from uploader.source import open_source

TEXT = st.text(st.sampled_from("ab0 ,;'\"\n\r가é😀{\u2028\x85\t"), max_size=6)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(TEXT, min_size=width, max_size=width), max_size=6).map(
        lambda rows: [[f"c{at}" for at in range(width)], *rows]
    )
)
BLOCKS = st.integers(1, 40)


@contextmanager
def read_by(block: int) -> Iterator[None]:
    with mock.patch("uploader.source.byte_stream.BLOCK", block):
        yield


def records(content: bytes) -> list[Record]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.csv"
        path.write_bytes(content)
        with open_source(str(path), format="csv", encoding="utf-8", delimiter=",") as source:
            return list(source.read())


@given(
    table=TABLES,
    block=BLOCKS,
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quote_all=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_table_that_csv_writes_reads_back_equal(
    table: list[list[str]], block: int, end: str, *, quote_all: bool, encoding: str
) -> None:
    written = io.StringIO(newline="")
    # Minimal quoting leaves a \r bare that is not part of the line end: no reader could tell it from one.
    quote_all = quote_all or end != "\r\n"
    csv.writer(written, lineterminator=end, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL).writerows(table)

    with read_by(block):
        found = records(written.getvalue().encode(encoding))

    header, *rows = table
    assert [(row.number, row.fields) for row in found if isinstance(row, Row)] == [
        (number, dict(zip(header, row, strict=True))) for number, row in enumerate(rows, 1)
    ]


@given(
    TABLES,
    BLOCKS,
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from([b"", b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"x"]))),
)
def test_a_mutilated_file_never_differs_in_silence_from_what_csv_reads(
    table: list[list[str]], block: int, changes: list[tuple[int, bytes]]
) -> None:
    written = io.StringIO(newline="")
    csv.writer(written).writerows(table)
    content = written.getvalue().encode()
    for at, new in changes:
        content = content[:at] + new + content[at + 1 :]

    try:
        with read_by(block):
            found = records(content)
    except InputError:
        return

    header, *expected = oracle(content)
    assert header is not None
    assert len(found) == len(expected)
    for record, fields in zip(found, expected, strict=True):
        assert is_told(record, header, fields)


def oracle(content: bytes) -> list[list[str] | None]:
    """Return what csv.reader makes of *content*, without blank lines; None where it complains."""
    reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    found: list[list[str] | None] = []
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return found
        except csv.Error:
            found.append(None)
        else:
            found += [fields] if fields else []


def is_told(record: Record, header: list[str], fields: list[str] | None) -> bool:
    if isinstance(record, Row):
        return fields is not None and record.fields == dict(zip(header, fields, strict=True))
    if fields is None:
        return record.reason.code == "quotes"
    code = "fields" if len(fields) != len(header) else "nul"
    return record.reason.code == code and text_says(record, fields)


def text_says(record: Damaged, fields: list[str]) -> bool:
    return next(csv.reader(io.StringIO(record.text, newline=""), strict=True)) == fields
