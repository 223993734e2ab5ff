"""Rows that another row joins are one person's for the whole run, wherever that row stands."""

import json
import re
from collections.abc import Callable, Mapping, Sequence

import pytest

from tests.command import Desk, books_of, rules
from tests.make import jsonl
from uploader.errors import StorageError
from uploader.model import Outcome, Sent, Unsettled, record_of
from uploader.run.session import Session
from uploader.sandbox import RunningSandbox

MAPPING = """\
mapping:
  identity: {external_id: id, email: email}
  properties: {df_name: name, city: city, df_push_optin: {column: push, type: boolean}}
"""
RUN = ("run", "people.jsonl", "--summary", "summary.json")
RETRY = ("run", "people.retry.jsonl", "--summary", "summary.json")

JOINING = {"id": "ann", "email": "ann@example.com", "city": "Seoul"}
OLDER = {"id": "ann", "name": "older", "push": True}
NEWER = {"email": "ann@example.com", "name": "newer", "push": False}
STRANGER = {"id": "bob", "email": "bob@example.com", "name": "Bob", "city": "Busan", "push": True}

Record = Mapping[str, object]


def retry_rows(desk: Desk, name: str = "people.retry.jsonl") -> list[tuple[int, str]]:
    """Return number and kind of each row of the retry file, in their order."""
    rows = [json.loads(line) for line in (desk.folder / name).read_text().splitlines()]
    return [(row["_row"], row["_kind"]) for row in rows]


def consents(server: RunningSandbox) -> dict[str, object]:
    """Return the name and the consent of each person, by their external_id."""
    return {
        profile.identity.get("external_id", ""): (profile.properties["df_name"], profile.properties["df_push_optin"])
        for profile in server.sandbox.profiles()
    }


JOINED: Mapping[str, Sequence[Record]] = {
    "joined first": (JOINING, OLDER, NEWER),
    "joined in between": (OLDER, JOINING, NEWER),
    "joined last": (OLDER, NEWER, JOINING),
}


@pytest.mark.parametrize("rows", JOINED.values(), ids=JOINED)
def test_an_older_row_that_is_tried_again_does_not_overtake_a_newer_one_that_another_row_joins_to_it(
    desk: Desk, sandbox: Callable[..., RunningSandbox], rows: Sequence[Record]
) -> None:
    server = sandbox(rules("code=50000 for df_name=older times 1"))
    desk.configure(server.url, mapping=MAPPING)
    desk.write("people.jsonl", jsonl(STRANGER, *rows))

    run = desk.type(*RUN, "--set", "retry.base=200ms", "--set", "retry.cap=200ms")

    assert (run.status, desk.books()) == (0, {"sent": 4})
    assert consents(server) == {"bob": ("Bob", True), "ann": ("newer", False)}


@pytest.mark.parametrize("rows", JOINED.values(), ids=JOINED)
@pytest.mark.parametrize(("fault", "kind"), [("code=50000", "failed"), ("code=40001", "rejected")])
def test_a_row_that_another_one_joins_to_an_unaccepted_one_follows_it_in_the_retry_file(
    desk: Desk, sandbox: Callable[..., RunningSandbox], rows: Sequence[Record], fault: str, kind: str
) -> None:
    server = sandbox(rules(f"{fault} for df_name=older times {2 if kind == 'failed' else 1}"))
    desk.configure(server.url, mapping=MAPPING)
    desk.write("people.jsonl", jsonl(STRANGER, *rows))

    first = desk.type(*RUN)
    kept, text = retry_rows(desk), (desk.folder / "people.retry.jsonl").read_text()
    # One after another: where the joining row was accepted, the retry file alone does not tell that the two are one.
    second = desk.type(*RETRY, "--set", "rate.concurrency=1")

    place = rows.index(OLDER)
    assert (first.status, second.status) == (3, 0)
    assert kept == [(place + 2, kind), *((number, "again") for number in range(place + 3, 5))]
    assert consents(server)["ann"] == ("newer", False)
    assert "~" not in text
    assert not re.search(r"~\d", first.err)


def test_a_row_that_the_check_rejects_is_followed_by_those_that_another_row_joins_to_it(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING)
    desk.write("people.jsonl", jsonl({**OLDER, "push": "perhaps"}, NEWER, JOINING, STRANGER))

    run = desk.type(*RUN)

    assert (run.status, desk.books()) == (3, {"sent": 3, "rejected": 1})
    assert retry_rows(desk) == [(1, "rejected"), (2, "again"), (3, "again")]


def test_a_row_that_is_joined_in_another_source_follows_too(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=50000 for df_name=older times 2"))
    desk.configure(server.url, mapping=MAPPING)
    desk.write("a.jsonl", jsonl(STRANGER, JOINING, OLDER))
    desk.write("b.jsonl", jsonl(STRANGER, NEWER))

    run = desk.type("run", "a.jsonl", "b.jsonl", "--summary", "summary.json")

    assert run.status == 3
    assert [books_of(summary) for summary in desk.summary()["sources"]] == [{"sent": 2, "failed": 1}, {"sent": 2}]
    assert (retry_rows(desk, "a.retry.jsonl"), retry_rows(desk, "b.retry.jsonl")) == ([(3, "failed")], [(2, "again")])


def test_a_continued_run_knows_what_follows_a_row_that_failed_before_it_was_interrupted(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=50000 for df_name=older times 2"))
    desk.configure(server.url, mapping=MAPPING)
    desk.write("people.jsonl", jsonl(STRANGER, OLDER, NEWER, JOINING))
    settle = Session.settle

    def settle_or_break(life: Session, outcome: Outcome | Unsettled) -> None:
        if isinstance(outcome, Sent) and record_of(outcome).number == 3:
            raise StorageError("the disk is full")
        settle(life, outcome)

    with desk.monkeypatch.context() as patch:
        patch.setattr(Session, "settle", settle_or_break)
        first = desk.type(*RUN)
    second = desk.type(*RUN)
    kept = retry_rows(desk)
    third = desk.type(*RETRY)

    assert (first.status, second.status, third.status) == (7, 3, 0)
    assert kept == [(2, "failed"), (3, "again"), (4, "again")]
    assert consents(server)["ann"] == ("newer", False)


def test_of_people_whom_a_row_of_the_file_joins_none_is_passed_over_for_what_another_name_of_theirs_had(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more="changed_only: true\n")
    desk.write("people.jsonl", jsonl(JOINING, OLDER, NEWER, STRANGER))
    assert desk.type(*RUN).status == 0

    desk.write("people.jsonl", jsonl(OLDER, STRANGER))
    second = desk.type(*RUN)

    # The service has the newer row of the night before, under the other name.
    assert (second.status, desk.books()) == (0, {"sent": 1, "unchanged": 1})
    assert consents(server)["ann"] == ("older", True)


def test_one_request_of_all_rows_of_a_person_is_remembered_though_a_row_in_between_joins_them(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more="changed_only: true\ncoalesce: true\n")
    desk.write("people.jsonl", jsonl(OLDER, JOINING, NEWER, STRANGER))
    assert desk.type(*RUN).status == 0

    second = desk.type(*RUN)

    assert (second.status, desk.books()) == (0, {"unchanged": 2, "superseded": 2})
