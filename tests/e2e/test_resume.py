"""Continue what was interrupted, by the same command: nothing lost, nothing sent twice but what was in flight."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from tests.command import Desk, books_of, ended, names, names_of, rules, sent_ids, until
from uploader.errors import StorageError
from uploader.sandbox import RunningSandbox
from uploader.state import History

RUN = ("run", "people.csv", "--set", "rate.concurrency=1", "--summary", "summary.json")
SECONDS = 30.0


def stop_at(number: int) -> str:
    """Return the fault by which the service refuses a run, once, when person *number* comes."""
    return f"code=40201 for external_id={number} times 1"


def continuing(desk: Desk, settled: int, rows: int, name: str = "people.csv", *, before: int = 1) -> str:
    return f"{name}: resuming run {listed(desk, before)}: {settled:,} of {rows:,} rows settled."


def listed(desk: Desk, before: int = 0) -> str:
    """Return the ID by which `uploader runs` lists the last start, or that of so many before it."""
    return [*History(desk.folder / ".uploader").records()][before].start_id


def ids(*numbers: int) -> list[str]:
    return [str(number) for number in numbers]


def state(desk: Desk) -> dict[str, bytes]:
    folder = desk.folder / ".uploader"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def runs(desk: Desk) -> list[dict[str, Any]]:
    """Return what `uploader runs` tells."""
    told: list[dict[str, Any]] = json.loads(desk.type("runs", "--json").out)
    return told


def test_an_interrupted_run_is_continued_by_the_same_command(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(stop_at(6)))
    desk.configure(server.url)
    desk.people(10)

    first = desk.type(*RUN)
    assert (first.status, desk.books()) == (5, {"sent": 5, "not_attempted": 5})
    first_id = desk.summary()["run_id"]
    second = desk.type(*RUN)

    assert (second.status, second.out, second.err) == (0, "", f"{continuing(desk, 5, 10)}\n")
    assert sent_ids(server) == ids(1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10)
    assert names(server) == names_of(range(1, 11))
    summary = desk.summary()
    assert (summary["run_id"], desk.books(), summary["exit_status"]) == (first_id, {"sent": 10}, 0)
    assert (summary["requests"], summary["retries"], summary["maybe_sent_twice"]) == (11, 0, 0)


def test_accepted_rejected_and_failed_rows_are_not_sent_again(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    faults = ("code=40001 for external_id=2", "code=50000 for external_id=3", stop_at(6))
    server = sandbox(rules(*faults))
    desk.configure(server.url)
    desk.write("people.csv", "id,name\n" + "".join(f"{n},name{n}\n" for n in range(1, 9)) + ",nobody\n")

    first = desk.type(*RUN)
    assert (first.status, desk.books()) == (5, {"sent": 3, "rejected": 1, "failed": 1, "not_attempted": 4})
    second = desk.type(*RUN)

    assert (second.status, second.err.splitlines()[0]) == (3, continuing(desk, 5, 9))
    assert sent_ids(server) == ids(1, 2, 3, 3, 4, 5, 6, 6, 7, 8)
    assert desk.books() == {"sent": 6, "rejected": 2, "failed": 1}
    assert [row[:2] for row in desk.retry_rows()] == [(2, "rejected"), (3, "failed"), (9, "rejected")]
    assert desk.files() == ["config.yaml", "people.csv", "people.retry.csv", "summary.json"]


def test_a_row_that_awaited_a_retry_is_sent_on_continuing(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=50000 for external_id=2 times 1", "code=40201 for external_id=3 times 1"))
    desk.configure(server.url)
    desk.people(5)

    # The wait for the second try is far longer than the run.
    first = desk.type("run", "people.csv", "--set", "retry.base=1h", "--set", "retry.cap=1h", "--summary", "1.json")
    assert first.status == 5
    left = desk.books("1.json")["not_attempted"]
    assert left >= 2
    second = desk.type(*RUN)

    assert (second.status, desk.books()) == (0, {"sent": 5})
    assert (sorted(map(str, sent_ids(server)))) == ids(1, 2, 2, 3, 3, 4, 5)
    assert not (desk.folder / "people.retry.csv").exists()


def test_a_run_may_be_interrupted_many_times(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(*(stop_at(number) for number in (2, 3, 5, 8)), "code=40001 for external_id=4"))
    desk.configure(server.url)
    desk.people(9)

    statuses = [desk.type(*RUN).status for _ in range(5)]

    assert statuses == [5, 5, 5, 5, 3]
    assert sent_ids(server) == ids(1, 2, 2, 3, 3, 4, 5, 5, 6, 7, 8, 8, 9)
    assert (desk.books(), desk.summary()["requests"]) == ({"sent": 8, "rejected": 1}, 13)
    assert [(run["lives"], run["ended"], run["exit_status"]) for run in runs(desk)] == [(5, "finished", 3)]


def test_the_working_directory_and_the_spelling_of_the_path_do_not_matter(
    desk: Desk, sandbox: Callable[..., RunningSandbox], tmp_path: Path
) -> None:
    server = sandbox(rules(stop_at(2), stop_at(3), stop_at(4)))
    desk.configure(server.url)
    people = desk.people(5)
    (tmp_path / "link.csv").symlink_to(people)
    (tmp_path / "elsewhere").mkdir()

    assert desk.type(*RUN).status == 5
    other = Desk(tmp_path / "elsewhere", desk.capture, desk.monkeypatch, desk.environ)
    more = ("--config", str(desk.folder / "config.yaml"), "--set", "rate.concurrency=1", "--summary", "summary.json")
    lives = [other.type("run", word, *more) for word in ("../desk/people.csv", str(people), "../link.csv")]

    assert [(run.status, "resuming run" in run.err) for run in lives] == [(5, True), (5, True), (0, True)]
    assert other.books() == {"sent": 5}
    assert sent_ids(server) == ids(1, 2, 2, 3, 3, 4, 4, 5)


def test_standard_input_is_continued_when_the_same_content_comes_again(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(stop_at(3)))
    desk.configure(server.url)
    content = desk.people(4).read_bytes()
    words = ("run", "-", "--set", "rate.concurrency=1", "--summary", "summary.json")

    assert desk.type(*words, stdin=content).status == 5
    other = desk.type(*words, stdin=b"id,name\n9,name9\n")
    assert (other.status, other.err) == (0, "")
    again = desk.type(*words, stdin=content)

    assert (again.status, again.err) == (0, f"{continuing(desk, 2, 4, '-', before=2)}\n")
    assert sent_ids(server) == ids(1, 2, 3, 9, 3, 4)


def test_a_finished_run_is_never_continued(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40001 for external_id=2"))
    desk.configure(server.url)
    desk.people(3)

    first, first_id = desk.type(*RUN), desk.summary()["run_id"]
    second = desk.type(*RUN)

    assert (first.status, second.status) == (3, 3)
    assert "resuming" not in second.err
    assert desk.summary()["run_id"] != first_id
    assert sent_ids(server) == ids(1, 2, 3, 1, 2, 3)
    assert desk.summary()["retry_file"] == "people.retry.2.csv"


def test_another_service_is_another_run(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server, other = sandbox(rules(stop_at(3))), sandbox(rules())
    desk.configure(server.url)
    desk.people(4)

    assert desk.type(*RUN).status == 5
    assert desk.type(*RUN, "--set", f"api.base_url={other.url}").err == ""
    assert desk.type(*RUN, "--set", "api.service_id=another").err == ""
    last = desk.type(*RUN)

    assert last.err == f"{continuing(desk, 2, 4, before=3)}\n"
    assert (sent_ids(other), sent_ids(server)) == (ids(1, 2, 3, 4), ids(1, 2, 3, 1, 2, 3, 4, 3, 4))


def test_what_does_not_change_the_requests_does_not_keep_a_run_from_going_on(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(stop_at(3)))
    desk.configure(server.url)
    desk.people(4)

    assert desk.type(*RUN).status == 5
    run = desk.type(*RUN, "--set", "rate.share=50%", "--set", "retry.attempts=9", "--set", "api.timeout=5s")

    assert run.err == f"{continuing(desk, 2, 4)}\n"


def test_fresh_begins_anew_and_says_what_was_never_sent(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40001 for external_id=1", stop_at(3)))
    desk.configure(server.url)
    desk.people(4)

    assert desk.type(*RUN).status == 5
    old = desk.summary()["run_id"]
    run = desk.type(*RUN, "--fresh")

    assert run.err.splitlines()[0] == (
        f"people.csv: starting over as asked; 2 of 4 rows of the interrupted run {listed(desk, 1)} were never sent."
    )
    assert sent_ids(server) == ids(1, 2, 3, 1, 2, 3, 4)
    assert (run.status, desk.books()) == (3, {"sent": 3, "rejected": 1})
    assert desk.summary()["retry_file"] == "people.retry.2.csv"
    assert [row[0] for row in desk.retry_rows()] == [row[0] for row in desk.retry_rows("people.retry.2.csv")] == [1]
    assert {one["run_id"] == old: one["ended"] for one in runs(desk)} == {False: "finished", True: "abandoned"}


def test_fresh_without_an_interrupted_run_says_nothing(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(4)

    run = desk.type(*RUN, "--fresh")

    assert (run.status, run.err) == (0, "")


MORE = "id,name\n1,name1\n2,name2\n3,name3\n4,name4\n5,name5\n"


@pytest.mark.parametrize(
    ("content", "words", "what"),
    [
        (MORE, (), "the file"),
        ("", ("--set", "mapping.properties.df_membership=name"), "the mapping"),
        (MORE, ("--set", "mapping.when_empty=null"), "the file and the mapping"),
    ],
)
def test_what_changed_since_is_begun_anew(
    desk: Desk, sandbox: Callable[..., RunningSandbox], content: str, words: tuple[str, ...], what: str
) -> None:
    server = sandbox(rules(stop_at(3)))
    desk.configure(server.url)
    desk.people(4)

    assert desk.type(*RUN).status == 5
    old = desk.summary()["run_id"]
    if content:
        desk.write("people.csv", content)
    run = desk.type(*RUN, *words)

    assert (run.status, run.err) == (
        0,
        (
            f"people.csv: {what} changed since the interrupted run: 2 of 4 rows of the interrupted run "
            f"{listed(desk, 1)} were never sent. Starting over.\n"
        ),
    )
    everybody = ids(*range(1, 6 if content else 5))
    assert sent_ids(server) == [*ids(1, 2, 3), *everybody]
    assert desk.summary()["run_id"] != old
    assert desk.type(*RUN, *words).err == ""


@pytest.mark.parametrize(
    ("content", "words", "what"),
    [(MORE, (), "the file"), ("", ("--set", "mapping.properties.df_membership=name"), "the mapping")],
)
def test_what_changed_since_is_refused_if_that_is_wanted(
    desk: Desk, sandbox: Callable[..., RunningSandbox], content: str, words: tuple[str, ...], what: str
) -> None:
    server = sandbox(rules(stop_at(3)))
    desk.configure(server.url, more="when_changed: refuse\n")
    before = desk.people(4).read_bytes()

    assert desk.type(*RUN).status == 5
    if content:
        desk.write("people.csv", content)
    run = desk.type(*RUN, *words)

    assert (run.status, run.last_line) == (
        9,
        (
            f"people.csv: {what} changed since the interrupted run: 2 of 4 rows of the interrupted run "
            f"{listed(desk, 1)} were never sent. Undo the change to resume, or use --fresh to start over."
        ),
    )
    assert (desk.summary()["exit_status"], len(server.sandbox.requests())) == (9, 3)

    desk.write("people.csv", before)
    back = desk.type(*RUN)
    assert (back.status, back.err) == (0, f"{continuing(desk, 2, 4, before=2)}\n")
    assert sent_ids(server) == ids(1, 2, 3, 3, 4)


def test_fresh_is_the_way_out_of_a_refusal(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(stop_at(3)))
    desk.configure(server.url, more="when_changed: refuse\n")
    desk.people(4)

    assert desk.type(*RUN).status == 5
    desk.write("people.csv", MORE)
    run = desk.type(*RUN, "--fresh")

    assert (run.status, desk.books()) == (0, {"sent": 5})


def test_a_run_of_a_few_rows_neither_continues_nor_is_continued(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40201 for external_id=3 times 2", stop_at(2)))
    desk.configure(server.url)
    desk.people(4)

    statuses, said = [], []
    for words in (("--limit", "2"), ("--limit", "2"), (), ("--limit", "3"), (), ("--limit", "4")):
        run = desk.type(*RUN, *words)
        statuses.append(run.status)
        said.append("resuming" in run.err)

    # Two few rows are stopped, two are not; between them the whole file is stopped, then continued.
    assert (statuses, said) == ([5, 0, 5, 5, 0, 0], [False, False, False, False, True, False])
    assert sent_ids(server) == ids(1, 2, 1, 2, 1, 2, 3, 1, 2, 3, 3, 4, 1, 2, 3, 4)


def three(desk: Desk) -> tuple[str, ...]:
    for name, start in (("a", 1), ("b", 3), ("c", 5)):
        desk.write(f"{name}.csv", f"id,name\n{start},name{start}\n{start + 1},name{start + 1}\n")
    return ("run", "a.csv", "b.csv", "c.csv", "--set", "rate.concurrency=1", "--summary", "summary.json")


def test_a_stop_in_the_first_of_several_is_continued_there(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(stop_at(2)))
    desk.configure(server.url)
    words = three(desk)

    first = desk.type(*words)
    assert (first.status, [books_of(account) for account in desk.summary()["sources"]]) == (
        5,
        [{"sent": 1, "not_attempted": 1}, {"not_attempted": 2}, {"not_attempted": 2}],
    )
    second = desk.type(*words)

    assert second.status == 0
    assert second.err == f"a.csv: resuming run {listed(desk, 1)}: 1 of 2 rows settled.\n"
    assert sent_ids(server) == ids(1, 2, 2, 3, 4, 5, 6)
    assert [books_of(account) for account in desk.summary()["sources"]] == [{"sent": 2}] * 3


def test_a_stop_in_the_second_of_several_is_continued_there_and_the_finished_first_is_passed_over(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(stop_at(4)))
    desk.configure(server.url)
    words = three(desk)

    assert desk.type(*words).status == 5
    first_ids = [account["run_id"] for account in desk.summary()["sources"]]
    second = desk.type(*words)

    assert second.status == 0
    assert second.err.splitlines() == [
        (
            f"a.csv: finished before its command was stopped (run {listed(desk, 1)}): not sent again. "
            "To send everything, use --fresh."
        ),
        f"b.csv: resuming run {listed(desk, 1)}: 1 of 2 rows settled.",
    ]
    assert sent_ids(server) == ids(1, 2, 3, 4, 4, 5, 6)
    assert [account["run_id"] == old for account, old in zip(desk.summary()["sources"], first_ids, strict=True)] == [
        True,
        True,
        False,
    ]


def test_the_summary_covers_all_lives(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    faults = (
        "code=50000 for external_id=1 times 1",
        "drop-after for external_id=2 times 1",
        "retry-after=1 for external_id=3 times 1",
        stop_at(5),
        "code=50000 for external_id=6 times 1",
        "drop-after for external_id=7 times 1",
        "retry-after=1 for external_id=8 times 1",
        stop_at(9),
    )
    server = sandbox(rules(*faults))
    desk.configure(server.url)
    desk.people(10)

    found = []
    for _ in range(3):
        desk.type(*RUN)
        summary = desk.summary()
        found.append([summary[key] for key in ("sent", "requests", "retries", "limited", "maybe_sent_twice")])

    assert found == [[4, 8, 3, 1, 1], [8, 16, 6, 2, 2], [10, 18, 6, 2, 2]]
    assert len(server.sandbox.requests()) == 18
    assert desk.summary()["limited_seconds"] == pytest.approx(2.0, abs=0.3)
    assert desk.summary()["seconds"] >= 2.0
    assert desk.books() == {"sent": 10}


def test_the_retry_file_goes_on_in_its_own_and_is_exact(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    faults = [f"code=40001 for external_id={number}" for number in (2, 4, 6, 8)]
    server = sandbox(rules(*faults, stop_at(3), stop_at(5), stop_at(7), stop_at(9)))
    desk.configure(server.url)
    desk.people(10)

    statuses, named, seen = [], [], []
    for _ in range(5):
        statuses.append(desk.type(*RUN).status)
        named.append(Path(desk.summary()["retry_file"]).name)
        seen.append([row[0] for row in desk.retry_rows()])

    assert (statuses, named) == ([5, 5, 5, 5, 3], ["people.retry.csv"] * 5)
    assert seen == [[2], [2, 4], [2, 4, 6], [2, 4, 6, 8], [2, 4, 6, 8]]
    assert desk.files() == ["config.yaml", "people.csv", "people.retry.csv", "summary.json"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-7]),
        lambda path: path.write_bytes(path.read_bytes() + b"9,half a r"),
        lambda path: path.unlink(),
    ],
    ids=["torn", "half a row more", "gone"],
)
def test_a_retry_file_that_a_crash_has_spoilt_is_mended(
    desk: Desk, sandbox: Callable[..., RunningSandbox], spoil: Callable[[Path], None]
) -> None:
    server = sandbox(rules("code=40001 for external_id=1", "code=40001 for external_id=5", stop_at(3)))
    desk.configure(server.url)
    desk.people(6)

    assert desk.type(*RUN).status == 5
    spoil(desk.folder / "people.retry.csv")
    assert desk.type(*RUN).status == 3

    assert [row[:2] for row in desk.retry_rows()] == [(1, "rejected"), (5, "rejected")]
    assert desk.files() == ["config.yaml", "people.csv", "people.retry.csv", "summary.json"]


def test_a_row_follows_an_unaccepted_row_of_its_person_across_lives(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001 for df_name=old", stop_at(2)))
    desk.configure(server.url)
    desk.write("people.csv", "id,name\n3,name3\n1,old\n2,name2\n1,new\n2,newer\n")

    assert desk.type(*RUN).status == 5
    assert [row[:2] for row in desk.retry_rows()] == [(2, "rejected")]
    second = desk.type(*RUN)

    assert second.status == 3
    assert [row[:2] for row in desk.retry_rows()] == [(2, "rejected"), (4, "again")]
    assert desk.books() == {"sent": 4, "rejected": 1}


def test_the_retry_file_of_an_interrupted_run_can_not_be_a_source_beside_it(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001 for external_id=1", stop_at(3)))
    desk.configure(server.url)
    desk.people(4)
    assert desk.type(*RUN).status == 5
    before = (desk.folder / "people.retry.csv").read_bytes()

    run = desk.type("run", "people.csv", "people.retry.csv")

    assert (run.status, len(server.sandbox.requests())) == (2, 3)
    assert (desk.folder / "people.retry.csv").read_bytes() == before


@pytest.mark.parametrize("suffix", ["jsonl", "utf-16"])
def test_other_forms_of_retry_files_are_continued_too(
    desk: Desk, sandbox: Callable[..., RunningSandbox], suffix: str
) -> None:
    server = sandbox(rules(stop_at(3), "code=40001 for external_id=1", "code=40001 for external_id=5"))
    desk.configure(server.url)
    if suffix == "jsonl":
        lines = [json.dumps({"id": str(number), "name": f"name{number}"}) + "\n" for number in range(1, 7)]
        source = desk.write("people.jsonl", "".join(lines))
    else:
        source = desk.write("wide.csv", desk.people(6).read_text(encoding="utf-8").encode("utf-16"))
    words = ("run", source.name, "--set", "rate.concurrency=1")

    assert desk.type(*words).status == 5
    assert desk.type(*words).status == 3

    retry = source.with_name(f"{source.stem}.retry{source.suffix}")
    told = desk.type("check", retry.name, "--summary", "check.json")
    assert (told.status, desk.books("check.json")) == (0, {"not_attempted": 2})
    if suffix == "jsonl":
        assert [json.loads(line)["_row"] for line in retry.read_text(encoding="utf-8").splitlines()] == [1, 5]
    else:
        assert retry.read_bytes().decode("utf-16").count("\ufeff") == 0


def test_quiet_says_nothing_of_continuing(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(stop_at(3)))
    desk.configure(server.url)
    desk.people(4)

    assert desk.type(*RUN).status == 5
    run = desk.type(*RUN, "-q")

    assert (run.status, run.out, run.err) == (0, "", "")


def test_another_run_of_the_same_file_is_told_who_is_at_it(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(latency=(0.3, 0.3)))
    desk.configure(server.url)
    desk.people(30)

    with desk.start("run", "people.csv", "--set", "rate.concurrency=2") as process:
        until(lambda: server.sandbox.report().requests >= 1)
        second = desk.type(*RUN, "-q")
        running = runs(desk)
        process.send_signal(signal.SIGTERM)
        first = ended(process)
        arrived = sent_ids(server)

    since = running[-1]["started"]
    assert (second.status, second.err) == (
        8,
        (
            f"Another run sends people.csv to this service: process {process.pid}, since {since}. Nothing was done. "
            "Wait for its end, then run again.\n"
        ),
    )
    assert len(arrived) == len(set(arrived))
    assert [run["ended"] for run in running] == ["not started", "running"]
    assert (desk.summary()["exit_status"], desk.summary()["requests"]) == (8, 0)
    assert first.status == -signal.SIGTERM
    assert runs(desk)[-1]["ended"] == "interrupted"
    assert desk.type(*RUN, "-q", "--set", "rate.concurrency=32").status == 0


def test_beside_a_run_another_file_is_sent_and_the_same_one_rehearsed_and_checked(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules(latency=(0.3, 0.3)))
    desk.configure(server.url)
    desk.people(30)
    desk.write("others.csv", "id,name\n99,name99\n")

    with desk.start("run", "people.csv", "--set", "rate.concurrency=2") as process:
        until(lambda: server.sandbox.report().requests >= 1)
        rehearsal = desk.type("run", "people.csv", "--sandbox")
        checked = desk.type("check", "people.csv")
        other = desk.type("run", "others.csv")
        is_still_at_it = process.poll() is None
        process.send_signal(signal.SIGTERM)
        first = ended(process)

    assert (rehearsal.status, checked.status) == (0, 0)
    assert (other.status, other.err, is_still_at_it) == (0, "", True)
    assert "99" in sent_ids(server)
    assert first.status == -signal.SIGTERM
    assert sorted(run["ended"] for run in runs(desk)) == ["finished", "interrupted"]


def test_a_rehearsal_touches_no_state(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(3)

    assert desk.type("run", "people.csv", "--sandbox").status == 0
    assert not (desk.folder / ".uploader").exists()


def test_a_rehearsal_leaves_an_interrupted_run_as_it_is(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(stop_at(3)))
    desk.configure(server.url)
    desk.people(4)
    assert desk.type(*RUN).status == 5
    before = state(desk)

    rehearsal = desk.type("run", "people.csv", "--sandbox", "-v")

    assert (rehearsal.status, "resuming" in rehearsal.err, state(desk) == before) == (0, False, True)
    assert desk.type(*RUN).err == f"{continuing(desk, 2, 4)}\n"


@pytest.mark.parametrize("planted", [".uploader", ".uploader/runs", ".uploader/locks"])
def test_a_planted_link_in_the_state_folder_is_refused(
    desk: Desk, sandbox: Callable[..., RunningSandbox], tmp_path: Path, planted: str
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(3)
    target = tmp_path / "target"
    target.mkdir()
    place = desk.folder / planted
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(target)

    run = desk.type("run", "people.csv")

    assert (run.status, run.last_line) == (
        7,
        f"{place} is a link or another user's folder. Remove it, or set state_dir to another place.",
    )
    assert (server.sandbox.requests(), list(target.iterdir())) == ([], [])


@pytest.mark.parametrize("kind", ["journal", "flight"])
def test_a_planted_link_in_the_place_of_a_journal_is_refused(
    desk: Desk, sandbox: Callable[..., RunningSandbox], tmp_path: Path, kind: str
) -> None:
    server = sandbox(rules(stop_at(3)))
    desk.configure(server.url)
    desk.people(4)
    assert desk.type(*RUN).status == 5
    (place,) = (desk.folder / ".uploader" / "runs").glob(f"*.{kind}")
    shutil.move(place, tmp_path / "moved")
    place.symlink_to(tmp_path / "moved")
    before = (tmp_path / "moved").read_bytes()

    run = desk.type(*RUN)

    # Of a journal nothing was read yet; beside it, the run is known.
    then = "then run again to resume." if kind == "flight" else "then run again."
    assert (run.status, run.stop) == (7, f"{place} is a symbolic link, which is not followed. Remove it, {then}")
    assert (len(server.sandbox.requests()), (tmp_path / "moved").read_bytes()) == (3, before)


def test_state_is_readable_by_nobody_else(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules(stop_at(3))).url)
    desk.people(4)
    old = os.umask(0)
    try:
        assert desk.type(*RUN).status == 5
    finally:
        os.umask(old)

    folder = desk.folder / ".uploader"
    modes = {oct(path.stat().st_mode & 0o777) for path in folder.rglob("*") if path.is_file()}
    folders = {oct(path.stat().st_mode & 0o777) for path in (folder, *folder.rglob("*")) if path.is_dir()}
    assert (modes, folders) == ({"0o600"}, {"0o700"})


def _small_files() -> None:
    """Let this process write no file longer than 4 KiB: what lies behind fails as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_a_full_disk_stops_the_run_and_then_it_is_continued(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    desk.people(500)
    words = ("run", "people.csv", "--set", "rate.concurrency=4", "--summary", "summary.json")

    # What measures coverage would write a longer file than that as well.
    desk.monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    with desk.start(*words, preexec_fn=_small_files) as process:
        first = ended(process)
    sent = len(server.sandbox.requests())
    settled = desk.books()["sent"]
    assert first.status == 7
    assert "Traceback" not in first.err
    assert "run again to resume" in first.last_line
    assert settled < sent <= settled + 4 < 500
    second = desk.type(*words)

    assert (second.status, second.err.splitlines()[0]) == (0, continuing(desk, settled, 500))
    assert (desk.books(), names(server)) == ({"sent": 500}, names_of(range(1, 501)))
    twice = len(server.sandbox.requests()) - 500
    assert (twice, desk.summary()["maybe_sent_twice"] >= twice) == (sent - settled, True)
    assert desk.summary()["requests"] == len(server.sandbox.requests())


def test_a_state_folder_that_can_not_be_made_stops_the_run_before_any_request(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url, more="state_dir: people.csv/state\n")
    desk.people(3)

    run = desk.type("run", "people.csv")

    assert (run.status, run.last_line) == (
        7,
        (
            f"{desk.folder / 'people.csv/state'}: Not a directory. Make room or allow access there, then run again to "
            "resume."
        ),
    )
    assert server.sandbox.requests() == []


@pytest.mark.parametrize(("fault", "status"), [("code=40001 for external_id=2", 3), ("close", 0)])
def test_a_run_whose_summary_could_not_be_written_is_not_finished(
    desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch, fault: str, status: int
) -> None:
    server = sandbox(rules(fault))
    desk.configure(server.url)
    desk.people(3)
    full = StorageError("summary.json: the summary can't be written (No space left on device). Name another --summary.")
    with monkeypatch.context() as patch:
        patch.setattr("uploader.run.recorded_start.write_summary", Mock(side_effect=full))
        first = desk.type(*RUN)
    second = desk.type(*RUN)

    assert (first.status, first.last_line) == (7, str(full))
    assert (second.status, second.err.splitlines()[0]) == (status, continuing(desk, 3, 3))
    assert (len(server.sandbox.requests()), desk.summary()["requests"], desk.summary()["exit_status"]) == (3, 3, status)


def test_a_request_that_does_not_land_within_7_seconds_is_abandoned_and_sent_on_continuing(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("hang for external_id=3 times 1", "hang for external_id=4 times 1"))
    desk.configure(server.url)
    desk.people(6)
    words = ("run", "people.csv", "--set", "rate.concurrency=2", "--set", "api.timeout=1h", "--summary", "summary.json")

    with desk.start(*words) as process:
        until(lambda: {"3", "4"} <= set(sent_ids(server)))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        first = ended(process)
        took = time.monotonic() - began

    assert (first.status, 6.5 <= took < 10) == (-signal.SIGTERM, True)
    assert (desk.books(), desk.summary()["maybe_sent_twice"]) == ({"sent": 2, "not_attempted": 4}, 2)
    second = desk.type(*words)
    assert second.err.splitlines()[0] == continuing(desk, 2, 6)
    assert (second.status, desk.books(), desk.summary()["maybe_sent_twice"]) == (0, {"sent": 6}, 2)
    assert sorted(map(str, sent_ids(server))) == ids(1, 2, 3, 3, 4, 4, 5, 6)


def test_what_was_in_flight_when_the_process_was_killed_is_sent_again_and_counted(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("latency=300ms"))
    desk.configure(server.url)
    desk.people(40)
    words = ("run", "people.csv", "--set", "rate.concurrency=4", "--summary", "summary.json")

    with desk.start(*words) as process:
        until(lambda: server.sandbox.report().requests >= 10)
        process.kill()
        process.communicate(timeout=SECONDS)
    assert not (desk.folder / "summary.json").exists()
    until(lambda: server.sandbox.report().applied == server.sandbox.report().requests)
    second = desk.type(*words)

    arrived = sent_ids(server)
    again = len(arrived) - len(set(arrived))
    assert "resuming run" in second.err
    assert (second.status, desk.books(), names(server)) == (0, {"sent": 40}, names_of(range(1, 41)))
    assert 0 <= again <= desk.summary()["maybe_sent_twice"] <= 4
    # What was about to go when the process was killed counts, though it may not have left.
    assert len(arrived) <= desk.summary()["requests"] <= len(arrived) + 4


def test_a_row_sent_again_is_the_same_to_the_byte_but_for_its_time(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("hang for external_id=2 times 1"))
    desk.configure(server.url)
    desk.people(3)
    words = ("run", "people.csv", "--set", "rate.concurrency=1", "--set", "api.timeout=1h")

    with desk.start(*words) as process:
        until(lambda: "2" in sent_ids(server))
        process.kill()
        process.communicate(timeout=SECONDS)
    assert desk.type(*words).status == 0

    one, other = (
        re.sub(rb'"request_datetime":"[^"]*"', b"", request.body)
        for request in server.sandbox.requests()
        if request.identity.get("external_id") == "2"
    )
    assert one == other


def test_a_run_killed_during_the_check_has_sent_nothing_and_begins_anew(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules())
    desk.configure(server.url)
    content = desk.people(3).read_bytes()

    with desk.start("run", "-", stdin=subprocess.PIPE) as process:
        until((desk.folder / ".uploader" / "locks").is_dir)
        process.kill()
        process.communicate(timeout=SECONDS)
    run = desk.type("run", "-", stdin=content)

    assert (run.status, run.err) == (0, "")
    assert sorted(map(str, sent_ids(server))) == ids(1, 2, 3)


def test_a_file_that_was_damaged_since_is_begun_anew(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40001 for external_id=1", stop_at(3)))
    desk.configure(server.url)
    desk.people(4)

    assert desk.type(*RUN).status == 5
    desk.write("people.csv", "id,name\n1\n2,name2\n3,name3\n")
    run = desk.type(*RUN)

    assert (run.status, desk.books()) == (3, {"sent": 2, "rejected": 1})
    assert run.err.startswith("people.csv: the file changed since the interrupted run: 2 of 4 rows")
    assert [row[:2] for row in desk.retry_rows("people.retry.2.csv")] == [(1, "rejected")]
    assert [row["_raw"] for row in desk.retry_cells("people.retry.2.csv")] == ["1"]


def test_a_damaged_record_is_kept_whole_across_lives(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(stop_at(3)))
    desk.configure(server.url)
    desk.write("people.csv", "id,name\n1\n2,name2\n3,name3\n4\n")

    assert desk.type(*RUN).status == 5
    assert desk.type(*RUN).status == 3

    assert [row["_raw"] for row in desk.retry_cells()] == ["1", "4"]


def test_a_source_that_no_longer_can_be_read_leaves_the_interrupted_run_as_it_is(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001 for external_id=1", stop_at(3)))
    desk.configure(server.url)
    content = desk.people(4).read_bytes()

    assert desk.type(*RUN).status == 5
    retry = (desk.folder / "people.retry.csv").read_bytes()
    desk.write("people.csv", content + b"\xff\xfe\xff\n")
    broken = desk.type(*RUN)
    assert (broken.status, (desk.folder / "people.retry.csv").read_bytes()) == (4, retry)
    desk.write("people.csv", content)

    run = desk.type(*RUN)
    assert (run.status, run.err.splitlines()[0]) == (3, continuing(desk, 2, 4, before=2))
    assert desk.files() == ["config.yaml", "people.csv", "people.retry.csv", "summary.json"]


def test_a_run_that_is_continued_and_stopped_at_once_keeps_its_books(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001 for external_id=1", "code=40201 for external_id=3 times 3"))
    desk.configure(server.url)
    desk.people(4)

    books = [(desk.type(*RUN).status, desk.books(), desk.summary()["requests"]) for _ in range(4)]

    stopped = {"sent": 1, "rejected": 1, "not_attempted": 2}
    assert books == [(5, stopped, 3), (5, stopped, 4), (5, stopped, 5), (3, {"sent": 3, "rejected": 1}, 7)]
    assert [row[0] for row in desk.retry_rows()] == [1]


def test_what_an_abandoned_run_owes_is_no_debt_of_the_people_of_another_file(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("http=503 for external_id=1 times 2", "http=401 for external_id=2 times 1"))
    desk.configure(server.url)
    desk.write("people.csv", "id,name\n1,name1\n2,name2\n")
    assert desk.type("run", "people.csv").status == 5

    desk.write("people.csv", "id,name\n3,name3\n4,name4\n")
    anew = desk.type("run", "people.csv", "--summary", "summary.json")

    assert (anew.status, desk.books(), desk.summary()["retry_file"]) == (0, {"sent": 2}, None)
