"""Know what the service has of a person already, and whether a row changes it."""

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from uploader.changes.digest_store import Memory
from uploader.changes.digests import Digests
from uploader.changes.stores_by_service import Library
from uploader.check.source_summary import Survey
from uploader.clock import Clock
from uploader.model import (
    Person,
    Record,
    Rejected,
    Request,
    values_of,
)

_LOOK_SECONDS: Final = 0.1
"""So often it is looked whether another run has made a memory."""


class Recall:
    """The memory of one service, opened when it is needed: by `changed_only`, by a row that is owed, or if it is there.

    It is a context manager.
    """

    def __init__(  # noqa: PLR0913 — what the settings say of it, each asked for by name
        self,
        library: Library,
        service: str,
        *,
        facts: dict[str, str],
        mapping: str,
        changed_only: bool,
        full_every: float | None,
        clock: Clock,
        read_only: bool = False,
    ) -> None:
        """Use the memory of *service* (a digest) in *library*; *mapping* is what the mapping is known by.

        *facts* are noted in a memory that is made. *changed_only* and *full_every* (seconds) are those of the
        configuration. *read_only* makes and changes nothing.
        """
        self._read_only = read_only
        self._library = library
        self._service = service
        self._facts = facts
        self._changed_only = changed_only
        self._full_every = full_every
        self._clock = clock
        self._mapping = mapping
        self._stack = ExitStack()
        self._memory: Memory | None = None
        self._digests: Digests | None = None
        self._kept = False
        self._look_at = 0.0
        self.watched: set[str] = set()
        """Identity values of the people of whom this run has come to know that an older row may still be sent."""

        self.doubted: set[int] = set()
        """People of whom a request may still be on its way: only the row that made it is remembered of them."""

    def __enter__(self) -> Self:
        """Open the memory if it is there, or wanted; raises StorageError, LockedError."""
        wanted = self._changed_only and not self._read_only
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
        if self._memory is None and self._clock.monotonic() >= self._look_at:
            self._look_at = self._clock.monotonic() + _LOOK_SECONDS
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
            self._memory = self._stack.enter_context(
                self._library.memory(self._service, self._facts, keep=self._changed_only, read_only=self._read_only)
            )
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

    def watch(self, person: Person) -> None:
        """Note that an older row of *person* may still be sent; raises StorageError."""
        self.watched.update(values_of(person))
        self.memory().later.watch(self.digests.people(person))

    def watch_at_once(self, person: Person) -> None:
        """Note the same, and make it last; raises StorageError."""
        self.watched.update(values_of(person))
        memory, people = self.memory(), self.digests.people(person)
        if not memory.later.watches_all(people):
            memory.later.watch(people)
            memory.commit()

    def is_due(self, source: str) -> bool:
        """Whether everything of *source* (a key) must be sent anew, by `full_every`.

        So it is where the last time lies in the future: the clock was ahead then, and how long ago it was is not known.
        """
        every = self._full_every
        if not self._kept or every is None:
            return False
        last = self.memory().refreshed(source)
        return last is not None and not 0 <= self._clock.wall() - last < every

    def note_refreshed(self, source: str, *, began: float, whole: bool) -> None:
        """Note that a run of *source* that *began* then (since 1970) is finished; *whole*: it passed over no row."""
        if self._kept and (whole or self.memory().refreshed(source) is None):
            self.memory().note_refreshed(source, began)

    def commit(self) -> None:
        """Make what was noted last; raises StorageError."""
        if self._memory is not None:
            self._memory.commit()
