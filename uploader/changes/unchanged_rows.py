"""Pass over the rows that need no request, since the service has just what they say."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from uploader.changes.change_detection import Recall
from uploader.model import (
    NoWork,
    Outcome,
    Person,
    Rejected,
    Request,
    Sent,
    Unchanged,
    Unsettled,
    Work,
    person_key_of,
    record_of,
)

BATCH: Final = 256
"""So many rows are looked up, and their people forgotten, at a time: one sync to disk for all of them."""


class Sift:
    """Pass over the rows of one source that need no request, and keep the memory true while the others are sent.

    A person with a row in the works is not passed over, and remembered only when the last of their rows is accepted.
    """

    def __init__(self, recall: Recall, *, skips: bool, owes: Callable[[Person], bool]) -> None:
        """Use *recall*; *skips* is whether rows that the service has are passed over.

        *owes* tells whether a person has a row in the retry file of this run.
        """
        self._recall = recall
        self.remembers = recall.is_kept
        """Whether what is accepted is remembered, so that `after` has something to do."""
        self._skips = skips
        self._owes = owes
        self._pending: dict[int, int] = {}

    def sifted(self, works: Iterator[Work | NoWork]) -> Iterator[Work | NoWork]:
        """Yield *works*, those that need no request as what became of them; raises StorageError."""
        if not self._recall.is_kept:
            # A request is made when it is taken: its time is that of sending.
            for work in works:
                yield work if isinstance(work, Request) else self._sifted(work)
            return
        while batch := list(islice(works, BATCH)):
            found = [self._sifted(work) for work in batch]
            # Whoever is in the batch is forgotten before any of it is sent.
            self._recall.commit()
            yield from found

    def _sifted(self, work: Work | NoWork) -> Work | NoWork:
        recall = self._recall
        match work:
            case Request():
                people, memory = recall.digests.people(work.person), recall.memory()
                if self._may_skip(people, work) and memory.body(people) == recall.digests.body(work):
                    return Unchanged(work)
                memory.forget(people)
                self._pending.update(dict.fromkeys(people, work.row.number))
            case Rejected() if work.person:
                recall.watch(work.person)
                if recall.is_kept:
                    self._pending.update(dict.fromkeys(recall.digests.people(work.person), work.record.number))
            case _:
                pass
        return work

    def _may_skip(self, people: Iterable[int], work: Request) -> bool:
        if not self._skips or person_key_of(work.person) is not None or self._owes(work.person):
            # A row of a tied person may have changed what is remembered under other values than its own.
            return False
        return self._pending.keys().isdisjoint(people)

    def after(self, outcome: Outcome | Unsettled, *, unsure: bool) -> None:
        """Note *outcome*, which the journal has; *unsure* is whether the fate of a request for its row is not known."""
        recall = self._recall
        if not self.remembers or isinstance(outcome, Unchanged):
            return
        person, number = _person_of(outcome), record_of(outcome).number
        people = recall.digests.people(person)
        last = [value for value in people if self._pending.get(value) == number]
        for value in last:
            del self._pending[value]
        memory, is_doubted = recall.memory(), not recall.doubted.isdisjoint(people)
        if isinstance(outcome, Sent) and (is_doubted or person_key_of(person) is not None):
            # The service may still apply what was sent before: it is the acceptance after this one that is remembered.
            # A row of a tied person forgets its own values only, so that nothing is remembered of such a person.
            memory.clear(last, accepted=True)
        elif isinstance(outcome, Sent) and last:
            body = recall.digests.body(outcome.request)
            for value in last:
                memory.remember(value, body, unsure=unsure)
        elif not unsure and not is_doubted:
            memory.clear(last, accepted=False)
        if unsure:
            recall.doubted.update(people)

    def flush(self) -> None:
        """Make what was noted last; raises StorageError."""
        self._recall.commit()


def _person_of(outcome: Outcome | Unsettled) -> Person:
    return outcome.person if isinstance(outcome, Rejected) else outcome.request.person
