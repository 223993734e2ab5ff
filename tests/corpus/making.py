"""Make the files of the corpus that are packed, Parquet or large: each as its case describes it."""

import bz2
import gzip
import io
import lzma
import sys
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias

import polars as pl

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

File: TypeAlias = tuple[str, Callable[[], bytes]]
"""The name of a file, and what makes its content."""

TEXT: Final = 'id,name\n1,김하늘\n2,"b\nc"\n'
PLAIN: Final = TEXT.encode()
HALVES: Final = (PLAIN[:12], PLAIN[12:])
LINES: Final = '{"id": "1", "name": "김하늘"}\n{"id": "2", "name": "b\\nc"}\n'.encode()
LONG: Final = b"id,name\n" + b"".join(b"%d,name %d\n" % (number, number * 7919) for number in range(500))
SKIPPED: Final = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
"""A zstd frame that readers pass over."""

KIB: Final = 1024
MIB: Final = 1024 * 1024
ID: Final = pl.String


def gz(content: bytes) -> bytes:
    """Return *content* as one member of a gzip file."""
    return gzip.compress(content, mtime=0)


def zst(content: bytes) -> bytes:
    """Return *content* as one zstd frame with a checksum."""
    return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})


def flipped(content: bytes, at: int) -> bytes:
    """Return *content* with one bit changed in the byte at *at*."""
    at %= len(content)
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


def zipped() -> bytes:
    """Return a ZIP archive of one CSV."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("people.csv", PLAIN)
    return written.getvalue()


def blank_lines(size: int) -> bytes:
    """Return a CSV of one row and *size* bytes of blank lines."""
    return b"id,name\n1,a\n" + b"\n" * size


def parquet(kinds: Mapping[str, Any], *rows: tuple[object, ...]) -> bytes:
    """Return a Parquet file with columns of *kinds*, and `id` before them."""
    written = io.BytesIO()
    schema = {"id": ID, **kinds}
    columns = list(zip(*rows, strict=True))
    frame = pl.DataFrame({name: list(column) for name, column in zip(schema, columns, strict=True)}, schema=schema)
    frame.write_parquet(written)
    return written.getvalue()


def people() -> bytes:
    """Return the rows of TEXT as Parquet."""
    return parquet({"name": pl.String}, ("1", "김하늘"), ("2", "b\nc"))


def texts() -> bytes:
    """Return the three Arrow types of text."""
    kinds = {"a": pl.String, "b": pl.Categorical, "c": pl.Enum(["예", "아니오"])}
    return parquet(kinds, ("1", "김", "x", "예"), ("2", None, "y", "아니오"), ("03", " ", "x", "예"))


def integers() -> bytes:
    """Return all widths of integers: the smallest or largest of each, then what the API has no room for."""
    kinds = {
        "i8": pl.Int8,
        "i16": pl.Int16,
        "i32": pl.Int32,
        "i64": pl.Int64,
        "u8": pl.UInt8,
        "u16": pl.UInt16,
        "u32": pl.UInt32,
        "u64": pl.UInt64,
    }
    edges = ("1", -(2**7), -(2**15), -(2**31), -(2**63), 0, 2**16 - 1, 2**32 - 1)
    beyond = (None,) * 7
    return parquet(kinds, (*edges, 2**63 - 1), ("2", *beyond, 2**63), ("3", *beyond, 2**64 - 1))


def floats() -> bytes:
    """Return doubles, finite and not."""
    kinds = {"x": pl.Float64, "name": pl.String}
    inf, nan = float("inf"), float("nan")
    values = (1.5, 2.0, nan, inf, -inf, -0.0)
    rows = ((str(number), value, None) for number, value in enumerate(values, 1))
    return parquet(kinds, *rows, ("7", None, "null"))


def lists() -> bytes:
    """Return lists of the three types that the API has, with a null and a NaN in two of them."""
    kinds = {"s": pl.List(pl.String), "n": pl.List(pl.Int32), "x": pl.List(pl.Float64)}
    return parquet(
        kinds,
        ("1", ["a", "김"], [1, 2], [1.0, 2.5]),
        ("2", [], [], None),
        ("3", ["a", None], None, None),
        ("4", None, None, [0.5]),
        ("5", None, None, [float("nan")]),
    )


def moments() -> bytes:
    """Return days, and points in time with a zone."""
    kinds = {"d": pl.Date, "t": pl.Datetime("us", "Asia/Seoul")}
    spring = datetime(2024, 3, 5, 0, 30, 0, 123987, tzinfo=UTC)
    eve = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    return parquet(kinds, ("1", date(1990, 1, 2), spring), ("2", date(1, 1, 1), eve))


def naive() -> bytes:
    """Return times without a zone, the second one skipped by Seoul's clocks."""
    first, second = datetime(2024, 3, 5, 9, 30), datetime(1988, 5, 8, 2, 30)  # noqa: DTZ001 — naive is the case
    return parquet({"t": pl.Datetime("us")}, ("1", first), ("2", second))


