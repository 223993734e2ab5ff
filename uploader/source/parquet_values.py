"""Convert the rows of a polars table to Python values, also where Python has no such value."""

from dataclasses import dataclass
from datetime import date, timedelta

from uploader.source.one_thread import pl

_DAY = timedelta(days=1)
_UNITS = {"ms": timedelta(milliseconds=1), "us": timedelta(microseconds=1)}
_EPOCH = date(1970, 1, 1)
# One day less on each side: a time zone may shift a moment by up to that.
_FIRST = date.min + _DAY - _EPOCH
_LAST = date.max - _DAY - _EPOCH


@dataclass(frozen=True, slots=True)
class OutOfRange:
    """A date or duration that Python can't hold: *count* of *unit*. No type of the API accepts it."""

    count: int
    unit: str

    def __str__(self) -> str:
        """Return it as a retry file shows it."""
        return f"{self.count} {self.unit}"


def rows_of(batch: pl.DataFrame) -> list[dict[str, object]]:
    """Return the rows of *batch*, with an OutOfRange for each value that Python can't hold."""
    far = {name: unit for name, dtype in batch.schema.items() if (unit := _far(batch[name], dtype))}
    if not far:
        return batch.to_dicts()
    rows = batch.with_columns(pl.lit(None).alias(name) for name in far).to_dicts()
    for name, unit in far.items():
        column = batch[name]
        inside = _is_inside(column, column.dtype)
        values = pl.select(pl.when(inside).then(column)).to_series().to_list()
        counts = column.to_physical().to_list()
        for row, value, count, fits in zip(rows, values, counts, inside, strict=True):
            row[name] = value if fits else OutOfRange(count, unit)
    return rows


def _far(column: pl.Series, dtype: pl.DataType) -> str | None:
    """Return the unit of *column* if one of its values is out of range, else None."""
    if isinstance(dtype, pl.Date | pl.Datetime | pl.Duration) and not _is_inside(column, dtype).all():
        return "days" if isinstance(dtype, pl.Date) else dtype.time_unit
    return None


def _is_inside(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    least, most = _bounds(dtype)
    return column.to_physical().is_between(least, most).fill_null(value=True)


def _bounds(dtype: pl.DataType) -> tuple[int, int]:
    if isinstance(dtype, pl.Date):
        return (date.min - _EPOCH).days, (date.max - _EPOCH).days
    unit = _UNITS.get(dtype.time_unit) if isinstance(dtype, pl.Datetime | pl.Duration) else None
    if unit is None:
        # 64 bits of nanoseconds are less than 300 years, so none is out of range.
        return -(2**63), 2**63 - 1
    if isinstance(dtype, pl.Duration):
        return max(-(2**63), timedelta.min // unit), min(2**63 - 1, timedelta.max // unit)
    return _FIRST // unit, _LAST // unit
