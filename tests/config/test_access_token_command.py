"""The token that a secret manager's command prints: as it is, in time, and in no message."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.make import Load
from uploader.config.access_token_command import printed_by
from uploader.config.error_messages import UnfitValueError

MAPPING = """\
mapping:
  identity: {external_id: user_id}
  properties: {df_name: name}
"""
WHERE = "config.yaml line 1: api.access_token_command"


def by_command(words: str) -> str:
    return f"api: {{service_id: svc, access_token_command: {words}}}\n{MAPPING}"


def by_shell(line: str) -> str:
    return by_command(f'[sh, -c, "{line}"]')


def test_the_token_is_what_the_command_prints(loaded: Load) -> None:
    settings = loaded(by_shell("echo swallow-$((4700+11)); echo canary >&2"))

    assert settings.api.access_token == "swallow-4711"
    assert "swallow" not in repr(settings)


def test_no_shell_reads_the_words(loaded: Load) -> None:
    settings = loaded(by_command("[printf, '%s%s', '$HOME;swal', 'low|4711']"))

    assert settings.api.access_token == "$HOME;swallow|4711"


def test_it_runs_in_the_folder_of_the_configuration_with_the_environment(loaded: Load, tmp_path: Path) -> None:
    script = tmp_path / "get.sh"
    script.write_text('#!/bin/sh\necho "linnet-$VAULT-$(basename "$PWD")"\n')
    script.chmod(0o700)

    settings = loaded(by_command("[./get.sh]"), environ={"VAULT": "nights", "PATH": "/usr/bin:/bin"})

    assert settings.api.access_token == f"linnet-nights-{tmp_path.name}"


def test_it_gets_no_standard_input(loaded: Load) -> None:
    assert loaded(by_shell("cat; echo $((4700+11))")).api.access_token == "4711"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (by_shell("echo linnet; exit 3"), ": it ended with exit status 3; type it yourself to see why"),
        (by_shell("echo linnet; kill -9 $$"), ": it was ended by SIGKILL; type it yourself to see why"),
        (by_shell("echo linnet >&2"), ": it printed nothing; let it print the token on standard output"),
        (
            by_shell("echo linnet; echo url"),
            ": it printed more than one token; let it print the token and nothing else",
        ),
        (
            by_command("[linnet-canary, show]"),
            ": its first word is no program that is found; install that, or write its path",
        ),
        (by_command("[/]"), ": it can't be run (Permission denied); let this user run it"),
        (
            by_command("pass show linnet"),
            ": its value is not a list of words; write for example [pass, show, dfinery]",
        ),
        (by_command("[]"), ": its value is not a list of words; write for example [pass, show, dfinery]"),
        (
            by_command("[[linnet]]"),
            ": its value holds something that is no word; write for example [pass, show, dfinery]",
        ),
        (by_command(""), " has no value; write one, or delete the key"),
    ],
)
def test_a_command_that_gives_no_token_is_refused_with_what_to_do(
    complaint: Callable[..., str], text: str, words: str
) -> None:
    assert complaint(text) == f"{WHERE}{words}"


def test_a_command_that_waits_for_somebody_is_ended() -> None:
    began = time.monotonic()

    with pytest.raises(UnfitValueError) as caught:
        printed_by([sys.executable, "-c", "import time; time.sleep(600)"], Path(), {}, seconds=0.2)

    assert str(caught.value) == "it has not ended within 0.2 s; type it yourself to see why"
    assert time.monotonic() - began < 60


def test_an_agent_that_the_command_leaves_behind_is_not_waited_for() -> None:
    token = printed_by(["sh", "-c", "sleep 20 & echo swallow-4711"], Path(), os.environ, seconds=10)

    assert token == "swallow-4711"


@pytest.mark.parametrize(
    ("ways", "words"),
    [
        (
            "access_token: linnet, access_token_command: [touch, ran]",
            ["access_token_command is given beside api.access_token"],
        ),
        (
            "access_token_file: token, access_token_command: [touch, ran]",
            ["access_token_command is given beside api.access_token_file"],
        ),
        (
            "access_token: linnet, access_token_file: token, access_token_command: [touch, ran]",
            [
                "access_token_file is given beside api.access_token",
                "access_token_command is given beside api.access_token",
            ],
        ),
    ],
)
@pytest.mark.parametrize("credentials", [True, False])
def test_the_token_is_given_in_one_way_only(
    complaint: Callable[..., str], tmp_path: Path, ways: str, words: list[str], *, credentials: bool
) -> None:
    text = f"api: {{service_id: svc, {ways}}}\n{MAPPING}"

    lines = complaint(text, credentials=credentials).split("\n")

    assert lines == [f"config.yaml line 1: api.{each}; delete one of the two" for each in words]
    assert not (tmp_path / "ran").exists()


def test_a_check_and_a_dry_run_do_not_run_it(loaded: Load, tmp_path: Path) -> None:
    loaded(by_command("[touch, ran]"), credentials=False)

    assert not (tmp_path / "ran").exists()


def test_a_variable_that_only_the_run_has_is_no_trouble_of_a_check(loaded: Load, complaint: Callable[..., str]) -> None:
    text = by_command("[cat, '${NOT_SET}/token']")

    loaded(text, credentials=False)

    assert complaint(text).startswith("config.yaml line 1: api.access_token_command")
    assert "NOT_SET" in complaint(text)


def test_a_token_that_stands_elsewhere_too_is_found(complaint: Callable[..., str]) -> None:
    text = by_shell("echo linnet-4711-canary") + "registered: {linnet-4711-canary: string}\n"

    assert "access token in it" in complaint(text)
