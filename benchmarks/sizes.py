"""Measure whether memory stays flat however large the file is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.contenders import ours
from benchmarks.figures import Chapter, Table, Wanted
from benchmarks.nginx import serving
from benchmarks.unthrottled import Lap, Track

_FEW: Final = 100_000
_MOST_GROWTH: Final = 40.0
_MOST: Final = 200.0


def sizes(folder: Path, *, counts: Sequence[int], tell: Callable[[str], None]) -> Chapter:
    """Send files of so many rows each, and return what was found."""
    laps = {}
    with serving(folder) as server:
        for rows in counts:
            tell(f"sizes: {rows:,} rows")
            track = Track(folder, server, rows)
            laps[rows] = track.lap(ours(track.config))
    return chapter(laps)


def chapter(laps: Mapping[int, Lap]) -> Chapter:
    """Return what the *laps*, by their rows, say; the largest is compared with that of 100,000 rows."""
    most = max(laps)
    few = _FEW if _FEW in laps else min(laps)
    growth = laps[most].megabytes - laps[few].megabytes
    return Chapter(
        "sizes",
        "Memory and time by size",
        "`uploader run` of CSV files with 8 mapped columns, unthrottled, to nginx, in one process each. Peak memory is "
        "that of the whole process, the check included.",
        (
            Table(
                "Memory and time",
                ("rows", "peak MB", "check s", "sending s", "rows/s"),
                tuple(
                    (
                        f"{rows:,}",
                        f"{lap.megabytes:.0f}",
                        f"{lap.before:.1f}",
                        f"{lap.seconds - lap.before:.1f}",
                        f"{lap.rate:,.0f}",
                    )
                    for rows, lap in laps.items()
                ),
            ),
        ),
        (
            Wanted(
                f"memory at {most:,} rows within {_MOST_GROWTH:g} MB of that at {few:,}, under {_MOST:g} MB in all",
                f"{laps[most].megabytes:.0f} MB, {growth:+.0f} MB",
                growth <= _MOST_GROWTH and laps[most].megabytes < _MOST,
            ),
        ),
        {"laps": {str(rows): asdict(lap) for rows, lap in laps.items()}},
    )
