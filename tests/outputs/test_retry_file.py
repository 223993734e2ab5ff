"""What must be sent again is kept to the byte, readable by nobody else, and never over what is there."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from tests.make import opened
from uploader.errors import StorageError
from uploader.model import Damaged, Reason, Record, Row, WrittenFloat
from uploader.outputs.retry_file import RetryFile, RetryFormat, RetryRemark

REMARK = RetryRemark("failed", "50000", "not accepted by the service: INTERNAL_SERVER_ERROR (50000)", 5)
OWN_CSV = b"failed,50000,not accepted by the service: INTERNAL_SERVER_ERROR (50000),5"
OWN_JSON = (
    '"_row":7,"_kind":"failed","_code":"50000",'
    '"_reason":"not accepted by the service: INTERNAL_SERVER_ERROR (50000)","_attempts":5}\n'
)
REASON = Reason("fields", "the record has 1 field where the header has 2")
SEOUL = timezone(timedelta(hours=9))


def write(path: Path, shape: RetryFormat, *records: Record, remark: RetryRemark = REMARK) -> bytes:
    with RetryFile(path, shape) as retry:
        for record in records:
            retry.write(record, remark)
    assert retry.path == path
    return path.read_bytes()


def read(path: Path, encoding: str = "utf-8") -> list[Record]:
    with opened(path, encoding=encoding) as source:
        assert source.is_retry
        return list(source.read())


# CSV


def test_a_csv_row_keeps_its_cells_and_gets_five_more(tmp_path: Path) -> None:
    row = Row(7, {"id": "007", "name": "Kim"}, 8)

    written = write(tmp_path / "people.retry.csv", RetryFormat("csv", ("id", "name")), row)

    assert written == b"id,name,_row,_kind,_code,_reason,_attempts\r\n007,Kim,7," + OWN_CSV + b"\r\n"


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("plain", b"plain"),
        ("", b""),
        (" spaces ", b" spaces "),
        ("a,b", b'"a,b"'),
        ('say "hi"', b'"say ""hi"""'),
        ("two\nlines", b'"two\nlines"'),
        ("two\rlines", b'"two\rlines"'),
        ("two\r\nlines", b'"two\r\nlines"'),
        ("01012345678", b"01012345678"),
        ("김\u2028é", "김\u2028é".encode()),
    ],
)
def test_a_cell_is_quoted_where_it_must_be_and_never_altered(tmp_path: Path, cell: str, written: bytes) -> None:
    path = tmp_path / "people.retry.csv"

    content = write(path, RetryFormat("csv", ("id", "name")), Row(7, {"id": "1", "name": cell}))

    assert content.split(b"\r\n", 1)[1] == b"1," + written + b",7," + OWN_CSV + b"\r\n"
    assert [row.fields["name"] for row in read(path) if isinstance(row, Row)] == [cell]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_that_of_the_source(tmp_path: Path, delimiter: str) -> None:
    shape = RetryFormat("csv", ("id", "name"), delimiter)

    content = write(tmp_path / "people.retry.csv", shape, Row(7, {"id": "1,2", "name": f"a{delimiter}b"}))

    header, row = content.decode().splitlines()
    assert header == delimiter.join(["id", "name", "_row", "_kind", "_code", "_reason", "_attempts"])
    assert row == delimiter.join(["1,2", f'"a{delimiter}b"', "7", *OWN_CSV.decode().split(",")])


@pytest.mark.parametrize(
    ("encoding", "begins"),
    [("utf-8", b"id"), ("utf-8-sig", b"\xef\xbb\xbfid"), ("utf-16", "\ufeffi".encode("utf-16-le")), ("cp949", b"id")],
)
def test_the_encoding_is_that_of_the_source_with_its_mark_once(tmp_path: Path, encoding: str, begins: bytes) -> None:
    path = tmp_path / "people.retry.csv"
    rows = [Row(number, {"id": str(number), "name": "김철수"}) for number in (7, 8)]

    content = write(path, RetryFormat("csv", ("id", "name"), encoding=encoding), *rows)

    assert content.startswith(begins)
    assert content.decode(encoding).count("김철수,") == 2
    assert "\ufeff" not in content.decode(encoding)
    assert [row.fields["name"] for row in read(path, encoding) if isinstance(row, Row)] == ["김철수", "김철수"]


