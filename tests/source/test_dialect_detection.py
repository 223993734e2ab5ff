"""How a file is written that nobody described."""

from io import BytesIO
from pathlib import Path

import pytest

from tests.copies import nameless_in
from uploader.source import FileDialect, open_unknown

KOREAN = "id,이름\n1,이하은\n"


@pytest.mark.parametrize(
    ("name", "content", "manner"),
    [
        ("a.csv", b"id,name\n1,a\n", FileDialect()),
        ("a.csv", KOREAN.encode(), FileDialect()),
        ("a.csv", KOREAN.encode("utf-8-sig"), FileDialect()),
        ("a.csv", KOREAN.replace(",", "\t").encode("utf-16"), FileDialect(delimiter="\t")),
        ("a.csv", KOREAN.encode("cp949"), FileDialect(encoding="cp949")),
        ("a.csv", b"id;name\n1;a,b\n", FileDialect(delimiter=";")),
        ("a.csv", b"id|name\n1|a,b,c\n", FileDialect(delimiter="|")),
        ("a.csv", b"price;amount\n1,5;2,5\n", FileDialect(delimiter=";")),
        ("a.csv", b'id,"a;b;c"\n1,x\n', FileDialect()),
        ("a.csv", b"id,a;b\n1,x\n2,y\n", FileDialect()),
        ("a.csv", b'id,name\n1,"a\n', FileDialect()),
        ("a.csv", b"id\n1\n", FileDialect()),
        ("a.csv", b"\n\nid;name\n1;a\n", FileDialect(delimiter=";")),
        ("a.jsonl", '{"id":"가"}\n'.encode("cp949"), FileDialect(encoding="cp949")),
        ("a.csv", b'{"id":"1"}\n', FileDialect(format="jsonl")),
        ("a", b'{"id":"1"}\n', FileDialect()),
        ("a.json", b'{"id":\n', FileDialect()),
    ],
)
def test_a_file_says_how_it_is_written(tmp_path: Path, name: str, content: bytes, manner: FileDialect) -> None:
    (tmp_path / name).write_bytes(content)

    source, found = open_unknown(str(tmp_path / name))

    with source:
        assert found == manner


def test_the_first_records_decide_also_of_a_large_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id;name\n" + b"1;a,b,c\n" * 20_000)

    source, found = open_unknown(str(tmp_path / "a.csv"))

    with source:
        assert (found, source.columns) == (FileDialect(delimiter=";"), ("id", "name"))


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        ("목록\n\nid,name\n1,a\n", FileDialect(skip_lines=2)),
        ("목록, 2024\nid;name;a\n1;a;b\n2;c;d\n", FileDialect(delimiter=";", skip_lines=1)),
        ('"a\nb",,\nid,name,c\n1,a,b\n2,c,d\n', FileDialect(skip_lines=2)),
        ("sep=;\nid;name\n1;a\n", FileDialect(delimiter=";", skip_lines=1)),
        ("id,name\n1,a\n2\n", FileDialect()),
        ("id,name,\n1,a,\n", FileDialect()),
        ("name\na\nb\n", FileDialect()),
    ],
)
def test_the_lines_of_a_title_are_counted(tmp_path: Path, content: str, dialect: FileDialect) -> None:
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")

    source, found = open_unknown(str(tmp_path / "a.csv"))

    with source:
        assert found == dialect


def test_standard_input_is_kept_so_that_it_can_be_read_again(tmp_path: Path) -> None:
    source, found = open_unknown("-", stdin=BytesIO(KOREAN.encode("cp949")), spool_dir=tmp_path)

    with source:
        assert (found, [record.number for record in source.read()]) == (FileDialect(encoding="cp949"), [1])
        assert len(nameless_in(tmp_path)) == 1
    assert (list(tmp_path.iterdir()), nameless_in(tmp_path)) == ([], [])
