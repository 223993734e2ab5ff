"""Merge the rows of one person into one request, when the last of them is read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from uploader.batch import Batch
from uploader.coalesce.person_groups import PersonGroups
from uploader.coalesce.spill_to_disk import SpilledRows
from uploader.mapping.good_rows import GoodRows
from uploader.model import (
    AwaitsMerge,
    NoWork,
    Person,
    Record,
    Rejected,
    Request,
    Settled,
    Superseded,
    UnchangedRange,
    Work,
    person_key_of,
    values_of,
)

MOST_ROWS: Final = 1000
"""The most rows merged into one request: all of them are in memory when it is made."""


class GroupCollector:
    """Adds each row of the check to *groups*, row by row or by the good rows of batches."""

    def __init__(self, groups: PersonGroups) -> None:
        """Add to *groups*."""
        self._groups = groups

    def __call__(self, record: Record, work: Request | Rejected) -> None:
        """Add one row."""
        self._groups.add_row(record.number, work.person, is_fit=isinstance(work, Request))

    def wants_rows(self, _batch: Batch) -> bool:
        """Return False: columns are enough."""
        return False

    def add_good(self, good: GoodRows) -> None:
        """Add the good rows of a batch."""
        self._groups.add_good(good)


class MergeStage:
    """The stage that turns the rows of a group into one request.

    The rows of a group wait until the last one is read, then they are merged into it. Where they can't be one request,
    or an earlier row of their person is in the retry file, they are sent one by one.
    """

    def __init__(  # noqa: PLR0913 — a stage asks for each thing that it needs
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

        *merged* makes one request of several, or None where it can't. *must_resend* returns whether a person has a row
        in the retry file. *merged_into* takes a row that was settled before the run was resumed, and returns the row
        that superseded those merged into it (0: a row of a later run). *rows_with_key* returns how many rows have a
        person key.
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
        """Yield *works*, the rows of a group merged or one after the other; raises StorageError."""
        for work in works:
            if isinstance(work, UnchangedRange):
                # No row of a group is in one.
                yield work
                continue
            number = _number_of(work)
            group = self._groups.group_of(number)
            if group is None:
                yield work
            else:
                yield from self._of_group(group, number, work)
        # Rows are left only where the file changed meanwhile: the end of the run reports that.
        for group in self._spilled.groups():
            yield from self._spilled.take(group)

    def _of_group(self, group: int, number: int, work: Work | Settled | AwaitsMerge) -> Iterator[Work | NoWork]:
        completes = self._completes_group(group, number)
        if isinstance(work, Request):
            if completes:
                yield from self._merge_or_keep([*self._spilled.take(group), work])
            else:
                self._spilled.keep(group, work)
                yield AwaitsMerge(number)
            return
        if isinstance(work, Settled) and completes:
            # Settled before the run was interrupted, unlike the rows merged into it: those are superseded.
            by = self._merged_into(number)
            yield from (Superseded(request, by) for request in self._spilled.take(group))
        yield work

    def _completes_group(self, group: int, number: int) -> bool:
        """Count row *number*, and return whether the waiting rows of its group are merged into it."""
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
        """Return *whole*, made of *requests*, with their person key, if other rows have that key too.

        Else it names every identity value of the person, and needs no key.
        """
        person_key = person_key_of(requests[-1].person)
        person = values_of(whole.person)
        if person_key is not None and self._rows_with_key(person_key) > len(requests):
            person = (*person, person_key)
        return replace(whole, person=person)


def _are_in_order(requests: Sequence[Request]) -> bool:
    """Whether the last of *requests* is the newest: a retry file may hold rows of several runs, in any order."""
    known = [request.row.retry_of for request in requests]
    origins = [(origin.run, origin.row) for origin in known if origin is not None]
    return len({run for run, _ in origins}) <= 1 and origins == sorted(origins)


def _are_one(requests: Sequence[Request]) -> bool:
    """Whether *requests* are about one person, and name one value of each field.

    Groups are found by hashes of the values; this compares the values themselves.
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


def _number_of(work: Work | Settled | AwaitsMerge) -> int:
    match work:
        case Request():
            return work.row.number
        case Rejected():
            return work.record.number
        case Settled() | AwaitsMerge():
            return work.number
        case _:
            return work.request.row.number
