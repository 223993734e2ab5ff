"""Hold records in batches that were read row by row."""

from collections.abc import Sequence
from typing import NoReturn

from uploader.batch import Batch, CellForm
from uploader.model import Record
from uploader.source.one_thread import pl
from uploader.source.reader import Batches, PassEnd, Records, taken

MOST_ROWS = 20_000
"""How many records a batch has at most."""

_MOST_HELD = 1000
"""How many records are held as rows."""


def batches_by_rows(records: Records, form: CellForm, columns: Sequence[str] = ()) -> Batches:
    """Yield *records* in batches of which the table is empty; raises what *records* raises, after those before it.

    What *records* returns is returned.
    """
    read, end, error = 0, None, None
    while end is None and error is None:
        held, end, error = taken(records, _MOST_HELD)
        read += len(held)
        if held:
            yield batch_by_rows(held, form, columns)
    if error is not None:
        raise error
    end = end or PassEnd()
    return PassEnd(end.blank_lines, end.suspicion, {"row": read})


def batch_by_rows(records: list[Record], form: CellForm, columns: Sequence[str] = ()) -> Batch:
    """Return a batch of *records*, one or more, of which the table is empty."""
    return Batch(
        first=records[0].number,
        count=len(records),
        table=pl.DataFrame(schema=dict.fromkeys(columns, pl.String)),
        form=form,
        numbers=pl.Series("number", [], dtype=pl.Int64),
        others=records,
        _row=_no_row,
    )


def _no_row(at: int) -> NoReturn:
    raise IndexError(at)
