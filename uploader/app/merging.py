"""Make one request of the rows of one person, when the last of them comes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from uploader.groups import Groups
from uploader.model import (
    Kept,
    Passed,
    Person,
    Record,
    Rejected,
    Request,
    Settled,
    Superseded,
    Work,
    tie_of,
    values_of,
)
from uploader.waiting import WaitingRoom

MOST_ROWS: Final = 1000
"""So many rows become one request, at most: they are in memory together when it is made."""


def grouping(groups: Groups) -> Callable[[Record, Request | Rejected], None]:
    """Return what takes each row of the check into *groups*."""

    def note(record: Record, work: Request | Rejected) -> None:
        groups.note(record.number, work.person, is_fit=isinstance(work, Request))

    return note


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
        tied_rows: Callable[[str], int],
        most_rows: int = MOST_ROWS,
    ) -> None:
        """Use *groups*; the rows that wait are kept in *waiting*.

        *merged* makes one request of several, if it can; *owes* tells whether a person has a row in the retry file;
        *taken_by* says, of a row that an earlier life of the run has settled, which row has the last word on those that
        it took along (0: a row of a later run). *tied_rows* tells how many rows have a tie.
        """
        self._groups = groups
        self._waiting = waiting
        self._merged = merged
        self._owes = owes
        self._taken_by = taken_by
        self._tied_rows = tied_rows
        self._most_rows = most_rows
        self._rows: dict[int, int] = {}

    def merge(self, works: Iterator[Work | Passed]) -> Iterator[Work | Passed]:
        """Yield *works*, those of a group together; raises StorageError."""
        for work in works:
            number = _number_of(work)
            group = self._groups.of(number)
            if group is None:
                yield work
            else:
                yield from self._of_group(group, number, work)
        # Only a file that has changed meanwhile leaves some here: the end of the run will tell.
        for group in self._waiting.groups():
            yield from self._waiting.take(group)

    def _of_group(self, group: int, number: int, work: Work | Passed) -> Iterator[Work | Passed]:
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
        are_free = not any(self._owes(request.person) for request in requests)
        if len(requests) > 1 and are_free and _are_in_order(requests) and _are_one(requests):
            whole = self._merged(requests)
            if whole is not None:
                yield self._tied(whole, requests)
                return
        yield from requests

    def _tied(self, whole: Request, requests: Sequence[Request]) -> Request:
        """Return *whole*, made of *requests*, with their tie; without it where it takes all rows that have it.

        For then it names every value of the person, and nothing else is said of them.
        """
        tie = tie_of(requests[-1].person)
        person = values_of(whole.person)
        if tie is not None and self._tied_rows(tie) > len(requests):
            person = (*person, tie)
        return replace(whole, person=person)


def _are_in_order(requests: Sequence[Request]) -> bool:
    """Whether the last of *requests* is the newest: the rows of a retry file may be of several runs, in any order."""
    known = [request.row.retry_of for request in requests]
    origins = [(origin.run, origin.row) for origin in known if origin is not None]
    return len({run for run, _ in origins}) <= 1 and origins == sorted(origins)


def _are_one(requests: Sequence[Request]) -> bool:
    """Whether *requests* are about one person, and name one value of each field.

    What made a group of them were hashes; here are the values themselves.
    """
    first, *apart = [values_of(request.person) for request in requests]
    known = set(first)
    while apart:
        joined = [person for person in apart if not known.isdisjoint(person)]
        if not joined:
            return False
        apart = [person for person in apart if known.isdisjoint(person)]
        known.update(*joined)
    return len({value.partition("=")[0] for value in known}) == len(known)


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
