"""List the earlier runs in the state folder."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import get_args

from uploader.counts import Counts
from uploader.errors import ConfigError
from uploader.model import RetryKind
from uploader.state import RunState, RunStore, StoredRun


@dataclass(frozen=True, slots=True)
class Unaccepted:
    """A row that was not accepted, or has to be sent again, and why.

    *by* is the newer row of the person that replaced it, if there is one; None if that is a row of a later run.
    """

    row: int
    kind: str
    code: str
    reason: str
    attempts: int
    by: int | None = None


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run according to its journal; *ended* is `finished`, `running`, `interrupted` or `abandoned`.

    It has no states: it is what the journal held when it was read.
    """

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
        """Return the run for JSON, with its unaccepted rows if *rows* is true."""
        facts = asdict(self)
        counts = facts.pop("counts")
        listed = [_without_by(row) for row in facts.pop("rows")]
        return {**facts, **counts} | ({"rows": listed} if rows else {})


class RunHistory:
    """The runs in a state folder."""

    def __init__(self, state: Path) -> None:
        """Use the folder *state*; raises StorageError."""
        self._run_store = RunStore(state)

    def runs(self) -> Iterator[PastRun]:
        """Yield every run, the newest first."""
        for stored_run in self._run_store.runs():
            yield self._past(stored_run)

    def run(self, run_id: str) -> PastRun:
        """Return the run whose ID begins with *run_id*; raise ConfigError unless there is exactly one."""
        found = [run for run in self.runs() if run.run_id.startswith(run_id)]
        if len(found) == 1:
            return found[0]
        what = "no run" if not found else f"{len(found)} runs"
        raise ConfigError(f"{what} with an ID that begins with '{run_id}'. `uploader runs` lists them.")

    def purge(self, days: int) -> int:
        """Delete the runs started more than *days* ago, interrupted ones too; return how many.

        A run stays while a process is sending its file.
        """
        return self._run_store.delete_older(
            days, now=datetime.now(UTC), may_go=lambda stored_run: not self._run_store.is_busy(stored_run)
        )

    def _past(self, stored_run: StoredRun) -> PastRun:
        run_state = stored_run.state
        header = run_state.header
        assert header is not None  # noqa: S101 — the run store yields no others
        return PastRun(
            run_id=header.run_id,
            source=header.source,
            started=header.started,
            ended=self._ended(stored_run),
            exit_status=run_state.end.status,
            lives=run_state.sessions.count,
            counts=run_state.counts,
            requests=run_state.traffic.requests,
            maybe_sent_twice=run_state.maybe_sent_twice,
            retry_file=run_state.retry_file,
            rows=_unaccepted(run_state),
        )

    def _ended(self, stored_run: StoredRun) -> str:
        if stored_run.state.is_finished:
            return "finished"
        if stored_run.state.is_abandoned:
            return "abandoned"
        return "running" if self._run_store.is_running(stored_run) else "interrupted"


def _unaccepted(run_state: RunState) -> tuple[Unaccepted, ...]:
    to_resend = [
        Unaccepted(number, to_resend.kind, to_resend.reason.code, to_resend.reason.phrase, to_resend.attempts)
        for number, to_resend in run_state.to_resend.items()
    ]
    replaced = [
        Unaccepted(number, run_state.fate(number), "", _why_replaced(by), 0, by or None)
        for number, by in run_state.replaced_by.items()
    ]
    return tuple(sorted([*to_resend, *replaced], key=attrgetter("row")))


def _why_replaced(by: int) -> str:
    return f"merged into row {by:,} of the same person" if by else "a later run sent newer data of the person"


def _without_by(row: Mapping[str, object]) -> Mapping[str, object]:
    """Return *row* without *by* if it is in the retry file, where *by* has no meaning."""
    return {name: value for name, value in row.items() if name != "by" or row["kind"] not in get_args(RetryKind)}
