"""Batches hold what the row reader yields: each record once, the same values, places, errors and end."""

import bz2
import csv
import gzip
import io
import lzma
import os
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.make import opened
from tests.seeds import seeds
from tests.source.both_ways import (
    SIZES,
    by_batches,
    by_rows,
    damaged,
    differences,
    random_csv,
    random_jsonl,
    records_of,
    stream_block,
    ways_of,
    written,
)
from uploader.model import Row
from uploader.source import BY_POLARS, Columnar, byte_stream
from uploader.source.take_batches import is_columnar
from uploader.source.zstd import zstd

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": partial(gzip.compress, mtime=0),
    "zst": zstd.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
ROWS = [["id", "name", "memo"], *([str(at), f"김{at}", "x" * (at % 7)] for at in range(500))]
RAGGED = b"id,name\n1,a\n2\n3,c,d\n\n4,e\n\x1a\n5,f\n"


def drawn(seed: int) -> random.Random:
    """Return what draws the case of *seed*."""
    return random.Random(seed)  # noqa: S311 — cases need no cryptographic strength


def disagreement(
    content: bytes, seed: int, name: str, encoding: str = "utf-8", sizes: tuple[int, ...] = SIZES
) -> list[str]:
    """Return what the two ways have otherwise, of a file that is read in blocks of the stream drawn by *seed*."""
    open_as = partial(opened, encoding="cp949" if encoding == "cp949" else "auto")
    with stream_block(drawn(seed).choice([1, 7, 64, byte_stream.BLOCK])):
        return differences(content, name, open_as, sizes)


# Searches


@pytest.mark.seeded
@pytest.mark.slow
def test_batches_of_damaged_csv_hold_what_the_row_reader_yields() -> None:
    for seed in seeds(80):
        rng = drawn(seed)
        content, encoding = random_csv(rng)

        assert disagreement(damaged(content, rng), seed, "people.csv", encoding) == []


@pytest.mark.seeded
@pytest.mark.slow
def test_batches_of_damaged_jsonl_hold_what_the_row_reader_yields() -> None:
    for seed in seeds(40):
        rng = drawn(seed)
        content, encoding = random_jsonl(rng)

        assert disagreement(damaged(content, rng), seed, "people.jsonl", encoding, sizes=(64, 300, 1 << 20)) == []


@pytest.mark.seeded
@pytest.mark.slow
def test_batches_of_damaged_archives_hold_what_the_row_reader_yields() -> None:
    for seed in seeds(40):
        rng = drawn(seed)
        content, encoding = random_csv(rng)
        suffix = rng.choice([*PACKERS])
        packed = PACKERS[suffix](content)
        packed = damaged(packed, rng) if rng.random() < 0.5 else packed

        assert disagreement(packed, seed, f"people.csv.{suffix}", encoding) == []


PIECES = st.sampled_from(
    [
        "a",
        "1",
        "가",
        "",
        '"',
        '""',
        ",",
        "\n",
        "\r",
        "\r\n",
        "\0",
        "\ufeff",
        "x^",
        "\x1a",
        " ",
        "\u2028",
        '"a"',
        "a,b\n",
    ]
)


@settings(max_examples=150)
@given(pieces=st.lists(PIECES, max_size=30), size=st.integers(1, 40), block=st.sampled_from([1, 5, 1000]))
def test_batches_of_any_text_hold_what_the_row_reader_yields(pieces: list[str], size: int, block: int) -> None:
    with stream_block(block):
        assert differences(("h,i\n" + "".join(pieces)).encode(), "people.csv", sizes=(size, 1 << 20)) == []


CORPUS = [
    path
    for folder in ("corpus/cases", "cases")
    for path in sorted((Path(__file__).parents[1] / folder).rglob("*"))
    if path.is_file() and path.suffix not in {".py", ".yaml", ".pyc"} and path.name != "expected.json"
]


