"""Name the type of each column of a Parquet file, and of the fields of its structs."""

import polars as pl


def kinds_of(schema: pl.Schema) -> dict[str, str]:
    """Return a short word for the type of each column of *schema*; fields of a struct are `column.field`.

    A column with the same name as such a field wins.
    """
    kinds: dict[str, str] = {}
    for name, dtype in schema.items():
        if isinstance(dtype, pl.Struct):
            within = kinds_of(pl.Schema(dtype.to_schema()))
            kinds.update({f"{name}.{inner}": kind for inner, kind in within.items()})
    return kinds | {name: _kind(dtype) for name, dtype in schema.items()}


def _kind(dtype: pl.DataType) -> str:
    match dtype:
        case pl.List(inner=pl.DataType() as inner) | pl.Array(inner=pl.DataType() as inner):
            word = _plain_kind(inner)
            return f"array<{word}>" if word in {"string", "long", "double"} else "other"
        case pl.Datetime():
            return "datetime" if dtype.time_zone else "naive datetime"
        case _:
            return _plain_kind(dtype)


def _plain_kind(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "string"
    if dtype.is_integer():
        return "long"
    if dtype.is_float():
        return "double"
    if isinstance(dtype, pl.Boolean):
        return "boolean"
    return "date" if isinstance(dtype, pl.Date) else "other"
