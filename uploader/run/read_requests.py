"""Read a source again, and make the request of each row when it is taken."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeVar

from uploader.errors import ChangedError, InputError
from uploader.mapping import Now
from uploader.model import NoWork, Record, Settled, Work
from uploader.run.job import Job
from uploader.source import Fingerprint
from uploader.state.settled_rows import SettledRows

if TYPE_CHECKING:
    from uploader.mapping.batch_works import FindUnchanged

T = TypeVar("T")


class ReadOnce(Protocol):
    """A pass over a source, which knows its fingerprint at the end."""

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the file."""

    def __enter__(self) -> object:
        """Return the pass."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""


def read_requests(
    job: Job, settled: SettledRows, find_unchanged: Callable[[], "FindUnchanged"]
) -> tuple[ReadOnce, Iterator[Work | NoWork]]:
    """Return a new pass over the source of *job*, and what is to be sent, each row mapped when it is taken.

    A row that is *settled* needs nothing. *find_unchanged* makes what finds rows of batches that need nothing either.
    The iterator raises ChangedError where the file is no longer the one that was checked.
    """
    if job.batches is None:
        reading, records = job.records()
        return reading, _requests_of_rows(job, records, settled)
    from uploader.mapping.batch_works import works_of  # noqa: PLC0415 — polars starts slowly

    in_batches = job.batches.read(job.trace)
    return in_batches, works_of(
        _until_changed(job, job.checked(in_batches)),
        map_batch=job.batches.map_batch,
        map_row=job.plan.map_row,
        complete=job.plan.body_format.complete,
        now=Now(time.time_ns),
        settled=settled,
        unchanged=find_unchanged(),
    )


def _requests_of_rows(job: Job, records: Iterator[Record], settled: SettledRows) -> Iterator[Work | NoWork]:
    map_row, now = job.plan.map_row, Now(time.time_ns)
    some_settled = len(settled) > 0
    # It is not written over another generator, as each row would cost a step more.
    with _reading_checked(job):
        for record in records:
            if some_settled and record.number in settled:
                yield Settled(record.number)
            else:
                yield map_row(record, now())


def _until_changed(job: Job, batches: Iterable[T]) -> Iterator[T]:
    with _reading_checked(job):
        yield from batches


@contextmanager
def _reading_checked(job: Job) -> Iterator[None]:
    """Raise ChangedError where the file of *job* is no longer the one that was checked."""
    try:
        yield
    except ChangedError:
        raise changed(job) from None
    except InputError as error:
        # The check has read the file to its end, so it has changed since.
        raise ChangedError(f"{job.source.name} changed while it was being sent: {error}") from None


def changed(job: Job) -> ChangedError:
    """Return the error of a run during which the source of *job* changed."""
    return ChangedError(f"{job.source.name} changed while it was being sent. Run again with the file as it is now.")


def refuse_swapped(job: Job) -> None:
    """Raise ChangedError if the file was replaced between its check and its sending."""
    if job.is_swapped():
        raise ChangedError(f"{job.source.name} changed after it was checked; nothing of it was sent. Run again.")


def refuse_changed(job: Job, reading: ReadOnce) -> None:
    """Raise ChangedError if the file was changed or replaced after the check, though each block was compared."""
    if job.is_swapped() or (job.fingerprint is not None and reading.fingerprint != job.fingerprint):
        raise changed(job)
