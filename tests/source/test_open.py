"""A source is what its name and its first bytes say, or it is refused in one line that says what to do."""

import errno
import io
import os
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from tests.copies import mode_of, nameless_in
from tests.make import FormatChoice, opened
from uploader.errors import InputError, StorageError, UploaderError
from uploader.model import Row
from uploader.source import Fingerprint, Source


def piped(content: bytes, folder: Path | None, choice: FormatChoice = "auto") -> Source:
    return opened("-", choice, stdin=io.BytesIO(content), spool_dir=folder)


def parquet() -> bytes:
    written = io.BytesIO()
    pl.DataFrame({"id": ["1"]}).write_parquet(written)
    return written.getvalue()


CONTENTS = {"csv": b"id\n1\n", "jsonl": b'\n {"id": "1"}\n', "parquet": parquet()}


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("a.csv", "csv"),
        ("a.TSV", "csv"),
        ("a.txt", "csv"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.json", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.pq", "parquet"),
        ("a.dat", "csv"),
        ("a.dat", "jsonl"),
        ("a", "parquet"),
    ],
)
def test_the_suffix_tells_the_format_and_without_one_the_content(tmp_path: Path, name: str, format_: str) -> None:
    path = tmp_path / name
    path.write_bytes(CONTENTS[format_])

    with opened(path) as source:
        found = [record.fields for record in source.read() if isinstance(record, Row)]

    assert (source.name, source.path, source.format, found) == (str(path), path, format_, [{"id": "1"}])


