"""Name the type of each column of a Parquet file, and of the fields of its structs."""

from uploader.mapping.required_columns import BINARY_TEXT
from uploader.source.one_thread import pl


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


def binary_texts(head: pl.DataFrame) -> dict[str, str]:
    """Return BINARY_TEXT for each column of *head*, the first rows, whose bytes all are text in UTF-8."""
    binary = [name for name, dtype in head.schema.items() if isinstance(dtype, pl.Binary)]
    return {name: BINARY_TEXT for name in binary if _are_texts(head[name].drop_nulls().to_list())}


def with_integers(batch: pl.DataFrame) -> pl.DataFrame:
    """Return *batch* with integers in place of decimals that have no fraction (`DECIMAL(n,0)`), at any depth."""
    casts = {name: whole for name, dtype in batch.schema.items() if (whole := _whole(dtype)) != dtype}
    return batch.cast(casts) if casts else batch  # type: ignore[arg-type] # names to types are what it takes


def _whole(dtype: pl.DataType) -> pl.DataType:
    match dtype:
        case pl.Decimal() if _is_whole_decimal(dtype):
            return pl.Int128()
        case pl.List(inner=pl.DataType() as inner):
            return pl.List(_whole(inner))
        case pl.Array(inner=pl.DataType() as inner):
            return pl.Array(_whole(inner), dtype.size)
        case pl.Struct():
            return pl.Struct({name: _whole(inner) for name, inner in pl.Schema(dtype.to_schema()).items()})
        case _:
            return dtype


def _is_whole_decimal(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Decimal) and dtype.scale == 0


def _are_texts(values: list[bytes]) -> bool:
    try:
        return bool(values) and all("\0" not in value.decode() for value in values)
    except UnicodeDecodeError:
        return False


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
    if dtype.is_integer() or _is_whole_decimal(dtype):
        return "long"
    if dtype.is_float():
        return "double"
    if isinstance(dtype, pl.Boolean):
        return "boolean"
    return "date" if isinstance(dtype, pl.Date) else "other"
