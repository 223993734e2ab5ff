"""Send the retry file as it is, and the server is right: whatever the format, delimiter and encoding."""

import csv
import io
import json
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeAlias

import polars as pl
import pytest

from tests.command import Desk, names, names_of, rules
from uploader.model import RETRY_COLUMNS, RUN_COLUMN
from uploader.sandbox import RunningSandbox

Cells: TypeAlias = dict[str, str]

COLUMNS = ("id", "name", "phone", "age", "born", "wants", "note")
MAPPING = """\
mapping:
  identity: {external_id: id, phone_no: phone}
  properties:
    df_name: name
    age: {column: age, type: long}
    df_birth: {column: born, type: date}
    df_push_optin: wants
    note: note
"""
FULL = {"age": "30", "born": "2001-02-03", "wants": "true", "note": "x"}

PEOPLE: list[Cells] = [
    {"id": "0001", "name": "홍길동", "phone": "821011112222", **FULL},
    {"id": "0002", "name": "first", "phone": "821022223333", **FULL},
    {"id": "0003", "name": 'the "third", really', "phone": "821033334444", **FULL},
    {"id": "0002", "name": "second", "phone": "821022223333", **FULL, "wants": "false", "age": "31"},
    {"id": "0004", "name": "한 줄; 두 줄\r\n\t탭", "phone": "821044445555", **FULL, "note": " |\\n "},
    {"id": "0003", "name": "last", "phone": "821033334444", **FULL, "wants": "false"},
    {"id": "0005", "name": "오", "phone": "821055556666", **FULL},
    {"id": "0002", "name": "third", "phone": "821022223333", **FULL, "note": "the newest"},
]
"""Of 0002 the first row fails and the later ones are accepted; of 0003 both rows fail; 0004 and 0005 fail or not."""

FAULTS = ("code=50000 for df_name=first times 2", "http=500 for external_id=0003 times 4", "hang for age=31 after 99")
FAULT_OF_0004 = "drop-after for external_id=0004 times 2"
RETRIED = [(2, "failed"), (3, "failed"), (4, "again"), (5, "failed"), (6, "failed"), (8, "again")]


def _expected() -> dict[str, dict[str, object]]:
    """Return what the service must hold in the end: of each person the last row."""
    return {
        row["id"]: {
            "df_name": row["name"],
            "age": int(row["age"]),
            "df_birth": row["born"],
            "df_push_optin": row["wants"] == "true",
            "note": row["note"],
        }
        for row in PEOPLE
    }


def _held(server: RunningSandbox) -> dict[str, dict[str, object]]:
    return {profile.identity["external_id"]: dict(profile.properties) for profile in server.sandbox.profiles()}


def _csv(rows: list[Cells], delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _typed(row: Cells) -> dict[str, object]:
    return {**row, "age": int(row["age"]), "wants": row["wants"] == "true"}


def _jsonl(rows: list[Cells]) -> str:
    return "".join(json.dumps(_typed(row), ensure_ascii=False) + "\n" for row in rows)


def _parquet(rows: list[Cells]) -> bytes:
    written = io.BytesIO()
    pl.DataFrame([{**_typed(row), "born": date.fromisoformat(row["born"])} for row in rows]).write_parquet(written)
    return written.getvalue()


CONTENTS: Mapping[str, bytes] = {
    "csv": _csv(PEOPLE).encode(),
    "jsonl": _jsonl(PEOPLE).encode(),
    "parquet": _parquet(PEOPLE),
}


def _assert_mended_by_its_retry_file(desk: Desk, server: RunningSandbox, retry: str) -> None:
    assert _held(server) != _expected()

    ended = desk.type("run", retry, "--summary", "again.json")

    assert (ended.status, ended.out, ended.err) == (0, "", "")
    # All that two rows of 0002 have was set by the third, which was accepted already and follows them.
    assert desk.books("again.json") == {"sent": len(RETRIED) - 2, "superseded": 2}
    assert _held(server) == _expected()
    assert server.sandbox.report().not_stored == {}


def _json_rows(path: Path) -> list[tuple[object, object]]:
    return [(row["_row"], row["_kind"]) for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())]


@pytest.mark.parametrize("suffix", CONTENTS)
def test_the_retry_file_of_a_file_makes_the_server_right(
    desk: Desk, sandbox: Callable[..., RunningSandbox], suffix: str
) -> None:
    server = sandbox(rules(*FAULTS, FAULT_OF_0004))
    desk.configure(server.url, mapping=MAPPING)
    desk.write(f"people.{suffix}", CONTENTS[suffix])

    ended = desk.type("run", f"people.{suffix}", "--summary", "summary.json")

    assert ended.status == 3
    assert desk.books() == {"sent": 4, "failed": 4}
    retry = desk.summary()["retry_file"]
    assert retry == ("people.retry.csv" if suffix == "csv" else "people.retry.jsonl")
    found = [row[:2] for row in desk.retry_rows()] if suffix == "csv" else _json_rows(desk.folder / retry)
    assert sorted(found) == RETRIED
    _assert_mended_by_its_retry_file(desk, server, retry)