@pytest.mark.parametrize("path", CORPUS, ids=[f"{path.parent.name}/{path.name}" for path in CORPUS])
def test_batches_of_the_corpus_hold_what_the_row_reader_yields(path: Path) -> None:
    sizes = (50, 1 << 20) if path.stat().st_size < 5000 else (1 << 20,)

    assert differences(path.read_bytes(), path.name, sizes=sizes) == []


# How much polars proves


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("quoting", "way"), [(csv.QUOTE_MINIMAL, "plain"), (csv.QUOTE_ALL, "quoted")], ids=["plain", "quoted"]
)
@pytest.mark.parametrize("size", [300, 1 << 20])
def test_polars_proves_every_record_of_a_clean_csv(end: str, quoting: int, way: str, size: int) -> None:
    assert ways_of(written(ROWS, quoting, end), size=size) == {way: 500}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "cp949"])
def test_polars_proves_every_record_in_every_encoding(encoding: str) -> None:
    content = written(ROWS).decode().encode(encoding)

    assert ways_of(content, open_as=partial(opened, encoding=encoding)) == {"plain": 500}


@pytest.mark.parametrize("suffix", PACKERS)
def test_polars_proves_every_record_of_a_compressed_csv(suffix: str) -> None:
    assert ways_of(PACKERS[suffix](written(ROWS)), f"people.csv.{suffix}") == {"plain": 500}


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " ", "^"])
def test_polars_proves_every_record_with_every_delimiter(delimiter: str) -> None:
    content = written(ROWS).replace(b",", delimiter.encode())

    assert ways_of(content, open_as=partial(opened, delimiter=delimiter)) == {"plain": 500}


def test_polars_proves_records_with_quotes_where_they_are_needed_and_lines_within_them() -> None:
    rows = [["id", "memo"], *([str(at), 'two\nlines, "so"' if at % 3 else ""] for at in range(500))]

    assert ways_of(written(rows)) == {"quoted": 500}


def test_polars_proves_records_of_which_some_columns_are_always_quoted_but_for_empty_texts() -> None:
    lines = [f'{at},"name {at}",{chr(34) + "memo" + chr(34) if at % 2 else ""}\n' for at in range(500)]

    assert ways_of("".join(["id,name,memo\n", *lines]).encode()) == {"quoted": 500}


def test_csv_reader_splits_what_has_no_one_style() -> None:
    lines = [f'"{at}",a\n' if at % 2 else f"{at},a\n" for at in range(100)]

    assert ways_of("".join(["id,name\n", *lines]).encode()) == {"split": 100}


def test_csv_reader_splits_a_block_with_ragged_records() -> None:
    assert ways_of(RAGGED) == {"split": 3, "row": 3}


def test_only_the_last_line_goes_row_by_row_where_it_has_no_end() -> None:
    assert ways_of(written(ROWS).removesuffix(b"\n")) == {"plain": 499, "row": 1}


def test_only_blocks_that_are_not_proven_fall_back() -> None:
    lines = written(ROWS).splitlines(keepends=True)
    lines[250] = b"249,\0,x\n"

    found = ways_of(b"".join(lines), size=1000)

    assert found["plain"] > 400
    assert 0 < found["row"] < 100


def test_shapes_take_every_record_of_clean_jsonl() -> None:
    lines = [
        f'{{"id": "{at}", "이름": "김\\n{at}", "age": {at}, "score": {at}.5, "push": true}}\n' for at in range(300)
    ]
    lines += [f'{{"id": "{at}", "tags": ["a", "b"], "age": null}}\r\n' for at in range(300)]

    assert ways_of("".join(lines).encode(), "people.jsonl", size=4000) == {"shape": 600}


