"""Hash the identity values of many rows at once."""

from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from uploader.model import Person

_NOT_UNICODE: Final = "\0"
"""What begins the spelling of a value that holds half of a surrogate pair, which no column can hold."""


def hashes_of(identity: pl.DataFrame) -> pl.DataFrame:
    """Return a hash of 64 bits for each value of *identity*, which has a column for each field; null where it is null.

    The same value of the same field has the same hash in every frame with these fields, in whatever order it is read.
    """
    return identity.select(
        # The hash of a null is a number as well.
        pl.when(pl.col(field).is_not_null()).then(pl.col(field).hash(seed=place)).alias(field)
        for place, field in enumerate(identity.columns)
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
