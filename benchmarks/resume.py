"""Measure what resuming a long run costs over beginning it, and what the journal costs for each row.

    python benchmarks/resume.py [--rows 5000000] [--times 1]

A run over a file of that many rows and a few more is stopped at its first request: that is a fresh start. Then its
journal is given an outcome for every row but the last few, and the same command is run again. Wanted of 5,000,000
rows: at most 30 s and 100 MB more than the fresh start, and a journal that costs less than 5 µs a row.
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from uploader.model import Failed, Outcome, Reason, Request, Row, Sent
from uploader.sandbox import RunningSandbox, SandboxRules, running
from uploader.state import InFlightFile, Journal, RunState, read_run

_MORE_ROWS: Final = 2_000
_FAILED_EVERY: Final = 100
_IN_FLIGHT: Final = 32
_NOTED: Final = 200_000
_MOST_SECONDS: Final = 30.0
_MOST_MEGABYTES: Final = 100.0
_MOST_MICROSECONDS: Final = 5.0

_CONFIG: Final = """\
api: {{base_url: "{url}", service_id: bench, access_token: bench}}
rate: {{requests: 10000, per: 1m}}
mapping:
  identity: {{external_id: id}}
  properties: {{df_name: name, age: {{column: age, type: long}}}}
"""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the command: seconds to its first request, and its peak memory until then."""

    seconds: float
    megabytes: float


def main() -> int:
    """Measure, print the table, and return 0 if every figure is as wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows that are settled (default: %(default)s)")
    parser.add_argument("--times", type=int, default=1, help="starts of each kind (default: %(default)s)")
    wanted = parser.parse_args()
    rows, times = int(wanted.rows), int(wanted.times)

    with (
        tempfile.TemporaryDirectory(prefix="uploader-bench-") as name,
        running(SandboxRules(limit=10_000, per=1.0)) as server,
    ):
        folder = Path(name)
        cost = statistics.median(_journal_cost(folder) for _ in range(5))
        _write_source(folder / "people.csv", rows + _MORE_ROWS)
        (folder / "config.yaml").write_text(_CONFIG.format(url=server.url), encoding="utf-8")
        (folder / "config.yaml").chmod(0o600)
        fresh = [_fresh(folder, server) for _ in range(times)]
        _settle(folder / ".uploader" / "runs", rows)
        resumed = [_resumed(folder, server) for _ in range(times)]

    seconds = _median(resumed, "seconds") - _median(fresh, "seconds")
    megabytes = _median(resumed, "megabytes") - _median(fresh, "megabytes")
    print(f"{rows:,} rows settled, medians of {times}")
    for kind, starts in (("fresh", fresh), ("resumed", resumed)):
        print(f"  {kind:<8} {_median(starts, 'seconds'):8.1f} s   {_median(starts, 'megabytes'):8.1f} MB")
    print(f"  more     {seconds:8.1f} s   {megabytes:8.1f} MB   (at most {_MOST_SECONDS:g} s, {_MOST_MEGABYTES:g} MB)")
    print(f"  journal  {cost:8.2f} µs a row            (less than {_MOST_MICROSECONDS:g} µs)")
    good = seconds <= _MOST_SECONDS and megabytes < _MOST_MEGABYTES and cost < _MOST_MICROSECONDS
    return 0 if good else 1


def _median(starts: list[Start], name: str) -> float:
    return statistics.median(float(getattr(start, name)) for start in starts)


def _write_source(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("id,name,age\n")
        file.writelines(f"{number},name{number},{number % 90}\n" for number in range(1, rows + 1))


def _fresh(folder: Path, server: RunningSandbox) -> Start:
    shutil.rmtree(folder / ".uploader", ignore_errors=True)
    return _start(folder, server, expected="")


def _resumed(folder: Path, server: RunningSandbox) -> Start:
    kept = folder / "kept"
    if not kept.exists():
        shutil.copytree(folder / ".uploader", kept)
    shutil.rmtree(folder / ".uploader")
    shutil.copytree(kept, folder / ".uploader")
    return _start(folder, server, expected="resuming run")


def _start(folder: Path, server: RunningSandbox, *, expected: str) -> Start:
    """Run the command until its first request arrives, and end it; it must have said what was *expected*."""
    before = server.sandbox.report().requests
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "uploader", "run", "people.csv"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while server.sandbox.report().requests == before and process.poll() is None:
            time.sleep(0.01)
        seconds = time.monotonic() - began
        megabytes = _peak(process.pid) if process.poll() is None else 0.0
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=120)
    if process.returncode != -signal.SIGTERM or expected not in said:
        sys.exit(f"the run ended with {process.returncode}: {said}")
    return Start(seconds, megabytes)


def _peak(process: int) -> float:
    """Return the peak memory of *process* in MB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def _settle(runs: Path, rows: int) -> None:
    """Give each of the first *rows* an outcome in the one journal of the folder *runs*."""
    (path,) = runs.glob("*.journal")
    stored_run = read_run(path)
    with Journal(path, stored_run.state) as journal:
        for number, outcome in enumerate(_outcomes(rows), 1):
            if number not in stored_run.state.settled:
                journal.record(outcome)
        journal.sync()


def _outcomes(rows: int) -> Iterator[Outcome]:
    reason = Reason("50000", "the service had a fault of its own")
    for number in range(1, rows + 1):
        request = Request(Row(number, {}), (), b"")
        yield Sent(request, 1) if number % _FAILED_EVERY else Failed(request, reason, 5)


def _journal_cost(folder: Path) -> float:
    """Return how many µs each row costs: its place while it is in flight, and its line; nothing is synced."""
    outcomes = list(_outcomes(_NOTED))
    path = folder / "cost.journal"
    with Journal(path, RunState()) as journal, InFlightFile(path.with_suffix(".flight")) as in_flight:
        for number in range(1, _IN_FLIGHT + 1):
            in_flight.mark(_NOTED + number)
        began = time.perf_counter()
        for number, outcome in enumerate(outcomes, 1):
            in_flight.mark(number)
            journal.record(outcome)
            in_flight.release(number)
        seconds = time.perf_counter() - began
    path.unlink()
    path.with_suffix(".flight").unlink()
    return seconds / _NOTED * 1e6


if __name__ == "__main__":
    sys.exit(main())
