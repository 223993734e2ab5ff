"""Tell what the state folder knows of earlier runs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import get_args

from uploader.counts import Counts
from uploader.errors import ConfigError
from uploader.model import RetryKind
from uploader.state import Ledger, Shelf, Volume


@dataclass(frozen=True, slots=True)
class Unaccepted:
    """A row that was not accepted, or has to be sent again, and why.

    Of a row that another one has the last word on, *by* is that row; None: it was a row of a later run.
    """

    row: int
    kind: str
    code: str
    reason: str
    attempts: int
    by: int | None = None


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run as its journal has it; *ended* says how: `finished`, `running`, `interrupted`, `abandoned`."""

    run_id: str
    source: str
    started: str
    ended: str
    exit_status: int | None
    lives: int
    counts: Counts
    requests: int
    maybe_sent_twice: int
    retry_file: str | None
    rows: tuple[Unaccepted, ...]

    def facts(self, *, rows: bool) -> Mapping[str, object]:
        """Return the run for JSON, its unaccepted *rows* too if wanted."""
        facts = asdict(self)
        counts = facts.pop("counts")
        listed = [_without_by(row) for row in facts.pop("rows")]
        return {**facts, **counts} | ({"rows": listed} if rows else {})


class History:
    """The runs in a state folder."""

    def __init__(self, state: Path) -> None:
        """Use the folder *state*; raises StorageError."""
        self._shelf = Shelf(state)

    def runs(self) -> Iterator[PastRun]:
        """Yield every run, the newest first."""
        for volume in self._shelf.volumes():
            yield self._past(volume)

    def run(self, run_id: str) -> PastRun:
        """Return the one run whose ID begins with *run_id*; raises ConfigError unless there is just one."""
        found = [run for run in self.runs() if run.run_id.startswith(run_id)]
        if len(found) == 1:
            return found[0]
        what = "no run" if not found else f"{len(found)} runs"
        raise ConfigError(f"{what} with an ID that begins with '{run_id}'. `uploader runs` lists them.")

    def purge(self, days: int) -> int:
        """Delete the runs begun more than *days* ago, interrupted ones too; return how many.

        Those that a run may be going on with, since somebody sends their file, stay.
        """
        return self._shelf.throw_away_older(
            days, now=datetime.now(UTC), may_go=lambda volume: not self._shelf.is_busy(volume)
        )

    def _past(self, volume: Volume) -> PastRun:
        ledger = volume.ledger
        begun = ledger.begun
        assert begun is not None  # noqa: S101 — the shelf yields no other
        return PastRun(
            run_id=begun.run_id,
            source=begun.source,
            started=begun.started,
            ended=self._ended(volume),
            exit_status=ledger.status,
            lives=ledger.lives,
            counts=ledger.counts,
            requests=ledger.traffic.requests,
            maybe_sent_twice=ledger.maybe_sent_twice,
            retry_file=ledger.retry_file,
            rows=_unaccepted(ledger),
        )

    def _ended(self, volume: Volume) -> str:
        if volume.ledger.is_finished:
            return "finished"
        if volume.ledger.is_abandoned:
            return "abandoned"
        return "running" if self._shelf.is_running(volume) else "interrupted"


def _unaccepted(ledger: Ledger) -> tuple[Unaccepted, ...]:
    owed = [
        Unaccepted(number, owed.kind, owed.reason.code, owed.reason.phrase, owed.attempts)
        for number, owed in ledger.owed.items()
    ]
    replaced = [
        Unaccepted(number, ledger.fate(number), "", _why_replaced(by), 0, by or None)
        for number, by in ledger.replaced_by.items()
    ]
    return tuple(sorted([*owed, *replaced], key=attrgetter("row")))


def _why_replaced(by: int) -> str:
    return f"row {by:,} of the same person took it along" if by else "a later run has the last word on the person"


def _without_by(row: Mapping[str, object]) -> Mapping[str, object]:
    """Return *row* without what those of the retry file do not have."""
    return {name: value for name, value in row.items() if name != "by" or row["kind"] not in get_args(RetryKind)}
