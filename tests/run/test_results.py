"""Each row of a source is accounted for, and its summary says so."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.make import repairs
from uploader.counts import Counts, Traffic
from uploader.errors import UploaderError
from uploader.mapping import Repairs
from uploader.run.results import Ending, SourceFindings, SourceResult, Times

EMPTY = SourceResult("run-1", "people.csv", "2024-03-05T02:15:00+00:00")


def test_the_summary_has_the_keys_of_the_contract_in_their_order() -> None:
    account = SourceResult(
        run_id="run-1",
        source="people.csv",
        started="2024-03-05T02:15:00+00:00",
        counts=Counts(10, sent=5, unchanged=1, superseded=1, rejected=1, failed=1, not_attempted=1),
        traffic=Traffic(requests=12, retries=5, limited=2),
        times=Times(total=4.12345, limited=1.00049),
        findings=SourceFindings(blank_lines=2, repairs=Repairs({"trim": 4, "thousands": 3})),
        maybe_sent_twice=1,
        retry_file=Path("people.retry.csv"),
        ending=Ending(3),
        number=1,
    )

    assert list(account.summary().items()) == [
        ("run_id", "run-1"),
        ("source", "people.csv"),
        ("started", "2024-03-05T02:15:00+00:00"),
        ("seconds", 4.123),
        ("read", 10),
        ("sent", 5),
        ("unchanged", 1),
        ("superseded", 1),
        ("rejected", 1),
        ("failed", 1),
        ("not_attempted", 1),
        ("blank_lines", 2),
        ("repairs", repairs(trimmed=4, thousands=3)),
        ("warnings", []),
        ("requests", 12),
        ("retries", 5),
        ("limited", 2),
        ("limited_seconds", 1.0),
        ("maybe_sent_twice", 1),
        ("requests_per_second", 2.9),
        ("retry_file", "people.retry.csv"),
        ("exit_status", 3),
    ]


def test_a_run_that_sent_nothing_has_no_rate_and_no_retry_file() -> None:
    summary = EMPTY.summary()

    assert (summary["requests_per_second"], summary["retry_file"], summary["exit_status"]) == (0.0, None, None)


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        (Counts(0), 0),
        (Counts(3, sent=3), 0),
        (Counts(3, sent=1, unchanged=1, superseded=1), 0),
        (Counts(3, sent=2, rejected=1), 3),
        (Counts(3, sent=2, failed=1), 3),
    ],
)
def test_a_source_that_came_to_its_end_is_0_or_3(counts: Counts, status: int) -> None:
    account = replace(EMPTY, counts=counts)

    assert account.finished().exit_status == status


@pytest.mark.parametrize("counts", [Counts(3, sent=2), Counts(3, sent=4), Counts(0, failed=1)])
def test_books_that_do_not_balance_are_a_bug(counts: Counts) -> None:
    account = replace(EMPTY, counts=counts)

    with pytest.raises(UploaderError) as caught:
        account.finished()

    assert (caught.value.exit_status, account.exit_status) == (1, None)
    assert str(caught.value) == (
        f"people.csv: the counts do not add up: {{'read': {counts.read}, 'sent': {counts.sent}, 'unchanged': 0, "
        f"'superseded': 0, 'rejected': 0, 'failed': {counts.failed}, 'not_attempted': 0}}. "
        "This is a bug; keep the file."
    )
