"""Note, from a source, what later runs must know of people of whom an older row may still be sent."""

from collections.abc import Container, Iterable, Iterator
from itertools import islice

from uploader.changes.change_detection import Recall
from uploader.mapping.payload import property_names
from uploader.model import (
    Origin,
    Record,
    Request,
)
from uploader.run.preflight import Job
from uploader.state import Ledger


def note_sent(job: Job, ledger: Ledger, recall: Recall) -> None:
    """Note what the interrupted run of *ledger* has sent already of the people whose rows *job* begins with.

    They are sent once more, and must not overwrite what later rows of the same file have set. Raises StorageError.
    """
    begun = ledger.begun
    assert begun is not None  # noqa: S101 — there is no run without it
    with job.source.read() as records:
        first = {value for record in islice(records, job.survey.read) for value in job.plan.person(record)}
    with job.source.read() as records:
        for request in _sent_before(records, first, job, ledger):
            people, names = recall.digests.people(request.person), recall.digests.names(property_names(request))
            recall.memory().later.note(people, names, Origin(begun.from_order, request.row.number))
    recall.commit()


def _sent_before(records: Iterable[Record], people: Container[str], job: Job, ledger: Ledger) -> Iterator[Request]:
    """Yield what the run of *ledger* has sent of *records* that are about *people*, identity values."""
    settled, left = ledger.settled, len(ledger.settled)
    for record in records:
        if left <= 0:
            break
        if record.number not in settled:
            continue
        left -= 1
        if ledger.replaced_by.get(record.number) == 0 or not any(value in people for value in job.plan.person(record)):
            continue
        owed = ledger.owed.get(record.number)
        request = job.plan.carry(record, "") if owed is None or owed.kind == "again" else None
        if isinstance(request, Request):
            yield request


def tie_watched(job: Job, recall: Recall) -> None:
    """Note which other identity values in *job* are those of people of whom an older row may still be sent.

    A later run may send such a person under another value. Raises StorageError.
    """
    if not recall.watched or not job.plan.has_several_identities:
        return
    tie_of: dict[str, str] = {value: value for value in recall.watched}

    def root(value: str) -> str:
        while tie_of[value] != value:
            tie_of[value] = value = tie_of[tie_of[value]]
        return value

    known = 0
    # A row that is met before the one that joins it is met again.
    while known != (known := len(tie_of)):
        with job.source.read() as records:
            for record in islice(records, job.survey.read):
                person = job.plan.person(record)
                roots = {root(value) for value in person if value in tie_of}
                if roots:
                    joined = (*roots, *(value for value in person if value not in tie_of))
                    tie_of.update(dict.fromkeys(joined, min(roots)))
    people = {value: recall.digests.people((value,))[0] for value in tie_of}
    tied = {value for value in tie_of if root(value) != value}
    tied |= {root(value) for value in tied}
    recall.memory().later.tie({people[value]: people[root(value)] for value in tied})
    recall.commit()
