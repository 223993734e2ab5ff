"""Define what the report of a run shows, as plain data without a value of any row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from uploader.counts import Counts, Traffic
from uploader.timeline import Interval

Ending: TypeAlias = Literal["finished", "finished with some left", "stopped", "running", "interrupted", "abandoned"]
"""How a run ended: all rows accepted; some rejected or failed; stopped early, with a status; the others as they say."""


@dataclass(frozen=True, slots=True)
class ReasonRows:
    """Why *rows* rows were not accepted; *code* is that of the service, "" where the row was not sent."""

    code: str
    phrase: str
    rows: int


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """One of the last runs of a job; *started* is ISO 8601, *exit_status* is None until it ends."""

    run_id: str
    started: str
    ending: Ending
    exit_status: int | None
    counts: Counts
    seconds: float


@dataclass(frozen=True, slots=True)
class ReportedRun:
    """Which run it is, and how it ended; *started* and *ended* are ISO 8601, *exit_status* is None until it ends."""

    run_id: str
    source: str
    service: str
    started: str
    ended: str | None
    ending: Ending
    exit_status: int | None
    sessions: int
    retry_file: str | None


@dataclass(frozen=True, slots=True)
class RunTotals:
    """How much a run did, all its sessions together: each number is that of the summary."""

    counts: Counts
    traffic: Traffic
    seconds: float
    limited_seconds: float
    maybe_sent_twice: int


@dataclass(frozen=True, slots=True)
class RunReport:
    """What the report of one run shows, from its journal and those of the last runs of its job.

    *reasons* have the most frequent first. *intervals* are what the run did over time; a run of an earlier version has
    none. *last_runs* are in their order, the newest last, this run among them.
    """

    run: ReportedRun
    totals: RunTotals
    reasons: Sequence[ReasonRows]
    intervals: Sequence[Interval]
    last_runs: Sequence[EarlierRun]
