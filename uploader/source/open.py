"""Open a source: detect its format and encoding, and refuse what can't be a source."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Final, Literal, Self, assert_never

from uploader.batch import CellForm
from uploader.errors import ConfigError, InputError
from uploader.model import Unpacking
from uploader.source.byte_stream import ByteStream, SourceLocation, unreadable
from uploader.source.compression import packing_of
from uploader.source.csv_records import CsvDialect, csv_columns, csv_records, lines_above_header
from uploader.source.dialect_detection import FileDialect, sniff
from uploader.source.encoding import reads_as, refuse_without_mark, settle
from uploader.source.file_change_detection import ReadTrace
from uploader.source.format_detection import (
    Format,
    format_by_content,
    format_by_name,
    refuse_foreign,
    refuse_other_format,
    refuse_other_json,
    refuse_other_text,
)
from uploader.source.jsonl_records import is_retry_jsonl, jsonl_records
from uploader.source.reader import (
    RECORDS_AHEAD,
    Batches,
    BatchReading,
    PassEnd,
    Reading,
    Suspicion,
    TakeApart,
    Way,
)
from uploader.source.retry_file_rows import has_retry_columns
from uploader.source.stdin_and_pipes import STDIN, descriptor, reads_only_once
from uploader.source.take_batches import (
    BLOCK,
    Columnar,
    TakeBatches,
    csv_in_batches,
    is_columnar,
    jsonl_in_batches,
    rows_in_batches,
)
from uploader.source.temporary_copy import Spool, blocks_of

_UNPACKING = Unpacking()
_CELL_FORMS: Final[Mapping[Format, CellForm]] = {"csv": "text", "jsonl": "json", "parquet": "typed"}


@dataclass(frozen=True, slots=True)
class _OpenedAs:
    """How a file is split into records, and what is known of them beforehand."""

    take_apart: TakeApart
    take_batches: TakeBatches
    columns: tuple[str, ...] | None = None
    kinds: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    is_retry: bool = False


@dataclass(slots=True, kw_only=True)
class Source:
    """A file whose records can be read any number of times; closing it deletes its temporary copies.

    *name* is what the user calls it, *path* its file (None for standard input and pipes). *encoding* is the one in use.
    """

    name: str
    path: Path | None
    format: Format
    encoding: str
    delimiter: str
    _location: SourceLocation = field(repr=False)
    _opened: _OpenedAs = field(repr=False)
    _copies: ExitStack = field(repr=False)
    _last_pass: PassEnd = field(default_factory=PassEnd, repr=False)

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the source."""
        self.close()

    def close(self) -> None:
        """Delete the temporary copies."""
        self._copies.close()

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns; None where each record has its own (JSONL)."""
        return self._opened.columns

    @property
    def kinds(self) -> Mapping[str, str]:
        """The type of each column of a Parquet file; fields of a struct are `a.b`."""
        return self._opened.kinds

    @property
    def is_retry(self) -> bool:
        """Whether it is a retry file."""
        return self._opened.is_retry

    @property
    def blank_lines(self) -> int:
        """How many blank lines the latest whole pass has found."""
        return self._last_pass.blank_lines

    @property
    def suspicion(self) -> Suspicion | None:
        """What the latest whole pass has found at the end."""
        return self._last_pass.suspicion

    @property
    def ways(self) -> Mapping[Way, int]:
        """How many records of the latest whole pass came into batches in each way."""
        return self._last_pass.ways

    def digest(self) -> str:
        """Return the digest of the source's bytes, the same as in its fingerprint."""
        with ByteStream(self._location) as stream:
            for _ in stream.packed_blocks():
                pass
            return stream.fingerprint().digest

    def read(self, follows: ReadTrace | None = None) -> Reading:
        """Return a new pass over the records, from the first; *follows* is the trace of a pass that it must repeat."""
        return Reading(self._location, self._opened.take_apart, self._end_pass, follows, ahead=RECORDS_AHEAD)

    def batches(self, follows: ReadTrace | None = None, size: int = BLOCK) -> BatchReading:
        """Return a new pass over the same records in batches, each of about *size* bytes of the file."""

        def take(stream: ByteStream) -> Batches:
            return self._opened.take_batches(stream, size)

        return BatchReading(self._location, take, self._end_pass, follows)

    def is_columnar(self, choice: Columnar) -> bool:
        """Return whether to read the source in batches, as `source.columnar` has it."""
        return is_columnar(choice, self._location.path)

    @property
    def cell_form(self) -> CellForm:
        """What a cell of the tables of its batches is."""
        return _CELL_FORMS[self.format]

    def lines_above_header(self, names: Iterable[str]) -> int | None:
        """Return how many lines are above the header of a CSV, the record that has most of *names*; None if unknown."""
        if self.format != "csv":
            return None
        return lines_above_header(reads_as(self.encoding, _head(self._location)), self.delimiter, names)

    def _end_pass(self, end: PassEnd) -> None:
        self._last_pass = end


