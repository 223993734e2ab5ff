"""Let one process at a time send a file to a service."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from uploader.errors import LockedError, StorageError
from uploader.state import RunLock

SINCE = "2026-01-01T00:00:00+00:00"
HOLD = """
import sys
from pathlib import Path
from uploader.state import RunLock
with RunLock(Path(sys.argv[1]), since=sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.lock"


@contextmanager
def another_process(path: Path) -> "Iterator[subprocess.Popen[str]]":
    """Let another process hold the lock at *path*."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), SINCE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_lock_that_another_process_holds_is_refused_with_who_and_since_when(path: Path) -> None:
    with another_process(path) as process:
        with pytest.raises(LockedError) as refused, RunLock(path, since="now", what="people.csv"):
            pass
        holder = RunLock(path, since="").holder()

    assert str(refused.value) == (
        f"Another run sends people.csv to this service: process {process.pid}, since {SINCE}. Nothing was done. "
        "Wait for its end, then run again."
    )
    assert refused.value.exit_status == 8
    assert holder == f"process {process.pid}, since {SINCE}"


def test_the_lock_of_a_process_that_was_killed_is_free(path: Path) -> None:
    with another_process(path) as process:
        process.kill()
        process.wait()

        with RunLock(path, since="later"):
            assert path.read_text(encoding="utf-8") == f"process {os.getpid()}, since later\n"


def test_a_lock_is_free_again_when_its_context_ends(path: Path) -> None:
    with RunLock(path, since=SINCE):
        assert RunLock(path, since="").holder() is not None

    assert RunLock(path, since="").holder() is None
    with RunLock(path, since=SINCE):
        pass


def test_asking_who_holds_a_lock_leaves_it_as_it_is(path: Path) -> None:
    with RunLock(path, since=SINCE):
        assert RunLock(path, since="").holder() == f"process {os.getpid()}, since {SINCE}"
        assert RunLock(path, since="").holder() == f"process {os.getpid()}, since {SINCE}"


def test_a_longer_holder_before_leaves_nothing_behind_the_name_of_the_next(path: Path) -> None:
    path.write_text("process 12345678, since " + "x" * 200, encoding="utf-8")

    with RunLock(path, since="now"):
        assert path.read_text(encoding="utf-8") == f"process {os.getpid()}, since now\n"


def test_a_holder_that_has_not_yet_said_its_name_is_another_process(path: Path) -> None:
    with another_process(path):
        path.write_bytes(b"")

        assert RunLock(path, since="").holder() == "another process"


def test_a_planted_link_is_refused(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path.symlink_to(victim)

    with pytest.raises(StorageError) as refused, RunLock(path, since="now"):
        pass

    assert str(refused.value) == f"{path} is a symbolic link, which is not followed. Remove it, then run again."
    assert victim.read_bytes() == b"precious"


def test_a_full_disk_is_told_and_frees_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pwrite(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(StorageError, match=f"{path}: No space left on device"), RunLock(path, since="now"):
            pass

    assert RunLock(path, since="").holder() is None


def test_locks_of_two_files_do_not_meet(tmp_path: Path) -> None:
    with RunLock(tmp_path / "one.lock", since=SINCE), RunLock(tmp_path / "two.lock", since=SINCE) as second:
        assert second.holder() is not None


def test_a_lock_that_nobody_holds_is_cleared_away_and_one_that_is_held_stays(path: Path) -> None:
    with RunLock(path, since=SINCE):
        RunLock(path, since="").delete_if_unused()
        assert path.exists()

    RunLock(path, since="").delete_if_unused()
    assert not path.exists()


def test_clearing_away_a_lock_that_is_not_there_does_nothing(path: Path) -> None:
    RunLock(path, since="").delete_if_unused()

    assert not path.exists()


def test_a_lock_that_was_taken_anew_while_it_was_to_be_cleared_away_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.touch(mode=0o600)
    with ExitStack() as held:

        def taken_first(handle: int, operation: int) -> None:
            monkeypatch.undo()
            path.unlink()
            held.enter_context(RunLock(path, since="now"))
            fcntl.flock(handle, operation)

        monkeypatch.setattr(fcntl, "flock", taken_first)
        RunLock(path, since="").delete_if_unused()

        assert RunLock(path, since="").holder() == f"process {os.getpid()}, since now"


def test_whoever_opened_a_lock_before_it_was_cleared_away_takes_the_new_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, cleared = fcntl.flock, list[bool]()

    def clear_first(handle: int, operation: int) -> None:
        if not cleared:
            cleared.append(True)
            path.unlink()
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", clear_first)
    with RunLock(path, since="now"):
        monkeypatch.undo()
        assert path.read_text(encoding="utf-8") == f"process {os.getpid()}, since now\n"
        assert RunLock(path, since="").holder() is not None


def test_a_lock_that_is_cleared_away_again_and_again_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def clear_always(handle: int, operation: int) -> None:
        path.unlink(missing_ok=True)
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", clear_always)
    with pytest.raises(LockedError, match="can't be locked"), RunLock(path, since="now"):
        pass


def test_who_only_looks_at_a_lock_keeps_nobody_from_taking_it(path: Path) -> None:
    path.touch(mode=0o600)
    looking = os.open(path, os.O_RDWR)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.02, os.close, [looking]).start()

    with RunLock(path, since="now"):
        assert path.read_text(encoding="utf-8") == f"process {os.getpid()}, since now\n"


def test_to_ask_for_the_holder_makes_no_file(path: Path) -> None:
    assert RunLock(path, since="").holder() is None
    assert not path.exists()