def test_a_pass_over_parquet_takes_every_row_by_its_types(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pl.DataFrame({"id": [str(at) for at in range(50_000)]}).write_parquet(path)

    with opened(path) as source:
        counts = [batch.count for batch in source.batches()]

    assert (counts, source.ways) == ([20_000, 20_000, 10_000], {"typed": 50_000})


def test_all_ways_but_two_are_by_polars() -> None:
    assert {"plain", "quoted", "shape", "typed"} == BY_POLARS


# What polars does in silence: each trap with the bytes that spring it.


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"1\n2,x\n", id="a short record is padded"),
        pytest.param(b"1,a,\n2,b,\n", id="a trailing empty field too many is accepted"),
        pytest.param(b"\n\n1,a\n", id="leading blank lines vanish"),
        pytest.param(b"1,a\n\n2,b\n", id="an inner blank line becomes a row"),
        pytest.param(b"x^,a\n2,b\n", id="x^ is taken for compressed"),
        pytest.param(b"x\x01,a\n2,b\n", id="x and 01 are taken for compressed"),
        pytest.param("x\u069cda,a\n2,b\n".encode(), id="x and da are taken for compressed"),
        pytest.param(b"x\x9c,a\n2,b\n", id="zlib's mark"),
        pytest.param(b"\x1f\x8b\x08,a\n2,b\n", id="gzip's mark"),
        pytest.param(b"(\xb5/\xfd,a\n2,b\n", id="zstd's mark"),
        pytest.param(b"BZh91AY&SY,a\n2,b\n", id="bzip2's mark"),
        pytest.param("\ufeff1,a\n\ufeff2,b\n".encode(), id="a byte order mark is dropped"),
        pytest.param(b'"abc"024,a\n2,b\n', id="text after a closing quote is swallowed"),
        pytest.param(b'1,"abc"024\n2,"b"\n', id="text after a closing quote at the end is swallowed"),
        pytest.param(b"1,a\rb\n2,b\n", id="a lone return is content"),
        pytest.param(b"1,a\r\r\n2,b\n", id="two returns end a line"),
        pytest.param(b"1,a\0b\n2,b\n", id="NUL passes"),
        pytest.param(b'1,a"b\n2,c\n3,d"e\n4,f\n', id="stray quotes join records"),
        pytest.param(b'1,"a\n2,b\n', id="a quote is never closed"),
        pytest.param(b"1,a\n\x1a", id="Ctrl-Z at the end"),
        pytest.param(b"1,a\n2", id="the last record is cut off"),
        pytest.param(b'1,"a\r\nb"\r\n2,"c\nd"\r\n3,"e\rf"\r\n', id="line ends within quotes"),
        pytest.param(b"1," + b"x" * 65_537 + b"\n2,b\n", id="a field is too long"),
        pytest.param(b"1," + b"x" * 65_536 + b"\n2,b\n", id="a field is just not too long"),
        pytest.param(b'1,"' + "가".encode() * 21_846 + b'"\n2,b\n', id="a field has too many bytes"),
        pytest.param(b'1,"' + (b"y" * 999 + b"\n") * 1_100 + b'"\n2,b\n', id="a record is longer than a block"),
        pytest.param(b"1,\xed\xa0\x80\n2,b\n", id="half a character"),
        pytest.param(b"1,a\n2,\xff\n", id="bytes that are no text"),
        pytest.param(b",\n,\n", id="all fields are empty"),
        pytest.param(b'"",""\n"",""\n', id="all fields are empty and quoted"),
        pytest.param(b"#1,a\n#2,b\n", id="a comment to others"),
        pytest.param(b"NULL,NA\nnull,nan\n", id="words for nothing"),
    ],
)
def test_what_polars_alters_in_silence_is_not_altered(content: bytes) -> None:
    assert differences(b"id,name\n" + content, "people.csv") == []
    assert differences(b"id,name\n" + b"0,z\n" * 40 + content, "people.csv") == []


@pytest.mark.parametrize("line", [b"\n", b'""\n', b"a\n", b"a,b\n", b" \n", b"\r\n", b'"\n"\n', b"\0\n"])
def test_lines_of_one_column_are_not_altered(line: bytes) -> None:
    assert differences(b"id\nx\n" + line + b"y\n" + line + line, "people.csv") == []


