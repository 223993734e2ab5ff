"""Say nothing that is nobody's business: no token and no value of a row appears outside the retry file."""

import json
from collections.abc import Callable
from typing import NoReturn

import pytest

from tests.command import TOKEN, Desk, Ended, rules
from uploader.sandbox import FAULT_KINDS, ReplyStyle, RunningSandbox

WORD = "canary"
"""Stands in the token and in every value of every row here, and in no column, path or message."""

COLUMNS = ("id", "name", "phone", "email", "born", "age", "wants")
MAPPING = """\
mapping:
  identity: {external_id: id, phone_no: phone, email: email}
  properties:
    df_name: name
    df_birth: {column: born, type: date}
    age: {column: age, type: long}
    df_push_optin: wants
"""
SOUND = {"born": "2001-02-03", "age": "30", "wants": "Y"}

LASTING = [
    *("code=40000", "code=50000", "code=40402", "http=400", "http=500", "http=503:50000", "latency=2s", "hang"),
    *("drop-before", "drop-after", "drip", "cut", "garbage", "html", "huge", "number-code", "close", "unasked=20ms"),
]
HOLDING = ["limit", "limit=40401", "retry-after=1"]
STOPPING = ["redirect", "code=40201", "code=40101", "http=401", "http=404"]


def test_every_kind_of_fault_is_among_those_listened_to() -> None:
    assert {fault.partition("=")[0] for fault in (*LASTING, *HOLDING, *STOPPING)} == set(FAULT_KINDS)


