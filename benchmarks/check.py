"""Measure how fast `uploader check` reads and maps a file in batches, beside its own way row by row and plain readers.

    python -m benchmarks.check [--rows 1000000] [--times 3]

Both ways take the same files in turn (`source.columnar: on` and `off`): a CSV, JSON lines, Parquet, and a harder CSV,
with quotes, line ends within values, times of New York, and records that lack a field. The plain readers do much less:
Python's `csv` takes the CSV apart into lists, polars takes it into one table of texts.
Wanted of 1,000,000 rows of 9 columns: at least 80,000 rows a second on one core; in batches at least 5, 3.5, 7 and 2
times as many as row by row; at most 200 MB; and a peak memory within 15 % of that of the same kind of file with 100,000
rows. Times are those of the processor: on a machine that others use as well, they differ least.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FEW: Final = 100_000
_LEAST_ROWS_PER_SECOND: Final = 80_000
_MOST_GROWTH: Final = 1.15
_MOST_MEGABYTES: Final = 200.0
_COLUMNS: Final = ("user_id", "email", "phone", "name", "birth", "age", "score", "joined", "push_optin")

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

_HARD_CONFIG: Final = _CONFIG.replace("Asia/Seoul", "America/New_York")

_TO_PARQUET: Final = """\
import sys
import polars
table = polars.read_csv(sys.argv[1], infer_schema=False)
typed = polars.col("age").cast(polars.Int64), polars.col("score").cast(polars.Float64)
table.with_columns(typed).write_parquet(sys.argv[2])
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
    """One pass over a file by a process of its own: its seconds of the processor, and its peak memory."""

    seconds: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file: its *name*, and how many times faster than row by row it is to be read in batches."""

    name: str
    least: float


_KINDS: Final = (Kind("easy.csv", 5.0), Kind("easy.jsonl", 3.5), Kind("easy.parquet", 7.0), Kind("hard.csv", 2.0))
_WAYS: Final = ("on", "off")


def main() -> int:
    """Measure, print the tables, and return 0 if every figure is as wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the large file (default: %(default)s)")
    parser.add_argument("--times", type=int, default=3, help="passes of each reader (default: %(default)s)")
    wanted = parser.parse_args()
    rows, times = int(wanted.rows), int(wanted.times)

    with tempfile.TemporaryDirectory(prefix="uploader-bench-") as name:
        folder = Path(name)
        for config, text in (("easy.yaml", _CONFIG), ("hard.yaml", _HARD_CONFIG)):
            (folder / config).write_text(text, encoding="utf-8")
            (folder / config).chmod(0o600)
        for kind in _KINDS:
            write_source(folder / kind.name, rows)
        (folder / "few").mkdir()
        for kind in _KINDS:
            write_source(folder / "few" / kind.name, min(_FEW, rows))
        passes: dict[tuple[str, str], list[Pass]] = {}
        plain = {"csv.reader": ("-c", _CSV, "easy.csv"), "polars scan_csv": ("-c", _POLARS, "easy.csv")}
        for _ in range(times):
            for kind in _KINDS:
                for way in _WAYS:
                    passes.setdefault((kind.name, way), []).append(_read(folder, _check(kind.name, way)))
            for reader, words in plain.items():
                passes.setdefault((reader, ""), []).append(_read(folder, words))
        few = {kind.name: [_read(folder, _check(f"few/{kind.name}", "on")) for _ in range(times)] for kind in _KINDS}
    return _tell(rows, times, passes, few)


def _check(source: str, way: str) -> tuple[str, ...]:
    config = "hard.yaml" if "hard" in source else "easy.yaml"
    flags = ("--config", config, "--set", f"source.columnar={way}")
    return ("-m", "uploader", "check", "-q", *flags, source)


