"""Refuse a file that differs too much from the one before it, before anything of it is sent."""

import json
import stat
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import polars as pl
import pytest

from tests.command import Desk, Ended, rules, sent_ids
from uploader.sandbox import RunningSandbox

MAPPING = """\
mapping:
  identity: {external_id: id}
  properties: {df_name: name, df_push_optin: wants}
"""
GUARD = "guard: {}\n"
MEMORY = "changed_only: true\n"
ADVICE = "Nothing was sent. If it is meant so, type `uploader run people.csv --accept`."


@pytest.fixture
def server(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> RunningSandbox:
    """Lend a sandbox that the desk's configuration names, with the guard on."""
    server = sandbox(rules())
    desk.configure(server.url, mapping=MAPPING, more=GUARD)
    return server


def line(number: int, email: str = "e", wants: str = "n", name: str = "name") -> str:
    return f"{number},{name}{number},{email},{wants}"


def write(desk: Desk, lines: Iterable[str], name: str = "people.csv", header: str = "id,name,email,wants") -> None:
    desk.write(name, "\n".join((header, *lines, "")))


def usual(desk: Desk, rows: int = 10, name: str = "people.csv") -> None:
    """Write a file in which every cell is full and nobody gives a consent."""
    write(desk, map(line, range(1, rows + 1)), name)


def finish(desk: Desk, *words: str) -> str:
    """Run to the end, and return the day on which that was."""
    ended = desk.type("run", "people.csv", *words, "--summary", "summary.json")
    assert (ended.status, ended.err) == (0, "")
    (found,) = remembered(desk)
    return str(found["finished"][:10])


def remembered(desk: Desk) -> list[dict[str, Any]]:
    """Return what the state folder remembers of files."""
    paths = sorted((desk.folder / ".uploader" / "totals").glob("*"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def state(desk: Desk) -> dict[str, bytes]:
    """Return the state folder's files, without those that SQLite keeps beside one that is being read."""
    folder = desk.folder / ".uploader"
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.endswith(("-shm", "-wal"))}


def refused(desk: Desk, *words: str, sources: Sequence[str] = ("people.csv",)) -> Ended:
    ended = desk.type("run", *sources, *words)
    assert ended.status == 4
    return ended


def differs(day: str, *phrases: str, name: str = "people.csv") -> str:
    return f"{name} differs too much from the last finished run ({day}): {'; '.join(phrases)}."


WORSE: dict[str, tuple[list[str], str]] = {
    "fewer rows": ([line(number) for number in range(1, 7)], "6 rows instead of 10 (-40.0%, guard.rows 30%)"),
    "more rows": ([line(number) for number in range(1, 15)], "14 rows instead of 10 (+40.0%, guard.rows 30%)"),
    "empty cells": (
        [line(number, email="" if number < 4 else "e") for number in range(1, 11)],
        "column 'email' empty in 30.0% of rows instead of 0.0% (guard.empty 20%)",
    ),
    "more consents": (
        [line(number, wants="y" if number < 2 else "n") for number in range(1, 11)],
        "consent df_push_optin true in 10.0% of rows instead of 0.0% (guard.consents 5%)",
    ),
}


@pytest.mark.parametrize("case", WORSE)
def test_each_guard_refuses_before_the_first_request_and_lets_pass_what_is_accepted(
    case: str, desk: Desk, server: RunningSandbox
) -> None:
    usual(desk)
    day = finish(desk)
    lines, phrase = WORSE[case]
    write(desk, lines)

    first = refused(desk)
    sent_before = len(sent_ids(server))
    second = desk.type("run", "people.csv", "--accept")
    third = desk.type("run", "people.csv")

    assert first.err.splitlines() == [f"{differs(day, phrase)} {ADVICE}"]
    assert sent_before == 10
    assert (second.status, second.err.splitlines()) == (
        0,
        [f"{differs(day, phrase)} It is sent all the same (--accept)."],
    )
    # What was accepted is the measure of the next.
    assert (third.status, third.err) == (0, "")
    assert len(sent_ids(server)) == 10 + 2 * len(lines)


def test_a_file_of_a_new_name_says_that_there_is_nothing_to_compare_it_with(desk: Desk, server: RunningSandbox) -> None:
    usual(desk)
    finish(desk)
    usual(desk, 3, "people_2.csv")

    ended = desk.type("run", "people_2.csv")

    assert (ended.status, len(sent_ids(server))) == (0, 13)
    assert ended.err == (
        "people_2.csv: nothing to compare with: no run of a file of this name has finished before. "
        "If its name changes every night, set source.name.\n"
    )


def test_a_job_is_compared_with_its_last_file_whatever_that_was_called(desk: Desk, server: RunningSandbox) -> None:
    usual(desk)
    finish(desk)
    usual(desk, 10, "people_1.csv")
    usual(desk, 3, "people_2.csv")

    first = desk.type("run", "people_1.csv", "--job", "people")
    second = refused(desk, "--job", "people", sources=("people_2.csv",))

    assert first.err.splitlines() == [
        "people_1.csv: nothing to compare with: no run of the job people has finished before."
    ]
    assert "people_2.csv differs too much" in second.err
    assert len(sent_ids(server)) == 20


def test_a_column_that_is_gone_refuses_a_csv_a_jsonl_and_a_parquet(desk: Desk, server: RunningSandbox) -> None:
    fields = [{"id": str(number), "name": "Kim", "email": "e", "wants": False} for number in range(1, 6)]
    fewer = [{name: value for name, value in one.items() if name != "email"} for one in fields]

    def write_all(rows: list[dict[str, Any]]) -> None:
        header = ",".join(rows[0])
        write(desk, [",".join(map(str, row.values())) for row in rows], "people.csv", header)
        desk.write("people.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        pl.DataFrame(rows).write_parquet(desk.folder / "people.parquet")

    sources = ("people.csv", "people.jsonl", "people.parquet")
    write_all(fields)
    assert desk.type("run", *sources).status == 0
    day = remembered(desk)[0]["finished"][:10]
    write_all(fewer)

    ended = refused(desk, sources=sources)

    gone = "column 'email' is gone (guard.empty 20%)"
    advice = ADVICE.replace("people.csv", " ".join(sources))
    assert ended.err.splitlines() == [f"{' '.join(differs(day, gone, name=name) for name in sources)} {advice}"]
    assert len(sent_ids(server)) == 15


def test_too_many_changed_people_refuse_a_file_unless_it_is_accepted(desk: Desk, server: RunningSandbox) -> None:
    desk.configure(server.url, mapping=MAPPING, more=GUARD + MEMORY)
    usual(desk)
    day = finish(desk)
    write(desk, [line(number, name="other" if number < 7 else "name") for number in range(1, 11)])
    before = state(desk)

    check = desk.type("check", "people.csv")
    checked = state(desk)
    first = refused(desk)
    second = desk.type("run", "people.csv", "--accept", "-q")

    phrase = "6 of 10 known people changed (60.0%, guard.changed 50%)"
    assert (check.status, check.last_line) == (4, f"{differs(day, phrase)} {ADVICE}")
    assert checked == before
    assert first.err.splitlines() == [f"{differs(day, phrase)} {ADVICE}"]
    assert (second.status, second.err, len(sent_ids(server))) == (0, "", 16)


def test_another_mapping_makes_no_changed_people(desk: Desk, server: RunningSandbox) -> None:
    desk.configure(server.url, mapping=MAPPING, more=GUARD + MEMORY)
    usual(desk)
    finish(desk)
    desk.configure(server.url, mapping=MAPPING.replace("df_name", "df_nickname"), more=GUARD + MEMORY)

    ended = desk.type("run", "people.csv")

    assert (ended.status, ended.err, len(sent_ids(server))) == (0, "", 20)


def test_all_that_differs_is_told_at_once(desk: Desk, server: RunningSandbox) -> None:
    usual(desk)
    day = finish(desk)
    write(desk, [f"{number},name{number},y" for number in range(1, 4)], header="id,name,wants")

    ended = refused(desk, "--summary", "summary.json")

    found = differs(
        day,
        "3 rows instead of 10 (-70.0%, guard.rows 30%)",
        "column 'email' is gone (guard.empty 20%)",
        "consent df_push_optin true in 100.0% of rows instead of 0.0% (guard.consents 5%)",
    )
    assert ended.err.splitlines() == [f"{found} {ADVICE.replace('--accept', '--summary summary.json --accept')}"]
    assert (desk.summary()["exit_status"], desk.books()) == (4, {"not_attempted": 3})
    assert len(sent_ids(server)) == 10


def test_a_file_that_has_lost_all_its_rows_is_refused_and_if_accepted_is_no_measure(
    desk: Desk, server: RunningSandbox
) -> None:
    usual(desk)
    day = finish(desk)
    write(desk, [])

    first = refused(desk)
    second = desk.type("run", "people.csv", "--accept")
    usual(desk, 11)
    third = desk.type("run", "people.csv")

    phrase = "0 rows instead of 10 (-100.0%, guard.rows 30%)"
    assert first.err.splitlines() == [f"{differs(day, phrase)} {ADVICE}"]
    assert (second.status, third.status, len(sent_ids(server))) == (0, 0, 21)


def test_one_source_that_differs_holds_back_all_of_them(desk: Desk, server: RunningSandbox) -> None:
    usual(desk, 2, "a.csv")
    usual(desk)
    sources = ("a.csv", "people.csv")
    assert desk.type("run", *sources).status == 0
    usual(desk, 20)

    refused(desk, sources=sources)

    assert len(sent_ids(server)) == 12


def test_a_first_run_only_records(desk: Desk, server: RunningSandbox) -> None:
    write(desk, [line(1, email="", wants="y"), line(2), "3,name3"])

    first = desk.type("run", "people.csv")

    assert (first.status, len(sent_ids(server))) == (3, 2)
    (found,) = remembered(desk)
    assert {name: found[name] for name in ("rows", "damaged", "sendable", "columns")} == {
        "rows": 3,
        "damaged": 1,
        "sendable": 2,
        "columns": {"id": 0, "name": 0, "email": 1, "wants": 0},
    }
    assert {name: count for name, count in found["consents"].items() if count} == {"df_push_optin": 1}


def test_what_is_recorded_is_private_and_holds_no_value_of_a_row(desk: Desk, server: RunningSandbox) -> None:
    write(desk, [f"canary{number},canary,canary@canary,y" for number in range(1, 11)])
    finish(desk)
    (path,) = (desk.folder / ".uploader" / "totals").iterdir()

    write(desk, ["canary1,canary,,y"])
    ended = refused(desk)

    assert len(sent_ids(server)) == 10
    assert "canary" not in path.read_text(encoding="utf-8") + ended.err
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


def test_nothing_is_recorded_or_compared_without_the_section(desk: Desk, server: RunningSandbox) -> None:
    desk.configure(server.url, mapping=MAPPING)
    usual(desk)

    first = desk.type("run", "people.csv")
    usual(desk, 1)
    second = desk.type("run", "people.csv")

    assert (first.status, second.status, remembered(desk)) == (0, 0, [])


def test_a_guard_that_is_switched_off_by_the_whole_lets_pass(desk: Desk, server: RunningSandbox) -> None:
    usual(desk)
    finish(desk)
    usual(desk, 40)

    ended = desk.type("run", "people.csv", "--set", "guard.rows=100%")

    assert (ended.status, ended.err, len(sent_ids(server))) == (0, "", 50)


@pytest.mark.parametrize("words", [("--limit", "2"), ("--full",), ("--sandbox",)])
def test_the_first_rows_a_full_run_and_a_rehearsal_meet_no_guard(
    words: tuple[str, ...], desk: Desk, server: RunningSandbox
) -> None:
    usual(desk)
    finish(desk)
    before = remembered(desk)
    usual(desk, 3)

    ended = desk.type("run", "people.csv", *words)

    assert ended.status == 0
    assert len(sent_ids(server)) == {"--limit": 12, "--full": 13, "--sandbox": 10}[words[0]]
    # A full run is as good a measure as any; the others leave it as it was.
    assert [one["rows"] for one in remembered(desk)] == [3 if words == ("--full",) else 10]
    assert words == ("--full",) or remembered(desk) == before


def test_retry_files_meet_no_guard(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules(*(f"code=40001 for external_id={number} times 1" for number in range(1, 9))))
    desk.configure(server.url, mapping=MAPPING, more=GUARD)
    usual(desk)
    assert desk.type("run", "people.csv").status == 3
    assert len(remembered(desk)) == 1

    retry = (desk.folder / "people.retry.csv").read_text(encoding="utf-8")
    first = desk.type("run", "people.retry.csv")
    desk.write("people.retry.csv", "\n".join(retry.splitlines()[:2]) + "\n")
    second = desk.type("run", "people.retry.csv")

    assert (first.status, second.status, len(remembered(desk))) == (0, 0, 1)


def test_standard_input_meets_no_guard(desk: Desk, server: RunningSandbox) -> None:
    for rows in (b"1,Kim,y\n2,Lee,n\n", b"1,Kim,y\n"):
        assert desk.type("run", "-", stdin=b"id,name,wants\n" + rows).status == 0

    assert (len(sent_ids(server)), remembered(desk)) == (3, [])


def test_a_run_that_was_accepted_is_continued_without_asking_again(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40201 for external_id=15 times 1"))
    desk.configure(server.url, mapping=MAPPING, more=GUARD)
    usual(desk)
    finish(desk)
    usual(desk, 20)

    first = desk.type("run", "people.csv", "--accept", "--set", "rate.concurrency=1", "-q")
    second = desk.type("run", "people.csv", "-q")

    assert (first.status, second.status) == (5, 0)
    assert len(set(sent_ids(server))) == 20
    assert [one["rows"] for one in remembered(desk)] == [20]


def test_a_run_that_is_not_finished_is_no_measure(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(rules("code=40201 for external_id=15 times 1"))
    desk.configure(server.url, mapping=MAPPING, more=GUARD)
    usual(desk)
    finish(desk)
    usual(desk, 20)
    assert desk.type("run", "people.csv", "--accept", "--set", "rate.concurrency=1", "-q").status == 5

    usual(desk, 21)
    ended = refused(desk, "--summary", "summary.json")

    assert "21 rows instead of 10" in ended.err
    assert desk.summary()["error"] == ended.last_line
    assert [one["rows"] for one in remembered(desk)] == [10]


def test_a_check_shows_what_the_guard_would_say_and_writes_nothing(desk: Desk, server: RunningSandbox) -> None:
    usual(desk)
    day = finish(desk)
    usual(desk, 5)
    before = remembered(desk)

    ended = desk.type("check", "people.csv", "--json")

    found = differs(day, "5 rows instead of 10 (-50.0%, guard.rows 30%)")
    assert (ended.status, ended.last_line) == (4, f"{found} {ADVICE}")
    assert ended.err.splitlines()[0] == "people.csv: 5 rows, all can be sent."
    told = json.loads(ended.out)
    assert (told["exit_status"], told["error"]) == (4, f"{found} {ADVICE}")
    assert told["guard"] == {
        "last_finished": before[0]["finished"],
        "differences": [{"code": "rows", "phrase": "5 rows instead of 10 (-50.0%, guard.rows 30%)"}],
    }
    assert (remembered(desk), len(sent_ids(server))) == (before, 10)


def test_a_check_of_a_file_much_like_the_last_says_so_to_programs(desk: Desk, server: RunningSandbox) -> None:
    usual(desk)
    finish(desk)
    usual(desk, 11)

    ended = desk.type("check", "people.csv", "--json")
    limited = desk.type("check", "people.csv", "--json", "--limit", "2")

    assert (ended.status, json.loads(ended.out)["guard"]["differences"]) == (0, [])
    assert (limited.status, json.loads(limited.out)["guard"]) == (0, None)
    assert len(sent_ids(server)) == 10


def test_a_check_before_the_first_run_makes_no_state(desk: Desk, server: RunningSandbox) -> None:
    usual(desk)

    ended = desk.type("check", "people.csv", "--json")

    assert (ended.status, json.loads(ended.out)["guard"]) == (0, None)
    assert not (desk.folder / ".uploader").exists()
    assert sent_ids(server) == []


@pytest.mark.parametrize("content", ["", "{}", "[]", "{", '{"format": 9}', "null", '{"format": 1, "finished": 3}'])
def test_totals_that_cannot_be_read_hold_the_run_back(content: str, desk: Desk, server: RunningSandbox) -> None:
    usual(desk)
    finish(desk)
    (path,) = (desk.folder / ".uploader" / "totals").iterdir()
    path.write_text(content, encoding="utf-8")

    first = desk.type("run", "people.csv")
    path.unlink()
    second = desk.type("run", "people.csv")

    trouble = (
        f"{path} is damaged, or of another version of this program: the file can't be compared with the one before "
        "it. Delete it, and the next finished run is stored instead."
    )
    assert (first.status, first.err.splitlines()) == (7, [trouble])
    assert (second.status, len(sent_ids(server)), len(remembered(desk))) == (0, 20, 1)


def test_a_run_whose_totals_cannot_be_kept_is_finished_by_the_next_which_sends_nothing(
    desk: Desk, server: RunningSandbox
) -> None:
    usual(desk)
    (desk.folder / ".uploader").mkdir(mode=0o700)
    desk.write(".uploader/totals", "in the way")

    first = desk.type("run", "people.csv")
    (desk.folder / ".uploader" / "totals").unlink()
    second = desk.type("run", "people.csv", "-q")

    assert (first.status, second.status) == (7, 0)
    assert (len(sent_ids(server)), [one["rows"] for one in remembered(desk)]) == (10, [10])


def test_a_quiet_check_still_says_why_nothing_would_be_sent(desk: Desk, server: RunningSandbox) -> None:
    usual(desk)
    day = finish(desk)
    usual(desk, 5)

    ended = desk.type("check", "people.csv", "-q")

    assert ended.err.splitlines() == [f"{differs(day, '5 rows instead of 10 (-50.0%, guard.rows 30%)')} {ADVICE}"]
    assert len(sent_ids(server)) == 10
