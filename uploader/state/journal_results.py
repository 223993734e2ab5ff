"""Return what the journal of a run says of its source, as the history keeps it."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from uploader.run_record import ReasonCount, RunRecord, SourceRecord, TrafficRecord
from uploader.state.replay import RunState
from uploader.state.run_store import RunStore


def states_of(run_store: RunStore, run_ids: Collection[str]) -> Mapping[str, RunState]:
    """Return what the journals of the runs *run_ids* say, as far as they are left; raises StorageError."""
    return {header.run_id: run_store.read(header).state for header in run_store.headers() if header.run_id in run_ids}


def completed(record: RunRecord, states: Mapping[str, RunState]) -> RunRecord:
    """Return *record* of a start without an end, with what the journals say that its runs have done.

    *states* is what they say, by run ID.
    """
    sources = [
        replace(source_record(states[source.run_id], source.exit_status), source=source.source)
        if source.run_id in states
        else source
        for source in record.sources
    ]
    return replace(record, sources=tuple(sources))


def source_record(run_state: RunState, exit_status: int | None) -> SourceRecord:
    """Return the record of the source of *run_state*, which has a header."""
    header, traffic, sessions = run_state.header, run_state.traffic, run_state.sessions
    assert header is not None  # noqa: S101 — the run store yields no others
    reasons = Counter(row.reason for _, row in sorted(run_state.to_resend.items()) if row.kind != "again")
    return SourceRecord(
        header.source,
        header.run_id,
        exit_status,
        run_state.counts,
        TrafficRecord(
            traffic.requests,
            traffic.retries,
            traffic.limited,
            round(sessions.held_seconds, 3),
            run_state.maybe_sent_twice,
        ),
        seconds=round(sessions.all_seconds, 3),
        reasons=tuple(ReasonCount(reason.code, reason.phrase, rows) for reason, rows in reasons.items()),
        retry_file=run_state.retry_file,
    )
