"""Keep the result of each source: what became of its rows, and how the run ended."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from uploader.counts import Counts, Problems, Traffic
from uploader.errors import StorageError, UploaderError
from uploader.mapping import Repairs
from uploader.outputs.summary import try_summary, write_summary
from uploader.run.options import Options

if TYPE_CHECKING:
    # It starts slowly, and only a dry run has one.
    from uploader.sandbox import Report

FINISHED: Final = 0
SOME_LEFT: Final = 3
_BUG: Final = 1
_NO_SUMMARY_AFTER: Final = frozenset({1, 2})
_SIGINT: Final = 130


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that a source took: *total* of all sessions, *sending* in this one, *limited* while it was throttled."""

    total: float = 0.0
    sending: float = 0.0
    limited: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceFindings:
    """What the check found in a source besides its rows: blank lines, values that were repaired, and warnings."""

    blank_lines: int = 0
    repairs: Repairs = field(default_factory=Repairs)
    warnings: Problems = field(default_factory=Problems)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a source ended: with this exit status, and by this *error*, if one ended the run there."""

    exit_status: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SourceResult:
    """The result of one source, as far as it is known.

    *number* is that of its run, 0 before it has one. *maybe_sent_twice* counts rows, *retry_file* is None where no row
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
        per_second = traffic.requests / times.sending if times.sending else 0.0
        return {
            "run_id": self.run_id,
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


class SummarizedResults:
    """The results of a run's sources as far as they are known; leaving it writes the summary, however the run ended.

    (Except with 1 and 2.) Without its summary no source is finished: the next run resumes it, sends nothing, and writes
    the summary.
    """

    def __init__(
        self, results: Sequence[SourceResult] = (), *, summary: Path | None, clock: Callable[[], float]
    ) -> None:
        """Keep *results*, one for each source; *clock* is monotonic."""
        self._results = {result.source: result for result in results}
        self.sandbox: Report | None = None
        """What the sandbox of a dry run reports."""

        self._summary = summary
        self._clock = clock
        self._began = clock()

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

    def __enter__(self) -> Self:
        """Check that the summary can be written; raises StorageError if it can't."""
        if self._summary is not None:
            try_summary(self._summary)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Close what is still open with the status of *error*, and write the summary."""
        message = str(error) if isinstance(error, UploaderError) else None
        for result in self.results:
            if result.ending is None:
                seconds = self._clock() - self._began
                ending = Ending(status_of(error), message)
                self.keep(replace(result, ending=ending, times=replace(result.times, total=seconds)))
                # The error ended the run at the first source that was still open.
                message = None
        if self._summary is None or (error is not None and status_of(error) in _NO_SUMMARY_AFTER):
            return
        try:
            write_summary(self._summary, [result.summary() for result in self.results])
        except StorageError as trouble:
            # What ended the run is reported first, and not a summary that can't be written.
            if error is None:
                self.begin([replace(result, ending=Ending(trouble.exit_status)) for result in self.results])
                raise

    @property
    def exit_status(self) -> int:
        """The status of a finished run: 3 when some row was not accepted, else 0."""
        return max((result.exit_status or FINISHED for result in self.results), default=FINISHED)


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
