"""Guess a mapping from a few rows, and read what would be written of it."""

from collections.abc import Mapping, Sequence
from datetime import date

from uploader.inference import FileProfile, MappingGuess, SharedValues, SourceText, guess_mapping, spell
from uploader.inference.mapping_guess import guess_identities
from uploader.model import Record, Row


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
    whole = below.partition("\n\n")[0].replace(",\n        ", ", ")
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


def rule(values: Sequence[object], name: str = "it", *, is_csv: bool = True) -> str:
    """Return what is written of a column of *values*, without the comments."""
    return lines(values, name, is_csv=is_csv)[0].partition("  # ")[0]


def identity_lines(guess: MappingGuess) -> list[str]:
    """Return what is written of the identity, comments among it."""
    _, _, below = spell(guess, SourceText("s")).partition("  identity:\n")
    return [line.strip().partition("  # ")[0].strip() for line in below.partition("\n\n")[0].splitlines()]


def written_identities(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the identity fields that are written for a CSV with *rows*."""
    return [line for line in identity_lines(guessed(rows)) if not line.startswith("#")]


def guessed(rows: Sequence[Mapping[str, object]]) -> MappingGuess:
    """Return the mapping of a CSV with *rows*, with what stands beside many people."""
    records: list[Record] = [Row(number, fields) for number, fields in enumerate(rows, 1)]
    profile = FileProfile(list(rows[0]), {}, null_is_empty=False)
    for record in records:
        profile.add_record(record)
    people = guess_identities(profile)
    shared = SharedValues([each.rule for each in people], 5).find(lambda: records)
    return guess_mapping(profile, today=date(2026, 11, 29), people=people, shared=shared)