@pytest.mark.parametrize("suffix", CONTENTS)
def test_the_retry_file_of_standard_input_makes_the_server_right(
    desk: Desk, sandbox: Callable[..., RunningSandbox], suffix: str
) -> None:
    server = sandbox(rules(*FAULTS, FAULT_OF_0004))
    desk.configure(server.url, mapping=MAPPING)

    ended = desk.type("run", "-", "--summary", "summary.json", stdin=CONTENTS[suffix])

    assert ended.status == 3
    assert desk.books() == {"sent": 4, "failed": 4}
    assert desk.summary()["retry_file"] == "stdin.retry.jsonl"
    assert sorted(_json_rows(desk.folder / "stdin.retry.jsonl")) == RETRIED
    _assert_mended_by_its_retry_file(desk, server, "stdin.retry.jsonl")


@dataclass(frozen=True)
class Written:
    """How a CSV is written: as what, what the configuration says of it, and the mark that its bytes begin with."""

    encoding: str
    delimiter: str
    more: str
    mark: bytes = b""


@pytest.mark.parametrize(
    "written",
    [
        Written("utf-8", ";", 'source: {delimiter: ";"}\n'),
        Written("utf-8", "\t", 'source: {delimiter: "\\t"}\n'),
        Written("utf-8-sig", ",", "", b"\xef\xbb\xbf"),
        Written("utf-16", ",", "", b"\xff\xfe"),
        Written("utf-16-le", ";", 'source: {encoding: utf-16-le, delimiter: ";"}\n'),
        Written("cp949", "|", 'source: {encoding: cp949, delimiter: "|"}\n'),
    ],
    ids=lambda written: f"{written.encoding} {written.delimiter!r}",
)
def test_the_retry_file_keeps_delimiter_and_encoding(
    desk: Desk, sandbox: Callable[..., RunningSandbox], written: Written
) -> None:
    server = sandbox(rules(*FAULTS, FAULT_OF_0004))
    desk.configure(server.url, mapping=MAPPING, more=written.more)
    desk.write("people.csv", _csv(PEOPLE, written.delimiter).encode(written.encoding))

    assert desk.type("run", "people.csv").status == 3

    kept = (desk.folder / "people.retry.csv").read_bytes()
    lines = list(csv.reader(io.StringIO(kept.decode(written.encoding), newline=""), delimiter=written.delimiter))
    assert kept.startswith(written.mark)
    assert tuple(lines[0]) == (*COLUMNS, *RETRY_COLUMNS, RUN_COLUMN)
    assert [line[: len(COLUMNS)] for line in sorted(lines[1:], key=lambda line: int(line[len(COLUMNS)]))] == [
        list(PEOPLE[number - 1].values()) for number, _ in RETRIED
    ]
    _assert_mended_by_its_retry_file(desk, server, "people.retry.csv")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp949"])
def test_the_retry_file_of_jsonl_keeps_its_encoding(
    desk: Desk, sandbox: Callable[..., RunningSandbox], encoding: str
) -> None:
    server = sandbox(rules(*FAULTS, FAULT_OF_0004))
    desk.configure(server.url, mapping=MAPPING, more="source: {encoding: cp949}\n" if encoding == "cp949" else "")
    desk.write("people.jsonl", _jsonl(PEOPLE).encode(encoding))

    assert desk.type("run", "people.jsonl").status == 3

    text = (desk.folder / "people.retry.jsonl").read_bytes().decode(encoding)
    assert sorted(json.loads(line)["_row"] for line in text.splitlines()) == [number for number, _ in RETRIED]
    _assert_mended_by_its_retry_file(desk, server, "people.retry.jsonl")


def test_the_retry_file_is_read_by_its_owner_alone(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules("code=40001 for external_id=2")).url)
    desk.people(3)

    assert desk.type("run", "people.csv").status == 3

    assert stat.S_IMODE((desk.folder / "people.retry.csv").stat().st_mode) == 0o600
    found = re.fullmatch(
        rb"id,name,_row,_kind,_code,_reason,_attempts,_run\r\n"
        rb"2,name2,2,rejected,40001,refused by the service: VALIDATION_FAILURE \(40001\),1,r1-[0-9a-f]{8}\r\n",
        (desk.folder / "people.retry.csv").read_bytes(),
    )
    assert found is not None


