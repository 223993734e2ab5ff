"""Read a journal into the state of its run: settled rows, totals and counts."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from uploader.counts import Counts, OutcomeCounts, Traffic
from uploader.model import Reason, RetryKind
from uploader.state.journal_records import (
    INTERVAL,
    LETTERS,
    MERGED,
    PAUSED,
    REGISTERED,
    RETRY_IDENTITY,
    SENT,
    UNSETTLED,
    WORDS,
    RunHeader,
    spell_facts,
    spell_metrics,
)
from uploader.state.line_checksums import link, links
from uploader.state.settled_rows import SettledRows
from uploader.timeline import Interval, fewer_intervals, read_interval

Fate: TypeAlias = RetryKind | Literal["accepted", "accepted or unchanged", "superseded", "not attempted"]
"""What became of a row, as far as its journal says; `again`: it was accepted, and is in the retry file too."""

_TO_RESEND: Final[dict[int, RetryKind]] = {LETTERS[kind]: kind for kind in ("failed", "rejected", "again")}
_UNCHANGED: Final = LETTERS["unchanged"]
_SUPERSEDED: Final = LETTERS["superseded"]


@dataclass(frozen=True, slots=True)
class RowToResend:
    """A row that the retry file must hold, and why."""

    kind: RetryKind
    reason: Reason
    attempts: int


@dataclass(slots=True)
class Sessions:
    """What the journal says of the sessions of a run: the commands that started or resumed it.

    *process* is that of the last session, *last_number* the number that its run got. *seconds* is how long those took
    that are over, *open_seconds* what is known of the last one as long as the journal has no end of it: it runs, or was
    killed. *held_seconds* is how long a throttled reply paused all requests.
    """

    count: int = 0
    process: int = 0
    commands: set[str] = field(default_factory=set)
    last_number: int = 0
    seconds: float = 0.0
    open_seconds: float = 0.0
    held_seconds: float = 0.0

    @property
    def all_seconds(self) -> float:
        """How long all of them took, as far as the journal knows."""
        return self.seconds + self.open_seconds

    def end(self, seconds: float) -> None:
        """End the last one: *seconds* is how long all took until now."""
        self.seconds, self.open_seconds = seconds, 0.0


@dataclass(slots=True)
class UnsureRows:
    """The rows that may have been sent twice; *dropped* is how many such rows a compacted journal has dropped."""

    rows: set[int] = field(default_factory=set)
    dropped: int = 0

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.rows) + self.dropped


@dataclass(slots=True)
class JournalEnd:
    """How the run, or its last session, ended: the exit *status*, and the time *at* which (None: not at all)."""

    status: int | None = None
    at: str | None = None
    is_finished: bool = False
    is_abandoned: bool = False


@dataclass(slots=True)
class WrittenPart:
    """Where the next line is appended: anything behind *size* was never written whole; *checksum* is the last one."""

    size: int = 0
    checksum: int = 0


@dataclass(slots=True)
class RunState:
    """Everything that one journal says.

    *settled* are the rows with an outcome, *to_resend* those that the retry file must hold. *replaced_by* gives for
    each superseded row the newer row (0: one of a later run). *outcomes* and *traffic* count rows and requests.
    *retry_identities* are keyed digests of the identities of rows to be sent again, by the digest of the row's origin.

    States of the run: interrupted (it can be resumed), finished (a compacted journal has counts in place of accepted
    rows), and abandoned (another run was started in its place).
    """

    header: RunHeader | None = None
    settled: SettledRows = field(default_factory=SettledRows)
    to_resend: dict[int, RowToResend] = field(default_factory=dict)
    unsure: UnsureRows = field(default_factory=UnsureRows)
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    replaced_by: dict[int, int] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    sessions: Sessions = field(default_factory=Sessions)
    retry_file: str | None = None
    retry_identities: dict[bytes, set[bytes]] = field(default_factory=dict)
    end: JournalEnd = field(default_factory=JournalEnd)
    written: WrittenPart = field(default_factory=WrittenPart)

    @property
    def maybe_sent_twice(self) -> int:
        """How many rows may have been sent twice."""
        return self.unsure.count

    @property
    def is_finished(self) -> bool:
        """Whether every row of the run has an outcome."""
        return self.end.is_finished

    @property
    def is_abandoned(self) -> bool:
        """Whether another run was started in its place."""
        return self.end.is_abandoned

    @property
    def is_interrupted(self) -> bool:
        """Whether the run can be resumed."""
        return self.header is not None and not self.is_finished and not self.is_abandoned

    def add_attempts(self, number: int, counted: bytes) -> int:
        """Add the attempts of row *number* from the field *counted* of its line; return how many they are."""
        if counted.endswith(b"!"):
            self.unsure.rows.add(number)
            counted = counted[:-1]
        attempts = int(counted.removesuffix(MERGED))
        if not counted.endswith(MERGED):
            self.traffic.add_attempts(attempts)
        return attempts

    @property
    def counts(self) -> Counts:
        """What became of every row; those without an outcome were not attempted."""
        return self.outcomes.counts(read=self.header.rows.total if self.header is not None else 0)

    def fate(self, number: int) -> Fate:
        """Return what became of the row *number*."""
        resend = self.to_resend.get(number)
        if resend is not None:
            return resend.kind
        if number in self.replaced_by:
            return "superseded"
        # The compacted journal of a finished run names no accepted rows: all rows that it does not name are accepted.
        if not self.is_finished and number not in self.settled:
            return "not attempted"
        return "accepted or unchanged" if self.outcomes.unchanged else "accepted"


def replay(lines: Iterable[bytes]) -> RunState:
    """Return the state of the run from *lines* (with line ends), up to the first that was not written whole."""
    run_state, at_once = RunState(), list[int]()
    written = run_state.written
    for payload, checksum in links(lines):
        kind = payload[0] if payload else 0
        try:
            if kind == SENT and payload.endswith(_AT_ONCE):
                # The fast path of nearly every line: accepted at the first attempt, and not marked as unsure.
                at_once.append(int(payload[2:-2]))
                if len(at_once) >= _MANY:
                    _settle_at_once(run_state, at_once)
            else:
                _settle_at_once(run_state, at_once)
                _replay_line(run_state, kind, payload)
        except (ValueError, LookupError, TypeError, AttributeError):
            # Only another version of the program can have written it, and its runs are not resumed.
            break
        written.size += len(payload) + 10
        written.checksum = checksum
    _settle_at_once(run_state, at_once)
    return run_state


def _settle_at_once(run_state: RunState, numbers: list[int]) -> None:
    """Settle the rows with these *numbers*, which were accepted at the first attempt, and empty the list."""
    run_state.outcomes.sent += run_state.settled.add_all(numbers)
    run_state.traffic.requests += len(numbers)
    numbers.clear()


def _replay_line(run_state: RunState, kind: int, payload: bytes) -> None:
    if kind in _ROW_KINDS:
        _replay_row(run_state, kind, payload)
    elif kind == _UNCHANGED:
        _replay_unchanged(run_state, payload)
    elif kind == _SUPERSEDED:
        _replay_superseded(run_state, payload)
    elif kind in {PAUSED, REGISTERED}:
        _replay_traffic(run_state, kind, payload)
    elif kind == INTERVAL:
        interval = read_interval(payload[2:])
        run_state.sessions.open_seconds += 0.0 if interval is None else interval.seconds
    elif kind == RETRY_IDENTITY:
        origin, identity = map(bytes.fromhex, payload[2:].decode().split(" "))
        run_state.retry_identities.setdefault(origin, set()).add(identity)
    elif kind in WORDS:
        _replay_facts(run_state, WORDS[kind], json.loads(payload[2:]))


def _replay_traffic(run_state: RunState, kind: int, payload: bytes) -> None:
    if kind == PAUSED:
        run_state.sessions.held_seconds += float(payload[2:])
        run_state.traffic.limited += 1
    else:
        _, attempts = payload[2:].split(b" ")
        run_state.traffic.add_attempts(int(attempts))


def intervals_of(lines: Iterable[bytes]) -> list[Interval]:
    """Return what the run did over time, from the *lines* of its journal; earlier versions have recorded nothing."""
    return _intervals(payload for payload, _ in links(lines))


def _intervals(payloads: Iterable[bytes]) -> list[Interval]:
    found = (read_interval(payload[2:]) for payload in payloads if payload[:1] == _INTERVAL)
    return [interval for interval in found if interval is not None]


def _replay_unchanged(run_state: RunState, payload: bytes) -> None:
    first, last = map(int, payload[2:].split(b" "))
    run_state.outcomes.unchanged += run_state.settled.add_range(first, last)


def _replay_superseded(run_state: RunState, payload: bytes) -> None:
    number, by, *own = payload[2:].split(b" ")
    for counted in own:
        run_state.add_attempts(int(number), counted)
    if run_state.settled.add(int(number)):
        run_state.replaced_by[int(number)] = int(by)
        run_state.outcomes.superseded += 1


_AT_ONCE: Final = b" 1"
_MANY: Final = 1_000
"""So many rows are settled together."""

_ROW_KINDS: Final = frozenset({SENT, UNSETTLED, *_TO_RESEND})
_REASONED: Final = frozenset({LETTERS["failed"], LETTERS["rejected"]})


def _replay_row(run_state: RunState, kind: int, payload: bytes) -> None:
    parts = payload.split(b" ", 3)
    number, counted = int(parts[1]), parts[2]
    attempts = run_state.add_attempts(number, counted)
    code, phrase = json.loads(parts[3]) if kind in _REASONED else ("", "")
    if kind == UNSETTLED or not run_state.settled.add(number):
        return
    resend = _TO_RESEND.get(kind)
    if resend is not None:
        run_state.to_resend[number] = RowToResend(resend, Reason(code, phrase), attempts)
    match resend:
        case None | "again":
            run_state.outcomes.sent += 1
        case "failed":
            run_state.outcomes.failed += 1
        case "rejected":
            run_state.outcomes.rejected += 1


_INTERVAL: Final = bytes([INTERVAL])
_DROPPED_KINDS: Final = frozenset({b"s", b"u", b"h", b"n", b"g"})
_MOST_INTERVALS: Final = 360
"""A compacted journal has about so many intervals: some 50 KB, however long the run was."""

_DROPPED_OUTCOMES: Final = ("sent", "unchanged")
_DROPPED_TRAFFIC: Final = ("requests", "retries", "limited")
"""What a compacted journal holds as totals, in place of the dropped lines."""


def compacted(lines: Iterable[bytes], whole: RunState) -> Iterator[bytes]:
    """Yield the lines of a compacted journal: those of the rows not accepted, and the totals of the rest.

    *whole* is the state that `replay` returns for all *lines*. The yielded lines give the same totals. Only the
    accepted rows are no longer listed one by one, and neighbouring intervals are joined.
    """
    listed = [payload for payload, _ in links(lines) if payload[:1] not in _DROPPED_KINDS]
    kept = [payload for payload in listed if payload[:1] != _INTERVAL]
    intervals = map(spell_metrics, fewer_intervals(_intervals(listed), _MOST_INTERVALS))
    kept_state = replay(_chained(kept))
    facts: dict[str, float] = {}
    for name in _DROPPED_OUTCOMES:
        facts[name] = getattr(whole.outcomes, name) - getattr(kept_state.outcomes, name)
    for name in _DROPPED_TRAFFIC:
        facts[name] = getattr(whole.traffic, name) - getattr(kept_state.traffic, name)
    facts["held_seconds"] = whole.sessions.held_seconds - kept_state.sessions.held_seconds
    facts["more_unsure"] = whole.maybe_sent_twice - kept_state.maybe_sent_twice
    yield from _chained([*kept[:1], spell_facts("totals", facts), *intervals, *kept[1:]])


def _chained(payloads: Iterable[bytes]) -> Iterator[bytes]:
    checksum = 0
    for payload in payloads:
        line, checksum = link(payload, checksum)
        yield line


def _replay_facts(run_state: RunState, word: str, facts: dict[str, Any]) -> None:
    match word:
        case "started":
            run_state.header = RunHeader.from_facts(facts)
            run_state.sessions.commands.add(run_state.header.command_id)
        case "life":
            sessions = run_state.sessions
            sessions.count += 1
            # A session before it that has no end was killed: its intervals say how long it took.
            sessions.end(sessions.all_seconds)
            sessions.process = facts["pid"]
            sessions.commands.update(filter(None, [facts.get("command")]))
            sessions.last_number = max(sessions.last_number, facts.get("number", 0))
            run_state.unsure.rows.update(facts.get("in_flight", ()))
            run_state.traffic.requests += len(facts.get("in_flight", ()))
            run_state.end.status = run_state.end.at = None
        case "retry_file":
            run_state.retry_file = facts["path"]
        case "stopped" | "finished":
            run_state.end.status, run_state.end.at = facts["status"], facts["at"]
            run_state.end.is_finished = word == "finished"
            # A stopped session says how long it took itself, a finished run how long all its sessions took.
            before = 0.0 if run_state.end.is_finished else run_state.sessions.seconds
            run_state.sessions.end(before + facts.get("seconds", 0.0))
        case "abandoned":
            run_state.end.is_abandoned = True
        case "totals":
            for counted, names in ((run_state.outcomes, _DROPPED_OUTCOMES), (run_state.traffic, _DROPPED_TRAFFIC)):
                for name in names:
                    setattr(counted, name, getattr(counted, name) + facts[name])
            run_state.sessions.held_seconds += facts["held_seconds"]
            run_state.unsure.dropped += facts["more_unsure"]
        case _:
            pass
