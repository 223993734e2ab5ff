"""Note, from a source, what later runs must know of people of whom an older row may still be sent."""

from collections.abc import Container, Iterable, Iterator
from itertools import islice

from uploader.changes.change_detection import ChangeDetection
from uploader.mapping.payload_properties import property_names
from uploader.model import (
    Origin,
    Record,
    Request,
)
from uploader.run.preflight import Job
from uploader.state import RunState


def record_sent(job: Job, run_state: RunState, changes: ChangeDetection) -> None:
    """Note what the interrupted run of *run_state* has sent already of the people whose rows *job* begins with.

    They are sent once more, and must not overwrite what later rows of the same file have set. Raises StorageError.
    """
    header = run_state.header
    assert header is not None  # noqa: S101 — there is no run without it
    with job.source.read() as records:
        first = {value for record in islice(records, job.summary.read) for value in job.plan.person(record)}
    with job.source.read() as records:
        for request in _sent_before(records, first, job, run_state):
            people, names = changes.digests.people(request.person), changes.digests.names(property_names(request))
            changes.store().newer.record(people, names, Origin(header.from_order, request.row.number))
    changes.commit()


def _sent_before(records: Iterable[Record], people: Container[str], job: Job, run_state: RunState) -> Iterator[Request]:
    """Yield what the run of *run_state* has sent of *records* that are about *people*, identity values."""
    settled, left = run_state.settled, len(run_state.settled)
    for record in records:
        if left <= 0:
            break
        if record.number not in settled:
            continue
        left -= 1
        if run_state.superseded.get(record.number) == 0 or not any(
            value in people for value in job.plan.person(record)
        ):
            continue
        row = run_state.to_resend.get(record.number)
        request = job.plan.map_row(record, "") if row is None or row.kind == "again" else None
        if isinstance(request, Request):
            yield request


def watch_same_person(job: Job, changes: ChangeDetection) -> None:
    """Note which other identity values in *job* are those of people of whom an older row may still be sent.

    A later run may send such a person under another value. Raises StorageError.
    """
    if not changes.watched or not job.plan.has_several_identities:
        return
    key_of: dict[str, str] = {value: value for value in changes.watched}

    def root(value: str) -> str:
        while key_of[value] != value:
            key_of[value] = value = key_of[key_of[value]]
        return value

    known = 0
    # A row that is met before the one that joins it is met again.
    while known != (known := len(key_of)):
        with job.source.read() as records:
            for record in islice(records, job.summary.read):
                person = job.plan.person(record)
                roots = {root(value) for value in person if value in key_of}
                if roots:
                    joined = (*roots, *(value for value in person if value not in key_of))
                    key_of.update(dict.fromkeys(joined, min(roots)))
    people = {value: changes.digests.people((value,))[0] for value in key_of}
    indirect = {value for value in key_of if root(value) != value}
    indirect |= {root(value) for value in indirect}
    changes.store().newer.watch_together({people[value]: people[root(value)] for value in indirect})
    changes.commit()