def open_source(  # noqa: PLR0913 the keys of `source:`, and the settings of standard input and compressed files
    name: str,
    *,
    format: Literal["auto", "csv", "jsonl", "parquet"],  # noqa: A002 the key's name in config.yaml
    encoding: str,
    delimiter: str,
    skip_lines: int = 0,
    stdin: BinaryIO | None = None,
    spool_dir: Path | None = None,
    unpacking: Unpacking = _UNPACKING,
) -> Source:
    """Return the source that the user calls *name*; "-" is *stdin*.

    Standard input, a pipe and a compressed Parquet file are copied to a private file in *spool_dir*. Raises InputError
    when it can't be a source, ConfigError when *encoding* or *delimiter* is invalid, StorageError when there is no room
    for the copy.
    """
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise ConfigError('source.delimiter is not one character that can stand between fields. Set it to ",", say.')
    with ExitStack() as copies:
        spool = Spool(spool_dir, copies)
        location, head = _unpacked(_locate(name, stdin, spool), unpacking)
        return _described(name, location, head, FileDialect(format, encoding, delimiter, skip_lines), spool)


def open_unknown(
    name: str, *, stdin: BinaryIO | None = None, spool_dir: Path | None = None
) -> tuple[Source, FileDialect]:
    """Return the source that the user calls *name*, and its detected dialect; raises what `open_source` raises."""
    with ExitStack() as copies:
        spool = Spool(spool_dir, copies)
        location, head = _unpacked(_locate(name, stdin, spool), _UNPACKING)
        dialect = sniff(location, name, head)
        return _described(name, location, head, dialect, spool), dialect


def _described(name: str, location: SourceLocation, head: bytes, dialect: FileDialect, spool: Spool) -> Source:
    """Return the source at *location*, read as *dialect* says; closing it deletes the files of *spool*."""
    settled = settle(dialect.encoding, head)
    found = _settle_format(location, name, dialect.format, head, settled)
    if found != "parquet":
        refuse_without_mark(location.label, settled, head)
        refuse_other_text(location.label, head, settled)
    if found == "jsonl":
        refuse_other_json(location.label, head, settled)
    opened = _opened_as(location, found, CsvDialect(settled, dialect.delimiter, dialect.skip_lines), spool)
    return Source(
        name=name,
        path=None if location.spooled else location.path,
        format=found,
        encoding=settled,
        delimiter=dialect.delimiter,
        _location=location,
        _opened=opened,
        _copies=spool.handed_over(),
    )


def _locate(name: str, stdin: BinaryIO | None, spool: Spool) -> SourceLocation:
    if descriptor(name) == STDIN:
        label = "standard input" if name == "-" else name
        if stdin is None:
            raise InputError(f"there is no standard input. Name a file instead of '{name}'.")
        return SourceLocation(spool.keep(blocks_of(stdin, label), label), label, spooled=True)
    try:
        if reads_only_once(name):
            with Path(name).open("rb", buffering=0) as pipe:
                return SourceLocation(spool.keep(blocks_of(pipe, name), name), name, spooled=True)
    except OSError as error:
        raise unreadable(name, error) from error
    except ValueError as error:
        raise InputError(f"{name!r} can't be the name of a file. Check the path.") from error
    return SourceLocation(Path(name), name)


