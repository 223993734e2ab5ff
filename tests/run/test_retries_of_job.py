"""Which retry files have waited too long, and what is said of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.make import REASON, begun_with
from uploader.config import Settings
from uploader.run.retries_of_job import overdue, overdue_text
from uploader.run.retry_files import LeftRetryFile, RetryFiles
from uploader.state import Journal, RowToResend, RunState, RunStore, StoredRun

WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)


def left(rows: int = 3) -> LeftRetryFile:
    """Return a retry file of so many rows that was written at WRITTEN."""
    header = begun_with(job="members", started=WRITTEN.isoformat())
    state = RunState(header, to_resend={number: RowToResend("rejected", REASON, 1) for number in range(rows)})
    return LeftRetryFile(Path("/export/people.retry.csv"), header, StoredRun(Path("1.journal"), state), None)


def stored(run_store: RunStore, retry_file: Path) -> None:
    """Store a finished run that has left *retry_file* at WRITTEN."""
    stored_run = run_store.create(begun_with(key="k", started=WRITTEN.isoformat()))
    with Journal(stored_run.path, stored_run.state) as journal:
        journal.record_facts("retry_file", {"path": str(retry_file)})
        journal.record_facts("finished", {"status": 3, "at": "t", "seconds": 1.0})


@pytest.mark.parametrize(
    ("overrides", "after", "found"),
    [
        ((), timedelta(days=30), 0),
        ((), timedelta(days=30, seconds=1), 1),
        (("output.keep_retry_files=36h",), timedelta(hours=36), 0),
        (("output.keep_retry_files=36h",), timedelta(hours=37), 1),
    ],
)
def test_a_retry_file_waits_too_long_after_thirty_days_or_what_the_configuration_says(
    folder: Path, settings: Callable[..., Settings], overrides: tuple[str, ...], after: timedelta, found: int
) -> None:
    run_store = RunStore(folder / "state")
    stored(run_store, folder / "people.retry.csv")
    (folder / "people.retry.csv").write_text("id\n1\n", encoding="utf-8")
    now = (WRITTEN + after).timestamp()

    late = overdue(RetryFiles(run_store), {"k"}, settings(*overrides), now=now)
    of_all = overdue(RetryFiles(run_store), None, settings(*overrides), now=now)
    of_others = overdue(RetryFiles(run_store), {"x"}, settings(*overrides), now=now)

    assert (len(late), len(of_all), len(of_others)) == (found, found, 0)


@pytest.mark.parametrize("text", ["", None])
def test_a_retry_file_that_is_empty_or_gone_waits_for_nothing(
    folder: Path, settings: Callable[..., Settings], text: str | None
) -> None:
    run_store = RunStore(folder / "state")
    stored(run_store, folder / "people.retry.csv")
    if text is not None:
        (folder / "people.retry.csv").write_text(text, encoding="utf-8")

    assert overdue(RetryFiles(run_store), {"k"}, settings(), now=(WRITTEN + timedelta(days=99)).timestamp()) == []


@pytest.mark.parametrize(
    ("rows", "days", "waits", "age"),
    [(3, 35, "3 rows wait", "35 days"), (1, 1, "1 row waits", "1 day"), (1200, 31, "1,200 rows wait", "31 days")],
)
def test_it_is_said_how_many_rows_wait_since_when_and_what_sends_them(
    rows: int, days: int, waits: str, age: str
) -> None:
    now = (WRITTEN + timedelta(days=days, hours=5)).timestamp()

    assert overdue_text(left(rows), "`uploader retry members`", now=now) == (
        f"/export/people.retry.csv: {waits} to be sent again since {WRITTEN.astimezone():%Y-%m-%d} ({age}). "
        "Fix what was rejected, then type `uploader retry members`."
    )
