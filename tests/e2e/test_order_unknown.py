"""Show that no row is sent of which it is not known whether it is the newest, and that no more are held back."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping

import pytest

from tests.command import Desk, Ended, rules, until
from uploader.sandbox import RunningSandbox

MAPPING = """\
mapping:
  identity: {external_id: id, kakao_user_id: mail}
  properties:
    df_name: name
    df_push_ads_optin: {column: ads, type: boolean}
"""
ONE_BY_ONE = ("--set", "rate.concurrency=1", "--set", "limits.canary=0")
STOP = "code=40101 for external_id=stop times 1"
"""The service refuses the run at the row of this person, once."""

NEW = {"df_name": "new", "df_push_ads_optin": False}
"""What the newest row says of the person who withdraws a consent."""


@pytest.fixture
def service(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> Callable[..., RunningSandbox]:
    def start(*faults: str, more: str = "") -> RunningSandbox:
        server = sandbox(rules(*faults))
        desk.configure(server.url, mapping=MAPPING, more=more)
        return server

    return start


@pytest.fixture
def run(desk: Desk) -> Callable[..., Ended]:
    """Write *rows* into the file *name*, if there are any, and run it."""

    def type_it(name: str, *rows: Mapping[str, object], words: tuple[str, ...] = ()) -> Ended:
        if rows:
            write(desk, name, *rows)
        return desk.type("run", name, "--summary", "summary.json", *ONE_BY_ONE, *words)

    return type_it


def write(desk: Desk, name: str, *rows: Mapping[str, object]) -> None:
    empty = {"id": "", "mail": "", "name": "", "ads": ""}
    desk.write(name, "".join(f"{json.dumps({**empty, **row})}\n" for row in rows))


def edit(desk: Desk, name: str, old: str, new: str) -> None:
    path = desk.folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def stored(server: RunningSandbox, **identity: str) -> dict[str, object] | None:
    """Return what the service has of the person of *identity*."""
    found = [one for one in server.sandbox.profiles() if identity.items() <= dict(one.identity).items()]
    return dict(found[0].properties) if found else None


def reasons(desk: Desk, name: str) -> list[str]:
    lines = (desk.folder / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["_code"] for line in lines]


def test_a_row_whose_person_was_nobody_waits_however_often_it_is_sent(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service("http=503 for df_name=wednesday times 2")
    run("monday.jsonl", {"name": "old", "ads": True}, {"name": "older", "ads": True}, {"id": "2", "name": "b"})
    run("tuesday.jsonl", {"id": "1", **named("new", ads=False)})
    run("wednesday.jsonl", {"id": "1", "name": "wednesday"})
    edit(desk, "monday.retry.jsonl", '"id": ""', '"id": "1"')

    # The second one leaves the same rows as the first, whose file goes.
    again = [run(name) for name in ("monday.retry.jsonl", "monday.retry.jsonl", "monday.retry.retry.2.jsonl")]

    assert [ended.status for ended in again] == [3, 3, 3]
    assert reasons(desk, "monday.retry.retry.2.jsonl") == ["order_unknown", "order_unknown"]
    assert stored(server, external_id="1") == NEW

    assert run("monday.retry.jsonl", words=("--accept",)).status == 0
    assert stored(server, external_id="1") == {"df_name": "older", "df_push_ads_optin": True}


def test_a_known_identity_value_does_not_speak_for_one_that_was_fixed(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service()
    run("monday.jsonl", {"id": 1.5, "mail": "x", "name": "old", "ads": True}, {"id": "9", "name": "z"})
    run("tuesday.jsonl", {"id": "1", **named("new", ads=False)})
    edit(desk, "monday.retry.jsonl", '"id": 1.5', '"id": "1"')

    assert run("monday.retry.jsonl").status == 3
    assert stored(server, external_id="1") == NEW


def test_a_row_that_was_fixed_before_any_later_run_is_sent(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service()
    run("monday.jsonl", {"name": "old", "ads": False}, {"id": "2", "name": "b"})
    edit(desk, "monday.retry.jsonl", '"id": ""', '"id": "1"')

    assert run("monday.retry.jsonl").status == 0
    assert stored(server, external_id="1") == {"df_name": "old", "df_push_ads_optin": False}


@pytest.mark.parametrize("first", [True, False])
def test_a_person_is_known_under_a_value_that_only_the_later_file_joins(
    service: Callable[..., RunningSandbox],
    run: Callable[..., Ended],
    first: bool,  # noqa: FBT001 — a table's column
) -> None:
    server = service("http=503 for df_name=old times 2")
    run("monday.jsonl", {"id": "9", "name": "z"}, {"id": "e", **named("old", ads=True)})
    joining, refusing = {"id": "e", "mail": "m"}, {"mail": "m", **named("new", ads=False)}
    run("tuesday.jsonl", *([{**joining, "name": "x"}, refusing] if first else [refusing, {**joining, "name": "new"}]))

    assert run("monday.retry.jsonl").status == 0
    assert stored(server, kakao_user_id="m") == NEW


def test_a_run_that_goes_on_knows_a_person_under_whatever_value_a_later_run_named(
    service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service(STOP)
    stopped = run(
        "monday.jsonl", {"id": "e", "mail": "m", "name": "x"}, {"id": "stop"} | {"name": "s"}, {"id": "e", "ads": True}
    )
    run("tuesday.jsonl", {"mail": "m", **named("new", ads=False)})
    late = run("monday.jsonl")

    assert (stopped.status, late.status) == (5, 0)
    assert stored(server, external_id="e") == NEW


def test_a_person_to_whom_a_row_is_owed_is_known_under_the_values_of_all_sources_of_the_command(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service("http=503 for df_name=old times 2")
    write(desk, "a.jsonl", {"id": "e", "mail": "m", "name": "x"})
    write(desk, "b.jsonl", {"id": "e", **named("old", ads=True)})
    desk.type("run", "a.jsonl", "b.jsonl", *ONE_BY_ONE)
    run("tuesday.jsonl", {"mail": "m", **named("new", ads=False)})

    assert run("b.retry.jsonl").status == 0
    assert stored(server, kakao_user_id="m") == NEW


def test_a_run_that_was_given_up_before_it_noted_who_is_one_person_leaves_its_rows_to_people(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service("http=503 for df_name=old times 2", STOP)
    joining = {"id": "e", "mail": "m", "name": "x"}
    stopped = run("people.jsonl", joining, {"id": "e", **named("old", ads=True)}, {"id": "stop", "name": "s"})
    run("people.jsonl", {"mail": "m", **named("new", ads=False)})

    assert (stopped.status, run("people.retry.jsonl").status) == (5, 3)
    assert reasons(desk, "people.retry.retry.jsonl") == ["order_unknown"]
    assert stored(server, kakao_user_id="m") == NEW


def test_a_limited_run_knows_a_person_through_a_chain_of_rows(
    service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service(STOP)
    refusing = {"mail": "m", **named("new", ads=False)}
    run(
        "p.jsonl",
        {"id": "e", **named("old", ads=True)},
        {"id": "e", "mail": "m"} | {"name": "x"},
        refusing,
        {"id": "stop"} | {"name": "s"},
    )
    few = run("p.jsonl", words=("--limit", "1"))

    assert few.status == 0
    assert stored(server, kakao_user_id="m") == NEW


@pytest.mark.parametrize("number", ["r99", "r9999999999999999999", "r-9999999999999999999"])
def test_a_number_that_no_run_has_makes_nothing_the_newest(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended], number: str
) -> None:
    server = service("http=503 for df_name=a times 2")
    run("p.jsonl", {"id": "1", "name": "a"})
    edit(desk, "p.retry.jsonl", '"_run":"r1', f'"_run":"{number}')
    sent = run("p.retry.jsonl")

    night = run("p.jsonl", {"id": "1", **named("new", ads=False)})

    assert (sent.status, night.status) == (0, 0)
    assert stored(server, external_id="1") == NEW


def test_numbers_that_were_lost_with_all_runs_go_on_above_those_that_were_noted(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service("http=503 for df_name=a times 2")
    for name in ("a", "b", "c"):
        run("p.jsonl", {"id": "1", **named(name, ads=True)})
    desk.type("runs", "--purge", "0")
    for folder in ("runs", "numbers"):
        shutil.rmtree(desk.folder / ".uploader" / folder)

    night = run("p.jsonl", {"id": "1", **named("new", ads=False)})

    assert night.status == 0
    assert stored(server, external_id="1") == NEW


def test_what_was_forgotten_of_later_runs_is_not_taken_for_nothing(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service(STOP)
    run("monday.jsonl", {"id": "stop", "name": "s"}, {"id": "1", **named("old", ads=True)})
    run("tuesday.jsonl", {"id": "1", **named("new", ads=False)})
    desk.type("changes", "--forget")

    assert run("monday.jsonl").status == 3
    assert reasons(desk, "monday.retry.jsonl") == ["order_unknown", "order_unknown"]
    assert stored(server, external_id="1") == NEW


def test_a_run_that_sent_nothing_leaves_a_interrupted_one_as_it_is(
    service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service("code=40101 times 2")
    stopped = [run(f"{day}.jsonl", {"id": "1", **named(day, ads=False)}) for day in ("monday", "tuesday")]
    run("wednesday.jsonl", {"id": "2", "name": "w"})

    late = [run(f"{day}.jsonl") for day in ("tuesday", "monday")]

    assert [ended.status for ended in (*stopped, *late)] == [5, 5, 0, 0]
    assert stored(server, external_id="1") == {"df_name": "tuesday", "df_push_ads_optin": False}


def test_what_was_purged_is_not_taken_for_nothing(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service()
    run("monday.jsonl", {"name": "old", "ads": True}, {"id": "2", "name": "b"})
    run("tuesday.jsonl", {"id": "1", **named("new", ads=False)})
    for path in (desk.folder / ".uploader" / "runs").glob("*.journal"):
        path.unlink()
    edit(desk, "monday.retry.jsonl", '"id": ""', '"id": "1"')

    assert run("monday.retry.jsonl").status == 3
    assert stored(server, external_id="1") == NEW


def test_a_place_that_a_spreadsheet_rewrote_is_still_known(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service("http=503 for df_name=a times 2", "http=503 for df_name=new times 2")
    for row in (named("a", ads=True), named("b", ads=True), named("new", ads=False)):
        run("p.jsonl", {"id": "1", **row})
    edit(desk, "p.retry.2.jsonl", '"_row":1', '"_row":1.0')
    (desk.folder / "p.retry.2.jsonl").rename(desk.folder / "fixed.jsonl")

    assert run("fixed.jsonl").status == 0
    assert stored(server, external_id="1") == NEW


def test_a_consent_of_a_row_of_unknown_origin_does_not_vanish(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service("http=503 for df_name=a times 2", "http=503 for df_name=new times 2")
    for row in (named("a", ads=True), named("b", ads=True), named("new", ads=False)):
        run("p.jsonl", {"id": "1", **row})
    edit(desk, "p.retry.2.jsonl", '"_run":"r3', '"_run":"x')
    (desk.folder / "p.retry.2.jsonl").rename(desk.folder / "fixed.jsonl")

    assert run("fixed.jsonl").status == 3
    assert reasons(desk, "fixed.retry.jsonl") == ["order_unknown"]
    assert run("fixed.jsonl", words=("--accept",)).status == 0
    assert stored(server, external_id="1") == NEW


def test_rows_of_several_runs_in_one_file_are_not_merged_by_their_place(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service("http=503 times 4", more="coalesce: true\n")
    run("monday.jsonl", {"id": "1", **named("old", ads=True)})
    run("tuesday.jsonl", {"id": "1", **named("new", ads=False)})
    files = [desk.folder / f"{day}.retry.jsonl" for day in ("tuesday", "monday")]
    desk.write("both.jsonl", "".join(path.read_text(encoding="utf-8") for path in files))

    assert run("both.jsonl").status == 0
    assert stored(server, external_id="1") == NEW


def test_a_retry_file_that_was_made_anew_since_it_was_sent_is_taken_in(
    service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    faults = ("http=503 for df_name=x times 2", "http=503 for df_name=y times 2")
    server = service(STOP, *faults, more="retry_last_failures: true\n")
    run("p.jsonl", {"id": "1", "name": "x"}, {"id": "stop", "name": "s"}, {"id": "3", **named("y", ads=False)})
    run("p.retry.jsonl")
    run("p.jsonl")

    night = run("p.jsonl", {"id": "3", "name": "new"})

    assert night.status == 0
    assert stored(server, external_id="3") == NEW


def test_a_row_that_waits_for_its_next_attempt_is_asked_for_again_before_it(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended]
) -> None:
    server = service(STOP, "http=503 for df_name=old times 3")
    run("monday.jsonl", {"id": "stop", "name": "s"}, {"id": "1", **named("old", ads=True)})
    slowly = ("retry.attempts=9", "retry.base=10s", "retry.cap=10s", "retry.outage_timeout=90s")
    write(desk, "tuesday.jsonl", {"id": "1", **named("new", ads=False)})
    with desk.start(
        "run", "monday.jsonl", "--summary", "summary.json", *ONE_BY_ONE, *(f"--set={word}" for word in slowly)
    ) as going_on:
        until(lambda: any(request.identity.get("external_id") == "1" for request in server.sandbox.requests()))
        newer = desk.process("run", "tuesday.jsonl")
        assert going_on.wait(60) == 0

    assert newer.status == 0
    assert desk.books() == {"sent": 1, "superseded": 1}
    assert stored(server, external_id="1") == NEW


def test_a_limited_run_that_is_still_at_work_is_an_older_one(
    desk: Desk, service: Callable[..., RunningSandbox]
) -> None:
    server = service("hang for df_name=slow times 1")
    write(desk, "monday.jsonl", {"id": "0", "name": "slow"}, {"id": "1", **named("old", ads=True)})
    write(desk, "tuesday.jsonl", {"id": "1", **named("new", ads=False)})
    words = ("--limit", "2", "--set", "api.timeout=5s", *ONE_BY_ONE)
    with desk.start("run", "monday.jsonl", *words) as limited:
        until(lambda: bool(server.sandbox.report().requests))
        newer = desk.process("run", "tuesday.jsonl")
        assert limited.wait(60) == 0

    assert newer.status == 0
    assert stored(server, external_id="1") == NEW


def test_a_night_of_people_of_whom_rows_were_owed_commits_what_it_notes_together(
    desk: Desk, service: Callable[..., RunningSandbox], run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    service(more="changed_only: true\nlimits: {max_rejected: 100%}\n")
    people = [{"id": str(number), "name": "a", "ads": "perhaps"} for number in range(60)]
    run("p.jsonl", *people)
    good = [{**row, "ads": ""} for row in people]
    run("p.jsonl", *good)
    commits: list[str] = []
    connect = sqlite3.connect

    def counting(*args: object, **more: object) -> sqlite3.Connection:
        sql: sqlite3.Connection = connect(*args, **more)  # type: ignore[call-overload]  # as it was called
        sql.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
        return sql

    monkeypatch.setattr(sqlite3, "connect", counting)

    night = run("p.jsonl")

    assert (night.status, desk.books()) == (0, {"unchanged": 60})
    assert len(commits) < 10


def named(name: str, *, ads: bool) -> dict[str, object]:
    return {"name": name, "ads": ads}
