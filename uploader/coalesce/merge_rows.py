"""Make one request of the rows of one person, when the last of them comes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from uploader.coalesce.person_groups import PersonGroups
from uploader.coalesce.spill_to_disk import SpilledRows
from uploader.model import (
    AwaitsMerge,
    NoWork,
    Person,
    Record,
    Rejected,
    Request,
    Settled,
    Superseded,
    Work,
    person_key_of,
    values_of,
)

MOST_ROWS: Final = 1000
"""So many rows become one request, at most: they are in memory together when it is made."""


def collecting_groups(groups: PersonGroups) -> Callable[[Record, Request | Rejected], None]:
    """Return what takes each row of the check into *groups*."""

    def collect(record: Record, work: Request | Rejected) -> None:
        groups.add_row(record.number, work.person, is_fit=isinstance(work, Request))

    return collect


class MergeStage:
    """A stage of the line from the works of single rows to those that are sent.

    The rows of a group wait, but for the last: that one takes them along. Where they can't be one request, or an older
    row of their person is owed, they go one by one instead.
    """

    def __init__(  # noqa: PLR0913 — what decides about a group, each asked for by name
        self,
        groups: PersonGroups,
        spilled: SpilledRows,
        *,
        merged: Callable[[Sequence[Request]], Request | None],
        must_resend: Callable[[Person], bool],
        merged_into: Callable[[int], int],
        rows_with_key: Callable[[str], int],
        most_rows: int = MOST_ROWS,
    ) -> None:
        """Use *groups*; the rows that wait are kept in *spilled*.

        *merged* makes one request of several, if it can; *must_resend* tells whether a person has a row in the retry
        file; *merged_into* says, of a row that an earlier life of the run has settled, which row has the last word on
        those that it took along (0: a row of a later run). *rows_with_key* tells how many rows have a tie.
        """
        self._groups = groups
        self._spilled = spilled
        self._merged = merged
        self._must_resend = must_resend
        self._merged_into = merged_into
        self._rows_with_key = rows_with_key
        self._most_rows = most_rows
        self._rows: dict[int, int] = {}

    def merge(self, works: Iterator[Work | NoWork]) -> Iterator[Work | NoWork]:
        """Yield *works*, those of a group together; raises StorageError."""
        for work in works:
            number = _number_of(work)
            group = self._groups.group_of(number)
            if group is None:
                yield work
            else:
                yield from self._of_group(group, number, work)
        # Only a file that has changed meanwhile leaves some here: the end of the run will tell.
        for group in self._spilled.groups():
            yield from self._spilled.take(group)

    def _of_group(self, group: int, number: int, work: Work | NoWork) -> Iterator[Work | NoWork]:
        completes = self._completes_group(group, number)
        if isinstance(work, Request):
            if completes:
                yield from self._merge_or_keep([*self._spilled.take(group), work])
            else:
                self._spilled.keep(group, work)
                yield AwaitsMerge(number)
            return
        if isinstance(work, Settled) and completes:
            # It was settled with them, and the run broke off before they were: nobody overtakes a row of its person.
            by = self._merged_into(number)
            yield from (Superseded(request, by) for request in self._spilled.take(group))
        yield work

    def _completes_group(self, group: int, number: int) -> bool:
        """Count row *number*, and return whether it takes along those of its group that wait."""
        rows = self._rows.pop(group, 0) + 1
        if number >= self._groups.last_of(group) or rows >= self._most_rows:
            return True
        self._rows[group] = rows
        return False

    def _merge_or_keep(self, requests: list[Request]) -> Iterator[Request]:
        are_free = not any(self._must_resend(request.person) for request in requests)
        if len(requests) > 1 and are_free and _are_in_order(requests) and _are_one(requests):
            whole = self._merged(requests)
            if whole is not None:
                yield self._with_person_key(whole, requests)
                return
        yield from requests

    def _with_person_key(self, whole: Request, requests: Sequence[Request]) -> Request:
        """Return *whole*, made of *requests*, with their tie; without it where it takes all rows that have it.

        For then it names every value of the person, and nothing else is said of them.
        """
        person_key = person_key_of(requests[-1].person)
        person = values_of(whole.person)
        if person_key is not None and self._rows_with_key(person_key) > len(requests):
            person = (*person, person_key)
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


def _number_of(work: Work | NoWork) -> int:
    match work:
        case Request():
            return work.row.number
        case Rejected():
            return work.record.number
        case Settled() | AwaitsMerge():
            return work.number
        case _:
            return work.request.row.number
