"""Several rows of one person become one request, and nothing else comes of it than of one request for each row."""

import json
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pytest

from tests.command import Desk, Ended, books_of, ended, rules, sent_ids, until
from tests.make import jsonl
from tests.seeds import seeds
from uploader.coalesce.merge_rows import MergeStage
from uploader.errors import StorageError
from uploader.model import Failed, Outcome, Sent, Superseded, Unsettled
from uploader.run.session import Session
from uploader.sandbox import RunningSandbox

MAPPING = """\
mapping:
  identity: {external_id: id, email: email}
  properties: {df_name: name, city: city, df_push_optin: {column: push, type: boolean}}
"""
RUN = ("run", "people.jsonl", "--summary", "summary.json")
COALESCE = "coalesce: true\n"
ANN = {"id": "ann", "email": "ann@example.com", "name": "Ann", "city": "Seoul", "push": True}
BOB = {"id": "bob", "email": "bob@example.com", "name": "Bob", "city": "Busan", "push": False}

Record = Mapping[str, object]


def profiles(server: RunningSandbox) -> list[tuple[Mapping[str, str], Mapping[str, object]]]:
    """Return what the sandbox stored, in an order that tells nothing of the order of arrival."""
    return sorted(
        ((dict(profile.identity), dict(profile.properties)) for profile in server.sandbox.profiles()),
        key=lambda one: json.dumps(one, sort_keys=True),
    )


def retry_rows(desk: Desk, name: str = "people.retry.jsonl") -> list[tuple[int, str, int]]:
    """Return number, kind and attempts of each row of the retry file, in their order."""
    rows = [json.loads(line) for line in (desk.folder / name).read_text().splitlines()]
    return [(row["_row"], row["_kind"], row["_attempts"]) for row in rows]


def superseded(desk: Desk) -> dict[int, int]:
    """Return which row took each superseded row of the last run along."""
    run = json.loads(desk.type("runs", desk.summary()["run_id"], "--json").out)
    return {row["row"]: row["by"] for row in run["rows"] if row["kind"] == "superseded"}


