"""Part a batch in two."""

from uploader.batch import Batch


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
