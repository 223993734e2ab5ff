"""A notification says what happened, to a chat and to a program, without a value of any row."""

from dataclasses import replace
from typing import Any

import pytest

from uploader.counts import Counts
from uploader.outputs.endpoint_post import NotifyEndpoint
from uploader.outputs.notification import (
    events_of,
    notification_facts,
    notification_text,
    ping_message,
    webhook_message,
)
from uploader.run_record import ReasonCount, RunRecord, SourceRecord, TrafficRecord

HOOK = NotifyEndpoint("notify.url", "https://monitor.example/hook")
SOURCE = SourceRecord(
    "members_20240305.csv",
    "20240305T021500Z-7b2d24a1",
    3,
    Counts(read=3000, sent=2992, rejected=7, failed=1),
    traffic=TrafficRecord(requests=2996),
    reasons=(ReasonCount("not_long", "column 'age': not a whole number", 7), ReasonCount("50000", "a fault", 1)),
    retry_file="members.retry.csv",
)
RECORD = RunRecord(
    "20240305T021500Z-0a1b2c3d",
    "2024-03-05T02:15:00+00:00",
    "members",
    (SOURCE,),
    "2024-03-05T02:15:19+00:00",
    19.204,
    3,
)
STARTED = RunRecord("start-1", "2024-03-05T02:15:00+00:00", "members")
KILLED = replace(STARTED, is_killed=True)
FAILED = replace(STARTED, ended="2024-03-05T02:15:01+00:00", exit_status=4, error="members.csv does not exist.")
CLEAN = replace(RECORD, sources=(replace(SOURCE, counts=Counts(read=5, sent=5), reasons=()),), exit_status=0)
TOLERATED = replace(RECORD, exit_status=0)


@pytest.mark.parametrize(
    ("record", "events", "suffix"),
    [
        (STARTED, ["started"], "/start"),
        (CLEAN, ["success"], ""),
        (TOLERATED, ["rejected", "success"], ""),
        (RECORD, ["rejected"], "/fail"),
        (FAILED, ["failure"], "/fail"),
        (KILLED, ["failure"], "/fail"),
    ],
    ids=["started", "success", "tolerated", "rejected", "failure", "killed"],
)
def test_each_end_is_an_event_and_a_ping(record: RunRecord, events: list[str], suffix: str) -> None:
    assert [*events_of(record)] == events
    assert ping_message(NotifyEndpoint("notify.ping", "https://monitor.example/p"), record).suffix == suffix


def test_only_what_is_wanted_goes_to_the_webhook() -> None:
    assert webhook_message(HOOK, CLEAN, ("failure", "rejected")) is None
    assert webhook_message(HOOK, TOLERATED, ("failure", "rejected")) is not None
    assert webhook_message(HOOK, RECORD, ()) is None


def test_rows_that_are_tolerated_are_a_success_where_rejected_rows_are_not_wanted() -> None:
    message = webhook_message(HOOK, TOLERATED, ("success",))

    assert message is not None
    assert b'"event": "success"' in message.body


def test_the_facts_are_those_of_the_record() -> None:
    facts: dict[str, Any] = {**notification_facts(RECORD, "rejected")}

    text = facts.pop("text")
    assert facts == {
        "event": "rejected",
        "end": "rejected",
        "outcome": "finished with 7 rejected and 1 failed rows",
        "error": None,
        "job": "members",
        "run_id": "20240305T021500Z-0a1b2c3d",
        "started": "2024-03-05T02:15:00+00:00",
        "ended": "2024-03-05T02:15:19+00:00",
        "seconds": 19.204,
        "exit_status": 3,
        "read": 3000,
        "sent": 2992,
        "unchanged": 0,
        "superseded": 0,
        "rejected": 7,
        "failed": 1,
        "not_attempted": 0,
        "requests": 2996,
        "reasons": [
            {"code": "not_long", "phrase": "column 'age': not a whole number", "rows": 7},
            {"code": "50000", "phrase": "a fault", "rows": 1},
        ],
        "retry_files": ["members.retry.csv"],
        "sources": [
            {
                "source": "members_20240305.csv",
                "run_id": "20240305T021500Z-7b2d24a1",
                "exit_status": 3,
                "read": 3000,
                "sent": 2992,
                "unchanged": 0,
                "superseded": 0,
                "rejected": 7,
                "failed": 1,
                "not_attempted": 0,
                "retry_file": "members.retry.csv",
            }
        ],
    }
    assert text.splitlines() == [
        f"uploader: members: {RECORD.outcome}, after 19 s (run {RECORD.start_id}, {RECORD.started}).",
        "3,000 rows: 2,992 sent, 7 rejected, 1 failed.",
        "column 'age': not a whole number: 7 rows",
        "a fault: 1 row",
        "Retry file: members.retry.csv",
    ]


def test_the_text_of_a_failure_has_its_message() -> None:
    assert notification_text(FAILED, "failure").splitlines()[1] == "members.csv does not exist."


@pytest.mark.parametrize(
    ("reasons", "left_out"),
    [(5, []), (6, ["… and 1 other reason (2 rows)"]), (8, ["… and 3 other reasons (6 rows)"])],
)
def test_the_reasons_that_are_left_out_are_counted(reasons: int, left_out: list[str]) -> None:
    source = replace(SOURCE, reasons=tuple(ReasonCount("x", f"reason {number}", 2) for number in range(reasons)))

    lines = notification_text(replace(RECORD, sources=(source,)), "rejected").splitlines()

    assert lines[6:-1] == ["reason 4: 2 rows", *left_out]


def test_rows_with_a_consent_that_are_not_tolerated_are_counted() -> None:
    text = notification_text(replace(RECORD, consents_left=2), "rejected")

    assert text.splitlines()[-2:] == [
        "limits.tolerate does not cover 2 rows: they give or may give a consent, or take one back.",
        "Retry file: members.retry.csv",
    ]


def test_a_name_is_no_markup_of_a_chat() -> None:
    record = replace(FAILED, job="<!channel> & <https://evil.example|click>")

    text = str(notification_facts(record, "failure")["text"])

    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;" in text
    assert "<" not in text
