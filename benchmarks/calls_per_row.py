"""Count the Python calls that one row costs a dry run, by file and by function.

    python -m benchmarks.calls_per_row [--top 40] [--with-sandbox] [--limited] [--runs 3]

A *call* is a `call` event of `sys.setprofile`, in any thread, of code inside `uploader/`: a function that begins, a
comprehension, and a generator or coroutine that is resumed. A dry run (`uploader run --sandbox`) of 2,000 rows less one
of 1,000, divided by 1,000, is what one row costs; what a run costs once drops out. Each run is in a process of its own.

The rate is one that never bites. Even so, how many permits the limiter takes at a time depends on how fast the machine
is just now, by some calls a row: of several runs the smallest difference counts, and two trees are compared in turn.
With `--limited`, the rate is the service's own, where each row waits for its permit.

The sandbox is in the same process in the place of the service. Its own calls (code in `uploader/sandbox/`) are counted
apart: the table is of the uploader alone unless they are asked for.

A file is on the way of a row when its code is called for one row in two, or more often. What is called once for a block
of the file, or for a round of the event loop that serves many rows, is among the calls but not among the files.

It runs on an earlier commit as well: PYTHONPATH=WORKTREE python benchmarks/calls_per_row.py
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Final, TypeAlias

from benchmarks.people import CONFIG, write_people

_ROWS: Final = 1_000
_ON_THE_WAY: Final = 0.5
_FREE: Final = "{requests: 1000000000, per: 1s, burst: 1000000}"
_LIMITED: Final = "{}"
_SANDBOX: Final = "sandbox/"
_WAYS: Final = {"rows": "off", "batches": "on"}
"""How the source is read, by the value of `source.columnar`."""

Calls: TypeAlias = Mapping[str, float]
"""How often each function is called, by `file:line function`."""


def main() -> None:
    """Count, and print a table for each way to read the source."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--top", type=int, default=0, help="so many functions that are called most (default: none)")
    parser.add_argument("--with-sandbox", action="store_true", help="list files and functions of the sandbox too")
    parser.add_argument("--limited", action="store_true", help="send at the documented limit, which takes minutes")
    parser.add_argument("--runs", type=int, default=3, help="pairs of runs of each way (default: %(default)s)")
    parser.add_argument("--traced", nargs=2, metavar=("FILE", "COLUMNAR"), help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.traced:
        print(json.dumps(_traced_run(*wanted.traced)))
        return
    with tempfile.TemporaryDirectory(prefix="uploader-calls-") as name:
        folder = Path(name)
        config, rate = folder / "config.yaml", _LIMITED if wanted.limited else _FREE
        config.write_text(CONFIG.format(url="http://127.0.0.1:9", rate=rate), encoding="utf-8")
        config.chmod(0o600)
        for way, columnar in _WAYS.items():
            calls = min(
                (_calls_of_one_row(folder, columnar) for _ in range(wanted.runs)), key=lambda one: sum(one.values())
            )
            print(f"\n{way} (source.columnar: {columnar})")
            print("\n".join(lines(calls, top=wanted.top, with_sandbox=wanted.with_sandbox)))


def lines(calls: Calls, *, top: int, with_sandbox: bool) -> list[str]:
    """Return the *calls* of one row as lines: the sums, those by file, and the *top* ones by function."""
    alone = {function: times for function, times in calls.items() if not function.startswith(_SANDBOX)}
    listed = calls if with_sandbox else alone
    sums = [f"{_sum(each)}, {what}" for each, what in ((alone, "the uploader alone"), (calls, "with the sandbox"))]
    by_function = _most(listed)[:top]
    return [*sums, "", *_most(by_file(listed)), *(["", *by_function] if by_function else [])]


def by_file(calls: Calls) -> Calls:
    """Return *calls* summed for each file."""
    found = Counter[str]()
    for function, times in calls.items():
        found[function.partition(":")[0]] += times  # type: ignore[assignment]  # a Counter adds any numbers
    return found


def files_on_the_way(calls: Calls) -> set[str]:
    """Return the files whose code is called for one row in two, or more often."""
    return {file for file, times in by_file(calls).items() if times >= _ON_THE_WAY}


def _sum(calls: Calls) -> str:
    return f"{sum(calls.values()):7.1f} calls a row in {len(files_on_the_way(calls))} files"


def _most(calls: Calls) -> list[str]:
    ordered = sorted(calls.items(), key=lambda item: (-item[1], item[0]))
    return [f"{times:7.2f}  {name}" for name, times in ordered if times >= 0.01]  # noqa: PLR2004 — as it is printed


def _calls_of_one_row(folder: Path, columnar: str) -> Calls:
    few, many = (_counted(folder, rows, columnar) for rows in (_ROWS, 2 * _ROWS))
    differences = {name: (many.get(name, 0) - few.get(name, 0)) / _ROWS for name in {*few, *many}}
    return {name: times for name, times in differences.items() if times}


def _counted(folder: Path, rows: int, columnar: str) -> Mapping[str, int]:
    """Return the calls of a dry run of so many *rows*, in a process of its own."""
    people = write_people(folder / f"people-{rows}.csv", rows)
    # Without -P, the modules beside this file would hide those of other packages.
    command = [sys.executable, "-P", __file__, "--traced", str(people), columnar]
    places = [os.environ.get("PYTHONPATH", ""), str(Path(__file__).parent.parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    done = subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.PIPE)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def _traced_run(people: str, columnar: str) -> Mapping[str, int]:
    """Return how often each function is called in a dry run of *people*, as the command line makes it."""
    import uploader  # noqa: PLC0415 — only the process that is counted loads it
    from uploader.cli.entry_point import cli  # noqa: PLC0415 — as above

    root = str(Path(uploader.__file__).parent) + os.sep
    called = Counter[object]()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called[frame.f_code] += 1

    command = ["run", people, "--config", "config.yaml", "--sandbox", "--set", f"source.columnar={columnar}", "-q"]
    threading.setprofile(count)
    sys.setprofile(count)
    try:
        status = cli.main(command, standalone_mode=False)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    if status:
        sys.exit(f"the dry run ended with {status}")
    found = Counter[str]()
    for code, times in called.items():
        path: str = code.co_filename  # type: ignore[attr-defined]  # of a code object
        if path.startswith(root):
            found[f"{path.removeprefix(root)}:{code.co_firstlineno} {code.co_qualname}"] += times  # type: ignore[attr-defined]  # as above
    return found


if __name__ == "__main__":
    main()
