"""Lay out cells as a table of text, aligned also where letters are two columns wide."""

from collections.abc import Collection, Iterator, Sequence

from uploader.text_width import width


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> Iterator[str]:
    """Yield the *header* and each of *rows* as a line; the columns named in *right* are aligned to the right."""
    widths = [max(width(row[place]) for row in (header, *rows)) for place in range(len(header))]
    for row in (header, *rows):
        cells = (
            _padded(cell, wide, to_right=name in right) for name, cell, wide in zip(header, row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _padded(cell: str, wide: int, *, to_right: bool) -> str:
    room = " " * (wide - width(cell))
    return f"{room}{cell}" if to_right else f"{cell}{room}"
