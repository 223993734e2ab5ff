"""Text is decoded strictly, in the encoding that is named or that its first bytes show."""

from pathlib import Path
from unittest import mock

import pytest

from tests import make
from uploader.errors import ConfigError, InputError
from uploader.model import Row
from uploader.source import Source

TABLE = "이름,지역\n홍길동,서울\n"
ROW = Row(1, {"이름": "홍길동", "지역": "서울"}, line=2)


def opened(folder: Path, content: bytes, encoding: str = "auto", name: str = "people.csv") -> Source:
    (folder / name).write_bytes(content)
    return make.opened(folder / name, encoding=encoding)


@pytest.mark.parametrize(
    ("named", "content", "settled"),
    [
        ("auto", TABLE.encode(), "utf-8"),
        ("auto", TABLE.encode("utf-8-sig"), "utf-8-sig"),
        ("auto", TABLE.encode("utf-16"), "utf-16"),
        ("auto", b"\xfe\xff" + TABLE.encode("utf-16-be"), "utf-16"),
        ("utf8", TABLE.encode("utf-8-sig"), "utf-8-sig"),
        ("utf-8-sig", TABLE.encode(), "utf-8-sig"),
        ("cp949", TABLE.encode("cp949"), "cp949"),
        ("CP949", TABLE.encode("utf-8-sig"), "utf-8-sig"),
        ("euc-kr", TABLE.encode("euc-kr"), "euc_kr"),
        ("utf-16-le", TABLE.encode("utf-16-le"), "utf-16-le"),
        ("utf-32", TABLE.encode("utf-32"), "utf-32"),
    ],
)
def test_korean_text_is_read_in_the_encoding_it_has(tmp_path: Path, named: str, content: bytes, settled: str) -> None:
    with opened(tmp_path, content, named) as source:
        assert (source.encoding, source.columns, list(source.read())) == (settled, ("이름", "지역"), [ROW])


