"""One signal ends a command within 10 s, whatever it waits for, a second one at once; a run waits for no reader."""

import fcntl
import os
import select
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.command import Desk, Ended, rules, until
from uploader.sandbox import RunningSandbox

PROMISED: Final = 10.0
MARGIN: Final = 5.0
"""What a busy machine may take to start and to end a thread and a process."""

STOPPED: Final = "Stopped by SIGTERM."
CUT_SHORT: Final = "Stopped by SIGTERM, before everything was saved. Run again to resume: uploader run people.csv"
SMALL: Final = 4096
"""The smallest pipe there is."""

LOUD: Final = ("run", "people.csv", "-vv", "--set", "limits.canary=0")
"""Says a line for each row that is not accepted."""


def stopped(process: "subprocess.Popen[str]", *, within: float = PROMISED + MARGIN) -> int:
    """Ask *process* to end, and return its status; nothing that it says is read."""
    process.send_signal(signal.SIGTERM)
    return process.wait(within)


def stopped_and_read(process: "subprocess.Popen[str]", *, within: float = PROMISED + MARGIN) -> Ended:
    status = stopped(process, within=within)
    out, err = process.communicate()
    return Ended(status, out, err)


def is_waiting(process: "subprocess.Popen[str]") -> bool:
    """Whether *process* has begun to listen for signals, and uses no time of the processor (Linux)."""
    used = _processor(process)
    time.sleep(0.5)
    return len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 1 and _processor(process) == used


def stands_still(server: RunningSandbox) -> bool:
    """Whether no request arrives at *server* any more."""
    before = server.sandbox.report().requests
    time.sleep(0.5)
    return server.sandbox.report().requests == before


