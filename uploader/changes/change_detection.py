"""Know what the service has of a person already, and whether a row changes it."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import Final, Self

from uploader.changes.digest_store import DigestStore
from uploader.changes.digests import Digests
from uploader.changes.stores_by_service import DigestStores
from uploader.check.source_summary import CheckSummary
from uploader.clock import Clock
from uploader.model import UNKNOWN_RUN, Person, Record, Rejected, Request

_LOOK_SECONDS: Final = 0.1
"""So often it is looked whether another run has made a memory."""


class ChangeDetection:
    """The memory of one service, opened when it is needed: by `changed_only`, by a row that is owed, or if it is there.

    It is a context manager.

    States: without a store (nobody is known); open (which older rows may still be sent is noted); recording
    (`is_recording`: what is accepted is kept too, so that unchanged rows are found).
    """

    def __init__(  # noqa: PLR0913 — what the settings say of it, each asked for by name
        self,
        stores: DigestStores,
        service: str,
        *,
        facts: dict[str, str],
        mapping: str,
        changed_only: bool,
        full_every: float | None,
        clock: Clock,
        newest_ended_run: Callable[[], int] = lambda: UNKNOWN_RUN,
        read_only: bool = False,
    ) -> None:
        """Use the memory of *service* (a digest) in *stores*; *mapping* is what the mapping is known by.

        *facts* are noted in a memory that is made. *changed_only* and *full_every* (seconds) are those of the
        configuration. *newest_ended_run* tells the number of the latest run of the service that is at work no more:
        what such runs have set is not in a memory that is made now. *read_only* makes and changes nothing.
        """
        self._newest_ended_run = newest_ended_run
        self._read_only = read_only
        self._stores = stores
        self._service = service
        self._facts = facts
        self._changed_only = changed_only
        self._full_every = full_every
        self._clock = clock
        self._mapping = mapping
        self._stack = ExitStack()
        self._store: DigestStore | None = None
        self._digests: Digests | None = None
        self._is_recording = False
        self._recheck_at = 0.0
        self.may_join_people = True
        """Whether the people of this command may be one person with others, as far as that is known."""

        self.unlinked_people: set[int] = set()
        """People of whom this command has come to know that an older row may come, and who may be one with others."""

        self.unsure_people: set[int] = set()
        """People of whom a request may still be on its way: only the row that made it is remembered of them."""

    def __enter__(self) -> Self:
        """Open the memory if it is there, or wanted; raises StorageError, LockedError."""
        wanted = self._changed_only and not self._read_only
        if not wanted and not self._read_only:
            self._stack.enter_context(self._stores.announced(self._service))
        if wanted or self._stores.exists(self._service):
            self._stack.close()
            self._is_recording = self.store().is_recording
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the memory."""
        self._stack.close()

    @property
    def is_open(self) -> bool:
        """Whether there is a memory; another run may have made it a moment ago. Raises StorageError."""
        if self._store is None and self._clock.monotonic() >= self._recheck_at:
            self._recheck_at = self._clock.monotonic() + _LOOK_SECONDS
            if self._stores.exists(self._service):
                self.store()
        return self._store is not None

    @property
    def is_recording(self) -> bool:
        """Whether what is accepted is remembered."""
        return self._is_recording

    def store(self) -> DigestStore:
        """Return the memory, made if need be; raises StorageError, LockedError."""
        if self._store is None:
            self._store = self._stack.enter_context(
                self._stores.open(
                    self._service, self._facts, record_from_now=self._changed_only, read_only=self._read_only
                )
            )
            if not self._read_only and self._store.recorded_since is None:
                self._store.set_recorded_since(self._newest_ended_run())
        return self._store

    @property
    def digests(self) -> Digests:
        """What makes digests of people and bodies; raises StorageError."""
        if self._digests is None:
            self._digests = Digests(self._stores.key(), self._mapping)
        return self._digests

    def is_unchanged(self, request: Request) -> bool | None:
        """Whether the service has just what *request* says; None where nothing is remembered of its person."""
        if not self._is_recording:
            return None
        known = self.store().body(self.digests.people(request.person))
        return None if known is None else known == self.digests.body(request)

    def counting_changes(self, summary: CheckSummary) -> Callable[[Record, Request | Rejected], None]:
        """Return what counts in *summary*, of each record and its work, who is known, and who of them changed."""
        summary.changed = 0

        def compare(_: Record, work: Request | Rejected) -> None:
            same = self.is_unchanged(work) if isinstance(work, Request) else None
            if same is not None and summary.changed is not None:
                summary.known += 1
                summary.changed += not same

        return compare

    @cached_property
    def recorded_since(self) -> int:
        """The number of the latest run of which it is not known what it set; raises StorageError."""
        known = self.store().recorded_since if self.is_open else None
        return self._newest_ended_run() if known is None else known

    def watch(self, person: Person, since: int) -> None:
        """Note that an older row of *person* may still be sent; runs after *since* note what they set of them.

        Raises:
            StorageError: the memory can't be read.
        """
        newer, people = self.store().newer, self.digests.people(person)
        run, since = since if self.may_join_people else 0, max(since, self.recorded_since)
        for one in people:
            known = newer.watched(one)
            # With whom those are one person who were watched before, was noted when the command began.
            if run and (known is None or known[1] == run):
                self.unlinked_people.add(one)
            if known is None or known[0] > since:
                newer.watch((one,), since=since, unlinked_by=0 if known else run)

    def take_over_unlinked(self, person: Person, run: int) -> None:
        """Take it on to say with whom *person* is one, if *run* did not come to it; raises StorageError."""
        if self.is_open:
            newer = self.store().newer
            self.unlinked_people.update(
                one for one in self.digests.people(person) if (known := newer.watched(one)) and known[1] == run
            )

    def watch_durably(self, person: Person, since: int) -> None:
        """Note the same, and make it outlast this process; raises StorageError."""
        self.watch(person, since)
        # It lasts through a power cut before the journal does. Without it, a late row waits for somebody to decide.
        self.store().commit(power_safe=False)

    def is_full_run_due(self, source: str) -> bool:
        """Whether everything of *source* (a key) must be sent anew, by `full_every`.

        So it is where the last time lies in the future: the clock was ahead then, and how long ago it was is not known.
        """
        every = self._full_every
        if not self._is_recording or every is None:
            return False
        last = self.store().last_full_run(source)
        return last is not None and not 0 <= self._clock.wall() - last < every

    def record_full_run(self, source: str, *, began: float, whole: bool) -> None:
        """Note that a run of *source* that *began* then (since 1970) is finished; *whole*: it passed over no row."""
        if self._is_recording and (whole or self.store().last_full_run(source) is None):
            self.store().record_full_run(source, began)

    def commit(self) -> None:
        """Make what was noted last; raises StorageError."""
        if self._store is not None:
            self._store.commit()
