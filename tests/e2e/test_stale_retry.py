"""A row of a retry file never overwrites what a later run has sent, and last night's failures go out first."""

from collections.abc import Mapping, Sequence

import pytest

from tests.command import Desk, Ended, books_of, names, rules
from uploader.sandbox import RunningSandbox, running

BOTH = ["", "changed_only: true\n"]
LAST = "retry_last_failures: true\n"


def send(desk: Desk, people: Mapping[str, str], *words: str) -> Ended:
    desk.write("people.csv", "id,name\n" + "".join(f"{who},{name}\n" for who, name in people.items()))
    return desk.type("run", "people.csv", "--summary", "summary.json", *words)


def retry(desk: Desk, *names_of_files: str) -> dict[str, int]:
    ending = desk.type("run", *(names_of_files or ("people.retry.csv",)), "--summary", "retry.json")
    assert ending.status in {0, 3}, ending.err
    found = desk.summary("retry.json")
    return books_of(found[-1] if isinstance(found, list) else found)


def per_source(desk: Desk) -> list[tuple[str, dict[str, int]]]:
    """Return the books of each source of the last run, by the last part of its name."""
    return [(one["source"].rpartition("/")[2], books_of(one)) for one in desk.summary()["sources"]]


@pytest.mark.parametrize("more", BOTH)
def test_a_row_that_a_later_run_has_overtaken_is_not_sent(desk: Desk, more: str) -> None:
    with running(rules("http=503 times 4")) as server:
        desk.configure(server.url, more=more)
        send(desk, {"1": "old", "2": "old"})
        send(desk, {"1": "new"})

        books = retry(desk)

        assert (books, names(server)) == ({"sent": 1, "superseded": 1}, {"1": "new", "2": "old"})


@pytest.mark.parametrize("more", BOTH)
def test_a_row_that_only_earlier_runs_have_sent_is_sent(desk: Desk, more: str) -> None:
    with running(rules("http=503 for df_name=new times 2")) as server:
        desk.configure(server.url, more=more)
        send(desk, {"1": "old"})
        send(desk, {"1": "new"})

        assert (retry(desk), names(server)) == ({"sent": 1}, {"1": "new"})


def test_a_retry_file_that_was_copied_elsewhere_is_overtaken_too(desk: Desk) -> None:
    with running(rules("http=503 times 2")) as server:
        desk.configure(server.url)
        send(desk, {"1": "old"})
        (desk.folder / "people.retry.csv").rename(desk.folder / "mended.csv")
        send(desk, {"1": "new"})

        assert (retry(desk, "mended.csv"), names(server)) == ({"superseded": 1}, {"1": "new"})


def test_without_the_key_no_retry_is_sent_that_may_be_overtaken(desk: Desk) -> None:
    with running(rules("http=503 times 2")) as server:
        desk.configure(server.url)
        send(desk, {"1": "old"})
        send(desk, {"1": "new"})
        (desk.folder / ".uploader" / "memory" / "key").unlink()

        ending = desk.type("run", "people.retry.csv")

        assert (ending.status, "changes --forget" in ending.err, names(server)) == (7, True, {"1": "new"})


def test_what_a_retry_leaves_is_as_old_as_its_first_run(desk: Desk) -> None:
    with running(rules("http=503 for df_name=old times 4")) as server:
        desk.configure(server.url)
        send(desk, {"1": "old"})
        first = retry(desk)
        send(desk, {"1": "new"})

        assert (first, retry(desk, "people.retry.retry.csv")) == ({"failed": 1}, {"superseded": 1})
        assert names(server) == {"1": "new"}


@pytest.mark.parametrize("turn", range(4))
def test_files_of_one_run_that_are_retried_together_end_as_the_run_would_have(desk: Desk, turn: int) -> None:
    with running(rules("http=503 for df_name=first times 2")) as server:
        desk.configure(server.url)
        desk.write("a.csv", "id,name\n1,first\n")
        desk.write("b.csv", f"id,name\n1,second\n{turn + 2},x\n")
        desk.type("run", "a.csv", "b.csv")
        before = names(server)
        desk.type("run", "a.retry.csv", "b.retry.csv", "-q")

        assert (before["1"], names(server)["1"]) == ("second", "second")


def test_the_overtaken_row_is_told_in_the_summary_and_leaves_no_retry_file(desk: Desk) -> None:
    with running(rules("http=503 times 2")) as server:
        desk.configure(server.url)
        send(desk, {"1": "old"})
        send(desk, {"1": "new"})
        told = desk.type("run", "people.retry.csv", "-v")

        assert (told.status, "  superseded             1" in told.err) == (0, True)
    assert desk.files() == ["config.yaml", "people.csv", "summary.json"]


# Last night's failures