def beside(kind: Any, value: object) -> Callable[[], bytes]:  # noqa: ANN401 — a data type of polars
    """Return what makes a file of two rows: *value* of *kind*, and a null."""
    return lambda: parquet({"name": pl.String, "x": kind}, ("1", "a", value), ("2", "b", None))


def structs() -> bytes:
    """Return a struct, its field null, and itself null."""
    kinds = {"address": pl.Struct({"city": pl.String, "zip": pl.Int64})}
    values = ({"city": "서울", "zip": 1}, {"city": None, "zip": 2}, {"city": "부산", "zip": None}, None)
    return parquet(kinds, *((str(number), value) for number, value in enumerate(values, 1)))


def csv_of(*rows: str, header: str = "id,name,memo") -> bytes:
    """Return the lines of a CSV."""
    return "".join(f"{row}\n" for row in (header, *rows)).encode()


WIDE: Final = 21
"""So many fields of 50 KiB are a record over 1 MiB."""


def over_1_mib() -> bytes:
    """Return a CSV whose second row has many fields of 50 KiB."""
    header = ",".join(["id", "name", *(f"c{number}" for number in range(WIDE))])
    full, short = ",".join(["x" * 50 * KIB] * WIDE), "," * (WIDE - 1)
    return csv_of(f"1,a,{short}", f"2,b,{full}", f"3,c,{short}", header=header)


ROOM: Final = 8 * KIB - len('{"df_name":""}')
"""What 8 KiB leave for the one value."""