def test_the_configuration_has_the_last_word_on_the_format(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(CONTENTS["jsonl"])

    with opened(path, "jsonl") as source:
        assert source.format == "jsonl"


@pytest.mark.parametrize(
    ("name", "choice", "content", "message"),
    [
        ("a.csv", "auto", parquet(), "a.csv holds Parquet, not CSV. Set source.format: parquet or rename it."),
        ("a.json", "auto", parquet(), "a.json holds Parquet, not JSONL. Set source.format: parquet or rename it."),
        ("a.pq", "csv", parquet(), "a.pq holds Parquet, not CSV. Set source.format: parquet."),
        (
            "a.csv",
            "auto",
            b'{"a": 1, "b": 2}\n{"a": 2}\n',
            "a.csv looks like JSONL: its first line is a JSON object. Set source.format: jsonl or rename it.",
        ),
        (
            "a.pq",
            "auto",
            b"id\n1\n",
            "a.pq is not Parquet: it does not begin with PAR1. Set source.format: csv or jsonl or rename it.",
        ),
        (
            "a.xlsx",
            "auto",
            b"PK\x03\x04..",
            "a.xlsx is an Excel workbook or a ZIP archive; save it as CSV, or unpack it first.",
        ),
        ("a.xls", "csv", b"\xd0\xcf\x11\xe0..", "a.xls is an Excel workbook; save it as CSV first."),
        ("a.pq", "auto", b"", "a.pq is empty. Check how it was made."),
    ],
)
def test_content_of_another_format_is_refused(
    tmp_path: Path, name: str, choice: FormatChoice, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError) as refused:
        opened(tmp_path / name, choice)

    assert str(refused.value) == f"{tmp_path}/{message}"


@pytest.mark.parametrize("header", [b"BZh,name\n", b'{"a",b}\n', b'{"a": 1,b\n', b"{" * 3000 + b",b\n"])
def test_a_header_that_only_begins_like_another_format_is_a_header(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(header)

    with opened(tmp_path / "a.csv") as source:
        assert source.columns is not None
        assert len(source.columns) == 2


def test_a_path_that_is_no_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError) as missing:
        opened(tmp_path / "people.csv")
    with pytest.raises(InputError) as folder:
        opened(tmp_path)
    with pytest.raises(InputError) as device:
        opened("/dev/null")
    with pytest.raises(InputError) as nonsense:
        opened("a\0b")

    assert [str(refused.value) for refused in (missing, folder, device, nonsense)] == [
        f"{tmp_path}/people.csv: no such file. Check the path.",
        f"{tmp_path} is a directory. Name a file in it.",
        "/dev/null is not a regular file. Pass it on standard input, as '-'.",
        "'a\\x00b' can't be the name of a file. Check the path.",
    ]


class BrokenFile(io.FileIO):
    """A file on a disk that is about to fail."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError(errno.EIO, "Input/output error", size)


def test_trouble_with_the_disk_is_told_as_trouble_with_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"id\n1\n")

    def denied(*_: object, **__: object) -> io.FileIO:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError) as forbidden:
        opened(path)
    monkeypatch.setattr(Path, "open", lambda *_, **__: BrokenFile(path))
    with pytest.raises(InputError) as broken:
        opened(path)

    assert [str(refused.value) for refused in (forbidden, broken)] == [
        f"{path}: permission denied. Give this user the right to read it.",
        f"{path} can't be read: Input/output error. Fix that, then run again.",
    ]


@pytest.mark.parametrize("flag", [os.O_TMPFILE, 0], ids=["never named", "named for a moment"])
def test_standard_input_is_kept_in_a_private_file_without_a_name_until_the_source_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: int
) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", flag)

    with piped(b"id\n1\n", tmp_path) as source:
        (copy,) = nameless_in(tmp_path)
        mode = mode_of(copy)
        named = list(tmp_path.iterdir())
        passes = [list(source.read()), list(source.read())]

    assert (named, nameless_in(tmp_path)) == ([], [])

    assert (source.name, source.path, source.format, mode) == ("-", None, "csv", 0o600)
    assert passes == [[Row(1, {"id": "1"}, line=2)]] * 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format_", CONTENTS)
def test_standard_input_is_known_by_its_content(tmp_path: Path, format_: str) -> None:
    with piped(CONTENTS[format_], tmp_path) as source:
        assert source.format == format_


def test_standard_input_has_the_same_fingerprint_on_another_day(tmp_path: Path) -> None:
    fingerprints = []

    for _ in range(2):
        with piped(b"id\n1\n", tmp_path) as source, source.read() as reading:
            list(reading)
        fingerprints.append(reading.fingerprint)

    assert fingerprints[0] == fingerprints[1]


class Cut(io.BytesIO):
    """A standard input that breaks off."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError(errno.EIO, "Input/output error", size)


def test_standard_input_that_can_not_be_used_leaves_nothing_behind(tmp_path: Path) -> None:
    def trouble(stdin: io.BytesIO | None, folder: Path) -> UploaderError:
        with pytest.raises(UploaderError) as refused:
            opened("-", stdin=stdin, spool_dir=folder)
        return refused.value

    troubles = [
        trouble(None, tmp_path),
        trouble(io.BytesIO(b""), tmp_path),
        trouble(Cut(), tmp_path),
        trouble(io.BytesIO(b"id\n"), tmp_path / "none"),
    ]

    assert [(type(each), str(each)) for each in troubles] == [
        (InputError, "there is no standard input. Name a file instead of '-'."),
        (InputError, "standard input is empty. Check how it was made."),
        (InputError, "standard input can't be read: Input/output error. Name a file instead."),
        (
            StorageError,
            (
                f"standard input can't be kept in {tmp_path}/none: No such file or directory. "
                "Make room there, or name a file instead."
            ),
        ),
    ]
    assert list(tmp_path.iterdir()) == []


def test_closing_a_source_leaves_the_users_own_file(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"id\n")

    with opened(path):
        pass

    assert path.exists()


def test_a_fingerprint_says_which_file_was_read(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"id\n1\n")
    found = path.stat()

    with opened(path) as source, source.read() as reading:
        list(reading)

    digest = reading.fingerprint.digest
    assert reading.fingerprint == Fingerprint(5, found.st_mtime_ns, found.st_ino, digest)
    assert len(digest) == 64


def test_one_changed_byte_changes_the_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    digests = set()

    for content in (b"id\n1\n", b"id\n2\n"):
        path.write_bytes(content)
        with opened(path) as source, source.read() as reading:
            list(reading)
        digests.add(reading.fingerprint.digest)

    assert len(digests) == 2


def test_a_pass_that_was_left_has_no_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"id\n1\n2\n")

    with opened(path) as source, source.read() as reading:
        assert next(reading) == Row(1, {"id": "1"}, line=2)

    assert list(reading) == []
    with pytest.raises(RuntimeError, match="only at its end"):
        _ = reading.fingerprint