def test_a_json_object_in_utf_16_is_recognised_without_a_suffix(tmp_path: Path) -> None:
    text = '{"이름": "홍길동"}'

    with opened(tmp_path, text.encode("utf-16"), name="people") as source:
        assert list(source.read()) == [Row(1, {"이름": "홍길동"}, line=1, text=text)]


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (
            TABLE.encode("cp949"),
            "auto",
            (
                "people.csv: the header (line 1) is not utf-8, but the whole file reads as cp949. "
                "Set source.encoding: cp949."
            ),
        ),
        (
            'id,name\r\n1,a\r\n2,"b\r\nc"\r\n3,홍길동\r\n'.encode("cp949"),
            "utf-8",
            "people.csv: row 3 (line 5) is not utf-8, but the whole file reads as cp949. Set source.encoding: cp949.",
        ),
        (
            b"id\r1\r2\r\xff\r",
            "auto",
            "people.csv: row 3 (line 4) is not utf-8. Set source.encoding to the encoding that the file was saved in.",
        ),
        (
            b"id\n1\n\xff\xff\n",
            "cp949",
            "people.csv: row 2 (line 3) is not cp949. Set source.encoding to the encoding that the file was saved in.",
        ),
        (
            b"id\n1\n2\xea\xb0",
            "utf-8",
            "people.csv: row 2 (line 3) is not utf-8, but the whole file reads as cp949. Set source.encoding: cp949.",
        ),
        (
            "id\n1\n2".encode("utf-16") + b"\x00",
            "auto",
            "people.csv: row 2 (line 3) is not utf-16. Set source.encoding to the encoding that the file was saved in.",
        ),
        (
            b'"i\nd"\n\n1\n"2\n\xff"\n',
            "auto",
            "people.csv: row 2 (line 6) is not utf-8. Set source.encoding to the encoding that the file was saved in.",
        ),
        (
            b'\n"i\nd\xff"\n1\n',
            "auto",
            (
                "people.csv: the header (line 3) is not utf-8. "
                "Set source.encoding to the encoding that the file was saved in."
            ),
        ),
        (
            '{"a": "b"}\n'.encode("cp949") * 3 + '{"a": "뷁"}\n'.encode("cp949"),
            "euc-kr",
            (
                "people.jsonl: row 4 (line 4) is not euc_kr, but the whole file reads as cp949. "
                "Set source.encoding: cp949."
            ),
        ),
        (
            b'\n{"a": 1}\n\n\xff\xff',
            "auto",
            (
                "people.jsonl: row 2 (line 4) is not utf-8. "
                "Set source.encoding to the encoding that the file was saved in."
            ),
        ),
    ],
)
def test_bytes_that_are_no_text_are_named_by_their_row_and_line(
    tmp_path: Path, content: bytes, encoding: str, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        list(opened(tmp_path, content, encoding, message.partition(":")[0]).read())

    assert str(refused.value) == f"{tmp_path}/{message}"


@pytest.mark.parametrize("block", [1, 5, 100])
def test_the_place_of_bytes_that_are_no_text_does_not_depend_on_the_blocks(tmp_path: Path, block: int) -> None:
    content = 'id,name\r\n1,a\r\n2,"b\r\nc"\r\n\r\n3,홍길동\r\n'.encode("cp949")

    with mock.patch("uploader.source.byte_stream.BLOCK", block), pytest.raises(InputError) as refused:
        list(opened(tmp_path, content).read())

    assert str(refused.value).startswith(f"{tmp_path}/people.csv: row 3 (line 6) is not utf-8, but ")


STATEFUL = ("iso2022_kr", "iso2022_jp_2004", "hz", "utf-8-sig", "utf-16", "utf-32")
WIDE = ("cp949", "euc_kr", "johab", "big5", "gb18030", "shift_jis", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
NARROW = ("latin-1", "cp1252", "iso8859-15", "mac-roman", "cp437", "cp500")


@pytest.mark.parametrize("block", [1, 3, 1000])
@pytest.mark.parametrize("encoding", [*STATEFUL, *WIDE, *NARROW])
def test_an_encoding_that_is_named_is_read_wherever_the_blocks_end(tmp_path: Path, encoding: str, block: int) -> None:
    value = (
        "é" if encoding in NARROW else "中文" if encoding in {"hz", "big5", "shift_jis", "iso2022_jp_2004"} else "서울"
    )
    contents = {"people.csv": f'id\n"a\n{value}"\nb\n', "people.jsonl": f'{{"id": "a\\n{value}"}}\n{{"id": "b"}}\n'}

    with mock.patch("uploader.source.byte_stream.BLOCK", block):
        for name, text in contents.items():
            with opened(tmp_path, text.encode(encoding), encoding, name) as source:
                found = [record.fields["id"] for record in source.read() if isinstance(record, Row)]
            assert found == [f"a\n{value}", "b"]


@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-16-le", "utf-32-be", "shift_jis", "iso2022_kr"])
@pytest.mark.parametrize("name", ["people.csv", "people.jsonl"])
def test_a_last_character_that_is_cut_off_is_refused(tmp_path: Path, encoding: str, name: str) -> None:
    text = "id\nx中" if name == "people.csv" else '{"id": 1}\n"中'
    content = text.encode(encoding).removesuffix(b"\x0f")[:-1]

    with opened(tmp_path, content, encoding, name) as source, pytest.raises(InputError) as refused:
        list(source.read())

    assert str(refused.value).startswith(f"{tmp_path}/{name}: row {1 if name == 'people.csv' else 2} (line 2) is not ")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_an_encoding_that_needs_a_mark_is_refused_without_one(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(InputError) as refused:
        opened(tmp_path, TABLE.encode(f"{encoding}-be"), encoding)

    assert str(refused.value) == (
        f"{tmp_path}/people.csv does not begin with a byte order mark, which {encoding} needs. "
        f"Set source.encoding: {encoding}-le or {encoding}-be."
    )


def test_utf_7_is_refused_since_it_can_hold_half_a_character(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        opened(tmp_path, b"id\n+2AA-\n", "utf7")

    assert str(refused.value) == "source.encoding: utf-7 can hold halves of characters. Save the file as utf-8."


@pytest.mark.slow
def test_bytes_that_are_no_text_are_found_far_into_a_file(tmp_path: Path) -> None:
    content = b'{"a": "b"}\n' * 100_000 + '{"a": "홍길동"}\n'.encode("cp949")

    with opened(tmp_path, content, name="people.jsonl") as source, pytest.raises(InputError) as refused:
        list(source.read())

    assert str(refused.value) == (
        f"{tmp_path}/people.jsonl: row 100001 (line 100001) is not utf-8, but the whole file reads as cp949. "
        "Set source.encoding: cp949."
    )


@pytest.mark.parametrize(
    ("encoding", "hint"),
    [
        ("cp94", "Did you mean 'cp949'?"),
        ("base64", "Did you mean 'base64'?"),
        ("☃", "Use a name such as utf-8, utf-16 or cp949."),
        ("", "Use a name such as utf-8, utf-16 or cp949."),
    ],
)
def test_an_encoding_that_does_not_exist_is_refused_with_the_nearest(tmp_path: Path, encoding: str, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        opened(tmp_path, b"id\n", encoding)

    assert str(refused.value) == f"source.encoding: '{encoding}' is not an encoding that Python knows. {hint}"
