"""List the earlier runs in the state folder."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Final, get_args

from uploader.config import Settings
from uploader.counts import Counts
from uploader.errors import ConfigError
from uploader.model import RetryKind
from uploader.run.retries_of_job import overdue
from uploader.run.retry_files import LeftRetryFile, RetryFiles
from uploader.run_record import RunEnd, RunRecord, SourceRecord
from uploader.state import History, RunState, RunStore, StoredRun
from uploader.state.journal_results import completed, source_record

LAST: Final = "last"
"""Names the newest start, in the place of an ID."""


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
    """One run according to its journal; *ended* is `finished`, `running`, `interrupted`, `abandoned` or `not started`.

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
    seconds: float = 0.0

    def facts(self, *, rows: bool) -> Mapping[str, object]:
        """Return the run for JSON, with its unaccepted rows if *rows* is true."""
        facts = asdict(self)
        counts, _ = facts.pop("counts"), facts.pop("seconds")
        listed = [_without_by(row) for row in facts.pop("rows")]
        return {**facts, **counts} | ({"rows": listed} if rows else {})


@dataclass(frozen=True, slots=True)
class PastStart:
    """One start of `uploader run`, and the journals of the runs that it started or resumed, as far as they are left."""

    record: RunRecord
    runs: Mapping[str, PastRun]

    @property
    def ending(self) -> Mapping[str, object]:
        """How it ended, for JSON."""
        record = self.record
        return {
            "start_id": record.start_id,
            "job": record.job or None,
            "end": str(record.end),
            "outcome": record.outcome,
            "error": record.error,
            "ended_at": record.ended,
            "seconds": record.seconds,
        }

    def facts(self, *, rows: bool = False) -> Iterator[dict[str, object]]:
        """Yield each of its sources for JSON, the last one first: what the journal says, and how the start ended."""
        for source in reversed(self.record.sources):
            run = self.runs.get(source.run_id) or _without_journal(self.record, source)
            yield {**run.facts(rows=rows), **self.ending}


def facts_of(starts: Iterable[PastStart]) -> list[Mapping[str, object]]:
    """Return all *starts* (the newest first) for JSON, each run once: with its last start, and the ones before it."""
    found: dict[object, dict[str, object]] = {}
    for start in starts:
        for facts in start.facts():
            # What no run was chosen for is no earlier start of another.
            key = facts["run_id"] or (facts["start_id"], facts["source"])
            latest = found.setdefault(key, facts | {"earlier_starts": []})
            earlier = latest["earlier_starts"]
            if latest["start_id"] != facts["start_id"] and isinstance(earlier, list):
                earlier.append({**start.ending, "started": start.record.started})
    return [*found.values()]


@dataclass(frozen=True, slots=True)
class StartFilter:
    """Which starts are listed: of one *job* or file, those that *failed*, since a time (UTC), the first *most*."""

    job: str | None = None
    failed: bool = False
    since: datetime | None = None
    most: int | None = None

    def matches(self, record: RunRecord) -> bool:
        """Whether *record* is listed, but for the number."""
        names = {record.job, *record.source_names, *(source.source for source in record.sources)}
        is_fine = record.end in {RunEnd.RUNNING, RunEnd.SUCCEEDED}
        return (
            (self.job is None or self.job in names)
            and not (self.failed and is_fine)
            and (self.since is None or _moment(record.started) >= self.since)
        )


def start_named(starts: Sequence[PastStart], start_id: str) -> PastStart:
    """Return that of *starts*, the newest first, which *start_id* names: see `RunHistory.start`."""
    if start_id == LAST and starts:
        return starts[0]
    found = [one for one in starts if any(name.startswith(start_id) for name in _names(one.record))]
    exact = [one for one in found if start_id in _names(one.record)]
    different = {_run_ids(one.record) or one.record.start_id for one in found}
    if exact or len(different) == 1:
        return (exact or found)[0]
    raise _not_one(len(different), start_id)