@pytest.mark.parametrize("configured", ["csv", "parquet"])
def test_the_retry_file_of_another_format_is_taken_with_the_same_configuration(
    tmp_path: Path, configured: Literal["csv", "parquet"]
) -> None:
    path = tmp_path / "people.retry.jsonl"
    path.write_text('{"id":"1","_row":7,"_kind":"failed","_code":"50000","_reason":"x","_attempts":5}\n')

    with opened(path, configured) as source:
        assert (source.format, source.is_retry) == ("jsonl", True)


HTML = (
    "is an HTML page, whatever its name says: admin pages export tables so, as .xls, and a login or error page may be "
    "saved so. Open it in a spreadsheet and save it as CSV UTF-8, or export it again as CSV."
)
XML = "is XML, as old versions of Excel save it. Open it in a spreadsheet and save it as CSV UTF-8."
ARRAY = (
    "is one JSON array. JSONL has an object on each line, without brackets and commas around them: write it so, for "
    "example with: jq -c '.[]'"
)


LIST = (
    "is one JSON object with a list in it. JSONL has each object on a line of its own: write it so, for example with:"
)
LINES = (
    "has JSON objects over several lines. JSONL has each object on a line of its own: write it so, for example with:"
)


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a"])
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"users":[{"id":1},{"id":2}]}\n', f"{LIST} jq -c '.users[]'"),
        ('{"total": 2, "next": null, "data": [{"id": 1}]}', f"{LIST} jq -c '.data[]'"),
        ('{"010-1234-5678": [{"id": 1}]}', f"{LIST} jq -c '.KEY[]'"),
        ('{"users":[' + '{"id":1},' * 100_000, f"{LIST} jq -c '.users[]'"),
        ('{\n  "users": [\n    {\n      "id": 1\n    }\n  ]\n}\n', f"{LIST} jq -c '.users[]'"),
        ('{\n  "id": 1,\n  "name": "Kim"\n}\n', f"{LINES} jq -c ."),
        ('{ "id": 1,\n "tags": ["a"] }\n{ "id": 2,\n "tags": [] }\n', f"{LINES} jq -c ."),
    ],
    ids=range(7),
)
def test_json_that_is_no_json_lines_is_refused_with_what_makes_it_so(
    tmp_path: Path, name: str, text: str, what: str
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as trouble:
        opened(path)

    assert str(trouble.value) == f"{path} {what}"


@pytest.mark.parametrize(
    "text",
    [
        '{"id": 1, "orders": [{"item": 2}]}\n',
        '{"orders": [{"item": 2}]}\n{"orders": [{"item": 3}], "id": 4}\n',
        '{"id": 1,\n{"id": 2}\n',
        '{"id": "1", "name": "Kim",\n',
    ],
)
def test_json_lines_of_which_some_are_damaged_or_hold_lists_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text, encoding="utf-8")

    with opened(path) as source:
        assert source.format == "jsonl"


@pytest.mark.parametrize("name", ["a.xls", "a.csv", "a.jsonl", "a"])
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<html><body><table>", HTML),
        ("\n <!DOCTYPE HTML PUBLIC>\n<html>", HTML),
        ("<table border=1><tr><td>id</td></tr></table>", HTML),
        ('<?xml version="1.0"?>\n<html xmlns="x">', HTML),
        ("<!-- a, b -->\n<meta charset=utf-8>", HTML),
        ('<?xml version="1.0"?><Workbook>', XML),
        ('[\n{"id": "1"},\n{"id": "2"}\n]\n', ARRAY),
        ('[{"id": "1"}]', ARRAY),
        ('[{"id": "1"},' + '{"id": "2"},' * 10_000, ARRAY),
        ("[]\n", ARRAY),
    ],
    ids=range(10),
)
def test_a_text_of_another_kind_is_refused_whatever_it_is_called(
    tmp_path: Path, name: str, text: str, what: str
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError) as refused:
        opened(path)
    assert str(refused.value) == f"{path} {what}"


@pytest.mark.parametrize("text", ["<id>,name\n1,a\n", "[id],name\n1,a\n"])
def test_a_header_in_brackets_is_a_header(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")

    with opened(path) as source:
        assert source.columns == (text.partition(",")[0], "name")
