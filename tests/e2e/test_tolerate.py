"""A run that leaves a few rows may count as succeeded, but never one that leaves a consent."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.command import Desk, plain, rules
from uploader.sandbox import RunningSandbox
from uploader.state import History

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
    assert (
        "limits.tolerate does not cover 1 row: it gives or may give a consent, or take one back."
        in ended.err.splitlines()
    )


@pytest.mark.usefixtures("server")
def test_rows_that_are_not_tolerated_for_their_consents_are_counted_by_name_for_cron_too(desk: Desk) -> None:
    write(desk, "a,old,y", "b,old,n", "c,old,")

    quiet = desk.type("run", "people.csv", "--set", "limits.tolerate=50%", "-q")
    without = desk.type("run", "people.csv", "--full", "-q")

    assert quiet.err.splitlines() == [
        "people.csv: 3 rows not accepted, see people.retry.csv",
        "people.csv: limits.tolerate does not cover 2 rows: they give or may give a consent, or take one back.",
    ]
    assert "limits.tolerate" not in without.err


def outcome_of(desk: Desk, *words: str) -> tuple[int, list[int], int]:
    """Return the status of a run with *words*, those of its SOURCEs, and how many rows with a consent it has left."""
    ended = desk.type("run", *words, "--summary", "summary.json")
    (record, *_) = History(desk.folder / ".uploader").records()
    assert (ended.status, desk.summary()["exit_status"]) == (record.exit_status, record.exit_status)
    return ended.status, [source["exit_status"] for source in desk.summary()["sources"]], record.consents_left


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("consent", "status", "left"), [("", 0, 0), (', "push": null', 3, 1), (', "push": 7', 3, 1)])
def test_a_consent_that_is_null_or_no_text_is_never_tolerated(desk: Desk, consent: str, status: int, left: int) -> None:
    desk.write("people.jsonl", f'{{"id": "1", "age": 30, "push": "y"}}\n{{"id": "a", "age": "old"{consent}}}\n')

    assert outcome_of(desk, "people.jsonl", "--set", "limits.tolerate=1") == (status, [status], left)


@pytest.mark.parametrize(
    ("tolerate", "consent", "end"),
    [("2", "", (0, 0)), ("1", "", (3, 0)), ("2", "y", (3, 1)), ("50%", "n", (3, 1))],
)
def test_rows_that_were_merged_into_one_are_tolerated_as_many(
    desk: Desk, sandbox: Callable[..., RunningSandbox], tolerate: str, consent: str, end: tuple[int, int]
) -> None:
    desk.configure(sandbox(rules("code=40001 for external_id=a")).url, mapping=MAPPING, more="coalesce: true\n")
    # The consent is in the first row alone: the request of the second one has it.
    write(desk, f"a,30,{consent}", "a,31,")

    status, left = end
    assert outcome_of(desk, "people.csv", "--set", f"limits.tolerate={tolerate}") == (status, [status], left)
    assert desk.books() == {"sent": 8, "rejected": 2}


@pytest.mark.parametrize(
    ("tolerate", "consent", "end"),
    [("2", "", (0, 0)), ("1", "", (3, 0)), ("2", "y", (3, 1)), ("20%", "n", (3, 1))],
)
def test_the_rows_that_an_interrupted_run_has_left_are_tolerated_with_those_of_the_run_that_resumes_it(
    desk: Desk, sandbox: Callable[..., RunningSandbox], tolerate: str, consent: str, end: tuple[int, int]
) -> None:
    faults = ("code=40001 for external_id=a", "code=40201 for external_id=b times 1")
    desk.configure(sandbox(rules(*faults)).url, mapping=MAPPING)
    rows = (f"a,30,{consent}", *(f"{number},30,y" for number in range(6)), "b,30,y", "c,old,")
    desk.write("people.csv", "\n".join(["id,age,push", "9,30,", *rows, ""]))
    words = ("people.csv", "--set", f"limits.tolerate={tolerate}", "--set", "rate.concurrency=1")

    assert outcome_of(desk, *words)[:2] == (5, [5])
    stopped = desk.books()
    status, left = end
    assert outcome_of(desk, *words) == (status, [status], left)
    assert (stopped["rejected"], desk.books()) == (1, {"sent": 8, "rejected": 2})


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("tolerate", "consent", "ends", "left"),
    [("1", "", [0, 0], 0), ("50%", "", [0, 0], 0), ("33%", "", [0, 3], 0), ("1", "y", [0, 3], 1), ("0", "", [3, 3], 0)],
)
def test_each_of_several_files_may_leave_as_many_as_are_tolerated(
    desk: Desk, tolerate: str, consent: str, ends: list[int], left: int
) -> None:
    desk.write("many.csv", "id,age,push\n1,30,y\n2,30,y\n3,old,\n4,30,\n")
    desk.write("few.csv", f"id,age,push\n5,30,y\n6,old,{consent}\n")

    found = outcome_of(desk, "many.csv", "few.csv", "--set", f"limits.tolerate={tolerate}")

    assert found == (max(ends), ends, left)


@pytest.mark.parametrize(("consent", "status", "left"), [("", 0, 0), ("true", 3, 1), ("perhaps", 3, 1)])
def test_a_consent_among_the_other_columns_is_never_tolerated(
    desk: Desk, sandbox: Callable[..., RunningSandbox], consent: str, status: int, left: int
) -> None:
    mapping = (
        "mapping:\n  identity: {external_id: id}\n  other_columns: send\n"
        "  properties: {age: {column: age, type: long}}\n"
    )
    desk.configure(sandbox(rules()).url, mapping=mapping)
    desk.write("people.csv", f"id,age,df_push_ads_optin,city\n1,30,true,Seoul\na,old,{consent},Busan\n")

    assert outcome_of(desk, "people.csv", "--set", "limits.tolerate=1") == (status, [status], left)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("kind", "status"), [("jsonl", 3), ("parquet", 0)])
def test_a_consent_that_is_null_is_one_in_jsonl_and_an_empty_cell_in_parquet(
    desk: Desk, kind: str, status: int
) -> None:
    rows = [{"id": str(number), "age": "30", "push": True} for number in range(8)]
    rows.append({"id": "a", "age": "old" if kind == "parquet" else "30", "push": None})
    people = pl.DataFrame(rows, schema={"id": pl.String, "age": pl.String, "push": pl.Boolean})
    path = desk.folder / f"people.{kind}"
    people.write_ndjson(path) if kind == "jsonl" else people.write_parquet(path)

    assert desk.type("run", path.name, "--set", "limits.tolerate=50%").status == status


@pytest.mark.usefixtures("server")
def test_the_retry_file_of_a_tolerated_night_is_sent_as_any_other(desk: Desk) -> None:
    write(desk, "a,old,")

    first = desk.type("run", "people.csv", "--set", "limits.tolerate=1")
    again = desk.type("run", "people.retry.csv", "--set", "limits.tolerate=0")

    assert (first.status, again.status) == (0, 3)


def test_a_tolerated_source_stays_tolerated_when_its_interrupted_command_is_resumed(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules("code=40201 for external_id=9 times 1")).url, mapping=MAPPING)
    desk.write("a.csv", "id,age,push\n1,30,\n2,old,\n")
    desk.write("b.csv", "id,age,push\n9,30,\n")
    words = ("run", "a.csv", "b.csv", "--set", "limits.tolerate=1", "--summary", "summary.json")

    stopped = desk.type(*words)
    before = [source["exit_status"] for source in desk.summary()["sources"]]
    resumed = desk.type(*words)

    summary = desk.summary()
    assert (stopped.status, before) == (5, [0, 5])
    assert [source["exit_status"] for source in summary["sources"]] == [0, 0]
    assert (resumed.status, summary["outcome"]) == (0, "succeeded with 1 rejected row")


@pytest.mark.usefixtures("server")
def test_a_tolerated_night_says_without_a_terminal_too_what_it_left(desk: Desk) -> None:
    write(desk, "a,old,", "b,old,")

    ended = desk.type("run", "people.csv", "--set", "limits.tolerate=2")

    assert (ended.status, plain(ended.err)[0]) == (0, "people.csv: 10 rows, 8 requests in 0 s")
    assert "column 'age': not a whole number" in ended.err
    assert "The rows to send again are in people.retry.csv, each with its reason." in ended.err
    write(desk)
    assert desk.type("run", "people.csv").err == ""


@pytest.mark.parametrize("wrong", ["-1", "many", "101%", "1.5"])
def test_a_tolerance_that_is_neither_a_number_nor_a_share_is_refused(desk: Desk, wrong: str) -> None:
    desk.configure("http://localhost:1", mapping=MAPPING)

    ended = desk.type("run", "people.csv", "--set", f"limits.tolerate={wrong}")

    assert ended.status == 2
    assert "limits.tolerate" in ended.err
    assert "is neither a number of rows nor a share; write 5 or 0.1%" in ended.err
