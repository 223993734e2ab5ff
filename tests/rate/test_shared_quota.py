"""All runs of a machine share one quota, whatever becomes of one of them."""

import asyncio
import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.clock import Clock
from uploader.errors import StorageError
from uploader.rate import Lease
from uploader.rate.shared_quota import SharedQuota

RATE = 10.0
BURST = 4
WINDOW = 60.0
SOON = 10.0
"""Seconds in which even a busy machine does what waits for nobody."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
JOIN = """
import sys, time
from pathlib import Path
from uploader.clock import real_clock
from uploader.rate.shared_quota import SharedQuota
with SharedQuota(Path(sys.argv[1]), clock=real_clock(), window=60.0) as quota:
    print("joined", flush=True)
    sys.stdin.read()
"""
SEIZE = """
import fcntl, sys
handle = open(sys.argv[1], "r+b")
fcntl.flock(handle, fcntl.LOCK_EX)
print("seized", flush=True)
sys.stdin.read()
"""
TAKE = """
import sys, time
from pathlib import Path
from uploader.clock import real_clock
from uploader.rate.shared_quota import SharedQuota
with SharedQuota(Path(sys.argv[1]), clock=real_clock(), window=60.0) as quota:
    print("joined", flush=True)
    sys.stdin.readline()
    end, count = time.monotonic() + 1.5, 0
    while time.monotonic() < end:
        place = quota.lease(rate=200.0, burst=4)
        time.sleep(place.wait)
        count += place.taken
    print(count, flush=True)
"""


class Hand:
    """A clock whose hand is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "service"


def opened(folder: Path, clock: Callable[[], float]) -> SharedQuota:
    return SharedQuota(folder, clock=Clock(clock, clock, asyncio.sleep), window=WINDOW)


def taken(quota: SharedQuota, times: int) -> list[float]:
    """Return how long each of so many requests waits for its place."""
    places = [quota.lease(rate=RATE, burst=BURST) for _ in range(times)]
    assert all(place.taken for place in places)
    return [round(place.wait, 6) for place in places]


