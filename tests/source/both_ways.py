"""Read a source row by row and in batches, and say what each way finds; damage files for that."""

import csv
import io
import json
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias
from unittest import mock

from tests.make import opened
from uploader.batch import Batch
from uploader.errors import UploaderError
from uploader.model import Damaged, Record
from uploader.source import Source
from uploader.source.file_change_detection import ReadTrace

Open: TypeAlias = Callable[[Path], Source]

SIZES: Final = (1, 16, 64, 256, 1 << 20)
"""Of blocks, in bytes: from one in which no record fits to the one that is used."""


@dataclass(frozen=True)
class Found:
    """What a pass finds: the *records* before its *error*, if it has one, and what is known at its end.

    Passes are compared by how their records are *spelled*: no number is equal to NaN, and 1 is equal to 1.0.
    """

    records: list[Record] = field(compare=False)
    spelled: list[str]
    error: str
    end: object


def by_rows(source: Source, follows: ReadTrace | None = None) -> Found:
    """Return what the row reader finds."""
    records: list[Record] = []
    error = ""
    with source.read(follows) as reading:
        try:
            records.extend(reading)
        except UploaderError as raised:
            error = f"{type(raised).__name__}: {raised}"
        end = None if error else (source.blank_lines, source.suspicion, reading.fingerprint, reading.trace)
    return Found(records, [*map(_spelled, records)], error, end)


def by_batches(source: Source, size: int, follows: ReadTrace | None = None) -> Found:
    """Return what batches of *size* bytes hold, each of them checked for what it says of itself."""
    records: list[Record] = []
    error = ""
    with source.batches(follows, size) as reading:
        try:
            for batch in reading:
                assert batch.first == len(records) + 1
                records += records_of(batch)
        except UploaderError as raised:
            error = f"{type(raised).__name__}: {raised}"
        end = None if error else (source.blank_lines, source.suspicion, reading.fingerprint, reading.trace)
    return Found(records, [*map(_spelled, records)], error, end)


def records_of(batch: Batch) -> list[Record]:
    """Return all records of *batch* in their order; the cells of its table say what its rows say."""
    rows = [batch.row(at) for at in range(batch.table.height)]
    assert [row.number for row in rows] == batch.numbers.to_list()
    for at, row in enumerate(rows):
        cells = batch.table.row(at, named=True)
        if batch.form == "json":
            keys = [key for key, cell in cells.items() if cell is not None]
            values = [json.loads(cell) for cell in cells.values() if cell is not None]
            assert (keys, repr(values)) == ([*row.fields], repr([*row.fields.values()]))
        else:
            assert [*cells] == [*row.fields]
        if batch.form == "text":
            assert cells == row.fields
    numbers = [record.number for record in batch.others]
    assert numbers == sorted(numbers)
    records = sorted([*rows, *batch.others], key=lambda record: record.number)
    assert [record.number for record in records] == [*range(batch.first, batch.first + batch.count)]
    return records


def _spelled(record: Record) -> str:
    """Return what *record* says, 1 and 1.0 and true apart, and numbers as they were written."""
    if isinstance(record, Damaged):
        return repr(record) + repr(record.text)
    return repr(record) + repr((record.text, [*map(str, record.fields.values())]))


