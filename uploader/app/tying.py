"""Give the rows of one person what they have in common, where that need not be an identity value."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from uploader.app.checking import Job
from uploader.app.recall import Recall
from uploader.model import Passed, Record, Rejected, Request, Work
from uploader.ties import Ties


def noting(ties: Ties) -> Callable[[Record, Request | Rejected], None]:
    """Return what takes each row of one more source into *ties*, in the check."""
    note = ties.note

    def hear(_: Record, work: Request | Rejected) -> None:
        note(work.person)

    return hear


def tied(works: Iterator[Work | Passed], ties: Ties, before: int) -> Iterator[Work | Passed]:
    """Yield *works*, which are of single rows, with their ties; *before* is how many rows the earlier sources have."""
    for work in works:
        if isinstance(work, Request | Rejected):
            number = work.row.number if isinstance(work, Request) else work.record.number
            tie = ties.tie(before + number)
            yield work if tie is None else replace(work, person=(*work.person, tie))
        else:
            yield work


def joined(jobs: Sequence[Job], recall: Recall, matches: Callable[[int], bool]) -> dict[int, int]:
    """Return the people (numbers, see `Digests`) who are one person with one that *matches*, with one that all share.

    Rows of *jobs* that share a value are one person, through whatever chain. Each is read until a row that joins two
    people was behind all the others. Raises InputError, StorageError.
    """
    tie_of: dict[int, int] = {}

    def root(person: int) -> int:
        while tie_of[person] != person:
            tie_of[person] = person = tie_of[tie_of[person]]
        return person

    known = -1
    while known != (known := len(tie_of)):
        for job in jobs:
            with job.source.read() as records:
                for record in islice(records, job.survey.read):
                    people = recall.digests.people(job.plan.person(record))
                    if any(person in tie_of or matches(person) for person in people):
                        roots = {root(person) for person in people if person in tie_of} or {people[0]}
                        tie_of.update(dict.fromkeys((*people, *roots), min(roots)))
    return {person: root(person) for person in tie_of}
