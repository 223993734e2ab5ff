"""Stop in order when a signal asks for it, and end by that signal."""

import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Desk, Ended, ended, names, names_of, rules, until
from tests.copies import nameless_in
from uploader.sandbox import RunningSandbox

SECONDS = 30.0
AGAIN = "uploader run people.csv --set rate.concurrency=4 --summary summary.json"
HEADER = "id,name\n"
BLOCK = 1 << 20
"""When so many bytes of standard input were copied, the command waits for more."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_requests_in_flight_land_and_ends_the_run(
    desk: Desk, sandbox: Callable[..., RunningSandbox], number: signal.Signals
) -> None:
    server = sandbox(rules("code=40001 for external_id=2", latency=(0.2, 0.2)))
    desk.configure(server.url)
    desk.people(500)

    with desk.start("run", "people.csv", "--set", "rate.concurrency=4", "--summary", "summary.json") as process:
        until(lambda: server.sandbox.report().requests >= 10)
        process.send_signal(number)
        run = ended(process)

    assert (run.status, run.out) == (-number, "")
    assert run.last_line == f"Stopped by {number.name}. Run again to resume: {AGAIN}"
    report, books = server.sandbox.report(), desk.books()
    assert books == {"sent": report.applied, "rejected": 1, "not_attempted": 499 - report.applied}
    assert report.requests == report.applied + 1 < 100
    assert desk.summary()["exit_status"] == 128 + number
    assert [row[:2] for row in desk.retry_rows()] == [(2, "rejected")]
    assert names(server).keys() == names_of({*range(1, report.requests + 1)} - {2}).keys()


@pytest.mark.parametrize("after", [0.0, 0.005])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_twice_within_a_moment_is_one_signal(
    desk: Desk, sandbox: Callable[..., RunningSandbox], second: signal.Signals, after: float
) -> None:
    server = sandbox(rules(latency=(0.2, 0.2)))
    desk.configure(server.url)
    desk.people(500)

    with desk.start("run", "people.csv", "--set", "rate.concurrency=4", "--summary", "summary.json") as process:
        until(lambda: server.sandbox.report().requests >= 10)
        # As `timeout` does it, which sends its signal to the process and to its group, and systemd with SendSIGHUP.
        process.send_signal(signal.SIGTERM)
        time.sleep(after)
        process.send_signal(second)
        run = ended(process)

    # Of two signals that are both pending, POSIX leaves open which is delivered first: whichever it was is the one.
    first = signal.Signals(-run.status)
    assert first in {signal.SIGTERM, second}
    assert run.last_line == f"Stopped by {first.name}. Run again to resume: {AGAIN}"
    assert desk.summary()["exit_status"] == 128 + first
    applied = server.sandbox.report().applied
    assert desk.books() == {"sent": applied, "not_attempted": 500 - applied}


@pytest.mark.long
def test_replies_that_came_while_the_process_was_stopped_count(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(latency=(1.0, 1.0)))
    desk.configure(server.url)
    desk.people(24)
    patient = ("--set", "api.timeout=4s", "--set", "rate.concurrency=8")

    with desk.start("run", "people.csv", *patient, "--summary", "summary.json") as process:
        until(lambda: server.sandbox.report().requests >= 8)
        process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        until(lambda: server.sandbox.report().applied >= 8 and time.monotonic() > stopped + 5.0)
        process.send_signal(signal.SIGCONT)
        run = ended(process)

    assert (run.status, run.err) == (0, "")
    summary = desk.summary()
    assert (summary["requests"], summary["retries"], summary["maybe_sent_twice"]) == (24, 0, 0)
    assert names(server) == names_of(range(1, 25))


def test_a_second_signal_does_not_wait_for_requests_in_flight(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("hang"))
    desk.configure(server.url)
    desk.people(50)

    with desk.start("run", "people.csv", "--set", "api.timeout=1h") as process:
        until(lambda: server.sandbox.report().requests >= 1)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.send_signal(signal.SIGINT)
        run = ended(process, 5)

    assert run.status == -signal.SIGINT


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_signal_during_the_check_ends_the_command_before_anything_is_sent(
    desk: Desk, sandbox: Callable[..., RunningSandbox], tmp_path: Path, command: str
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.environ["TMPDIR"] = str(tmp_path)
    summary = ("--summary", "summary.json") if command == "run" else ()

    with desk.start(command, "-", *summary, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(HEADER + "1,name1\n" * (BLOCK // 8))
        process.stdin.flush()
        until(lambda: any(path.stat().st_size >= BLOCK for path in nameless_in(tmp_path, process.pid)))
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.wait(SECONDS)
        process.stdin.close()
        process.stdin = None
        run = ended(process)

    assert (run.status, run.out) == (-signal.SIGINT, "")
    next_step = "Run again: uploader run - --summary summary.json" if command == "run" else "Run again."
    assert run.last_line == f"Stopped by SIGINT. {next_step}"
    assert "Traceback" not in run.err
    assert server.sandbox.requests() == []
    assert set(tmp_path.iterdir()) == {desk.folder}
    if command == "run":
        assert (desk.summary()["exit_status"], desk.books()) == (130, {})


@pytest.mark.parametrize("command", ["run", "check", "init"])
def test_a_kill_leaves_no_copy_of_standard_input(desk: Desk, tmp_path: Path, command: str) -> None:
    desk.configure("http://127.0.0.1:1")
    copies = tmp_path / "copies"
    copies.mkdir()
    desk.environ["TMPDIR"] = str(copies)
    config = ("--config", "new.yaml") if command == "init" else ()

    with desk.start(command, "-", *config, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(HEADER + "1,name1\n" * (BLOCK // 8))
        process.stdin.flush()
        until(lambda: _kept(copies, process.pid) >= BLOCK)
        process.kill()
        process.wait(SECONDS)
        process.stdin.close()
        process.stdin = None
        run = ended(process)

    assert run.status == -signal.SIGKILL
    assert list(copies.iterdir()) == []


def _kept(folder: Path, process: int) -> int:
    """Return how many bytes *process* keeps in *folder*, with a name or without."""
    return sum(path.stat().st_size for path in (*folder.iterdir(), *nameless_in(folder, process)))


def _on_a_terminal(desk: Desk, *words: str) -> Ended:
    """Run the command with a terminal for people, and return what was shown there."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 120))
    shown = b""
    with desk.start(*words, stderr=slave) as process:
        os.close(slave)
        try:
            while piece := os.read(master, 65_536):
                shown += piece
        except OSError:
            # Linux says so when the last process has closed the terminal.
            pass
        os.close(master)
        out, _ = process.communicate(timeout=SECONDS)
    return Ended(process.returncode, out, shown.decode())


