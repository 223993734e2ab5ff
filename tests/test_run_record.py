"""One record of a start says the same to all that report it."""

import json
from dataclasses import replace

import pytest

from uploader.counts import Counts
from uploader.run_record import ReasonCount, RunEnd, RunRecord, SourceRecord, TrafficRecord

PEOPLE = SourceRecord(
    "people.csv",
    "20240305T021500Z-aa",
    3,
    Counts(10, sent=5, unchanged=2, rejected=2, failed=1),
    TrafficRecord(requests=9),
    reasons=(ReasonCount("type", "not a number", 2), ReasonCount("50000", "the service had a fault", 1)),
    retry_file="people.retry.csv",
)
RECORD = RunRecord("20240305T021500Z-s", "2024-03-05T02:15:00+00:00", "members", (PEOPLE,), exit_status=3)


def of(status: int | None, counts: Counts = Counts(3, sent=3)) -> RunRecord:  # noqa: B008 — it is frozen
    """Return the record of a start that ended with *status*."""
    return replace(RECORD, exit_status=status, sources=(replace(PEOPLE, counts=counts),))


@pytest.mark.parametrize(
    ("record", "end", "outcome"),
    [
        (of(None), RunEnd.RUNNING, "running"),
        (replace(of(None), is_killed=True), RunEnd.KILLED, "killed, or its end could not be recorded"),
        (of(0), RunEnd.SUCCEEDED, "succeeded"),
        (of(0, Counts()), RunEnd.SUCCEEDED, "nothing to send: no rows"),
        (of(0, Counts(1000, sent=995, rejected=5)), RunEnd.SUCCEEDED, "succeeded with 5 rejected rows"),
        (of(0, Counts(1000, sent=999, failed=1)), RunEnd.SUCCEEDED, "succeeded with 1 failed row"),
        (of(3, Counts(9, sent=5, rejected=3, failed=1)), RunEnd.REJECTED, "finished with 3 rejected and 1 failed rows"),
        (of(2), RunEnd.FAILED, "not started: an option or the configuration is wrong"),
        (of(143), RunEnd.FAILED, "stopped by SIGTERM"),
        (of(137), RunEnd.FAILED, "ended with 137"),
    ],
)
def test_the_outcome_says_in_words_what_the_end_says_for_programs(record: RunRecord, end: RunEnd, outcome: str) -> None:
    assert (record.end, record.outcome) == (end, outcome)


def test_a_run_of_files_that_were_all_sent_before_says_by_which_run() -> None:
    sent = replace(PEOPLE, counts=Counts(), already_sent_by="20240304T021500Z-bb")

    assert replace(RECORD, exit_status=0, sources=(sent,)).outcome == (
        "nothing to send: already sent by run 20240304T021500Z-bb"
    )
    assert replace(RECORD, exit_status=0, sources=(sent, replace(PEOPLE, counts=Counts(2, sent=2)))).outcome == (
        "succeeded"
    )


def test_the_numbers_of_all_sources_are_added_and_their_reasons_ordered() -> None:
    other = replace(PEOPLE, source="others.csv", reasons=(ReasonCount("50000", "the service had a fault", 4),))

    record = replace(RECORD, sources=(PEOPLE, other))

    assert (record.counts, record.requests) == (Counts(20, sent=10, unchanged=4, rejected=4, failed=2), 18)
    assert record.reasons == (
        ReasonCount("50000", "the service had a fault", 5),
        ReasonCount("type", "not a number", 2),
    )
    assert record.retry_files == ("people.retry.csv", "people.retry.csv")


def test_a_job_without_a_name_is_called_after_its_sources_as_they_were_named() -> None:
    nameless = replace(RECORD, job="", sources=(PEOPLE, replace(PEOPLE, source="-")))

    assert (RECORD.job_name, nameless.job_name) == ("members", "people.csv, -")
    assert replace(nameless, named=("people_*.csv",)).job_name == "people_*.csv"


def test_a_record_survives_json_and_keys_of_a_later_version() -> None:
    record = replace(RECORD, named=("people_*.csv",))
    facts = json.loads(json.dumps(record.facts()))

    assert RunRecord.parse(facts) == record
    assert RunRecord.parse({**facts, "mood": "good"}) == record
    assert RunRecord.parse({name: fact for name, fact in facts.items() if name != "named"}) == RECORD


@pytest.mark.parametrize("facts", [{}, {"start_id": "1"}, {"start_id": "1", "started": "t", "sources": [{}]}])
def test_what_is_no_record_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        RunRecord.parse(facts)