def test_an_existing_retry_file_is_never_overwritten(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules("code=40001 for external_id=2")).url)
    desk.people(3)
    desk.write("people.retry.csv", "an older one")

    found = []
    for _ in range(2):
        assert desk.type("run", "people.csv", "--summary", "summary.json").status == 3
        found.append(desk.summary()["retry_file"])

    assert found == ["people.retry.2.csv", "people.retry.3.csv"]
    assert (desk.folder / "people.retry.csv").read_text() == "an older one"
    # The rows of the second stand in the third, too, so that only this one is left.
    assert [row[:2] for row in desk.retry_rows("people.retry.3.csv")] == [(2, "rejected")]
    assert not (desk.folder / "people.retry.2.csv").exists()


def test_no_retry_file_is_made_when_nothing_is_to_retry(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules("code=50000 times 2")).url)
    desk.people(3)

    ended = desk.type("run", "people.csv", "--set", "retry.attempts=9", "--summary", "summary.json")

    assert ended.status == 0
    assert desk.summary()["retry_file"] is None
    assert desk.files() == ["config.yaml", "people.csv", "summary.json"]


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("--retry-file", "people.csv"), "people.csv"),
        (("--retry-file", "./other/../people.csv"), "other/../people.csv"),
        (("--retry-file", "link.csv"), "link.csv"),
        (("--set", 'output.retry_file="{dir}/{stem}{suffix}"'), "people.csv"),
    ],
)
def test_a_retry_file_that_is_the_source_is_refused(
    desk: Desk, sandbox: Callable[..., RunningSandbox], words: tuple[str, ...], path: str
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    content = desk.people(3).read_bytes()
    (desk.folder / "other").mkdir()
    (desk.folder / "link.csv").symlink_to("people.csv")

    ended = desk.type("run", "people.csv", *words)

    assert (ended.status, ended.last_line) == (
        2,
        f"The retry file {path} is the SOURCE itself. Name another --retry-file or output.retry_file.",
    )
    assert server.sandbox.requests() == []
    assert (desk.folder / "people.csv").read_bytes() == content


def test_one_retry_file_for_several_sources_is_refused(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(3)
    desk.people(3, "others.csv")

    ended = desk.type("run", "people.csv", "others.csv", "--retry-file", "out.csv")

    assert (ended.status, ended.err) == (
        2,
        "--retry-file goes with one SOURCE; with several, set output.retry_file to a template.\n",
    )
    assert server.sandbox.requests() == []


def test_a_retry_file_that_can_not_be_written_stops_the_run_before_any_request(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(3)

    ended = desk.type("run", "people.csv", "--retry-file", "people.csv/out.csv", "--summary", "summary.json")

    assert (ended.status, ended.last_line) == (
        7,
        "people.csv/out.csv: can't be written (Not a directory). Allow writing there, or name another --retry-file.",
    )
    assert server.sandbox.requests() == []
    assert desk.books() == {}


def test_a_summary_that_can_not_be_written_stops_the_run_before_any_request(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(3)

    ended = desk.type("run", "people.csv", "--summary", "people.csv/summary.json")

    assert (ended.status, ended.last_line) == (
        7,
        "people.csv/summary.json: the summary can't be written (Not a directory). Name another --summary.",
    )
    assert server.sandbox.requests() == []


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ((), "people.retry.csv"),
        (("--retry-file", "here/mine.txt"), "here/mine.txt"),
        # From the configuration, a relative path starts at its folder.
        (("--set", "output.retry_file=failed/{stem}{suffix}"), "failed/people.csv"),
        (("--set", 'output.retry_file="{dir}/failed/{stem}.x{suffix}"'), "failed/people.x.csv"),
    ],
)
def test_the_retry_file_goes_where_it_is_wanted(
    desk: Desk, sandbox: Callable[..., RunningSandbox], words: tuple[str, ...], place: str
) -> None:
    desk.configure(sandbox(rules("code=40001 for external_id=2")).url)
    desk.people(3)

    assert desk.type("run", "people.csv", *words).status == 3

    assert [row[:2] for row in desk.retry_rows(place)] == [(2, "rejected")]


BROKEN_LINES = {
    "csv": ('id,name\n1,name1\n2\n3,name3,x\n"4"x,name4\n5,name5\n', ["2", "3,name3,x", '"4"x,name4']),
    "jsonl": (
        '{"id": "1", "name": "name1"}\n{"id": "2", "na\n["3"]\n{"id": "4", "id": "4"}\n{"id": "5", "name": "name5"}\n',
        ['{"id": "2", "na', '["3"]', '{"id": "4", "id": "4"}'],
    ),
}


@pytest.mark.parametrize("suffix", BROKEN_LINES)
def test_a_record_that_can_not_be_split_is_kept_as_its_text_and_never_sent(
    desk: Desk, sandbox: Callable[..., RunningSandbox], suffix: str
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    content, broken = BROKEN_LINES[suffix]
    desk.write(f"people.{suffix}", content)

    ended = desk.type("run", f"people.{suffix}", "--summary", "summary.json")
    first = _retried(desk.folder / f"people.retry.{suffix}")
    again = desk.type("run", f"people.retry.{suffix}", "--summary", "again.json")

    assert (ended.status, again.status) == (3, 3)
    assert (desk.books(), desk.books("again.json")) == ({"sent": 2, "rejected": 3}, {"rejected": 3})
    assert [row["_raw"] for row in first] == broken
    assert [row["_raw"] for row in _retried(desk.folder / f"people.retry.retry.{suffix}")] == broken
    assert names(server) == names_of([1, 5])


@pytest.mark.parametrize("suffix", BROKEN_LINES)
def test_a_mended_record_is_sent(desk: Desk, sandbox: Callable[..., RunningSandbox], suffix: str) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.write(f"people.{suffix}", BROKEN_LINES[suffix][0])
    assert desk.type("run", f"people.{suffix}").status == 3

    path = desk.folder / f"people.retry.{suffix}"
    mended = [
        {**row, "id": str(number), "name": f"name{number}", "_raw": ""}
        for number, row in zip((2, 3, 4), _retried(path), strict=True)
    ]
    if suffix == "csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, mended[0])
            writer.writeheader()
            writer.writerows(mended)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in mended), encoding="utf-8")
    ended = desk.type("run", path.name)

    assert (ended.status, ended.err) == (0, "")
    assert names(server) == names_of(range(1, 6))


def _retried(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file]


def test_the_columns_of_a_retry_file_are_never_sent(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=50000 for external_id=2 times 2"))
    desk.configure(server.url, mapping="mapping: {identity: {external_id: id}, other_columns: send}\n")
    desk.people(3)
    assert desk.type("run", "people.csv").status == 3

    ended = desk.type("run", "people.retry.csv")

    assert ended.status == 0
    assert {profile.identity["external_id"]: dict(profile.properties) for profile in server.sandbox.profiles()} == {
        str(number): {"name": f"name{number}"} for number in (1, 2, 3)
    }


def test_a_row_after_a_rejected_one_of_its_person_follows_it_in_the_retry_file(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING)
    rows = [dict(PEOPLE[0]), dict(PEOPLE[0]), dict(PEOPLE[6]), dict(PEOPLE[0])]
    rows[0]["wants"] = "maybe"
    rows[3]["wants"] = "false"
    desk.write("people.csv", _csv(rows))
    assert desk.type("run", "people.csv").status == 3
    again = (2, "again", "", "accepted, but an earlier row of the same person was not: send it after that", 1)

    kept = desk.retry_rows()
    path = desk.folder / "people.retry.csv"
    path.write_bytes(path.read_bytes().replace(b"maybe", b"yes"))
    ended = desk.type("run", "people.retry.csv")

    reason = "column 'wants' → df_push_optin: \"maybe\" is neither true nor false"
    assert kept == [(1, "rejected", "not_boolean", reason, 0), again, (4, *again[1:])]
    assert ended.status == 0
    assert _held(server)["0001"]["df_push_optin"] is False


def test_a_null_of_parquet_is_an_empty_cell_in_the_retry_file_too(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=50000 for external_id=1 times 2"))
    desk.configure(
        server.url,
        mapping="""\
mapping:
  identity: {external_id: id}
  properties: {df_name: name, score: score, df_push_optin: wants}
""",
    )
    written = io.BytesIO()
    pl.DataFrame({"id": ["1", "2"], "name": ["a", "b"], "score": [None, 1.5], "wants": [None, True]}).write_parquet(
        written
    )
    desk.write("people.parquet", written.getvalue())
    assert desk.type("run", "people.parquet").status == 3

    ended = desk.type("run", "people.retry.jsonl")

    assert (ended.status, ended.err) == (0, "")
    assert b"null" not in server.sandbox.requests()[-1].body


def test_the_command_that_is_told_can_be_typed_whatever_the_name(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules("code=40001 for external_id=1")).url)
    desk.people(3, "-people.csv")
    told = desk.type("run", "--", "-people.csv").last_line

    again = desk.type(*shlex.split(told)[1:])

    assert again.status == 3
