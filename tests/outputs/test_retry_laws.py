"""What holds for every row: what a retry file is given is what the source reads from it."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from hypothesis import example, given
from hypothesis import strategies as st

from uploader.model import Damaged, Json, Reason, Record, Row
from uploader.outputs.retry_file import RetryFile, RetryFormat, RetryRemark
from uploader.source import open_source

REASON = Reason("fields", "the record has 1 field where the header has 2")
REMARK = RetryRemark("failed", "50000", 'a "reason", with\tall | of; them', 3)
ADDED = {"_kind": "failed", "_code": "50000", "_reason": REMARK.reason}
COLUMNS = ("id", "na,me", "김 '\"")

KOREAN = st.text(st.sampled_from("ab0 ,;|'\"\n\r\t{}[]\\김한"), max_size=6)
TEXT = st.text(st.sampled_from("ab0 ,;|'\"\n\r\t{}[]\\김é😀\u2028\x85\x1f\ufeff"), max_size=6)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp949", "iso2022_kr"])


def kept(records: list[Record], shape: RetryFormat) -> list[Record]:
    with tempfile.TemporaryDirectory() as folder:
        with RetryFile(Path(folder) / "people.retry", shape) as retry:
            for record in records:
                retry.write(record, REMARK)
        with open_source(
            str(retry.path), format=shape.format, encoding=shape.encoding, delimiter=shape.delimiter
        ) as source:
            assert source.is_retry
            return list(source.read())


@given(
    cells=st.lists(st.tuples(KOREAN, KOREAN, KOREAN), min_size=1, max_size=5),
    encoding=ENCODINGS,
    delimiter=st.sampled_from(",;\t|"),
    damaged=KOREAN.filter(bool),
    raw=st.booleans(),
)
def test_every_csv_row_is_read_back_equal(
    cells: list[tuple[str, str, str]], encoding: str, delimiter: str, damaged: str, *, raw: bool
) -> None:
    rows: list[Record] = [
        Row(number, dict(zip(COLUMNS, values, strict=True))) for number, values in enumerate(cells, 5)
    ]
    last: list[Record] = [Damaged(99, REASON, 1, damaged)] if raw else []

    found = kept([*rows, *last], RetryFormat("csv", COLUMNS, delimiter, encoding, raw))

    more = {"_raw": ""} if raw else {}
    assert [record.fields for record in found if isinstance(record, Row)] == [
        {**row.fields, "_row": str(row.number), **ADDED, "_attempts": "3", **more}
        for row in rows
        if isinstance(row, Row)
    ]
    assert [record.text for record in found if isinstance(record, Damaged)] == [damaged] * raw


VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=4)


@given(objects=st.lists(OBJECTS, min_size=1, max_size=5), encoding=ENCODINGS)
@example(objects=[{"": "김\x85"}, {"": "김"}], encoding="iso2022_kr")
def test_every_json_value_is_read_back_equal(objects: list[dict[str, Json]], encoding: str) -> None:
    rows: list[Record] = [Row(number, fields) for number, fields in enumerate(objects, 5)]

    found = kept(rows, RetryFormat("jsonl", encoding=encoding))

    assert [repr(fields_of(record)) for record in found] == [
        repr(
            {
                **{name: value for name, value in fields.items() if value is not None},
                "_row": number,
                **ADDED,
                "_attempts": 3,
            }
        )
        for number, fields in enumerate(objects, 5)
    ]


@given(objects=st.lists(OBJECTS, min_size=1, max_size=4), encoding=ENCODINGS, times=st.integers(2, 3))
def test_a_retry_of_a_retry_of_a_retry_holds_the_same_rows(
    objects: list[dict[str, Json]], encoding: str, times: int
) -> None:
    shape = RetryFormat("jsonl", encoding=encoding)
    once = kept([Row(number, fields) for number, fields in enumerate(objects, 1)], shape)

    found = once
    for _ in range(times):
        found = kept(found, shape)

    assert found == once


@given(value=st.floats(), inside=st.booleans())
def test_a_double_of_parquet_never_makes_a_line_that_is_no_json(value: float, *, inside: bool) -> None:
    (record,) = kept([Row(1, {"it": [value] if inside else value})], RetryFormat("jsonl"))

    found = fields_of(record)["it"]
    assert math.isfinite(value) == (repr(found) == repr([value] if inside else value))


def fields_of(record: Record) -> Mapping[str, object]:
    assert isinstance(record, Row)
    return record.fields


KINDS: tuple[Literal["csv", "jsonl"], ...] = ("csv", "jsonl")


@given(text=KOREAN.filter(lambda text: bool(text.strip())), encoding=ENCODINGS, kind=st.sampled_from(KINDS))
def test_a_text_that_was_never_split_is_kept_through_two_retries(
    text: str, encoding: str, kind: Literal["csv", "jsonl"]
) -> None:
    shape = RetryFormat(kind, ("id",) if kind == "csv" else (), encoding=encoding, raw=True)
    other = Row(1, {"id": "1"})

    once = kept([other, Damaged(2, REASON, 2, text)], shape)
    twice = kept(once, shape)

    assert [record.text for record in (*once, *twice) if isinstance(record, Damaged)] == [text, text]
