"""Know what the service has of a person already, and pass over rows that need no request."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from uploader.config import Settings
from uploader.memory import Digests, Library, Memory
from uploader.model import (
    UNKNOWN_RUN,
    Outcome,
    Passed,
    Person,
    Record,
    Rejected,
    Request,
    Sent,
    Unchanged,
    Unsettled,
    Work,
    record_of,
    tie_of,
)
from uploader.survey import Survey

BATCH: Final = 256
"""So many rows are looked up, and their people forgotten, at a time: one sync to disk for all of them."""


def library_of(state: Path, raise_if_stopped: Callable[[], None] = lambda: None) -> Library:
    """Return the memories in the state folder *state*; *raise_if_stopped* ends the waiting for who keeps one locked."""
    return Library(state, wall=time.time, raise_if_stopped=raise_if_stopped)


_LOOK_SECONDS: Final = 0.1
"""So often it is looked whether another run has made a memory."""


class Recall:
    """The memory of one service, opened when it is needed: by `changed_only`, by a row that is owed, or if it is there.

    It is a context manager.
    """

    def __init__(  # noqa: PLR0913 — what the memory is found and made by, each asked for by name
        self,
        library: Library,
        service: str,
        settings: Settings,
        *,
        mapping: str,
        newest_gone: Callable[[], int] = lambda: UNKNOWN_RUN,
        read_only: bool = False,
    ) -> None:
        """Use the memory of *service* (a digest) in *library*; *mapping* is what the mapping is known by.

        *newest_gone* tells the number of the latest run of the service that is at work no more: what such runs have set
        is not in a memory that is made now. *read_only* makes and changes nothing.
        """
        self._newest_gone = newest_gone
        self._read_only = read_only
        self._library = library
        self._service = service
        self._settings = settings
        self._mapping = mapping
        self._stack = ExitStack()
        self._memory: Memory | None = None
        self._digests: Digests | None = None
        self._kept = False
        self._look_at = 0.0
        self.has_ties = True
        """Whether the people of this command may be one person with others, as far as that is known."""

        self.loose: set[int] = set()
        """People of whom this command has come to know that an older row may come, and who may be tied to others."""

        self.doubted: set[int] = set()
        """People of whom a request may still be on its way: only the row that made it is remembered of them."""

    def __enter__(self) -> Self:
        """Open the memory if it is there, or wanted; raises StorageError, LockedError."""
        wanted = self._settings.changed_only and not self._read_only
        if not wanted and not self._read_only:
            self._stack.enter_context(self._library.presence(self._service))
        if wanted or self._library.has(self._service):
            self._stack.close()
            self._kept = self.memory().is_kept
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the memory."""
        self._stack.close()

    @property
    def is_open(self) -> bool:
        """Whether there is a memory; another run may have made it a moment ago. Raises StorageError."""
        if self._memory is None and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            if self._library.has(self._service):
                self.memory()
        return self._memory is not None

    @property
    def is_kept(self) -> bool:
        """Whether what is accepted is remembered."""
        return self._kept

    def memory(self) -> Memory:
        """Return the memory, made if need be; raises StorageError, LockedError."""
        if self._memory is None:
            api = self._settings.api
            facts = {"base_url": api.base_url, "service_id": api.service_id}
            self._memory = self._stack.enter_context(
                self._library.memory(self._service, facts, keep=self._settings.changed_only, read_only=self._read_only)
            )
            if not self._read_only and self._memory.noted_since is None:
                self._memory.note_since(self._newest_gone())
        return self._memory

    @property
    def digests(self) -> Digests:
        """What makes digests of people and bodies; raises StorageError."""
        if self._digests is None:
            self._digests = Digests(self._library.key(), self._mapping)
        return self._digests

    def has(self, request: Request) -> bool | None:
        """Whether the service has just what *request* says; None where nothing is remembered of its person."""
        if not self._kept:
            return None
        known = self.memory().body(self.digests.people(request.person))
        return None if known is None else known == self.digests.body(request)

    def comparing(self, survey: Survey) -> Callable[[Record, Request | Rejected], None]:
        """Return what counts in *survey*, of each record and its work, who is known, and who of them changed."""
        survey.changed = 0

        def compare(_: Record, work: Request | Rejected) -> None:
            same = self.has(work) if isinstance(work, Request) else None
            if same is not None and survey.changed is not None:
                survey.known += 1
                survey.changed += not same

        return compare

    @cached_property
    def noted_since(self) -> int:
        """The number of the latest run of which it is not known what it set; raises StorageError."""
        known = self.memory().noted_since if self.is_open else None
        return self._newest_gone() if known is None else known

    def watch(self, person: Person, since: int) -> None:
        """Note that an older row of *person* may still be sent; runs after *since* note what they set of them.

        Raises:
            StorageError: the memory can't be read.
        """
        later, people = self.memory().later, self.digests.people(person)
        run, since = since if self.has_ties else 0, max(since, self.noted_since)
        for one in people:
            known = later.watched(one)
            # With whom those are one person who were watched before, was noted when the command began.
            if run and (known is None or known[1] == run):
                self.loose.add(one)
            if known is None or known[0] > since:
                later.watch((one,), since=since, loose=0 if known else run)

    def take_up(self, person: Person, run: int) -> None:
        """Take it on to say with whom *person* is one, if *run* did not come to it; raises StorageError."""
        if self.is_open:
            later = self.memory().later
            self.loose.update(
                one for one in self.digests.people(person) if (known := later.watched(one)) and known[1] == run
            )

    def watch_at_once(self, person: Person, since: int) -> None:
        """Note the same, and make it outlast this process; raises StorageError."""
        self.watch(person, since)
        # It lasts through a power cut before the journal does. Without it, a late row waits for somebody to decide.
        self.memory().commit(power_safe=False)

    def is_due(self, source: str) -> bool:
        """Whether everything of *source* (a key) must be sent anew, by `full_every`.

        So it is where the last time lies in the future: the clock was ahead then, and how long ago it was is not known.
        """
        every = self._settings.full_every
        if not self._kept or every is None:
            return False
        last = self.memory().refreshed(source)
        return last is not None and not 0 <= time.time() - last < every

    def note_refreshed(self, source: str, *, began: float, whole: bool) -> None:
        """Note that a run of *source* that *began* then (since 1970) is finished; *whole*: it passed over no row."""
        if self._kept and (whole or self.memory().refreshed(source) is None):
            self.memory().note_refreshed(source, began)

    def commit(self) -> None:
        """Make what was noted last; raises StorageError."""
        if self._memory is not None:
            self._memory.commit()


