"""Keep a row from putting an older value over what a newer row has set, property by property."""

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol, TypeAlias

from uploader.api import CONSENTS
from uploader.changes.change_detection import Recall
from uploader.mapping.payload_properties import property_names, without
from uploader.model import (
    UNKNOWN_RUN,
    Origin,
    Outcome,
    Passed,
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

UNNOTED: Final = Reason(
    "order_unknown",
    "the identity of this row was not known until now, and later runs may have sent the person: compare, then delete "
    "the row, or send it as it is with --accept",
)
"""Why a row is kept of which nobody knows whether anything of it is the newest."""

_RUN: Final = re.compile(r"r(-?[0-9]{1,19})-([0-9a-f]{8})")


class Numbered(Protocol):
    """How a run began, as far as it tells which number the run has that its rows are from."""

    @property
    def from_order(self) -> int:
        """The number."""


class Origins:
    """Tells where the rows of one source came from first."""

    def __init__(self, begun: Numbered, state_id: str) -> None:
        """Take how the run of the source has *begun*, and the *state_id* of the folder that numbers runs."""
        self._run = begun.from_order
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


class Late:
    """Take from each request of one source what newer accepted rows of the person have set.

    Who has a row in a retry file is watched from then on: what later rows set of them is noted, as names of properties,
    before the journal hears of these rows. While an older run is still to be continued, everybody is.
    """

    def __init__(  # noqa: PLR0913 — what is known of the run, each asked for by name
        self,
        recall: Recall,
        begun: Numbered,
        origins: Origins,
        *,
        newest_run: int,
        has_older: bool,
        notes_all: bool,
        accept: bool,
    ) -> None:
        """Use what *recall* notes for the run that has *begun*, whose rows are from *origins*.

        *newest_run* is the greatest number of another run that sends to the service. *has_older* is whether its rows
        may be older than some of the same run (those of a retry file), *notes_all* whether an older run is still to be
        continued, *accept* sends the rows of which not all is known.
        """
        self._recall = recall
        self._run = begun.from_order
        self._origins = origins
        self._newest_run = newest_run
        self._has_older = has_older
        self._notes_all = notes_all
        self._accept = accept

    def trimmed(self, works: Iterator[Work | Passed]) -> Iterator[Work | Passed]:
        """Yield *works*, each request as far as it is the newest word on its person; raises StorageError."""
        for work in works:
            yield self._trimmed(work) if isinstance(work, Request) else work

    def delivering(self, deliver: Deliver) -> Deliver:
        """Return what lets *deliver* send what is still the newest: other rows were accepted since it was trimmed."""

        async def newest(request: Request) -> Outcome | Unsettled:
            left = self._trimmed(request)
            return await deliver(left) if isinstance(left, Request) else left

        return newest

    def before(self, outcome: Outcome | Unsettled, *, owed: bool) -> None:
        """Note, before the journal hears of *outcome*, what older and newer rows must know; raises StorageError.

        *owed* is whether its own row will stand in a retry file.
        """
        match outcome:
            case Sent() | Unchanged():
                if owed:
                    self._recall.watch_at_once(outcome.request.person)
                self._note(outcome.request)
            case Rejected():
                # Of what the check rejects, which may be very many rows, note was taken when they came by.
                if owed and outcome.attempts and outcome.person:
                    self._recall.watch_at_once(outcome.person)
            case Unsettled() | Superseded():
                pass
            case _:
                if owed:
                    self._recall.watch_at_once(outcome.request.person)

    def _note(self, request: Request) -> None:
        recall = self._recall
        if not (self._notes_all or recall.is_open):
            return
        later, people = recall.memory().later, recall.digests.people(request.person)
        if self._notes_all or later.is_watched(people):
            later.note(people, recall.digests.names(property_names(request)), self._origins.of(request.row))
            recall.memory().commit(power_safe=not self._notes_all)

    def _trimmed(self, request: Request) -> Request | Superseded | Rejected:
        recall, origin = self._recall, self._origins.of(request.row)
        if self._is_unnoted(request, origin):
            return Rejected(request.row, request.person, UNNOTED)
        if not self._may_be_late:
            return request
        people = recall.digests.people(request.person)
        since = recall.memory().later.set_since(people, origin)
        if since.is_known and not since.names:
            return request
        names = property_names(request)
        newer = {name for name in names if recall.digests.name(name) in since.names}
        if not since.is_known and not self._accept:
            # An earlier version noted that the person was sent, and not what.
            doubtful = any(name in CONSENTS and name not in newer for name in names)
            return Rejected(request.row, request.person, DOUBTFUL) if doubtful else Superseded(request)
        return without(request, newer) or Superseded(request)

    def _is_unnoted(self, request: Request, origin: Origin) -> bool:
        """Whether later runs may have sent the person of *request*, and nothing was noted of it."""
        if request.row.retry_of is None or self._accept or origin.run >= self._newest_run:
            return False
        recall = self._recall
        return not (recall.is_open and recall.memory().later.is_watched(recall.digests.people(request.person)))

    @property
    def _may_be_late(self) -> bool:
        if not self._recall.is_open:
            return False
        newest = self._recall.memory().later.newest_run()
        return newest is not None and (self._has_older or newest > self._run)
