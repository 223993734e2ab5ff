"""Fold a journal into what it says: totals, the resume point, the counts."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypeAlias

from uploader.counts import Counts, OutcomeCounts, Traffic
from uploader.model import Reason, RetryKind
from uploader.state.journal_records import (
    HELD,
    LETTERS,
    SENT,
    TAKEN,
    UNSETTLED,
    WORDS,
    Begun,
    spell_facts,
)
from uploader.state.line_checksums import link, links
from uploader.state.settled_rows import Bookmark

Fate: TypeAlias = RetryKind | Literal["accepted", "accepted or unchanged", "superseded", "not attempted"]
"""What became of a row, as far as a journal tells; `again` was accepted, and stands in the retry file."""

_OWED: Final[dict[int, RetryKind]] = {LETTERS[kind]: kind for kind in ("failed", "rejected", "again")}
_UNCHANGED: Final = LETTERS["unchanged"]
_SUPERSEDED: Final = LETTERS["superseded"]


@dataclass(frozen=True, slots=True)
class Owed:
    """A row that the retry file must hold, and why."""

    kind: RetryKind
    reason: Reason
    attempts: int


@dataclass(slots=True)
class Ledger:
    """Everything that one journal says.

    *settled* are the rows with an outcome, *owed* those that the retry file must hold. *replaced_by* has the row that
    has the last word on each superseded row (0: one of a later run). *unsure* are the rows that may have been sent
    twice (and *more_unsure* how many were dropped from a compacted journal). *outcomes* and *traffic* count rows and
    requests. *commands* are those that began the run, and went on with it. *size* and *checksum* are where the next
    line goes on: what lies behind was never written whole.

    States: without *begun* it is no run. A run is interrupted until *is_finished* or *is_abandoned*, of which one is
    true at most; *status* and *ended* are those of its last life, None while one is on.
    """

    begun: Begun | None = None
    settled: Bookmark = field(default_factory=Bookmark)
    owed: dict[int, Owed] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)
    more_unsure: int = 0
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    replaced_by: dict[int, int] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    held_seconds: float = 0.0
    seconds: float = 0.0
    lives: int = 0
    process: int = 0
    commands: set[str] = field(default_factory=set)
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

    @property
    def counts(self) -> Counts:
        """What became of every row; those without an outcome were not attempted."""
        return self.outcomes.counts(read=self.begun.rows if self.begun is not None else 0)

    def fate(self, number: int) -> Fate:
        """Return what became of the row *number*."""
        owed = self.owed.get(number)
        if owed is not None:
            return owed.kind
        if number in self.replaced_by:
            return "superseded"
        # The journal of a finished run does not tell accepted rows apart any more: they are all that it does not name.
        if not self.is_finished and number not in self.settled:
            return "not attempted"
        return "accepted or unchanged" if self.outcomes.unchanged else "accepted"


def fold(lines: Iterable[bytes]) -> Ledger:
    """Return what *lines* (with their line ends) say, up to the first that was not written whole."""
    ledger = Ledger()
    note_row, settle = _RowNotes(ledger).note, ledger.settled.add
    outcomes, traffic = ledger.outcomes, ledger.traffic
    for payload, checksum in links(lines):
        kind = payload[0] if payload else 0
        try:
            if kind == SENT and payload.endswith(_AT_ONCE):
                # Nearly every line: accepted at the first attempt, and no doubt about it.
                outcomes.sent += settle(int(payload[2:-2]))
                traffic.requests += 1
            elif kind in _ROW_KINDS:
                note_row(kind, payload)
            elif kind == _UNCHANGED:
                _note_unchanged(ledger, payload)
            elif kind == _SUPERSEDED:
                _note_superseded(ledger, payload)
            elif kind == HELD:
                ledger.held_seconds += float(payload[2:])
                traffic.limited += 1
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
    ledger.outcomes.unchanged += sum(ledger.settled.add(number) for number in range(first, last + 1))


def _note_superseded(ledger: Ledger, payload: bytes) -> None:
    number, by = map(int, payload[2:].split(b" "))
    if ledger.settled.add(number):
        ledger.replaced_by[number] = by
        ledger.outcomes.superseded += 1


_AT_ONCE: Final = b" 1"
_ROW_KINDS: Final = frozenset({SENT, UNSETTLED, *_OWED})
_REASONED: Final = frozenset({LETTERS["failed"], LETTERS["rejected"]})


class _RowNotes:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def note(self, kind: int, payload: bytes) -> None:
        ledger = self._ledger
        parts = payload.split(b" ", 3)
        number, counted = int(parts[1]), parts[2]
        if counted.endswith(b"!"):
            ledger.unsure.add(number)
            counted = counted[:-1]
        made_for_it = not counted.endswith(TAKEN)
        attempts = int(counted.removesuffix(TAKEN))
        code, phrase = json.loads(parts[3]) if kind in _REASONED else ("", "")
        if made_for_it:
            ledger.traffic.requests += attempts
            ledger.traffic.retries += max(0, attempts - 1)
        if kind == UNSETTLED or not ledger.settled.add(number):
            return
        owed = _OWED.get(kind)
        if owed is not None:
            ledger.owed[number] = Owed(owed, Reason(code, phrase), attempts)
        match owed:
            case None | "again":
                ledger.outcomes.sent += 1
            case "failed":
                ledger.outcomes.failed += 1
            case "rejected":
                ledger.outcomes.rejected += 1


_DROPPED_KINDS: Final = frozenset({b"s", b"u", b"h", b"n"})
_DROPPED_OUTCOMES: Final = ("sent", "unchanged")
_DROPPED_TRAFFIC: Final = ("requests", "retries", "limited")
"""What a compacted journal holds as totals, in the place of the lines that were dropped."""


def compacted(lines: Iterable[bytes], whole: Ledger) -> Iterator[bytes]:
    """Yield the lines of a finished journal that are still of use: the rows not accepted, and the totals of the rest.

    *whole* is what all *lines* fold to. What is yielded folds to the same totals; only the accepted rows are no longer
    told apart.
    """
    kept = [payload for payload, _ in links(lines) if payload[:1] not in _DROPPED_KINDS]
    left = fold(_chained(kept))
    facts: dict[str, float] = {}
    for name in _DROPPED_OUTCOMES:
        facts[name] = getattr(whole.outcomes, name) - getattr(left.outcomes, name)
    for name in _DROPPED_TRAFFIC:
        facts[name] = getattr(whole.traffic, name) - getattr(left.traffic, name)
    facts["held_seconds"] = whole.held_seconds - left.held_seconds
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
            ledger.unsure.update(facts.get("in_flight", ()))
            ledger.traffic.requests += len(facts.get("in_flight", ()))
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
            for counted, names in ((ledger.outcomes, _DROPPED_OUTCOMES), (ledger.traffic, _DROPPED_TRAFFIC)):
                for name in names:
                    setattr(counted, name, getattr(counted, name) + facts[name])
            ledger.held_seconds += facts["held_seconds"]
            ledger.more_unsure += facts["more_unsure"]
        case _:
            pass
