"""Guess a mapping from a few rows, and read what would be written of it."""

import re
from collections.abc import Mapping, Sequence
from datetime import date

from uploader.inference import FileProfile, MappingGuess, SourceText, guess_mapping, spell
from uploader.model import Row


def drafted(
    rows: Sequence[Mapping[str, object]], *, kinds: Mapping[str, str] | None = None, is_csv: bool = False
) -> MappingGuess:
    """Return what is guessed of *rows*; *kinds* are the types of a Parquet file."""
    columns = list(rows[0]) if is_csv or kinds is not None else None
    look = FileProfile(columns, kinds or {}, null_is_empty=kinds is not None)
    for number, fields in enumerate(rows, start=1):
        look.add_record(Row(number, fields))
    return guess_mapping(look, today=date(2026, 11, 29))


def lines_of(draft: MappingGuess) -> list[str]:
    """Return what is written of the properties, each line with its comments behind it."""
    _, _, below = spell(draft, SourceText("s")).partition("\n  properties:\n")
    found: list[str] = []
    comments: list[str] = []
    # A value that takes several lines is read as one.
    whole = re.sub(r",\n {6}(?! *#)", ", ", below.partition("\n\n")[0])
    for line in map(str.strip, whole.splitlines()):
        if not line.startswith("# "):
            found.append("  # ".join([*map(str.strip, line.split("  # ")), *comments]))
            comments = []
        elif line.startswith(("# LEFT OUT", "# REVIEW: there are more")):
            found.append(line)
        elif comments and not line.startswith("# REVIEW"):
            comments[-1] += line[1:]
        elif found and found[-1].startswith("# LEFT OUT"):
            found[-1] += line[1:]
        else:
            comments.append(line[2:])
    return found


def lines(values: Sequence[object], name: str = "it", *, is_csv: bool = True) -> list[str]:
    """Return what is written of a column of *values*."""
    return lines_of(drafted([{"user_id": str(at), name: value} for at, value in enumerate(values)], is_csv=is_csv))