@pytest.mark.parametrize("header", [b"a,a", b"a,", b",", b'"a\nb",c', "\ufeffa,b".encode(), b'"id","na""me"'])
def test_odd_headers_name_the_same_columns(header: bytes) -> None:
    assert differences(header + b"\n1,x\n2,y\n3\n", "people.csv") == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('{"b": 1, "a": 2, "c": 3}', id="another order, and a key that comes late"),
        pytest.param('{"a": 1, "a": 2, "b": 3}', id="a key twice"),
        pytest.param('{"a": 1.10, "b": 1e2}', id="the spelling of a number"),
        pytest.param('{"a": "\\ud800", "b": 1}', id="half a character"),
        pytest.param('{"a": "\\ud83d\\ude00", "b": 1}', id="two halves"),
        pytest.param('{"a": [1.5, true], "b": 1}', id="an array of several types"),
        pytest.param('{"a": 1e400, "b": 1}', id="a number that is too large"),
        pytest.param('{"a": 1e-400, "b": 1}', id="a number that would become 0"),
        pytest.param('{"a": 0.' + "0" * 400 + '1, "b": 1}', id="a long number that would become 0"),
        pytest.param('{"a": 9007199254740993, "b": 1}', id="an integer that no double holds"),
        pytest.param('{"a": 9007199254740993.0, "b": 1}', id="a number that a double rounds"),
        pytest.param('{"a": ' + "9" * 5000 + ', "b": 1}', id="more digits than Python reads"),
        pytest.param('{"a": NaN, "b": 1}', id="NaN"),
        pytest.param('{"a": 01, "b": 1}', id="a leading zero"),
        pytest.param('{"a": "\t", "b": 1}', id="a tab in a text"),
        pytest.param('{"a": "x\\q", "b": 1}', id="an unknown escape"),
        pytest.param('{"a": 1, "b": 1} x', id="text after the object"),
        pytest.param('{"a": 1, "b": 1', id="no end"),
        pytest.param('\ufeff{"a": 1, "b": 1}', id="a byte order mark"),
        pytest.param('{"a": {"c": 1}, "b": 1}', id="an object within"),
        pytest.param('{"\\u0061": 1, "b": 1}', id="a key with an escape"),
        pytest.param("{}", id="no key"),
        pytest.param("\u2003", id="a blank line of another space"),
        pytest.param('{"a": "\u2028\x85", "b": 1}', id="line ends of others"),
        pytest.param('{"a":\u00a01, "b": 1}', id="a space that is none in JSON"),
        pytest.param("[1]", id="an array"),
    ],
)
def test_what_a_shape_could_alter_is_not_altered(line: str) -> None:
    content = f'{{"a": 1, "b": "x"}}\n{line}\n{{"a": 2.5, "b": null}}\n{line}\n'.encode()

    assert differences(content, "people.jsonl") == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('{"a": 1, "z": 2}', id="some keys"),
        pytest.param('{"a": 1}', id="one key"),
        pytest.param('{"a": 1"b": 2}', id="nothing between two"),
        pytest.param('{"b": 2}\n{"a": 1"b": 2}', id="nothing between two that were alone"),
        pytest.param('{"a": 1, "b": 2, ', id="no end"),
        pytest.param('{"a": 1, "b": 2, }', id="nothing behind the last comma"),
        pytest.param('{, "b": 2}', id="nothing before the first comma"),
        pytest.param('{"a": 1}"b": 2}', id="an end in the middle"),
        pytest.param('{"a": "}", "b": ", "}', id="ends within texts"),
        pytest.param('{"b": 1, "a": 2}', id="another order"),
        pytest.param('{"a": 1, "a": 2}', id="a key twice"),
        pytest.param("{}", id="no keys"),
        pytest.param('{"a": 1, "q": [1, "x"]}\n{"a": 1, "q": 123456789012345678901}', id="other kinds"),
        pytest.param('{"a": 1,"b": 2}', id="other spaces"),
        pytest.param('{"\\u0061": 1, "b": 2}', id="another spelling of a key"),
    ],
)
def test_what_a_loose_shape_could_alter_is_not_altered(line: str) -> None:
    # So many shapes that the next ones are loose.
    others = "".join(f'{{"a": 1, "c{at}": 2}}\n' for at in range(6))
    content = f'{others}{{"a": 1, "b": 2, "z": 3}}\n{line}\n{line}\n{{"a": 1, "b": 2, "q": 3}}\n'.encode()

    assert differences(content * 2, "people.jsonl", sizes=(100, 1 << 20)) == []