class Sift:
    """Pass over the rows of one source that need no request, and keep the memory true while the others are sent.

    A person with a row in the works is not passed over, and remembered only when the last of their rows is accepted.
    """

    def __init__(  # noqa: PLR0913 — what decides about a row, and who hears of it, each asked for by name
        self,
        recall: Recall,
        *,
        skips: bool,
        owes: Callable[[Person], bool],
        since: int = 0,
        note: Callable[[Request], None] = lambda _: None,
        listens: Callable[[], bool] = lambda: True,
    ) -> None:
        """Use *recall*; *skips* is whether rows that the service has are passed over.

        *owes* tells whether a person has a row in the retry file of this run, whose runs after *since* note what they
        set. *note* hears of the rows that are passed over, and its notes last before anybody else hears of them; it is
        asked for each batch of them whether it *listens*.
        """
        self._listens = listens
        self._is_heard = False
        self._since = since
        self._note = note
        self._recall = recall
        self.remembers = recall.is_kept
        """Whether what is accepted is remembered, so that `after` has something to do."""
        self._skips = skips
        self._owes = owes
        self._pending: dict[int, int] = {}

    def sifted(self, works: Iterator[Work | Passed]) -> Iterator[Work | Passed]:
        """Yield *works*, those that need no request as what became of them; raises StorageError."""
        if not self._recall.is_kept:
            # A request is made when it is taken: its time is that of sending.
            for work in works:
                yield work if isinstance(work, Request) else self._sifted(work)
            return
        while batch := list(islice(works, BATCH)):
            self._is_heard = self._listens()
            found = [self._sifted(work) for work in batch]
            # Whoever is in the batch is forgotten before any of it is sent.
            self._recall.commit()
            yield from found

    def _sifted(self, work: Work | Passed) -> Work | Passed:
        recall = self._recall
        match work:
            case Request():
                people, memory = recall.digests.people(work.person), recall.memory()
                if self._may_skip(people, work) and memory.body(people) == recall.digests.body(work):
                    if self._is_heard:
                        self._note(work)
                    return Unchanged(work)
                memory.forget(people)
                self._pending.update(dict.fromkeys(people, work.row.number))
            case Rejected() if work.person:
                recall.watch(work.person, self._since)
                if recall.is_kept:
                    self._pending.update(dict.fromkeys(recall.digests.people(work.person), work.record.number))
            case _:
                pass
        return work

    def _may_skip(self, people: Iterable[int], work: Request) -> bool:
        if not self._skips or tie_of(work.person) is not None or self._owes(work.person):
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
        if isinstance(outcome, Sent) and (is_doubted or tie_of(person) is not None):
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