def _unpacked(location: SourceLocation, unpacking: Unpacking) -> tuple[SourceLocation, bytes]:
    """Return *location* with its compression, and the first unpacked bytes."""
    head = _head(location)
    outer = packing_of(head)
    if outer is not None:
        location = replace(location, packing=outer, unpacking=unpacking)
        head = _head(location)
        inner = packing_of(head)
        if inner is not None:
            raise InputError(f"{location.label} is compressed twice ({inner} within {outer}). Unpack it once.")
    refuse_foreign(location.label, head)
    return location, head


def _head(location: SourceLocation) -> bytes:
    with ByteStream(location) as stream:
        return stream.head()


def _settle_format(
    location: SourceLocation, name: str, chosen: Literal["auto", "csv", "jsonl", "parquet"], head: bytes, encoding: str
) -> Format:
    claimed = format_by_name(name) if chosen == "auto" else chosen
    if chosen != "auto" and claimed != "jsonl" and head.startswith(b"{"):
        # The retry file of a Parquet file or of standard input is JSONL; the same configuration must read it.
        with ByteStream(location) as stream:
            if is_retry_jsonl(stream, encoding):
                return "jsonl"
    if claimed is None:
        return format_by_content(head, encoding)
    refuse_other_format(location.label, claimed, head, encoding, by_name=chosen == "auto")
    return claimed


def _opened_as(location: SourceLocation, found: Format, dialect: CsvDialect, spool: Spool) -> _OpenedAs:
    match found:
        case "csv":
            return _open_csv(location, dialect)
        case "jsonl":
            return _open_jsonl(location, dialect.encoding)
        case "parquet":
            return _open_parquet(location, spool)
        case _ as never:
            assert_never(never)


def _open_csv(location: SourceLocation, dialect: CsvDialect) -> _OpenedAs:
    if dialect.skip_lines and _is_retry_csv(location, replace(dialect, skip_lines=0)):
        # A retry file has no title; the same configuration must read it.
        dialect = replace(dialect, skip_lines=0)
    with ByteStream(location) as stream:
        columns = csv_columns(stream, dialect)
    take_apart, is_retry = partial(csv_records, dialect=dialect, columns=columns), has_retry_columns(columns)
    if is_retry or not dialect.delimiter.isascii():
        # Retry files are small; polars takes one byte for a delimiter.
        return _OpenedAs(take_apart, rows_in_batches(take_apart, "text"), columns, is_retry=is_retry)
    return _OpenedAs(take_apart, csv_in_batches(dialect, columns), columns)


def _is_retry_csv(location: SourceLocation, dialect: CsvDialect) -> bool:
    with ByteStream(location) as stream, suppress(InputError):
        return has_retry_columns(csv_columns(stream, dialect))
    return False


def _open_jsonl(location: SourceLocation, encoding: str) -> _OpenedAs:
    with ByteStream(location) as stream:
        is_retry = is_retry_jsonl(stream, encoding)
    take_apart = partial(jsonl_records, encoding=encoding, is_retry=is_retry)
    take_batches = rows_in_batches(take_apart, "json") if is_retry else jsonl_in_batches(encoding)
    return _OpenedAs(take_apart, take_batches, is_retry=is_retry)


def _open_parquet(location: SourceLocation, spool: Spool) -> _OpenedAs:
    from uploader.source.parquet_records import ParquetFile  # noqa: PLC0415 polars starts slowly

    if location.packing is None:
        file = ParquetFile(location.path, location.label)
    else:
        # polars needs a file in which it can seek.
        with ByteStream(location) as stream:
            path = spool.keep(stream.blocks(), location.label)
            file = ParquetFile(path, location.label, copied_from=stream.fingerprint())
    return _OpenedAs(file.records, file.batches, file.columns, file.kinds)
