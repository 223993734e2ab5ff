"""Measure how long the command takes to start, and what it imports for that."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.figures import Chapter, Table, Wanted, median, spread
from benchmarks.measuring import ROOT, measure
from benchmarks.people import CONFIG, write_people

_MOST_TIMES: Final = 10.0
_HEAVY: Final = ("polars", "aiohttp", "pydantic", "uvloop", "tqdm")
_BARE: Final = "python -c pass"
_VERSION: Final = "uploader --version"
_CSV: Final = "uploader check, CSV of one row"
_PARQUET: Final = "uploader check, Parquet of one row"
_MUST_NOT: Final = {"polars", "aiohttp"}


def startup(folder: Path, *, times: int, tell: Callable[[str], None]) -> Chapter:
    """Start each command so many *times*, in turn, and return what was found."""
    config = folder / "start.yaml"
    config.write_text(CONFIG.format(url="http://127.0.0.1:1", rate="{}"), encoding="utf-8")
    config.chmod(0o600)
    check = ("-m", "uploader", "check", "-q", "--config", str(config))
    commands: dict[str, tuple[str, ...]] = {
        _BARE: ("-c", "pass"),
        _VERSION: ("-m", "uploader", "--version"),
        _CSV: (*check, str(write_people(folder / "one.csv", 1))),
        _PARQUET: (*check, str(write_people(folder / "one.parquet", 1))),
    }
    tell("start-up")
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(times):
        for name, words in commands.items():
            seconds[name].append(measure((sys.executable, *words), folder=folder).seconds)
    return chapter(seconds, {name: _imported(words, folder) for name, words in commands.items()})


def chapter(seconds: Mapping[str, Sequence[float]], imported: Mapping[str, Sequence[str]]) -> Chapter:
    """Return what the *seconds* of each command say, and which heavy libraries each *imported*."""
    medians = {name: median(some) for name, some in seconds.items()}
    times = medians[_VERSION] / medians[_BARE]
    heavy, checks = (", ".join(imported[name]) or "none" for name in (_VERSION, _CSV))
    return Chapter(
        "startup",
        "Start-up",
        f"Each command started {len(seconds[_BARE])} times, in turn. *Imports* names the heavy libraries "
        f"({', '.join(_HEAVY)}) that it loads.",
        (
            Table(
                "Start-up",
                ("", "imports", "ms", "from … to", "of a bare start"),
                tuple(
                    (
                        name,
                        ", ".join(imported[name]) or "none",
                        f"{medians[name] * 1000:.0f}",
                        spread([one * 1000 for one in some]),
                        f"{medians[name] / medians[_BARE]:.1f} x",
                    )
                    for name, some in seconds.items()
                ),
            ),
        ),
        (
            Wanted(
                f"`{_VERSION}` within {_MOST_TIMES:g} x a bare `{_BARE}`",
                f"{times:.1f} x",
                times <= _MOST_TIMES,
            ),
            Wanted(
                f"polars and aiohttp are imported only by what uses them (not by `{_VERSION}` or a check, but for the "
                "polars of a Parquet)",
                f"`{_VERSION}` imports {heavy}, the check of a CSV {checks}",
                not _MUST_NOT & {*imported[_VERSION], *imported[_CSV]} and "aiohttp" not in imported[_PARQUET],
            ),
        ),
        {"seconds": {name: list(some) for name, some in seconds.items()}, "imported": dict(imported)},
    )


def _imported(words: Sequence[str], folder: Path) -> list[str]:
    output = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    modules = {
        line.rpartition("|")[2].strip() for line in output.stderr.splitlines() if line.startswith("import time:")
    }
    return [name for name in _HEAVY if name in modules]