def test_loose_shapes_take_objects_of_which_keys_are_missing() -> None:
    lines = [
        "{" + ", ".join(f'"k{key}": {at}' for key in range(8) if at & 1 << key or key == at % 8) + "}\n"
        for at in reversed(range(256))
        if at.bit_count() > 1
    ]

    # The first block shows the shapes.
    assert ways_of("".join(lines).encode(), "people.jsonl", size=2000)["shape"] > 230


def test_a_line_of_many_keys_is_read_as_it_is() -> None:
    line = "{" + ", ".join(f'"key {at}": "{at}"' for at in range(250)) + "}\n"

    assert differences((line * 3).encode(), "people.jsonl", sizes=(1 << 20,)) == []


# Parquet


PARQUET: dict[str, list[Any]] = {
    "text": ["a", None, "", "가😀"],
    "whole": [1, None, -(2**63), 2**63 - 1],
    "double": [0.1, None, -0.0, 1e300],
    "nan": [float("nan"), float("inf"), 1.0, None],
    "bool": [True, False, None, True],
    "date": [date(1, 1, 1), None, date(2024, 2, 29), date(9999, 12, 31)],
    "moment": [datetime(1969, 1, 1, tzinfo=UTC), None, datetime(2024, 1, 1, 1, 2, 3, 4, tzinfo=UTC), None],
    "naive": [datetime(1, 1, 1), None, datetime(9999, 12, 31), None],  # noqa: DTZ001 — what such a column holds
    "span": [timedelta(days=1), None, timedelta(microseconds=-1), None],
    "clock": [time(1, 2), None, time(23, 59, 59), None],
    "money": [Decimal("1.10"), None, Decimal("-3.00"), Decimal("0.01")],
    "list": [["a"], None, [], ["b", None]],
    "struct": [{"x": 1, "y": "z"}, None, {"x": None, "y": ""}, {"x": 2, "y": "q"}],
    "bytes": [b"a", None, b"\xff", b""],
}


@pytest.mark.parametrize("limit", [1, 3, 20_000])
def test_batches_of_parquet_hold_what_the_row_reader_yields(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr("uploader.source.parquet_records._BATCH", limit)
    frame = pl.DataFrame(PARQUET, strict=False).with_columns(
        pl.Series("whole number", [1, None, 2, 3]).cast(pl.Decimal(20, 0)),
        pl.Series("far", [1, None, 2**40, -(2**40)]).cast(pl.Int64).cast(pl.Datetime("ms")),
        pl.Series("seoul", PARQUET["moment"]).dt.convert_time_zone("Asia/Seoul"),
    )
    file = io.BytesIO()
    frame.write_parquet(file)

    assert differences(file.getvalue(), "people.parquet", sizes=(1,)) == []


def test_a_damaged_parquet_is_refused_alike() -> None:
    file = io.BytesIO()
    pl.DataFrame({"id": [str(at) for at in range(3000)]}).write_parquet(file, compression="uncompressed")
    content = bytearray(file.getvalue())
    content[100:140] = b"\xff" * 40

    assert differences(bytes(content), "people.parquet", sizes=(1,)) == []


# What stays on the row path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "people.csv",
            b"id,_row,_kind,_code,_reason,_attempts,_raw,_run\n1,7,failed,x,y,3,,r\n,8,rejected,x,y,1,raw,r\n",
        ),
        (
            "people.jsonl",
            b'{"id": "1", "_row": 7, "_kind": "failed", "_code": "x", "_reason": "y", "_attempts": 3, "_run": "r"}\n',
        ),
    ],
)
def test_a_retry_file_is_read_row_by_row(name: str, content: bytes) -> None:
    assert differences(content, name) == []
    assert [*ways_of(content, name)] == ["row"]


