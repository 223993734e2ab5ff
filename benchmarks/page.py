"""Write what the benchmarks found into docs/performance.md, between two marks."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.figures import Chapter

BEGIN: Final = "<!-- figures: what stands from here to the end mark is written by make bench and make profile -->"
END: Final = "<!-- figures: end -->"
_ORDER: Final = ("unthrottled", "limit", "sizes", "startup", "check", "init", "unchanged_night", "resume", "profile")


class UnmarkedError(Exception):
    """A page has not the two marks, or not in their order."""


def rewrite(page: Path, chapters: Sequence[Chapter]) -> None:
    """Put *chapters* between the marks of *page*; raises UnmarkedError, and leaves the rest as it is."""
    text = page.read_text(encoding="utf-8")
    head, begun, rest = text.partition(f"{BEGIN}\n")
    _, ended, tail = rest.partition(END)
    if not begun or not ended:
        raise UnmarkedError(f"{page.name} lacks the line '{BEGIN}' with '{END}' below it. Put them back.")
    lines = [f"{line}\n" for line in section(chapters)]
    page.write_text("".join([head, begun, *(["\n"] if lines else []), *lines, END, tail]), encoding="utf-8")


def section(chapters: Sequence[Chapter]) -> Iterator[str]:
    """Yield the lines of *chapters*: what was wanted first, then one after another."""
    ordered = sorted(chapters, key=_place)
    wanted = [(chapter, one) for chapter in ordered for one in chapter.wanted]
    if wanted:
        yield from ("## What was wanted", "", "| wanted | found | holds |", "|---|---|---|")
        yield from (f"| {one.what} | {one.found} | {'yes' if one.holds else '**no**'} |" for _, one in wanted)
        yield ""
    for chapter in ordered:
        yield from (f"## {chapter.title}", "", chapter.text, "")
        for table in chapter.tables:
            yield from (*table.markdown(), "")
        facts = "; ".join(f"{name} {what}" for name, what in chapter.measured.items())
        yield from (f"Measured: {facts}.", "")


def _place(chapter: Chapter) -> int:
    return _ORDER.index(chapter.key) if chapter.key in _ORDER else len(_ORDER)
