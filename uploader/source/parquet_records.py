"""Split a Parquet file into records with polars, a batch at a time."""

from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType

from uploader.batch import Batch
from uploader.errors import ChangedError, InputError
from uploader.model import Row
from uploader.source.byte_stream import ByteStream, Fingerprint
from uploader.source.one_thread import pl
from uploader.source.parquet_types import binary_texts, kinds_of, with_integers
from uploader.source.parquet_values import rows_of
from uploader.source.reader import Batches, PassEnd, Records

_BATCH = 20_000
_HELD = 3
"""How many batches are read at once: the fewer, the more often pages are read twice; the more, the more memory."""

_ROWS = 5000
"""How many rows at a time become Python objects."""
_LOOKED_AT = 100


class ParquetFile:
    """The Parquet file at *path*, which may be an unpacked copy of the source that messages call *label*.

    *columns* are its columns. *kinds* maps each of them to a short word for its type; fields of a struct are `a.b`.
    """

    def __init__(self, path: Path, label: str, *, copied_from: Fingerprint | None = None) -> None:
        """Read the schema; raises InputError. *copied_from* is the fingerprint of the source that was unpacked."""
        self._path = path
        self._label = label
        self._copied_from = copied_from
        with self._polars_errors():
            schema = self._scan().collect_schema()
            binary = [name for name, dtype in schema.items() if isinstance(dtype, pl.Binary)]
            head = self._scan().select(binary).head(_LOOKED_AT).collect() if binary else pl.DataFrame()
        self.columns = tuple(schema)
        self.kinds: Mapping[str, str] = MappingProxyType(kinds_of(schema) | binary_texts(head))

    def records(self, stream: ByteStream) -> Records:
        """Yield the rows, their values as Python objects; *stream* is that of the source.

        Raises InputError where polars can't read the file, and ChangedError when the source changed since it was
        unpacked.
        """
        number = 0
        for table in self._tables(stream):
            for part in table.iter_slices(_ROWS):
                with self._polars_errors():
                    rows = rows_of(part)
                for number, fields in enumerate(rows, number + 1):  # noqa: B020 rows are numbered across tables
                    yield Row(number, fields)
        return PassEnd()

    def batches(self, stream: ByteStream, _size: int) -> Batches:
        """Yield the same rows in batches, in tables with the types of their columns; raises the same.

        Only what a row makes of its own value, where its type is fine, is raised when the row is made. A batch has
        a fixed number of rows, whatever the size of their values.
        """
        number = 0
        for table in self._tables(stream):
            rows = _TypedRows(table, number + 1, self._polars_errors)
            rows(0)
            numbers = pl.int_range(number + 1, number + 1 + table.height, eager=True).alias("number")
            yield Batch(number + 1, table.height, table, "typed", numbers, [], rows)
            number += table.height
        return PassEnd(ways={"typed": number})

    def _tables(self, stream: ByteStream) -> Iterator[pl.DataFrame]:
        """Yield the rows in tables; what follows the last is checked before this ends."""
        digest = blake2b(digest_size=16)
        try:
            for batch in self._batches():
                digest.update(_spelled(batch))
                stream.add_rows(digest.copy().digest())
                with self._polars_errors():
                    table = with_integers(batch)
                yield table
        except InputError as error:
            stream.raise_unreadable(error)
        stream.end_rows()
        # polars does not read through *stream*; the fingerprint needs every byte.
        for _ in stream.packed_blocks():
            pass
        if self._copied_from not in (None, stream.fingerprint()):
            raise ChangedError(f"{self._label} changed since it was unpacked. Run again.")

    def _batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in batches of a fixed size, so that two readings can be compared."""
        # By itself, polars reads several row groups ahead, each of them whole.
        with self._polars_errors(), self._path.open("rb") as file:
            # The open file is the same one to the end, whatever becomes of its path.
            scan, step = pl.scan_parquet(file), _HELD * _BATCH
            height = scan.select(pl.len()).collect().item()
            for at in range(0, height, step):
                yield from scan.slice(at, step).collect().iter_slices(_BATCH)

    def _scan(self) -> pl.LazyFrame:
        # The path is one file, even with brackets or equals signs in it.
        return pl.scan_parquet(self._path, glob=False, hive_partitioning=False)

    @contextmanager
    def _polars_errors(self) -> Iterator[None]:
        try:
            yield
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, OverflowError):
            # The messages of polars may quote cells.
            raise InputError(
                f"{self._label} can't be read as Parquet: it is cut off, damaged, or holds what polars can't read. "
                "Write it again."
            ) from None


class _TypedRows:
    """The rows of a *table*, the first of which has the number *first*; each is made when it is asked for."""

    def __init__(
        self, table: pl.DataFrame, first: int, polars_errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """Make rows of *table* within *polars_errors*."""
        self._table = table
        self._first = first
        self._polars_errors = polars_errors

    def __call__(self, at: int) -> Row:
        """Return the row at the place *at* of the table."""
        with self._polars_errors():
            fields = rows_of(self._table[at : at + 1])[0]
        return Row(self._first + at, fields)


def _spelled(batch: pl.DataFrame) -> bytes:
    """Return what the digest of *batch* is taken over: its columns, and a hash of 64 bits for each row."""
    return repr(batch.schema).encode(errors="surrogatepass") + array("Q", batch.hash_rows().to_list()).tobytes()
