"""Keep a row from putting an older value over what a newer row has set, property by property."""

import re
from collections.abc import Container, Iterable, Iterator
from typing import Final, Protocol

from uploader.api import CONSENTS
from uploader.changes.change_detection import ChangeDetection
from uploader.mapping.payload_properties import property_names, without
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
"""Why a row is kept of which nobody knows whether its consents are the newest."""

UNRECORDED: Final = Reason(
    "order_unknown",
    "later runs may have sent this person, and it is not known what they set: compare, then delete the row, or send it "
    "as it is with --accept",
)
"""Why a row is kept of which nobody knows whether anything of it is the newest."""

_RUN: Final = re.compile(r"r(-?[0-9]{1,19})-([0-9a-f]{8})")
_EVER: Final = 2**62
"""A number above those of all runs."""


class NumberedRun(Protocol):
    """How a run began, as far as it tells which number it has, and which the run has that its rows are from."""

    @property
    def order(self) -> int:
        """Its own number."""

    @property
    def from_order(self) -> int:
        """The number of the run that its rows are from."""


class Origins:
    """Tells where the rows of one source came from first."""

    def __init__(self, header: NumberedRun, state_id: str, last_number: int) -> None:
        """Take how the run of the source has *header*.

        *state_id* is the ID of the folder that numbers runs, *last_number* the greatest that it has given.
        """
        self._run = header.from_order
        self._state_id = state_id
        self._last_number = last_number

    def of(self, record: Record) -> Origin:
        """Return the origin of *record*; of an unknown run, or one of another state folder, it is older than all."""
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
        """What a retry file says of the run that the rows are from; "" where that is not known."""
        return "" if self._run == UNKNOWN_RUN else f"r{self._run}-{self._state_id}"


