"""Keep a row from putting an older value over what a newer row has set, property by property."""

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol, TypeAlias

from uploader.api import CONSENTS
from uploader.changes.change_detection import ChangeDetection
from uploader.mapping.payload_properties import property_names, without
from uploader.model import (
    UNKNOWN_RUN,
    NoWork,
    Origin,
    Outcome,
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

Deliver: TypeAlias = Callable[[Request], Awaitable[Outcome | Unsettled]]

DOUBTFUL: Final = Reason(
    "order_unknown",
    "a later run has sent this person, and it is not known whether it set the consents of this row: compare them, "
    "then delete the row, or send it as it is with --accept",
)
"""Why a row is kept of which nobody knows whether its consents are the newest."""

UNRECORDED: Final = Reason(
    "order_unknown",
    "the identity of this row was not known until now, and later runs may have sent the person: compare, then delete "
    "the row, or send it as it is with --accept",
)
"""Why a row is kept of which nobody knows whether anything of it is the newest."""

_RUN: Final = re.compile(r"r(-?[0-9]{1,19})-([0-9a-f]{8})")


class NumberedRun(Protocol):
    """How a run began, as far as it tells which number the run has that its rows are from."""

    @property
    def from_order(self) -> int:
        """The number."""


class Origins:
    """Tells where the rows of one source came from first."""

    def __init__(self, header: NumberedRun, state_id: str) -> None:
        """Take how the run of the source has *header*, and the *state_id* of the folder that numbers runs."""
        self._run = header.from_order
        self._state_id = state_id

    def of(self, record: Record) -> Origin:
        """Return the origin of *record*; of an unknown run, or one of another state folder, it is older than all."""
        known = record.retry_of
        if known is None:
            return Origin(self._run, record.number)
        return Origin(self._number(known.run) if known.run else self._run, known.row)

    def _number(self, text: str) -> int:
        found = _RUN.fullmatch(text)
        return int(found[1]) if found is not None and found[2] == self._state_id else UNKNOWN_RUN

    @property
    def label(self) -> str:
        """What a retry file says of the run that the rows are from; "" where that is not known."""
        return "" if self._run == UNKNOWN_RUN else f"r{self._run}-{self._state_id}"


class StaleRetries:
    """Take from each request of one source what newer accepted rows of the person have set.

    Who has a row in a retry file is watched from then on: what later rows set of them is noted, as names of properties,
    before the journal hears of these rows. While an older run is still to be continued, everybody is.
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
    ) -> None:
        """Use what *changes* notes for the run that has *header*, whose rows are from *origins*.

        *newest_run* is the greatest number of another run that sends to the service. *has_older* is whether its rows
        may be older than some of the same run (those of a retry file), *records_all* whether an older run is still to
        be continued, *accept* sends the rows of which not all is known.
        """
        self._changes = changes
        self._run = header.from_order
        self._origins = origins
        self._newest_run = newest_run
        self._has_older = has_older
        self._records_all = records_all
        self._accept = accept

    def without_stale(self, works: Iterator[Work | NoWork]) -> Iterator[Work | NoWork]:
        """Yield *works*, each request as far as it is the newest word on its person; raises StorageError."""
        for work in works:
            yield self._without_stale(work) if isinstance(work, Request) else work

    def delivering_newest(self, deliver: Deliver) -> Deliver:
        """Return what lets *deliver* send what is still the newest: other rows were accepted since it was trimmed."""

        async def newest(request: Request) -> Outcome | Unsettled:
            left = self._without_stale(request)
            return await deliver(left) if isinstance(left, Request) else left

        return newest

    def record_before_journal(self, outcome: Outcome | Unsettled, *, must_resend: bool) -> None:
        """Note, before the journal hears of *outcome*, what older and newer rows must know; raises StorageError.

        *must_resend* is whether its own row will stand in a retry file.
        """
        match outcome:
            case Sent() | Unchanged():
                if must_resend:
                    self._changes.watch_durably(outcome.request.person)
                self._record(outcome.request)
            case Rejected():
                # Of what the check rejects, which may be very many rows, note was taken when they came by.
                if must_resend and outcome.attempts and outcome.person:
                    self._changes.watch_durably(outcome.person)
            case Unsettled() | Superseded():
                pass
            case _:
                if must_resend:
                    self._changes.watch_durably(outcome.request.person)

    def _record(self, request: Request) -> None:
        changes = self._changes
        if not (self._records_all or changes.is_open):
            return
        newer, people = changes.store().newer, changes.digests.people(request.person)
        if self._records_all or newer.is_watched(people):
            newer.record(people, changes.digests.names(property_names(request)), self._origins.of(request.row))
            changes.store().commit(power_safe=not self._records_all)

    def _without_stale(self, request: Request) -> Request | Superseded | Rejected:
        changes, origin = self._changes, self._origins.of(request.row)
        if self._is_unrecorded(request, origin):
            return Rejected(request.row, request.person, UNRECORDED)
        if not self._may_be_stale:
            return request
        people = changes.digests.people(request.person)
        since = changes.store().newer.set_since(people, origin)
        if since.is_known and not since.names:
            return request
        names = property_names(request)
        newer = {name for name in names if changes.digests.name(name) in since.names}
        if not since.is_known and not self._accept:
            # An earlier version noted that the person was sent, and not what.
            doubtful = any(name in CONSENTS and name not in newer for name in names)
            return Rejected(request.row, request.person, DOUBTFUL) if doubtful else Superseded(request)
        return without(request, newer) or Superseded(request)

    def _is_unrecorded(self, request: Request, origin: Origin) -> bool:
        """Whether later runs may have sent the person of *request*, and nothing was noted of it."""
        if request.row.retry_of is None or self._accept or origin.run >= self._newest_run:
            return False
        changes = self._changes
        return not (changes.is_open and changes.store().newer.is_watched(changes.digests.people(request.person)))

    @property
    def _may_be_stale(self) -> bool:
        if not self._changes.is_open:
            return False
        newest = self._changes.store().newer.newest_run()
        return newest is not None and (self._has_older or newest > self._run)
