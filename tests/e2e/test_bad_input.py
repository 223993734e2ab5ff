"""Refuse in one line what is wrong as a whole, before anything is sent; a bad row is rejected alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Desk, names, names_of, rules
from uploader.sandbox import RunningSandbox, Sandbox
from uploader.sandbox.service import Arrival, IncomingRequest, PlannedReply

FILES: dict[str, str | bytes] = {
    "people.csv": "id,name\n1,name1\n2,name2\n",
    "empty.csv": "",
    "blank.csv": "\n\n\n",
    "blank.jsonl": "\n \n",
    "no name.csv": "id,title\n1,a\n",
    "near.csv": "id,nmae\n1,a\n",
    "neither.csv": "a,b\n1,2\n",
    "semicolons.csv": "id;name\n1;a\n",
    "twice.csv": "id,name,name\n1,a,b\n",
    "page.csv": "<!DOCTYPE html>\n<html><body>login</body></html>\n",
    "unclosed.csv": 'id,name\n1,"a\n2,b\n',
    "bytes.csv": b"id,name\n1,\xff\xfe\xfa\n",
    "json.csv": '{"id": "1", "name": "a"}\n',
    "csv.parquet": "id,name\n1,a\n",
    "parquet.csv": b"PAR1\x00\x00PAR1",
    "cut.parquet": b"PAR1\x00\x00",
    "packed.csv": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "book.csv": b"PK\x03\x04\x14\x00",
    "csv.jsonl": "id,name\n1,a\n",
    "array.jsonl": '["1", "a"]\n',
    "other keys.jsonl": '{"key": "1"}\n',
    "no name.jsonl": '{"id": "1"}\n{"id": "2", "other": 1}\n',
}

COLUMN = "Change mapping.properties.df_name in config.yaml."

REFUSED = [
    ("empty.csv", "empty.csv is empty. Check how it was made."),
    ("blank.csv", "blank.csv has only blank lines. Check how it was made."),
    ("blank.jsonl", "blank.jsonl has only blank lines. Check how it was made."),
    ("no name.csv", f"no name.csv has no column 'name' (it has: id, title). {COLUMN}"),
    ("near.csv", f"near.csv has no column 'name' (it has: id, nmae). Did you mean 'nmae'? {COLUMN}"),
    (
        "neither.csv",
        (
            "neither.csv has no column 'id', nor any other that the mapping names. Is its first line a header, and is "
            "source.delimiter right? Otherwise change mapping.identity.external_id in config.yaml."
        ),
    ),
    (
        "semicolons.csv",
        "semicolons.csv: the header has no delimiter ',', but ';'. Is the delimiter ';'? Set source.delimiter: \";\".",
    ),
    (
        "page.csv",
        (
            "page.csv is an HTML page, whatever its name says: admin pages export tables so, as .xls, and a login or "
            "error page may be saved so. Open it in a spreadsheet and save it as CSV UTF-8, or export it again as CSV."
        ),
    ),
    (
        "unclosed.csv",
        (
            "unclosed.csv: record 1, which begins on line 2, opens a quote that is never closed. "
            "Close the quote, or double it where it belongs to the field."
        ),
    ),
    (
        "json.csv",
        "json.csv looks like JSONL: its first line is a JSON object. Set source.format: jsonl or rename it.",
    ),
    (
        "csv.parquet",
        "csv.parquet is not Parquet: it does not begin with PAR1. Set source.format: csv or jsonl or rename it.",
    ),
    ("parquet.csv", "parquet.csv holds Parquet, not CSV. Set source.format: parquet or rename it."),
    (
        "cut.parquet",
        (
            "cut.parquet can't be read as Parquet: it is cut off, damaged, or holds what polars can't read. "
            "Write it again."
        ),
    ),
    (
        "packed.csv",
        "packed.csv is cut off or damaged (gzip): it ends after 8 bytes, in the middle of what it holds. Get it again.",
    ),
    ("book.csv", "book.csv is an Excel workbook or a ZIP archive; save it as CSV, or unpack it first."),
    (
        "csv.jsonl",
        "csv.jsonl: not one line is a JSON object. JSONL has an object on each line; see source.format.",
    ),
    (
        "array.jsonl",
        "array.jsonl: not one line is a JSON object. JSONL has an object on each line; see source.format.",
    ),
    ("no name.jsonl", f"no name.jsonl has no column 'name' (it has: id, other). {COLUMN}"),
    ("nowhere.csv", "nowhere.csv: no such file. Check the path."),
    (".", ". is a directory. Name a file in it."),
    ("people.csv/inner.csv", "people.csv/inner.csv can't be read: Not a directory. Fix that, then run again."),
]

MISUSED = [
    (
        ("people.csv", "--config", "nowhere.yaml"),
        (
            "no nowhere.yaml here: run `uploader init people.csv --config nowhere.yaml` to write one, "
            "or name one with --config"
        ),
    ),
    (
        ("people.csv", "--config", "."),
        (
            ". can't be read (Is a directory): move it away and run `uploader init people.csv --config .` to write "
            "one, or name another with --config"
        ),
    ),
    (
        ("people.csv", "--config", "empty.csv"),
        (
            "empty.csv is empty: move it away and run `uploader init people.csv --config empty.csv` to write one, "
            "or name another with --config"
        ),
    ),
    (("people.csv", "--set", "rate.request=5"), "--set rate.request is not a key; did you mean rate.requests?"),
    (
        ("people.csv", "--set", "rate"),
        "--set is not of the form key.path=value; write for example --set rate.requests=5000",
    ),
    (
        ("people.csv", "--set", "source.encoding=klingon"),
        "--set source.encoding: 'klingon' is not a text encoding; write auto, utf-8 or cp949",
    ),
    (("people.csv", "people.csv"), "SOURCE 'people.csv' is given twice. Name it once."),
    (("people.csv", "./people.csv"), "SOURCE './people.csv' is given twice. Name it once."),
    (("-", "-"), "SOURCE '-' is given twice; standard input can be read once."),
    ((), "No SOURCE is given. Name a file, or a pattern with --newest."),
]

USAGES = [
    (
        ("people.csv", "--limit", "0"),
        "Error: Invalid value for '--limit': 0 is not in the range 1<=x<=1000000000000000.",
    ),
    (("people.csv", "--limit", "many"), "Error: Invalid value for '--limit': 'many' is not a valid integer range."),
    (("people.csv", "--summary", "."), "Error: Invalid value for '--summary': File '.' is a directory."),
]


@pytest.fixture
def server(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    """Lend a sandbox, with the configuration and all files of this module before it."""
    running: RunningSandbox = sandbox(rules())
    desk.configure(running.url)
    for name, content in FILES.items():
        desk.write(name, content)
    return running


@pytest.mark.parametrize(("name", "line"), REFUSED, ids=[name for name, _ in REFUSED])
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_file_that_is_wrong_as_a_whole_is_refused_in_one_line(
    desk: Desk, server: RunningSandbox, command: str, name: str, line: str
) -> None:
    before = desk.files()

    ended = desk.type(command, name, "-q")

    assert (ended.status, ended.out, ended.err) == (4, "", f"{line}\n")
    assert server.sandbox.requests() == []
    assert desk.files() == before


@pytest.mark.parametrize("name", ["bytes.csv", "other keys.jsonl", "twice.csv"])
def test_a_file_is_refused_in_one_line_also_where_the_words_are_tested_elsewhere(
    desk: Desk, server: RunningSandbox, name: str
) -> None:
    ended = desk.type("run", name, "-q")

    assert (ended.status, ended.err.count("\n"), ended.err.startswith(name)) == (4, 1, True)
    assert server.sandbox.requests() == []


@pytest.mark.parametrize(("words", "line"), MISUSED, ids=[" ".join(words) for words, _ in MISUSED])
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_flag_or_a_configuration_that_is_wrong_is_refused_in_one_line(
    desk: Desk, server: RunningSandbox, command: str, words: tuple[str, ...], line: str
) -> None:
    ended = desk.type(command, *words, "--summary", "summary.json")

    assert (ended.status, ended.out, ended.err) == (2, "", f"{line}\n")
    assert server.sandbox.requests() == []
    # A command in the message has there no flags of this one.
    assert (desk.summary()["exit_status"], desk.summary()["error"][:10]) == (2, line[:10])


@pytest.mark.parametrize(("words", "line"), USAGES, ids=[" ".join(words) for words, _ in USAGES])
@pytest.mark.parametrize("command", ["run", "check"])
def test_words_that_make_no_command_are_answered_with_the_usage(
    desk: Desk, server: RunningSandbox, command: str, words: tuple[str, ...], line: str
) -> None:
    ended = desk.type(command, *words)

    assert (ended.status, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        f"Usage: uploader {command} [OPTIONS] SOURCE...",
        f"Try 'uploader {command} --help' for help.",
        "",
        line,
    ]
    assert server.sandbox.requests() == []


@pytest.mark.parametrize("name", ["DFINERY_SERVICE_ID", "DFINERY_ACCESS_TOKEN"])
def test_a_variable_that_is_not_set_stops_a_run_but_no_check(
    desk: Desk, server: RunningSandbox, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name, raising=False)
    del desk.environ[name]
    key = name.removeprefix("DFINERY_").lower()
    line = {"service_id": 3, "access_token": 4}[key]

    ended = desk.type("run", "people.csv")

    assert (ended.status, ended.err) == (
        2,
        f"config.yaml line {line}: api.{key}: the variable {name} is not set; run `export {name}=…`\n",
    )
    assert server.sandbox.requests() == []
    assert desk.type("check", "people.csv").status == 0


def test_a_key_that_does_not_exist_is_refused_with_its_line(desk: Desk, server: RunningSandbox) -> None:
    desk.configure(server.url, more="sorce: {format: csv}\n")

    ended = desk.type("run", "people.csv")

    assert (ended.status, ended.err) == (2, "config.yaml line 8: sorce is not a key; did you mean source?\n")
    assert server.sandbox.requests() == []


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_file_that_may_not_be_read_is_refused(
    desk: Desk, server: RunningSandbox, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    # Whoever runs the tests as root may read everything, so the refusal is played.
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("uploader.source.byte_stream.Path.open", _only("people.csv", refuse, Path.open))

    ended = desk.type(command, "people.csv", "-q")

    assert (ended.status, ended.err) == (
        4,
        "people.csv: permission denied. Give this user the right to read it.\n",
    )
    assert server.sandbox.requests() == []


def _only(name: str, instead: Callable[..., object], otherwise: Callable[..., object]) -> Callable[..., object]:
    def chosen(path: Path, *words: object, **more: object) -> object:
        return (instead if path.name == name else otherwise)(path, *words, **more)

    return chosen


@pytest.mark.parametrize("content", ["id,name", "id,name\n", "id,name\r\n\r\n"])
def test_a_header_without_rows_is_nothing_to_do(desk: Desk, server: RunningSandbox, content: str) -> None:
    desk.write("header.csv", content)

    checked = desk.type("check", "header.csv")
    ended = desk.type("run", "header.csv", "-v", "--summary", "summary.json")

    notice = "header.csv: no rows, nothing to do.\n"
    assert (checked.status, checked.err) == (0, notice)
    assert (ended.status, ended.err) == (0, notice)
    assert desk.books() == {}
    assert server.sandbox.requests() == []


BAD_CELLS = [
    ("age", "thirty", "column 'age': not a whole number"),
    ("age", "9223372036854775808", "column 'age': a whole number beyond 64 bits"),
    ("score", "1,5", "column 'score': not a number"),
    ("score", "nan", "column 'score': not a number"),
    ("born", "20230230", "column 'born' → df_birth: not a date (%Y%m%d)"),
    ("joined", "2024-02-30 00:00:00", "column 'joined': not a date and time (ISO 8601)"),
    ("wants", "maybe", "column 'wants' → df_push_optin: neither true nor false"),
]


@pytest.mark.parametrize(("column", "cell", "reason"), BAD_CELLS)
def test_a_bad_cell_rejects_its_row_alone(
    desk: Desk, sandbox: Callable[..., RunningSandbox], column: str, cell: str, reason: str
) -> None:
    server = sandbox(rules())
    desk.configure(
        server.url,
        mapping="""\
