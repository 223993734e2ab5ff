"""Keep the result of each source: what became of its rows, and how the run ended."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from uploader.counts import Counts, Problems, Traffic
from uploader.errors import StorageError, UploaderError
from uploader.mapping import Repairs
from uploader.run.options import Options
from uploader.run_record import ReasonCount, SourceRecord, TrafficRecord

if TYPE_CHECKING:
    # It starts slowly, and only a dry run has one.
    from uploader.sandbox import Report

FINISHED: Final = 0
SOME_LEFT: Final = 3
_BUG: Final = 1
_SIGINT: Final = 130
_MOST_REASONS: Final = 100
"""How many different reasons the history keeps of one source."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that all sessions of a run took to send a source: *total*, and *limited* while they were throttled."""

    total: float = 0.0
    limited: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceFindings:
    """What the check found in a source besides its rows: blank lines, values that were repaired, and warnings.

    *is_retry* is whether it is a retry file.
    """

    blank_lines: int = 0
    repairs: Repairs = field(default_factory=Repairs)
    warnings: Problems = field(default_factory=Problems)
    is_retry: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How a source ended: with this exit status, and by this *error*, if one ended the run there.

    *already_sent_by* is the run that had sent the file before, so that nothing of it was sent. *consents_left* is the
    number of rows with a consent among those that `limits.tolerate` would have allowed to be missing.
    """

    exit_status: int
    error: str | None = None
    already_sent_by: str | None = None
    consents_left: int = 0


@dataclass(frozen=True, slots=True)
class SourceResult:
    """The result of one source, as far as it is known.

    *number* is that of its run. Before it has one it is 0: *run_id* is then what a new run would be called, and of no
    run that is stored (`known_run_id` is ""). *maybe_sent_twice* counts rows, *retry_file* is None where no row
    has to be sent again.

    States: open, as long as *ending* is None; finished (0 or 3); and ended early, by an error here or at another
    source. Nothing is counted until the source is checked. Then all its rows are not attempted, and at the end the
    counts say what became of them.
    """

    run_id: str
    source: str
    started: str
    counts: Counts = field(default_factory=Counts)
    traffic: Traffic = field(default_factory=Traffic)
    problems: Problems = field(default_factory=Problems)
    times: Times = Times()
    findings: SourceFindings = field(default_factory=SourceFindings)
    maybe_sent_twice: int = 0
    retry_file: Path | None = None
    ending: Ending | None = None
    number: int = 0

    @property
    def known_run_id(self) -> str:
        """The ID of its run; "" as long as none is chosen, or if none ever was."""
        return self.run_id if self.number else ""

    @property
    def has_started(self) -> bool:
        """Whether any row was attempted or has an outcome."""
        return self.traffic.requests > 0 or self.counts.not_attempted < self.counts.read

    @property
    def exit_status(self) -> int | None:
        """The exit status that the source ended with; None while it has not ended."""
        return None if self.ending is None else self.ending.exit_status

    def finished(self) -> "SourceResult":
        """Return it as the result of a source whose rows all have an outcome.

        Raises:
            UploaderError: its counts do not add up, which is a bug.
        """
        counts = self.counts
        if not counts.balances:
            raise UploaderError(
                f"{self.source}: the counts do not add up: {asdict(counts)}. This is a bug; keep the file."
            )
        return replace(self, ending=Ending(SOME_LEFT if counts.not_accepted else FINISHED))

    def summary(self) -> Mapping[str, object]:
        """Return what the summary file says of the source."""
        traffic, times, findings = self.traffic, self.times, self.findings
        per_second = traffic.requests / times.total if times.total else 0.0
        return {
            "run_id": self.known_run_id,
            "source": self.source,
            "started": self.started,
            "seconds": round(times.total, 3),
            **asdict(self.counts),
            "blank_lines": findings.blank_lines,
            "repairs": findings.repairs.facts(),
            "warnings": findings.warnings.facts(),
            **asdict(traffic),
            "limited_seconds": round(times.limited, 3),
            "maybe_sent_twice": self.maybe_sent_twice,
            "requests_per_second": round(per_second, 1),
            "retry_file": None if self.retry_file is None else str(self.retry_file),
            "exit_status": self.exit_status,
        }

    def record(self) -> SourceRecord:
        """Return what the history keeps of the source: no value of any row."""
        traffic = self.traffic
        return SourceRecord(
            source=self.source,
            run_id=self.known_run_id,
            exit_status=self.exit_status,
            counts=self.counts,
            traffic=TrafficRecord(
                requests=traffic.requests,
                retries=traffic.retries,
                limited=traffic.limited,
                limited_seconds=round(self.times.limited, 3),
                maybe_sent_twice=self.maybe_sent_twice,
            ),
            seconds=round(self.times.total, 3),
            reasons=tuple(
                ReasonCount(reason.code, reason.phrase, problem.count)
                for reason, problem in self.problems.most_frequent()[:_MOST_REASONS]
            ),
            retry_file=None if self.retry_file is None else str(self.retry_file),
            already_sent_by=None if self.ending is None else self.ending.already_sent_by,
            is_retry=self.findings.is_retry,
        )


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run: of all its sources, also of those that were not started, and the sandbox's of a dry run.

    *error* is what ended the run early; *exit_status* is that of the command. Without an error, every source is
    finished. An error before the sources were known leaves none.
    """

    sources: tuple[SourceResult, ...] = ()
    exit_status: int = 0
    error: BaseException | None = None
    sandbox: "Report | None" = None

    @property
    def has_started(self) -> bool:
        """Whether any row was attempted or has an outcome."""
        return any(source_result.has_started for source_result in self.sources)


