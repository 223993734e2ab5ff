"""A run that leaves a few rows may count as succeeded, but never one that leaves a consent."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Desk, rules
from uploader.sandbox import RunningSandbox

MAPPING = """\
mapping:
  identity: {external_id: id}
  properties: {age: {column: age, type: long}, df_push_optin: push}
"""


@pytest.fixture
def server(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    """Lend a sandbox that the desk's configuration names."""
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING)
    return server


def write(desk: Desk, *bad: str, good: int = 8) -> None:
    """Write *good* rows that can be sent, and then the *bad* ones."""
    desk.write("people.csv", "\n".join(["id,age,push", *(f"{number},30,y" for number in range(good)), *bad, ""]))


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("tolerate", "status"), [("2", 0), ("20%", 0), ("0.2", 0), ("1", 3), ("19%", 3), ("0", 3), ("0%", 3)]
)
def test_as_many_rows_as_are_tolerated_may_be_left(desk: Desk, tolerate: str, status: int) -> None:
    write(desk, "a,old,", "b,old,")

    ended = desk.type("run", "people.csv", "--set", f"limits.tolerate={tolerate}", "--summary", "summary.json")

    summary, how = desk.summary(), "succeeded" if status == 0 else "finished"
    assert (ended.status, summary["exit_status"], summary["outcome"]) == (status, status, f"{how} with 2 rejected rows")
    assert Path(desk.folder / "people.retry.csv").exists()


@pytest.mark.usefixtures("server")
def test_a_share_of_seven_in_a_thousand_tolerates_seven_rows_of_a_thousand(desk: Desk) -> None:
    write(desk, *(f"bad-{number},old," for number in range(7)), good=993)

    ended = desk.type("run", "people.csv", "--set", "limits.tolerate=0.7%")

    assert ended.status == 0


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("bad", ["a,old,y", "a,old,n", "a,30,perhaps", "a,30,y,more"])
def test_a_row_that_has_a_consent_or_may_have_one_is_never_tolerated(desk: Desk, bad: str) -> None:
    write(desk, "b,old,", bad)

    ended = desk.type("run", "people.csv", "--set", "limits.tolerate=50%")

    (record,) = [json.loads(path.read_text("utf-8")) for path in (desk.folder / ".uploader" / "history").iterdir()]
    assert (ended.status, record["exit_status"], record["consents_left"]) == (3, 3, 1)


@pytest.mark.usefixtures("server")
def test_the_retry_file_of_a_tolerated_night_is_sent_as_any_other(desk: Desk) -> None:
    write(desk, "a,old,")

    first = desk.type("run", "people.csv", "--set", "limits.tolerate=1")
    again = desk.type("run", "people.retry.csv", "--set", "limits.tolerate=0")

    assert (first.status, again.status) == (0, 3)


@pytest.mark.parametrize("wrong", ["-1", "many", "101%", "1.5"])
def test_a_tolerance_that_is_neither_a_number_nor_a_share_is_refused(desk: Desk, wrong: str) -> None:
    desk.configure("http://localhost:1", mapping=MAPPING)

    ended = desk.type("run", "people.csv", "--set", f"limits.tolerate={wrong}")

    assert ended.status == 2
    assert "limits.tolerate" in ended.err
    assert "is neither a number of rows nor a share; write 5 or 0.1%" in ended.err
