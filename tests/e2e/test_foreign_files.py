"""Whatever else stands in the place of a file of a run: it never hangs, never writes there, and says what to do."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.command import Desk, Ended, rules
from uploader.sandbox import RunningSandbox

VICTIM: Final = b"id,name\n1,precious\n"


def _link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def _hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def _folder(path: Path, _: Path) -> None:
    path.mkdir()


def _pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path, _: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


KINDS: Final = {"link": _link, "hard link": _hard_link, "folder": _folder, "pipe": _pipe, "socket": _socket}
ROLES: Final = (
    *("runs/*.journal", "locks/*.lock", "quota/*/standing", "totals/*.json", "memory/key", "memory/*.memory"),
    *("memory/*.lock", "runs", "locks", "quota", "quota/*", "totals", "memory"),
)
"""The files and folders in the state folder after a run; those that are only there while one lasts are tried alone."""

MORE: Final = "changed_only: true\nguard: {rows: 50%}\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploader.outputs.summary._PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr("uploader.config.yaml_document._PATIENCE_SECONDS", 0.05)


def _assert_told(ended: Ended, path: Path, victim: Path) -> None:
    assert ended.status in {0, 2, 7}, ended.err
    assert "A bug" not in ended.err
    assert "Traceback" not in ended.err
    if ended.status:
        assert str(path) in ended.err or path.name in ended.err
    assert victim.read_bytes() == VICTIM


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
def test_what_stands_in_the_place_of_state_is_told_and_left_alone(
    desk: Desk, sandbox: Callable[..., RunningSandbox], role: str
) -> None:
    desk.configure(sandbox(rules()).url, more=MORE)
    desk.people(3)
    victim = desk.write("victim.csv", VICTIM)
    assert desk.type("run", "people.csv").status == 0
    state = desk.folder / ".uploader"
    path = min(state.glob(role))
    kept = desk.folder / "kept"

    for name, make in KINDS.items():
        if name == "folder" and path.is_dir():
            continue
        if name == "hard link" and path.is_dir():
            continue
        path.rename(kept)
        make(path, victim)
        for command in (("run", "people.csv"), ("check", "people.csv"), ("runs",), ("changes",)):
            ended = desk.type(*command)
            _assert_told(ended, path, victim)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        kept.rename(path)
    assert desk.type("run", "people.csv").status == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flag", ["--summary", "--retry-file", "--config"])
def test_what_stands_in_the_place_of_an_output_or_the_configuration_is_told_and_left_alone(
    desk: Desk, sandbox: Callable[..., RunningSandbox], flag: str, kind: str
) -> None:
    desk.configure(sandbox(rules("code=40001 for external_id=2")).url)
    desk.people(3)
    victim = desk.write("victim.csv", VICTIM)
    path = desk.folder / "place.csv"
    KINDS[kind](path, victim)

    ended = desk.type("run", "people.csv", flag, "place.csv")

    if flag == "--summary" and kind in {"link", "hard link"}:
        # The summary is put where it was wanted; of a hard link only this name leads to it then.
        assert ended.status == 3
        assert (victim.read_bytes() == VICTIM) == (kind == "hard link")
    elif flag == "--retry-file" and kind in {"link", "hard link"}:
        # Never over another file: it gets another number.
        assert (ended.status, victim.read_bytes()) == (3, VICTIM)
        assert (desk.folder / "place.2.csv").is_file()
    else:
        _assert_told(ended, path, victim)
        assert ended.status in {2, 7}


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/proc/self/fd/1", "/dev/null"])
def test_a_device_is_no_place_for_a_retry_file(desk: Desk, name: str) -> None:
    desk.configure("http://127.0.0.1:1")
    desk.people(1)

    ended = desk.type("run", "people.csv", "--retry-file", name)

    assert (ended.status, ended.err) == (
        2,
        (
            f"The retry file {name} is a device or a pipe, which keeps nothing. "
            "Name a file with --retry-file or output.retry_file.\n"
        ),
    )
    assert not Path("/dev/stdout.2").exists()


def test_a_state_dir_that_is_somebodys_folder_is_refused_and_left_as_it_is(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1")
    desk.people(1)
    before = stat.S_IMODE(desk.folder.stat().st_mode)

    for command in (("run", "people.csv"), ("runs",)):
        ended = desk.type(*command, "--set", "state_dir=.")

        assert (ended.status, ended.err) == (
            2,
            (
                f"state_dir: {desk.folder} is in use for something else, and a state folder is for this program alone. "
                "Set state_dir to a folder that is empty, or does not exist yet.\n"
            ),
        )
    assert stat.S_IMODE(desk.folder.stat().st_mode) == before
    assert not (desk.folder / "runs").exists()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_of_a_run_gets_the_number_of_a_closed_stream(
    desk: Desk, sandbox: Callable[..., RunningSandbox], closed: str
) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(2)
    command = f"exec {sys.executable} -m uploader run people.csv --summary /dev/stdout {closed}"
    env = {**os.environ, **desk.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    ended = subprocess.run(
        ["/bin/sh", "-c", command], cwd=desk.folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )

    is_closed = ">&-" in closed.replace("2>&-", "")
    assert ended.returncode == (7 if is_closed else 0)
    for lock in (desk.folder / ".uploader" / "locks").glob("*"):
        assert "run_id" not in lock.read_text()
    assert ('"sent": 2' in ended.stdout) == (not is_closed)


def test_the_configuration_may_come_from_a_process(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(2)
    command = f"{sys.executable} -m uploader run people.csv --config <(cat config.yaml) --set state_dir={desk.folder}/s"
    env = {**os.environ, **desk.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    ended = subprocess.run(
        ["/bin/bash", "-c", command], cwd=desk.folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )

    assert (ended.returncode, ended.stderr) == (0, "")
