"""Read the records of a source once, from first to last."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

from uploader.model import Reason, Record
from uploader.source.byte_stream import ByteStream, Fingerprint, SourceLocation
from uploader.source.file_change_detection import ReadTrace


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What looks wrong at the end of a file: the *reason*, and the *row* and *line* of its last record."""

    reason: Reason
    row: int
    line: int


@dataclass(frozen=True, slots=True)
class PassEnd:
    """What a whole pass has found besides the records."""

    blank_lines: int = 0
    suspicion: Suspicion | None = None


Records: TypeAlias = Generator[Record, None, PassEnd]
"""Yields the records of a stream, and returns what else it had."""

TakeApart: TypeAlias = Callable[[ByteStream], Records]


class Reading:
    """An iterator over the records of a source: it opens the file for the first record and closes it after the last.

    To end a pass early, call `close` or use it as a context manager.
    """

    def __init__(
        self,
        location: SourceLocation,
        take_apart: TakeApart,
        ended: Callable[[PassEnd], None],
        follows: ReadTrace | None = None,
    ) -> None:
        """Read the file at *location* with *take_apart*; *ended* is called at the end of the pass.

        *follows* is the trace of an earlier reading: a ChangedError ends this one where the file differs from it.
        """
        self._location = location
        self._take_apart = take_apart
        self._ended = ended
        self._follows = follows
        self._fingerprint: Fingerprint | None = None
        self._trace: ReadTrace | None = None
        self._records = self._pass()

    def __iter__(self) -> Iterator[Record]:
        """Return the records that are left."""
        # The generator itself: this saves one call for each row.
        return self._records

    def __next__(self) -> Record:
        """Return the next record."""
        return next(self._records)

    def __enter__(self) -> Self:
        """Return the reading."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; no more records follow."""
        self._records.close()

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the file; raises RuntimeError before the end of the pass."""
        if self._fingerprint is None:
            raise RuntimeError("a reading knows its fingerprint only at its end")
        return self._fingerprint

    @property
    def trace(self) -> ReadTrace | None:
        """What was read so far; None before the first record."""
        return self._trace

    def _pass(self) -> Generator[Record, None, None]:
        with ByteStream(self._location, self._follows) as stream:
            self._trace = stream.trace
            end = yield from self._take_apart(stream)
            self._fingerprint = stream.fingerprint()
        self._ended(end)
