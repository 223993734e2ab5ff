"""Gather what the report of a run shows, from its journal and the history of its job."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from uploader.app.run_history import RunHistory
from uploader.errors import ConfigError
from uploader.outputs.report_data import ReasonRows, ReportedRun, RunReport, RunTotals
from uploader.run_record import RunRecord
from uploader.state import RunHeader, RunState, RunStore

MOST_RUNS: Final = 30
"""How many starts of the job a report shows."""


def report_of(state: Path, run_id: str | None) -> RunReport:
    """Return what the report of a run in the folder *state* shows: of the one whose ID begins with *run_id*.

    None is the run that was started last.

    Raises:
        ConfigError: there is no such run, or more than one.
        StorageError: a journal or the history can't be read.
    """
    run_store = RunStore(state)
    header = _header_of(run_store, state, run_id)
    run_state = run_store.read(header).state
    starts = [_of_source(start.record, header) for start in RunHistory(state).starts()]
    latest = next(record for record in starts if record.has_run(header.run_id))
    return RunReport(
        ReportedRun(
            run_id=header.run_id,
            source=header.source,
            service=f"{header.destination.base_url}, {header.destination.service_id}",
            started=header.started,
            ended=run_state.end.at,
            latest=latest,
            sessions=run_state.sessions.count,
            retry_file=run_state.retry_file,
        ),
        RunTotals(
            run_state.counts,
            run_state.traffic,
            seconds=run_state.sessions.all_seconds,
            limited_seconds=run_state.sessions.held_seconds,
            maybe_sent_twice=run_state.maybe_sent_twice,
        ),
        reasons=_reasons(run_state),
        intervals=run_store.intervals(header),
        last_runs=[record for record in starts if record.is_same_job(latest)][:MOST_RUNS][::-1],
    )


def _header_of(run_store: RunStore, state: Path, run_id: str | None) -> RunHeader:
    headers = list(run_store.headers())
    if not headers:
        raise ConfigError(f"No run is stored in {state}. Start one with `uploader run`, or name the right --config.")
    if run_id is None:
        return headers[0]
    found = [header for header in headers if header.run_id.startswith(run_id)]
    if len(found) == 1:
        return found[0]
    what = "no run" if not found else f"{len(found)} runs"
    raise ConfigError(f"{what} with an ID that begins with '{run_id}'. `uploader runs` lists them.")


def _of_source(record: RunRecord, header: RunHeader) -> RunRecord:
    """Return what *record*, if it is of several sources, says of that of the run *header*; else *record* itself."""
    found = [source for source in record.sources if header.run_id == source.run_id]
    found = found or [source for source in record.sources if header.source == source.source]
    if not found or len(record.sources) == 1:
        return record
    status = record.exit_status if found[0].exit_status is None else found[0].exit_status
    return replace(record, sources=tuple(found[:1]), exit_status=status)


def _reasons(run_state: RunState) -> Sequence[ReasonRows]:
    found = Counter(row.reason for row in run_state.to_resend.values() if row.kind != "again")
    return [ReasonRows(reason.code, reason.phrase, rows) for reason, rows in found.most_common()]
