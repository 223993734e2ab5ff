"""No input of a user and no want of this machine is a bug: odd names, numbers, locales and limits have a status."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import pytest

from tests.command import Desk, Ended, ended, names, names_of, rules
from uploader.sandbox import RunningSandbox

REJECTED: Final = "code=40001 for external_id=2 times 1"
LONGEST: Final = 255
NAMES: Final = {
    "a newline": b"peo\nple.csv",
    "a terminal's order": b"\x1b[2J.csv",
    "not UTF-8": b"\xff\xfe.csv",
    "half a character": "사람".encode()[:-1] + b".csv",
    **{f"{length} bytes": b"x" * (length - 4) + b".csv" for length in range(247, LONGEST + 1)},
    "255 bytes of Korean": b"x" * 2 + "사".encode() * 83 + b".csv",
    "255 bytes without a suffix": b"x" * LONGEST,
}
LOCALES: Final = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "EUC-KR": {"PYTHONIOENCODING": "euc-kr"},
    "nothing but ASCII": {"PYTHONIOENCODING": "ascii:strict"},
}


@pytest.fixture
def server(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    started = sandbox(rules(REJECTED))
    desk.configure(started.url)
    return started


def limited(desk: Desk, limit: str, *words: str) -> Ended:
    """Type the command in a shell that has set itself a *limit*."""
    script = f'{limit}; exec {sys.executable} -m uploader "$@"'
    through = ("-c", "import os, sys; os.execv('/bin/bash', ['bash', '-c', *sys.argv[1:]])", script, "uploader")
    with desk.start(*words, through=through) as process:
        return ended(process)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_file_may_have_any_name_that_a_file_system_takes(desk: Desk, server: RunningSandbox, name: bytes) -> None:
    source = os.fsdecode(name)
    desk.people(3).rename(desk.folder / source)

    checked = desk.type("check", source)
    first = desk.type("run", source, "--summary", os.fsdecode(name[:-5] + b".json"))
    (retry,) = [kept for kept in desk.files() if "retry" in kept or "~" in kept]
    second = desk.type("run", retry)

    assert (checked.status, first.status, second.status) == (0, 3, 0)
    assert names(server) == names_of(range(1, 4))
    assert not [kept for kept in desk.files() if kept.startswith(".")]


def test_two_long_names_that_begin_alike_have_retry_files_of_their_own(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules("code=40001 for external_id=2")).url)
    sources = ["x" * 250 + f"{number}.csv" for number in (1, 2)]
    for source in sources:
        desk.people(3, source)

    for source in sources:
        assert desk.type("run", source).status == 3

    kept = [name for name in desk.files() if "~" in name]
    assert (len(kept), len({name.partition("~")[2] for name in kept})) == (2, 2)


@pytest.mark.usefixtures("server")
def test_a_name_that_no_file_can_have_is_4(desk: Desk) -> None:
    for source in ("x" * 300, "/".join(["x"] * 3000), "loop"):
        (desk.folder / "loop").unlink(missing_ok=True)
        (desk.folder / "loop").symlink_to("loop")

        assert [desk.type(command, source).status for command in ("check", "run")] == [4, 4]


@pytest.mark.parametrize("locale", LOCALES)
def test_a_name_that_the_locale_does_not_have_is_sent_like_any_other(
    desk: Desk, server: RunningSandbox, locale: str
) -> None:
    desk.environ.update(LOCALES[locale])
    desk.people(3, "Ælf 사람 🙂.csv")
    command = [sys.executable, "-m", "uploader", "run", "Ælf 사람 🙂.csv", "-vv"]
    environ = {**os.environ, **desk.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(command, cwd=desk.folder, env=environ, capture_output=True, check=False)

    assert run.returncode == 3
    assert run.stderr.splitlines()[-1].startswith(b"  uploader run ")
    assert names(server) == {"1": "name1", "3": "name3"}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (
            ("check", "people.csv", "--limit", "99999999999999999999"),
            2,
            "Error: Invalid value for '--limit': 99999999999999999999 is not in the range 1<=x<=1000000000000000.",
        ),
        (("check", "people.csv", "--limit", "1000000000000000", "-q"), 0, ""),
        (("runs", "--purge", "999999999999"), 0, "0 runs deleted."),
        (
            ("explain", "people.csv", "--row", "99999999999999999999"),
            2,
            ("people.csv has only 3 rows; there is no row 99,999,999,999,999,999,999. Name another one with --row."),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_number_is_never_too_large(desk: Desk, words: tuple[str, ...], status: int, said: str) -> None:
    desk.people(3)

    ended = desk.type(*words)

    assert (ended.status, ended.last_line) == (status, said)


def test_a_working_directory_that_is_gone_is_7(desk: Desk) -> None:
    for words in (("check", "people.csv"), ("run", "people.csv"), ("runs",)):
        gone = limited(desk, "mkdir gone; cd gone; rmdir ../gone", *words)

        assert (gone.status, gone.err) == (
            7,
            "The working directory is gone. Change to another one, then run again.\n",
        )


@pytest.mark.parametrize("files", [10, 13, 17, 20])
def test_too_few_files_for_any_run_are_told_before_anything_is_sent(
    desk: Desk, server: RunningSandbox, files: int
) -> None:
    desk.people(3)

    run = limited(desk, f"ulimit -n {files}", "run", "people.csv")

    assert (run.status, len(run.err.splitlines()), len(server.sandbox.requests())) == (7, 1, 0)
    assert re.fullmatch(
        rf"This process may open only {files} files \(ulimit -n\), and a run needs \d+\. Nothing was sent\. "
        r"Allow it more, then run again\.\n",
        run.err,
    )


def test_too_few_threads_for_any_run_are_told_before_anything_is_sent(
    desk: Desk, server: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    desk.people(3)
    monkeypatch.setattr(threading.Thread, "start", refused)

    run = desk.type("run", "people.csv")

    monkeypatch.undo()
    assert (run.status, server.sandbox.requests()) == (7, [])
    assert run.last_line == (
        "This process may start only 0 threads (ulimit -u, or the memory), and a run needs 5. Nothing was sent. "
        "Allow it more, then run again."
    )


def test_a_machine_that_gives_no_thread_later_on_ends_the_run_as_a_disk_would(
    desk: Desk, server: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = threading.Thread.start, list[threading.Thread]()

    def refused(thread: threading.Thread) -> None:
        started.append(thread)
        # The signals have one, what is said has one, and five are tried.
        if len(started) > 7:
            raise RuntimeError("can't start new thread")
        start(thread)

    desk.people(3)
    monkeypatch.setattr(threading.Thread, "start", refused)

    run = desk.type("run", "people.csv", "--summary", "summary.json")

    monkeypatch.undo()
    assert (run.status, desk.summary()["exit_status"]) == (7, 7)
    assert run.last_line.startswith("This machine has no thread left to sync the journal. Run again to resume")
    assert desk.type("run", "people.csv").status in {0, 3}
    assert len(server.sandbox.requests()) <= 4


def test_nobody_s_home_is_needed(desk: Desk, server: RunningSandbox) -> None:
    desk.people(3)
    environ = {name: value for name, value in desk.environ.items() if name != "HOME"}
    command = [sys.executable, "-m", "uploader", "run", "people.csv"]
    run = subprocess.run(
        command, cwd=desk.folder, env={**environ, "PYTHONPATH": str(Path(__file__).parents[2])}, check=False
    )

    assert (run.returncode, len(server.sandbox.requests())) == (3, 3)
