"""Hold one source that was checked, and read again what the check has read."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from types import TracebackType
from typing import Protocol, Self

from uploader.batch import Batch
from uploader.check.batch_observers import MapBatch
from uploader.check.source_summary import CheckSummary
from uploader.errors import ChangedError
from uploader.mapping import Plan
from uploader.model import Record
from uploader.run.retry_identities import RetryIdentities
from uploader.source import Fingerprint, Reading, ReadTrace, Source


class BatchReading(Protocol):
    """A pass over the batches of a source, which is like a `Reading` of its records."""

    def __enter__(self) -> Self:
        """Return the pass."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""

    def __iter__(self) -> Iterator[Batch]:
        """Return the batches that are left."""

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the file, at the end."""

    @property
    def trace(self) -> ReadTrace | None:
        """What was read so far."""


@dataclass(frozen=True, slots=True)
class BatchReader:
    """How a source is read and mapped in batches.

    *read* returns a new pass over its batches, which must repeat the pass of a trace. *mapper* returns what maps the
    tables as a plan maps rows, or why nothing does. *say_why_not* gets why the source is read row by row after all.
    """

    read: Callable[[ReadTrace | None], BatchReading]
    mapper: Callable[[Plan], MapBatch | str]
    say_why_not: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class MappedBatches:
    """The batches of a source, which *read* reads as in `BatchReader`, and what maps their tables."""

    read: Callable[[ReadTrace | None], BatchReading]
    map_batch: MapBatch


@dataclass(frozen=True, slots=True)
class Job:
    """One source that is ready to be sent: its plan, what the check found, and the file's fingerprint.

    *fingerprint* is None where only the first *limit* rows were read. *trace* is what was read: nothing else is sent.
    *earlier_identities* are those of the rows of a retry file when it was written. *batches* is how it was read in
    batches; None where it was read row by row.
    """

    source: Source
    plan: Plan
    summary: CheckSummary
    fingerprint: Fingerprint | None
    limit: int | None
    trace: ReadTrace | None
    earlier_identities: RetryIdentities | None = None
    batches: MappedBatches | None = None

    def records(self) -> tuple[Reading, Iterator[Record]]:
        """Return a new reading of the source, and its records that were checked.

        Raises ChangedError before the first record of a block that is not what the check has read.
        """
        reading = self.source.read(follows=self.trace)
        if self.limit is not None:
            return reading, islice(reading, min(self.limit, self.summary.read))
        # The count is checked as well, though the trace allows no further records.
        return reading, chain(islice(reading, self.summary.read), self._none_of(reading))

    @contextmanager
    def records_again(self) -> Iterator[Iterator[Record]]:
        """Read the records that the job is about once more; raises ChangedError if they are others by now."""
        reading, records = self.records()
        with reading:
            yield records

    def checked(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield *batches*, which are of the source; raises ChangedError where they have more rows than were checked."""
        for batch in batches:
            if batch.first + batch.count - 1 > self.summary.read:
                raise self._has_more()
            yield batch

    def _none_of(self, records: Iterator[Record]) -> Iterator[Record]:
        for _ in records:
            raise self._has_more()
        yield from ()

    def _has_more(self) -> ChangedError:
        return ChangedError(f"{self.source.name} has more rows than when it was checked. Run again.")

    def is_swapped(self) -> bool:
        """Return whether the file is no longer the one that was checked, by its size, time and inode."""
        path, checked = self.source.path, self.fingerprint
        if path is None or checked is None:
            return False
        try:
            found = path.stat()
        except OSError:
            return True
        now = (found.st_size, found.st_mtime_ns, found.st_ino)
        return now != (checked.size, checked.mtime_ns, checked.inode)
