"""Take several SOURCEs: all are checked before the first is sent, and each has an account of its own."""

import shlex
import time
from collections.abc import Callable

import pytest

from tests.command import Desk, books_of, ended, names, names_of, plain, rules, sent_ids
from uploader.sandbox import RunningSandbox

RUN = ("run", "first.csv", "second.csv", "third.csv", "--summary", "summary.json")


@pytest.fixture
def three(desk: Desk) -> Desk:
    """Lend a desk with three files of two persons each: 1 and 2, 3 and 4, 5 and 6."""
    for name, start in (("first", 1), ("second", 3), ("third", 5)):
        desk.write(f"{name}.csv", f"id,name\n{start},name{start}\n{start + 1},name{start + 1}\n")
    return desk


def _accounts(desk: Desk) -> list[tuple[object, ...]]:
    return [
        (account["source"], books_of(account), account["requests"], account["retry_file"], account["exit_status"])
        for account in desk.summary()["sources"]
    ]


def test_sources_are_sent_in_their_order(three: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(latency=(0.0, 0.02)))
    three.configure(server.url)

    ended = three.type(*RUN)

    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert [set(sent_ids(server)[at : at + 2]) for at in (0, 2, 4)] == [{"1", "2"}, {"3", "4"}, {"5", "6"}]
    assert names(server) == names_of(range(1, 7))
    assert _accounts(three) == [(f"{name}.csv", {"sent": 2}, 2, None, 0) for name in ("first", "second", "third")]
    assert len({account["run_id"] for account in three.summary()["sources"]}) == 3


def test_a_row_that_fails_in_one_source_leaves_the_others_as_they_are(
    three: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001 for external_id=3"))
    three.configure(server.url)

    ended = three.type(*RUN)

    assert ended.status == 3
    assert _accounts(three) == [
        ("first.csv", {"sent": 2}, 2, None, 0),
        ("second.csv", {"sent": 1, "rejected": 1}, 2, "second.retry.csv", 3),
        ("third.csv", {"sent": 2}, 2, None, 0),
    ]
    assert [row[:2] for row in three.retry_rows("second.retry.csv")] == [(1, "rejected")]
    assert plain(ended.err)[0] == "first.csv: 2 rows, 2 requests in 0 s"
    assert names(server) == names_of([1, 2, 4, 5, 6])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "second.csv is empty. Check how it was made."),
        (
            'id,name\n3,"name3\n',
            (
                "second.csv: record 1, which begins on line 2, opens a quote that is never closed. "
                "Close the quote, or double it where it belongs to the field."
            ),
        ),
        (
            "id,name\n" + ",x\n" * 21,
            (
                "second.csv: 21 of 21 rows can't be sent, more than limits.max_rejected (10%); most often: no "
                "identity: nothing in 'id' (21 rows, first row 1). Nothing was sent. "
                "Fix the file or the mapping, or raise limits.max_rejected."
            ),
        ),
    ],
    ids=["empty", "cut off", "too many bad rows"],
)
def test_one_broken_source_keeps_all_from_being_sent(
    three: Desk, sandbox: Callable[..., RunningSandbox], content: str, line: str
) -> None:
    server = sandbox(rules())
    three.configure(server.url)
    three.write("second.csv", content)

    ended = three.type(*RUN)

    assert (ended.status, ended.out, ended.last_line) == (4, "", line)
    assert server.sandbox.requests() == []
    assert [account["exit_status"] for account in three.summary()["sources"]] == [4, 4, 4]
    assert books_of(three.summary()["sources"][0]) == {"not_attempted": 2}


def test_a_stop_ends_the_sources_that_are_left(three: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40201 for external_id=3", "code=40001 for external_id=1"))
    three.configure(server.url)

    ended = three.type(*RUN, "--set", "rate.concurrency=1")

    assert ended.status == 5
    assert sent_ids(server) == ["1", "2", "3"]
    assert _accounts(three) == [
        ("first.csv", {"sent": 1, "rejected": 1}, 2, "first.retry.csv", 3),
        ("second.csv", {"not_attempted": 2}, 1, None, 5),
        ("third.csv", {"not_attempted": 2}, 0, None, 5),
    ]


def test_all_sources_keep_one_limit_together(three: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(limit=4, per=0.5, anchor=None))
    three.configure(server.url)

    ended = three.type(*RUN, "--set", "rate.requests=4", "--set", "rate.per=500ms", "--set", "rate.share=1")

    assert ended.status == 0
    assert (server.sandbox.report().over_limit, server.sandbox.report().requests) == (0, 6)
    assert len(server.sandbox.report().windows) >= 2


def test_the_retry_file_of_one_source_may_not_be_another_source(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001 for external_id=1"))
    desk.configure(server.url)
    desk.people(3)
    desk.people(2, "people.retry.csv")

    run = desk.type("run", "people.csv", "people.retry.csv")

    assert run.status == 2
    assert server.sandbox.requests() == []


def test_a_row_of_a_later_source_follows_an_unaccepted_one_of_an_earlier(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=50000 for external_id=1 times 5"))
    desk.configure(server.url)
    desk.write("old.csv", "id,name\n1,old\n2,other\n")
    desk.write("new.csv", "id,name\n1,new\n")

    first = desk.type("run", "old.csv", "new.csv")
    again = desk.type(*shlex.split(first.last_line)[1:])

    assert (first.status, again.status) == (3, 0)
    assert names(server) == {"1": "new", "2": "other"}


def test_a_source_that_is_swapped_after_the_check_is_not_sent(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(latency=(0.2, 0.2)))
    desk.configure(server.url)
    desk.people(8, "a.csv")
    desk.people(2, "b.csv")
    process = desk.start("run", "a.csv", "b.csv", "--set", "rate.concurrency=1")
    while server.sandbox.report().requests < 2 and process.poll() is None:
        time.sleep(0.01)
    desk.people(2, "b.csv")

    run = ended(process)

    assert run.status == 9
    assert run.last_line == (
        "b.csv changed after it was checked; nothing of it was sent. Run again to send the file as it is now: "
        "uploader run a.csv b.csv --set rate.concurrency=1"
    )
    assert len(server.sandbox.requests()) == 8
