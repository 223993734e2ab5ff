"""Define what the report of a run shows, as plain data without a value of any row."""

from collections.abc import Sequence
from dataclasses import dataclass

from uploader.counts import Counts, Traffic
from uploader.run_record import RunRecord
from uploader.timeline import Interval


@dataclass(frozen=True, slots=True)
class ReasonRows:
    """Why *rows* rows were not accepted; *code* is that of the service, "" where the row was not sent."""

    code: str
    phrase: str
    rows: int


@dataclass(frozen=True, slots=True)
class ReportedRun:
    """Which run it is; *started* and *ended* are ISO 8601, *latest* is its last start, which says how it ended.

    *is_only_source* is whether that start had no other SOURCE.

    It has no states.
    """

    run_id: str
    source: str
    service: str
    started: str
    ended: str | None
    latest: RunRecord
    sessions: int
    retry_file: str | None
    is_only_source: bool

    @property
    def listed_id(self) -> str:
        """The ID by which `uploader runs` lists it; that of its run where its start had other SOURCEs too."""
        return self.latest.start_id if self.is_only_source else self.run_id

    @property
    def job(self) -> str:
        """The name of the job, or the pattern that found its file; "" where it is known by the names of files alone."""
        name = self.latest.job_name if self.latest.job or self.is_only_source else ""
        return "" if name == self.source else name


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
    """What the report of one run shows, from its journal and the history of its job.

    *reasons* have the most frequent first. *intervals* are what the run did over time; a run of an earlier version has
    none. *last_runs* are the last starts of the job in their order, the newest last, those of this run among them.
    """

    run: ReportedRun
    totals: RunTotals
    reasons: Sequence[ReasonRows]
    intervals: Sequence[Interval]
    last_runs: Sequence[RunRecord]
