"""Skip unchanged rows: those that equal what the service accepted last for their person."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from uploader.changes.change_detection import ChangeDetection
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

if TYPE_CHECKING:
    import polars as pl

BATCH: Final = 256
"""How many rows are looked up at a time, and their digests deleted, with one sync to disk for all of them."""


class UnchangedRows:
    """Skip the unchanged rows of one source, and keep the stored digests true while the others are sent.

    A person with an unsettled row is not skipped. Their digest is stored only when the last of their rows is accepted.
    """

    def __init__(  # noqa: PLR0913 — what decides about a row, and who hears of it, each asked for by name
        self,
        changes: ChangeDetection,
        *,
        skips_unchanged: bool,
        must_resend: Callable[[Person], bool],
        since: int = 0,
        on_unchanged: Callable[[Request], None] = lambda _: None,
        wants_unchanged: Callable[[], bool] = lambda: True,
        on_rejected: Callable[[Person], object] = lambda _: None,
    ) -> None:
        """Use *changes*; *skips_unchanged* is whether unchanged rows are skipped.

        *must_resend* returns whether a person has a row in the retry file of this run. Runs after *since* record what
        they set of people whom the check rejects; `watch_rejected` passes each of these to *on_rejected* before.
        *on_unchanged* gets each skipped row, and its records are committed before the rows are yielded.
        *wants_unchanged* returns, once for each batch, whether *on_unchanged* is called.
        """
        self._wants_unchanged = wants_unchanged
        self._on_rejected = on_rejected
        self._is_wanted = False
        self._since = since
        self._on_unchanged = on_unchanged
        self._changes = changes
        self.is_recording = changes.is_recording
        """Whether digests of accepted rows are stored, so that `record_outcome` has something to do."""
        self._skips_unchanged = skips_unchanged
        self._must_resend = must_resend
        self._pending: dict[int, int] = {}

    def watch_rejected(self, works: Iterable[Work | NoWork]) -> None:
        """Do what `skip_unchanged` does where nothing is skipped or stored: watch the people of rejected rows."""
        for work in works:
            if isinstance(work, Rejected) and work.person:
                self._on_rejected(work.person)
                self._changes.watch(work.person, self._since)

    def skip_unchanged(self, works: Iterator[Work | NoWork]) -> Iterator[Work | NoWork]:
        """Yield *works*, unchanged rows as `Unchanged`; raises StorageError."""
        if not self._changes.is_recording:
            # No batches: each request is made when it is taken, so that its time is that of sending.
            for work in works:
                yield work if isinstance(work, Request) else self._skip_if_unchanged(work)
            return
        while batch := list(islice(works, BATCH)):
            self._is_wanted = self._wants_unchanged()
            found = [self._skip_if_unchanged(work) for work in batch]
            # The digests of the batch are deleted before any of its rows is sent.
            self._changes.commit()
            yield from found

    @property
    def finds_sure_rows(self) -> bool:
        """Whether `surely_unchanged` may find rows, of which then nothing has to be recorded; raises StorageError."""
        return self._skips_unchanged and self._changes.is_recording and not self._wants_unchanged()

    def surely_unchanged(self, identity: "pl.DataFrame", bodies: "pl.Series", others: Iterable[Person]) -> "pl.Series":
        """Return for each row whether `skip_unchanged` skips it, whatever becomes of the rows around it.

        The rows are of one batch, and the first to be taken now. *others* are the people of all other rows of the
        batch, and of those in *identity* who have a row in the retry file or are joined to others. See
        `are_unchanged` for *identity* and *bodies*. Rows for which this is False take the usual way, in their order.
        Raises StorageError.
        """
        from uploader.changes.digest_columns import (  # noqa: PLC0415 polars starts slowly
            none_of,
            number_columns,
            people_in,
            without,
        )

        changes = self._changes
        if not (self._skips_unchanged and changes.is_recording):
            return none_of(len(bodies))
        people, digests = number_columns(identity, bodies, changes.digests)
        unchanged = changes.store().compare(people, digests).fill_null(value=False)
        sent = [*people_in(people.filter(~unchanged)), *self._pending]
        sent += [number for person in others for number in changes.digests.people(person)]
        return unchanged & without(people, sent)

    def _skip_if_unchanged(self, work: Work | NoWork) -> Work | NoWork:
        changes = self._changes
        match work:
            case Request():
                people, store = changes.digests.people(work.person), changes.store()
                if self._may_skip(people, work) and store.body(people) == changes.digests.body(work):
                    if self._is_wanted:
                        self._on_unchanged(work)
                    return Unchanged(work)
                store.forget(people)
                self._pending.update(dict.fromkeys(people, work.row.number))
            case Rejected() if work.person:
                changes.watch(work.person, self._since)
                if changes.is_recording:
                    self._pending.update(dict.fromkeys(changes.digests.people(work.person), work.record.number))
            case _:
                pass
        return work

    def _may_skip(self, people: Iterable[int], work: Request) -> bool:
        if not self._skips_unchanged or person_key_of(work.person) is not None or self._must_resend(work.person):
            # A row of a joined person may have changed what is stored under other values than its own.
            return False
        return self._pending.keys().isdisjoint(people)

    def record_outcome(self, outcome: Outcome | Unsettled, *, unsure: bool) -> None:
        """Record *outcome*, which the journal has; *unsure*: a request for its row may still be applied."""
        changes = self._changes
        if not self.is_recording or isinstance(outcome, Unchanged):
            return
        person, number = _person_of(outcome), record_of(outcome).number
        people = changes.digests.people(person)
        last = [value for value in people if self._pending.get(value) == number]
        for value in last:
            del self._pending[value]
        store, is_unsure = changes.store(), not changes.unsure_people.isdisjoint(people)
        if isinstance(outcome, Sent) and (is_unsure or person_key_of(person) is not None):
            # The service may still apply what was sent before, so this acceptance is not stored.
            # A row of a joined person deletes only the digests of its own values, so none of that person is stored.
            store.clear(last, accepted=True)
        elif isinstance(outcome, Sent) and last:
            body = changes.digests.body(outcome.request)
            for value in last:
                store.add(value, body, unsure=unsure)
        elif not unsure and not is_unsure:
            store.clear(last, accepted=False)
        if unsure:
            changes.unsure_people.update(people)

    def flush(self) -> None:
        """Make what was recorded durable; raises StorageError."""
        self._changes.commit()


def _person_of(outcome: Outcome | Unsettled) -> Person:
    return outcome.person if isinstance(outcome, Rejected) else outcome.request.person