class StaleRetries:
    """Take from each request of one source what newer accepted rows of the person have set.

    Who has a row in a retry file is watched from then on: what later rows set of them is noted, as names of properties,
    before the journal hears of these rows. While an older run is still to be continued, everybody is. A row waits for
    somebody to decide where later runs did not note all of its person.
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
        """Use what *changes* notes for the run that has *header*, whose rows are from *origins*.

        *newest_run* is the greatest number of another run that may have sent to the service. *has_older* is whether its
        rows may be older than some of the same run (those of a retry file), *records_all* whether an older run is still
        to be continued, *accept* sends the rows of which not all is known. Runs after *since* note what they set of the
        people to whom this run owes a row (see `watch_since`).
        """
        self._changes = changes
        self._run = header.from_order
        self._origins = origins
        self._newest_run = newest_run
        self._has_older = has_older
        self._records_all = records_all
        self._accept = accept
        self._since = since

    def without_stale(self, works: Iterator[Work | NoWork]) -> Iterator[Work | NoWork]:
        """Yield *works*, each request as far as it is the newest word on its person; raises StorageError."""
        for work in works:
            if isinstance(work, Rejected):
                self._link_values(work.person)
            yield self.newest(work) if isinstance(work, Request) else work

    def newest(self, request: Request) -> Request | NotNewest:
        """Return *request* as far as it is the newest word on its person, or what becomes of it; raises StorageError.

        It is asked again before each attempt: other runs may have sent the person meanwhile.
        """
        changes, origin = self._changes, self._origins.of(request.row)
        if not self._accept and self._is_unrecorded(request, origin):
            return Rejected(request.row, request.person, UNRECORDED)
        if not self._may_be_stale:
            return request
        people = changes.digests.people(request.person)
        since = changes.store().newer.set_since(people, origin)
        if since.is_known and not since.names:
            return request
        names = property_names(request)
        newer = {name for name in names if changes.digests.name(name) in since.names}
        if not self._accept and self._is_doubtful(names, newer, is_known=since.is_known, run=origin.run):
            return Rejected(request.row, request.person, DOUBTFUL)
        if not since.is_known and not self._accept:
            return Superseded(request)
        # What somebody has compared goes as it is.
        return without(request, set() if origin.run == UNKNOWN_RUN and self._accept else newer) or Superseded(request)

    def record_before_journal(self, outcome: Outcome | Unsettled, *, must_resend: bool) -> None:
        """Note, before the journal hears of *outcome*, what older and newer rows must know; raises StorageError.

        *must_resend* is whether its own row will stand in a retry file.
        """
        match outcome:
            case Sent():
                if must_resend:
                    self._changes.watch_durably(outcome.request.person, self._since)
                if self._record(outcome.request):
                    # It lasts through a power cut before the journal does, which is synced after it.
                    self._changes.store().commit(power_safe=False)
            case Rejected():
                # Of what the check rejects, which may be very many rows, note was taken when they came by.
                if must_resend and (outcome.attempts or outcome.reason.code == UNRECORDED.code) and outcome.person:
                    self._changes.watch_durably(outcome.person, self._since)
            case Unsettled() | Superseded() | Unchanged():
                pass
            case _:
                if must_resend:
                    self._changes.watch_durably(outcome.request.person, self._since)

    def must_record(self) -> bool:
        """Whether somebody may ask for what rows have set; raises StorageError.

        Who is watched by another run from now on is owed a row that is newer than those of this run.
        """
        return self._records_all or (self._changes.is_open and self._changes.store().newer.watches_somebody)

    def record_unchanged(self, request: Request) -> None:
        """Note that the service has what *request* says: older rows must know. Raises StorageError."""
        self._record(request)

    def _record(self, request: Request) -> bool:
        """Note what *request* has set, if somebody may ask, and return whether; raises StorageError."""
        changes = self._changes
        if not self._link_values(request.person):
            return False
        people, names = changes.digests.people(request.person), changes.digests.names(property_names(request))
        changes.store().newer.record(people, names, self._origins.of(request.row))
        return True

    def _link_values(self, person: Person) -> bool:
        """Note the values of *person* as those of one, if somebody may ask, and return whether; raises StorageError."""
        changes = self._changes
        if not (self._records_all or changes.is_open):
            return False
        newer, people = changes.store().newer, changes.digests.people(person)
        is_watched = newer.is_watched(people)
        if len(people) > 1 and (self._records_all or is_watched):
            newer.link(people, people[0])
            # Under whichever of these values a later row names the person.
            unwatched = [one for one in people if is_watched and not newer.is_watched((one,))]
            newer.watch(unwatched, since=max(self._since, changes.recorded_since))
        return self._records_all or is_watched

    def _is_unrecorded(self, request: Request, origin: Origin) -> bool:
        """Whether later runs may have sent the person of *request*, and not all of it was noted."""
        if origin.run >= self._newest_run:
            return False
        changes = self._changes
        if request.row.retry_of is None:
            return changes.recorded_since > origin.run
        if not changes.is_open:
            return True
        # Of a row of unknown origin, whatever was noted of its person is newer.
        since = _EVER if origin.run == UNKNOWN_RUN else origin.run
        people = changes.digests.people(request.person)
        return not changes.store().newer.is_complete(
            people, since=since, run=origin.run, besides=changes.unlinked_people
        )

    @staticmethod
    def _is_doubtful(names: Iterable[str], newer: Container[str], *, is_known: bool, run: int) -> bool:
        """Whether nobody knows if the consents among *names* are the newest.

        An earlier version noted that the person was sent, and not what; and a row whose *run* is not known may be newer
        than what has set the *newer* names.
        """
        return any(name in CONSENTS and (run == UNKNOWN_RUN if name in newer else not is_known) for name in names)

    @property
    def _may_be_stale(self) -> bool:
        if not self._changes.is_open:
            return False
        newest = self._changes.store().newer.newest_run()
        return newest is not None and (self._has_older or newest > self._run)


def watch_since(header: NumberedRun, *, is_retry: bool) -> int:
    """Return the number of the run after which all runs note whom the run that has *header* owes a row.

    While it is interrupted, they note everybody. Whoever is in a retry file (*is_retry*) was to be noted from the run
    on that wrote it, where that knew the person; else it is known from now on.
    """
    return header.order if is_retry else header.from_order