def many(seed: int, rows: int) -> list[Record]:
    """Return rows of people who come again and again, known by either name, or by both."""
    dice = random.Random(seed)  # noqa: S311 — rows that fall alike every time
    records: list[Record] = []
    for number in range(rows):
        person = dice.randrange(rows // 2)
        names = {"id": f"u{person}", "email": f"u{person}@example.com"}
        left = dice.choice([("id",), ("email",), ("id", "email")])
        values = {
            "name": dice.choice(["Kim", "Lee", None, f"name{number}"]),
            "city": dice.choice(["Seoul", None]),
            "push": dice.choice([True, False]),
        }
        kept = dice.sample(sorted(values), dice.randint(1, 3))
        records.append({**{name: names[name] for name in left}, **{key: values[key] for key in kept}})
    return records


def people_of(records: Sequence[Record]) -> int:
    """Count the people of *records* who are known by a name in common, through any number of rows."""
    groups: list[set[str]] = []
    for record in records:
        mine = {f"{field}={record[field]}" for field in ("id", "email") if field in record}
        joined = [group for group in groups if group & mine]
        groups = [group for group in groups if not group & mine] + [mine.union(*joined)]
    return len(groups)


def stored_one_by_one(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> list[tuple[Mapping[str, str], Mapping[str, object]]]:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more="state_dir: other\n")
    assert desk.type(*RUN).status == 0
    return profiles(server)


def test_rows_of_one_person_become_one_request_in_which_later_values_win(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    desk.write(
        "people.jsonl",
        jsonl(
            {"id": "ann", "name": "Ann", "city": "Seoul", "push": True},
            {"id": "bob", "name": "Bob"},
            {"id": "ann", "email": "ann@example.com", "city": None},
            {"email": "ann@example.com", "push": False},
        ),
    )

    run = desk.type(*RUN)

    assert (run.status, desk.books()) == (0, {"sent": 2, "superseded": 2})
    assert (desk.summary()["requests"], superseded(desk)) == (2, {1: 4, 3: 4})
    assert profiles(server) == [
        ({"external_id": "ann", "email": "ann@example.com"}, {"df_name": "Ann", "df_push_optin": False}),
        ({"external_id": "bob"}, {"df_name": "Bob"}),
    ]
    shown = desk.type("runs", desk.summary()["run_id"]).out
    assert "  4 rows: 2 accepted, 2 superseded, 0 rejected, 0 failed, 0 not attempted\n" in shown
    assert "  row 1: superseded: merged into row 4 of the same person\n" in shown


def test_without_it_every_row_is_a_request(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING)
    desk.write("people.jsonl", jsonl(ANN, {**ANN, "name": "Anne"}))

    run = desk.type(*RUN)

    assert (run.status, desk.books(), sent_ids(server)) == (0, {"sent": 2}, ["ann", "ann"])


@pytest.mark.seeded
@pytest.mark.parametrize("seed", sorted({*seeds(3), 2_019_928_392}))
def test_what_is_stored_is_what_one_request_for_each_row_stores(
    desk: Desk, sandbox: Callable[..., RunningSandbox], seed: int
) -> None:
    records = many(seed, 300)
    desk.write("people.jsonl", jsonl(*records))
    truth = stored_one_by_one(desk, sandbox)
    server = sandbox(rules(latency=(0.0, 0.01)))
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)

    run = desk.type(*RUN)

    people = people_of(records)
    assert (run.status, desk.books()) == (0, {"sent": people, "superseded": 300 - people})
    assert desk.summary()["requests"] == people < 200
    assert profiles(server) == truth


def test_of_two_consents_the_later_one_stands_and_one_that_is_left_out_changes_nothing(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    desk.write("people.jsonl", jsonl(ANN, {"id": "ann", "push": False}, {"id": "ann", "name": "Anne"}))

    assert desk.type(*RUN).status == 0

    ((_, stored),) = profiles(server)
    assert (stored["df_push_optin"], desk.summary()["requests"]) == (False, 1)


@pytest.mark.parametrize(("fault", "kind", "attempts"), [("code=50000", "failed", 2), ("code=40001", "rejected", 1)])
def test_when_a_request_is_not_accepted_all_its_rows_go_to_the_retry_file_which_is_then_sent_right(
    desk: Desk, sandbox: Callable[..., RunningSandbox], fault: str, kind: str, attempts: int
) -> None:
    server = sandbox(rules(f"{fault} for external_id=ann times {attempts}"))
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    desk.write(
        "people.jsonl",
        jsonl(BOB, ANN, {**BOB, "city": "Jeju"}, {"id": "ann", "city": None}, {"id": "ann", "name": "Anne"}),
    )

    first = desk.type(*RUN)
    books = desk.books()
    requests = desk.summary()["requests"]
    left = retry_rows(desk)
    second = desk.type("run", "people.retry.jsonl", "--summary", "summary.json")

    assert (first.status, books, requests) == (3, {"sent": 1, "superseded": 1, kind: 3}, 1 + attempts)
    assert left == [(2, kind, attempts), (4, kind, attempts), (5, kind, attempts)]
    assert (second.status, desk.books()) == (0, {"sent": 1, "superseded": 2})
    assert profiles(server) == [
        ({"external_id": "ann", "email": "ann@example.com"}, {"df_name": "Anne", "df_push_optin": True}),
        (
            {"external_id": "bob", "email": "bob@example.com"},
            {"df_name": "Bob", "city": "Jeju", "df_push_optin": False},
        ),
    ]


VERY_MANY = 1_000
"""So many rows of one person become one request."""


def a_person_with_very_many_rows() -> list[Record]:
    """Return rows for two requests and two rows more: the refusal stands in the first, overwritten by none of them."""
    rows: list[Record] = [{"id": "ann", "name": f"name{number}"} for number in range(2 * VERY_MANY + 2)]
    rows[5] = {"id": "ann", "push": True, "name": "first"}
    rows[VERY_MANY + 5] = {"id": "ann", "push": False, "city": "Seoul"}
    rows[2 * VERY_MANY + 1] = {"id": "ann", "name": "last"}
    return rows


@pytest.mark.slow
def test_of_a_person_with_very_many_rows_all_follow_a_request_that_failed_and_none_is_lost(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=50000 for external_id=ann times 2"))
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    desk.write("people.jsonl", jsonl(BOB, *a_person_with_very_many_rows()))

    first = desk.type(*RUN)
    books, kept = desk.books(), retry_rows(desk)
    second = desk.type("run", "people.retry.jsonl", "--summary", "summary.json")

    failed = [(number, "failed", 2) for number in range(2, VERY_MANY + 2)]
    follow = [(number, "again", 1) for number in range(VERY_MANY + 2, 2 * VERY_MANY + 4)]
    assert (first.status, books) == (3, {"sent": VERY_MANY + 3, "failed": VERY_MANY})
    assert kept == [*failed, *follow]
    # What followed was accepted already, and has set all that the failed rows have.
    assert (second.status, desk.books()) == (0, {"sent": 1, "superseded": 2 * VERY_MANY + 1})
    assert [stored for identity, stored in profiles(server) if identity == {"external_id": "ann"}] == [
        {"df_name": "last", "city": "Seoul", "df_push_optin": False}
    ]


@pytest.mark.parametrize("row", [4, 5, 6, 7])
def test_rows_that_an_accepted_request_took_along_follow_in_the_retry_file_though_the_run_broke_off_among_them(
    desk: Desk, sandbox: Callable[..., RunningSandbox], row: int
) -> None:
    server = sandbox(rules("code=50000 for external_id=ann times 2"))
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    desk.monkeypatch.setattr("uploader.run.stages.MergeStage", partial(MergeStage, most_rows=3))
    names: list[Record] = [{"id": "ann", "name": f"name{number}"} for number in range(7)]
    desk.write("people.jsonl", jsonl(ANN, *names[1:3], {"id": "ann", "push": False}, *names[4:]))

    first = breaking_off(desk, lambda outcome: isinstance(outcome, Sent) and outcome.request.row.number == row)
    second = desk.type(*RUN)
    kept, books = retry_rows(desk), desk.books()
    shown = json.loads(desk.type("runs", desk.summary()["run_id"], "--json").out)
    third = desk.type("run", "people.retry.jsonl")

    assert (first.status, second.status, third.status) == (7, 3, 0)
    assert [(number, kind) for number, kind, _ in kept] == [
        *((number, "failed") for number in (1, 2, 3)),
        *((number, "again") for number in (4, 5, 6, 7)),
    ]
    assert books == {"sent": 4, "failed": 3}
    assert [(row["row"], row["kind"]) for row in shown["rows"]] == [(number, kind) for number, kind, _ in kept]
    stored = {"df_name": "name6", "city": "Seoul", "df_push_optin": False}
    assert profiles(server) == [({"external_id": "ann", "email": "ann@example.com"}, stored)]


def test_rows_of_a_person_with_a_rejected_row_go_one_by_one(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    desk.write("people.jsonl", jsonl(ANN, {"id": "ann", "push": "perhaps"}, {"id": "ann", "name": "Anne"}, BOB))

    run = desk.type(*RUN)

    assert (run.status, desk.books()) == (3, {"sent": 3, "rejected": 1})
    assert retry_rows(desk) == [(2, "rejected", 0), (3, "again", 1)]


def test_rows_that_name_one_person_differently_go_one_by_one(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    shared = {"email": "family@example.com", "name": "Kim", "city": "Seoul", "push": True}
    desk.write("people.jsonl", jsonl({"id": "ann", **shared}, {"id": "bob", **shared}, {"id": "ann", "push": False}))

    run = desk.type(*RUN)

    assert (run.status, desk.books()) == (0, {"sent": 3})
    assert sent_ids(server) == ["ann", "bob", "ann"]


def test_rows_that_are_too_large_together_go_one_by_one(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    # What is stored of a person may be no larger either, so that the first must give way to the second.
    desk.write("people.jsonl", jsonl({**ANN, "name": "x" * 5_000}, {"id": "ann", "city": "y" * 5_000}, BOB, {**BOB}))

    run = desk.type(*RUN)

    assert (run.status, desk.books()) == (3, {"sent": 2, "superseded": 1, "rejected": 1})
    assert sorted(map(str, sent_ids(server))) == ["ann", "ann", "bob"]
    assert retry_rows(desk) == [(2, "rejected", 1)]


def test_only_the_first_rows_are_merged_where_only_they_are_sent(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    desk.write("people.jsonl", jsonl(ANN, {"id": "ann", "name": "Anne"}, {"id": "ann", "name": "Anna"}))

    run = desk.type(*RUN, "--limit", "2")

    assert (run.status, desk.books()) == (0, {"sent": 1, "superseded": 1})
    assert [properties["df_name"] for _, properties in profiles(server)] == ["Anne"]


def test_each_of_several_sources_is_merged_on_its_own(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=50000 for df_name=Anne times 2"))
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    desk.write("a.jsonl", jsonl(ANN, {"id": "ann", "name": "Anne"}, BOB, {**BOB, "name": "Bo"}))
    desk.write("b.jsonl", jsonl({**ANN, "name": "A"}, {"id": "ann", "name": "B"}, BOB, {**BOB, "name": "Bobby"}))

    run = desk.type("run", "a.jsonl", "b.jsonl", "--summary", "summary.json")

    # What follows a row that is owed is owed too, so that it keeps its place: row by row.
    assert run.status == 3
    assert [books_of(summary) for summary in desk.summary()["sources"]] == [
        {"sent": 1, "superseded": 1, "failed": 2},
        {"sent": 3, "superseded": 1},
    ]
    assert retry_rows(desk, "a.retry.jsonl") == [(1, "failed", 2), (2, "failed", 2)]
    assert retry_rows(desk, "b.retry.jsonl") == [(1, "again", 1), (2, "again", 1)]


def test_an_unchanged_person_costs_no_request_however_many_rows_they_have(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more=COALESCE + "changed_only: true\n")
    records: list[Record] = [ANN, BOB, {"id": "ann", "name": "Anne"}]
    desk.write("people.jsonl", jsonl(*records))
    assert desk.type(*RUN).status == 0
    desk.write("people.jsonl", jsonl(*records, {"id": "bob", "city": "Jeju"}))

    second = desk.type(*RUN)

    assert (second.status, desk.books()) == (0, {"sent": 1, "unchanged": 1, "superseded": 2})
    assert (superseded(desk), sorted(map(str, sent_ids(server)))) == ({1: 3, 2: 4}, ["ann", "bob", "bob"])


def test_a_run_that_merges_does_not_go_on_with_one_that_did_not(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40201 for external_id=bob times 1"))
    desk.configure(server.url, mapping=MAPPING)
    desk.write("people.jsonl", jsonl(ANN, {"id": "ann", "name": "Anne"}, BOB))
    assert desk.type(*RUN, "--set", "rate.concurrency=1").status == 5

    second = desk.type(*RUN, "--set", "coalesce=true")

    assert (second.status, desk.books()) == (0, {"sent": 2, "superseded": 1})
    assert "the mapping changed since the interrupted run" in second.err


Settle = Callable[[Outcome | Unsettled], bool]


def breaking_off(desk: Desk, at: Settle) -> Ended:
    """Run the command on a disk that is full as soon as an outcome comes that *at* names."""
    settle = Session.settle

    def settle_or_break(life: Session, outcome: Outcome | Unsettled) -> None:
        if at(outcome):
            raise StorageError("the disk is full")
        settle(life, outcome)

    with desk.monkeypatch.context() as patch:
        patch.setattr(Session, "settle", settle_or_break)
        return desk.type(*RUN)


@pytest.mark.parametrize("row", [1, 2])
def test_what_becomes_of_rows_follows_from_the_row_that_took_them_along_though_the_run_broke_off_in_between(
    desk: Desk, sandbox: Callable[..., RunningSandbox], row: int
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    desk.write("people.jsonl", jsonl(ANN, {"id": "ann", "city": None}, {"id": "ann", "name": "Anne"}))

    first = breaking_off(desk, lambda outcome: isinstance(outcome, Superseded) and outcome.request.row.number == row)
    books = desk.books()
    second = desk.type(*RUN)

    assert (first.status, second.status) == (7, 0)
    assert books == {
        name: count for name, count in (("sent", 1), ("superseded", row - 1), ("not_attempted", 3 - row)) if count
    }
    assert (desk.books(), superseded(desk)) == ({"sent": 1, "superseded": 2}, {1: 3, 2: 3})
    assert server.sandbox.report().requests == 1


def test_rows_whose_taker_was_not_settled_are_merged_and_sent_once_more(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    desk.write("people.jsonl", jsonl(ANN, {"id": "ann", "city": None}, {"id": "ann", "name": "Anne"}))

    first = breaking_off(desk, lambda outcome: isinstance(outcome, Sent))
    books = desk.books()
    second = desk.type(*RUN)

    assert (first.status, books, second.status) == (7, {"not_attempted": 3}, 0)
    assert (desk.books(), desk.summary()["maybe_sent_twice"]) == ({"sent": 1, "superseded": 2}, 1)
    assert server.sandbox.report().requests == 2


def test_a_row_whose_members_failed_before_the_run_broke_off_follows_them_in_the_retry_file(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=50000 for external_id=ann times 2"))
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    desk.write("people.jsonl", jsonl(ANN, {"id": "ann", "city": None}, {"id": "ann", "name": "Anne"}))

    first = breaking_off(desk, lambda outcome: isinstance(outcome, Failed) and not outcome.merged_into)
    books = desk.books()
    second = desk.type(*RUN)
    rows = retry_rows(desk)
    third = desk.type("run", "people.retry.jsonl")

    assert (first.status, books) == (7, {"failed": 2, "not_attempted": 1})
    assert (second.status, desk.books()) == (3, {"sent": 1, "failed": 2})
    assert rows == [(1, "failed", 2), (2, "failed", 2), (3, "again", 1)]
    assert third.status == 0
    assert profiles(server) == [
        ({"external_id": "ann", "email": "ann@example.com"}, {"df_name": "Anne", "df_push_optin": True})
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_interrupted_again_and_again_stores_what_one_request_for_each_row_stores(
    desk: Desk, sandbox: Callable[..., RunningSandbox], number: signal.Signals
) -> None:
    records = many(7, 400)
    desk.write("people.jsonl", jsonl(*records))
    truth = stored_one_by_one(desk, sandbox)
    server = sandbox(rules("code=50000 for 5%", latency=(0.0, 0.02)))
    desk.configure(server.url, mapping=MAPPING, more=COALESCE)
    people = people_of(records)

    for part in range(1, 4):
        with desk.start(*RUN, "--set", "retry.attempts=20") as process:
            until(lambda part=part: server.sandbox.report().applied >= part * people // 5)  # type: ignore[misc]  # its own
            process.send_signal(number)
            assert ended(process).status == -number
        if number == signal.SIGTERM:
            assert sum(desk.books().values()) == 400
    last = desk.process(*RUN, "--set", "retry.attempts=20")

    assert (last.status, desk.books()) == (0, {"sent": people, "superseded": 400 - people})
    assert server.sandbox.report().applied <= people + 3 * 32
    assert profiles(server) == truth
    assert len(superseded(desk)) == 400 - people
    assert not [path for path in (desk.folder / ".uploader").rglob("*") if path.name.startswith("tmp")]
