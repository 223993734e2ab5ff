"""Let the benchmarks that are scripts of their own speak, and keep what they print."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import Chapter, Wanted
from benchmarks.measuring import ROOT


@dataclass(frozen=True, slots=True)
class Script:
    """A script of this folder: the *key* and *title* of its chapter, what it takes, and *what* it promises."""

    key: str
    title: str
    words: tuple[str, ...]
    what: str


CHECK: Final = Script(
    "check",
    "The check",
    ("--rows", "1000000", "--times", "3"),
    "the check of 1,000,000 rows in batches: 5 (CSV), 3.5 (JSONL), 7 (Parquet) and 2 times (harder CSV) as fast as row "
    "by row, each within 1.15 times the memory of 100,000 rows; the CSV at 80,000 rows a second or more; 200 MB",
)
INIT: Final = Script(
    "init",
    "The proposal of init",
    ("--rows", "1000000", "--times", "3"),
    "`init` of 1,000,000 rows in batches: 3 times as fast as row by row, and the same proposal",
)
RESUME: Final = Script(
    "resume", "Resuming", (), "resuming 5,000,000 settled rows: at most 30 s and 100 MB more than a fresh start"
)


def unchanged_night(rows: int) -> Script:
    """Return the benchmark of unchanged nights of so many *rows*."""
    return Script(
        "unchanged_night",
        "Unchanged nights",
        ("--rows", str(rows), "--times", "1"),
        "an unchanged night 8 times as fast as row by row (from 5,000,000 rows on), 300 MB, 24 bytes a person",
    )


def chapters_of(scripts: Sequence[Script], *, tell: Callable[[str], None]) -> Iterator[Chapter]:
    """Yield the chapter of each of *scripts* that is there."""
    for script in scripts:
        if not (ROOT / "benchmarks" / f"{script.key}.py").exists():
            tell(f"{script.key}: there is no benchmarks/{script.key}.py; left out")
            continue
        tell(f"{script.key}: benchmarks/{script.key}.py {' '.join(script.words)}".rstrip())
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{script.key}", *script.words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in {0, 1} or not done.stdout:
            sys.exit(f"benchmarks/{script.key}.py ended with {done.returncode}: {done.stderr.strip()[-600:]}")
        print(f"\n{done.stdout.rstrip()}")
        yield chapter(script, done.stdout, holds=done.returncode == 0)


def chapter(script: Script, printed: str, *, holds: bool) -> Chapter:
    """Return what *script* *printed*; *holds* is whether it called every figure good."""
    found = re.findall(r"found ([\d.,]*\d)", printed)
    return Chapter(
        script.key,
        script.title,
        f"As `python -m {' '.join((f'benchmarks.{script.key}', *script.words))}` prints it:"
        f"\n\n```text\n{printed.rstrip()}\n```",
        (),
        (Wanted(script.what, " and ".join(found) if found else "see below", holds),),
        {"printed": printed, "found": found},
    )
