"""Fold a journal into what it says: totals, the resume point, the books."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypeAlias

from uploader.counts import Books
from uploader.model import Reason
from uploader.state.journal_records import (
    AGAIN,
    FAILED,
    MERGED,
    PAUSED,
    REJECTED,
    SENT,
    SUPERSEDED,
    UNCHANGED,
    UNSETTLED,
    WORDS,
    RunHeader,
    spell_facts,
)
from uploader.state.line_checksums import link, links
from uploader.state.settled_rows import SettledRows

ResendKind: TypeAlias = Literal["failed", "rejected", "again"]

_KINDS: Final[dict[int, ResendKind]] = {FAILED: "failed", REJECTED: "rejected", AGAIN: "again"}


@dataclass(frozen=True, slots=True)
class RowToResend:
    """A row that the retry file must hold, and why."""

    kind: ResendKind
    reason: Reason
    attempts: int


@dataclass(slots=True)
class RunState:
    """Everything that one journal says.

    *settled* are the rows with an outcome, *to_resend* those that the retry file must hold, *superseded* those that
    another row has the last word on, with that row (0: of a later run), *unsure* those that may have been sent twice
    (and *more_unsure* how many were dropped from a compacted journal). *commands* are those that began the run, and
    went on with it. *size* and *checksum* are where the next line goes on: what lies behind was never written whole.

    States of the run: interrupted, and to be resumed; finished, where a compacted journal has counts in the place of
    accepted rows; and abandoned, where another run was begun in its place.
    """

    header: RunHeader | None = None
    settled: SettledRows = field(default_factory=SettledRows)
    to_resend: dict[int, RowToResend] = field(default_factory=dict)
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
    sessions: int = 0
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
        return self.header is not None and not self.is_finished and not self.is_abandoned

    @property
    def books(self) -> Books:
        """What became of every row; those without an outcome were not attempted."""
        rows = self.header.rows if self.header is not None else 0
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


def replay(lines: Iterable[bytes]) -> RunState:
    """Return what *lines* (with their line ends) say, up to the first that was not written whole."""
    run_state = RunState()
    replay_row, settle = _RowReplay(run_state).replay, run_state.settled.add
    for payload, checksum in links(lines):
        kind = payload[0] if payload else 0
        try:
            if kind == SENT and payload.endswith(_AT_ONCE):
                # Nearly every line: accepted at the first attempt, and no doubt about it.
                run_state.sent += settle(int(payload[2:-2]))
                run_state.requests += 1
            elif kind in _ROW_KINDS:
                replay_row(kind, payload)
            elif kind == UNCHANGED:
                _replay_unchanged(run_state, payload)
            elif kind == SUPERSEDED:
                _replay_superseded(run_state, payload)
            elif kind == PAUSED:
                run_state.held_seconds += float(payload[2:])
                run_state.limited += 1
            elif kind in WORDS:
                _replay_facts(run_state, WORDS[kind], json.loads(payload[2:]))
        except (ValueError, LookupError, TypeError, AttributeError):
            # Only another version of the program can have written it, and its runs are not continued.
            break
        run_state.size += len(payload) + 10
        run_state.checksum = checksum
    return run_state


def _replay_unchanged(run_state: RunState, payload: bytes) -> None:
    first, last = map(int, payload[2:].split(b" "))
    run_state.unchanged += sum(run_state.settled.add(number) for number in range(first, last + 1))


def _replay_superseded(run_state: RunState, payload: bytes) -> None:
    number, by = map(int, payload[2:].split(b" "))
    if run_state.settled.add(number):
        run_state.superseded[number] = by


_AT_ONCE: Final = b" 1"
_ROW_KINDS: Final = frozenset({SENT, AGAIN, FAILED, REJECTED, UNSETTLED})
_REASONED: Final = frozenset({FAILED, REJECTED})


class _RowReplay:
    def __init__(self, run_state: RunState) -> None:
        self._run_state = run_state

    def replay(self, kind: int, payload: bytes) -> None:
        run_state = self._run_state
        parts = payload.split(b" ", 3)
        number, counted = int(parts[1]), parts[2]
        if counted.endswith(b"!"):
            run_state.unsure.add(number)
            counted = counted[:-1]
        is_own_request = not counted.endswith(MERGED)
        attempts = int(counted.removesuffix(MERGED))
        code, phrase = json.loads(parts[3]) if kind in _REASONED else ("", "")
        if is_own_request:
            run_state.requests += attempts
            run_state.retries += max(0, attempts - 1)
        if kind == UNSETTLED or not run_state.settled.add(number):
            return
        if kind == SENT:
            run_state.sent += 1
            return
        run_state.to_resend[number] = RowToResend(_KINDS[kind], Reason(code, phrase), attempts)
        if kind == AGAIN:
            run_state.sent += 1
        elif kind == FAILED:
            run_state.failed += 1
        else:
            run_state.rejected += 1


_DROPPED_KINDS: Final = frozenset({b"s", b"u", b"h", b"n"})
_DROPPED: Final = ("sent", "unchanged", "requests", "retries", "limited", "held_seconds", "more_unsure")
"""What a compacted journal holds as totals, in the place of the lines that were dropped."""


def compacted(lines: Iterable[bytes], whole: RunState) -> Iterator[bytes]:
    """Yield the lines of a finished journal that are still of use: the rows not accepted, and the totals of the rest.

    *whole* is what all *lines* fold to. What is yielded folds to the same totals; only the accepted rows are no longer
    told apart.
    """
    kept = [payload for payload, _ in links(lines) if payload[:1] not in _DROPPED_KINDS]
    kept_state = replay(_chained(kept))
    facts = {name: getattr(whole, name) - getattr(kept_state, name) for name in _DROPPED}
    facts["more_unsure"] = whole.maybe_sent_twice - kept_state.maybe_sent_twice
    yield from _chained([*kept[:1], spell_facts("totals", facts), *kept[1:]])


def _chained(payloads: Iterable[bytes]) -> Iterator[bytes]:
    checksum = 0
    for payload in payloads:
        line, checksum = link(payload, checksum)
        yield line


def _replay_facts(run_state: RunState, word: str, facts: dict[str, Any]) -> None:
    match word:
        case "begun":
            known = {one.name for one in fields(RunHeader)}
            run_state.header = RunHeader(**{name: value for name, value in facts.items() if name in known})
            run_state.commands.add(run_state.header.command_id)
        case "life":
            run_state.sessions += 1
            run_state.process = facts["pid"]
            run_state.commands.update(filter(None, [facts.get("command")]))
            run_state.unsure.update(facts.get("in_flight", ()))
            run_state.requests += len(facts.get("in_flight", ()))
            run_state.status = run_state.ended = None
        case "retry_file":
            run_state.retry_file = facts["path"]
        case "stopped" | "finished":
            run_state.status, run_state.ended = facts["status"], facts["at"]
            run_state.seconds += facts.get("seconds", 0.0)
            run_state.is_finished = word == "finished"
        case "abandoned":
            run_state.is_abandoned = True
        case "totals":
            for name in _DROPPED:
                setattr(run_state, name, getattr(run_state, name) + facts[name])
        case _:
            pass
