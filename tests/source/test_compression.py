"""A compressed file is read as what it holds, whatever it is called, or refused whole."""

import bz2
import gzip
import io
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from tests.copies import mode_of, nameless_in
from uploader.errors import ChangedError, InputError
from uploader.model import Row, Unpacking
from uploader.source import Source
from uploader.source.compression import Archive, Packing, packing_of, unpacked
from uploader.source.zstd import new_decompressor, zstd

CSV = "id,name\n1,홍길동\n2,x\n".encode()
ROWS = [Row(1, {"id": "1", "name": "홍길동"}, line=2), Row(2, {"id": "2", "name": "x"}, line=3)]
Pack = Callable[[bytes], bytes]
PACKERS: dict[Packing, Pack] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}
EACH = pytest.mark.parametrize("packing", PACKERS)


def opened(path: Path, unpacking: Unpacking | None = None) -> Source:
    return make.opened(path, spool_dir=path.parent, unpacking=unpacking)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def refusal(path: Path, unpacking: Unpacking | None = None) -> str:
    with pytest.raises(InputError) as refused, opened(path, unpacking) as source:
        list(source.read())
    return str(refused.value).removeprefix(f"{path.parent}/")


@EACH
@pytest.mark.parametrize("name", ["people.csv.gz", "people.csv", "people", "people.jsonl.bak"])
def test_the_content_tells_that_a_file_is_compressed(tmp_path: Path, packing: Packing, name: str) -> None:
    path = written(tmp_path / name, PACKERS[packing](CSV))

    with opened(path) as source:
        passes = [list(source.read()), list(source.read())]

    assert (source.path, source.format, passes) == (path, "csv", [ROWS, ROWS])


@EACH
def test_a_file_in_several_parts_is_read_to_its_end(tmp_path: Path, packing: Packing) -> None:
    pack = PACKERS[packing]
    path = written(tmp_path / "people.csv", pack(CSV[:9]) + pack(b"") + pack(CSV[9:]))

    with opened(path) as source:
        assert list(source.read()) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("people.jsonl.gz", b'{"id": "1"}\n', "jsonl"),
        ("people.ndjson.GZ", b'{"id": "1"}\n', "jsonl"),
        ("people.csv.zst", CSV, "csv"),
        ("people.gz", b'{"id": "1"}\n', "jsonl"),
    ],
)
def test_the_suffix_before_that_of_the_compression_tells_the_format(
    tmp_path: Path, name: str, content: bytes, found: str
) -> None:
    with opened(written(tmp_path / name, gzip.compress(content))) as source:
        assert source.format == found


def test_a_compressed_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "people.csv.gz", gzip.compress(b'{"id": "1"}\n'))

    assert refusal(path) == (
        "people.csv.gz looks like JSONL: its first line is a JSON object. Set source.format: jsonl or rename it."
    )


@EACH
def test_the_fingerprint_is_that_of_the_file_as_it_lies_there(tmp_path: Path, packing: Packing) -> None:
    content = PACKERS[packing](CSV)
    path = written(tmp_path / "people.csv.gz", content)
    plain = written(tmp_path / "plain.csv", CSV)

    with opened(path) as source, source.read() as reading:
        list(reading)
        digest = source.digest()

    assert (reading.fingerprint.size, reading.fingerprint.digest) == (len(content), digest)
    with opened(plain) as other:
        assert other.digest() != digest


@EACH
def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path, packing: Packing) -> None:
    content = PACKERS[packing](CSV)
    path = tmp_path / "people"

    for size in range(10, len(content)):
        assert refusal(written(path, content[:size])) == (
            f"people is cut off or damaged ({packing}): it ends after {size} bytes, in the middle of what it holds. "
            "Get it again."
        )


@pytest.mark.slow
@EACH
def test_a_file_that_is_cut_off_after_its_first_records_is_refused(tmp_path: Path, packing: Packing) -> None:
    content = PACKERS[packing](CSV + b"".join(b"%d,%x\n" % (at, at * 7919**9) for at in range(40_000)))
    path = written(tmp_path / "people.csv", content[:-20])

    assert refusal(path).startswith(f"people.csv is cut off or damaged ({packing}): it ends after ")