def test_a_record_that_was_not_split_stands_in_a_sixth_column(tmp_path: Path) -> None:
    path = tmp_path / "people.retry.csv"
    shape = RetryFormat("csv", ("id", "name"), raw=True)

    content = write(
        path,
        shape,
        Row(7, {"id": "1", "name": "Kim"}),
        Damaged(9, REASON, 10, 'bro"ken\n,'),
        remark=RetryRemark("k", "c", "r", 0),
    )

    assert content == (
        b'id,name,_row,_kind,_code,_reason,_attempts,_raw\r\n1,Kim,7,k,c,r,0,\r\n,,9,k,c,r,0,"bro""ken\n,"\r\n'
    )
    assert [(type(record), getattr(record, "text", None)) for record in read(path)] == [
        (Row, ""),
        (Damaged, 'bro"ken\n,'),
    ]


def test_a_retry_of_a_retry_does_not_stack_the_columns(tmp_path: Path) -> None:
    columns = ("id", "_row", "_kind", "_code", "_reason", "_attempts", "_raw")
    row = Row(1, {**dict.fromkeys(columns, "old"), "id": "5"})

    content = write(
        tmp_path / "people.retry.csv", RetryFormat("csv", columns), row, remark=RetryRemark("rejected", "c", "r", 1)
    )

    assert content == b"id,_row,_kind,_code,_reason,_attempts\r\n5,1,rejected,c,r,1\r\n"


# JSONL


@pytest.mark.parametrize(
    "text",
    [
        '{"id":"1","score":1.10,"big":12345678901234567890123,"e":1E5}',
        '{ "id" : "1" , "tags" : [ 1.0, "\\u00e9" ] }',
        '{"id":"1","note":"the \\"_row\\" of a retry file, and \\"_attempts\\":5}"}',
        '{"id":"1","inner":{"_row":1,"_kind":"a","_code":"b","_reason":"c","_attempts":2}}',
        '{"name":"김","zero":-0.0}',
    ],
)
def test_an_object_keeps_every_byte_and_gets_five_more_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text(text + "\n", encoding="utf-8")
    with opened(path) as source:
        (record,) = source.read()
    assert isinstance(record, Row)

    content = write(tmp_path / "people.retry.jsonl", RetryFormat("jsonl"), Row(7, record.fields, 1, record.text))

    assert content.decode() == text.removesuffix("}").rstrip() + "," + OWN_JSON


@pytest.mark.parametrize("text", ["{}", "{ }", "  {}  "])
def test_an_object_without_keys_gets_the_five_alone(tmp_path: Path, text: str) -> None:
    content = write(tmp_path / "people.retry.jsonl", RetryFormat("jsonl"), Row(7, {}, 1, text))

    assert content.decode() == "{" + OWN_JSON


def test_a_line_that_was_not_split_stands_under_a_sixth_key(tmp_path: Path) -> None:
    path = tmp_path / "people.retry.jsonl"

    content = write(path, RetryFormat("jsonl"), Damaged(7, REASON, 7, '{"id": "1", "na'), Row(8, {}, 8, "{}"))

    assert content.decode().splitlines()[0] == "{" + OWN_JSON[:-2] + ',"_raw":"{\\"id\\": \\"1\\", \\"na"}'
    damaged, row = read(path)
    assert isinstance(damaged, Damaged)
    assert damaged.text == '{"id": "1", "na'
    assert isinstance(row, Row)


OLD = '"_row":3,"_kind":"rejected","_code":"not_long","_reason":"column \'age\': \\"x\\"","_attempts":0'


