"""Text is decoded strictly, in the encoding that is named or that its first bytes show."""

from pathlib import Path

import pytest

from uploader.errors import ConfigError, InputError
from uploader.model import Row
from uploader.source import Source, open_source

TABLE = "이름,지역\n홍길동,서울\n"
ROW = Row(1, {"이름": "홍길동", "지역": "서울"}, line=2)


def opened(folder: Path, content: bytes, encoding: str = "auto", name: str = "people.csv") -> Source:
    (folder / name).write_bytes(content)
    return open_source(str(folder / name), format="auto", encoding=encoding, delimiter=",")


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
            "people.csv: line 1 is not utf-8, but the whole file reads as cp949. Set source.encoding: cp949.",
        ),
        (
            'id,name\r\n1,a\r\n2,"b\r\nc"\r\n3,홍길동\r\n'.encode("cp949"),
            "utf-8",
            "people.csv: line 5 is not utf-8, but the whole file reads as cp949. Set source.encoding: cp949.",
        ),
        (
            b"id\r1\r2\r\xff\r",
            "auto",
            "people.csv: line 4 is not utf-8. Set source.encoding to the encoding that the file was saved in.",
        ),
        (
            b"id\n1\n\xff\xff\n",
            "cp949",
            "people.csv: line 3 is not cp949. Set source.encoding to the encoding that the file was saved in.",
        ),
        (
            b"id\n1\n2\xea\xb0",
            "utf-8",
            "people.csv: line 3 is not utf-8, but the whole file reads as cp949. Set source.encoding: cp949.",
        ),
        (
            "id\n1\n2".encode("utf-16") + b"\x00",
            "auto",
            "people.csv: line 3 is not utf-16. Set source.encoding to the encoding that the file was saved in.",
        ),
    ],
)
def test_bytes_that_are_no_text_are_named_by_their_line(
    tmp_path: Path, content: bytes, encoding: str, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        list(opened(tmp_path, content, encoding).read())

    assert str(refused.value) == f"{tmp_path}/{message}"


def test_bytes_that_are_no_text_are_found_far_into_a_file(tmp_path: Path) -> None:
    content = b'{"a": "b"}\n' * 100_000 + '{"a": "홍길동"}\n'.encode("cp949")

    with opened(tmp_path, content, name="people.jsonl") as source, pytest.raises(InputError) as refused:
        list(source.read())

    assert str(refused.value) == (
        f"{tmp_path}/people.jsonl: line 100001 is not utf-8, but the whole file reads as cp949. "
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
