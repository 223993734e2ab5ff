"""A line that goes to no terminal says when it was printed, and of which run."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.command import Desk, rules
from uploader.cli.line_format import LineFormat
from uploader.sandbox import RunningSandbox
from uploader.state import History, RunStore

TEXT = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d) (?P<run>[0-9TZ]+-[0-9a-f]{8}) (?P<message>.+)"
)
NO_ROW = "id,name\n1,ann\n,bob\n"


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.delenv("UPLOADER_LOG_FORMAT")
    return Desk(tmp_path, capsys, monkeypatch, {"DFINERY_SERVICE_ID": "svc-1", "DFINERY_ACCESS_TOKEN": "linnet-4711"})


def run_id(desk: Desk) -> str:
    """Return the ID of the newest start in the history."""
    return next(History(RunStore(desk.folder / ".uploader").state).records()).start_id


def messages(err: str) -> list[str]:
    """Return what the lines say that are JSON objects."""
    return [json.loads(line)["message"] for line in err.splitlines()]


def test_each_line_has_its_time_and_the_id_that_the_history_has(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules()).url)
    desk.write("people.csv", NO_ROW)

    run = desk.type("run", "people.csv", "-v")

    found = [TEXT.fullmatch(line) for line in run.err.splitlines()]
    assert run.status == 3
    assert len(found) > 2
    assert None not in found
    assert {line["run"] for line in found if line} == {run_id(desk)}
    assert all(datetime.fromisoformat(line["time"]).tzinfo for line in found if line)


def test_the_json_lines_say_the_same_as_the_plain_ones(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules()).url)
    desk.write("people.csv", NO_ROW)

    plain = desk.type("run", "people.csv", "--log-format", "plain")
    run = desk.type("run", "people.csv", "--log-format", "json")

    def steady(line: str) -> str:
        return re.sub(r"\.retry(\.\d+)?|in \d+ s", "", line)

    objects = [json.loads(line) for line in run.err.splitlines()]
    assert [steady(line) for line in messages(run.err)] == [steady(line) for line in plain.err.splitlines()]
    assert {tuple(one) for one in objects} == {("time", "level", "run_id", "message")}
    assert {one["run_id"] for one in objects} == {run_id(desk)}
    assert {one["level"] for one in objects} <= {"info", "warning"}


@pytest.mark.parametrize(
    ("configured", "variable", "option", "is_json"),
    [
        ("log_format: json\n", None, [], True),
        ("log_format: json\n", "plain", [], False),
        ("", "json", [], True),
        ("log_format: plain\n", "plain", ["--log-format", "json"], True),
    ],
)
def test_the_option_wins_over_the_variable_and_that_over_the_configuration(
    desk: Desk, configured: str, variable: str | None, option: list[str], *, is_json: bool
) -> None:
    desk.configure("http://127.0.0.1:9", more=configured)
    if variable is not None:
        desk.environ["UPLOADER_LOG_FORMAT"] = variable

    run = desk.type("run", "missing.csv", *option)

    assert run.status == 4
    assert run.err.startswith("{") == is_json


def test_the_error_of_a_wrong_configuration_has_the_format_that_it_names(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:9", more="log_format: json\nrates: 5\n")

    run = desk.type("run", "people.csv")

    (line,) = [json.loads(text) for text in run.err.splitlines()]
    assert (run.status, line["level"]) == (2, "error")
    assert line["message"].startswith("config.yaml line ")
    assert re.fullmatch(r"[0-9TZ]+-[0-9a-f]{8}", line["run_id"])


def test_a_night_in_which_every_row_is_accepted_still_prints_nothing(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(3)

    assert desk.type("run", "people.csv").err == ""


def test_a_line_of_another_command_stands_alone(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:9", more="log_format: json\n")
    assert desk.type("run", "missing.csv").err.startswith("{")

    assert not desk.type("check", "missing.csv").err.startswith("{")


def test_a_terminal_gets_each_line_alone(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:9", more="log_format: json\n")
    ours, theirs = pty.openpty()

    done = subprocess.run(
        [sys.executable, "-m", "uploader", "run", "missing.csv"],
        cwd=desk.folder,
        env={**os.environ, **desk.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=theirs,
        check=False,
        timeout=60,
    )

    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert done.returncode == 4
    assert shown.startswith("missing.csv")


@pytest.mark.parametrize("line", ['a "quoted" word', "회원 1명", "back\\slash", "\\u001b[31m", ""])
def test_any_line_survives_as_json(line: str) -> None:
    lines = LineFormat(lambda: 1_709_604_900.25)
    lines.use("json")
    lines.set_run("run-1")

    facts = json.loads(lines.line(line, "error"))

    assert datetime.fromisoformat(facts.pop("time")).timestamp() == 1_709_604_900.25
    assert facts == {"level": "error", "run_id": "run-1", "message": line}


def test_a_warning_is_one_for_programs() -> None:
    lines = LineFormat(lambda: 0.0)
    lines.use("json")

    facts = json.loads(lines.line("Warning: others can read it."))

    assert (facts["level"], facts["message"], facts["run_id"]) == ("warning", "others can read it.", None)
