"""Take a Parquet file apart into records, by polars, a batch at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import polars as pl

from uploader.errors import InputError
from uploader.model import Row
from uploader.source.reading import Records
from uploader.source.stream import ByteStream, Place

_BATCH = 5000


def parquet_kinds(place: Place) -> Mapping[str, str]:
    """Return the columns of the file at *place*, each with a short word for its type; raises InputError."""
    with _told_in_our_words(place):
        schema = _scan(place).collect_schema()
    return MappingProxyType({name: _kind(dtype) for name, dtype in schema.items()})


def parquet_records(stream: ByteStream) -> Records:
    """Yield the rows, their values as Python objects; raises InputError where polars can't read on."""
    number = 0
    for rows in _batches(stream.place):
        for number, fields in enumerate(rows, number + 1):  # noqa: B020 the count goes on from batch to batch
            yield Row(number, fields)
    # polars finds its own way in the file; the fingerprint needs every byte.
    for _ in stream.blocks():
        pass
    return 0


def _batches(place: Place) -> Iterator[list[dict[str, object]]]:
    with _told_in_our_words(place):
        for batch in _scan(place).collect_batches(chunk_size=_BATCH, maintain_order=True, lazy=True):
            yield batch.to_dicts()


def _scan(place: Place) -> pl.LazyFrame:
    # The path is one file, whatever brackets or equals signs it has.
    return pl.scan_parquet(place.path, glob=False, hive_partitioning=False)


@contextmanager
def _told_in_our_words(place: Place) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, OverflowError):
        # What polars says may quote cells.
        raise InputError(
            f"{place.label} can't be read as Parquet: it is cut off, damaged, or holds what polars can't read. "
            "Write it anew."
        ) from None


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
