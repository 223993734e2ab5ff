"""Hold what the benchmarks found, as tables for people and as numbers for programs."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """A *heading*, the names of the *columns*, and rows of cells as they are shown."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def lines(self) -> list[str]:
        """Return the table for a terminal: the first two columns to the left, numbers to the right."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        return [self.heading, *("  " + _aligned(cells, widths) for cells in (self.columns, *self.rows))]

    def markdown(self) -> list[str]:
        """Return the table for a page."""
        marks = ["---" if place == 0 else "--:" for place in range(len(self.columns))]
        return [f"{self.heading}:", "", *(f"| {' | '.join(cells)} |" for cells in (self.columns, marks, *self.rows))]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One figure that was promised: *what*, what was *found*, and whether it *holds*."""

    what: str
    found: str
    holds: bool

    @property
    def line(self) -> str:
        """The verdict in one line."""
        return f"{'holds' if self.holds else 'DOES NOT HOLD'}: {self.what}; found {self.found}"


@dataclass(frozen=True, slots=True)
class Chapter:
    """What one benchmark found.

    *text* says how it was measured, *data* holds every number, *measured* says when and where.
    """

    key: str
    title: str
    text: str
    tables: tuple[Table, ...]
    wanted: tuple[Wanted, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the chapter for a terminal."""
        return [line for table in self.tables for line in (*table.lines(), "")] + [one.line for one in self.wanted]


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return the least and the most of *values*, to be shown beside their median."""
    return f"{min(values):,.{digits}f} … {max(values):,.{digits}f}"


def median(values: Sequence[float]) -> float:
    """Return the median of *values*."""
    return statistics.median(values)


def keep(path: Path, chapters: Sequence[Chapter]) -> list[Chapter]:
    """Put *chapters* into the JSON file at *path*, each in place of its earlier self; return all that it holds now."""
    known = {chapter.key: chapter for chapter in read_chapters(path)}
    known.update((chapter.key, chapter) for chapter in chapters)
    document = {"chapters": [asdict(chapter) for chapter in known.values()]}
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return list(known.values())


def read_chapters(path: Path) -> Iterator[Chapter]:
    """Yield the chapters of the JSON file at *path*; none where there is no file."""
    if not path.exists():
        return
    for one in json.loads(path.read_text(encoding="utf-8"))["chapters"]:
        tables = tuple(
            Table(table["heading"], tuple(table["columns"]), tuple(tuple(row) for row in table["rows"]))
            for table in one["tables"]
        )
        yield Chapter(**{**one, "tables": tables, "wanted": tuple(Wanted(**wanted) for wanted in one["wanted"])})


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    left, *others = [
        cell.ljust(width) if place == 0 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join([left, *others]).rstrip()
