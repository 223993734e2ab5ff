"""Read the records of a source once, from first to last."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType, TracebackType
from typing import Final, Generic, Literal, Self, TypeAlias, TypeVar

from uploader.batch import Batch
from uploader.errors import SignalledError, UploaderError
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

RECORDS_AHEAD: Final = 32
"""How many records a pass takes ahead, so that a record costs few calls; each may take a megabyte."""


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
        *,
        ahead: int = 1,
    ) -> None:
        """Read the file at *location* with *take_apart*; *ended* is called at the end of the pass.

        *follows* is the trace of an earlier pass: a ChangedError ends this one where the file differs from it. The
        parts are taken apart *ahead* at a time.
        """
        self._location = location
        self._take_apart = take_apart
        self._ended = ended
        self._follows = follows
        self._fingerprint: Fingerprint | None = None
        self._trace: ReadTrace | None = None
        self._ahead = ahead
        self._held: list[T] = []
        self._lists = self._pass()
        self._parts = chain.from_iterable(self._lists)

    def __iter__(self) -> Iterator[T]:
        """Return the parts that are left."""
        # Not this object itself: that saves one call for each row.
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
        self._lists.close()
        self._held.clear()

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

    def _pass(self) -> Generator[list[T], None, None]:
        """Yield the parts in lists."""
        end: PassEnd | None = None
        with ByteStream(self._location, self._follows) as stream:
            self._trace = stream.trace
            with closing(self._take_apart(stream)) as parts:
                while end is None:
                    self._held, end, error = taken(parts, self._ahead)
                    yield self._held
                    if error is not None:
                        raise error
            self._fingerprint = stream.fingerprint()
        self._ended(end)


def taken(parts: Parts[T], most: int) -> tuple[list[T], PassEnd | None, UploaderError | None]:
    """Return the next *parts*, *most* of them at most, and what they ended with: a value, or an error."""
    held: list[T] = []
    try:
        while len(held) < most:
            held.append(next(parts))
    except StopIteration as stop:
        return held, stop.value, None
    except SignalledError:
        # It ends the command at once.
        raise
    except UploaderError as error:
        return held, None, error
    return held, None, None


Reading: TypeAlias = FilePass[Record]
"""An iterator over the records of a source."""

BatchReading: TypeAlias = FilePass[Batch]
"""An iterator over the records of a source, many at once."""