def test_a_delimiter_of_more_than_one_byte_is_read_row_by_row() -> None:
    open_as = partial(opened, delimiter="§")
    content = "id§name\n1§a\n2§b\n".encode()

    assert differences(content, "people.csv", open_as) == []
    assert ways_of(content, open_as=open_as) == {"row": 2}


def test_skipped_lines_are_skipped_alike() -> None:
    open_as = partial(opened, skip_lines=2)

    assert differences(b'a title "with\n\nid,name\n1,a\n\n2,b\n', "people.csv", open_as) == []


# The same bytes


@pytest.mark.parametrize("size", SIZES)
def test_batches_follow_what_the_row_reader_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(written(ROWS))
    with opened(path) as source, source.read() as reading:
        rows = [*reading]

        assert by_batches(source, size, reading.trace).records == rows


@pytest.mark.parametrize("size", SIZES)
def test_batches_hand_on_only_bytes_that_were_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(byte_stream, "BLOCK", 100)
    path = tmp_path / "people.csv"
    path.write_bytes(written(ROWS))
    with opened(path) as source, source.batches(size=size) as reading:
        rows = [record for batch in reading for record in records_of(batch)]
        found = path.stat()
        content = bytearray(path.read_bytes())
        content[5000] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

        changed, by_row = by_batches(source, size, reading.trace), by_rows(source, reading.trace)

    assert changed == by_row
    assert changed.error.startswith("ChangedError")
    assert changed.records == rows[: len(changed.records)]
    assert 200 < len(changed.records) < 499


def test_batches_of_a_part_end_where_the_trace_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_stream, "BLOCK", 1000)
    path = tmp_path / "people.csv"
    path.write_bytes(written(ROWS))
    with opened(path) as source, source.read() as reading:
        first = [next(reading) for _ in range(10)]
        trace = reading.trace
    with opened(path) as source, source.batches(trace) as batches:
        batch = next(batches)

    assert records_of(batch)[:10] == first
    assert batch.count < 100


def test_a_batch_makes_any_of_its_rows_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(written(ROWS))
    with opened(path) as source:
        (batch,) = source.batches()
        rows = [*source.read()]

    assert [batch.row(at) for at in (499, 0, 7)] == [rows[499], rows[0], rows[7]]
    assert [batch.row(at) for at in range(500)] == rows
    assert isinstance(batch.row(3), Row)


# Which sources


@pytest.mark.parametrize(
    ("choice", "size", "columnar"),
    [("auto", 1_999_999, False), ("auto", 2_000_000, True), ("on", 1, True), ("off", 2_000_000, False)],
)
def test_large_files_are_read_in_batches_unless_the_configuration_says_otherwise(
    tmp_path: Path, choice: Columnar, size: int, *, columnar: bool
) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"id\n" + b"1" * (size - 3))

    with opened(path) as source:
        assert source.is_columnar(choice) is columnar


def test_a_file_that_is_gone_is_left_to_the_reader(tmp_path: Path) -> None:
    assert is_columnar("auto", tmp_path / "gone.csv") is False


def test_reading_row_by_row_imports_no_polars(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"id\n1\n")
    code = (
        "import sys; from tests.make import opened; source = opened(sys.argv[1]); "
        "assert [*source.read()] and not source.is_columnar('auto'); print('polars' in sys.modules)"
    )

    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)

    assert found.stdout == "False\n"


def test_polars_works_in_one_thread() -> None:
    code = "from uploader.source.one_thread import pl; print(pl.thread_pool_size())"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout == "1\n"
