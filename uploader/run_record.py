"""Hold what is known of one start of `uploader run`: the history, the summary and all that report read the same."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Final, Self

from uploader.counts import Counts

_ENDED_EARLY: Final[Mapping[int, str]] = {
    1: "stopped by a bug in this program",
    2: "not started: an option or the configuration is wrong",
    4: "refused: the input can't be read, or is wrong as a whole",
    5: "stopped: the service refuses us",
    6: "stopped: the service was unreachable, or throttled us for too long",
    7: "stopped: the local disk, the state or this machine failed",
    8: "not started: another run was at work",
    9: "stopped: the input has changed",
    10: "stopped at its time limit",
    129: "stopped by SIGHUP",
    130: "stopped by SIGINT",
    143: "stopped by SIGTERM",
}
"""What the exit statuses of runs that ended early mean."""


class RunEnd(StrEnum):
    """How a start of a run ended, for programs: one of five words."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    """It finished, and more rows were rejected or failed than `limits.tolerate` allows."""
    FAILED = "failed"
    KILLED = "killed"
    """Its process is gone, and has recorded no end."""


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """A reason why rows were rejected or failed, in words without any value, and the number of these rows."""

    code: str
    phrase: str
    rows: int


@dataclass(frozen=True, slots=True)
class TrafficRecord:
    """The requests of one SOURCE; *limited* were throttled, which paused all requests for *limited_seconds*.

    *maybe_sent_twice* is the number of rows of which it is not known whether a crash let them be sent twice.
    """

    requests: int = 0
    retries: int = 0
    limited: int = 0
    limited_seconds: float = 0.0
    maybe_sent_twice: int = 0


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What became of one SOURCE of a run; times in seconds.

    *run_id* is that of its journal, which a resumed run shares with those before it: *counts* and all other numbers are
    then those of all of them. It is "" where no run was chosen. *already_sent_by* is the run that had sent the file
    before, so that nothing was sent. *is_retry* is whether it is a retry file.

    It has no states: it is written as a whole.
    """

    source: str
    run_id: str = ""
    exit_status: int | None = None
    counts: Counts = field(default_factory=Counts)
    traffic: TrafficRecord = TrafficRecord()
    seconds: float = 0.0
    reasons: tuple[ReasonCount, ...] = ()
    retry_file: str | None = None
    already_sent_by: str | None = None
    is_retry: bool = False

    @classmethod
    def parse(cls, facts: Mapping[str, object]) -> Self:
        """Return the record that `asdict` has turned into *facts*; keys of a later version are left out."""
        found = _known(cls, facts)
        counts, traffic, reasons = facts.get("counts"), facts.get("traffic"), facts.get("reasons")
        if isinstance(counts, Mapping):
            found["counts"] = Counts(**_known(Counts, counts))
        if isinstance(traffic, Mapping):
            found["traffic"] = TrafficRecord(**_known(TrafficRecord, traffic))
        if isinstance(reasons, Sequence):
            found["reasons"] = tuple(ReasonCount(**_known(ReasonCount, reason)) for reason in reasons)
        return cls(**found)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One start of `uploader run`: when, of what job, how it ended and why; times as ISO 8601 in UTC, or in seconds.

    *start_id* is that of this start alone. *job* is the name of the job; "" where it has none, and is known by what the
    command *named*: its SOURCEs and patterns as they were typed. *sources* are the files of this start: those that a
    pattern found, and the retry files that were added. *error* is the message of what ended it early, without a value
    of any row. *ended* is None while it runs. *consents_left* is the number of rows that give or take back a consent,
    and were rejected or failed, where there were so few such rows that `limits.tolerate` would have allowed them.
    *is_trial*: it was a dry run, or took only the first rows (`--limit`), and is not reported.

    States: running, without an end; ended, with an exit status; and killed (`is_killed`), which only a reader finds.
    """

    start_id: str
    started: str
    job: str = ""
    sources: tuple[SourceRecord, ...] = ()
    ended: str | None = None
    seconds: float = 0.0
    exit_status: int | None = None
    error: str | None = None
    consents_left: int = 0
    is_trial: bool = False
    is_killed: bool = False
    named: tuple[str, ...] = ()

    @property
    def source_names(self) -> tuple[str, ...]:
        """The SOURCEs as the command named them, the same each night; an earlier version kept only their files."""
        return self.named or tuple(source.source for source in self.sources)

    @property
    def job_name(self) -> str:
        """The name of the job for people and for monitors: its own, or the names of its SOURCEs."""
        return self.job or ", ".join(self.source_names)

    @property
    def counts(self) -> Counts:
        """What became of the rows of all sources."""
        return sum((source.counts for source in self.sources), Counts())

    @property
    def requests(self) -> int:
        """The number of requests for all sources."""
        return sum(source.traffic.requests for source in self.sources)

    @property
    def retry_files(self) -> tuple[str, ...]:
        """The retry files of all sources."""
        return tuple(source.retry_file for source in self.sources if source.retry_file is not None)

    @property
    def already_sent_by(self) -> tuple[str, ...]:
        """The runs that had sent all files before, so that nothing was sent; empty where something was to be sent."""
        found = tuple(source.already_sent_by for source in self.sources if source.already_sent_by is not None)
        return found if len(found) == len(self.sources) else ()

    @property
    def is_of_retries(self) -> bool:
        """Whether it had only retry files, and files that had been sent before: nothing new of its job."""
        return bool(self.sources) and all(one.is_retry or one.already_sent_by is not None for one in self.sources)

    def has_run(self, run_id: str) -> bool:
        """Whether it started or resumed the run *run_id*."""
        return any(source.run_id == run_id for source in self.sources)

    def is_same_job(self, other: "RunRecord") -> bool:
        """Whether both have the same name of a job, or a SOURCE in common, as it was named, where they have none."""
        if self.job or other.job:
            return self.job == other.job
        return not set(self.source_names).isdisjoint(other.source_names)

    @property
    def reasons(self) -> tuple[ReasonCount, ...]:
        """Why rows of all sources were rejected or failed, the most frequent reason first."""
        rows: Counter[tuple[str, str]] = Counter()
        for source in self.sources:
            for reason in source.reasons:
                rows[reason.code, reason.phrase] += reason.rows
        return tuple(ReasonCount(code, phrase, number) for (code, phrase), number in rows.most_common())

    @property
    def end(self) -> RunEnd:
        """How it ended, for programs."""
        match self.exit_status:
            case None:
                return RunEnd.KILLED if self.is_killed else RunEnd.RUNNING
            case 0:
                return RunEnd.SUCCEEDED
            case 3:
                return RunEnd.REJECTED
            case _:
                return RunEnd.FAILED

    @property
    def outcome(self) -> str:
        """How it ended, for people: `succeeded`, `succeeded with 5 rejected rows`, `stopped by SIGTERM`."""
        match self.exit_status:
            case None:
                return "killed, or its end could not be recorded" if self.is_killed else "running"
            case 0:
                return self._succeeded()
            case 3:
                return f"finished with {_not_accepted(self.counts)}"
            case _:
                return _ENDED_EARLY.get(self.exit_status, f"ended with {self.exit_status}")

    def _succeeded(self) -> str:
        if not self.sources:
            return "nothing to send: no retry file is pending"
        if self.already_sent_by:
            return f"nothing to send: already sent by run {', '.join(self.already_sent_by)}"
        if self.counts.not_accepted:
            return f"succeeded with {_not_accepted(self.counts)}"
        return "succeeded" if self.counts.read else "nothing to send: no rows"

    def facts(self) -> Mapping[str, object]:
        """Return the record as plain data."""
        return asdict(self)

    @classmethod
    def parse(cls, facts: Mapping[str, object]) -> Self:
        """Return the record that has these *facts*; keys of a later version are left out.

        Raises:
            TypeError, ValueError: they are no record.
        """
        found = _known(cls, facts)
        found["named"] = tuple(map(str, found.get("named", ())))
        sources = facts.get("sources")
        if isinstance(sources, Sequence):
            found["sources"] = tuple(SourceRecord.parse(source) for source in sources)
        return cls(**found)


def not_tolerated(consents: int) -> str:
    """Return in words that `limits.tolerate` would have allowed the rows that are left, but for so many *consents*."""
    rows = "1 row: it gives" if consents == 1 else f"{consents:,} rows: they give"
    return f"limits.tolerate does not cover {rows} or may give a consent, or take one back."


def _not_accepted(counts: Counts) -> str:
    """Return how many rows were rejected or failed, in words: `5 rejected rows`, `1 failed row`."""
    kinds = [
        f"{number:,} {kind}" for kind, number in (("rejected", counts.rejected), ("failed", counts.failed)) if number
    ]
    return f"{' and '.join(kinds)} {'row' if counts.not_accepted == 1 else 'rows'}"


def _known(
    kind: type[RunRecord | SourceRecord | TrafficRecord | ReasonCount | Counts], facts: Mapping[str, object]
) -> dict[str, Any]:
    """Return those of *facts* that are fields of the class *kind*."""
    names = {known.name for known in fields(kind)}
    return {name: value for name, value in facts.items() if name in names}
