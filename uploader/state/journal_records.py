"""Spell what the journal keeps: one short line for each fact, nothing personal in it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal, TypeAlias

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

FORMAT: Final = 2
"""The version of these lines; a run that was begun in another one is not continued."""

Word: TypeAlias = Literal["begun", "life", "retry_file", "stopped", "finished", "abandoned", "totals"]
"""What a line with facts is about."""

_SHORT: Final[Mapping[Word, bytes]] = {
    "begun": b"+",
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
"""What the line of a row begins with, by its outcome; `again`: it was accepted, and stands in the retry file."""

SENT: Final = LETTERS["sent"]
AGAIN: Final = LETTERS["again"]
UNSETTLED: Final = ord("u")
RETRY_IDENTITY: Final = ord("i")
PAUSED: Final = ord("h")
MERGED: Final = b"^"
"""Behind the attempts of a row: they were made for another row, which took this one with it."""


@dataclass(frozen=True, slots=True)
class RunHeader:
    """How a run began: what is read, how it is mapped and where it goes; times as ISO 8601.

    *number* orders the runs of a state folder (0: an earlier version began it), *state* is the ID of that folder.
    *from_number* is the number of the run that rows without an origin of their own are from, 0 being this one. *key* is
    what the run is known by, *content* and *mapping* are digests, *rows* is the total of the check, of which *damaged*
    records can't be split into fields. *origin* is the run that the rows are from: that of a retry file, else this one.
    *full* is whether no row is passed over. *command* is the command over several SOURCEs that began it, *next_key*
    what the next one of them is known by.

    It has no states: it is written once, when the run begins.
    """

    run_id: str
    key: str
    source: str
    started: str
    base_url: str
    service_id: str
    content: str
    mapping: str
    rows: int
    damaged: int
    limit: int | None
    version: str
    origin: str = ""
    full: bool = False
    format: int = FORMAT
    number: int = 0
    from_number: int = 0
    state: str = ""
    command: str = ""
    next_key: str = ""

    @property
    def order(self) -> int:
        """The number of the run; a run that an earlier version began, which numbered none, has a negative one.

        So it is older than every numbered run, and among its like the one with the later ID is the newer one.
        """
        return self.number or number_of_old(self.run_id)

    @property
    def command_id(self) -> str:
        """The command that began the run; of an earlier version, whose runs name none, the second is known."""
        return self.command or self.started

    @property
    def from_order(self) -> int:
        """The number of the run that its rows are from, those that have no origin of their own."""
        return self.from_number or self.number or number_of_old(self.from_run)

    @property
    def from_run(self) -> str:
        """The run that the rows are from, as far as that is known; else this one, which has met them."""
        return self.origin or self.run_id

    def spell(self) -> bytes:
        """Return the line's payload."""
        return spell_facts("begun", asdict(self))


def spell_facts(word: Word, facts: Mapping[str, object]) -> bytes:
    """Return the payload of a line with *facts*."""
    return b"%b %b" % (_SHORT[word], json.dumps(facts, separators=(",", ":")).encode())


def has_ended(line: bytes) -> bool:
    """Whether *line*, the last one of a journal, says that the run is finished or abandoned."""
    _, _, payload = line.partition(b" ")
    return payload[:1] in {_SHORT["finished"], _SHORT["abandoned"]}


def spell_pause(seconds: float) -> bytes:
    """Return the payload that says that a limit reply held everybody for *seconds* more."""
    return b"h %.3f" % seconds


def spell_unchanged(first: int, last: int) -> bytes:
    """Return the payload that says that the rows from *first* to *last* were unchanged."""
    return b"n %d %d" % (first, last)


def spell_retry_identity(origin: bytes, identity: bytes) -> bytes:
    """Return the payload that keeps the keyed digests of the *origin* and the *identity* of a row to be sent again."""
    return b"%c %b %b" % (RETRY_IDENTITY, origin.hex().encode(), identity.hex().encode())


def spell_outcome(outcome: Outcome | Unsettled, *, again: bool) -> bytes:
    """Return the payload of one row's outcome; *again* is whether an accepted row must be sent again all the same."""
    if isinstance(outcome, Sent):
        mark, number = AGAIN if again else SENT, outcome.request.row.number
        return b"%c %d %d%b%b" % (mark, number, outcome.attempts, _merged_mark(outcome), _unsure_mark(outcome))
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


def _merged_mark(outcome: Sent | Failed | Rejected) -> bytes:
    return MERGED if outcome.merged_into else b""


def _unsure_mark(outcome: Sent | Failed | Rejected | Superseded | Unsettled) -> bytes:
    return b"!" if outcome.unsure else b""
