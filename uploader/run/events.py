"""Define what a run reports while it works, as one class whose methods do nothing until they are overridden."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from uploader.check.source_summary import CheckSummary
from uploader.counts import Progress
from uploader.model import Outcome, Reason, Record, UnchangedRange
from uploader.rate.events import PauseReason

if TYPE_CHECKING:
    # They load what only a run needs, and every command imports this module.
    from uploader.run.results import RunResult, SourceResult
    from uploader.stop import Stop

RemarkLevel: TypeAlias = Literal["detail", "note", "warning"]
"""For users who ask for details; for all who watch; for all, also if they want to hear only what went wrong."""

ReasonKind: TypeAlias = Literal["rejected", "omitted", "suspect"]
"""The row is rejected; a value of it is omitted; a value that is sent may be wrong."""


@dataclass(frozen=True, slots=True)
class SourceRun:
    """The run of one source: the *source* as the user named it, the run's ID and its *number*.

    Until the source is started, the ID is that of a new run, and *number* is 0.
    """

    source: str
    run_id: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """The check reads one source, before anything of it is sent; *rows* returns how many rows it has read so far."""

    run: SourceRun
    rows: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Checked:
    """One source was read whole, before anything of it is sent; *at* is in seconds since 1970.

    *rows_per_second* is how fast the settings let a run send. *identity_columns* has the column of each identity field.
    *summary* has the values that would join people, which no log may show.
    """

    run: SourceRun
    at: float
    seconds: float
    summary: CheckSummary
    blank_lines: int
    identity_columns: Mapping[str, str]
    rows_per_second: float


@dataclass(frozen=True, slots=True)
class Started:
    """A run starts to send one source, or resumes it; *at* is in seconds since 1970.

    Of its *rows*, *settled* have an outcome of an earlier session; *progress* is what those sessions did.
    *requests_per_second* is the limit of the service.
    """

    run: SourceRun
    at: float
    rows: int
    settled: int
    is_resumed: bool
    requests_per_second: float
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Progressed:
    """The *progress* of a source, twice a second while it is sent; *rows_per_second* is how fast it may be sent now."""

    run: SourceRun
    progress: Progress
    rows_per_second: float


@dataclass(frozen=True, slots=True)
class RowSettled:
    """A row has its *outcome*, or all rows of a range are unchanged; the journal has it. *at* is in seconds since 1970.

    *seconds* is how long the row's last request took, from the first byte sent to the reply; None where it had none.
    The outcome holds the values of the row.
    """

    run: SourceRun
    at: float
    outcome: Outcome | UnchangedRange
    seconds: float | None


@dataclass(frozen=True, slots=True)
class RowReason:
    """A *reason* that the check found in a record, or for which the service rejected it.

    *message* is the service's own text; "" of the check. It and the record hold values of the row.
    """

    run: SourceRun
    kind: ReasonKind
    record: Record
    reason: Reason
    by_service: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class ThrottledPause:
    """No request is sent for *seconds*, *since* a time (in seconds since 1970), because of the limit in *why*."""

    since: float
    seconds: float
    why: PauseReason

    @property
    def until(self) -> float:
        """When the pause ends, in seconds since 1970."""
        return self.since + self.seconds


@dataclass(frozen=True, slots=True)
class Outage:
    """The service is out *since* a time (in seconds since 1970); *why* is a fixed phrase.

    It is reported within a second when all requests pause for it, with *until* None; and again when the service has
    answered, or the source is stopped. A pause for the rate limit is no outage.
    """

    since: float
    until: float | None
    why: str


@dataclass(frozen=True, slots=True)
class OthersSeen:
    """Other clients use the same quota; *at* is in seconds since 1970."""

    at: float
    requests_per_minute: float


@dataclass(frozen=True, slots=True)
class Remark:
    """A line for people, about the *source* or (if that is "") the whole run; it holds no value of a row."""

    text: str
    level: RemarkLevel = "note"
    source: str = ""


class Events:
    """Watches a run or a check: override the methods whose events are wanted; the others do nothing.

    They are called in the thread of the run, in the order of what happens, and must be quick: the run waits for them.
    A method that raises changes nothing. Only `settled` and `reason_found` are about single rows, and get their values;
    for methods that nobody overrides, nothing is made.
    """

    def begun(self, start_id: str, /) -> None:
        """Take the ID of the start, by which the history knows it; everything else comes after it."""

    def remark(self, remark: Remark, /) -> None:
        """Take a line for people."""

    def reason_found(self, found: RowReason, /) -> None:
        """Take each reason found in a row, by the check or by the service."""

    def reading(self, reading: Reading, /) -> None:
        """Take that the check begins to read one source."""

    def read(self, run: SourceRun, /) -> None:
        """Take that the check has read one source, or that something ended it."""

    def checked(self, checked: Checked, /) -> None:
        """Take what the check found in one source, before anything of any source is sent."""

    def stoppable(self, stop: "Stop", /) -> None:
        """Take what stops the run, when its event loop has started; this is called in that loop."""

    def started(self, started: Started, /) -> None:
        """Take that one source is about to be sent."""

    def progressed(self, progress: Progressed, /) -> None:
        """Take how far a source is, now and twice a second."""

    def settled(self, settled: RowSettled, /) -> None:
        """Take what became of one row; the journal has it."""

    def throttled(self, throttled: ThrottledPause, /) -> None:
        """Take that all requests pause because of the rate limit."""

    def outage(self, outage: Outage, /) -> None:
        """Take that the service is out, or that it is no longer."""

    def other_clients(self, others: OthersSeen, /) -> None:
        """Take that other clients use the same quota."""

    def source_finished(self, result: "SourceResult", /) -> None:
        """Take the result of one source that was started, when it is finished or stopped."""

    def finished(self, result: "RunResult", /) -> None:
        """Take the result of the whole run, however it ended; nothing comes after it."""
