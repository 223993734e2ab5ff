"""A command over several SOURCEs is one unit: typed again after it was broken off, it goes on where it was."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.command import Desk, Ended, books_of, names, rules, sent_ids, until
from uploader.app import run as module
from uploader.errors import StorageError
from uploader.run import source_run
from uploader.sandbox import RunningSandbox, running

RUN: Final = ("--set", "rate.concurrency=1", "--summary", "summary.json")
LAST: Final = "retry_last_failures: true\n"


@pytest.fixture
def two(desk: Desk) -> Desk:
    """Lend a desk with two files: 1 to 3 say *a*, then 1 to 6 say *b*."""
    write(desk, "a.csv", "a", 3)
    write(desk, "b.csv", "b", 6)
    return desk


def write(desk: Desk, name: str, word: str, count: int) -> Path:
    return desk.write(name, "id,name\n" + "".join(f"{number},{word}\n" for number in range(1, count + 1)))


def books(desk: Desk) -> list[tuple[str, dict[str, int], int]]:
    """Return name, books and exit status of each source of the last command."""
    return [(one["source"].rpartition("/")[2], books_of(one), one["exit_status"]) for one in desk.summary()["sources"]]


def told(ended: Ended, what: str) -> list[str]:
    return [line for line in ended.err.splitlines() if what in line]


STOP: Final = "code=40201 for external_id=4 times 1"
"""The service refuses a run, once, when person 4 comes: only b.csv has it."""


def test_a_finished_source_is_passed_over_when_its_interrupted_command_is_typed_again(
    two: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(STOP))
    two.configure(server.url)

    first = two.type("run", "a.csv", "b.csv", *RUN)
    run_ids = [one["run_id"] for one in two.summary()["sources"]]
    start_id = json.loads(two.type("runs", "--json").out)[0]["start_id"]
    again = two.type("run", "a.csv", "b.csv", *RUN)

    assert (first.status, again.status) == (5, 0)
    assert sent_ids(server) == ["1", "2", "3", "1", "2", "3", "4", "4", "5", "6"]
    assert names(server) == {str(number): "b" for number in range(1, 7)}
    assert books(two) == [("a.csv", {"sent": 3}, 0), ("b.csv", {"sent": 6}, 0)]
    assert [one["run_id"] for one in two.summary()["sources"]] == run_ids
    assert told(again, "a.csv") == [
        (
            f"a.csv: finished before its command was stopped (run {start_id}): not sent again. "
            "To send everything, use --fresh."
        )
    ]


def test_after_it_came_to_its_end_the_same_command_sends_everything(
    two: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(STOP))
    two.configure(server.url)
    for _ in range(2):
        two.type("run", "a.csv", "b.csv", *RUN)
    before = len(sent_ids(server))

    two.type("run", "a.csv", "b.csv", *RUN)

    assert len(sent_ids(server)) - before == 9


def test_a_command_that_is_interrupted_many_times_passes_over_all_that_it_finished(
    two: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(STOP, "code=40201 for external_id=8 times 1", "code=40201 for external_id=9 times 1"))
    two.configure(server.url)
    write(two, "c.csv", "c", 9)

    statuses = [two.type("run", "a.csv", "b.csv", "c.csv", *RUN).status for _ in range(4)]

    assert statuses == [5, 5, 5, 0]
    assert len(sent_ids(server)) == 3 + 6 + 9 + 3
    assert names(server) == {str(number): "c" for number in range(1, 10)}
    assert books(two) == [("a.csv", {"sent": 3}, 0), ("b.csv", {"sent": 6}, 0), ("c.csv", {"sent": 9}, 0)]


def test_a_source_that_was_never_begun_is_what_is_left_of_the_command(
    two: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40201 for external_id=8 times 1"))
    two.configure(server.url)
    write(two, "c.csv", "c", 9)
    send, begun = source_run.send, 0

    async def fail_before_b(*args: object) -> object:
        nonlocal begun
        begun += 1
        if begun == 2:
            raise StorageError("a cable was pulled")
        return await send(*args)  # type: ignore[arg-type]  # as it is called

    with two.monkeypatch.context() as patch:
        patch.setattr(module, "send", fail_before_b)
        statuses = [two.type("run", "a.csv", "b.csv", "c.csv", *RUN).status]
    statuses += [two.type("run", "a.csv", "b.csv", "c.csv", *RUN).status for _ in range(2)]

    assert statuses == [7, 5, 0]
    assert len(sent_ids(server)) == 3 + 6 + 9 + 1
    assert names(server) == {str(number): "c" for number in range(1, 10)}


@pytest.mark.parametrize("word", ["a", "A"])
def test_a_command_that_was_killed_goes_on_or_begins_anew_as_a_whole(
    two: Desk, sandbox: Callable[..., RunningSandbox], word: str
) -> None:
    server = sandbox(rules(latency=(0.05, 0.05)))
    two.configure(server.url)
    process = two.start("run", "a.csv", "b.csv", *RUN)
    until(lambda: len(server.sandbox.requests()) >= 6)
    process.kill()
    process.communicate()
    before = len(server.sandbox.requests())
    write(two, "a.csv", word, 3)

    again = two.type("run", "a.csv", "b.csv", *RUN)

    # No end is marked of a source before the command has come to its own; what is settled is known all the same.
    assert (again.status, names(server)) == (0, {str(number): "b" for number in range(1, 7)})
    assert books(two) == [("a.csv", {"sent": 3}, 0), ("b.csv", {"sent": 6}, 0)]
    sent = len(server.sandbox.requests()) - before
    assert sent == 9 if word == "A" else sent <= 4


@pytest.mark.parametrize("flag", ["--fresh", "--full"])
def test_whoever_asks_for_every_row_gets_every_source_sent(
    two: Desk, sandbox: Callable[..., RunningSandbox], flag: str
) -> None:
    server = sandbox(rules(STOP))
    two.configure(server.url)
    two.type("run", "a.csv", "b.csv", *RUN)

    again = two.type("run", "a.csv", "b.csv", *RUN, flag)

    assert (again.status, books(two)) == (0, [("a.csv", {"sent": 3}, 0), ("b.csv", {"sent": 6}, 0)])
    assert len(sent_ids(server)) == 3 + 4 + 3 + 6
    assert names(server) == {str(number): "b" for number in range(1, 7)}


def test_where_a_finished_source_changed_since_all_of_the_command_begins_anew(
    two: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(STOP))
    two.configure(server.url)
    two.type("run", "a.csv", "b.csv", *RUN)
    write(two, "a.csv", "A", 3)

    again = two.type("run", "a.csv", "b.csv", *RUN)

    assert again.status == 0
    (line,) = told(again, "b.csv")
    assert line.startswith("b.csv: a SOURCE before it changed since the interrupted run: 3 of 6 rows of")
    assert names(server) == {str(number): "b" for number in range(1, 7)}


def test_where_a_finished_source_changed_since_the_command_is_refused_if_wanted(
    two: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(STOP))
    two.configure(server.url, more="when_changed: refuse\n")
    two.type("run", "a.csv", "b.csv", *RUN)
    write(two, "a.csv", "A", 3)
    before = len(sent_ids(server))

    assert two.type("run", "a.csv", "b.csv", *RUN).status == 9
    assert len(sent_ids(server)) == before


@pytest.mark.parametrize(
    ("words", "sources"),
    [
        (("b.csv",), ["b.csv"]),
        (("a.csv",), ["a.csv"]),
        (("b.csv", "a.csv"), ["b.csv", "a.csv"]),
        (("a.csv", "b.csv", "--limit", "2"), ["a.csv", "b.csv"]),
    ],
)
def test_another_command_passes_over_no_source(
    two: Desk, sandbox: Callable[..., RunningSandbox], words: Sequence[str], sources: list[str]
) -> None:
    server = sandbox(rules(STOP))
    two.configure(server.url)
    two.type("run", "a.csv", "b.csv", *RUN)

    again = two.type("run", *words, *RUN)

    assert (again.status, [name for name, _, _ in books(two)]) == (0, sources)
    assert told(again, "broken off") == []


def test_rows_that_failed_in_a_source_passed_over_are_told_and_followed(
    two: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001 for df_name=fail", STOP))
    two.configure(server.url)
    two.write("a.csv", "id,name\n5,fail\n1,a\n")

    two.type("run", "a.csv", "b.csv", *RUN)
    again = two.type("run", "a.csv", "b.csv", *RUN)

    assert again.status == 3
    assert books(two) == [("a.csv", {"sent": 1, "rejected": 1}, 3), ("b.csv", {"sent": 6}, 0)]
    assert [one["retry_file"] and one["retry_file"].rpartition("/")[2] for one in two.summary()["sources"]] == [
        "a.retry.csv",
        "b.retry.csv",
    ]
    assert [row[:2] for row in two.retry_rows("b.retry.csv")] == [(5, "again")]


def test_the_run_before_is_passed_over_where_standard_input_says_the_same(
    two: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(STOP))
    two.configure(server.url)
    content = (two.folder / "a.csv").read_bytes()

    for _ in range(2):
        two.type("run", "-", "b.csv", *RUN, stdin=content)

    assert len(sent_ids(server)) == 3 + 6 + 1
    assert books(two) == [("-", {"sent": 3}, 0), ("b.csv", {"sent": 6}, 0)]


def test_last_nights_failures_are_not_taken_in_twice_by_a_command_that_was_interrupted(
    two: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("http=503 for df_name=late times 4", STOP))
    two.configure(server.url, more=LAST)
    two.write("a.csv", "id,name\n7,late\n8,late\n")
    two.type("run", "a.csv", *RUN)
    two.write("a.csv", "id,name\n9,x\n")

    statuses = [two.type("run", "a.csv", "b.csv", *RUN).status for _ in range(2)]

    assert statuses == [5, 0]
    assert [name for name, _, _ in books(two)] == ["a.csv", "b.csv"]
    assert len(sent_ids(server)) == 4 + 2 + 1 + 6 + 1


def test_what_a_source_passed_over_has_left_is_taken_in_the_next_night(
    two: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("http=503 for df_name=late times 2", STOP))
    two.configure(server.url, more=LAST)
    two.write("a.csv", "id,name\n9,late\n")

    nights = []
    for _ in range(3):
        two.type("run", "a.csv", "b.csv", *RUN)
        nights.append([(name, status) for name, _, status in books(two)])

    assert nights == [
        [("a.csv", 3), ("b.csv", 5)],
        [("a.csv", 3), ("b.csv", 0)],
        [("a.retry.csv", 0), ("a.csv", 0), ("b.csv", 0)],
    ]


@pytest.mark.parametrize("words", [("a.csv", "a.retry.csv"), ("a.retry.csv", "a.csv"), ("./a.retry.csv", "a.csv")])
def test_a_retry_file_that_is_named_too_is_sent_once_and_before_its_source(desk: Desk, words: Sequence[str]) -> None:
    with running(rules("http=503 for df_name=old times 4")) as server:
        desk.configure(server.url, more=LAST)
        desk.write("a.csv", "id,name\n1,old\n2,old\n")
        desk.type("run", "a.csv", *RUN)
        desk.write("a.csv", "id,name\n1,new\n")

        ended = desk.type("run", *words, *RUN)

        assert (ended.status, ended.err) == (0, "")
        assert books(desk) == [("a.retry.csv", {"sent": 2}, 0), ("a.csv", {"sent": 1}, 0)]
        assert names(server) == {"1": "new", "2": "old"}


def test_a_retry_file_of_which_the_run_was_purged_is_sent_before_its_source(desk: Desk) -> None:
    with running(rules("http=503 for df_name=old times 2")) as server:
        desk.configure(server.url, more=LAST)
        desk.write("a.csv", "id,name\n1,old\n")
        desk.type("run", "a.csv", *RUN)
        for file in (desk.folder / ".uploader/runs").iterdir():
            file.unlink()
        desk.write("a.csv", "id,name\n2,new\nperhaps\n")

        ended = desk.type("run", "a.retry.csv", "a.csv", *RUN)

        assert ended.status == 3
        assert [(name, status) for name, _, status in books(desk)] == [("a.retry.csv", 0), ("a.csv", 3)]
        assert {"a.retry.csv", "a.retry.2.csv"} <= set(desk.files())
        assert names(server) == {"1": "old", "2": "new"}


def test_retry_files_of_retry_files_are_sent_in_one_command(desk: Desk) -> None:
    with running(rules("http=503 for df_name=old times 10")) as server:
        desk.configure(server.url)
        desk.write("a.csv", "id,name\n1,old\n2,old\n")
        desk.type("run", "a.csv", *RUN)
        desk.type("run", "a.retry.csv", *RUN)

        ended = desk.type("run", "a.retry.csv", "a.retry.retry.csv", *RUN)

        assert ended.status == 3
        assert [(name, counts) for name, counts, _ in books(desk)] == [
            ("a.retry.csv", {"failed": 1, "sent": 1}),
            ("a.retry.retry.csv", {"sent": 2}),
        ]
        assert "a.retry.retry.2.csv" in desk.files()
        assert names(server) == {"1": "old", "2": "old"}


def test_a_retry_file_that_is_named_alone_is_sent_once(desk: Desk) -> None:
    with running(rules("http=503 for df_name=old times 6")) as server:
        desk.configure(server.url, more=LAST)
        desk.write("a.csv", "id,name\n1,old\n2,old\n")
        desk.type("run", "a.csv", *RUN)

        statuses = [desk.type("run", "a.retry.csv", *RUN).status for _ in range(2)]

        assert (statuses, desk.files()) == ([3, 0], ["a.csv", "config.yaml", "summary.json"])
        assert names(server) == {"1": "old", "2": "old"}


def test_a_retry_file_of_a_fixed_name_leaves_its_rows_under_the_next_number(desk: Desk) -> None:
    with running(rules("http=503 for df_name=old times 4")) as server:
        desk.configure(server.url, more=f'{LAST}output: {{retry_file: "{{dir}}/left.csv"}}\n')
        desk.write("a.csv", "id,name\n1,old\n")
        desk.type("run", "a.csv", *RUN)

        first = desk.type("run", "left.csv", *RUN)
        files = desk.files()
        second = desk.type("run", "a.csv", *RUN)

        assert (first.status, "left.2.csv" in files, second.status) == (3, True, 0)
        assert names(server) == {"1": "old"}


def test_the_retry_file_of_a_run_that_goes_on_is_no_source_beside_it(desk: Desk) -> None:
    with running(rules("http=503 for external_id=1 times 2", "http=401 for external_id=2 times 1")) as server:
        desk.configure(server.url, more=LAST)
        desk.people(3)
        first = desk.type("run", "people.csv", *RUN)

        again = desk.type("run", "people.csv", "people.retry.csv", *RUN)

        assert (first.status, again.status) == (5, 2)


def test_a_command_of_an_earlier_version_that_numbered_no_run_goes_on_too(
    two: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(STOP))
    two.configure(server.url)
    with two.monkeypatch.context() as patch:
        patch.setattr(module, "assign_numbers", lambda _, sendings: sendings)
        first = two.type("run", "a.csv", "b.csv", *RUN)

    again = two.type("run", "a.csv", "b.csv", *RUN)

    assert (first.status, again.status) == (5, 0)
    assert len(sent_ids(server)) == 3 + 6 + 1
    assert books(two) == [("a.csv", {"sent": 3}, 0), ("b.csv", {"sent": 6}, 0)]
