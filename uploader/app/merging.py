"""Make one request of the rows of one person, when the last of them comes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from uploader.app.checking import Job
from uploader.groups import Groups
from uploader.model import Kept, Passed, Person, Record, Rejected, Request, Settled, Superseded, Work, person_of
from uploader.waiting import WaitingRoom

MOST_ROWS: Final = 1000
"""So many rows become one request, at most: they are in memory together when it is made."""


def noting(groups: Groups) -> Callable[[Record, Request | Rejected], None]:
    """Return what takes each row of the check into *groups*."""

    def note(record: Record, work: Request | Rejected) -> None:
        groups.note(record.number, work.person, is_fit=isinstance(work, Request))

    return note


def link(groups: Groups, job: Job) -> None:
    """Link the rows of *job* in *groups*, which had them all noted; reads the source once more if need be.

    Raises:
        InputError: it can't be read any more.
    """
    if groups.needs_links:
        reading, records = job.records()
        with reading:
            for record in records:
                groups.link(record.number, job.plan.person(record))
    groups.seal()


class Merging:
    """A stage of the line from the works of single rows to those that are sent.

    The rows of a group wait, but for the last: that one takes them along. Where they can't be one request, or an older
    row of their person is owed, they go one by one instead.
    """

    def __init__(  # noqa: PLR0913 — what decides about a group, each asked for by name
        self,
        groups: Groups,
        waiting: WaitingRoom,
        *,
        merged: Callable[[Sequence[Request]], Request | None],
        owes: Callable[[Person], bool],
        taken_by: Callable[[int], int],
        most_rows: int = MOST_ROWS,
    ) -> None:
        """Use *groups*; the rows that wait are kept in *waiting*.

        *merged* makes one request of several, if it can; *owes* tells whether a person has a row in the retry file;
        *taken_by* says, of a row that an earlier life of the run has settled, which row has the last word on those that
        it took along (0: a row of a later run).
        """
        self._groups = groups
        self._waiting = waiting
        self._merged = merged
        self._owes = owes
        self._taken_by = taken_by
        self._most_rows = most_rows
        self._rows: dict[int, int] = {}

    def merge(self, works: Iterator[Work | Passed]) -> Iterator[Work | Passed]:
        """Yield *works*, those of a group together; raises StorageError."""
        for work in works:
            group = None if isinstance(work, Kept) else self._groups.of(_person_of(work))
            if group is None:
                yield work
            else:
                yield from self._of_group(group, work)
        # Only a file that has changed meanwhile leaves some here: the end of the run will tell.
        for group in self._waiting.groups():
            yield from self._waiting.take(group)

    def _of_group(self, group: int, work: Work | Passed) -> Iterator[Work | Passed]:
        number = _number_of(work)
        takes = self._takes(group, number)
        if isinstance(work, Request):
            if takes:
                yield from self._together([*self._waiting.take(group), work])
            else:
                self._waiting.keep(group, work)
                yield Kept(number)
            return
        if isinstance(work, Settled) and takes:
            # It was settled with them, and the run broke off before they were: nobody overtakes a row of its person.
            by = self._taken_by(number)
            yield from (Superseded(request, by) for request in self._waiting.take(group))
        yield work

    def _takes(self, group: int, number: int) -> bool:
        """Count row *number*, and return whether it takes along those of its group that wait."""
        rows = self._rows.pop(group, 0) + 1
        if number >= self._groups.last_of(group) or rows >= self._most_rows:
            return True
        self._rows[group] = rows
        return False

    def _together(self, requests: list[Request]) -> Iterator[Request]:
        if len(requests) > 1 and not any(self._owes(request.person) for request in requests):
            whole = self._merged(requests)
            if whole is not None:
                yield whole
                return
        yield from requests


def _person_of(work: Work | Settled) -> Person:
    return work.person if isinstance(work, Settled) else person_of(work)


def _number_of(work: Work | Passed) -> int:
    match work:
        case Request():
            return work.row.number
        case Rejected():
            return work.record.number
        case Settled() | Kept():
            return work.number
        case _:
            return work.request.row.number
