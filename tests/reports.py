"""Read the numbers of a report, and make one that has the longest of everything."""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, cast

from uploader.counts import Counts, Traffic
from uploader.outputs.report_data import ReasonRows, ReportedRun, RunReport, RunTotals
from uploader.run_record import RunRecord, SourceRecord
from uploader.timeline import Interval, IntervalTotals, Pause, QuotaWindow, counted_latencies

SHARED: Final = (
    *("read", "sent", "unchanged", "superseded", "rejected", "failed", "not_attempted"),
    *("requests", "retries", "limited", "limited_seconds", "maybe_sent_twice", "seconds"),
)
"""The numbers that the report has as the summary has them."""

_STATUSES: Final = (None, 3, 6, 2, 7, 143)
_NUMBER: Final = re.compile(r'data-value="(\w+)">(?:[^<]*<small>)?([\d,.]+)')
_REASON: Final = re.compile(r'data-reason="([^"]*)">([\d,]+)<')


def numbers_of(page: str) -> dict[str, float]:
    """Return the numbers of the report *page* by their names in the summary."""
    return {name: float(number.replace(",", "")) for name, number in _NUMBER.findall(page)}


def reasons_of(page: str) -> dict[str, int]:
    """Return how many rows have each reason, by its code."""
    return {code: int(number.replace(",", "")) for code, number in _REASON.findall(page)}


def numbers_in(summary: Mapping[str, float]) -> dict[str, float]:
    """Return the same numbers of a *summary*."""
    return {name: float(summary[name]) for name in SHARED}


def report(**more: object) -> RunReport:
    """Return the report of a small run, which *more* changes."""
    counts, traffic = Counts(10, 7, 1, 0, 1, 1), Traffic(12, 3, 2)
    started = "2026-01-01T00:00:00+00:00"
    facts: dict[str, object] = {
        "run_id": "20260101T000000Z-abc123",
        "source": "people.csv",
        "service": "https://api.example, svc",
        "started": started,
        "ended": "2026-01-01T00:00:20+00:00",
        "latest": _start("20260101T000000Z-abc123", started, 3, counts, 20.123),
        "sessions": 1,
        "seconds": 20.123,
        "counts": counts,
        "traffic": traffic,
        "limited_seconds": 1.5,
        "maybe_sent_twice": 0,
        "retry_file": "people.retry.csv",
        "is_only_source": True,
        "reasons": [ReasonRows("50000", "the service had a fault", 1), ReasonRows("type", "'나이' is no number", 1)],
        "intervals": [_interval(1767225600.0 + number, 3) for number in range(4)],
        "last_runs": [
            _start("20260101T000000Z-abc123", started, 3, counts, 20.123),
        ],
    }
    facts.update(more)
    run, totals = ({one.name: facts.pop(one.name) for one in fields(part)} for part in (ReportedRun, RunTotals))
    # The facts have the names of the fields.
    of_run, of_totals, others = cast("tuple[Any, Any, Any]", (run, totals, facts))
    return RunReport(ReportedRun(**of_run), RunTotals(**of_totals), **others)


def longest_report() -> RunReport:
    """Return a report of long names, huge numbers, days of sending, many pauses, windows, reasons and runs."""
    many, rows = 1_234_567_890, 123_456_789
    counts, began, step = Counts(many, many, many, many, many, many, many), 1767225600.0, 600.0
    of_runs = Counts(rows, rows, rows, rows, rows, rows, rows)
    intervals = [_interval(began + number * step, 9_000_000, step=step, number=number) for number in range(700)]
    return report(
        source="/exports/" + "a-very-long-folder-name/" * 4 + "members_of_the_loyalty_programme_20260101.csv.zst",
        service="https://" + "gateway-" * 8 + "api.example, 1234567890abcdef1234567890abcdef",
        latest=_start("20260101T000000Z-abc123", "2026-01-01T00:00:00+00:00", None, counts, 1_234_567.8),
        sessions=1_234,
        seconds=1_234_567.891,
        counts=counts,
        traffic=Traffic(many, many, many),
        limited_seconds=123_456.789,
        maybe_sent_twice=many,
        retry_file="/exports/" + "a-very-long-folder-name/" * 5 + "people.retry.csv",
        reasons=[
            ReasonRows(f"{40000 + n}", "the value of '" + "아주_긴_열_이름_" * n + "' is no date", many // (n + 1))
            for n in range(30)
        ],
        intervals=intervals,
        last_runs=[
            _start(f"{n}", f"2026-01-{n + 1:02d}T01:02:03+00:00", _STATUSES[n % len(_STATUSES)], of_runs, 1_234_567.8)
            for n in range(30)
        ],
    )


def _start(run_id: str, started: str, status: int | None, counts: Counts, seconds: float) -> RunRecord:
    """Return the record of a start of one source; without a *status* it was killed."""
    source = SourceRecord("people.csv", run_id, status, counts, seconds=seconds)
    ended = None if status is None else started
    return RunRecord(
        run_id, started, "", (source,), ended, seconds=seconds, exit_status=status, is_killed=status is None
    )


def _interval(at: float, requests: int, *, step: float = 1.0, number: int = 0) -> Interval:
    paused = number % 20 == 7
    return Interval(
        at,
        step,
        IntervalTotals(0 if paused else requests, 1, 2, requests, 0),
        limit=requests / step * 1.05,
        pace=requests / step,
        per=60.0,
        latencies=counted_latencies([0.02, 0.05 + number % 9 / 10, 30.0 if number % 50 == 1 else 0.4]),
        pauses=(Pause(("throttled", "outage")[number % 40 == 7], at, step),) if paused else (),
        windows=(QuotaWindow(at + step, requests, requests + 10_000),),
    )
