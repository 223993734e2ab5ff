"""Choose how a source is read in batches; polars is imported by the first pass."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias, assert_never

from uploader.batch import CellForm
from uploader.source.byte_stream import ByteStream
from uploader.source.csv_records import CsvDialect
from uploader.source.reader import Batches, TakeApart

Columnar: TypeAlias = Literal["auto", "on", "off"]
"""Whether sources are read in batches: from a certain size on, always, or never."""

BLOCK: Final = 1024 * 1024
"""How many bytes of a file make a batch: more take more memory, and save nothing."""

_LEAST: Final = 2_000_000
"""From so many bytes on, packed or not, batches save more time than it takes to import polars."""


TakeBatches: TypeAlias = Callable[[ByteStream, int], Batches]
"""Yields the records of a stream in batches, each of about so many bytes of its text."""


def is_columnar(choice: Columnar, path: Path) -> bool:
    """Return whether to read the file at *path* in batches; where that is open, by its size."""
    match choice:
        case "auto":
            try:
                return path.stat().st_size >= _LEAST
            except OSError:
                # Reading the file says what is wrong.
                return False
        case "on" | "off":
            return choice == "on"
        case _ as never:
            assert_never(never)


def csv_in_batches(dialect: CsvDialect, columns: tuple[str, ...]) -> TakeBatches:
    """Return how a CSV with these *columns* is read in batches."""

    def take(stream: ByteStream, size: int) -> Batches:
        from uploader.source.csv_batches import csv_batches  # noqa: PLC0415 polars starts slowly

        return csv_batches(stream, dialect, columns, size)

    return take


def jsonl_in_batches(encoding: str) -> TakeBatches:
    """Return how JSONL is read in batches."""

    def take(stream: ByteStream, size: int) -> Batches:
        from uploader.source.jsonl_batches import jsonl_batches  # noqa: PLC0415 polars starts slowly

        return jsonl_batches(stream, encoding, size)

    return take


def rows_in_batches(take_apart: TakeApart, form: CellForm) -> TakeBatches:
    """Return how a file is read in batches without tables: the records that *take_apart* yields."""

    def take(stream: ByteStream, _size: int) -> Batches:
        from uploader.source.record_batches import batches_by_rows  # noqa: PLC0415 polars starts slowly

        return batches_by_rows(take_apart(stream), form)

    return take
