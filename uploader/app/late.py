"""Keep a row from putting an older value over what a newer row has set, property by property."""

import re
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator
from itertools import islice
from typing import Final, TypeAlias

from uploader.app.checking import Job
from uploader.app.recall import Recall
from uploader.journal import Begun, Ledger
from uploader.mapper.bodies import property_names, without
from uploader.model import (
    UNKNOWN_RUN,
    Origin,
    Outcome,
    Passed,
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
from uploader.rules import CONSENTS

Deliver: TypeAlias = Callable[[Request], Awaitable[Outcome | Unsettled]]

DOUBTFUL: Final = Reason(
    "order_unknown",
    "a later run has sent this person, and it is not known whether it set the consents of this row: compare them, "
    "then delete the row, or send it as it is with --accept",
)
"""Why a row is kept of which nobody knows whether its consents are the newest."""

UNNOTED: Final = Reason(
    "order_unknown",
    "later runs may have sent this person, and it is not known what they set: compare, then delete the row, or send it "
    "as it is with --accept",
)
"""Why a row is kept of which nobody knows whether anything of it is the newest."""

_RUN: Final = re.compile(r"r(-?[0-9]{1,19})-([0-9a-f]{8})")
_EVER: Final = 2**62
"""A number above those of all runs."""


class Origins:
    """Tells where the rows of one source came from first."""

    def __init__(self, begun: Begun, state_id: str, last_number: int) -> None:
        """Take how the run of the source has *begun*.

        *state_id* is the ID of the folder that numbers runs, *last_number* the greatest that it has given.
        """
        self._run = begun.from_order
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


class Late:
    """Take from each request of one source what newer accepted rows of the person have set.

    Who has a row in a retry file is watched from then on: what later rows set of them is noted, as names of properties,
    before the journal hears of these rows. While an older run is still to be continued, everybody is. A row waits for
    somebody to decide where later runs did not note all of its person.
    """

    def __init__(  # noqa: PLR0913 — what is known of the run, each asked for by name
        self,
        recall: Recall,
        begun: Begun,
        origins: Origins,
        *,
        newest_run: int,
        has_older: bool,
        notes_all: bool,
        accept: bool,
        since: int,
    ) -> None:
        """Use what *recall* notes for the run that has *begun*, whose rows are from *origins*.

        *newest_run* is the greatest number of another run that may have sent to the service. *has_older* is whether its
        rows may be older than some of the same run (those of a retry file), *notes_all* whether an older run is still
        to be continued, *accept* sends the rows of which not all is known. Runs after *since* note what they set of the
        people to whom this run owes a row (see `watch_since`).
        """
        self._recall = recall
        self._run = begun.from_order
        self._origins = origins
        self._newest_run = newest_run
        self._has_older = has_older
        self._notes_all = notes_all
        self._accept = accept
        self._since = since

    def trimmed(self, works: Iterator[Work | Passed]) -> Iterator[Work | Passed]:
        """Yield *works*, each request as far as it is the newest word on its person; raises StorageError."""
        for work in works:
            if isinstance(work, Rejected):
                self._tie(work.person)
            yield self.newest(work) if isinstance(work, Request) else work

    def newest(self, request: Request) -> Request | Superseded | Rejected:
        """Return *request* as far as it is the newest word on its person, or what becomes of it; raises StorageError.

        It is asked again before each attempt: other runs may have sent the person meanwhile.
        """
        recall, origin = self._recall, self._origins.of(request.row)
        if not self._accept and self._is_unnoted(request, origin):
            return Rejected(request.row, request.person, UNNOTED)
        if not self._may_be_late:
            return request
        people = recall.digests.people(request.person)
        since = recall.memory().later.set_since(people, origin)
        if since.is_known and not since.names:
            return request
        names = property_names(request)
        newer = {name for name in names if recall.digests.name(name) in since.names}
        if not self._accept and self._is_doubtful(names, newer, is_known=since.is_known, run=origin.run):
            return Rejected(request.row, request.person, DOUBTFUL)
        if not since.is_known and not self._accept:
            return Superseded(request)
        # What somebody has compared goes as it is.
        return without(request, set() if origin.run == UNKNOWN_RUN and self._accept else newer) or Superseded(request)

    def before(self, outcome: Outcome | Unsettled, *, owed: bool) -> None:
        """Note, before the journal hears of *outcome*, what older and newer rows must know; raises StorageError.

        *owed* is whether its own row will stand in a retry file.
        """
        match outcome:
            case Sent():
                if owed:
                    self._recall.watch_at_once(outcome.request.person, self._since)
                if self._note(outcome.request):
                    # It lasts through a power cut before the journal does, which is synced after it.
                    self._recall.memory().commit(power_safe=False)
            case Rejected():
                # Of what the check rejects, which may be very many rows, note was taken when they came by.
                if owed and (outcome.attempts or outcome.reason.code == UNNOTED.code) and outcome.person:
                    self._recall.watch_at_once(outcome.person, self._since)
            case Unsettled() | Superseded() | Unchanged():
                pass
            case _:
                if owed:
                    self._recall.watch_at_once(outcome.request.person, self._since)

    def listens(self) -> bool:
        """Whether somebody may ask for what rows have set; raises StorageError.

        Who is watched by another run from now on is owed a row that is newer than those of this run.
        """
        return self._notes_all or (self._recall.is_open and self._recall.memory().later.watches_somebody)

    def note_unchanged(self, request: Request) -> None:
        """Note that the service has what *request* says: older rows must know. Raises StorageError."""
        self._note(request)

    def _note(self, request: Request) -> bool:
        """Note what *request* has set, if somebody may ask, and return whether; raises StorageError."""
        recall = self._recall
        if not self._tie(request.person):
            return False
        people, names = recall.digests.people(request.person), recall.digests.names(property_names(request))
        recall.memory().later.note(people, names, self._origins.of(request.row))
        return True

    def _tie(self, person: Person) -> bool:
        """Note the values of *person* as those of one, if somebody may ask, and return whether; raises StorageError."""
        recall = self._recall
        if not (self._notes_all or recall.is_open):
            return False
        later, people = recall.memory().later, recall.digests.people(person)
        is_watched = later.is_watched(people)
        if len(people) > 1 and (self._notes_all or is_watched):
            later.tie(people, people[0])
            # Under whichever of these values a later row names the person.
            unwatched = [one for one in people if is_watched and not later.is_watched((one,))]
            later.watch(unwatched, since=max(self._since, recall.noted_since))
        return self._notes_all or is_watched

    def _is_unnoted(self, request: Request, origin: Origin) -> bool:
        """Whether later runs may have sent the person of *request*, and not all of it was noted."""
        if origin.run >= self._newest_run:
            return False
        recall = self._recall
        if request.row.retry_of is None:
            return recall.noted_since > origin.run
        if not recall.is_open:
            return True
        # Of a row of unknown origin, whatever was noted of its person is newer.
        since = _EVER if origin.run == UNKNOWN_RUN else origin.run
        people = recall.digests.people(request.person)
        return not recall.memory().later.is_complete(people, since=since, run=origin.run, besides=recall.loose)

    @staticmethod
    def _is_doubtful(names: Iterable[str], newer: Container[str], *, is_known: bool, run: int) -> bool:
        """Whether nobody knows if the consents among *names* are the newest.

        An earlier version noted that the person was sent, and not what; and a row whose *run* is not known may be newer
        than what has set the *newer* names.
        """
        return any(name in CONSENTS and (run == UNKNOWN_RUN if name in newer else not is_known) for name in names)

    @property
    def _may_be_late(self) -> bool:
        if not self._recall.is_open:
            return False
        newest = self._recall.memory().later.newest_run()
        return newest is not None and (self._has_older or newest > self._run)


def watch_since(begun: Begun, *, is_retry: bool) -> int:
    """Return the number of the run after which all runs note whom the run that has *begun* owes a row.

    While it is interrupted, they note everybody. Whoever is in a retry file (*is_retry*) was to be noted from the run
    on that wrote it, where that knew the person; else it is known from now on.
    """
    return begun.order if is_retry else begun.from_order


def note_sent(job: Job, ledger: Ledger, recall: Recall) -> None:
    """Note what the interrupted run of *ledger* has sent already of the people whose rows *job* begins with.

    They are sent once more, and must not overwrite what later rows of the same file have set. Raises StorageError.
    """
    begun = ledger.begun
    assert begun is not None  # noqa: S101 — there is no run without it
    with job.source.read() as records:
        people = {value for record in islice(records, job.survey.read) for value in job.plan.person(record)}
    known = 0
    # Who is joined to them by a row is the same person, whichever row comes first.
    while job.plan.has_several_identities and known != (known := len(people)):
        with job.source.read() as records:
            for person in map(job.plan.person, records):
                if not people.isdisjoint(person):
                    people.update(person)
    with job.source.read() as records:
        for request in _sent_before(records, people, job, ledger):
            found, names = recall.digests.people(request.person), recall.digests.names(property_names(request))
            recall.memory().later.note(found, names, Origin(begun.from_order, request.row.number))
            recall.memory().later.tie(found, found[0])
    recall.commit()


def _sent_before(records: Iterable[Record], people: Container[str], job: Job, ledger: Ledger) -> Iterator[Request]:
    """Yield what the run of *ledger* has sent of *records* that are about *people*, identity values."""
    settled, left = ledger.settled, len(ledger.settled)
    for record in records:
        if left <= 0:
            break
        if record.number not in settled:
            continue
        left -= 1
        if ledger.superseded.get(record.number) == 0 or not any(value in people for value in job.plan.person(record)):
            continue
        owed = ledger.owed.get(record.number)
        request = job.plan.carry(record, "") if owed is None or owed.kind == "again" else None
        if isinstance(request, Request):
            yield request
