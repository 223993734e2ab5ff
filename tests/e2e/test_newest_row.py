"""What stands is what the newest row said, property by property, across runs, retry files and clocks."""

import csv
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.command import Desk, Ended, books_of, rules
from uploader.sandbox import RunningSandbox

MAPPING = """\
mapping:
  identity: {external_id: id}
  properties:
    df_name: name
    df_push_ads_optin: {column: ads, type: boolean}
"""
ONE_BY_ONE = ("--set", "rate.concurrency=1", "--set", "limits.canary=0")
STOP = "code=40101 for external_id=stop times 1"
"""The service refuses the run at the row of this person, once."""


@pytest.fixture
def send(desk: Desk) -> Callable[..., Ended]:
    """Write *rows* (id, name, consent) into the file *name*, and run it."""

    def run(name: str, *rows: tuple[str, str, str], words: tuple[str, ...] = ()) -> Ended:
        if rows:
            with (desk.folder / name).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("id", "name", "ads"), *rows])
        return desk.type("run", name, "--summary", "summary.json", *ONE_BY_ONE, *words)

    return run


def stored(server: RunningSandbox) -> dict[object, dict[str, object]]:
    return {profile.identity["external_id"]: dict(profile.properties) for profile in server.sandbox.profiles()}


@pytest.fixture
def service(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> Callable[..., RunningSandbox]:
    """Start a service that plays the given faults, and configure the desk for it."""

    def start(*faults: str, more: str = "") -> RunningSandbox:
        server = sandbox(rules(*faults))
        desk.configure(server.url, mapping=MAPPING, more=more)
        return server

    return start


@pytest.mark.parametrize("more", ["", "changed_only: true\n"])
def test_a_refusal_that_failed_arrives_though_a_later_row_of_its_person_was_accepted(
    desk: Desk, service: Callable[..., RunningSandbox], send: Callable[..., Ended], more: str
) -> None:
    server = service("http=503 times 2", more=more)

    send("people.csv", ("1", "old", "no"))
    send("people.csv", ("1", "new", ""))
    late = send("people.retry.csv")

    assert late.status == 0, late.err
    assert desk.books() == {"sent": 1}
    assert stored(server) == {"1": {"df_name": "new", "df_push_ads_optin": False}}


def test_a_refusal_of_a_row_that_was_fixed_arrives_too(
    desk: Desk, service: Callable[..., RunningSandbox], send: Callable[..., Ended]
) -> None:
    server = service()

    send("people.csv", ("1", "old", "nein"))
    send("people.csv", ("1", "new", ""))
    path = desk.folder / "people.retry.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("nein", "no"), encoding="utf-8")
    late = send("people.retry.csv")

    assert late.status == 0, late.err
    assert stored(server) == {"1": {"df_name": "new", "df_push_ads_optin": False}}


def test_a_late_row_of_which_nothing_is_left_is_superseded(
    desk: Desk, service: Callable[..., RunningSandbox], send: Callable[..., Ended]
) -> None:
    server = service("http=503 times 2")

    send("people.csv", ("1", "old", "no"))
    send("people.csv", ("1", "new", "yes"))
    before = len(server.sandbox.requests())
    send("people.retry.csv")

    assert desk.books() == {"superseded": 1}
    assert len(server.sandbox.requests()) == before


def test_a_row_that_is_sent_once_more_before_a_run_goes_on_does_not_put_the_first_over_the_last(
    service: Callable[..., RunningSandbox], send: Callable[..., Ended]
) -> None:
    server = service(STOP)

    stopped = send("people.csv", ("1", "first", "yes"), ("2", "b", ""), ("1", "last", "no"), ("stop", "c", ""))
    few = send("people.csv", words=("--limit", "1"))
    whole = send("people.csv")

    assert (stopped.status, few.status, whole.status) == (5, 0, 0)
    assert stored(server)["1"] == {"df_name": "last", "df_push_ads_optin": False}


def test_a_run_that_goes_on_after_a_later_one_leaves_what_that_has_set(
    desk: Desk, service: Callable[..., RunningSandbox], send: Callable[..., Ended]
) -> None:
    server = service(STOP)

    monday = send("monday.csv", ("stop", "a", ""), ("1", "monday", "no"), ("2", "monday", "no"))
    tuesday = send("tuesday.csv", ("1", "tuesday", "yes"), ("2", "tuesday", ""))
    late = send("monday.csv")

    assert (monday.status, tuesday.status, late.status) == (5, 0, 0)
    assert desk.books() == {"sent": 2, "superseded": 1}
    assert stored(server) == {
        "stop": {"df_name": "a"},
        "1": {"df_name": "tuesday", "df_push_ads_optin": True},
        "2": {"df_name": "tuesday", "df_push_ads_optin": False},
    }


def moved(desk: Desk, old: str, new: str) -> Path:
    return (desk.folder / old).rename(desk.folder / new)


def test_a_retry_file_whose_run_was_purged_is_as_old_as_that_run(
    desk: Desk, service: Callable[..., RunningSandbox], send: Callable[..., Ended]
) -> None:
    server = service("http=503 for df_name=old times 2", "http=503 for df_name=newer times 2")

    send("people.csv", ("1", "old", ""))
    moved(desk, "people.retry.csv", "kept.csv")
    assert desk.type("runs", "--purge", "0").status == 0
    send("people.csv", ("1", "new", ""))
    send("people.csv", ("1", "newer", ""))
    send("kept.csv")

    assert (desk.books(), stored(server)["1"]) == ({"superseded": 1}, {"df_name": "new"})


def test_a_retry_file_that_was_put_back_under_the_name_of_another_is_as_old_as_its_rows(
    desk: Desk, service: Callable[..., RunningSandbox], send: Callable[..., Ended]
) -> None:
    server = service("http=503 for df_name=old times 2", "http=503 for df_name=newer times 2")

    send("people.csv", ("1", "old", ""))
    moved(desk, "people.retry.csv", "kept.csv")
    send("people.csv", ("1", "new", ""))
    send("people.csv", ("1", "newer", ""))
    moved(desk, "people.retry.csv", "newer.csv")
    moved(desk, "kept.csv", "people.retry.csv")
    send("people.retry.csv")
    old = desk.books()
    send("newer.csv")

    assert (old, desk.books()) == ({"superseded": 1}, {"sent": 1})
    assert stored(server)["1"] == {"df_name": "newer"}


def test_a_retry_file_says_of_each_row_where_it_came_from_first_through_all_generations(
    desk: Desk, service: Callable[..., RunningSandbox], send: Callable[..., Ended]
) -> None:
    service("http=503 for df_name=b")

    send("people.csv", ("1", "a", ""), ("2", "b", ""))
    found = []
    for name in ("people.retry.csv", "people.retry.retry.csv"):
        found += [(row["_row"], row["_run"]) for row in desk.retry_cells(name)]
        send(name)

    assert len(set(found)) == 1
    assert found[0][0] == "2"


def test_books_of_a_summary_balance_where_rows_are_trimmed(
    desk: Desk, service: Callable[..., RunningSandbox], send: Callable[..., Ended]
) -> None:
    service("http=503 times 4", more="coalesce: true\n")

    send("people.csv", ("1", "old", "no"), ("2", "old", ""))
    send("people.csv", ("1", "new", ""), ("2", "new", ""))
    send("people.retry.csv")

    assert books_of(desk.summary()) == {"sent": 1, "superseded": 1}


def fixed(desk: Desk, name: str = "people.retry.csv") -> None:
    """Give the row of nobody in the retry file *name* its identity: 1."""
    path = desk.folder / name
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([lines[0], *(f"1{line}" for line in lines[1:])]) + "\n", encoding="utf-8")