@EACH
@pytest.mark.parametrize("garbage", [b"garbage behind it\n", b"\0\0\0\0garbage behind it\n"])
def test_what_follows_a_compressed_file_is_not_passed_over(tmp_path: Path, packing: Packing, garbage: bytes) -> None:
    path = written(tmp_path / "people.csv", PACKERS[packing](CSV) + garbage)

    assert refusal(path) == (
        f"people.csv is cut off or damaged ({packing}): what follows its part 1 can't be unpacked. Get it again."
    )


@pytest.mark.parametrize("packing", ["gzip", "xz"])
def test_the_zeros_that_may_fill_up_a_compressed_file_are_passed_over(tmp_path: Path, packing: Packing) -> None:
    path = written(tmp_path / "people.csv", PACKERS[packing](CSV) + bytes(1024))

    with opened(path) as source:
        assert list(source.read()) == ROWS


@EACH
def test_a_wrong_checksum_is_told(tmp_path: Path, packing: Packing) -> None:
    content = bytearray(PACKERS[packing](CSV))
    # The checksum, or what leads to it, is among the last bytes of each kind; the very last is zstd's and gzip's own.
    content[-3 if packing in {"zstd", "gzip"} else len(content) // 2] ^= 1
    path = written(tmp_path / "people.csv", bytes(content))

    assert refusal(path) == (
        f"people.csv is cut off or damaged ({packing}): what it holds can't be unpacked. Get it again."
    )


def test_the_parts_that_zstd_skips_are_skipped(tmp_path: Path) -> None:
    skipped = b"\x53\x2a\x4d\x18\x03\0\0\0abc"
    path = written(tmp_path / "people.csv", skipped + PACKERS["zstd"](CSV) + skipped)

    with opened(path) as source:
        assert list(source.read()) == ROWS


def test_a_file_that_is_compressed_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "people.csv.gz", gzip.compress(lzma.compress(CSV)))

    assert refusal(path) == "people.csv.gz is compressed twice (xz within gzip). Unpack it once."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.gz is empty. Check how it was made."),
        (
            b"PK\x03\x04..",
            "a.gz is an Excel workbook or a ZIP archive; save it as CSV, or unpack it first.",
        ),
        (b"people.csv".ljust(257, b"\0") + b"ustar", "a.gz is a tar archive; unpack it, and name a file of it."),
    ],
)
def test_what_is_refused_is_refused_compressed_too(tmp_path: Path, content: bytes, message: str) -> None:
    assert refusal(written(tmp_path / "a.gz", gzip.compress(content))) == message


def test_what_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    wide = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 28})
    greedy = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**29}]
    frames = {
        "a.zst": wide.compress(CSV * 9999) + wide.flush(),
        "a.xz": lzma.compress(CSV, filters=greedy),
    }

    messages = [refusal(written(tmp_path / name, content)) for name, content in frames.items()]

    assert messages == [
        f"a.{name} needs more than 128 MiB of memory to be unpacked ({packing}). "
        "Pack it again without --long or an own dictionary size, or unpack it first."
        for name, packing in (("zst", "zstd"), ("xz", "xz"))
    ]


