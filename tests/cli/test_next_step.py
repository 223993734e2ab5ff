"""The one command that a user types after a run that was stopped."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from uploader.cli.next_step import add_next_step, same_command, say_that_it_finished
from uploader.cli.printed_commands import USUAL
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


def after(error: BaseException | None, words: Mapping[str, object] | None = None, *, has_started: bool = True) -> str:
    """Return the message of *error* after a run of people.csv with the flags *words*."""
    add_next_step(error, {"sources": ("people.csv",), "config": USUAL, **(words or {})}, has_started=has_started)
    return str(error)


def interrupted() -> SignalledError:
    return SignalledError("Stopped by SIGINT. Run again to resume.", 2)


@pytest.mark.parametrize("stop", [RefusedError, OutageError, StorageError, TimeUpError], ids=repr)
@pytest.mark.parametrize(
    ("message", "ends"),
    [
        ("Stopped. Run again to resume.", "Stopped. Run again to resume: uploader run people.csv"),
        ("Full. Make room, then run again.", "Full. Make room, then run again to resume: uploader run people.csv"),
        (
            "Down. Run again to resume, from 05:00:00 on.",
            "Down. Run again to resume, from 05:00:00 on: uploader run people.csv",
        ),
        ("Run again after that to resume.", "Run again after that to resume: uploader run people.csv"),
        (
            "Rejected. Set limits.canary: 0.",
            "Rejected. Set limits.canary: 0. Run again to resume: uploader run people.csv",
        ),
    ],
)
def test_a_stop_says_once_that_and_how_the_run_is_resumed(stop: type[UploaderError], message: str, ends: str) -> None:
    assert after(stop(message)) == ends


@pytest.mark.parametrize("error", [None, ValueError("Run again."), InputError("Fix that, then run again.")], ids=repr)
def test_what_no_command_resumes_names_none(error: BaseException | None) -> None:
    before = str(error)

    assert after(error) == before


@pytest.mark.parametrize("stop", [RefusedError, StorageError], ids=repr)
def test_a_run_that_could_not_start_has_nothing_to_resume(stop: type[UploaderError]) -> None:
    assert after(stop("Fix it. Then run again."), has_started=False) == "Fix it. Then run again."


@pytest.mark.parametrize(
    "error",
    [interrupted(), TimeUpError("Over. Run again to resume."), OutageError("Down. Run again to resume.")],
    ids=repr,
)
def test_a_stop_before_the_first_request_says_how_to_run_it_again(error: UploaderError) -> None:
    first = str(error).partition(".")[0]

    assert after(error, has_started=False) == f"{first}. Run again: uploader run people.csv"


@pytest.mark.parametrize(
    "message", ["people.csv changed. Run again.", "people.csv changed. Run again with the file as it is now."]
)
def test_a_changed_file_is_sent_by_the_same_command(message: str) -> None:
    assert after(ChangedError(message)) == (
        "people.csv changed. Run again to send the file as it is now: uploader run people.csv"
    )


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

    assert same_command(words) == (
        "uploader run 'a b.csv' ./-c.csv --config 'our config.yaml' --set rate.share=0.5 --changed-only "
        "--retry-file mine.csv --summary last.json --for 90m --full --accept"
    )


def test_a_value_that_may_be_a_secret_is_left_to_the_user() -> None:
    assert after(interrupted(), {"overrides": ("api.access_token=linnet-4711",)}) == (
        "Stopped by SIGINT. Run again to resume: uploader run people.csv --set 'api.access_token=…' "
        "(replace … by what you gave with that --set: it may hold a secret)"
    )


def test_to_start_over_is_not_asked_for_twice() -> None:
    assert same_command({"sources": ("people.csv",), "fresh": True}) == "uploader run people.csv"


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

    assert same_command({"sources": ("people.csv",), "until": deadline}) == f"uploader run people.csv{kept}"


def test_a_run_of_the_first_rows_starts_over() -> None:
    assert after(interrupted(), {"limit": 5}) == (
        "Stopped by SIGINT. Run again to start over (a run with --limit is not resumed): "
        "uploader run people.csv --limit 5"
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (interrupted(), "Stopped by SIGINT. A dry run is not resumed."),
        (StorageError("Full. Make room there, then run again."), "Full. Make room there, then run again."),
    ],
    ids=repr,
)
def test_a_dry_run_is_not_resumed(error: UploaderError, message: str) -> None:
    assert after(error, {"sandbox": True}) == message


def test_a_signal_after_the_end_promises_nothing_to_resume() -> None:
    error = interrupted()

    say_that_it_finished(error)

    assert str(error) == "Stopped by SIGINT. The run had finished before."
