"""Hold records in batches that were read row by row."""

from collections.abc import Iterator, Sequence
from typing import NoReturn

from uploader.batch import Batch, CellForm
from uploader.errors import UploaderError
from uploader.model import Record
from uploader.source.one_thread import pl
from uploader.source.reader import Batches, PassEnd

MOST_ROWS = 20_000
"""How many records a batch has at most."""

_MOST_HELD = 1000
"""How many records are held as rows."""


def batches_by_rows(records: Iterator[Record], form: CellForm, columns: Sequence[str] = ()) -> Batches:
    """Yield *records* in batches of which the table is empty; raises what *records* raises, after those before it.

    What *records* returns is returned.
    """
    read, end, error = 0, None, None
    while end is None and error is None:
        held, end, error = _taken(records)
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


def _taken(records: Iterator[Record]) -> tuple[list[Record], PassEnd | None, UploaderError | None]:
    """Return the next records, and what they ended with: a value, or an error."""
    held: list[Record] = []
    try:
        while len(held) < _MOST_HELD:
            held.append(next(records))
    except StopIteration as stop:
        return held, stop.value, None
    except UploaderError as error:
        return held, None, error
    return held, None, None


def _no_row(at: int) -> NoReturn:
    raise IndexError(at)
