"""Keep a row from overwriting a newer value with an older one, property by property."""

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from typing import Final, Protocol

from uploader.api import CONSENTS
from uploader.changes.change_detection import ChangeDetection
from uploader.model import (
    UNKNOWN_RUN,
    NotNewest,
    NoWork,
    Origin,
    Outcome,
    Person,
    Reason,
    Record,
    Rejected,
    Request,
    Sent,
    Superseded,
    Unchanged,
    Unsettled,
    Work,
)

DOUBTFUL: Final = Reason(
    "order_unknown",
    "a later run has sent this person, and it is not known whether it set the consents of this row: compare them, "
    "then delete the row, or send it as it is with --accept",
)
"""The reason for rejecting a row whose consents may not be the newest."""

UNRECORDED: Final = Reason(
    "order_unknown",
    "later runs may have sent this person, and it is not known what they set: compare, then delete the row, or send it "
    "as it is with --accept",
)
"""The reason for rejecting a row of which no value is known to be the newest."""

_RUN: Final = re.compile(r"r(-?[0-9]{1,19})-([0-9a-f]{8})")
_EVER: Final = 2**62
"""A number above those of all runs."""


class NumberedRun(Protocol):
    """A run with its own number, and the number of the run that its rows come from."""

    @property
    def order(self) -> int:
        """The run's own number."""

    @property
    def from_order(self) -> int:
        """The number of the run that its rows come from."""


class Origins:
    """The origins of the rows of one source: the run and row that they come from first."""

    def __init__(self, header: NumberedRun, state_id: str, last_number: int) -> None:
        """Use the run of *header*.

        *state_id* is the ID of the state folder that numbers runs, *last_number* the greatest number it has given.
        """
        self._run = header.from_order
        self._state_id = state_id
        self._last_number = last_number

    def of(self, record: Record) -> Origin:
        """Return the origin of *record*; an unknown run, or one of another state folder, counts as older than all."""
        known = record.retry_of
        if known is None:
            return Origin(self._run, record.number)
        return Origin(self._number(known.run) if known.run else self._run, known.row)

    def _number(self, text: str) -> int:
        found = _RUN.fullmatch(text)
        is_ours = found is not None and found[2] == self._state_id
        number = int(found[1]) if found is not None and is_ours else UNKNOWN_RUN
        return number if UNKNOWN_RUN < number <= self._last_number else UNKNOWN_RUN

    @property
    def label(self) -> str:
        """The text of `_run` in a retry file for the run that the rows come from; "" if that is not known."""
        return "" if self._run == UNKNOWN_RUN else f"r{self._run}-{self._state_id}"


