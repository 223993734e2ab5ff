"""Encode the records of the journal: one short line for each fact, without personal data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, TypeAlias

from uploader.api import EndpointName
from uploader.model import (
    Failed,
    Outcome,
    OutcomeKind,
    Rejected,
    RetryKind,
    Sent,
    Superseded,
    Unchanged,
    Unsettled,
    number_of_old,
    record_of,
)
from uploader.timeline import Interval, spell_interval

FORMAT: Final = 2
"""The version of these lines; a run that was started in another version is not resumed."""

Word: TypeAlias = Literal["started", "life", "retry_file", "stopped", "finished", "abandoned", "totals"]
"""What a line with facts is about. The words are part of the file format."""

_SHORT: Final[Mapping[Word, bytes]] = {
    "started": b"+",
    "life": b"l",
    "retry_file": b"o",
    "stopped": b"p",
    "finished": b"z",
    "abandoned": b"x",
    "totals": b"t",
}
WORDS: Final = {short[0]: word for word, short in _SHORT.items()}

LETTERS: Final[Mapping[OutcomeKind | RetryKind, int]] = {
    "sent": ord("s"),
    "again": ord("a"),
    "failed": ord("f"),
    "rejected": ord("r"),
    "unchanged": ord("n"),
    "superseded": ord("v"),
}
"""The first letter of a row's line, by its outcome; `again`: it was accepted, and is in the retry file too."""

SENT: Final = LETTERS["sent"]
AGAIN: Final = LETTERS["again"]
UNSETTLED: Final = ord("u")
RETRY_IDENTITY: Final = ord("i")
PAUSED: Final = ord("h")
REGISTERED: Final = ord("g")
INTERVAL: Final = ord("m")
MERGED: Final = b"^"
"""Follows the attempts of a row that was merged into another one: they were made for that one."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The service that a run sends to, and the *endpoint* there."""

    base_url: str
    service_id: str
    endpoint: EndpointName = "user-profile"


@dataclass(frozen=True, slots=True)
class RunBasis:
    """What must be the same for a run to be resumed: digests of *content* and *mapping*, the *format* of its lines."""

    content: str
    mapping: str
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """The *total* of the rows in the check, of which *damaged* can't be split into fields; *limit* is `--limit`."""

    total: int
    damaged: int
    limit: int | None


@dataclass(frozen=True, slots=True)
class RowOrigin:
    """Where the rows come from: the *run* that wrote a retry file ("": this one).

    *number* is that of the run that rows without an origin of their own come from (0: this one).
    """

    run: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Where a run stands among others: its *number* in the folder with the ID *state*, its *command*.

    *number* is 0 where an earlier version started it. *next_key* is the key of the next SOURCE of the command.
    """

    number: int = 0
    state: str = ""
    command: str = ""
    next_key: str = ""


@dataclass(frozen=True, slots=True)
class RunJob:
    """The *name* of a run's job, and the *key* of that; both are "" without a job, *key* also for a retry file."""

    name: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What a run sends: its source, its mapping and its destination; times as ISO 8601.

    *key* identifies the source and service of the run. *full* is whether unchanged rows are sent too.

    It has no states: it is written once, when the run starts.
    """

    run_id: str
    key: str
    source: str
    started: str
    destination: Destination
    basis: RunBasis
    rows: CheckedRows
    version: str
    origin: RowOrigin = RowOrigin()
    full: bool = False
    place: RunPlace = RunPlace()
    job: RunJob = RunJob()

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Return the header that a journal has as *facts*; keys of later versions are left out.

        Raises:
            LookupError: one of the keys that every version has is missing.
        """
        return cls(
            run_id=facts["run_id"],
            key=facts["key"],
            source=facts["source"],
            started=facts["started"],
            destination=Destination(facts["base_url"], facts["service_id"], facts.get("endpoint", "user-profile")),
            basis=RunBasis(facts["content"], facts["mapping"], facts.get("format", FORMAT)),
            rows=CheckedRows(facts["rows"], facts["damaged"], facts["limit"]),
            version=facts["version"],
            origin=RowOrigin(facts.get("origin", ""), facts.get("from_number", 0)),
            full=facts.get("full", False),
            place=RunPlace(
                facts.get("number", 0), facts.get("state", ""), facts.get("command", ""), facts.get("next_key", "")
            ),
            job=RunJob(facts.get("job", ""), facts.get("job_key", "")),
        )

    def facts(self) -> dict[str, object]:
        """Return the header as the journal has it: one key for each fact, which is part of the file format."""
        return {
            "run_id": self.run_id,
            "key": self.key,
            "source": self.source,
            "started": self.started,
            "base_url": self.destination.base_url,
            "service_id": self.destination.service_id,
            "content": self.basis.content,
            "mapping": self.basis.mapping,
            "rows": self.rows.total,
            "damaged": self.rows.damaged,
            "limit": self.rows.limit,
            "version": self.version,
            "origin": self.origin.run,
            "full": self.full,
            "format": self.basis.format,
            "number": self.place.number,
            "from_number": self.origin.number,
            "state": self.place.state,
            "command": self.place.command,
            "next_key": self.place.next_key,
            "endpoint": self.destination.endpoint,
            "job": self.job.name,
            "job_key": self.job.key,
        }

    @property
    def history_key(self) -> str:
        """The key by which later runs of the same job find it: that of the job, else of the file."""
        return self.job.key or self.key

    @property
    def order(self) -> int:
        """The number of the run; negative if an earlier version started it, which numbered no runs.

        So it is older than every numbered run. Among unnumbered runs, the one with the later ID is newer.
        """
        return self.place.number or number_of_old(self.run_id)

    @property
    def command_id(self) -> str:
        """The command that started the run; for an earlier version, which recorded none, the time of the start."""
        return self.place.command or self.started

    @property
    def from_order(self) -> int:
        """The number of the run that rows without an origin of their own come from."""
        return self.origin.number or self.place.number or number_of_old(self.from_run)

    @property
    def from_run(self) -> str:
        """The ID of the run that the rows come from; this one if no other is known."""
        return self.origin.run or self.run_id

    def spell(self) -> bytes:
        """Return the line's payload."""
        return spell_facts("started", self.facts())