@pytest.mark.parametrize(
    ("edited", "fields"),
    [
        (f'{{"id":"1","score":1.10,{OLD}}}', '{"id":"1","score":1.10'),
        (f'{{"id":"1","score":1.10,{OLD}}}  ', '{"id":"1","score":1.10'),
        (f"{{{OLD}}}", "{"),
        (f'{{{OLD},"_raw":"","id":"1"}}', '{"id":"1"'),
        (f'{{"id":"1","_raw":"",{OLD}}}', '{"id":"1"'),
        (f'{{"id":"1",{OLD},"name":"Kim"}}', '{"id":"1","name":"Kim"'),
        ('{"id":"1", "_row": 3, "_kind": "rejected", "_code": "", "_reason": "", "_attempts": 0}', '{"id":"1"'),
        ('{"id":"1","_row":3,"_kind":"x","name":"Kim"}', '{"id":"1","name":"Kim"'),
        ('{"id":"1","\\u005frow":3}', '{"id":"1"'),
        (f'{{"note":"_row, \\"_row\\"",{OLD}}}', '{"note":"_row, \\"_row\\""'),
        (f'{{"in":{{"_row":1}},"x":1.10,{OLD}}}', '{"in":{"_row":1},"x":1.10'),
    ],
)
def test_a_retry_of_a_retry_does_not_stack_the_keys_however_its_line_was_edited(
    tmp_path: Path, edited: str, fields: str
) -> None:
    path = tmp_path / "people.retry.jsonl"
    path.write_text(f'{edited}\n{{"id":"2",{OLD}}}\n', encoding="utf-8")
    with opened(path) as source:
        record = next(source.read())
    assert isinstance(record, Row)

    content = write(tmp_path / "again.jsonl", RetryFormat("jsonl"), Row(7, record.fields, 1, record.text))

    assert content.decode() == fields + ("" if fields.endswith("{") else ",") + OWN_JSON


@pytest.mark.parametrize(
    ("encoding", "begins"),
    [("utf-8", b"{"), ("utf-8-sig", b"\xef\xbb\xbf{"), ("utf-16", b"\xff\xfe{\0"), ("cp949", b"{")],
)
def test_lines_are_in_the_encoding_of_the_source(tmp_path: Path, encoding: str, begins: bytes) -> None:
    path = tmp_path / "people.retry.jsonl"
    row = Row(7, {"name": "김"}, 1, '{"name":"김"}')

    content = write(path, RetryFormat("jsonl", encoding=encoding), row, row)

    assert content.startswith(begins)
    assert content.decode(encoding).replace("\ufeff", "x") == ('{"name":"김",' + OWN_JSON) * 2
    assert [record.fields["name"] for record in read(path, encoding) if isinstance(record, Row)] == ["김", "김"]


def test_a_character_that_the_encoding_lacks_is_written_as_an_escape(tmp_path: Path) -> None:
    path = tmp_path / "people.retry.jsonl"
    row = Row(7, {"name": "é😀김"})

    content = write(path, RetryFormat("jsonl", encoding="cp949"), row)

    assert content.decode("cp949") == '{"name":"\\u00e9\\ud83d\\ude00\\uae40",' + OWN_JSON
    assert [record.fields["name"] for record in read(path, "cp949") if isinstance(record, Row)] == ["é😀김"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (12345678901234567890, "12345678901234567890"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        ("김", '"김"'),
        (date(1990, 1, 2), '"1990-01-02"'),
        (datetime(2024, 3, 5, 9, 30, tzinfo=SEOUL), '"2024-03-05T00:30:00.000Z"'),
        (datetime(2024, 3, 5, 9, 30, 0, 123456, tzinfo=UTC), '"2024-03-05T09:30:00.123Z"'),
        (datetime(2024, 3, 5, 9, 30), '"2024-03-05T09:30:00"'),  # noqa: DTZ001 — what Parquet has without a zone
        (["a", None, 1.5, date(1990, 1, 2)], '["a",null,1.5,"1990-01-02"]'),
        ({"a": [1], "b": {"c": None}}, '{"a":[1],"b":{"c":null}}'),
        (float("nan"), '{"float":"nan"}'),
        ([1.0, float("inf")], '[1.0,{"float":"inf"}]'),
        (Decimal("12.50"), '{"Decimal":"12.50"}'),
        (time(9, 30), '{"time":"09:30:00"}'),
        (b"\x00a", '{"bytes":"b\'\\\\x00a\'"}'),
        (datetime(1, 1, 1, tzinfo=SEOUL), '{"datetime":"0001-01-01 00:00:00+09:00"}'),
    ],
)
def test_what_only_parquet_has_is_spelled_so_that_it_means_the_same(
    tmp_path: Path, value: object, written: str
) -> None:
    path = tmp_path / "people.retry.jsonl"

    content = write(path, RetryFormat("jsonl"), Row(7, {"id": "1", "it": value}))

    assert content.decode() == f'{{"id":"1","it":{written},' + OWN_JSON
    assert [type(record) for record in read(path)] == [Row]


