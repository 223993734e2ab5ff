"""Hear the stop signals whatever else comes, and end by them without a traceback: in a process of their own."""

import signal
import subprocess
import sys
from typing import Final

BEGIN: Final = """
import os, signal, threading, time
from pathlib import Path
from uploader.cli.signals import call_on_signal, handle_signals, raise_on_signals
from uploader.errors import SignalledError

def is_taken(thread, number):
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    pending = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigPnd")), 16)
    return not pending >> number - 1 & 1

def closed():
    raise RuntimeError("Event loop is closed")
"""

STRAY: Final = """
with handle_signals():
    (ear,) = [thread for thread in threading.enumerate() if thread.name == "signals"]
    for _ in range(3):
        signal.pthread_kill(ear.ident, signal.SIGURG)
        while not is_taken(ear, signal.SIGURG):
            time.sleep(0.001)
    try:
        with raise_on_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
            os._exit(1)
    except SignalledError as error:
        print(error)
"""

LATE: Final = """
with handle_signals():
    call_on_signal(closed)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(20)
"""

CLOSED: Final = """
with handle_signals():
    try:
        with raise_on_signals():
            call_on_signal(closed)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
            os._exit(1)
    except SignalledError as error:
        print(error)
"""


def ended(script: str) -> tuple[int, str, str]:
    """Return how the *script* ended, and what it said."""
    run = subprocess.run(
        [sys.executable, "-c", BEGIN + script], capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    return run.returncode, run.stdout, run.stderr


def test_a_stop_signal_is_heard_after_the_thread_that_hears_it_was_interrupted_from_outside() -> None:
    assert ended(STRAY) == (0, "Stopped by SIGTERM. Run again.\n", "")


def test_a_signal_that_comes_after_the_loop_is_raised_where_somebody_waits_for_it() -> None:
    assert ended(CLOSED) == (0, "Stopped by SIGTERM. Run again.\n", "")


def test_a_signal_that_comes_after_the_loop_ends_the_process_where_nobody_waits_for_an_error() -> None:
    assert ended(LATE) == (-signal.SIGTERM, "", "")
