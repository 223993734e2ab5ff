"""What a shell completes: commands, options, files, run IDs and keys, without loading what a run needs."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from docs.scripts import command_line
from tests.make import BEGUN, CONFIG, begun_with
from tests.screen import Terminal
from uploader.cli.completion import TABLE
from uploader.config.settings import keys_of
from uploader.state import History, RunStore

ROOT: Final = Path(__file__).parents[2]
HEAVY: Final = {"aiohttp", "aiolimiter", "polars", "pydantic", "tqdm", "uvloop"}

Complete = Callable[..., list[str]]


def ask(
    folder: Path, *words: str, through: tuple[str, ...] = (), asking: str = "zsh"
) -> "subprocess.CompletedProcess[str]":
    """Ask as a shell does for what completes the last of *words*."""
    fish = {"COMP_WORDS": " ".join(("uploader", *words)), "COMP_CWORD": words[-1]}
    others = {"COMP_WORDS": shlex.join(("uploader", *words)), "COMP_CWORD": str(len(words))}
    return subprocess.run(
        [sys.executable, *through, "-m", "uploader"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "_UPLOADER_COMPLETE": f"{asking}_complete",
            **(fish if asking == "fish" else others),
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


@pytest.fixture
def completed(folder: Path) -> Complete:
    """Return the words that complete the last one of a command line, or the kind of what the shell completes itself."""
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")

    def complete(*words: str) -> list[str]:
        # zsh gets three lines for each: its kind, itself, and its help.
        lines = ask(folder, *words).stdout.rstrip("\n").split("\n")
        kinds, values = lines[:-1:3], lines[1::3]
        return [value if kind == "plain" else kind for kind, value in zip(kinds, values, strict=True)]

    return complete


def test_the_table_is_what_the_commands_say() -> None:
    assert TABLE.read_text(encoding="utf-8") == command_line.words()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["r"], ["report", "retry", "run", "runs"]),
        (["--ver"], ["--version"]),
        (["run", "peo"], ["file"]),
        (["run", "people.csv", "peo"], ["file"]),
        (["run", "people.csv", "--chan"], ["--changed-only"]),
        (["run", "--config", ""], ["file"]),
        (["run", "people.csv", "--summary", "la"], ["file"]),
        (["run", "--until", ""], []),
        (["check", "people.csv", "--set", "rate.req"], ["rate.requests="]),
        (["check", "--set", "api.acc"], ["api.access_token=", "api.access_token_command=", "api.access_token_file="]),
        (["check", "--set", "mapping.identity.e"], ["mapping.identity.email=", "mapping.identity.external_id="]),
        (["sandbox", "--limit-reply", ""], ["429", "40401"]),
        (["explain", "people.csv", "--ro"], ["--row"]),
    ],
    ids=" ".join,
)
def test_a_word_is_completed(completed: Complete, words: list[str], found: list[str]) -> None:
    assert completed(*words) == found


def test_every_key_of_the_configuration_is_completed() -> None:
    keys = set(json.loads(TABLE.read_text(encoding="utf-8"))["keys"])

    sections = {key for key in keys_of(()) if keys_of((key,))}
    assert {key.partition(".")[0] for key in keys} == {*keys_of(())}
    assert {f"{section}.{key}" for section in sections for key in keys_of((section,))} <= {
        *keys,
        *(key.rpartition(".")[0] for key in keys),
    }


def test_a_run_is_completed_by_the_id_that_the_history_lists_and_a_job_by_its_name(
    completed: Complete, folder: Path
) -> None:
    (folder / "people.csv").write_text("id,name,age\n1,Kim,30\n", encoding="utf-8")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "uploader",
            "run",
            "people.csv",
            "--set",
            "api.base_url=http://127.0.0.1:1",
            "--for",
            "1s",
            "--job",
            "members",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DFINERY_SERVICE_ID": "svc", "DFINERY_ACCESS_TOKEN": "canary"},
        check=False,
        capture_output=True,
        timeout=60,
    )

    (record,) = History(folder / ".uploader").records()
    found = record.start_id

    assert completed("runs", "") == completed("report", "") == ["last", found]
    assert completed("report", found[:-1]) == [found]
    assert completed("runs", "x") == []
    assert completed("runs", "--config", "other.yaml", "") == []
    for command in ("run", "check", "runs"):
        assert completed(command, "--job", "") == completed(command, "--job", "mem") == ["members"]
    assert completed("runs", "--job", "x") == []


def test_a_run_of_an_earlier_version_is_completed_by_the_id_of_its_journal(completed: Complete, folder: Path) -> None:
    RunStore(folder / ".uploader").create(BEGUN)

    assert completed("report", "2") == [BEGUN.run_id]


def test_a_job_is_completed_by_its_name_or_by_the_file_that_has_none(completed: Complete, folder: Path) -> None:
    run_store = RunStore(folder / ".uploader")
    run_store.create(begun_with(run_id="20260101T000000Z-1", source="members_1.csv", job="members"))
    run_store.create(begun_with(run_id="20260102T000000Z-2", source="members_2.csv", job="members"))
    run_store.create(begun_with(run_id="20260103T000000Z-3", source="memo.csv"))
    run_store.create(begun_with(run_id="20260104T000000Z-4", source="buyers.csv"))

    assert completed("retry", "mem") == ["memo.csv", "members"]
    assert completed("retry", "members", "--ful") == ["--full"]


def test_completion_creates_nothing_and_survives_a_wrong_configuration(completed: Complete, folder: Path) -> None:
    assert completed("runs", "") == []
    (folder / "config.yaml").write_text("nope: [", encoding="utf-8")

    assert completed("runs", "") == []
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    "words", [("ru",), ("run", "--set", "rate."), ("sandbox", "--po"), ("check", "")], ids=" ".join
)
def test_completion_loads_nothing_heavy(folder: Path, words: tuple[str, ...]) -> None:
    done = ask(folder, *words, through=("-X", "importtime"))

    assert HEAVY & set(re.findall(r"^import time:.*\| +(\w+)$", done.stderr, re.MULTILINE)) == set()


def test_fish_gets_each_word_with_its_help(folder: Path) -> None:
    lines = ask(folder, "run", "people.csv", "--chan", asking="fish").stdout.splitlines()

    assert lines[0].startswith("plain,--changed-only")


@pytest.mark.parametrize(("shell", "text"), [("zsh", "compdef"), ("fish", "complete --no-files")])
def test_other_shells_get_their_script(folder: Path, shell: str, text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uploader"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "_UPLOADER_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert text in done.stdout


@pytest.mark.slow
def test_bash_completes_as_it_is_typed(folder: Path) -> None:
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "my people.csv").write_text("id,name,age\n1,Kim,30\n", encoding="utf-8")
    commands = folder / "commands"
    commands.mkdir()
    program = commands / "uploader"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m uploader "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    environ = {"PATH": f"{commands}:{os.environ['PATH']}", "PS1": "ready$ ", "INPUTRC": "/dev/null"}

    with Terminal(("bash", "--norc", "--noprofile", "-i"), folder, environ, columns=200) as terminal:
        terminal.press('eval "$(_UPLOADER_COMPLETE=bash_source uploader)"; echo rea""dy\n')
        terminal.read_until(lambda since: "ready\r" in since or "ready\n" in since)
        for typed, shown in (
            ("uploader che\t", "uploader check "),
            ("my\t", "my\\ people.csv "),
            ("--set rate.req\t5000 ", "--set rate.requests=5000 "),
            ("--summ\t", "--summary "),
        ):
            terminal.press(typed)
            terminal.read_until(re.compile(re.escape(shown)).search)
        line = terminal.screen.lines[-1]
        terminal.press("\x15exit\n")
        terminal.end()

    assert line.endswith("uploader check my\\ people.csv --set rate.requests=5000 --summary")
