"""Hash the identity values of many rows at once."""

from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from uploader.model import Person

_NOTHING: Final = pl.Series([None], dtype=pl.UInt64)

_NOT_UNICODE: Final = "\0"
"""What begins the spelling of a value that holds half of a surrogate pair, which no column can hold."""


def hashes_of(identity: pl.DataFrame) -> pl.DataFrame:
    """Return a hash of 64 bits for each value of *identity*, which has a column for each field; null where it is null.

    The same value of the same field has the same hash in every frame with these fields, in whatever order it is read.
    """
    return pl.DataFrame([_hashed(column, place) for place, column in enumerate(identity.iter_columns())])


def _hashed(column: pl.Series, seed: int) -> pl.Series:
    hashes = column.hash(seed=seed)
    # The hash of a null is a number as well.
    return (
        hashes.zip_with(column.is_not_null(), _NOTHING.new_from_index(0, len(column)))
        if column.null_count()
        else hashes
    )


def identity_of(persons: Sequence[Person], fields: Iterable[str]) -> pl.DataFrame:
    """Return the values of *persons* in a column for each of the *fields*, null where a person has none."""
    columns: dict[str, list[str | None]] = {field: [None] * len(persons) for field in fields}
    for at, person in enumerate(persons):
        for value in person:
            field, _, written = value.partition("=")
            columns[field][at] = written
    return pl.DataFrame([_texts(field, values) for field, values in columns.items()])


def hashes_of_texts(texts: list[str]) -> list[int]:
    """Return a hash of 64 bits, as a signed number, for each of *texts*; it is `hashes_of_column` of a column of it."""
    return hashes_of_column(_texts("", list(texts)))


def hashes_of_column(column: pl.Series) -> list[int]:
    """Return a hash of 64 bits, as a signed number, for each text of *column*."""
    return column.hash().reinterpret(signed=True).to_list()


def _texts(field: str, values: list[str | None]) -> pl.Series:
    try:
        return pl.Series(field, values, dtype=pl.String)
    except UnicodeEncodeError:
        return pl.Series(field, [None if value is None else _spelled(value) for value in values], dtype=pl.String)


def _spelled(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        return _NOT_UNICODE + ascii(value)
    return value
