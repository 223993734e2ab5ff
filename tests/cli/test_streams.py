"""The standard streams may be closed, and what is said may hold what a file holds."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Type
from uploader.cli.streams import say

ROWS = "id,name,age\n1,Kim,30\n"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run `uploader` as a shell does that redirects its streams as *line* says."""
    command = f"{sys.executable} -m uploader {line}"
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)


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


def test_what_a_terminal_would_obey_or_hide_in_a_name_is_spelled_out(typed: Type, folder: Path) -> None:
    (folder / "people.csv").write_text('id,"na\nme",\x1b[2Jage\ufeff\n1,Kim,30\n', encoding="utf-8")

    ended = typed("check", "people.csv")

    assert (ended.status, ended.err) == (
        4,
        [
            (
                "people.csv has no column 'name' (it has: id, na\\nme, \\u001b[2Jage\\ufeff). Did you mean 'na\\nme'? "
                "Change mapping.properties.df_name in config.yaml."
            )
        ],
    )


@pytest.mark.parametrize("line", ["김철수, Zoë", "a\u00a0b\u3000c", "e\u0301", "🙂", ""])
def test_what_people_write_is_said_as_it_is(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(line)

    assert capsys.readouterr().err == f"{line}\n"
