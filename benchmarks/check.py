"""Measure how fast `uploader check` reads and maps a CSV, and whether its memory stays flat, beside two plain readers.

    python benchmarks/check.py [--rows 1000000] [--times 3]

The readers do much less: Python's `csv` takes the same file apart into lists, polars takes it into one table of texts.
Wanted of 1,000,000 rows of 9 columns: at least 80,000 rows a second on one core, and a peak memory that is no more than
a tenth above the one of 100,000 rows.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FEW: Final = 100_000
_LEAST_ROWS_PER_SECOND: Final = 80_000
_MOST_GROWTH: Final = 1.1

_CONFIG: Final = """\
api: {service_id: bench, access_token: bench}
mapping:
  identity: {external_id: user_id, email: email, phone_no: phone}
  properties:
    df_name: name
    df_birth: {column: birth, type: date, format: "%Y%m%d"}
    age: {column: age, type: long}
    score: {column: score, type: double}
    joined_at: {column: joined, type: datetime, timezone: Asia/Seoul}
    df_push_optin: push_optin
"""

_CSV: Final = """\
import csv, sys
with open(sys.argv[1], encoding="utf-8", newline="") as file:
    for row in csv.reader(file, strict=True):
        pass
"""

_POLARS: Final = """\
import sys
import polars
polars.scan_csv(sys.argv[1], infer_schema=False).collect()
"""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over a file by a process of its own: its seconds, start and end included, and its peak memory."""

    seconds: float
    megabytes: float


def main() -> int:
    """Measure, print the table, and return 0 if every figure is as wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the large file (default: %(default)s)")
    parser.add_argument("--times", type=int, default=3, help="passes of each reader (default: %(default)s)")
    wanted = parser.parse_args()
    rows, times = int(wanted.rows), int(wanted.times)

    with tempfile.TemporaryDirectory(prefix="uploader-bench-") as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(_CONFIG, encoding="utf-8")
        (folder / "config.yaml").chmod(0o600)
        for count in (_FEW, rows):
            write_source(folder / f"{count}.csv", count)
        readers = {
            "uploader check": ("-m", "uploader", "check", "-q"),
            "csv.reader": ("-c", _CSV),
            "polars scan_csv": ("-c", _POLARS),
        }
        few, many = (
            {kind: [_read(folder, f"{count}.csv", words) for _ in range(times)] for kind, words in readers.items()}
            for count in (_FEW, rows)
        )

    print(f"{rows:,} rows of 9 columns, medians of {times}; all of a process, its start included")
    print(f"  {'':<16} {'rows/s':>10}   {'of ours':>7}   {f'MB at {_FEW:,}':>13}   {f'MB at {rows:,}':>15}")
    speed = rows / _median(many["uploader check"], "seconds")
    for kind, passes in many.items():
        one = rows / _median(passes, "seconds")
        low, high = _median(few[kind], "megabytes"), _median(passes, "megabytes")
        print(f"  {kind:<16} {one:>10,.0f}   {one / speed:>6.1f}x   {low:>13.0f}   {high:>15.0f}")
    growth = _median(many["uploader check"], "megabytes") / _median(few["uploader check"], "megabytes")
    print(
        f"wanted of uploader check: {_LEAST_ROWS_PER_SECOND:,} rows a second (found {speed:,.0f}), "
        f"memory at most {_MOST_GROWTH:g} times that of {_FEW:,} rows (found {growth:.2f})"
    )
    return 0 if speed >= _LEAST_ROWS_PER_SECOND and growth <= _MOST_GROWTH else 1


def _median(passes: list[Pass], name: str) -> float:
    return statistics.median(float(getattr(one, name)) for one in passes)


def write_source(path: Path, rows: int) -> None:
    """Write a CSV of so many *rows*, of 9 columns, to *path*."""
    with path.open("w", encoding="utf-8") as file:
        file.write("user_id,email,phone,name,birth,age,score,joined,push_optin\n")
        file.writelines(_lines(rows))


def _lines(rows: int) -> Iterator[str]:
    for number in range(1, rows + 1):
        day, month = number % 28 + 1, number % 12 + 1
        yield (
            f"{number:08},user{number}@example.com,8210{number % 10**8:08},김민수{number},1990{month:02}{day:02},"
            f"{number % 90},{number % 1000 / 10},2024-{month:02}-{day:02} 09:30:00,{'YN'[number % 2]}\n"
        )


def _read(folder: Path, name: str, words: tuple[str, ...]) -> Pass:
    """Let a process of its own read the file *name*, and measure it."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *words, name], cwd=folder, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    )
    # wait4 tells the peak memory of this one process.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(words[:3])} ended with {process.returncode}")
    return Pass(seconds, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    sys.exit(main())