MADE: Final[Mapping[str, File]] = {
    "gzip": ("people.csv.gz", lambda: gz(PLAIN)),
    "gzip-of-members": ("people.csv.gz", lambda: b"".join(map(gz, HALVES)) + gz(b"")),
    "gzip-named-csv": ("people.csv", lambda: gz(PLAIN)),
    "gzip-without-a-suffix": ("people", lambda: gz(PLAIN)),
    "gzip-padded": ("people.csv.gz", lambda: gz(PLAIN) + bytes(512)),
    "zstd": ("people.csv.zst", lambda: zst(PLAIN)),
    "zstd-of-frames": ("people.csv.zst", lambda: zst(HALVES[0]) + SKIPPED + zst(HALVES[1])),
    "bzip2": ("people.csv.bz2", lambda: bz2.compress(PLAIN)),
    "bzip2-of-streams": ("people.csv.bz2", lambda: b"".join(map(bz2.compress, HALVES))),
    "xz": ("people.csv.xz", lambda: lzma.compress(PLAIN)),
    "plain-named-gz": ("people.csv.gz", lambda: PLAIN),
    "gzip-of-jsonl": ("people.jsonl.gz", lambda: gz(LINES)),
    "gzip-of-parquet": ("people.parquet.gz", lambda: gz(people())),
    "zstd-of-parquet": ("people.zst", lambda: zst(people())),
    "gzip-of-cp949": ("people.csv.gz", lambda: gz("id,name\n1,김하늘\n2\n".encode("cp949"))),
    "gzip-with-a-bad-row": ("people.csv.gz", lambda: gz(b"id,name\n1,a\n\n,b\n")),
    "gzip-cut-off": ("people.csv.gz", lambda: gz(LONG)[:-9]),
    "gzip-cut-off-between-members": ("people.csv.gz", lambda: gz(PLAIN) + gz(b"3,c\n")[:6]),
    "gzip-wrong-checksum": ("people.csv.gz", lambda: flipped(gz(LONG), -8)),
    "gzip-corrupt": ("people.csv.gz", lambda: flipped(gz(LONG), len(gz(LONG)) // 2)),
    "gzip-with-garbage-behind": ("people.csv.gz", lambda: gz(PLAIN) + b"3,c\n"),
    "zstd-cut-off": ("people.csv.zst", lambda: zst(LONG)[:-5]),
    "zstd-corrupt": ("people.csv.zst", lambda: flipped(zst(LONG), len(zst(LONG)) // 2)),
    "bzip2-cut-off": ("people.csv.bz2", lambda: bz2.compress(LONG)[:-3]),
    "bzip2-with-garbage-behind": ("people.csv.bz2", lambda: bz2.compress(PLAIN) + b"3,c\n"),
    "xz-cut-off": ("people.csv.xz", lambda: lzma.compress(LONG)[:-20]),
    "xz-corrupt": ("people.csv.xz", lambda: flipped(lzma.compress(LONG), 100)),
    "gzip-in-gzip": ("people.csv.gz", lambda: gz(gz(PLAIN))),
    "gzip-of-nothing": ("people.csv.gz", lambda: gz(b"")),
    "zip": ("people.csv", zipped),
    "bomb-gzip": ("people.csv.gz", lambda: gz(blank_lines(8 * MIB))),
    "bomb-zstd": ("people.csv.zst", lambda: zst(blank_lines(8 * MIB))),
    "bomb-bzip2": ("people.csv.bz2", lambda: bz2.compress(blank_lines(4 * MIB))),
    "bomb-xz": ("people.csv.xz", lambda: lzma.compress(blank_lines(8 * MIB), preset=0)),
    "bomb-that-is-meant": ("people.csv.gz", lambda: gz(blank_lines(MIB + MIB // 4))),
    "bomb-above-its-size": ("people.csv.gz", lambda: gz(blank_lines(2 * MIB))),
    "stdin-csv": ("-", lambda: PLAIN),
    "stdin-jsonl": ("-", lambda: b'{"id": "1", "name": "a"}\n{"name": "b"}\n'),
    "stdin-csv-with-a-bad-row": ("-", lambda: b"id,name\n1,a\n,b\n3\n"),
    "stdin-gzip": ("-", lambda: gz(PLAIN)),
    "stdin-parquet": ("-", people),
    "stdin-empty": ("-", lambda: b""),
    "stdin-cut-off": ("-", lambda: b"id,name\n1,a\n2"),
    "pipe-csv": ("people.csv", lambda: PLAIN),
    "pipe-gzip-jsonl": ("people.jsonl.gz", lambda: gz(LINES)),
    "field-over-64-kib": (
        "people.csv",
        lambda: csv_of("1,a," + "x" * 64 * KIB, "2,b," + "x" * (64 * KIB + 1), "3,c,"),
    ),
    "field-over-64-kib-in-korean": ("people.csv", lambda: csv_of("1,a,", "2,b,x" + "가" * (64 * KIB // 3 + 1))),
    "record-over-1-mib": ("people.csv", over_1_mib),
    "line-over-16-mib": ("people.csv", lambda: csv_of("1,a," + "x" * 17 * MIB)),
    "json-line-over-16-mib": ("people.jsonl", lambda: b'{"id": "1", "name": "' + b"x" * 17 * MIB + b'"}\n'),
    "json-bomb-of-brackets": (
        "people.jsonl",
        lambda: b'{"id": "1", "name": "a"}\n{"id": "2", "name": ' + b"[" * 10**5 + b"]" * 10**5 + b"}\n",
    ),
    "json-integer-of-5000-digits": (
        "people.jsonl",
        lambda: b'{"id": "1", "name": "a"}\n{"id": "2", "name": "b", "n": ' + b"9" * 5000 + b"}\n",
    ),
    "properties-of-8-kib": ("people.csv", lambda: csv_of("1," + "x" * ROOM, header="id,name")),
    "properties-over-8-kib": (
        "people.csv",
        lambda: csv_of("1," + "x" * (ROOM + 1), "2," + "가" * (ROOM // 3 + 1), "3,c", header="id,name"),
    ),
    "parquet-texts": ("people.parquet", texts),
    "parquet-integers": ("people.parquet", integers),
    "parquet-floats": ("people.parquet", floats),
    "parquet-booleans": (
        "people.parquet",
        lambda: parquet(
            {"a": pl.Boolean, "b": pl.Int8}, ("1", True, 1), ("2", False, 0), ("3", None, 2), ("4", None, None)
        ),
    ),
    "parquet-dates": ("people.parquet", moments),
    "parquet-times-without-a-zone": ("people.parquet", naive),
    "parquet-times-without-a-zone-undeclared": ("people.parquet", naive),
    "parquet-decimals": ("people.parquet", beside(pl.Decimal(10, 2), Decimal("12.50"))),
    "parquet-binary": ("people.parquet", beside(pl.Binary, b"text")),
    "parquet-times": ("people.parquet", beside(pl.Time, time(9, 30))),
    "parquet-durations": ("people.parquet", beside(pl.Duration("us"), timedelta(hours=1))),
    "parquet-structs": ("people.parquet", structs),
    "parquet-struct-as-a-whole": (
        "people.parquet",
        lambda: parquet({"address": pl.Struct({"city": pl.String})}, ("1", {"city": "서울"})),
    ),
    "parquet-lists": ("people.parquet", lists),
    "parquet-nulls": (
        "people.parquet",
        lambda: parquet({"name": pl.String, "x": pl.Null}, ("1", None, None), ("2", "b", None), (None, "c", None)),
    ),
    "parquet-cut-off": ("people.parquet", lambda: people()[:-10]),
    "parquet-named-csv": ("people.csv", people),
    "excel-workbook": ("people.csv", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)),
}
