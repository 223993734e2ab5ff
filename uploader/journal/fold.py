"""Fold a journal into what it says: totals, the resume point, the books."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypeAlias

from uploader.bookmark import Bookmark
from uploader.journal.chain import link, links
from uploader.journal.entries import (
    AGAIN,
    FAILED,
    HELD,
    REJECTED,
    SENT,
    SUPERSEDED,
    TAKEN,
    UNCHANGED,
    UNSETTLED,
    WORDS,
    Begun,
    spell_facts,
)
from uploader.model import Reason
from uploader.tally import Books

OwedKind: TypeAlias = Literal["failed", "rejected", "again"]

_KINDS: Final[dict[int, OwedKind]] = {FAILED: "failed", REJECTED: "rejected", AGAIN: "again"}


@dataclass(frozen=True, slots=True)
class Owed:
    """A row that the retry file must hold, and why."""

    kind: OwedKind
    reason: Reason
    attempts: int


@dataclass(slots=True)
class Ledger:
    """Everything that one journal says.

    *settled* are the rows with an outcome, *owed* those that the retry file must hold, *superseded* those that another
    row has the last word on, with that row (0: of a later run), *unsure* those that may have been sent twice (and
    *more_unsure* how many were dropped from a compacted journal). *commands* are those that began the run, and went on
    with it, *last_number* is the number that the last of them has drawn. *size* and *checksum* are where the next line
    goes on: what lies behind was never written whole.
    """

    begun: Begun | None = None
    settled: Bookmark = field(default_factory=Bookmark)
    owed: dict[int, Owed] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)
    more_unsure: int = 0
    sent: int = 0
    unchanged: int = 0
    superseded: dict[int, int] = field(default_factory=dict)
    rejected: int = 0
    failed: int = 0
    requests: int = 0
    retries: int = 0
    limited: int = 0
    held_seconds: float = 0.0
    seconds: float = 0.0
    lives: int = 0
    process: int = 0
    commands: set[str] = field(default_factory=set)
    last_number: int = 0
    retry_file: str | None = None
    status: int | None = None
    ended: str | None = None
    is_finished: bool = False
    is_abandoned: bool = False
    size: int = 0
    checksum: int = 0

    @property
    def maybe_sent_twice(self) -> int:
        """How many rows may have been sent twice."""
        return len(self.unsure) + self.more_unsure

    @property
    def is_interrupted(self) -> bool:
        """Whether the run can be continued."""
        return self.begun is not None and not self.is_finished and not self.is_abandoned

    def note_attempts(self, number: int, counted: bytes) -> int:
        """Take the attempts of row *number* as a line has *counted* them, and return how many they are."""
        if counted.endswith(b"!"):
            self.unsure.add(number)
            counted = counted[:-1]
        attempts = int(counted.removesuffix(TAKEN))
        if not counted.endswith(TAKEN):
            self.requests += attempts
            self.retries += max(0, attempts - 1)
        return attempts

    @property
    def books(self) -> Books:
        """What became of every row; those without an outcome were not attempted."""
        rows = self.begun.rows if self.begun is not None else 0
        superseded = len(self.superseded)
        done = self.sent + self.unchanged + superseded + self.rejected + self.failed
        return Books(
            rows,
            sent=self.sent,
            unchanged=self.unchanged,
            superseded=superseded,
            rejected=self.rejected,
            failed=self.failed,
            not_attempted=rows - done,
        )


def fold(lines: Iterable[bytes]) -> Ledger:
    """Return what *lines* (with their line ends) say, up to the first that was not written whole."""
    ledger = Ledger()
    note_row, settle = _RowNotes(ledger).note, ledger.settled.add
    for payload, checksum in links(lines):
        kind = payload[0] if payload else 0
        try:
            if kind == SENT and payload.endswith(_AT_ONCE):
                # Nearly every line: accepted at the first attempt, and no doubt about it.
                ledger.sent += settle(int(payload[2:-2]))
                ledger.requests += 1
            elif kind in _ROW_KINDS:
                note_row(kind, payload)
            elif kind == UNCHANGED:
                _note_unchanged(ledger, payload)
            elif kind == SUPERSEDED:
                _note_superseded(ledger, payload)
            elif kind == HELD:
                ledger.held_seconds += float(payload[2:])
                ledger.limited += 1
            elif kind in WORDS:
                _note_facts(ledger, WORDS[kind], json.loads(payload[2:]))
        except (ValueError, LookupError, TypeError, AttributeError):
            # Only another version of the program can have written it, and its runs are not continued.
            break
        ledger.size += len(payload) + 10
        ledger.checksum = checksum
    return ledger


def _note_unchanged(ledger: Ledger, payload: bytes) -> None:
    first, last = map(int, payload[2:].split(b" "))
    ledger.unchanged += sum(ledger.settled.add(number) for number in range(first, last + 1))


def _note_superseded(ledger: Ledger, payload: bytes) -> None:
    number, by, *own = payload[2:].split(b" ")
    for counted in own:
        ledger.note_attempts(int(number), counted)
    if ledger.settled.add(int(number)):
        ledger.superseded[int(number)] = int(by)


_AT_ONCE: Final = b" 1"
_ROW_KINDS: Final = frozenset({SENT, AGAIN, FAILED, REJECTED, UNSETTLED})
_REASONED: Final = frozenset({FAILED, REJECTED})


class _RowNotes:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def note(self, kind: int, payload: bytes) -> None:
        ledger = self._ledger
        parts = payload.split(b" ", 3)
        number, counted = int(parts[1]), parts[2]
        attempts = ledger.note_attempts(number, counted)
        code, phrase = json.loads(parts[3]) if kind in _REASONED else ("", "")
        if kind == UNSETTLED or not ledger.settled.add(number):
            return
        if kind == SENT:
            ledger.sent += 1
            return
        ledger.owed[number] = Owed(_KINDS[kind], Reason(code, phrase), attempts)
        if kind == AGAIN:
            ledger.sent += 1
        elif kind == FAILED:
            ledger.failed += 1
        else:
            ledger.rejected += 1


_DROPPED_KINDS: Final = frozenset({b"s", b"u", b"h", b"n"})
_DROPPED: Final = ("sent", "unchanged", "requests", "retries", "limited", "held_seconds", "more_unsure")
"""What a compacted journal holds as totals, in the place of the lines that were dropped."""


def compacted(lines: Iterable[bytes], whole: Ledger) -> Iterator[bytes]:
    """Yield the lines of a finished journal that are still of use: the rows not accepted, and the totals of the rest.

    *whole* is what all *lines* fold to. What is yielded folds to the same totals; only the accepted rows are no longer
    told apart.
    """
    kept = [payload for payload, _ in links(lines) if payload[:1] not in _DROPPED_KINDS]
    left = fold(_chained(kept))
    facts = {name: getattr(whole, name) - getattr(left, name) for name in _DROPPED}
    facts["more_unsure"] = whole.maybe_sent_twice - left.maybe_sent_twice
    yield from _chained([*kept[:1], spell_facts("totals", facts), *kept[1:]])


def _chained(payloads: Iterable[bytes]) -> Iterator[bytes]:
    checksum = 0
    for payload in payloads:
        line, checksum = link(payload, checksum)
        yield line


def _note_facts(ledger: Ledger, word: str, facts: dict[str, Any]) -> None:
    match word:
        case "begun":
            known = {one.name for one in fields(Begun)}
            ledger.begun = Begun(**{name: value for name, value in facts.items() if name in known})
            ledger.commands.add(ledger.begun.command_id)
        case "life":
            ledger.lives += 1
            ledger.process = facts["pid"]
            ledger.commands.update(filter(None, [facts.get("command")]))
            ledger.last_number = max(ledger.last_number, facts.get("number", 0))
            ledger.unsure.update(facts.get("in_flight", ()))
            ledger.requests += len(facts.get("in_flight", ()))
            ledger.status = ledger.ended = None
        case "retry_file":
            ledger.retry_file = facts["path"]
        case "stopped" | "finished":
            ledger.status, ledger.ended = facts["status"], facts["at"]
            ledger.seconds += facts.get("seconds", 0.0)
            ledger.is_finished = word == "finished"
        case "abandoned":
            ledger.is_abandoned = True
        case "totals":
            for name in _DROPPED:
                setattr(ledger, name, getattr(ledger, name) + facts[name])
        case _:
            pass
