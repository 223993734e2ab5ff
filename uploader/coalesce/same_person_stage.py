"""Give the rows of one person what they have in common, where that need not be an identity value."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from uploader.coalesce.same_person import Ties
from uploader.model import NoWork, Record, Rejected, Request, Work


def noting(ties: Ties) -> Callable[[Record, Request | Rejected], None]:
    """Return what takes each row of one more source into *ties*, in the check."""
    note = ties.note

    def hear(_: Record, work: Request | Rejected) -> None:
        note(work.person)

    return hear


def tied(works: Iterator[Work | NoWork], ties: Ties, before: int) -> Iterator[Work | NoWork]:
    """Yield *works*, which are of single rows, with their ties; *before* is how many rows the earlier sources have."""
    for work in works:
        if isinstance(work, Request | Rejected):
            number = work.row.number if isinstance(work, Request) else work.record.number
            tie = ties.tie(before + number)
            yield work if tie is None else replace(work, person=(*work.person, tie))
        else:
            yield work
