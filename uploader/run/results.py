"""Keep the result of each source: what became of its rows, and how the run ended."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from uploader.counts import Counts, Problems, Traffic
from uploader.errors import StorageError, UploaderError
from uploader.mapping import Repairs
from uploader.run.options import Options
from uploader.run_record import ReasonCount, SourceRecord

FINISHED: Final = 0
SOME_LEFT: Final = 3
_BUG: Final = 1
_SIGINT: Final = 130
_MOST_REASONS: Final = 100
"""How many different reasons the history keeps of one source."""


@dataclass(slots=True)
class SourceResult:
    """The result of one source, as far as it is known; times in seconds.

    *number* is that of its run, 0 before it has one. *blank_lines*, *repairs* and *warnings* are those that the check
    found.
    *error* is what ended the run at this source. *already_sent_by* is the run that had sent it before.

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
    already_sent_by: str | None = None

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

    def record(self) -> SourceRecord:
        """Return what the history keeps of the source: no value of any row."""
        traffic = self.traffic
        return SourceRecord(
            source=self.source,
            run_id=self.run_id,
            exit_status=self.exit_status,
            counts=self.counts,
            requests=traffic.requests,
            retries=traffic.retries,
            limited=traffic.limited,
            limited_seconds=round(self.limited_seconds, 3),
            seconds=round(self.seconds, 3),
            maybe_sent_twice=self.maybe_sent_twice,
            reasons=tuple(
                ReasonCount(reason.code, reason.phrase, problem.count)
                for reason, problem in self.problems.most_frequent()[:_MOST_REASONS]
            ),
            retry_file=None if self.retry_file is None else str(self.retry_file),
            already_sent_by=self.already_sent_by,
        )


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


def status_of(error: BaseException | None) -> int:
    """Return the exit status of a run that *error* ended; None is its regular end."""
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
