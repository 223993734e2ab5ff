"""List the runs of the past."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from tests.command import Type
from tests.make import begun_with
from uploader.model import Failed, Reason, Rejected, Request, Row, Sent
from uploader.sandbox import Fault, RunningSandbox, SandboxRules
from uploader.state import Journal, RunHeader, RunStore, StoredRun, read_run

BEGUN = begun_with(key="key", rows=1500)
CANARY = "canary-4711"
BEGAN = f"{datetime.fromisoformat(BEGUN.started).astimezone():%Y-%m-%d %H:%M:%S}"
KILLED = "killed, or its end could not be recorded"


@pytest.fixture
def shelf(folder: Path) -> RunStore:
    return RunStore(folder / ".uploader")


def finished(shelf: RunStore, begun: RunHeader = BEGUN) -> StoredRun:
    """Put a run that finished with rows not accepted on the shelf, as the end of a run leaves it."""
    volume = shelf.create(begun)
    with Journal(volume.path, volume.state) as journal:
        journal.record_facts("life", {"pid": 1, "at": "t", "in_flight": []})
        journal.record_facts("retry_file", {"path": "/people.retry.csv"})
        for number in range(1, 1498):
            journal.record(Sent(Request(Row(number, {}), (), b""), 1, unsure=number < 3))
        journal.record(Failed(Request(Row(1498, {}), (), b""), Reason("50000", "the service had a fault"), 5))
        journal.record(Rejected(Row(1499, {}), (), Reason("type", "the value of '나이' is not a number")))
        journal.record(Sent(Request(Row(1500, {}), (), b""), 1), again=True)
        journal.record_facts("finished", {"status": 3, "at": "t", "seconds": 9.0})
    shelf.compact(read_run(volume.path))
    return read_run(volume.path)


def test_a_folder_without_runs_has_none(typed: Type) -> None:
    run = typed("runs")

    assert (run.status, run.out, run.err) == (0, ["No runs yet."], [])
    assert typed("runs", "--json").out == ["[]"]


def test_the_runs_are_listed_newest_first_with_how_each_ended_and_its_books(typed: Type, shelf: RunStore) -> None:
    finished(shelf)
    shelf.abandon(shelf.create(replace(BEGUN, run_id="20260102T000000Z-b")))
    shelf.create(replace(BEGUN, run_id="20260103T000000Z-c", source="-"))

    run = typed("runs")

    assert (run.status, run.err) == (0, [])
    assert [re.split(r" {2,}", line.strip()) for line in run.out] == [
        ["ID", "started", "took", "job", "sent", "unchanged", "rejected", "failed", "outcome"],
        ["20260103T000000Z-c", BEGAN, "standard input", "0", "0", "0", "0", KILLED],
        ["20260102T000000Z-b", BEGAN, "0 s", "people.csv", "0", "0", "0", "0", KILLED],
        [
            BEGUN.run_id,
            BEGAN,
            "9 s",
            "people.csv",
            "1,498",
            "0",
            "1",
            "1",
            "finished with 1 rejected and 1 failed rows",
        ],
    ]


def test_one_run_is_shown_with_the_rows_not_accepted_and_their_reasons(typed: Type, shelf: RunStore) -> None:
    finished(shelf)

    run = typed("runs", "20260101")

    assert (run.status, run.err) == (0, [])
    assert run.out == [
        "20260101T000000Z-abc123  people.csv  finished with 1 rejected and 1 failed rows",
        f"  started {BEGAN}, took 9 s",
        "people.csv (run 20260101T000000Z-abc123)",
        "  1,500 rows: 1,498 accepted, 1 rejected, 1 failed, 0 not attempted",
        "  1,503 requests",
        "  2 rows may have been sent twice",
        "  retry file: /people.retry.csv",
        "  row 1,498: failed: the service had a fault",
        "  row 1,499: rejected: the value of '나이' is not a number",
        "  row 1,500: again",
    ]


@pytest.mark.parametrize(("sessions", "said"), [(1, ""), (2, ", resumed 1 time"), (3, ", resumed 2 times")])
def test_one_run_says_how_often_it_was_resumed(typed: Type, shelf: RunStore, sessions: int, said: str) -> None:
    volume = shelf.create(BEGUN)
    with Journal(volume.path, volume.state) as journal:
        for _ in range(sessions):
            journal.record_facts("life", {"pid": 1, "at": "t", "in_flight": []})

    shown = typed("runs", "20260101").out

    assert shown[4] == f"  0 requests{said}"


def test_json_is_for_programs(typed: Type, shelf: RunStore) -> None:
    finished(shelf)

    (listed,) = json.loads("\n".join(typed("runs", "--json").out))
    shown = json.loads("\n".join(typed("runs", "--json", BEGUN.run_id).out))

    assert listed == {
        "run_id": BEGUN.run_id,
        "source": "people.csv",
        "started": BEGUN.started,
        "ended": "finished",
        "exit_status": 3,
        "lives": 1,
        "requests": 1503,
        "maybe_sent_twice": 2,
        "retry_file": "/people.retry.csv",
        "read": 1500,
        "sent": 1498,
        "unchanged": 0,
        "superseded": 0,
        "rejected": 1,
        "failed": 1,
        "not_attempted": 0,
        "start_id": BEGUN.run_id,
        "job": None,
        "end": "rejected",
        "outcome": "finished with 1 rejected and 1 failed rows",
        "error": None,
        "ended_at": "2026-01-01T00:00:09+00:00",
        "seconds": 9.0,
        "earlier_starts": [],
    }
    listed.pop("earlier_starts")
    assert {name: value for name, value in shown.items() if name != "rows"} == listed
    assert shown["rows"][1] == {
        "row": 1499,
        "kind": "rejected",
        "code": "type",
        "reason": "the value of '나이' is not a number",
        "attempts": 0,
    }


@pytest.mark.parametrize(("run_id", "found"), [("2027", "no run"), ("2026", "2 runs")])
def test_an_id_that_names_no_single_run_is_refused(typed: Type, shelf: RunStore, run_id: str, found: str) -> None:
    shelf.create(BEGUN)
    shelf.create(replace(BEGUN, run_id="20260102T000000Z-b"))

    run = typed("runs", run_id)

    assert (run.status, run.out) == (2, [])
    assert run.err == [f"{found} with an ID that begins with '{run_id}'. `uploader runs` lists them."]


def test_purging_says_how_many_runs_were_deleted(typed: Type, shelf: RunStore) -> None:
    finished(shelf)
    shelf.create(replace(BEGUN, run_id="20260102T000000Z-b"))
    shelf.create(replace(BEGUN, run_id="29990101T000000Z-c"))

    assert typed("runs", "--purge", "100000").err == ["0 runs deleted."]
    assert typed("runs", "--purge", "1").err == ["2 runs deleted."]
    assert [line.split()[0] for line in typed("runs").out[1:]] == ["29990101T000000Z-c"]


def test_purging_needs_a_number_of_days_that_is_not_negative(typed: Type) -> None:
    assert typed("runs", "--purge", "-1").status == 2


def test_a_file_name_that_is_no_text_can_be_listed(typed: Type, shelf: RunStore) -> None:
    shelf.create(replace(BEGUN, source=os.fsdecode(b"\xffpeople.csv")))

    for words in ((), ("--json",), ("2026",)):
        assert typed("runs", *words).status == 0


def test_the_runs_are_told_without_credentials_and_in_another_state_folder(typed: Type, folder: Path) -> None:
    config = (folder / "config.yaml").read_text(encoding="utf-8").replace("canary", '"${NOT_SET}"')
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    RunStore(folder / "elsewhere").create(BEGUN)

    assert typed("runs").out == ["No runs yet."]
    assert len(typed("runs", "--set", "state_dir=elsewhere").out) == 2


def test_a_run_tells_of_itself_nothing_personal(
    typed: Type, folder: Path, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(SandboxRules(limit=1000, per=1.0, faults=(Fault.parse(f"code=40001 for external_id={CANARY}2"),)))
    rows = [f"{CANARY}1,{CANARY}name,7", f"{CANARY}2,{CANARY}name,8", f"{CANARY}3,{CANARY}name,{CANARY}"]
    (folder / "people.csv").write_text("\n".join(("id,name,age", *rows, "")), encoding="utf-8")

    run = typed("run", "people.csv", "--set", f"api.base_url={server.url}", "--set", "limits.max_rejected=100%")
    run_id = json.loads("\n".join(typed("runs", "--json").out))[0]["run_id"]
    told = typed("runs").out + typed("runs", run_id).out + typed("runs", "--json", run_id).out

    assert run.status == 3
    assert "  3 rows: 1 accepted, 2 rejected, 0 failed, 0 not attempted" in told
    assert [line for line in told if CANARY in line] == []
    state = [path for path in (folder / ".uploader").rglob("*") if path.is_file()]
    assert [path for path in state if CANARY.encode() in path.read_bytes()] == []


def test_a_state_folder_that_went_is_a_folder_without_runs(typed: Type, shelf: RunStore, folder: Path) -> None:
    shelf.create(BEGUN)
    shutil.rmtree(folder / ".uploader")

    assert typed("runs").out == ["No runs yet."]


def test_a_start_that_failed_before_it_read_anything_says_why(typed: Type, shelf: RunStore, folder: Path) -> None:
    assert shelf.state.is_dir()
    missing = typed("run", "people.csv", "--set", "source.name=members")
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(config.replace("mapping:", "maping:"), encoding="utf-8")
    wrong = typed("run", "people.csv")
    (folder / "config.yaml").write_text(config, encoding="utf-8")

    listed, last = typed("runs").out, typed("runs", "last").out

    assert (missing.status, wrong.status) == (4, 2)
    assert listed[1].endswith("not started: an option or the configuration is wrong")
    assert listed[2].strip() == wrong.err[0]
    assert "members" in listed[3]
    assert listed[4].strip() == missing.err[-1]
    assert last[1].strip() == wrong.err[0]
    failed = json.loads("\n".join(typed("runs", "--json", "--failed", "--job", "members").out))
    assert [(one["ended"], one["exit_status"], one["error"]) for one in failed] == [("not started", 4, missing.err[-1])]


def test_the_runs_are_listed_while_the_configuration_is_wrong(typed: Type, shelf: RunStore, folder: Path) -> None:
    finished(shelf)
    config = folder / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("mapping:", "maping:"), encoding="utf-8")
    wrong = typed("run", "people.csv")

    listed, last = typed("runs"), typed("runs", "last")

    assert (wrong.status, listed.status, last.status) == (2, 0, 0)
    assert listed.err == last.err == [f"Warning: {line}" for line in wrong.err]
    assert listed.out[2].strip() == wrong.err[0]
    assert last.out[1].strip() == wrong.err[0]


@pytest.mark.parametrize(
    "words", [["--purge", "0"], ["--set", "state_dirr=elsewhere"], ["--set", "state_dir=.uploader"]]
)
def test_a_wrong_configuration_is_refused_where_runs_would_be_deleted_or_an_option_may_be_wrong(
    typed: Type, shelf: RunStore, folder: Path, words: list[str]
) -> None:
    finished(shelf)
    config = folder / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("mapping:", "maping:"), encoding="utf-8")

    run = typed("runs", *words)

    assert (run.status, run.out) == (2, [])
    assert len([*shelf.runs()]) == 1


@pytest.mark.parametrize(("flag", "lines"), [("7d", 1), ("2026-01-02", 2), ("2026-01-01T00:00", 3), ("10000d", 3)])
def test_runs_since_a_time_or_a_while_ago(typed: Type, shelf: RunStore, flag: str, lines: int) -> None:
    for day in (1, 4):
        started = f"2026-01-{day:02}T12:00:00+00:00"
        shelf.create(replace(BEGUN, run_id=f"202601{day:02}T120000Z-{day}", started=started))

    assert len(typed("runs", "--since", flag).out) == lines


def test_a_time_that_is_none_is_refused(typed: Type) -> None:
    for text in ("yesterday", "2026-13-01", "-7d"):
        assert typed("runs", "--since", text).status == 2


def test_no_such_runs_is_said_of_runs_that_were_asked_for(typed: Type, shelf: RunStore) -> None:
    finished(shelf)

    assert typed("runs", "--job", "members").out == ["No such runs."]
    assert len(typed("runs", "-n", "1").out) == 2
