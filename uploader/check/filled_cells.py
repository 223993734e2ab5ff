"""Count the empty cells in the columns of a table, as the profile of single rows counts them."""

import json
from collections.abc import Collection, Sequence

import polars as pl

from uploader.batch import CellForm

_FEW = 4
"""Up to so many texts are compared one after the other, which is faster than a look-up."""


def filled_cells(table: pl.DataFrame, form: CellForm, names: Sequence[str], empty: Collection[str]) -> dict[str, int]:
    """Return for each column of *names* how many cells of *table* are neither null nor one of the *empty* texts."""
    counts = {name: table.height - table[name].null_count() for name in names}
    for name in names:
        column = table[name]
        match form:
            case "text":
                counts[name] -= _among(column, empty)
            case "json":
                counts[name] -= _empty_tokens(column, empty)
            case "typed":
                counts[name] -= _empty_values(column, empty)
    return counts


def filled_at(table: pl.DataFrame, path: str, empty: Collection[str]) -> int:
    """Return in how many rows of a *table* of values the *path* into a struct leads to a value that is not empty."""
    first, *steps = path.split(".")
    if first not in table.columns:
        return 0
    column = table[first]
    for step in steps:
        if not isinstance(column.dtype, pl.Struct) or step not in [inner.name for inner in column.dtype.fields]:
            return 0
        column = column.struct.field(step)
    return table.height - column.null_count() - _empty_values(column, empty)


def _empty_tokens(column: pl.Series, empty: Collection[str]) -> int:
    """Return how many tokens of JSON are null or one of the *empty* texts, however its characters are written."""
    plain = {json.dumps(text, ensure_ascii=False) for text in empty}
    count = _among(column, {"null", *plain})
    escaped = column.filter(
        (column.str.starts_with('"') & column.str.contains("\\", literal=True)).fill_null(value=False)
    )
    # What was found already is not looked at again.
    return count + sum(token not in plain and json.loads(token) in empty for token in escaped.to_list())


def _empty_values(column: pl.Series, empty: Collection[str]) -> int:
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    return _among(column, empty) if isinstance(column.dtype, pl.String) else 0


def _among(column: pl.Series, texts: Collection[str]) -> int:
    if len(texts) > _FEW:
        return int(column.is_in(pl.Series(list(texts), dtype=pl.String)).sum())
    return sum(int((column == text).sum()) for text in texts)
