"""Word what is reported of the start and the end of a run: plain facts, and a text for people."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Final, Literal, TypeAlias

from uploader.outputs.duration_text import spell_seconds
from uploader.outputs.endpoint_post import EndpointMessage, NotifyEndpoint
from uploader.run_record import RunEnd, RunRecord, not_tolerated

ReportedEvent: TypeAlias = Literal["started", "success", "rejected", "failure", "test"]
"""What is reported: see `notify.on`; *test* asks whether the endpoint can be reached."""

_MOST_REASONS: Final = 5
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_SUFFIXES: Final[Mapping[ReportedEvent, str]] = {"started": "/start", "failure": "/fail", "test": "/log"}
_ESCAPED: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Chats read these characters as markup: `<!channel>` in the name of a file would call everybody."""


def events_of(record: RunRecord) -> Sequence[ReportedEvent]:
    """Return what of *record* can be reported, the most important first.

    A run that tolerates its rejected rows is a success; they are reported all the same.
    """
    match record.end:
        case RunEnd.RUNNING:
            return ("started",)
        case RunEnd.SUCCEEDED:
            return ("rejected", "success") if record.counts.not_accepted else ("success",)
        case RunEnd.REJECTED:
            return ("rejected",)
        case RunEnd.FAILED | RunEnd.KILLED:
            return ("failure",)


def webhook_message(endpoint: NotifyEndpoint, record: RunRecord, wanted: Collection[str]) -> EndpointMessage | None:
    """Return what a webhook gets for *record*; None where it is no event that is *wanted*."""
    event = next((one for one in events_of(record) if one in wanted), None)
    return None if event is None else _webhook(endpoint, record, event)


def ping_message(endpoint: NotifyEndpoint, record: RunRecord) -> EndpointMessage:
    """Return the ping for *record*, by the convention of healthchecks.io: `/start`, `/fail`, or the URL for a success.

    Rows that were not accepted are a failure, unless the run tolerates them: as its exit status has it.
    """
    event: ReportedEvent = events_of(record)[-1]
    return _ping(endpoint, record, "failure" if event == "rejected" else event)


def trial_messages(webhook: NotifyEndpoint | None, ping: NotifyEndpoint | None) -> Sequence[EndpointMessage]:
    """Return a test for each endpoint; that of a ping is a `/log`, which changes the state of no check."""
    record = RunRecord("test", "")
    return [
        *([] if webhook is None else [_webhook(webhook, record, "test")]),
        *([] if ping is None else [_ping(ping, record, "test")]),
    ]


def notification_facts(record: RunRecord, event: ReportedEvent) -> Mapping[str, object]:
    """Return what is known of *record* as plain data, with a *text* for chats; no value of any row."""
    return {
        "text": notification_text(record, event).translate(_ESCAPED),
        "event": event,
        "end": str(record.end),
        "outcome": record.outcome,
        "error": record.error,
        "job": record.job or None,
        "run_id": record.start_id,
        "started": record.started,
        "ended": record.ended,
        "seconds": record.seconds,
        "exit_status": record.exit_status,
        **asdict(record.counts),
        "requests": record.requests,
        "reasons": [asdict(reason) for reason in record.reasons],
        "retry_files": list(record.retry_files),
        "sources": [
            {
                "source": source.source,
                "run_id": source.run_id,
                "exit_status": source.exit_status,
                **asdict(source.counts),
                "retry_file": source.retry_file,
            }
            for source in record.sources
        ],
    }


def notification_text(record: RunRecord, event: ReportedEvent) -> str:
    """Return *record* for people, in a few lines."""
    if event == "test":
        return "uploader: this is a test. Notifications of runs arrive here."
    if event == "started":
        return f"uploader: {record.job_name} started (run {record.start_id})."
    took = "" if record.ended is None else f", after {spell_seconds(record.seconds)}"
    lines = [f"uploader: {record.job_name}: {record.outcome}{took} (run {record.start_id}, {record.started})."]
    if record.error is not None:
        lines += record.error.split("\n")
    counts = record.counts
    if counts.read:
        numbers = asdict(counts).items()
        kinds = [f"{number:,} {name.replace('_', ' ')}" for name, number in numbers if number and name != "read"]
        lines.append(f"{_rows(counts.read)}: {', '.join(kinds)}.")
    shown, left = record.reasons[:_MOST_REASONS], record.reasons[_MOST_REASONS:]
    lines += [f"{reason.phrase}: {_rows(reason.rows)}" for reason in shown]
    if left:
        others = "1 other reason" if len(left) == 1 else f"{len(left):,} other reasons"
        lines.append(f"… and {others} ({_rows(sum(reason.rows for reason in left))})")
    if record.consents_left:
        lines.append(not_tolerated(record.consents_left))
    lines += [f"Retry file: {name}" for name in record.retry_files]
    return "\n".join(lines)


def _rows(number: int) -> str:
    return f"{number:,} {'row' if number == 1 else 'rows'}"


def _webhook(endpoint: NotifyEndpoint, record: RunRecord, event: ReportedEvent) -> EndpointMessage:
    return EndpointMessage(endpoint, json.dumps(notification_facts(record, event)).encode(), _JSON)


def _ping(endpoint: NotifyEndpoint, record: RunRecord, event: ReportedEvent) -> EndpointMessage:
    text = notification_text(record, event).encode(errors="backslashreplace")
    return EndpointMessage(endpoint, text, _TEXT, _SUFFIXES.get(event, ""))