def nights(
    desk: Desk, server: RunningSandbox, files: Sequence[Mapping[str, str]]
) -> list[list[tuple[str, dict[str, int]]]]:
    """Send *files*, one each night, and return the books of each night."""
    desk.configure(server.url, more=LAST)
    found = []
    for people in files:
        send(desk, people)
        found.append(per_source(desk))
    return found


def test_last_nights_failures_go_first_and_give_way_to_tonights_rows(desk: Desk) -> None:
    with running(rules("http=503 for df_name=old times 4")) as server:
        found = nights(desk, server, [{"1": "old", "2": "old", "3": "x"}, {"1": "new", "3": "x"}])

        assert found == [
            [("people.csv", {"sent": 1, "failed": 2})],
            [("people.retry.csv", {"sent": 2}), ("people.csv", {"sent": 2})],
        ]
        assert names(server) == {"1": "new", "2": "old", "3": "x"}


def test_a_retry_file_is_taken_in_once(desk: Desk) -> None:
    with running(rules("http=503 times 2")) as server:
        found = nights(desk, server, [{"1": "a"}, {"2": "b"}, {"3": "c"}])

    assert [[name for name, _ in night] for night in found] == [
        ["people.csv"],
        ["people.retry.csv", "people.csv"],
        ["people.csv"],
    ]


def test_names_of_retry_files_do_not_grow_night_by_night(desk: Desk) -> None:
    with running(rules("http=503 for external_id=1")) as server:
        found = nights(desk, server, [{"1": "a"}, {"2": "b"}, {"3": "c"}, {"4": "d"}])

        assert [[name for name, _ in night] for night in found] == [
            ["people.csv"],
            ["people.retry.csv", "people.csv"],
            ["people.retry.2.csv", "people.csv"],
            ["people.retry.3.csv", "people.csv"],
        ]
        assert names(server) == {"2": "b", "3": "c", "4": "d"}


def test_rows_that_are_rejected_every_night_do_not_heap_up(desk: Desk) -> None:
    with running(rules("code=40001 for external_id=1")) as server:
        found = nights(desk, server, [{"1": "a", "2": "a"}] * 5)

    assert [len(night) for night in found] == [1, 2, 2, 2, 2]


def test_a_row_that_fails_for_nights_is_sent_in_the_end_unless_it_was_overtaken(desk: Desk) -> None:
    with running(rules("http=503 for df_name=old times 8", "http=503 for df_name=lone times 8")) as server:
        found = nights(desk, server, [{"1": "old", "2": "lone"}, {"3": "x"}, {"1": "new"}, {"3": "x"}, {"3": "x"}])

        assert names(server) == {"1": "new", "2": "lone", "3": "x"}
    assert found[-1] == [("people.retry.5.csv", {"sent": 1}), ("people.csv", {"sent": 1})]


def test_the_key_does_nothing_where_nothing_was_left_or_few_rows_are_asked_for(desk: Desk) -> None:
    with running(rules("http=503 times 2")) as server:
        desk.configure(server.url, more=LAST)
        send(desk, {"1": "a"})
        send(desk, {"1": "b"}, "--limit", "1")
        limited = per_source(desk)
        send(desk, {"1": "c"}, "--retry-file", "mine.csv")

        assert (limited, [name for name, _ in per_source(desk)]) == (
            [("people.csv", {"sent": 1})],
            ["people.retry.csv", "people.csv"],
        )
        assert names(server) == {"1": "c"}


def test_a_retry_file_that_is_gone_is_nobodys_trouble(desk: Desk) -> None:
    with running(rules("http=503 times 2")) as server:
        desk.configure(server.url, more=LAST)
        send(desk, {"1": "a"})
        (desk.folder / "people.retry.csv").unlink()

        assert send(desk, {"1": "b"}).status == 0
        assert per_source(desk) == [("people.csv", {"sent": 1})]


def test_a_retry_file_that_was_emptied_is_nobodys_trouble(desk: Desk) -> None:
    with running(rules("http=503 times 2")) as server:
        desk.configure(server.url, more=LAST)
        send(desk, {"1": "a"})
        (desk.folder / "people.retry.csv").write_bytes(b"")

        assert send(desk, {"1": "b"}).status == 0
        assert per_source(desk) == [("people.csv", {"sent": 1})]


def test_what_failed_in_a_run_that_was_interrupted_and_never_continued_is_taken_in(desk: Desk) -> None:
    with running(rules("http=503 for external_id=1 times 2", "http=401 for external_id=2 times 1")) as server:
        desk.configure(server.url, more=LAST)
        interrupted = send(desk, {"1": "a", "2": "b", "3": "c"})
        anew = send(desk, {"4": "d"})
        send(desk, {"5": "e"})

        assert (interrupted.status, anew.status) == (5, 0)
        assert per_source(desk) == [("people.retry.csv", {"sent": 1}), ("people.csv", {"sent": 1})]
        assert names(server) == {"1": "a", "3": "c", "4": "d", "5": "e"}