class RunError(UploaderError):
    """An error that ended a run which a program started: *result* is what became of the rows so far.

    *exit_status* is that of the error itself, which is its cause (`__cause__`).
    """

    def __init__(self, message: str, result: RunResult, exit_status: int) -> None:
        """Keep the *result* and the *exit_status*."""
        super().__init__(message)
        self.result = result
        self.exit_status = exit_status


def new_source_results(options: Options) -> list[SourceResult]:
    """Return an empty result for each source of *options*, all started now.

    The run IDs sort in the order of the sources; a run's number says which run is later.
    """
    now = datetime.now(UTC)
    began = now.isoformat(timespec="seconds")
    return [
        SourceResult(f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond + number:06x}{secrets.token_hex(1)}", name, began)
        for number, name in enumerate(options.sources)
    ]


class ResultsSoFar:
    """The results of a run's sources as far as they are known, also when an error ends the run."""

    def __init__(self, results: Sequence[SourceResult] = ()) -> None:
        """Keep *results*, one for each source."""
        self._results = {result.source: result for result in results}
        self.skipped: tuple[SourceResult, ...] = ()
        """Those of files that were sent already; they are no sources of the run."""

        self.sandbox: Report | None = None
        """What the sandbox of a dry run reports."""

    @property
    def results(self) -> tuple[SourceResult, ...]:
        """The results, in the order of the sources."""
        return tuple(self._results.values())

    def begin(self, results: Sequence[SourceResult]) -> None:
        """Keep *results*, one for each source, instead of those before."""
        self._results = {result.source: result for result in results}

    def keep(self, result: SourceResult) -> None:
        """Keep *result* as the latest one of its source."""
        self._results[result.source] = result

    def latest(self, result: SourceResult) -> SourceResult:
        """Return the latest result of the source of *result*."""
        return self._results.get(result.source, result)

    @property
    def exit_status(self) -> int:
        """The status of a finished run: 3 when some row was not accepted, else 0."""
        return max((result.exit_status or FINISHED for result in self.results), default=FINISHED)


def ended(results: Iterable[SourceResult], error: BaseException | None, seconds: float) -> Iterator[SourceResult]:
    """Yield *results*, of which those that were open have ended with the status of *error*.

    The first of these keeps the message: there the error ended the run. Those of which no session has sent anything
    took as many *seconds* as the start.
    """
    message = str(error) if isinstance(error, UploaderError) else None
    for result in results:
        if result.ending is not None:
            yield result
            continue
        times = result.times if result.times.total else replace(result.times, total=seconds)
        yield replace(result, ending=Ending(status_of(error), message), times=times)
        message = None


def status_of(error: BaseException | None) -> int:
    """Return the exit status of a command that *error* ended; None: nothing did."""
    match error:
        case None:
            return FINISHED
        case UploaderError():
            return error.exit_status
        case OSError() | MemoryError():
            return StorageError.exit_status
        case KeyboardInterrupt():
            return _SIGINT
        case _:
            return _BUG
