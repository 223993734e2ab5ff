"""Record, from a source, what later runs must know of people of whom an older row may still be sent."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import islice

from uploader.changes.change_detection import ChangeDetection
from uploader.model import (
    Origin,
    Record,
    Request,
)
from uploader.run.job import Job
from uploader.state import RunState


def record_sent(job: Job, run_state: RunState, changes: ChangeDetection) -> None:
    """Record what the interrupted run of *run_state* has sent of the people in the first rows, which *job* sends again.

    Those rows must not overwrite what later rows of the same file have set. Raises StorageError.
    """
    header = run_state.header
    assert header is not None  # noqa: S101 — there is no run without it
    with job.source.read() as records:
        people = {value for record in islice(records, job.summary.read) for value in job.plan.person(record)}
    known = 0
    # Values that a row joins to these are the same person's, in any order of the rows.
    while job.plan.has_several_identities and known != (known := len(people)):
        with job.source.read() as records:
            for person in map(job.plan.person, records):
                if not people.isdisjoint(person):
                    people.update(person)
    with job.source.read() as records:
        for request in _sent_before(records, people, job, run_state):
            found, names = changes.digests.people(request.person), changes.names_in(request)
            changes.store().newer.record(found, names, Origin(header.from_order, request.row.number))
            changes.store().newer.link(found, found[0])
    changes.commit()


def _sent_before(records: Iterable[Record], people: Container[str], job: Job, run_state: RunState) -> Iterator[Request]:
    """Yield the requests that the run of *run_state* has sent for *records* of *people* (identity values)."""
    settled, left = run_state.settled, len(run_state.settled)
    for record in records:
        if left <= 0:
            break
        if record.number not in settled:
            continue
        left -= 1
        if run_state.replaced_by.get(record.number) == 0 or not any(
            value in people for value in job.plan.person(record)
        ):
            continue
        row = run_state.to_resend.get(record.number)
        request = job.plan.map_row(record, "") if row is None or row.kind == "again" else None
        if isinstance(request, Request):
            yield request


def joined_people(jobs: Sequence[Job], changes: ChangeDetection, matches: Callable[[int], bool]) -> dict[int, int]:
    """Return, for all who are one person with one that *matches*, the number that they share (see `Digests`).

    Rows of *jobs* that share a value are one person, through any chain. The sources are read again until no row joins
    further people. Raises InputError, StorageError.
    """
    key_of: dict[int, int] = {}

    def root(person: int) -> int:
        while key_of[person] != person:
            key_of[person] = person = key_of[key_of[person]]
        return person

    known = -1
    while known != (known := len(key_of)):
        for job in jobs:
            with job.source.read() as records:
                for record in islice(records, job.summary.read):
                    people = changes.digests.people(job.plan.person(record))
                    if any(person in key_of or matches(person) for person in people):
                        roots = {root(person) for person in people if person in key_of} or {people[0]}
                        key_of.update(dict.fromkeys((*people, *roots), min(roots)))
    return {person: root(person) for person in key_of}
