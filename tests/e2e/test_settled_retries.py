"""The same bad rows of many nights leave one retry file; a file with a row of its own is never deleted."""

from collections.abc import Callable

import pytest

from tests.command import Desk, rules
from uploader.sandbox import RunningSandbox

BAD = ("2", "5", "7")


@pytest.fixture
def job(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> Desk:
    faults = [f"code=40001 for external_id={number}" for number in (*BAD, "8")]
    desk.configure(sandbox(rules(*faults)).url, more="source: {name: members}\n")
    return desk


def night(desk: Desk, number: int, *, more: str = "", first: int = 1) -> None:
    """Send the file of night *number*, which has another name and other good rows each time."""
    rows = "".join(f"{row},name{row}\n" for row in BAD) + more
    desk.write(f"members_{number}.csv", f"id,name\n{first},x{number}\n{rows}")
    assert desk.type("run", f"members_{number}.csv").status == 3


def test_nights_that_send_what_is_pending_first_leave_the_retry_files_of_the_last_one(job: Desk) -> None:
    config = job.folder / "config.yaml"
    config.write_text(f"{config.read_text('utf-8')}retry_last_failures: true\n", encoding="utf-8")
    for number in range(1, 5):
        night(job, number)

    found = {name: sorted(row["id"] for row in job.retry_cells(name)) for name in retry_files(job)}

    # Each has named in its end what it has made: what was left of the night before, and what was left of its own.
    assert found == {"members_3.retry.2.csv": ["2", "5", "7"], "members_4.retry.csv": ["2", "5", "7"]}


def retry_files(desk: Desk) -> list[str]:
    return [name for name in desk.files() if "retry" in name]


@pytest.mark.parametrize("dated", [True, False])
def test_four_nights_with_the_same_three_bad_rows_leave_one_retry_file_with_three_rows(
    job: Desk, *, dated: bool
) -> None:
    runs = []
    for number in range(1, 5):
        night(job, number if dated else 1, more="" if number % 2 else "9,name9\n")
        runs.append(job.type("runs", "last").out)

    (left,) = retry_files(job)

    cells = job.retry_cells(left)
    assert sorted((row["id"], row["_row"]) for row in cells) == [("2", "2"), ("5", "3"), ("7", "4")]
    # The newest origin stands: the run of the fourth night.
    assert {row["_run"].partition("-")[0] for row in cells} == {"r4"}


def test_a_retry_file_with_a_row_that_is_in_no_newer_one_stays(job: Desk) -> None:
    night(job, 1, more="8,name8\n")
    night(job, 2)
    night(job, 3)

    assert retry_files(job) == ["members_1.retry.csv", "members_3.retry.csv"]


def test_a_retry_file_of_the_other_call_of_the_api_stays(job: Desk) -> None:
    night(job, 1)

    job.write("members_2.csv", "id,name\n2,name2\n5,name5\n7,name7\n")
    job.type("run", "members_2.csv", "--set", "api.endpoint=identities", "--set", "mapping.properties={}")

    assert retry_files(job) == ["members_1.retry.csv", "members_2.retry.csv"]


def test_a_retry_file_that_its_user_has_begun_to_fix_stays(job: Desk) -> None:
    night(job, 1)
    path = job.folder / "members_1.retry.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("name5", "fixed"), encoding="utf-8")
    night(job, 2)

    assert retry_files(job) == ["members_1.retry.csv", "members_2.retry.csv"]


def test_the_retry_files_of_another_job_stay(job: Desk) -> None:
    night(job, 1)
    job.write("buyers.csv", "id,name\n" + "".join(f"{row},name{row}\n" for row in BAD))
    assert job.type("run", "buyers.csv", "--job", "buyers").status == 3

    assert retry_files(job) == ["buyers.retry.csv", "members_1.retry.csv"]


def test_the_retry_file_that_is_left_is_sent_with_its_origin(job: Desk) -> None:
    night(job, 1)
    night(job, 2)
    (left,) = retry_files(job)

    ended = job.type("run", left)

    assert ended.status == 3
    assert {row["_run"].partition("-")[0] for row in job.retry_cells("members_2.retry.retry.csv")} == {"r2"}