class StaleRetries:
    """Remove from each request of one source the properties that newer accepted rows of the person have set.

    Anyone who has a row in a retry file is watched from then on: the names of the properties that later rows set are
    recorded before the journal gets these rows. While an older run is still to be resumed, everybody is watched. A row
    is rejected, for somebody to decide, if later runs did not record all that they set of its person.
    """

    def __init__(  # noqa: PLR0913 — what is known of the run, each asked for by name
        self,
        changes: ChangeDetection,
        header: NumberedRun,
        origins: Origins,
        *,
        newest_run: int,
        has_older: bool,
        records_all: bool,
        accept: bool,
        since: int,
    ) -> None:
        """Use the records in *changes* for the run of *header*, whose rows come from *origins*.

        *newest_run* is the greatest number of another run that may have sent to the service. *has_older* is whether
        rows may be older than others of the same run (those of a retry file). *records_all* is whether an older run is
        still to be resumed. *accept* sends the rows of which not all is known. Runs after *since* record what they set
        of the people who have rows to resend in this run (see `watch_since`).
        """
        self._changes = changes
        self._run = header.from_order
        self._origins = origins
        self._newest_run = newest_run
        self._has_older = has_older
        self._records_all = records_all
        self._accept = accept
        self._since = since
        # No row names the origin of another run, and no other run is newer.
        self._is_newest_run = not has_older and (accept or self._run >= newest_run)
        self._monotonic = changes.clock.monotonic

    @property
    def leaves_works(self) -> bool:
        """Whether `without_stale` yields each work as it is, though it may have to link the values of rejected rows.

        This holds until another run creates the store; `newest` then finds what is stale before each attempt.
        """
        return self._is_newest_run and not (self._records_all or self._changes.is_open)

    def without_stale(self, works: Iterator[Work | NoWork]) -> Iterator[Work | NoWork]:
        """Yield *works*, each request with only its newest values; raises StorageError."""
        for work in works:
            if isinstance(work, Rejected):
                self.link_values(work.person)
            yield self.newest(work) if isinstance(work, Request) else work

    @property
    def leaves_all(self) -> bool:
        """Whether `newest` returns each request as it is, now and for rows that name no other origin."""
        return self._is_newest_run and not self._may_be_stale

    def newest(self, request: Request) -> Request | NotNewest:
        """Return *request* with only its newest values, or its outcome if it is not sent; raises StorageError.

        It is called again before each attempt: other runs may have sent the person meanwhile.
        """
        if self._is_newest_run and (self._monotonic() < self._changes.absent_until or not self._changes.is_open):
            # Nearly every row: it is of the newest run, and nothing is stored of others.
            return request
        return self._newest(request)

    def _newest(self, request: Request) -> Request | NotNewest:
        changes, origin = self._changes, self._origins.of(request.row)
        endpoint = changes.endpoint
        if not self._accept and self._is_unrecorded(request, origin):
            return Rejected(request.row, request.person, UNRECORDED)
        if not self._may_be_stale:
            return request
        people = changes.digests.people(request.person)
        since = changes.store().newer.set_since(people, origin)
        if since.is_known and not since.names:
            return request
        names = endpoint.property_names(request.body)
        newer = {name for name in names if changes.digests.name(name) in since.names}
        if not self._accept and self._is_doubtful(names, newer, is_known=since.is_known, run=origin.run):
            return Rejected(request.row, request.person, DOUBTFUL)
        if not since.is_known and not self._accept:
            return Superseded(request)
        # With --accept, a row of unknown origin is sent as it is: somebody has compared it.
        left = endpoint.without(request.body, set() if origin.run == UNKNOWN_RUN and self._accept else newer)
        return Superseded(request) if left is None else replace(request, body=left)

    def record_before_journal(self, outcome: Outcome | Unsettled, *, must_resend: bool = False) -> None:
        """Record what other rows need to know of *outcome*, before the journal gets it; raises StorageError.

        *must_resend* is whether its row goes to a retry file.
        """
        match outcome:
            case Sent() if must_resend or self._records_all or self._monotonic() >= self._changes.absent_until:
                if must_resend:
                    self._changes.watch_durably(outcome.request.person, self._since)
                if self._record(outcome.request):
                    # It survives a power cut before the journal does, which is synced after it.
                    self._changes.store().commit(power_safe=False)
            case Rejected():
                # Rows that the check rejects, which may be very many, were recorded when they were read.
                if must_resend and (outcome.attempts or outcome.reason.code == UNRECORDED.code) and outcome.person:
                    self._changes.watch_durably(outcome.person, self._since)
            case Sent() | Unsettled() | Superseded() | Unchanged():
                pass
            case _:
                if must_resend:
                    self._changes.watch_durably(outcome.request.person, self._since)

    def must_record(self) -> bool:
        """Whether what rows have set may be needed later; raises StorageError.

        People whom another run begins to watch from now on do not count: their row is newer than those of this run.
        """
        return self._records_all or (self._changes.is_open and self._changes.store().newer.watches_somebody)

    def record_unchanged(self, request: Request) -> None:
        """Record that the service has the values of *request*, for older rows; raises StorageError."""
        self._record(request)

    def _record(self, request: Request) -> bool:
        """Record what *request* has set if it may be needed later; return whether it may. Raises StorageError."""
        changes = self._changes
        if not self.link_values(request.person):
            return False
        people, names = changes.digests.people(request.person), changes.names_in(request)
        changes.store().newer.record(people, names, self._origins.of(request.row))
        return True

    def link_values(self, person: Person) -> bool:
        """Link the values of *person* if they may be needed later; return whether they may. Raises StorageError."""
        changes = self._changes
        if not (self._records_all or changes.is_open):
            return False
        newer, people = changes.store().newer, changes.digests.people(person)
        is_watched = newer.is_watched(people)
        if len(people) > 1 and (self._records_all or is_watched):
            newer.link(people, people[0])
            # A later row may name the person by any of these values.
            unwatched = [one for one in people if is_watched and not newer.is_watched((one,))]
            newer.watch(unwatched, since=max(self._since, changes.recorded_since))
        return self._records_all or is_watched

    def _is_unrecorded(self, request: Request, origin: Origin) -> bool:
        """Whether later runs may have sent the person of *request* without a full record of it."""
        if origin.run >= self._newest_run:
            return False
        changes = self._changes
        if request.row.retry_of is None:
            return changes.recorded_since > origin.run
        if not changes.is_open:
            return True
        # For a row of unknown origin, any record of its person is newer.
        since = _EVER if origin.run == UNKNOWN_RUN else origin.run
        people = changes.digests.people(request.person)
        return not changes.store().newer.is_complete(
            people, since=since, run=origin.run, besides=changes.unlinked_people
        )

    @staticmethod
    def _is_doubtful(names: Iterable[str], newer: Container[str], *, is_known: bool, run: int) -> bool:
        """Whether it is unknown if the consents among *names* are the newest.

        An earlier version recorded that the person was sent, but not which properties. A row whose *run* is not known
        may be newer than the row that has set the *newer* names.
        """
        return any(name in CONSENTS and (run == UNKNOWN_RUN if name in newer else not is_known) for name in names)

    @property
    def _may_be_stale(self) -> bool:
        if not self._changes.is_open:
            return False
        newest = self._changes.store().newer.newest_run()
        return newest is not None and (self._has_older or newest > self._run)


def watch_since(header: NumberedRun, *, is_retry: bool) -> int:
    """Return the run number after which runs record what they set of people with rows to resend in the run of *header*.

    While that run is interrupted, later runs record everybody. People in a retry file (*is_retry*) are recorded since
    the run that wrote it, if it knew them; else from this run on.
    """
    return header.order if is_retry else header.from_order
