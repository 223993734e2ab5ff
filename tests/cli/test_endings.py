"""However a command ends: its exit status, one plain line of why, and nothing that nobody should see."""

import re
from pathlib import Path
from typing import NoReturn

import click
import pytest

from tests.command import Type
from uploader import __version__
from uploader.cli import run as commands
from uploader.errors import RefusedError

PEOPLE = "id,name,age\n1,Kim,30\n2,Lee,old\n"


@pytest.fixture
def people(folder: Path) -> Path:
    """Write two persons, one of them with an age that can't be read."""
    path = folder / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["chek", "people.csv"], "Error: No such command 'chek'. Did you mean 'check'?"),
        (["--nope"], "Error: No such option '--nope'."),
        (["run"], "No SOURCE is given. Name a file, or a pattern with --newest."),
        (["check"], "No SOURCE is given. Name a file, or a pattern with --newest."),
        (["run", "--nope", "people.csv"], "Error: No such option '--nope'."),
        (["run", "people.csv", "--config"], "Error: Option '--config' requires an argument."),
        (
            ["run", "people.csv", "--limit", "0"],
            "Error: Invalid value for '--limit': 0 is not in the range 1<=x<=1000000000000000.",
        ),
        (
            ["run", "people.csv", "--limit", "all"],
            "Error: Invalid value for '--limit': 'all' is not a valid integer range.",
        ),
        (["check", "people.csv", "--sandbox"], "Error: No such option '--sandbox'."),
        (["run", "people.csv", "--token", "x"], "Error: No such option '--token'."),
        (
            ["run", "people.csv", "--set", "rate"],
            "--set is not of the form key.path=value; write for example --set rate.requests=5000",
        ),
        (
            ["run", "people.csv", "--set", "rate.request=5"],
            "--set rate.request is not a key; did you mean rate.requests?",
        ),
        (
            ["check", "people.csv", "--config", "other.yaml"],
            (
                "no other.yaml here: run `uploader init people.csv --config other.yaml` to write one, "
                "or name one with --config"
            ),
        ),
        (["run", "people.csv", "people.csv"], "SOURCE 'people.csv' is given twice. Name it once."),
        (
            ["run", "people.csv", "--retry-file", "people.csv"],
            "The retry file people.csv is the SOURCE itself. Name another --retry-file or output.retry_file.",
        ),
        (["sandbox", "people.csv"], "Error: Got unexpected extra argument (people.csv)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_word_is_2_and_one_line_says_why(typed: Type, people: Path, words: list[str], why: str) -> None:
    ended = typed(*words)

    assert (ended.status, ended.out, ended.err[-1]) == (2, [], why)
    assert people.read_text(encoding="utf-8") == PEOPLE


def test_no_word_at_all_is_2_and_the_help(typed: Type) -> None:
    ended = typed()

    assert (ended.status, ended.out) == (2, [])
    assert ended.err[0] == "Usage: uploader [OPTIONS] COMMAND [ARGS]..."


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("quiet", [[], ["-q"]], ids=["", "quiet"])
def test_a_source_that_is_not_there_is_4_and_nothing_else_is_said(typed: Type, command: str, quiet: list[str]) -> None:
    ended = typed(command, "nobody.csv", *quiet)

    assert (ended.status, ended.out, ended.err) == (4, [], ["nobody.csv: no such file. Check the path."])


def test_a_check_that_found_something_is_3_and_says_what(typed: Type, people: Path) -> None:
    ended = typed("check", people.name)

    assert (ended.status, ended.out, ended.err) == (
        3,
        [],
        [
            "people.csv: 2 rows, 1 can be sent, 1 can't.",
            "  column 'age': not a whole number: row 2 (line 3)",
            "  At 9,484 requests a minute, sending takes less than a second.",
        ],
    )


def test_a_check_that_is_told_to_say_more_names_each_row(typed: Type, people: Path) -> None:
    ended = typed("check", people.name, "-v")

    assert ended.err[:2] == [
        "The service is reached without a proxy.",
        "people.csv: row 2 (line 3): column 'age': not a whole number",
    ]


def test_a_check_that_is_told_to_be_quiet_says_nothing(typed: Type, people: Path) -> None:
    ended = typed("check", people.name, "-q")

    assert (ended.status, ended.out, ended.err) == (3, [], [])


def test_a_dry_run_prints_its_report_without_a_terminal_too(typed: Type, people: Path) -> None:
    ended = typed("run", people.name, "--sandbox", "--limit", "1")

    assert (ended.status, ended.out) == (0, [])
    assert ended.err[4:6] == ["The sandbox's report:", "  requests   1 received, 1 applied, 0 over the limit"]
    assert ended.err[-1] == "This was a dry run: nothing left this machine."


def test_a_dry_run_in_which_all_was_accepted_is_silent_if_it_is_to_be_quiet(typed: Type, people: Path) -> None:
    ended = typed("run", people.name, "--sandbox", "--limit", "1", "-q")

    assert (ended.status, ended.out, ended.err) == (0, [], [])


def test_a_run_with_a_rejected_row_is_3_and_tells_where_it_is(typed: Type, people: Path) -> None:
    ended = typed("run", people.name, "--sandbox", "--retry-file", "mine.csv")

    assert (ended.status, ended.out) == (3, [])
    assert ended.err[0].startswith("people.csv: 2 rows, 1 request in ")
    assert ended.err[1:7] == [
        "  accepted               1",
        "  rejected               1",
        "  failed                 0",
        "Not accepted:",
        "  column 'age': not a whole number: row 2 (line 3)",
        ended.err[6],
    ]
    kept = re.fullmatch(r"The rows that would have to be sent again are in (.+), each with its reason\.", ended.err[6])
    assert kept is not None
    assert not people.with_name("mine.csv").exists()
    head, line = Path(kept[1]).read_text(encoding="utf-8").splitlines()
    assert head == "id,name,age,_row,_kind,_code,_reason,_attempts,_run"
    assert re.fullmatch(
        r"""2,Lee,old,2,rejected,not_long,"column 'age': ""old"" is not a whole number",0,r1-[0-9a-f]{8}""", line
    )


def test_a_rehearsal_says_that_it_was_one(typed: Type, people: Path) -> None:
    ended = typed("run", people.name, "--sandbox", "--limit", "1", "-v")

    assert ended.err[-1] == "This was a dry run: nothing left this machine."
    assert "  profiles   1" in ended.err


def test_a_refused_run_ends_with_why(typed: Type, people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> NoReturn:
        raise RefusedError("Stopped: no. Then run again.")

    monkeypatch.setattr(commands, "run", refused)

    ended = typed("run", people.name)

    assert (ended.status, ended.out, ended.err) == (5, [], ["Stopped: no. Then run again."])


def test_a_bug_is_1_and_shows_nothing_of_what_was_in_hand(
    typed: Type, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> NoReturn:
        raise ValueError("somebody's name")

    monkeypatch.setattr(commands, "run", broken)

    ended = typed("run", people.name)

    place = f"{Path(__file__).name}:{broken.__code__.co_firstlineno + 1}"
    line = f"A bug in uploader {__version__}: ValueError at {place}. Please report it with this line."
    assert (ended.status, ended.out, ended.err) == (1, [], [line])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(24, "Too many open files"),
            "this machine refused something: Too many open files. Make room or allow access there, then run again.",
        ),
        (
            PermissionError(13, "Permission denied", "/x\n"),
            (
                "/x\\n: this machine refused something: Permission denied. Make room or allow access there, "
                "then run again."
            ),
        ),
        (
            BrokenPipeError(32, "Broken pipe"),
            "this machine refused something: Broken pipe. Make room or allow access there, then run again.",
        ),
        (MemoryError(), "This machine has no memory left for it. Free some, or allow it more, then run again."),
    ],
    ids=repr,
)
def test_what_the_machine_refuses_is_7_and_no_bug(
    typed: Type, people: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, line: str
) -> None:
    def refused(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(commands, "run", refused)

    ended = typed("run", people.name)

    assert (ended.status, ended.out, ended.err) == (7, [], [line])


@pytest.mark.parametrize(("error", "status"), [(click.Abort(), 130), (KeyboardInterrupt(), 130)], ids=repr)
def test_who_left_is_not_told_anything(
    typed: Type, people: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
) -> None:
    def gone(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(commands, "run", gone)

    ended = typed("run", people.name)

    assert (ended.status, ended.out, [line for line in ended.err if line]) == (status, [], [])


@pytest.mark.parametrize("words", [("check",), ("run", "--sandbox")])
def test_a_command_that_is_to_be_quiet_warns_of_nothing(folder: Path, typed: Type, words: tuple[str, ...]) -> None:
    (folder / "config.yaml").chmod(0o644)
    (folder / "people.csv").write_text("id,name,age\n1,Kim,30\n", encoding="utf-8")

    loud, quiet = typed(*words, "people.csv"), typed(*words, "people.csv", "-q")

    assert (loud.status, quiet.status, quiet.err) == (0, 0, [])
    assert [line.partition(":")[0] for line in loud.err if "open to other users" in line] == ["Warning"]