@contextmanager
def process(script: str, path: Path) -> "Iterator[subprocess.Popen[str]]":
    """Let another process run *script* on *path*, once it has said its first word."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() in {"joined\n", "seized\n"}
        try:
            yield other
        finally:
            other.kill()


def test_a_new_quota_gives_no_burst_since_nobody_knows_what_was_used_before(folder: Path) -> None:
    with opened(folder, Hand()) as quota:
        assert taken(quota, 3) == [0.0, 0.1, 0.2]


def test_a_burst_is_saved_up_by_waiting(folder: Path) -> None:
    hand = Hand()
    with opened(folder, hand) as quota:
        taken(quota, 1)
        hand.now += 5.0

        assert taken(quota, 6) == [0.0, 0.0, 0.0, 0.0, 0.1, 0.2]


def test_a_run_that_starts_right_after_another_adds_no_burst(folder: Path) -> None:
    hand = Hand()
    with opened(folder, hand) as quota:
        taken(quota, 1)
        hand.now += 5.0
        taken(quota, 6)

    with opened(folder, hand) as quota:
        assert taken(quota, 2) == [0.3, 0.4]


def test_what_may_go_at_once_may_be_taken_at_once(folder: Path) -> None:
    hand = Hand()
    with opened(folder, hand) as quota:
        taken(quota, 1)
        hand.now += 5.0
        places = [quota.lease(rate=RATE, burst=BURST, most=3) for _ in range(3)]

        assert [(round(place.wait, 6), place.taken) for place in places] == [(0.0, 3), (0.0, 1), (0.1, 1)]
        assert quota.granted == 6


def test_where_two_runs_share_it_each_takes_one_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand, pid = Hand(), os.getpid()
    with opened(folder, hand) as one:
        taken(one, 1)
        monkeypatch.setattr(os, "getpid", lambda: pid + 1)
        with opened(folder, hand):
            hand.now += 5.0

            assert one.lease(rate=RATE, burst=BURST, most=3).taken == 1


def test_two_runs_at_once_take_turns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand, pid = Hand(), os.getpid()
    with opened(folder, hand) as one:
        monkeypatch.setattr(os, "getpid", lambda: pid + 1)
        with opened(folder, hand) as other:
            waits = [taken(quota, 1) for quota in (one, other, one, other)]
            granted = (one.granted, other.granted)

    assert (waits, granted) == ([[0.0], [0.1], [0.2], [0.3]], (4, 4))


def test_a_hold_of_one_run_is_everybodys_until_it_ends(folder: Path) -> None:
    hand = Hand()
    with opened(folder, hand) as quota:
        quota.pause(hand.now + 7.0)
        quota.pause(hand.now + 3.0)

        assert quota.lease(rate=RATE, burst=BURST) == Lease(7.0, 0)
        hand.now += 7.0
        assert quota.lease(rate=RATE, burst=BURST).taken


def test_processes_share_the_quota_evenly_and_keep_to_it_together(folder: Path) -> None:
    with ExitStack() as stack:
        others = [stack.enter_context(process(TAKE, folder)) for _ in range(3)]
        began = time.monotonic()
        for other in others:
            assert other.stdin is not None
            other.stdin.write("go\n")
            other.stdin.flush()
        counts = [int(other.stdout.read()) for other in others if other.stdout is not None]
        seconds = time.monotonic() - began

    assert sum(counts) <= 4 + 200 * seconds
    assert sum(counts) >= 200 * 1.2
    assert min(counts) >= 0.15 * sum(counts)


def test_the_runs_that_share_the_quota_are_counted_and_the_dead_ones_cleared_away(folder: Path) -> None:
    hand = Hand()

    def runs(quota: SharedQuota) -> int:
        hand.now += 1.0
        quota.lease(rate=RATE, burst=BURST)
        return quota.runs

    with opened(folder, hand) as quota:
        found = [runs(quota)]
        with process(JOIN, folder) as killed, process(JOIN, folder) as leaving:
            found.append(runs(quota))
            killed.kill()
            killed.wait()
            found.append(runs(quota))
            members = sorted(path.name.rpartition("-")[0] for path in folder.glob("run-*"))
            leaving.communicate()
            found.append(runs(quota))

    assert found == [1, 3, 2, 1]
    assert members == sorted(f"run-{pid}" for pid in (os.getpid(), leaving.pid))
    assert [path.name for path in folder.iterdir()] == ["standing"]


def test_runs_of_two_containers_share_the_quota_though_their_processes_have_the_same_number(folder: Path) -> None:
    hand = Hand()
    with opened(folder, hand) as one, opened(folder, hand) as other:
        one.lease(rate=RATE, burst=BURST)
        other.lease(rate=RATE, burst=BURST)

        assert (one.runs, other.runs, other.granted) == (2, 2, 2)


def test_a_run_that_comes_is_seen_by_the_next_request(folder: Path) -> None:
    hand = Hand()
    with opened(folder, hand) as quota:
        taken(quota, 2)
        with process(JOIN, folder):
            taken(quota, 1)

            assert quota.runs == 2


def test_a_process_killed_while_it_holds_the_file_stalls_nobody(folder: Path) -> None:
    with opened(folder, time.monotonic) as quota, process(SEIZE, folder / "standing") as holder:
        assert quota.lease(rate=RATE, burst=BURST) == Lease(0.001, taken=False)

        holder.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        while not quota.lease(rate=RATE, burst=BURST).taken:
            time.sleep(0.001)

        assert time.monotonic() - killed < SOON


def test_a_process_stopped_while_it_holds_the_file_blocks_nobody_and_hides_no_hold(folder: Path) -> None:
    hand = Hand()
    with opened(folder, hand) as quota, process(SEIZE, folder / "standing") as holder:
        holder.send_signal(signal.SIGSTOP)
        began = time.monotonic()

        stalled = quota.lease(rate=RATE, burst=BURST)
        quota.pause(hand.now + 5.0)

        assert (stalled, time.monotonic() - began < SOON) == (Lease(0.001, taken=False), True)
        holder.kill()
        holder.wait()
        assert quota.lease(rate=RATE, burst=BURST) == Lease(5.0, taken=False)


def test_a_run_can_join_and_leave_though_a_stopped_process_holds_the_file(folder: Path) -> None:
    with opened(folder, Hand()):
        pass

    with process(SEIZE, folder / "standing") as holder:
        holder.send_signal(signal.SIGSTOP)
        with opened(folder, Hand()) as quota:
            assert not quota.lease(rate=RATE, burst=BURST).taken


def test_a_run_goes_on_with_its_own_part_beside_a_process_that_was_stopped_with_the_file(folder: Path) -> None:
    hand = Hand()
    with opened(folder, hand) as quota, process(JOIN, folder), process(SEIZE, folder / "standing") as holder:
        holder.send_signal(signal.SIGSTOP)
        assert quota.lease(rate=RATE, burst=BURST) == Lease(0.001, 0)
        hand.now += 1.0

        began, gone, within = hand.now, 0, 0
        while hand.now < began + WINDOW:
            place = quota.lease(rate=RATE, burst=BURST)
            gone += place.taken
            within += place.taken * (hand.now + place.wait <= began + WINDOW)
            hand.now += max(place.wait, 0.001)

        # Two runs are there (the lock's holder is no run), and both together stay within burst + rate x window.
        assert quota.is_stalled
        assert 0.45 * RATE * WINDOW <= within <= (BURST + RATE * WINDOW) / 2
        holder.kill()
        holder.wait()
        assert quota.lease(rate=RATE, burst=BURST).taken
        assert getattr(quota, "is_stalled") is False  # noqa: B009 — else mypy holds it for unreachable
        quota.lease(rate=RATE, burst=BURST)
        assert quota.granted == gone + 2


def test_nobody_goes_beside_a_stopped_process_where_the_quota_is_too_small_to_be_divided(folder: Path) -> None:
    hand = Hand()
    with opened(folder, hand) as quota, process(JOIN, folder), process(SEIZE, folder / "standing") as holder:
        holder.send_signal(signal.SIGSTOP)
        quota.lease(rate=0.99 / WINDOW, burst=1)
        hand.now += 1.0

        taken = sum(quota.lease(rate=0.99 / WINDOW, burst=1).taken for _ in range(5))

        assert (taken, quota.is_stalled) == (0, True)


def test_neither_joining_nor_a_hold_nor_leaving_waits_for_a_stopped_process(folder: Path) -> None:
    with opened(folder, Hand()):
        pass

    slept: list[float] = []
    with process(SEIZE, folder / "standing") as holder, pytest.MonkeyPatch.context() as patch:
        holder.send_signal(signal.SIGSTOP)
        patch.setattr(time, "sleep", slept.append)
        with opened(folder, Hand()) as quota:
            quota.pause(2_000.0)

    # On the loop it may wait as long as a healthy process has the file, and no longer.
    assert sum(slept) <= 0.02


def alone(folder: Path, clock: Callable[[], float], *, rest: float = 0.0) -> SharedQuota:
    return SharedQuota(folder, clock=Clock(clock, clock, asyncio.sleep), window=WINDOW, alone=30.0, rest=rest)


def test_where_the_limit_is_small_one_request_of_all_runs_is_in_flight(folder: Path) -> None:
    hand = Hand()
    with alone(folder, hand) as one, alone(folder, hand) as other:
        assert one.lease(rate=RATE, burst=1) == Lease(0.0, 1)
        hand.now += 5.0

        assert other.lease(rate=RATE, burst=1).taken == 0
        one.mark_answered()
        assert other.lease(rate=RATE, burst=1) == Lease(0.0, 1)


def test_a_request_of_a_limit_of_one_goes_a_window_after_the_reply_to_the_last(folder: Path) -> None:
    hand = Hand()
    with alone(folder, hand, rest=61.0) as one, alone(folder, hand, rest=61.0) as other:
        one.lease(rate=1 / 61.0, burst=1)
        hand.now += 20.0
        assert other.lease(rate=1 / 61.0, burst=1).taken == 0
        one.mark_answered()

        assert other.lease(rate=1 / 61.0, burst=1) == Lease(61.0, 1)


def test_a_request_in_flight_of_a_killed_run_counts_as_landed_when_that_is_seen(folder: Path) -> None:
    hand = Hand()
    with alone(folder, hand, rest=61.0) as killed:
        killed.lease(rate=1 / 61.0, burst=1)
        fcntl.flock(killed._members._handle, fcntl.LOCK_UN)  # noqa: SLF001 — as the kernel does it for a dead process
        hand.now += 20.0
        with alone(folder, hand, rest=61.0) as quota:
            assert quota.lease(rate=1 / 61.0, burst=1) == Lease(61.0, 1)


def test_a_request_in_flight_of_a_stopped_run_is_waited_for_no_longer_than_it_may_last(folder: Path) -> None:
    hand = Hand()
    with alone(folder, hand) as stopped, alone(folder, hand) as quota:
        stopped.lease(rate=RATE, burst=1)
        hand.now += 29.0
        assert not quota.lease(rate=RATE, burst=1).taken
        hand.now += 1.0

        assert quota.lease(rate=RATE, burst=1).taken


@pytest.mark.parametrize(("passed", "left"), [(100.0, 500.0), (599.0, 1.0), (601.0, 0.0), (-5_000.0, 600.0)], ids=str)
def test_a_hold_outlasts_a_new_start_of_the_machine_by_the_clock_on_the_wall(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, passed: float, left: float
) -> None:
    hand, wall = Hand(), Hand()
    wall.now = 1.7e9
    with SharedQuota(folder, clock=Clock(wall, hand, asyncio.sleep), window=WINDOW) as quota:
        quota.pause(hand.now + 600.0)
    (tmp_path / "boot").write_text("0f1e2d3c-0000-0000-0000-000000000000\n", encoding="ascii")
    monkeypatch.setattr("uploader.rate.quota_files._BOOT_ID", tmp_path / "boot")

    hand.now, wall.now = 3.0, wall.now + passed
    with SharedQuota(folder, clock=Clock(wall, hand, asyncio.sleep), window=WINDOW) as quota:
        place = quota.lease(rate=RATE, burst=BURST)

    assert (round(place.wait, 3), place.taken) == (left, 0 if left else 1)


def test_a_file_of_an_older_version_is_read_and_its_hold_kept(folder: Path) -> None:
    hand = Hand()
    with opened(folder, hand) as quota:
        quota.pause(hand.now + 7.0)
    (folder / "standing").write_bytes((folder / "standing").read_bytes()[:52])

    with SharedQuota(folder, clock=Clock(hand, hand, asyncio.sleep), window=WINDOW, alone=30.0) as quota:
        assert quota.lease(rate=RATE, burst=BURST) == Lease(7.0, 0)


@given(st.binary(max_size=120))
def test_a_file_of_nonsense_blocks_nobody_and_gives_no_burst(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder, hand = tmp_path_factory.mktemp("quota") / "service", Hand()
    with opened(folder, hand) as quota:
        (folder / "standing").write_bytes(content)

        assert taken(quota, 3) == [0.0, 0.1, 0.2]


@pytest.mark.parametrize("cut", [1, 20, 50])
def test_a_torn_file_gives_no_burst(folder: Path, cut: int) -> None:
    hand = Hand()
    with opened(folder, hand) as quota:
        taken(quota, 5)
        hand.now += 100.0
        content = (folder / "standing").read_bytes()
        (folder / "standing").write_bytes(content[:cut])

        assert taken(quota, 2) == [0.0, 0.1]
        assert quota.granted == 7


def test_what_was_written_before_the_machine_was_started_anew_is_void(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hand = Hand()
    with opened(folder, hand) as quota:
        taken(quota, 50)
        quota.pause(hand.now + 1e9)
    (tmp_path / "boot").write_text("0f1e2d3c-0000-0000-0000-000000000000\n", encoding="ascii")
    monkeypatch.setattr("uploader.rate.quota_files._BOOT_ID", tmp_path / "boot")

    hand.now = 3.0
    # By the clock on the wall the hold is over.
    with SharedQuota(folder, clock=Clock(lambda: 3e9, hand, asyncio.sleep), window=WINDOW) as quota:
        assert taken(quota, 2) == [0.0, 0.1]


@pytest.mark.parametrize("boot", ["", "no number", None])
def test_a_machine_that_does_not_tell_its_boots_apart_shares_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, boot: str | None
) -> None:
    if boot is not None:
        (tmp_path / "boot").write_text(boot, encoding="ascii")
    monkeypatch.setattr("uploader.rate.quota_files._BOOT_ID", tmp_path / "boot")
    hand = Hand()
    with opened(folder, hand) as quota:
        taken(quota, 3)

    with opened(folder, hand) as quota:
        assert taken(quota, 1) == [0.3]


def test_the_quota_is_private(folder: Path) -> None:
    with opened(folder, Hand()) as quota:
        taken(quota, 1)

        modes = {path.name.partition("-")[0]: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}

    assert (stat.S_IMODE(folder.stat().st_mode), modes) == (0o700, {"standing": 0o600, "run": 0o600})


def test_a_planted_link_is_refused(folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder.mkdir(mode=0o700)
    (folder / "standing").symlink_to(victim)

    with pytest.raises(StorageError) as refused, opened(folder, Hand()):
        pass

    assert (
        str(refused.value)
        == f"{folder / 'standing'} is a symbolic link, which is not followed. Remove it, then run again."
    )
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("call", ["pread", "pwrite"])
@pytest.mark.parametrize(
    "use", [lambda quota: taken(quota, 1), lambda quota: quota.pause(1_000.0)], ids=["take", "hold"]
)
def test_a_disk_that_fails_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, use: Callable[[SharedQuota], object]
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with opened(folder, Hand()) as quota:
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(StorageError) as refused:
                use(quota)

        assert str(refused.value).startswith(f"{folder / 'standing'}: Input/output error.")
        assert quota.lease(rate=RATE, burst=BURST).taken


def test_a_lock_that_fails_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with opened(folder, Hand()) as quota, monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", fail)
        with pytest.raises(StorageError, match="No locks available"):
            quota.lease(rate=RATE, burst=BURST)