def test_a_terminal_is_shown_a_bar_and_at_the_end_the_books(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules(latency=(0.1, 0.1))).url)
    desk.people(40)

    run = _on_a_terminal(desk, "run", "people.csv", "--set", "rate.concurrency=2")

    assert (run.status, run.out) == (0, "")
    assert "people.csv   0%|" in run.err
    assert "/40 [" in run.err
    assert "of the limit, 0 rejected, 0 failed" in run.err
    assert "  accepted              40" in run.err.splitlines()


def test_quiet_shows_a_terminal_nothing(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules(latency=(0.1, 0.1))).url)
    desk.people(10)

    run = _on_a_terminal(desk, "run", "people.csv", "-q")

    assert (run.status, run.out, run.err) == (0, "", "")


def test_a_run_started_by_nohup_outlives_its_terminal(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(latency=(0.1, 0.1)))
    desk.configure(server.url)
    desk.people(60)
    command = [sys.executable, "-m", "uploader", "run", "people.csv", "--set", "rate.concurrency=4"]

    with subprocess.Popen(
        ["nohup", *command],  # noqa: S607 — wherever nohup is
        cwd=desk.folder,
        env={**desk.environ, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while server.sandbox.report().requests < 5 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGHUP)
        run = ended(process)

    assert run.status == 0
    assert server.sandbox.report().applied == 60
