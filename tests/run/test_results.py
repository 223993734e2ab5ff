"""However a run ends, each row is accounted for, and the summary says so."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import pytest

from tests.make import repairs
from uploader.counts import Counts, Traffic
from uploader.errors import (
    ChangedError,
    ConfigError,
    InputError,
    OutageError,
    RefusedError,
    SignalledError,
    StorageError,
    UploaderError,
)
from uploader.mapping import Repairs
from uploader.run.results import Ending, SourceFindings, SourceResult, SummarizedResults, Times

EMPTY = SourceResult("run-1", "people.csv", "2024-03-05T02:15:00+00:00")


def at(*times: float) -> Callable[[], float]:
    """Return a clock that shows these times one after another, and then the last of them forever."""
    return chain(times, repeat(times[-1])).__next__


def summary_after(tmp_path: Path, error: BaseException, *accounts: SourceResult) -> object:
    """Return the summary of a run that *error* ended; None where none was written."""
    path = tmp_path / "summary.json"
    try:
        with SummarizedResults(accounts, summary=path, clock=at(0.0, 2.5)):
            raise error
    except type(error) as raised:
        assert raised is error  # noqa: PT017 — whatever it is, also what is no Exception
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def test_the_summary_has_the_keys_of_the_contract_in_their_order() -> None:
    account = SourceResult(
        run_id="run-1",
        source="people.csv",
        started="2024-03-05T02:15:00+00:00",
        counts=Counts(10, sent=5, unchanged=1, superseded=1, rejected=1, failed=1, not_attempted=1),
        traffic=Traffic(requests=12, retries=5, limited=2),
        times=Times(total=4.12345, sending=4.0, limited=1.00049),
        findings=SourceFindings(blank_lines=2, repairs=Repairs({"trim": 4, "thousands": 3})),
        maybe_sent_twice=1,
        retry_file=Path("people.retry.csv"),
        ending=Ending(3),
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
        ("requests_per_second", 3.0),
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


ENDINGS = [
    (InputError("no such file"), 4),
    (RefusedError("bad token"), 5),
    (OutageError("away"), 6),
    (StorageError("full"), 7),
    (ChangedError("changed"), 9),
    (SignalledError("hung up", 1), 129),
    (SignalledError("stopped", 2), 130),
    (SignalledError("stopped", 15), 143),
    (KeyboardInterrupt(), 130),
]


@pytest.mark.parametrize(("error", "status"), ENDINGS, ids=repr)
def test_the_summary_is_written_with_the_status_of_what_ended_the_run(
    tmp_path: Path, error: BaseException, status: int
) -> None:
    account = replace(EMPTY, counts=Counts(3, not_attempted=3))

    summary = summary_after(tmp_path, error, account)

    assert summary == {**account.summary(), "seconds": 2.5, "exit_status": status}


@pytest.mark.parametrize("error", [ConfigError("bad key"), UploaderError("a bug"), ValueError("a bug"), SystemExit(0)])
def test_no_summary_is_written_for_a_bug_or_a_wrong_word(tmp_path: Path, error: BaseException) -> None:
    assert summary_after(tmp_path, error, replace(EMPTY)) is None


def test_what_ended_a_run_is_known_at_the_source_where_it_did() -> None:
    done, stopped, after = (
        replace(EMPTY, ending=Ending(0)),
        replace(EMPTY, source="b.csv"),
        replace(EMPTY, source="c.csv"),
    )
    error = InputError("people.csv is cut off")

    with pytest.raises(InputError), SummarizedResults([done, stopped, after], summary=None, clock=at(0.0)) as whole:
        raise error

    assert [account.ending for account in whole.results] == [Ending(0), Ending(4, "people.csv is cut off"), Ending(4)]


def test_a_stop_ends_the_sources_after_it_and_leaves_those_before_it(tmp_path: Path) -> None:
    done = replace(EMPTY, counts=Counts(3, sent=2, failed=1), times=Times(1.0), ending=Ending(3))
    stopped = replace(EMPTY, source="b.csv", counts=Counts(3, sent=1, not_attempted=2))
    waiting = replace(EMPTY, source="c.csv", counts=Counts(3, not_attempted=3))

    summary = summary_after(tmp_path, RefusedError("bad token"), done, stopped, waiting)

    assert isinstance(summary, list)
    assert [each["exit_status"] for each in summary] == [3, 5, 5]


def test_a_run_of_several_sources_is_3_when_one_of_them_is() -> None:
    accounts = [replace(EMPTY, source=f"{place}.csv", ending=Ending(status)) for place, status in enumerate((0, 3, 0))]

    with SummarizedResults(accounts, summary=None, clock=at(0.0)) as whole:
        pass

    assert whole.exit_status == 3


def test_a_run_of_nothing_is_0() -> None:
    with SummarizedResults([replace(EMPTY)], summary=None, clock=at(0.0)) as whole:
        pass

    assert whole.exit_status == 0


def test_a_summary_that_cannot_be_written_ends_a_run_that_was_fine(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()

    with (
        pytest.raises(StorageError) as caught,
        SummarizedResults([replace(EMPTY)], summary=folder / "summary.json", clock=at(0.0)),
    ):
        folder.rmdir()

    assert caught.value.exit_status == 7
    assert "the summary can't be written (No such file or directory)" in str(caught.value)


def test_what_ended_the_run_is_told_before_a_summary_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    refused = RefusedError("bad token")

    def run() -> None:
        with SummarizedResults([replace(EMPTY)], summary=folder / "summary.json", clock=at(0.0)):
            folder.rmdir()
            raise refused

    with pytest.raises(RefusedError) as caught:
        run()

    assert caught.value is refused


def test_a_summary_that_cannot_be_written_is_told_before_anything_begins(tmp_path: Path) -> None:
    begun = False

    with pytest.raises(StorageError), SummarizedResults([replace(EMPTY)], summary=tmp_path, clock=at(0.0)):
        begun = True

    assert not begun