def test_a_row_whose_person_was_not_known_is_sent_when_it_is_fixed_before_the_next_run(
    desk: Desk, service: Callable[..., RunningSandbox], send: Callable[..., Ended]
) -> None:
    server = service()

    send("people.csv", ("", "old", "no"), ("2", "b", ""))
    fixed(desk)
    late = send("people.retry.csv")

    assert (late.status, stored(server)["1"]) == (0, {"df_name": "old", "df_push_ads_optin": False})


@pytest.mark.parametrize("consent", ["no", ""])
def test_a_row_whose_person_was_not_known_is_kept_once_later_runs_may_have_sent_them(
    desk: Desk, service: Callable[..., RunningSandbox], send: Callable[..., Ended], consent: str
) -> None:
    server = service()

    send("people.csv", ("", "old", consent), ("2", "b", ""))
    send("people.csv", ("1", "new", "yes"))
    fixed(desk)
    late = send("people.retry.csv")
    kept = desk.retry_rows("people.retry.retry.csv")
    books, before = desk.books(), stored(server)["1"]
    accepted = send("people.retry.retry.csv", words=("--accept",))

    assert (late.status, books, before) == (3, {"rejected": 1}, {"df_name": "new", "df_push_ads_optin": True})
    reason = (
        "later runs may have sent this person, and it is not known what they set: compare, then delete the row, or "
        "send it as it is with --accept"
    )
    assert kept == [(1, "rejected", "order_unknown", reason, 0)]
    assert (accepted.status, stored(server)["1"]["df_name"]) == (0, "old")


def test_notes_for_a_run_that_was_to_be_continued_go_with_it(
    desk: Desk, service: Callable[..., RunningSandbox], send: Callable[..., Ended]
) -> None:
    service(STOP)

    def noted() -> int:
        (file,) = desk.folder.glob(".uploader/**/*.memory")
        with closing(sqlite3.connect(file)) as sql:
            return int(sql.execute("SELECT count(*) FROM later").fetchone()[0])

    send("monday.csv", ("stop", "a", ""), ("1", "monday", "no"))
    send("tuesday.csv", ("1", "tuesday", "yes"), ("2", "tuesday", ""))
    while_open = noted()
    send("monday.csv")
    send("tuesday.csv")

    assert (while_open, noted()) == (2, 0)
