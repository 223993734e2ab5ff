"""Read the records of a source once, from first to last."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Generic, Literal, Self, TypeAlias, TypeVar

from uploader.batch import Batch
from uploader.model import Reason, Record
from uploader.source.byte_stream import ByteStream, Fingerprint, SourceLocation
from uploader.source.file_change_detection import ReadTrace


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What looks wrong at the end of a file: the *reason*, and the *row* and *line* of its last record."""

    reason: Reason
    row: int
    line: int


Way: TypeAlias = Literal["plain", "quoted", "split", "shape", "typed", "row"]
"""How records come into a batch.

By polars: proven without quotes, with quotes, by the shape of a JSON object, or by the types of a Parquet file. As
columns by `csv.reader` ("split"). Row by row.
"""

BY_POLARS: frozenset[Way] = frozenset({"plain", "quoted", "shape", "typed"})
"""The ways in which polars reads the records."""


@dataclass(frozen=True, slots=True)
class PassEnd:
    """What a whole pass has found besides the records; *ways* counts those of its batches by how they were read."""

    blank_lines: int = 0
    suspicion: Suspicion | None = None
    ways: Mapping[Way, int] = field(default_factory=lambda: MappingProxyType({}), compare=False)


T = TypeVar("T")

Parts: TypeAlias = Generator[T, None, PassEnd]
"""Yields the parts of a stream, and returns what else it had."""

Records: TypeAlias = Parts[Record]
Batches: TypeAlias = Parts[Batch]

TakeApart: TypeAlias = Callable[[ByteStream], Records]


class FilePass(Generic[T]):
    """An iterator over the parts of a source: its records, or batches of them.

    It opens the file for the first part and closes it after the last.

    To end a pass early, call `close` or use it as a context manager.
    """

    def __init__(
        self,
        location: SourceLocation,
        take_apart: Callable[[ByteStream], Parts[T]],
        ended: Callable[[PassEnd], None],
        follows: ReadTrace | None = None,
    ) -> None:
        """Read the file at *location* with *take_apart*; *ended* is called at the end of the pass.

        *follows* is the trace of an earlier pass: a ChangedError ends this one where the file differs from it.
        """
        self._location = location
        self._take_apart = take_apart
        self._ended = ended
        self._follows = follows
        self._fingerprint: Fingerprint | None = None
        self._trace: ReadTrace | None = None
        self._parts = self._pass()

    def __iter__(self) -> Iterator[T]:
        """Return the parts that are left."""
        # The generator itself: this saves one call for each row.
        return self._parts

    def __next__(self) -> T:
        """Return the next part."""
        return next(self._parts)

    def __enter__(self) -> Self:
        """Return the pass."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; no more parts follow."""
        self._parts.close()

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the file; raises RuntimeError before the end of the pass."""
        if self._fingerprint is None:
            raise RuntimeError("a reading knows its fingerprint only at its end")
        return self._fingerprint

    @property
    def trace(self) -> ReadTrace | None:
        """What was read so far; None before the first part."""
        return self._trace

    def _pass(self) -> Generator[T, None, None]:
        with ByteStream(self._location, self._follows) as stream:
            self._trace = stream.trace
            end = yield from self._take_apart(stream)
            self._fingerprint = stream.fingerprint()
        self._ended(end)


Reading: TypeAlias = FilePass[Record]
"""An iterator over the records of a source."""

BatchReading: TypeAlias = FilePass[Batch]
"""An iterator over the records of a source, many at once."""
