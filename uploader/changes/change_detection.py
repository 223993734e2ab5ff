"""Detect whether a row changes what the service accepted last for its person."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from uploader.batch import Batch
from uploader.changes.digest_store import DigestStore
from uploader.changes.digests import Digests
from uploader.changes.stores_by_service import DigestStores
from uploader.check.source_summary import ChangeCounts, CheckSummary
from uploader.clock import Clock
from uploader.endpoints import USER_PROFILE, Endpoint
from uploader.mapping.good_rows import GoodRows
from uploader.model import UNKNOWN_RUN, Person, Record, Rejected, Request

if TYPE_CHECKING:
    import polars as pl

_AT_ONCE: Final = 500_000
"""The digests of so many rows are compared at once; they take 40 bytes a row."""

_LOOK_SECONDS: Final = 0.1
"""How often to check whether another run has created the digest store."""


@dataclass(frozen=True, slots=True)
class DetectionSettings:
    """How the changes of one *service* (a digest) are detected; *facts* are written to a new store of it.

    *mapping* is the fingerprint of the mapping, and *endpoint* knows what the bodies of requests mean. *changed_only*
    and *full_every* (seconds) are those of the configuration. *newest_ended_run* returns the number of the latest run
    of the service that has ended: a new store does not have what such runs set. *read_only* creates and changes
    nothing.
    """

    service: str
    facts: Mapping[str, str]
    mapping: str
    changed_only: bool
    full_every: float | None
    newest_ended_run: Callable[[], int] = lambda: UNKNOWN_RUN
    read_only: bool = False
    endpoint: Endpoint = USER_PROFILE


class ChangeDetection:
    """The digest store of one service, opened when `changed_only` or a row to resend needs it, or if it exists.

    It is a context manager.

    States: without a store (no person is known); open (people of whom an older row may still be sent are
    recorded); recording (`is_recording`: digests of accepted rows are stored too, so that unchanged rows are found).
    """

    def __init__(self, stores: DigestStores, settings: DetectionSettings, *, clock: Clock) -> None:
        """Use the store of the service of *settings* in *stores*."""
        self._stores = stores
        self._settings = settings
        self.clock = clock
        self._stack = ExitStack()
        self._store: DigestStore | None = None
        self._digests: Digests | None = None
        self._is_recording = False
        self.absent_until = 0.0
        """Until this time of the monotonic *clock*, there is no store, and nobody looks for one."""

        self.may_join_people = True
        """Whether people of this command may be the same person as others; True while that is not known."""

        self.unlinked_people: set[int] = set()
        """People whom this command watches and has not linked yet to the other values of the same person."""

        self.unsure_people: set[int] = set()
        """People about whom a request of unknown outcome may still be applied: no digest of a later row is stored."""

    def __enter__(self) -> Self:
        """Open the store if it exists or is wanted; raises StorageError, LockedError."""
        wanted = self._settings.changed_only and not self._settings.read_only
        if not wanted and not self._settings.read_only:
            self._stack.enter_context(self._stores.announced(self._settings.service))
        if wanted or self._stores.exists(self._settings.service):
            self._stack.close()
            self._is_recording = self.store().is_recording
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store; after a command without an error it is merged, if that pays."""
        self._stack.__exit__(kind, error, trace)

    @property
    def is_open(self) -> bool:
        """Whether there is a store; another run may have created it a moment ago. Raises StorageError."""
        if self._store is None and self.clock.monotonic() >= self.absent_until:
            self.absent_until = self.clock.monotonic() + _LOOK_SECONDS
            if self._stores.exists(self._settings.service):
                self.store()
        return self._store is not None

    @property
    def is_recording(self) -> bool:
        """Whether digests of accepted rows are stored."""
        return self._is_recording

    def store(self) -> DigestStore:
        """Return the store, created if missing; raises StorageError, LockedError."""
        if self._store is None:
            settings = self._settings
            opening = self._stores.open(
                settings.service,
                dict(settings.facts),
                record_from_now=settings.changed_only,
                read_only=settings.read_only,
            )
            self._store = self._stack.enter_context(opening)
            self.absent_until = 0.0
            if not settings.read_only and self._store.recorded_since is None:
                self._store.set_recorded_since(settings.newest_ended_run())
        return self._store

    @property
    def digests(self) -> Digests:
        """The digests of people and bodies; raises StorageError."""
        if self._digests is None:
            self._digests = Digests(self._stores.key(), self._settings.mapping, self.endpoint)
        return self._digests

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that the requests go to."""
        return self._settings.endpoint

    def names_in(self, request: Request) -> bytes:
        """Return the digests of the names of the properties that *request* sets, sorted and joined."""
        return self.digests.names(self.endpoint.property_names(request.body))

    def is_unchanged(self, person: Person, body: bytes) -> bool | None:
        """Whether *body* equals what was accepted last for *person*; None if no digest of them is stored.

        It may end after the key of its time.
        """
        if not self._is_recording:
            return None
        known = self.store().body(self.digests.people(person))
        return None if known is None else known == self.digests.begin_of_body(body)

    def are_unchanged(self, identity: "pl.DataFrame", bodies: "pl.Series") -> "pl.Series":
        """Return for each row whether it equals what was accepted last for its person; null: no digest is stored.

        *identity* has a column of texts for each identity field, named by it, null where a row has no such value.
        *bodies* are whole, or end after the key of their time. Raises StorageError.
        """
        from uploader.changes.digest_columns import nothing_known  # noqa: PLC0415 polars starts slowly

        if not self._is_recording:
            return nothing_known(len(bodies))
        return self.store().compare(*self.numbers_of(identity, bodies))

    def numbers_of(self, identity: "pl.DataFrame", bodies: "pl.Series") -> "tuple[pl.DataFrame, pl.Series]":
        """Return the numbers of the people in *identity*, and the digests of *bodies*, for `DigestStore.compare`."""
        from uploader.changes.digest_columns import number_columns  # noqa: PLC0415 polars starts slowly

        return number_columns(identity, bodies, self.digests)

    def counting_changes(self, summary: CheckSummary) -> "ChangesCounter":
        """Return what counts, in *summary*, the records of known people, and how many have changed."""
        summary.changes = ChangeCounts()
        return ChangesCounter(self, summary.changes)

    @cached_property
    def recorded_since(self) -> int:
        """The number of the latest run that did not record what it set; raises StorageError."""
        known = self.store().recorded_since if self.is_open else None
        return self._settings.newest_ended_run() if known is None else known

    def watch(self, person: Person, since: int) -> None:
        """Record that an older row of *person* may still be sent; runs after *since* record what they set of them.

        Raises:
            StorageError: the store can't be read.
        """
        newer, people = self.store().newer, self.digests.people(person)
        run, since = since if self.may_join_people else 0, max(since, self.recorded_since)
        for one in people:
            known = newer.watched(one)
            # People who were watched before were linked to the same person when the command started.
            if run and (known is None or known[1] == run):
                self.unlinked_people.add(one)
            if known is None or known[0] > since:
                newer.watch((one,), since=since, unlinked_by=0 if known else run)

    def take_over_unlinked(self, person: Person, run: int) -> None:
        """Take over the linking of *person*, if *run* was interrupted before it did so; raises StorageError."""
        if self.is_open:
            newer = self.store().newer
            self.unlinked_people.update(
                one for one in self.digests.people(person) if (known := newer.watched(one)) and known[1] == run
            )

    def watch_durably(self, person: Person, since: int) -> None:
        """Do what `watch` does, and commit it; raises StorageError."""
        self.watch(person, since)
        # It survives a power cut before the journal does. Without it, a late row is rejected until somebody decides.
        self.store().commit(power_safe=False)

    def is_full_run_due(self, source: str) -> bool:
        """Whether all rows of *source* (a key) must be sent again, by `full_every`.

        A last time in the future counts as due: the clock was ahead then, and how long ago it was is not known.
        """
        every = self._settings.full_every
        if not self._is_recording or every is None:
            return False
        last = self.store().last_full_run(source)
        return last is not None and not 0 <= self.clock.wall() - last < every

    def record_full_run(self, source: str, *, began: float, whole: bool) -> None:
        """Record that a run of *source* is finished; *began* is in seconds since 1970, *whole*: it skipped no row."""
        if self._is_recording and (whole or self.store().last_full_run(source) is None):
            self.store().record_full_run(source, began)

    def commit(self) -> None:
        """Make what was recorded durable; raises StorageError."""
        if self._store is not None:
            self._store.commit()


class ChangesCounter:
    """Counts the records of known people in a check, and how many of them have changed.

    The good rows of batches wait until there are many: each comparison of columns reads all digests that are stored.
    """

    def __init__(self, changes: ChangeDetection, counts: ChangeCounts) -> None:
        """Count in *counts* what *changes* knows."""
        self._changes = changes
        self._counts = counts
        self._waiting: list[tuple[pl.DataFrame, pl.Series]] = []
        self._rows = 0

    def __call__(self, _: Record, work: Request | Rejected) -> None:
        """Count one record."""
        if isinstance(work, Request) and (same := self._changes.is_unchanged(work.person, work.body)) is not None:
            self._count(known=1, same=int(same))

    def wants_rows(self, _batch: Batch) -> bool:
        """Return False: bodies are enough."""
        return False

    def add_good(self, good: GoodRows) -> None:
        """Take the good rows of a batch; raises StorageError."""
        if not (good.count and self._changes.is_recording):
            return
        self._waiting.append(self._changes.numbers_of(good.identity, good.bodies))
        self._rows += good.count
        if self._rows >= _AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Count the good rows that wait; call it when all are added. Raises StorageError."""
        if not self._waiting:
            return
        from uploader.changes.digest_columns import joined  # noqa: PLC0415 polars starts slowly

        same = self._changes.store().compare(*joined(self._waiting))
        self._waiting.clear()
        self._rows = 0
        self._count(known=len(same) - same.null_count(), same=int(same.sum()))

    def _count(self, *, known: int, same: int) -> None:
        self._counts.known += known
        self._counts.changed += known - same