def spell_facts(word: Word, facts: Mapping[str, object]) -> bytes:
    """Return the payload of a line with *facts*."""
    return b"%b %b" % (_SHORT[word], json.dumps(facts, separators=(",", ":")).encode())


def has_ended(line: bytes) -> bool:
    """Whether *line*, the last one of a journal, says that the run is finished or abandoned."""
    _, _, payload = line.partition(b" ")
    return payload[:1] in {_SHORT["finished"], _SHORT["abandoned"]}


def spell_pause(seconds: float) -> bytes:
    """Return the payload that says that a throttled reply paused all requests for *seconds* more."""
    return b"h %.3f" % seconds


def spell_registered(row: int, attempts: int) -> bytes:
    """Return the payload that says that the person of *row* was registered, with so many *attempts* of their own."""
    return b"%c %d %d" % (REGISTERED, row, attempts)


def spell_metrics(interval: Interval) -> bytes:
    """Return the payload that says what the run did in *interval*, for its report; no total comes from it."""
    return b"%c %b" % (INTERVAL, spell_interval(interval))


def spell_unchanged(first: int, last: int) -> bytes:
    """Return the payload that says that the rows from *first* to *last* were unchanged."""
    return b"n %d %d" % (first, last)


def spell_retry_identity(origin: bytes, identity: bytes) -> bytes:
    """Return the payload that keeps the keyed digests of the *origin* and the *identity* of a row to be sent again."""
    return b"%c %b %b" % (RETRY_IDENTITY, origin.hex().encode(), identity.hex().encode())


def spell_outcome(outcome: Outcome | Unsettled, *, again: bool) -> bytes:
    """Return the payload of one row's outcome; *again* is whether an accepted row must be sent again."""
    if isinstance(outcome, Sent):
        mark, number = AGAIN if again else SENT, outcome.request.row.number
        merged, unsure = MERGED if outcome.merged_into else b"", b"!" if outcome.unsure else b""
        return b"%c %d %d%b%b" % (mark, number, outcome.attempts, merged, unsure)
    number = record_of(outcome).number
    match outcome:
        case Unchanged():
            return spell_unchanged(number, number)
        case Superseded():
            own = b" %d%b" % (outcome.attempts, _unsure_mark(outcome)) if outcome.attempts else b""
            return b"v %d %d%b" % (number, outcome.by, own)
        case Unsettled():
            return b"u %d %d%b" % (number, outcome.attempts, _unsure_mark(outcome))
        case Failed() | Rejected():
            mark, reason = LETTERS[outcome.kind], json.dumps([outcome.reason.code, outcome.reason.phrase]).encode()
            return b"%c %d %d%b%b %b" % (
                mark,
                number,
                outcome.attempts,
                _merged_mark(outcome),
                _unsure_mark(outcome),
                reason,
            )


def _merged_mark(outcome: Failed | Rejected) -> bytes:
    return MERGED if outcome.merged_into else b""


def _unsure_mark(outcome: Failed | Rejected | Superseded | Unsettled) -> bytes:
    return b"!" if outcome.unsure else b""
