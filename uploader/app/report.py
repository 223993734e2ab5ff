"""Gather what the report of a run shows, from its journal and those of the last runs of its job."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from uploader.errors import ConfigError
from uploader.outputs.report_data import EarlierRun, Ending, ReasonRows, ReportedRun, RunReport, RunTotals
from uploader.state import RunHeader, RunState, RunStore, StoredRun

MOST_RUNS: Final = 30
"""How many runs of the job a report shows."""


def report_of(state: Path, run_id: str | None) -> RunReport:
    """Return what the report of a run in the folder *state* shows: of the one whose ID begins with *run_id*.

    None is the run that was started last.

    Raises:
        ConfigError: there is no such run, or more than one.
        StorageError: a journal can't be read.
    """
    run_store = RunStore(state)
    header = _header_of(run_store, state, run_id)
    stored_run = run_store.read(header)
    run_state = stored_run.state
    return RunReport(
        ReportedRun(
            run_id=header.run_id,
            source=header.source,
            service=f"{header.destination.base_url}, {header.destination.service_id}",
            started=header.started,
            ended=run_state.end.at,
            ending=_ending(run_store, stored_run),
            exit_status=run_state.end.status,
            sessions=run_state.sessions.count,
            retry_file=run_state.retry_file,
        ),
        RunTotals(
            run_state.counts,
            run_state.traffic,
            seconds=run_state.sessions.seconds,
            limited_seconds=run_state.sessions.held_seconds,
            maybe_sent_twice=run_state.maybe_sent_twice,
        ),
        reasons=_reasons(run_state),
        intervals=run_store.intervals(header),
        last_runs=_last_runs(run_store, header),
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


def _last_runs(run_store: RunStore, header: RunHeader) -> Sequence[EarlierRun]:
    """Return the last runs of the source and service of *header*, the newest last."""
    of_job = (other for other in run_store.headers() if other.key == header.key)
    return [_earlier_run(run_store, other) for other in reversed(list(islice(of_job, MOST_RUNS)))]


def _earlier_run(run_store: RunStore, header: RunHeader) -> EarlierRun:
    stored_run = run_store.read(header)
    run_state = stored_run.state
    return EarlierRun(
        run_id=header.run_id,
        started=header.started,
        ending=_ending(run_store, stored_run),
        exit_status=run_state.end.status,
        counts=run_state.counts,
        seconds=run_state.sessions.seconds,
    )


def _ending(run_store: RunStore, stored_run: StoredRun) -> Ending:
    run_state = stored_run.state
    if run_state.is_finished:
        return "finished with some left" if run_state.counts.not_accepted else "finished"
    if run_state.is_abandoned:
        return "abandoned"
    if run_store.is_running(stored_run):
        return "running"
    return "interrupted" if run_state.end.status is None else "stopped"


def _reasons(run_state: RunState) -> Sequence[ReasonRows]:
    found = Counter(row.reason for row in run_state.to_resend.values() if row.kind != "again")
    return [ReasonRows(reason.code, reason.phrase, rows) for reason, rows in found.most_common()]
