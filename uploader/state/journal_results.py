"""Return what the journal of a run says of its source, as the history keeps it."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from uploader.run_record import ReasonCount, RunRecord, SourceRecord, TrafficRecord
from uploader.state.replay import RunState
from uploader.state.run_store import RunStore


def sources_of(run_store: RunStore, run_ids: Collection[str]) -> Mapping[str, SourceRecord]:
    """Return what the journals of the runs *run_ids* say, as far as they are left; raises StorageError."""
    headers = [header for header in run_store.headers() if header.run_id in run_ids]
    return {header.run_id: source_record(run_store.read(header).state) for header in headers}


def completed(record: RunRecord, found: Mapping[str, SourceRecord]) -> RunRecord:
    """Return *record* of a start without an end, with what the journals say that its runs have done.

    *found* is what they say, by run ID.
    """
    sources = (
        replace(found.get(source.run_id, source), source=source.source, exit_status=source.exit_status)
        for source in record.sources
    )
    return replace(record, sources=tuple(sources))


def source_record(run_state: RunState) -> SourceRecord:
    """Return the record of the source of *run_state*, which has a header; its exit status is not known."""
    header, traffic, sessions = run_state.header, run_state.traffic, run_state.sessions
    assert header is not None  # noqa: S101 — the run store yields no others
    reasons = Counter(row.reason for _, row in sorted(run_state.to_resend.items()) if row.kind != "again")
    return SourceRecord(
        header.source,
        header.run_id,
        None,
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
