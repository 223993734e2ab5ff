"""A signal that comes exactly while the record of a start is closed leaves one whole record, which says the truth."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Desk, ended, names, names_of, rules
from uploader.run_record import RunEnd, RunRecord
from uploader.sandbox import RunningSandbox
from uploader.state import History

THROUGH = str(Path(__file__).with_name("signalled.py"))
LAST = 5
"""A run writes its record when it starts, when it knows its files, when it knows its runs, and when it has ended; then
it frees it."""


def records(desk: Desk) -> list[RunRecord]:
    return list(History(desk.folder / ".uploader").records())


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("time", range(1, LAST + 1))
def test_a_signal_while_a_record_is_closed_leaves_one_record_that_says_how_the_start_ended(
    desk: Desk, sandbox: Callable[..., RunningSandbox], time: int, moment: str
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(5)

    words = ("run", "people.csv", "--summary", "summary.json")
    with desk.start(*words, through=(THROUGH, str(time), moment)) as process:
        stopped = ended(process)
    (record,) = records(desk)
    summary = desk.summary()
    again = desk.type(*words)

    status = 0 if stopped.status == 0 else 128 + signal.SIGTERM
    assert (stopped.status, record.exit_status) == (0 if time == LAST else -signal.SIGTERM, status)
    assert record.outcome == ("succeeded" if time == LAST else "stopped by SIGTERM") == summary["outcome"]
    assert "Traceback" not in stopped.err
    assert ("Stopped by SIGTERM. Run again" in stopped.err) == (time != LAST)
    assert again.status == 0
    assert [one.end for one in records(desk)] == [RunEnd.SUCCEEDED, record.end]
    assert names(server) == names_of(range(1, 6))
