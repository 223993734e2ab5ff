"""The standard streams may be closed, and what is said may hold what a file holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import Type
from uploader.cli.standard_streams import say

ROWS = "id,name,age\n1,Kim,30\n"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run `uploader` as a shell does that redirects its streams as *line* says."""
    command = f"{sys.executable} -m uploader {line}"
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)


def bash(line: str) -> subprocess.CompletedProcess[str]:
    """Run `uploader` as bash does, whatever the bytes are that it says."""
    command = f"{sys.executable} -m uploader {line}"
    return subprocess.run(["/bin/bash", "-c", command], capture_output=True, encoding="latin-1", check=False)


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("check people.csv <&-", 0, "people.csv: 1 row, all can be sent."),
        ("check - <&-", 4, "there is no standard input. Name a file instead of '-'."),
        ("explain people.csv --row 1 <&-", 0, "people.csv: row 1 (line 2)"),
        ("run people.csv --sandbox 2>&-", 0, ""),
        ("check people.csv 2>&-", 0, ""),
    ],
)
def test_a_stream_that_is_closed_is_done_without(folder: Path, line: str, status: int, said: str) -> None:
    (folder / "people.csv").write_text(ROWS, encoding="utf-8")

    ended = shell(line)

    assert (ended.returncode, (ended.stderr.splitlines() or [""])[0]) == (status, said)


HALF = "id,name,age\n1,Kim,30\n2,Lee,old\n"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("run people.csv --sandbox -vv 2>/dev/full", 3),
        ("run people.csv --sandbox -vv 2> >(exec <&-)", 3),
        ("run people.csv --sandbox -vv 2>&- >&- <&-", 3),
        ("check people.csv -v 2>/dev/full", 3),
        ("check people.csv -v 2> >(exec <&-)", 3),
        ("check nobody.csv 2>/dev/full", 4),
        ("explain people.csv --row 1 2>/dev/full", 0),
        ("runs --purge 9 2>/dev/full", 0),
        ("memory --forget 2>/dev/full", 0),
        ("nope 2>/dev/full", 2),
        ("run 2> >(exec <&-)", 2),
    ],
)
def test_words_that_nobody_can_hear_change_nothing_of_how_a_command_ends(folder: Path, line: str, status: int) -> None:
    (folder / "people.csv").write_text(HALF, encoding="utf-8")

    assert bash(line).returncode == status


@pytest.mark.parametrize(
    "line", ["check people.csv --json -q", "explain people.csv --row 1 --json", "runs", "memory --json", "--help"]
)
@pytest.mark.parametrize(
    ("where", "why"), [(">/dev/full", "No space left on device"), (">&-", "it is closed")], ids=["full", "closed"]
)
def test_data_that_can_not_be_written_is_told_and_is_7(folder: Path, line: str, where: str, why: str) -> None:
    (folder / "people.csv").write_text(HALF, encoding="utf-8")

    ended = bash(f"{line} {where}")

    said = f"Standard output can't be written: {why}. Send it elsewhere, then run again."
    assert (ended.returncode, ended.stderr.splitlines()) == (7, [said])


def test_data_that_can_not_be_written_does_not_hide_why_the_check_ended(folder: Path) -> None:
    ended = bash("check nobody.csv --json >/dev/full")

    assert (ended.returncode, folder.is_dir(), ended.stderr.splitlines()) == (
        4,
        True,
        [
            "Standard output can't be written: No space left on device. Send it elsewhere, then run again.",
            "nobody.csv: no such file. Check the path.",
        ],
    )


@pytest.mark.parametrize(
    ("line", "status"), [("check people.csv --json -q", 3), ("runs", 0), ("--help", 0), ("check --help", 0)]
)
def test_a_reader_that_has_left_is_no_trouble(folder: Path, line: str, status: int) -> None:
    (folder / "people.csv").write_text(HALF, encoding="utf-8")

    ended = bash(f"{line} > >(exec <&-)")

    assert (ended.returncode, ended.stderr) == (status, "")


@pytest.mark.parametrize("encoding", ["ascii", "euc-kr", "latin-1:strict"])
def test_what_an_encoding_does_not_have_is_spelled_as_json_spells_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    name = "Ælf 🙂.csv"
    (folder / name).write_text(ROWS, encoding="utf-8")

    ended = bash(f"check '{name}' --json")

    codec = encoding.partition(":")[0]
    assert (ended.returncode, json.loads(ended.stdout.encode("latin-1").decode(codec))["source"]) == (0, name)
    said = ended.stderr.encode("latin-1").decode(codec).splitlines()[0]
    assert said.endswith(" \\ud83d\\ude42.csv: 1 row, all can be sent.")


def test_a_terminal_that_went_away_takes_no_row_with_it(folder: Path) -> None:
    (folder / "people.csv").write_text(HALF, encoding="utf-8")
    screen, terminal = os.openpty()
    os.close(screen)

    command = [sys.executable, "-m", "uploader", "run", "people.csv", "--sandbox", "--summary", "summary.json"]
    ended = subprocess.run(command, stderr=terminal, check=False)
    os.close(terminal)

    assert (ended.returncode, json.loads((folder / "summary.json").read_text())["sent"]) == (3, 1)


def test_what_a_terminal_would_obey_or_hide_in_a_name_is_spelled_out(typed: Type, folder: Path) -> None:
    (folder / "people.csv").write_text('id,"na\nme",\x1b[2Jage\ufeff\n1,Kim,30\n', encoding="utf-8")

    ended = typed("check", "people.csv")

    assert (ended.status, ended.err) == (
        4,
        [
            (
                "people.csv has no column 'name', but \"na\\u000ame\" (other spelling). "
                'Write "na\\u000ame" at mapping.properties.df_name in config.yaml. '
                "It has no column 'age' (it has: id, na\\nme, \\u001b[2Jage\\ufeff). "
                "Change mapping.properties.age in config.yaml."
            )
        ],
    )


@pytest.mark.parametrize("line", ["김철수, Zoë", "a\u00a0b\u3000c", "e\u0301", "🙂", ""])
def test_what_people_write_is_said_as_it_is(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(line)

    assert capsys.readouterr().err == f"{line}\n"
