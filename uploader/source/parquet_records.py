"""Take a Parquet file apart into records, by polars, a batch at a time."""

from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType

import polars as pl

from uploader.errors import ChangedError, InputError
from uploader.model import Row
from uploader.source.byte_stream import ByteStream, Fingerprint
from uploader.source.parquet_types import kinds_of
from uploader.source.parquet_values import rows_of
from uploader.source.reader import Records

_BATCH = 5000


class ParquetFile:
    """The Parquet file at *path*, which may be an unpacked copy of the source that messages call *label*.

    *columns* are its columns. *kinds* has a short word for the type of each of them, and of what is within structs, as
    `a.b`.
    """

    def __init__(self, path: Path, label: str, *, copied_from: Fingerprint | None = None) -> None:
        """Read what columns there are; raises InputError. *copied_from* is the source that an unpacked copy is of."""
        self._path = path
        self._label = label
        self._copied_from = copied_from
        with self._polars_errors():
            schema = self._scan().collect_schema()
        self.columns = tuple(schema)
        self.kinds: Mapping[str, str] = MappingProxyType(kinds_of(schema))

    def records(self, stream: ByteStream) -> Records:
        """Yield the rows, their values as Python objects; *stream* is that of the source.

        Raises InputError where polars can't read on, and ChangedError when the copy is of another source by now.
        """
        number = 0
        digest = blake2b(digest_size=16)
        for batch in self._batches():
            digest.update(_spelled(batch))
            stream.add_rows(digest.copy().digest())
            with self._polars_errors():
                rows = rows_of(batch)
            for number, fields in enumerate(rows, number + 1):  # noqa: B020 the count goes on from batch to batch
                yield Row(number, fields)
        stream.end_rows()
        # polars finds its own way in the file; the fingerprint needs every byte.
        for _ in stream.packed_blocks():
            pass
        if self._copied_from not in (None, stream.fingerprint()):
            raise ChangedError(f"{self._label} changed since it was unpacked. Run again.")
        return 0

    def _batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows, always as many at a time, so that one reading can be held against another."""
        rest: pl.DataFrame | None = None
        with self._polars_errors():
            for batch in self._scan().collect_batches(chunk_size=_BATCH, maintain_order=True, lazy=True):
                rest = batch if rest is None else rest.vstack(batch)
                while rest.height >= _BATCH:
                    yield rest[:_BATCH]
                    rest = rest[_BATCH:]
            if rest is not None and rest.height:
                yield rest

    def _scan(self) -> pl.LazyFrame:
        # The path is one file, whatever brackets or equals signs it has.
        return pl.scan_parquet(self._path, glob=False, hive_partitioning=False)

    @contextmanager
    def _polars_errors(self) -> Iterator[None]:
        try:
            yield
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, OverflowError):
            # What polars says may quote cells.
            raise InputError(
                f"{self._label} can't be read as Parquet: it is cut off, damaged, or holds what polars can't read. "
                "Write it again."
            ) from None


def _spelled(batch: pl.DataFrame) -> bytes:
    """Return *batch* in a few bytes: its columns, and 64 bits for each row."""
    return repr(batch.schema).encode(errors="surrogatepass") + array("Q", batch.hash_rows().to_list()).tobytes()
