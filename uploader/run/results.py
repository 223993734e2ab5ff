"""Keep the result of each source: what became of its rows, and how the run ended."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from uploader.counts import Counts, Problems, Traffic
from uploader.errors import StorageError, UploaderError
from uploader.mapping import Repairs
from uploader.outputs.summary import try_summary, write_summary
from uploader.run.options import Options

FINISHED: Final = 0
SOME_LEFT: Final = 3
_BUG: Final = 1
_NO_SUMMARY_AFTER: Final = frozenset({1, 2})
_SIGINT: Final = 130


@dataclass(slots=True)
class SourceResult:
    """The result of one source, as far as it is known; times in seconds.

    *number* is that of its run, 0 before it has one. *blank_lines*, *repairs* and *warnings* are those that the check
    found.
    *error* is what ended the run at this source.

    States: open, as long as *exit_status* is None; finished (0 or 3); and ended early, by *error* or by that of another
    source. Nothing is counted until the source is checked. Then all its rows are not attempted, and at the end the
    counts say what became of them.
    """

    run_id: str
    source: str
    started: str
    counts: Counts = field(default_factory=Counts)
    traffic: Traffic = field(default_factory=Traffic)
    problems: Problems = field(default_factory=Problems)
    seconds: float = 0.0
    sending_seconds: float = 0.0
    limited_seconds: float = 0.0
    maybe_sent_twice: int = 0
    retry_file: Path | None = None
    exit_status: int | None = None
    blank_lines: int = 0
    repairs: Repairs = field(default_factory=Repairs)
    warnings: Problems = field(default_factory=Problems)
    error: str | None = None
    number: int = 0

    @property
    def has_started(self) -> bool:
        """Whether any row was attempted or has an outcome."""
        return self.traffic.requests > 0 or self.counts.not_attempted < self.counts.read

    def finish(self) -> None:
        """Close the result of a source whose rows all have an outcome.

        Raises:
            UploaderError: its counts do not add up, which is a bug.
        """
        counts = self.counts
        if not counts.balances:
            raise UploaderError(
                f"{self.source}: the counts do not add up: {asdict(counts)}. This is a bug; keep the file."
            )
        self.exit_status = SOME_LEFT if counts.not_accepted else FINISHED

    def summary(self) -> Mapping[str, object]:
        """Return what the summary file says of the source."""
        traffic = self.traffic
        per_second = traffic.requests / self.sending_seconds if self.sending_seconds else 0.0
        return {
            "run_id": self.run_id,
            "source": self.source,
            "started": self.started,
            "seconds": round(self.seconds, 3),
            **asdict(self.counts),
            "blank_lines": self.blank_lines,
            "repairs": self.repairs.facts(),
            "warnings": self.warnings.facts(),
            **asdict(traffic),
            "limited_seconds": round(self.limited_seconds, 3),
            "maybe_sent_twice": self.maybe_sent_twice,
            "requests_per_second": round(per_second, 1),
            "retry_file": None if self.retry_file is None else str(self.retry_file),
            "exit_status": self.exit_status,
        }


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
    """The results of a run's sources; leaving it writes the summary, however the run ended (except with 1 and 2).

    Without its summary no source is finished: the next run resumes it, sends nothing, and writes the summary.
    """

    def __init__(self, results: Sequence[SourceResult], *, summary: Path | None, clock: Callable[[], float]) -> None:
        """Keep *results*, one for each source; *clock* is monotonic."""
        self._source_results = results
        self._summary = summary
        self._clock = clock
        self._began = clock()

    def __enter__(self) -> Self:
        """Check that the summary can be written; raises StorageError if it can't."""
        if self._summary is not None:
            try_summary(self._summary)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Close what is still open with the status of *error*, and write the summary."""
        still_open = [result for result in self._source_results if result.exit_status is None]
        for result in still_open:
            result.exit_status = _status(error)
            result.seconds = self._clock() - self._began
        if still_open and isinstance(error, UploaderError):
            still_open[0].error = str(error)
        if self._summary is None or (error is not None and _status(error) in _NO_SUMMARY_AFTER):
            return
        try:
            write_summary(self._summary, [result.summary() for result in self._source_results])
        except StorageError as trouble:
            # What ended the run is reported first, and not a summary that can't be written.
            if error is None:
                for result in self._source_results:
                    result.exit_status = _status(trouble)
                raise

    @property
    def exit_status(self) -> int:
        """The status of a finished run: 3 when some row was not accepted, else 0."""
        return max((result.exit_status or FINISHED for result in self._source_results), default=FINISHED)


def _status(error: BaseException | None) -> int:
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