@pytest.mark.slow
@EACH
def test_a_bomb_is_refused_before_it_fills_the_memory(packing: Packing) -> None:
    bomb = PACKERS[packing](b"id\n" + b"1\n" * 10_000_000)
    archive = Archive("bomb.csv", packing, len(bomb), Unpacking())
    sizes: list[int] = []

    tracemalloc.start()
    with pytest.raises(InputError) as refused:
        sizes.extend(map(len, unpacked([bomb], archive)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert str(refused.value) == (
        "bomb.csv unpacks to more than 200 times its size (limits.max_unpacked). "
        "If it is meant to, raise limits.max_unpacked."
    )
    assert sum(sizes) <= max(2**20, 200 * len(bomb))
    # bzip2 and xz need a few for themselves; the bomb is of 20.
    assert peak < 12 * 2**20


@pytest.mark.parametrize(
    ("unpacking", "message"),
    [
        (Unpacking(size=2**20 - 1), "1,048,575 bytes"),
        (Unpacking(times=3), "3 times its size"),
        (Unpacking(size=2**20), None),
        (Unpacking(times=2000), None),
    ],
)
def test_a_file_may_unpack_to_just_what_it_is_allowed(unpacking: Unpacking, message: str | None) -> None:
    archive = Archive("a.csv", "gzip", 1024, unpacking)
    content = b"x" * (2**20 if message != "3 times its size" else 2**20 + 1)

    def read() -> int:
        return sum(map(len, unpacked([gzip.compress(content)], archive)))

    if message is None:
        assert read() == len(content)
    else:
        with pytest.raises(InputError, match=f"unpacks to more than {message} "):
            read()


@pytest.mark.slow
def test_a_small_file_may_unpack_to_a_mebibyte_whatever_its_share(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", gzip.compress(b"id\n" + b"1\n" * 500_000))

    with opened(path, Unpacking(times=1)) as source:
        assert sum(1 for _ in source.read()) == 500_000


def parquet() -> bytes:
    file = io.BytesIO()
    pl.DataFrame({"id": ["1", "2"]}).write_parquet(file)
    return file.getvalue()


@EACH
def test_a_compressed_parquet_is_read_from_a_private_copy(tmp_path: Path, packing: Packing) -> None:
    path = written(tmp_path / "people.parquet.gz", PACKERS[packing](parquet()))

    with opened(path) as source:
        (copy,) = nameless_in(tmp_path)
        mode = mode_of(copy)
        passes = [list(source.read()) for _ in range(2)]

    assert (source.path, source.format, mode, passes) == (
        path,
        "parquet",
        0o600,
        [[Row(1, {"id": "1"}), Row(2, {"id": "2"})]] * 2,
    )
    assert (list(tmp_path.iterdir()), nameless_in(tmp_path)) == ([path], [])


@pytest.mark.parametrize("content", [gzip.compress(parquet())[:-9], gzip.compress(parquet()[:-9])])
def test_a_damaged_compressed_parquet_leaves_no_copy(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path / "people.parquet.gz", content)

    with pytest.raises(InputError, match=r"people\.parquet\.gz (is cut off or damaged|can't be read as Parquet)"):
        opened(path)

    assert (list(tmp_path.iterdir()), nameless_in(tmp_path)) == ([path], [])


def test_a_compressed_parquet_that_changed_after_it_was_copied_ends_the_run(tmp_path: Path) -> None:
    path = written(tmp_path / "people.parquet.gz", gzip.compress(parquet()))

    with opened(path) as source:
        path.write_bytes(gzip.compress(parquet(), compresslevel=1))
        with pytest.raises(ChangedError) as changed:
            list(source.read())

    assert str(changed.value) == f"{path} changed since it was unpacked. Run again."


@given(
    data=st.binary(max_size=2000),
    packing=st.sampled_from(sorted(PACKERS)),
    block=st.integers(1, 50),
    piece=st.integers(1, 50),
    parts=st.integers(1, 3),
)
def test_what_was_packed_comes_out_however_the_blocks_fall(
    data: bytes, packing: Packing, block: int, piece: int, parts: int
) -> None:
    content = PACKERS[packing](data) * parts
    blocks = [content[at : at + block] for at in range(0, len(content), block)]

    with mock.patch("uploader.source.compression._PIECE", piece):
        found = b"".join(unpacked(blocks, Archive("a", packing, len(content), Unpacking())))

    assert (packing_of(content), found) == (packing, data * parts)


def test_zstd_unpacks_within_the_window_it_is_given() -> None:
    assert new_decompressor(27).decompress(zstd.compress(CSV)) == CSV
