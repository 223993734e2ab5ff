"""Gather what the report of a run shows, from its journal and the history of its job."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from uploader.app.run_history import LAST, PastStart, RunHistory, start_named
from uploader.errors import ConfigError
from uploader.outputs.report_data import ReasonRows, ReportedRun, RunReport, RunTotals
from uploader.run_record import RunRecord
from uploader.state import RunHeader, RunState, RunStore

MOST_RUNS: Final = 30
"""How many starts of the job a report shows."""


def report_of(state: Path, wanted: str | None) -> RunReport:
    """Return what the report of a run in the folder *state* shows: of the one that *wanted* names.

    That is the beginning of an ID, of a start or of a source's run, or `last`. Of a start of several SOURCEs it is the
    last one that was sent. None is the newest start with a journal.

    Raises:
        ConfigError: there is no such run, or more than one, or it has no journal.
        StorageError: a journal or the history can't be read.
    """
    run_store, found = RunStore(state), list(RunHistory(state).starts())
    start = _start_of(found, state, wanted)
    header = _header_of(run_store, start, wanted)
    run_state = run_store.read(header).state
    starts = [_of_source(one.record, header) for one in found]
    latest = next(record for record in starts if record.has_run(header.run_id))
    return RunReport(
        ReportedRun(
            run_id=header.run_id,
            is_only_source=len(start.record.sources) == 1,
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


def _start_of(starts: Sequence[PastStart], state: Path, wanted: str | None) -> PastStart:
    """Return that of *starts*, the newest first, which *wanted* names; None is the first one with a journal."""
    with_journal = [start for start in starts if start.runs]
    if not with_journal:
        raise ConfigError(f"No run is stored in {state}. Start one with `uploader run`, or name the right --config.")
    start = with_journal[0] if wanted is None else start_named(starts, wanted)
    if start.runs:
        return start
    raise ConfigError(
        f"run {start.record.start_id} has no report ({start.record.outcome}): it has no journal. "
        f"`uploader runs {start.record.start_id}` shows what is known of it. Without an ID, `uploader report` takes "
        "the newest run that has a journal."
    )


def _header_of(run_store: RunStore, start: PastStart, wanted: str | None) -> RunHeader:
    """Return the header of the source of *start* that *wanted* names; else that of the last one with a journal."""
    with_journal = [source.run_id for source in start.record.sources if source.run_id in start.runs]
    is_start = wanted is None or wanted == LAST or start.record.start_id.startswith(wanted)
    named = [] if is_start else [run_id for run_id in with_journal if run_id.startswith(str(wanted))]
    run_id = (named or with_journal)[-1]
    return next(header for header in run_store.headers() if header.run_id == run_id)


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
