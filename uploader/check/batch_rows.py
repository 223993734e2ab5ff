"""Take single records out of a batch, in the order of the source."""

from collections.abc import Iterable, Iterator
from heapq import merge

from uploader.batch import Batch
from uploader.model import Record


def records_of(batch: Batch, places: Iterable[int] | None = None) -> Iterator[Record]:
    """Yield the rows at *places* of the table of *batch* (None: all), and its other records, by their numbers."""
    rows = map(batch.row, range(batch.table.height) if places is None else places)
    return merge(rows, batch.others, key=lambda record: record.number)


def split_batch(batch: Batch, count: int) -> tuple[Batch, Batch]:
    """Return the first *count* records of *batch*, and those after them, which may be none."""
    end = batch.first + count
    height = int((batch.numbers < end).sum())
    before = sum(record.number < end for record in batch.others)
    head = Batch(
        batch.first,
        min(count, batch.count),
        batch.table[:height],
        batch.form,
        batch.numbers[:height],
        batch.others[:before],
        batch.row,
    )
    rest = Batch(
        end,
        max(batch.count - count, 0),
        batch.table[height:],
        batch.form,
        batch.numbers[height:],
        batch.others[before:],
        lambda at: batch.row(height + at),
    )
    return head, rest