def test_a_null_of_parquet_leaves_its_key_out_so_that_the_retry_clears_nothing(tmp_path: Path) -> None:
    content = write(tmp_path / "people.retry.jsonl", RetryFormat("jsonl"), Row(7, {"id": "1", "age": None}))

    assert content.decode() == '{"id":"1",' + OWN_JSON


def test_a_null_of_jsonl_stays_a_null(tmp_path: Path) -> None:
    row = Row(7, {"id": "1", "age": None, "_row": 1}, text='{"id":"1","age":null,"_row":1}')

    content = write(tmp_path / "people.retry.jsonl", RetryFormat("jsonl"), row)

    assert content.decode() == '{"id":"1","age":null,' + OWN_JSON


# The file itself


def test_nothing_is_made_until_there_is_a_row(tmp_path: Path) -> None:
    with RetryFile(tmp_path / "new" / "folder" / "people.retry.csv", RetryFormat("csv", ("id",))) as retry:
        assert list(tmp_path.rglob("*.*")) == []

    assert (retry.path, list(tmp_path.iterdir())) == (None, [])


def test_a_missing_folder_is_made_for_a_row(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "people.retry.csv"

    write(path, RetryFormat("csv", ("id",)), Row(7, {"id": "1"}))

    assert [str(found.relative_to(tmp_path)) for found in sorted(tmp_path.rglob("*"))] == [
        "new",
        "new/folder",
        "new/folder/people.retry.csv",
    ]


@pytest.mark.parametrize(
    ("wanted", "then"),
    [
        ("people.retry.csv", ["people.retry.2.csv", "people.retry.3.csv"]),
        ("people.retry", ["people.2.retry", "people.3.retry"]),
        ("people", ["people.2", "people.3"]),
        ("예.retry.jsonl", ["예.retry.2.jsonl", "예.retry.3.jsonl"]),
    ],
)
def test_an_existing_file_is_never_touched(tmp_path: Path, wanted: str, then: list[str]) -> None:
    (tmp_path / wanted).write_bytes(b"mine")
    paths = []

    for _ in range(2):
        with RetryFile(tmp_path / wanted, RetryFormat("csv", ("id",))) as retry:
            retry.write(Row(7, {"id": "1"}), REMARK)
        paths.append(retry.path)

    assert paths == [tmp_path / name for name in then]
    assert (tmp_path / wanted).read_bytes() == b"mine"


def test_a_link_that_leads_nowhere_is_no_free_place(tmp_path: Path) -> None:
    (tmp_path / "people.retry.csv").symlink_to(tmp_path / "elsewhere")

    with RetryFile(tmp_path / "people.retry.csv", RetryFormat("csv", ("id",))) as retry:
        retry.write(Row(7, {"id": "1"}), REMARK)

    assert retry.path == tmp_path / "people.retry.2.csv"
    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture(params=[0o000, 0o022, 0o277, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_only_its_owner_can_read_it_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "people.retry.csv"

    with RetryFile(path, RetryFormat("csv", ("id",))) as retry:
        retry.write(Row(7, {"id": "1"}), REMARK)

    assert (umask, oct(stat.S_IMODE(path.stat().st_mode))) == (umask, "0o600")


def test_a_row_is_on_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "people.retry.csv"

    with RetryFile(path, RetryFormat("csv", ("id",))) as retry:
        retry.write(Row(7, {"id": "1"}), REMARK)
        content = path.read_bytes()

    assert content.endswith(OWN_CSV + b"\r\n")


def test_a_place_that_cannot_be_written_is_found_by_the_trial(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "people.retry.csv"

    with pytest.raises(StorageError) as caught, RetryFile(path, RetryFormat("csv", ("id",))):
        pass

    assert (
        str(caught.value)
        == f"{path}: can't be written (Not a directory). Allow writing there, or name another --retry-file."
    )
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_gone_since_the_trial_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()

    with RetryFile(folder / "people.retry.csv", RetryFormat("csv", ("id",))) as retry:
        folder.rmdir()
        with pytest.raises(StorageError) as caught:
            retry.write(Row(7, {"id": "1"}), REMARK)

    assert str(caught.value) == (
        f"{folder / 'people.retry.csv'}: can't be written (No such file or directory). "
        "Allow writing there, or name another --retry-file."
    )


FULL = """
import resource, sys
from pathlib import Path
from uploader.errors import StorageError
from uploader.model import Row
from uploader.outputs.retry_file import RetryRemark, RetryFile, RetryFormat

before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), before[1]))
with RetryFile(Path(sys.argv[1]), RetryFormat("csv", ("id",))) as retry:
    for number in range(1, 4):
        try:
            retry.write(Row(number, {"id": '"' * 10}), RetryRemark("failed", "c", "r", 1))
        except StorageError as error:
            print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, before)
print(retry.path)
"""
HEADER = b"id,_row,_kind,_code,_reason,_attempts\r\n"
FIRST = b'"' * 22 + b",1,failed,c,r,1\r\n"


@pytest.mark.parametrize(
    ("room", "left", "said"),
    [
        (len(HEADER + FIRST) + 9, HEADER + FIRST, ["part", "part"]),
        (len(HEADER + FIRST), HEADER + FIRST, ["full", "full"]),
        (len(HEADER) + 9, HEADER, ["part"] * 3),
        (9, None, ["part"] * 3),
        (0, None, ["full"] * 3),
    ],
)
def test_a_disk_that_is_full_leaves_whole_rows_only(
    tmp_path: Path, room: int, left: bytes | None, said: list[str]
) -> None:
    path = tmp_path / "people.retry.csv"
    whole = {
        "part": f"{path}: could take only a part of a row. Free some space there, then run again.",
        "full": f"{path}: can't be extended (File too large). Free some space there, then run again.",
    }

    ended = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(room)], capture_output=True, text=True, check=True
    )

    assert ended.stdout.splitlines() == [*(whole[kind] for kind in said), str(path if left is not None else None)]
    assert (path.read_bytes() if path.exists() else None) == left


def test_a_number_that_a_double_does_not_hold_is_not_rounded_when_its_row_is_written_anew(tmp_path: Path) -> None:
    own = {"_row": 7, "_kind": "failed", "_code": "", "_reason": "", "_attempts": 1}
    row = Row(1, {**own, "a": WrittenFloat("9007199254740993.0"), "b": WrittenFloat("1e300")}, 1, "{}")

    path = tmp_path / "people.retry.jsonl"
    write(path, RetryFormat("jsonl"), row)

    (found,) = (json.loads(line) for line in path.read_text().splitlines())
    assert (found["a"], found["b"]) == ({"WrittenFloat": "9007199254740993.0"}, 1e300)