def _tell(rows: int, times: int, passes: dict[tuple[str, str], list[Pass]], few: dict[str, list[Pass]]) -> int:
    """Print what the *passes* over *rows* took, and return 0 if it is as wanted; *few* are those over few rows."""
    print(f"{rows:,} rows of 9 columns, medians of {times}; all of a process, its start included")
    print(f"  {'':<16} {'rows/s':>10}   {'row by row':>10}   {'MB':>5}   {f'at {_FEW:,}':>10}   {'row by row':>10}")
    missed = False
    for kind in _KINDS:
        on, off = (passes[kind.name, way] for way in _WAYS)
        speed, by_rows = (rows / _median(some, "seconds") for some in (on, off))
        memory, of_few, of_rows = (_median(some, "megabytes") for some in (on, few[kind.name], off))
        speeds, sizes = f"{speed:>10,.0f}   {by_rows:>10,.0f}", f"{memory:>5.0f}   {of_few:>10.0f}   {of_rows:>10.0f}"
        print(f"  {kind.name:<16} {speeds}   {sizes}")
        ratio, growth = speed / by_rows, memory / of_few
        print(
            f"    wanted: {kind.least:g} times the rows row by row (found {ratio:.1f}), "
            f"memory at most {_MOST_GROWTH:g} times that of {_FEW:,} rows (found {growth:.2f})"
        )
        missed = missed or ratio < kind.least or growth > _MOST_GROWTH or memory > _MOST_MEGABYTES
    for (reader, way), some in passes.items():
        if not way:
            speed, memory = rows / _median(some, "seconds"), _median(some, "megabytes")
            print(f"  {reader:<16} {speed:>10,.0f}   {'':>10}   {memory:>5.0f}")
    speed = rows / _median(passes["easy.csv", "on"], "seconds")
    most = max(_median(passes[kind.name, "on"], "megabytes") for kind in _KINDS)
    print(
        f"wanted of the CSV: {_LEAST_ROWS_PER_SECOND:,} rows a second (found {speed:,.0f}); "
        f"of all in batches: at most {_MOST_MEGABYTES:g} MB (found {most:.0f})"
    )
    return 0 if not missed and speed >= _LEAST_ROWS_PER_SECOND else 1


def _median(passes: list[Pass], name: str) -> float:
    return statistics.median(float(getattr(one, name)) for one in passes)


def write_source(path: Path, rows: int) -> None:
    """Write so many *rows* to *path*, in the format that its name says."""
    if path.name == "hard.csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write("user_id,email,phone,name,birth,age,score,joined,push_optin\r\n")
            file.writelines(map(_hard_line, range(1, rows + 1)))
        return
    easy = path.with_name("easy.csv")
    if not easy.exists():
        with easy.open("w", encoding="utf-8") as file:
            file.write(f"{','.join(_COLUMNS)}\n")
            file.writelines(f"{','.join(cells)}\n" for cells in _people(rows))
    if path.suffix == ".jsonl":
        with path.open("w", encoding="utf-8") as file:
            objects = (dict(zip(_COLUMNS, cells, strict=True)) for cells in _people(rows))
            file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)
    if path.suffix == ".parquet":
        subprocess.run([sys.executable, "-c", _TO_PARQUET, easy, path], check=True)


def _people(rows: int) -> Iterator[tuple[str, ...]]:
    for number in range(1, rows + 1):
        day, month = number % 28 + 1, number % 12 + 1
        yield (
            *(f"{number:08}", f"user{number}@example.com", f"8210{number % 10**8:08}", f"김민수{number}"),
            *(f"1990{month:02}{day:02}", f"{number % 90}", f"{number % 1000 / 10}"),
            *(f"2024-{month:02}-{day:02} 09:30:00", "YN"[number % 2]),
        )


def _hard_line(number: int) -> str:
    day, month = number % 28 + 1, number % 12 + 1
    name = (f"Kim {number}", f'"Lee, {number}"', f'"a ""b"" {number}"', f'"two\r\nlines {number}"')[number % 7 % 4]
    optin = "" if number % 1000 == 0 else f",{'YN'[number % 2]}"
    return (
        f"{number:08},user{number}@example.com,8210{number % 10**8:08},{name},1990{month:02}{day:02},{number % 90},"
        f"{number % 1000 / 10},2024-{month:02}-{day:02} {number % 24:02}:{number % 60:02}:00{optin}\r\n"
    )


def _read(folder: Path, words: tuple[str, ...]) -> Pass:
    """Start Python with *words* as a process of its own, and measure it."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    # An installed program does not compile its modules at each start.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen([sys.executable, *words], cwd=folder, env=environ)
    # wait4 tells the peak memory of this one process.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = usage.ru_utime + usage.ru_stime
    process.returncode = os.waitstatus_to_exitcode(status)
    # Of the harder file, some records lack a field.
    if process.returncode not in {0, 3}:
        sys.exit(f"{' '.join(words[:3])} ended with {process.returncode}")
    return Pass(seconds, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    sys.exit(main())