def _processor(process: "subprocess.Popen[str]") -> int:
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@contextmanager
def started(desk: Desk, *words: str, **more: Any) -> "Iterator[subprocess.Popen[str]]":  # noqa: ANN401 — Popen's own
    """Start the command; whatever a test finds, it is gone at its end."""
    with desk.start(*words, **more) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def unread() -> Iterator[tuple[int, int]]:
    """Lend a small pipe: the end to write to, and the one that nobody reads."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, SMALL)
    try:
        yield write, read
    finally:
        os.close(read)
        os.close(write)


def stuck(what: str, flag: Path) -> Sequence[str]:
    """Return how Python starts the command on a machine where *what* never ends."""
    return (str(Path(__file__).with_name("stuck.py")), what, str(flag))


def test_a_signal_ends_a_run_whose_resolver_never_answers(desk: Desk) -> None:
    desk.configure("https://nowhere.invalid")
    desk.people(50)
    flag = desk.folder / "asked"

    with started(desk, "run", "people.csv", "--summary", "summary.json", through=stuck("names", flag)) as process:
        until(flag.exists)
        run = stopped_and_read(process)

    assert (run.status, run.last_line) == (
        -signal.SIGTERM,
        f"{STOPPED} Run again to resume: uploader run people.csv --summary summary.json",
    )
    assert desk.books() == {"not_attempted": 50}


def test_a_run_whose_resolver_never_answers_ends_when_the_outage_is_too_long(desk: Desk) -> None:
    desk.configure("https://nowhere.invalid", timeout="2s")
    desk.people(5)
    flag = desk.folder / "asked"

    with started(
        desk, "run", "people.csv", "--set", "retry.outage_timeout=1s", through=stuck("names", flag)
    ) as process:
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (6, "")
    assert "can't be reached" in err or "unreachable" in err or "outage" in err


def test_a_signal_ends_a_run_whose_lines_nobody_reads(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40001", latency=(0.01, 0.01)))
    desk.configure(server.url)
    desk.people(20_000)

    with (
        unread() as (write, _),
        started(desk, *LOUD, stderr=write) as process,
    ):
        until(lambda: server.sandbox.report().requests >= 300)
        status = stopped(process)

    assert status == -signal.SIGTERM


def test_a_run_whose_lines_nobody_reads_sends_every_row_and_ends(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules("code=40001")).url)
    desk.people(300)

    with (
        unread() as (write, read),
        started(desk, *LOUD, "--summary", "summary.json", stderr=write) as process,
    ):
        status = process.wait(60)
        said = os.read(read, 2 * SMALL).decode()

    assert (status, desk.books()) == (3, {"rejected": 300})
    assert 10 < said.count(" row ") < 300


def test_lines_that_are_read_late_come_in_their_order_and_all_of_them(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001"))
    desk.configure(server.url)
    desk.people(200)

    with unread() as (write, read), started(desk, *LOUD, "--set", "rate.concurrency=1", stderr=write) as process:
        until(lambda: server.sandbox.report().requests == 200)
        said, status = b"", None
        while status is None or select.select([read], [], [], 0)[0]:
            status = process.poll()
            if select.select([read], [], [], 0.1)[0]:
                said += os.read(read, SMALL)

    lines = said.decode().splitlines()
    rows = [line.split()[2].rstrip(":") for line in lines if line[8:].startswith(" row ")]
    assert (status, rows) == (3, [str(number) for number in range(1, 201)])
    assert "  rejected             200" in lines


@pytest.mark.parametrize("words", [["run"], ["check", "-v"]], ids=" ".join)
def test_a_signal_ends_a_check_that_nobody_reads(desk: Desk, words: list[str]) -> None:
    desk.configure("http://127.0.0.1:9")
    desk.write("people.csv", "id,name\n" + ",nobody\n" * 5_000)
    os.mkfifo(desk.folder / "fifo.csv")

    with (
        unread() as (write, _),
        started(desk, *words, "people.csv" if "-v" in words else "fifo.csv", stderr=write) as process,
    ):
        os.write(write, b"x" * SMALL)
        until(lambda: is_waiting(process))
        status = stopped(process, within=5)

    assert status == -signal.SIGTERM


@pytest.mark.parametrize(
    "words",
    [["run"], ["check"], ["init", "--config", "new.yaml"], ["explain", "--row", "1"]],
    ids=lambda words: words[0],
)
def test_a_signal_ends_a_command_whose_source_has_no_writer(desk: Desk, words: list[str]) -> None:
    desk.configure("http://127.0.0.1:9")
    os.mkfifo(desk.folder / "fifo.csv")

    with started(desk, *words, "fifo.csv") as process:
        until(lambda: is_waiting(process))
        run = stopped_and_read(process, within=5)

    next_step = "Run again: uploader run fifo.csv" if words == ["run"] else "Run again."
    assert (run.status, run.out, run.err.splitlines()) == (-signal.SIGTERM, "", [f"{STOPPED} {next_step}"])


@pytest.mark.parametrize("words", [["runs"], ["changes"]], ids=lambda words: words[0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_command_whose_configuration_has_no_writer(
    desk: Desk, words: list[str], number: signal.Signals
) -> None:
    os.mkfifo(desk.folder / "config.yaml")

    with started(desk, *words) as process:
        until(lambda: process.poll() is not None or is_waiting(process))
        process.send_signal(number)
        out, err = process.communicate(timeout=5)

    # That it is refused is as good.
    assert process.returncode in {-number, 2}
    assert "Traceback" not in out + err


@contextmanager
def remembering(desk: Desk, server: RunningSandbox) -> Iterator[Path]:
    """Lend the memory of a service that has accepted one row."""
    desk.configure(server.url, more="changed_only: true\n")
    desk.people(1, "first.csv")
    assert desk.process("run", "first.csv").status == 0
    (path,) = (desk.folder / ".uploader" / "memory").glob("*.memory")
    yield path


@pytest.mark.parametrize("how", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_signal_ends_a_run_whose_memory_another_process_has_locked(
    desk: Desk, sandbox: Callable[..., RunningSandbox], how: str
) -> None:
    server = sandbox(rules(latency=(0.05, 0.05)))
    desk.people(2_000)

    with (
        remembering(desk, server) as path,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        started(desk, "run", "people.csv", "--summary", "summary.json", "--set", "rate.concurrency=2") as process,
    ):
        until(lambda: server.sandbox.report().requests >= 10)
        other.execute(f"BEGIN {how}")
        until(lambda: stands_still(server))
        run = stopped_and_read(process)

    assert (run.status, run.last_line) == (
        -signal.SIGTERM,
        f"{STOPPED} Run again to resume: uploader run people.csv --set rate.concurrency=2 --summary summary.json",
    )
    assert desk.summary()["exit_status"] == 128 + signal.SIGTERM


@pytest.mark.long
@pytest.mark.parametrize(("what", "changed_only"), [("database", True), ("lock", True), ("lock", False)])
def test_a_signal_ends_a_run_that_can_not_open_the_memory(
    desk: Desk, sandbox: Callable[..., RunningSandbox], what: str, *, changed_only: bool
) -> None:
    desk.people(10)

    with remembering(desk, sandbox(rules())) as path, closing(sqlite3.connect(path, isolation_level=None)) as other:
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR)
        if what == "lock":
            fcntl.flock(lock, fcntl.LOCK_EX)
        else:
            other.execute("BEGIN EXCLUSIVE")
        words = ("run", "people.csv", "--set", f"changed_only={str(changed_only).lower()}")
        flag = desk.folder / "waiting"
        with started(desk, *words, through=stuck("locked", flag)) as process:
            until(flag.exists)
            run = stopped_and_read(process, within=5)
        os.close(lock)

    next_step = f"Run again: uploader {' '.join(words)}"
    assert (run.status, run.err.splitlines()) == (-signal.SIGTERM, [f"{STOPPED} {next_step}"])


@pytest.mark.long
@pytest.mark.parametrize("what", ["sync", "end"])
def test_a_signal_ends_in_time_what_does_not_come_to_its_end_in_order(
    desk: Desk, sandbox: Callable[..., RunningSandbox], what: str
) -> None:
    server = sandbox(rules(latency=(0.05, 0.05)))
    desk.configure(server.url)
    desk.people(1_000 if what == "sync" else 5)
    flag = desk.folder / "reached"

    with started(desk, "run", "people.csv", through=stuck(what, flag)) as process:
        until(flag.exists)
        run = stopped_and_read(process)

    assert (run.status, run.err.splitlines()) == (-signal.SIGTERM, [CUT_SHORT])


@pytest.mark.parametrize("what", ["sync", "end"])
def test_a_second_signal_ends_at_once_what_hangs(desk: Desk, sandbox: Callable[..., RunningSandbox], what: str) -> None:
    desk.configure(sandbox(rules(latency=(0.05, 0.05))).url)
    desk.people(1_000 if what == "sync" else 5)
    flag = desk.folder / "reached"

    with started(desk, "run", "people.csv", through=stuck(what, flag)) as process:
        until(flag.exists)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGINT)
        status = process.wait(5)

    assert status == -signal.SIGINT


def test_a_signal_ends_a_run_whose_summary_nobody_reads(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(5)
    os.mkfifo(desk.folder / "summary")

    with started(desk, "run", "people.csv", "--summary", "summary") as process:
        until(lambda: process.poll() is not None or (server.sandbox.report().requests == 5 and is_waiting(process)))
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PROMISED + MARGIN)

    # That such a summary is refused is as good.
    assert process.returncode in {-signal.SIGTERM, 7}