def differences(content: bytes, name: str, open_as: Open = opened, sizes: tuple[int, ...] = SIZES) -> list[str]:
    """Return what batches of the *sizes* have otherwise than the row reader, of a file called *name* with *content*."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            source = open_as(path)
        except UploaderError:
            return []
        with source:
            rows = by_rows(source)
            return [
                f"{name}, {size}: {content!r}\nrows:    {rows}\nbatches: {batches}"
                for size in sizes
                if (batches := _tried(source, size)) != rows
            ]


def _tried(source: Source, size: int) -> "Found | str":
    try:
        return by_batches(source, size)
    except (AssertionError, RuntimeError) as error:
        return f"a batch contradicts itself: {error}"


@contextmanager
def stream_block(size: int) -> Iterator[None]:
    """Read files *size* bytes at a time."""
    with mock.patch("uploader.source.byte_stream.BLOCK", size):
        yield


# Files

TEXTS: Final = (
    *("a", "b0", "", "", "x", "가힣", "é😀", "\u2028", "\x85", " ", "\t", "'", "long" * 20, "-1.5", "x^", "x\x01"),
    *("\ufeff", "김하늘", "0101234", "2024-01-05", "\x1f", "\x1e", "#", "\\", "sep=", "\xa0", "\x0b", "\x0c", "\x1c"),
)
ODD_TEXTS: Final = ('"', 'say "hi"', "a,b", ",", "two\nlines", "two\r\nlines", "\r", "\n", '""', "x\n\ny", ";", "|")
DAMAGE: Final = (
    *(b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff", b"\xed\xa0\x80", b"\xea", b"\xef\xbb\xbf"),
    *(b"x^", b"\nx^", b"\nx\x01", b"\n\xef\xbb\xbf", b"\n\x1f\x8b\x08", b"\n(\xb5/\xfd", b"\nBZh91AY&SY", b'"abc"024'),
    *(b'"\n', b'\n"', b"\x1a", b"\n\x1a\n", b" ", b",,,,", b"\n,\n", b"\n\r\n", b"x", b"", b"{", b"}", b"[1]"),
    *(b"1e400", b"\\ud800", b":"),
)


def random_csv(rng: random.Random) -> tuple[bytes, str]:
    """Return a CSV of a random table in a random style, and its encoding."""
    width = rng.choice([1, 2, 3, 3, 5])
    texts = TEXTS if rng.random() < 0.5 else TEXTS + ODD_TEXTS
    header = [rng.choice(["id", "a", "", "이름", f"c{at}"]) if rng.random() < 0.3 else f"c{at}" for at in range(width)]
    rows = [[rng.choice(texts) for _ in range(width)] for _ in range(rng.randrange(0, 30))]
    end = rng.choice(["\n", "\n", "\r\n", "\r"])
    style = rng.choice(["minimal", "all", "columns", "random"])
    always = [rng.random() < 0.5 for _ in range(width)]
    lines = [_line(header, end, lambda _: style == "all")]
    lines += [_line(row, end, lambda at: _is_quoted(style, always[at], rng)) for row in rows]
    if rng.random() < 0.2:
        lines.insert(rng.randrange(1, len(lines) + 1), rng.choice(["\n", "\r\n", "\n\n", "a\n", "\ufeff\n"]))
    text = "".join(lines)
    text = text.removesuffix(end) if rng.random() < 0.2 else text
    encoding = rng.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "cp949"])
    return text.encode(encoding, "ignore"), encoding


def _is_quoted(style: str, is_always: bool, rng: random.Random) -> bool:  # noqa: FBT001 — one of its column
    return {"minimal": False, "all": True, "columns": is_always, "random": rng.random() < 0.5}[style]


def _line(row: list[str], end: str, is_quoted: Callable[[int], bool]) -> str:
    cells = []
    for at, text in enumerate(row):
        quoted = is_quoted(at) or any(mark in text for mark in ',"\r\n')
        cells.append('"' + text.replace('"', '""') + '"' if quoted else text)
    return ",".join(cells) + end


JSON_VALUES: Final[tuple[object, ...]] = (
    *("", "a", "김", "é😀", 'say "hi"', "\u2028", "two\nlines", "\x7f", "\\", [], [1], ["a", "b"], [1.5, None], [[1]]),
    *(0, -1, 12, 2**53, 2**63, 10**40, 1.5, -0.0, 1e-300, 1e22, True, False, None, {}, {"a": 1}),
)
JSON_TOKENS: Final = (
    *("1.10", "-0", "1e400", "1e-400", "0.000", "9007199254740993", "0.1e1", "NaN", "Infinity", "01", "1.", "--1"),
    *("tru", '"\\ud83d\\ude00"', '"\\ud800"', '"\\u0000"', '"\\x"', '"\t"', "[1,2 ,3 ]", "[1,]", "1.5E3"),
    *("9007199254740993.5", "123456789012345678", "1234567890123456.5", "0.00000000000000001", f"0.{'0' * 400}1"),
)


def random_jsonl(rng: random.Random) -> tuple[bytes, str]:
    """Return JSONL of random objects, most of them of a few shapes, and its encoding."""
    keys = rng.sample(["id", "이름", "a", "b c", 'q"', "é", "k\\", "z"], rng.randrange(1, 6))
    styles = rng.choice([[(", ", ": ")], [(",", ":")], [(", ", ": "), (",", ":")]])
    ends = rng.choice([["\n"], ["\r\n"], ["\n", "\r\n", "\n\n", " \n", "\n \t\n"]])
    lines: list[str] = []
    for _ in range(rng.randrange(1, 25)):
        own = [key for key in keys if rng.random() < 0.9] if rng.random() < 0.3 else [*keys]
        if rng.random() < 0.05:
            rng.shuffle(own)
        if rng.random() < 0.03:
            own += own[:1]
        between, after = rng.choice(styles)
        pairs = between.join(json.dumps(key, ensure_ascii=False) + after + _token(rng) for key in own)
        lines.append("{" + pairs + "}" + rng.choice(ends))
    text = "".join(lines)
    text = text.rstrip() if rng.random() < 0.2 else text
    encoding = rng.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16"])
    return text.encode(encoding, "ignore"), encoding


def _token(rng: random.Random) -> str:
    if rng.random() < 0.03:
        return rng.choice(JSON_TOKENS)
    if rng.random() < 0.6:
        return json.dumps(rng.choice(TEXTS[:12]), ensure_ascii=rng.random() < 0.3)
    return json.dumps(rng.choice(JSON_VALUES), ensure_ascii=rng.random() < 0.3)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return *content* with a few pieces put in, in place of others, or taken out."""
    for _ in range(rng.choice([0, 1, 1, 1, 2, 4])):
        at = rng.randrange(len(content) + 1)
        content = content[:at] + rng.choice(DAMAGE) + content[at + rng.choice([0, 0, 1, 1, 3]) :]
    return content


def written(rows: list[list[str]], quoting: int = csv.QUOTE_MINIMAL, end: str = "\n") -> bytes:
    """Return *rows* as the csv module writes them."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=end).writerows(rows)  # type: ignore[arg-type] # one of its constants
    return text.getvalue().encode()


def ways_of(content: bytes, name: str = "people.csv", size: int = 1 << 20, open_as: Open = opened) -> Mapping[str, int]:
    """Return how many records of a file came into batches in which way, without ways of none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        with open_as(path) as source:
            by_batches(source, size)
            return {way: count for way, count in source.ways.items() if count}
