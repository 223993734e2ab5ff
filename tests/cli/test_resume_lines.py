"""The one command that a user types after a run that was stopped."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from uploader.cli.printed_commands import USUAL
from uploader.cli.resume_lines import correct_advice, resume_lines
from uploader.errors import (
    ChangedError,
    InputError,
    OutageError,
    RefusedError,
    SignalledError,
    StorageError,
    TimeUpError,
    UploaderError,
)
from uploader.run.time_limit import Deadline

SIGINT = SignalledError("Stopped by SIGINT. Run again to resume.", 2)


def after(
    error: BaseException | None, words: Mapping[str, object] | None = None, *, has_started: bool = True
) -> list[str]:
    flags = {"sources": ("people.csv",), "config": USUAL, **(words or {})}
    return list(resume_lines(error, flags, has_started=has_started))


@pytest.mark.parametrize("error", [SIGINT, RefusedError(), OutageError(), StorageError(), TimeUpError()], ids=repr)
def test_a_stop_says_the_command_that_resumes_the_run(error: UploaderError) -> None:
    assert after(error) == ["To resume, type:", "  uploader run people.csv"]


@pytest.mark.parametrize("error", [None, ValueError(), InputError("wrong")], ids=repr)
def test_what_no_command_resumes_names_none(error: BaseException | None) -> None:
    assert after(error) == []


@pytest.mark.parametrize("error", [RefusedError(), StorageError()], ids=repr)
def test_a_run_that_could_not_start_has_nothing_to_resume(error: UploaderError) -> None:
    assert after(error, has_started=False) == []


@pytest.mark.parametrize("error", [SIGINT, TimeUpError()], ids=repr)
def test_a_stop_before_the_first_request_says_how_to_run_it_again(error: UploaderError) -> None:
    assert after(error, has_started=False) == ["To run it again, type:", "  uploader run people.csv"]


def test_a_changed_file_is_sent_by_the_same_command() -> None:
    assert after(ChangedError()) == ["To send the file as it is now, type:", "  uploader run people.csv"]


def test_the_command_has_every_flag_that_decides_what_is_sent() -> None:
    words = {
        "sources": ("a b.csv", "-c.csv"),
        "config": Path("our config.yaml"),
        "overrides": ("rate.share=0.5",),
        "changed_only": True,
        "retry_file": Path("mine.csv"),
        "summary": Path("last.json"),
        "within": Deadline("--for 90m", 0.0, within=5400.0),
        "full": True,
        "accept": True,
        "show_values": True,
        "quiet": True,
    }

    assert after(SIGINT, words)[1] == (
        "  uploader run 'a b.csv' ./-c.csv --config 'our config.yaml' --set rate.share=0.5 --changed-only "
        "--retry-file mine.csv --summary last.json --for 90m --full --accept"
    )


def test_a_value_that_may_be_a_secret_is_left_to_the_user() -> None:
    assert after(SIGINT, {"overrides": ("api.access_token=linnet-4711",)}) == [
        "To resume, type:",
        "  uploader run people.csv --set 'api.access_token=…'",
        "(Replace … by what you gave with that --set: it may hold a secret.)",
    ]


def test_to_start_over_is_not_asked_for_twice() -> None:
    assert after(SIGINT, {"fresh": True})[1] == "  uploader run people.csv"


@pytest.mark.parametrize(
    ("flag", "seconds", "kept"),
    [
        ("--until 05:00", -1, " --until 05:00"),
        ("--until 2024-03-06T05:00", 60, " --until 2024-03-06T05:00"),
        ("--until 2024-03-06T05:00", -1, ""),
        ("--until 05:00 Asia/Seoul", -1, " --until '05:00 Asia/Seoul'"),
    ],
)
def test_a_date_that_is_over_is_left_out(flag: str, seconds: float, kept: str) -> None:
    deadline = Deadline(flag, time.monotonic(), at=datetime.now(UTC) + timedelta(seconds=seconds))

    assert after(TimeUpError(), {"until": deadline})[1] == f"  uploader run people.csv{kept}"


def test_a_run_of_the_first_rows_starts_over() -> None:
    assert after(SIGINT, {"limit": 5}) == ["To run it again, type:", "  uploader run people.csv --limit 5"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "Stopped: it is full. Make room there, then run again to resume."),
        ({"sandbox": True}, "Stopped: it is full. Make room there, then run again to resume."),
    ],
)
def test_other_advice_stays(words: dict[str, object], message: str) -> None:
    error = StorageError("Stopped: it is full. Make room there, then run again to resume.")

    correct_advice(error, words)

    assert str(error) == message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "Stopped by SIGINT. Run again to resume."),
        ({"sandbox": True}, "Stopped by SIGINT. A dry run is not resumed."),
        ({"limit": 5}, "Stopped by SIGINT. Run again to start over: a run with --limit is not resumed."),
    ],
)
def test_no_message_promises_to_resume_what_is_not_resumed(words: dict[str, object], message: str) -> None:
    error = SignalledError("Stopped by SIGINT. Run again to resume.", 2)

    correct_advice(error, words)

    assert (str(error), after(error, words) == []) == (message, "sandbox" in words)