mapping:
  identity: {external_id: id}
  properties:
    df_name: name
    age: {column: age, type: long}
    score: {column: score, type: double}
    df_birth: {column: born, type: date, format: "%Y%m%d"}
    joined: {column: joined, type: datetime, timezone: Asia/Seoul}
    df_push_optin: wants
""",
    )
    columns = ("id", "name", "age", "score", "born", "joined", "wants")
    rows = [dict.fromkeys(columns, "") | {"id": str(number), "name": f"name{number}"} for number in (1, 2, 3)]
    rows[1][column] = f'"{cell}"'
    desk.write("people.csv", "\n".join([",".join(columns), *(",".join(row.values()) for row in rows), ""]))

    ended = desk.type("run", "people.csv", "--summary", "summary.json")

    assert ended.status == 3
    assert desk.books() == {"sent": 2, "rejected": 1}
    label, _, expected = reason.partition(": ")
    told = f'{label}: "{cell}" is {expected}'
    assert [(row[0], row[1], row[3], row[4]) for row in desk.retry_rows()] == [(2, "rejected", told, 0)]
    assert f"  {reason}: row 2 (line 3)" in ended.err.splitlines()
    assert names(server) == names_of([1, 3])


def _with_bad(desk: Desk, bad: int, good: int, name: str = "people.csv") -> None:
    lines = [*(f",name{number}" for number in range(bad)), *(f"{number},name{number}" for number in range(good))]
    desk.write(name, "\n".join(["id,name", *lines, ""]))


@pytest.mark.parametrize(
    ("bad", "good", "most"),
    [
        (21, 189, "10%"),
        # Few rows never refuse a file, whatever share of it they are.
        (20, 1, "10%"),
        (20, 1, "0%"),
        (21, 21, "50%"),
        (30, 0, "100%"),
    ],
)
def test_a_file_with_as_many_bad_rows_as_are_allowed_is_sent(
    desk: Desk, server: RunningSandbox, bad: int, good: int, most: str
) -> None:
    _with_bad(desk, bad, good)
    setting = ("--set", f"limits.max_rejected={most}")

    checked = desk.type("check", "people.csv", *setting)
    ended = desk.type("run", "people.csv", *setting, "--summary", "summary.json")

    assert (checked.status, ended.status) == (3, 3)
    assert desk.books() == {name: count for name, count in (("sent", good), ("rejected", bad)) if count}
    assert names(server) == names_of(range(good))


@pytest.mark.parametrize(
    ("bad", "good", "most", "shown"),
    [(22, 189, "10%", "10%"), (21, 0, "10%", "10%"), (22, 21, "0.5", "50%"), (21, 500, "0%", "0%")],
)
def test_a_file_with_more_bad_rows_than_are_allowed_is_not_sent(  # noqa: PLR0913, PLR0917 — the case and its fixtures
    desk: Desk, server: RunningSandbox, bad: int, good: int, most: str, shown: str
) -> None:
    _with_bad(desk, bad, good)
    setting = ("--set", f"limits.max_rejected={most}")

    checked = desk.type("check", "people.csv", *setting)
    ended = desk.type("run", "people.csv", *setting, "--summary", "summary.json")

    assert (checked.status, ended.status) == (4, 4)
    assert (
        checked.last_line
        == ended.last_line
        == (
            f"people.csv: {bad} of {bad + good} rows can't be sent, more than limits.max_rejected ({shown}); "
            f"most often: no identity: nothing in 'id' ({bad} rows, first row 1). Nothing was sent. "
            "Fix the file or the mapping, or raise limits.max_rejected."
        )
    )
    assert desk.books() == {"not_attempted": bad + good}
    assert server.sandbox.requests() == []
    assert "people.retry.csv" not in desk.files()


def test_a_retry_file_is_never_refused_for_its_bad_rows(desk: Desk, server: RunningSandbox) -> None:
    _with_bad(desk, 30, 0)
    assert desk.type("run", "people.csv", "--set", "limits.max_rejected=100%").status == 3

    assert desk.type("check", "people.retry.csv").status == 3

    ended = desk.type("run", "people.retry.csv", "--summary", "summary.json")

    assert ended.status == 3
    assert desk.books() == {"rejected": 30}
    assert server.sandbox.requests() == []


def _append(people: Path) -> None:
    with people.open("ab") as file:
        file.write(b"9,late\n")


def _replace(people: Path) -> None:
    other = people.with_suffix(".new")
    other.write_bytes(people.read_bytes().replace(b"name3", b"other"))
    other.replace(people)


@pytest.mark.parametrize(
    "change",
    [_append, _replace, lambda people: people.write_bytes(b"id,name\n1,x\n"), lambda people: people.unlink()],
    ids=["more", "replaced", "rewritten", "deleted"],
)
def test_a_file_that_changes_while_it_is_sent_is_told(
    desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    people = desk.people(3)
    answer = server.sandbox.answer

    def change_and_answer(_: object, arrival: Arrival, letter: IncomingRequest) -> PlannedReply:
        if arrival.seq == 1:
            change(people)
        return answer(arrival, letter)

    monkeypatch.setattr(Sandbox, "answer", change_and_answer)

    ended = desk.type("run", "people.csv", "--set", "rate.concurrency=1", "--summary", "summary.json")

    assert (ended.status, ended.stop) == (
        9,
        "people.csv changed while it was being sent. Run again to send the file as it is now.",
    )
    assert desk.summary()["exit_status"] == 9
