"""Hand out the records of a source once, from first to last."""

from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Self, TypeAlias

from uploader.model import Record
from uploader.source.byte_stream import ByteStream, Fingerprint, SourceLocation
from uploader.source.file_change_detection import ReadTrace

Records: TypeAlias = Generator[Record, None, int]
"""Yields the records of a stream, and returns how many blank lines stood between them."""

TakeApart: TypeAlias = Callable[[ByteStream], Records]


class Reading:
    """One pass over a source, an iterator: it opens its file for the first record and closes it after the last.

    Leaving it as a context manager, or `close`, ends a pass that is not wanted to its end.
    """

    def __init__(
        self,
        location: SourceLocation,
        take_apart: TakeApart,
        ended: Callable[[int], None],
        follows: ReadTrace | None = None,
    ) -> None:
        """Read the file at *location* by *take_apart*; *ended* hears how many blank lines it had.

        *follows* is the trail of the reading that alone may be repeated: else a ChangedError ends this one.
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
        # The generator itself: it saves a loop one call for each row.
        return self._records

    def __next__(self) -> Record:
        """Return the next record."""
        return next(self._records)

    def __enter__(self) -> Self:
        """Lend the reading."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; no more records come."""
        self._records.close()

    @property
    def fingerprint(self) -> Fingerprint:
        """What the file was; raises RuntimeError until the pass has come to its end."""
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
            blank_lines = yield from self._take_apart(stream)
            self._fingerprint = stream.fingerprint()
        self._ended(blank_lines)