def test_a_run_with_every_lasting_fault_tells_no_value(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    faults = [f"{fault} for external_id={_id(number)}" for number, fault in enumerate(LASTING)]
    server = sandbox(rules(*faults))
    desk.configure(server.url, mapping=MAPPING, timeout="500ms")
    _write_csv(desk, len(LASTING) + 2)

    ended = desk.type("run", "people.csv", "-vv", "--summary", "summary.json")

    assert ended.status == 3
    _assert_silent(desk, ended)
    assert WORD in (desk.folder / "people.retry.csv").read_text()


def test_a_run_with_every_holding_fault_tells_no_value(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    faults = [f"{fault} for external_id={_id(number)} times 1" for number, fault in enumerate(HOLDING)]
    server = sandbox(rules(*faults, replies=ReplyStyle(unit="ms")))
    desk.configure(server.url, mapping=MAPPING)
    _write_csv(desk, 6)

    ended = desk.type("run", "people.csv", "-vv", "--summary", "summary.json")

    assert ended.status == 0
    _assert_silent(desk, ended)


@pytest.mark.parametrize("fault", STOPPING)
def test_a_run_that_is_stopped_tells_no_value(desk: Desk, sandbox: Callable[..., RunningSandbox], fault: str) -> None:
    server = sandbox(rules(fault))
    desk.configure(server.url, mapping=MAPPING)
    _write_csv(desk, 6)

    ended = desk.type("run", "people.csv", "-vv", "--summary", "summary.json")

    assert ended.status == 5
    _assert_silent(desk, ended)


def test_a_run_that_reaches_nobody_tells_no_value(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1", mapping=MAPPING)
    _write_csv(desk, 6)

    words = ("--set", "retry.outage_timeout=100ms", "--summary", "summary.json")
    ended = desk.type("run", "people.csv", "-vv", *words)

    assert ended.status == 6
    _assert_silent(desk, ended)


@pytest.mark.parametrize("fault", ["code=40001", "code=40000", "code=50000", "http=400:40001", "code=40201"])
def test_a_message_of_the_service_that_repeats_a_value_is_told_by_the_retry_file_alone(
    desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    codes = ("40001", "40000", "50000", "40201")
    monkeypatch.setattr(
        "uploader.sandbox.api_replies.MESSAGES", {"20000": "OK", **dict.fromkeys(codes, f"{WORD} is no Long")}
    )
    desk.configure(sandbox(rules(f"{fault} for external_id={_id(2)}")).url, mapping=MAPPING)
    _write_csv(desk, 4)

    ended = desk.type("run", "people.csv", "-vv", "--summary", "summary.json")

    assert ended.status in {3, 5}
    _assert_silent(desk, ended)


@pytest.mark.parametrize("command", ["run", "check"])
def test_values_that_were_asked_for_are_printed_and_not_kept(
    desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("uploader.sandbox.api_replies.MESSAGES", {"20000": "OK", "40001": f"{WORD} is no Long"})
    desk.configure(sandbox(rules(f"code=40001 for external_id={_id(2)}")).url, mapping=MAPPING)
    _write(desk, "csv", [_person(2), {**_person(3), "age": f"{WORD}-cell"}, _person(4)])

    ended = desk.type(command, "people.csv", "-vv", "--show-values", "--summary", "summary.json")

    assert ended.status == 3
    assert f"column 'age': \"{WORD}-cell\" is not a whole number: row 2 (line 3)" in ended.err
    shown = f'refused by the service: VALIDATION_FAILURE (40001): "{WORD} is no Long": row 1 (line 2)'
    assert (shown in ended.err) == (command == "run")
    _assert_silent(desk, Ended(ended.status, ended.out, ""))


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("column", ["born", "age", "wants"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_cell_that_can_not_be_read_is_not_quoted(
    desk: Desk, sandbox: Callable[..., RunningSandbox], command: str, column: str, suffix: str
) -> None:
    desk.configure(sandbox(rules()).url, mapping=MAPPING)
    rows = [_person(1), {**_person(2), column: f"{WORD}-cell"}]
    _write(desk, suffix, rows)

    ended = desk.type(command, f"people.{suffix}", "-vv", "--summary", "summary.json")

    assert ended.status == 3
    assert f"column '{column}'" in ended.err
    _assert_silent(desk, ended)


BAD_FILES: dict[str, str | bytes] = {
    "no header.csv": "canary-1,canary-name,010-canary,canary@x.kr,2001-02-03,30,Y\n" * 3,
    "cut.csv": ",".join(COLUMNS) + '\ncanary-1,"canary-name,010-canary\n',
    "quotes.csv": ",".join(COLUMNS) + '\n"canary-1"canary,,,,,,\n',
    "short.csv": ",".join(COLUMNS) + "\ncanary-1,canary\n",
    "nul.csv": ",".join(COLUMNS) + "\ncanary-1,canary\0,canary,canary,,,\n",
    "bytes.csv": ",".join(COLUMNS).encode() + b"\ncanary-1,canary\xff\xfe,canary,canary,,,\n",
    "other delimiter.csv": "canary-1;canary-name;010-canary\n" * 2,
    "json.csv": '{"canary": "canary"}\n',
    "foreign keys.jsonl": '{"key": "canary", "other": "canary"}\n' * 2,
    "cut.jsonl": '{"id": "canary-1", "name": "can\n',
    "array.jsonl": '["canary"]\n"canary"\n',
    "mixed.jsonl": '{"id": "canary-1", "name": ["canary", 1]}\n{"id": "canary-2", "name": {"canary": "canary"}}\n',
    "twice.jsonl": '{"id": "canary-1", "id": "canary-2", "name": "canary"}\n{"id": "canary-3", "name": "canary"}\n',
    "null consent.jsonl": '{"id": "canary-1", "name": "canary", "wants": null}\n',
    "not.parquet": "canary",
    "cut.parquet": "PAR1canary",
}


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_wrong_is_not_quoted(
    desk: Desk, sandbox: Callable[..., RunningSandbox], command: str, name: str
) -> None:
    desk.configure(sandbox(rules()).url, mapping=MAPPING)
    desk.write(name, BAD_FILES[name])

    ended = desk.type(command, name, "-vv", "--summary", "summary.json")

    assert ended.status in {3, 4}
    _assert_silent(desk, ended)


KEYS = [f"{WORD}1@x.kr", f"010-1234-5678 {WORD}", f"{WORD} 2001-02-03", f"{WORD} says that it is glad to be here " * 2]
"""What somebody's data looks like where a name should be."""


def _keyed(number: int, value: object) -> dict[str, object]:
    return {"id": str(number), "name": "n", **dict.fromkeys(KEYS, value)}


@pytest.mark.parametrize("command", [("check",), ("run",), ("run", "--sandbox")], ids=" ".join)
@pytest.mark.parametrize(
    ("rows", "more", "mapping"),
    [
        ([_keyed(1, "a"), _keyed(2, "b")], "guard: {rows: 50%}\n", ""),
        ([_keyed(1, "a"), _keyed(2, "b")], "", "  request_datetime: {column: missing}\n"),
        ([_keyed(1, "a"), _keyed(2, {"b": 1})], "", "  other_columns: send\n"),
        ([_keyed(1, "#N/A"), _keyed(2, "a")], "", "  other_columns: send\n"),
    ],
    ids=["counted", "a missing column", "unreadable", "suspicious"],
)
def test_a_key_that_looks_like_data_is_not_told(  # noqa: PLR0913, PLR0917 — a command, and a file with its configuration
    desk: Desk,
    sandbox: Callable[..., RunningSandbox],
    command: tuple[str, ...],
    rows: list[dict[str, object]],
    more: str,
    mapping: str,
) -> None:
    text = f"mapping:\n  identity: {{external_id: id}}\n  properties: {{df_name: name}}\n{mapping}"
    desk.configure(sandbox(rules()).url, mapping=text, more=more)
    desk.write("people.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    ended = desk.type(*command, "people.jsonl", "-vv", "--summary", "summary.json")

    assert ended.status in {0, 3, 4}
    _assert_silent(desk, ended)


def test_a_comparison_with_totals_of_an_earlier_version_tells_no_key_that_looks_like_data(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules()).url, more="guard: {rows: 50%}\n")
    desk.write("people.jsonl", '{"id": "1", "name": "n"}\n' * 3)
    assert desk.type("run", "people.jsonl").status == 0
    (kept,) = (desk.folder / ".uploader" / "totals").glob("*.json")
    facts = json.loads(kept.read_text())
    facts["columns"][KEYS[0]] = 0
    kept.write_text(json.dumps(facts))

    ended = desk.type("check", "people.jsonl", "--summary", "summary.json")

    assert (ended.status, WORD in ended.err) == (0, False)


@pytest.mark.parametrize(
    "header",
    [
        f"id,{WORD},{WORD}@x.kr",
        f"id,{WORD},010-1234-5678",
        f"id,{WORD},2001-02-03",
    ],
)
@pytest.mark.parametrize("command", ["check", "run", "init"])
def test_a_first_record_that_has_a_mapped_name_by_chance_is_not_told(
    desk: Desk, sandbox: Callable[..., RunningSandbox], header: str, command: str
) -> None:
    desk.configure(sandbox(rules()).url)
    desk.write("people.csv", f"{header}\n1,a,b\n")
    more = ("--config", "new.yaml") if command == "init" else ("-vv", "--summary", "summary.json")

    ended = desk.type(command, "people.csv", *more)

    assert ended.status == 4
    assert "header" in ended.err
    _assert_silent(desk, ended)
    assert not (desk.folder / "new.yaml").exists()


def test_a_first_record_that_has_one_of_many_mapped_names_by_chance_is_not_told(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules()).url, mapping=MAPPING)
    desk.write("people.csv", f"id,{WORD},{WORD} 2\n1,a,b\n")

    ended = desk.type("check", "people.csv")

    assert ended.status == 4
    _assert_silent(desk, ended)


def test_a_configuration_is_written_without_the_keys_that_look_like_data(desk: Desk) -> None:
    rows = [_keyed(number, {"a": "x", KEYS[0]: "y"} if number % 2 else "b") for number in range(1, 30)]
    desk.write("people.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    ended = desk.type("init", "people.jsonl")

    assert ended.status == 0
    _assert_silent(desk, ended)
    written = (desk.folder / "config.yaml").read_text()
    assert WORD not in written
    assert "# REVIEW: keys that look like data (an e-mail address, a number) are left out" in written


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_rehearsal_tells_no_value(desk: Desk, suffix: str) -> None:
    desk.configure("http://127.0.0.1:1", mapping=MAPPING)
    _write(desk, suffix, [_person(1), {**_person(2), "age": WORD}, _person(3)])

    ended = desk.type("run", f"people.{suffix}", "--sandbox", "-vv", "--summary", "summary.json")

    assert ended.status == 3
    _assert_silent(desk, ended)


@pytest.mark.parametrize(
    "place",
    [
        "uploader.delivery.http.Http.post",
        "uploader.rate.limiter.Limiter.acquire",
        "uploader.delivery.reply_judge.ReplyJudge.recover",
        "uploader.run.session.Session._count",
        "uploader.run.session.Session.settle",
        "uploader.mapping.Plan.map_row",
        "uploader.check.source_summary.CheckSummary.add_row",
        "uploader.run.preflight.compile_plan",
        "uploader.run.check_source.retry_path",
        "uploader.cli.run.run_lines",
    ],
)
def test_a_bug_is_told_without_what_was_being_handled(
    desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def broken(*_: object, **__: object) -> NoReturn:
        held = f"{WORD} {TOKEN}"
        raise ValueError(held)

    desk.configure(sandbox(rules()).url, mapping=MAPPING)
    _write_csv(desk, 6)
    monkeypatch.setattr(place, broken)

    ended = desk.type("run", "people.csv", "-vv", "--summary", "summary.json")
    assert ended.status == 1
    assert ended.last_line.startswith("A bug in uploader ")
    assert "Traceback" not in ended.err
    _assert_silent(desk, ended)


@pytest.mark.parametrize(
    "words",
    [
        ("--set", f"api.access_token={TOKEN} {TOKEN}"),
        ("--set", f"api.base_url=https://user:{TOKEN}@example.com"),
        ("--set", f"api.access_token.{TOKEN}"),
        ("--set", f"api.access_token: {TOKEN}"),
        ("--set", f"api.token={TOKEN}"),
        ("--set", f"api={{service_id: svc, access_token: {TOKEN}}}"),
        ("--set", f"api.access_token={TOKEN}${{DFINERY_SERVICE_ID}}"),
        ("--set", f"api.service_id={TOKEN}"),
        ("--set", f"api.base_url=https://example.com/{TOKEN}"),
        ("--set", f"api.access_token_file={TOKEN}"),
        ("--set", f"state_dir={TOKEN}"),
        ("--set", f"output.retry_file={TOKEN}"),
        ("--set", f"mapping.properties.{TOKEN}=name"),
        ("--set", f"mapping.properties.df_name={TOKEN}"),
        ("--set", f"rate.requests=${{{TOKEN}}}"),
        ("--set", f"{TOKEN}=1"),
        ("--set", "api.service_id=${DFINERY_ACCESS_TOKEN}"),
    ],
)
def test_a_wrong_setting_is_told_without_the_token(desk: Desk, words: tuple[str, ...]) -> None:
    desk.configure("http://127.0.0.1:1", mapping=MAPPING)
    _write_csv(desk, 1)

    ended = desk.type("run", "people.csv", "-vv", *words)

    assert ended.status == 2
    _assert_silent(desk, ended)


def test_a_token_in_a_configuration_that_others_can_read_is_warned_of_where_nothing_is_sent(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1")
    config = desk.folder / "config.yaml"
    config.write_text(config.read_text().replace("${DFINERY_ACCESS_TOKEN}", TOKEN), encoding="utf-8")
    config.chmod(0o644)
    desk.people(1)

    sent, checked, rehearsed = (
        desk.type(*words, "people.csv") for words in (("run",), ("check",), ("run", "--sandbox"))
    )

    line = (
        "config.yaml line 4: api.access_token is written out in a file that is open to other users (mode 0644); "
        "run `chmod 600 config.yaml`, or write ${NAME} there"
    )
    assert (sent.status, sent.err) == (2, f"{line}\n")
    assert not (desk.folder / ".uploader").exists()
    assert (checked.status, checked.err.splitlines()[0]) == (0, f"Warning: {line}")
    assert (rehearsed.status, rehearsed.err.splitlines()[0]) == (0, f"Warning: {line}")
    config.chmod(0o600)
    assert "Warning" not in desk.type("check", "people.csv").err


def _id(number: int) -> str:
    return f"{WORD}-{number}"


def _person(number: int) -> dict[str, str]:
    identity = {
        "id": _id(number),
        "name": f"{WORD} {number}",
        "phone": f"{WORD}010{number}",
        "email": f"{WORD}{number}@example.com",
    }
    return {**identity, **SOUND}


def _write_csv(desk: Desk, count: int) -> None:
    _write(desk, "csv", [_person(number) for number in range(count)])


def _write(desk: Desk, suffix: str, rows: list[dict[str, str]]) -> None:
    if suffix == "csv":
        desk.write("people.csv", "\n".join([",".join(COLUMNS), *(",".join(row.values()) for row in rows), ""]))
    else:
        desk.write("people.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def _assert_silent(desk: Desk, ended: Ended) -> None:
    """Assert that nothing that was said or written, but for the retry file, holds a value of a row or the token."""
    assert WORD not in str(desk.folder)
    assert (WORD in ended.out.lower(), WORD in ended.err.lower()) == (False, False)
    kept = [desk.folder / "summary.json", *(desk.folder / ".uploader").rglob("*")]
    assert [path for path in kept if path.is_file() and WORD.encode() in path.read_bytes().lower()] == []