class RunHistory:
    """The runs in a state folder."""

    def __init__(self, state: Path) -> None:
        """Use the folder *state*; raises StorageError."""
        self._run_store = RunStore(state)
        self._history = History(state)

    def starts(self, wanted: StartFilter = StartFilter()) -> Iterator[PastStart]:
        """Yield the starts that are *wanted*, the newest first; raises StorageError.

        A run that an earlier version started has no record: its journal says what is known. It comes last.
        """
        runs: dict[str, PastRun] = {}
        sources: dict[str, SourceRecord] = {}
        for stored_run in self._run_store.runs():
            run = self._past(stored_run)
            runs[run.run_id], sources[run.run_id] = run, source_record(stored_run.state)
        records = list(self._history.records(lambda record: completed(record, sources)))
        recorded = {source.run_id for record in records for source in record.sources}
        records += [_record_of(run, sources[run.run_id]) for run in runs.values() if run.run_id not in recorded]
        listed = 0
        for record in records:
            if wanted.matches(record) and (wanted.most is None or listed < wanted.most):
                listed += 1
                found = {one: runs[one] for one in _run_ids(record) if one in runs}
                yield PastStart(record, found)

    def start(self, start_id: str) -> PastStart:
        """Return the start whose ID, or that of a run of it, begins with *start_id*; `last` is the newest.

        Of several starts that resumed one run it is the newest. Raises ConfigError unless there is exactly one run.
        """
        return start_named(list(self.starts()), start_id)

    def runs(self) -> Iterator[PastRun]:
        """Yield every run, the newest first."""
        for stored_run in self._run_store.runs():
            yield self._past(stored_run)

    def run(self, run_id: str) -> PastRun:
        """Return the run whose ID begins with *run_id*; raise ConfigError unless there is exactly one."""
        found = [run for run in self.runs() if run.run_id.startswith(run_id)]
        if len(found) == 1:
            return found[0]
        raise _not_one(len(found), run_id)

    def overdue_retries(self, settings: Settings, job: str | None = None) -> list[LeftRetryFile]:
        """Return the retry files, of *job* or of all, whose rows are open for longer than *settings* say."""
        found = overdue(RetryFiles(self._run_store), None, settings, now=datetime.now(UTC).timestamp())
        return [one for one in found if job in {None, one.root.job.name, one.root.source}]

    def purge(self, days: int) -> int:
        """Delete the runs started more than *days* ago, interrupted ones too; return how many.

        A run stays while a process is sending its file. The records of starts go with their time.
        """
        now = datetime.now(UTC)
        self._history.delete_older(now=now, days=days)
        return self._run_store.delete_older(
            days, now=now, may_go=lambda stored_run: not self._run_store.is_busy(stored_run)
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
            seconds=round(run_state.sessions.all_seconds, 3),
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


def _not_one(number: int, run_id: str) -> ConfigError:
    what = f"{number} runs" if number else "no run"
    return ConfigError(f"{what} with an ID that begins with '{run_id}'. `uploader runs` lists them.")


def _moment(started: str) -> datetime:
    try:
        return datetime.fromisoformat(started)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _run_ids(record: RunRecord) -> tuple[str, ...]:
    return tuple(source.run_id for source in record.sources if source.run_id)


def _names(record: RunRecord) -> tuple[str, ...]:
    return (record.start_id, *_run_ids(record))


def _record_of(run: PastRun, source: SourceRecord) -> RunRecord:
    """Return the record of a run of which there is only the journal."""
    has_ended = run.ended not in {"running", "interrupted"}
    status = run.exit_status if run.exit_status is not None else 0 if run.ended == "finished" else None
    return RunRecord(
        run.run_id,
        run.started,
        sources=(replace(source, exit_status=status),),
        ended=_ended_at(run) if has_ended or status is not None else None,
        seconds=run.seconds,
        exit_status=status,
        is_killed=status is None and run.ended != "running",
    )


def _ended_at(run: PastRun) -> str:
    return (_moment(run.started) + timedelta(seconds=run.seconds)).isoformat(timespec="seconds")


def _end_without_journal(source: SourceRecord) -> str:
    if source.exit_status in {0, 3}:
        return "finished"
    return "interrupted" if source.traffic.requests else "not started"


def _without_journal(record: RunRecord, source: SourceRecord) -> PastRun:
    """Return what is known of the run of *source* without its journal: it was never created, or is deleted."""
    return PastRun(
        run_id=source.run_id,
        source=source.source,
        started=record.started,
        ended=_end_without_journal(source),
        exit_status=source.exit_status,
        lives=1,
        counts=source.counts,
        requests=source.traffic.requests,
        maybe_sent_twice=source.traffic.maybe_sent_twice,
        retry_file=source.retry_file,
        rows=(),
        seconds=source.seconds,
    )
