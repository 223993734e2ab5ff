"""A job is known by its name, whatever its file is called tonight."""

import os
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.command import Desk, names, rules, sent_ids
from uploader.sandbox import RunningSandbox

RUN = ("--summary", "summary.json")


@pytest.fixture
def job(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> tuple[Desk, RunningSandbox]:
    server = sandbox(rules("code=40001 for df_name=refused", "http=503 for df_name=old times 2"))
    desk.configure(server.url)
    return desk, server


def write(desk: Desk, name: str, *people: str) -> None:
    desk.write(name, "id,name\n" + "".join(f"{person},name{person}\n" for person in people))


@pytest.mark.parametrize("command", [("run",), ("run", "--sandbox"), ("check",)], ids=" ".join)
def test_a_file_of_today_is_found_by_its_date_in_the_zone_of_the_source(
    job: tuple[Desk, RunningSandbox], command: tuple[str, ...]
) -> None:
    desk, server = job
    today = datetime.now(UTC).astimezone(ZoneInfo("Pacific/Kiritimati"))
    write(desk, f"members_{today:%Y%m%d}.csv", "1")
    words = ("members_{today:%Y%m%d}.csv", "--set", "source.timezone=Pacific/Kiritimati", *RUN)

    ended, quiet = desk.type(*command, *words), desk.type(*command, *words, "-q")

    assert (ended.status, sent_ids(server)[:1]) == (0, ["1"] if command == ("run",) else [])
    assert ended.err.splitlines()[0] == (
        f"members_{{today:%Y%m%d}}.csv is members_{today:%Y%m%d}.csv "
        f"where today is {today:%Y-%m-%d} (Pacific/Kiritimati)."
    )
    assert (quiet.status, quiet.err) == (0, "")
    assert desk.summary()["source"] == f"members_{today:%Y%m%d}.csv"


def test_without_a_zone_of_the_source_a_run_says_that_today_is_that_of_the_machine(
    job: tuple[Desk, RunningSandbox],
) -> None:
    desk, _ = job
    today = datetime.now().astimezone()
    write(desk, f"members_{today:%Y-%m}.csv", "1")

    ended = desk.type("run", "members_{today:%Y-%m}.csv")

    assert (ended.status, ended.err) == (
        0,
        (
            f"members_{{today:%Y-%m}}.csv is members_{today:%Y-%m}.csv where today is {today:%Y-%m-%d} "
            "(the zone of this machine).\n"
        ),
    )


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_file_of_today_that_is_missing_is_named_as_it_was_looked_for(
    job: tuple[Desk, RunningSandbox], command: str
) -> None:
    desk, server = job

    dated = desk.type(command, "members_{today:%Y}.csv", *RUN)
    newest = desk.type(command, "--newest", "members_*.csv", *RUN)

    year = datetime.now().astimezone()
    assert (dated.status, newest.status, server.sandbox.requests()) == (4, 4, [])
    assert dated.last_line == (
        f"members_{year:%Y}.csv does not exist: that is members_{{today:%Y}}.csv where today is {year:%Y-%m-%d} "
        "(the zone of this machine). Nothing was sent. See whether the export has run."
    )
    assert newest.last_line == "No file matches members_*.csv. Nothing was sent. See whether the export has run."
    assert desk.summary()["error"] == newest.last_line


def test_a_folder_with_brackets_in_its_name_is_found_by_the_pattern_that_the_message_says(
    job: tuple[Desk, RunningSandbox],
) -> None:
    desk, server = job
    (desk.folder / "[prod] 2").mkdir()
    write(desk, "[prod] 2/members_1.csv", "1")

    as_typed = desk.type("run", "--newest", "[prod] 2/members_*.csv")
    as_advised = desk.type("run", "--newest", "[[]prod] 2/members_*.csv")

    assert as_typed.status == 4
    assert as_typed.last_line == (
        "No file matches [prod] 2/members_*.csv. Nothing was sent. In a pattern, [ ] hold characters of which one "
        "matches. If the folder [prod] 2 is meant, type --newest '[[]prod] 2/members_*.csv'."
    )
    assert (as_advised.status, sent_ids(server)) == (0, ["1"])


def test_a_file_that_is_called_just_so_wins_over_a_pattern(job: tuple[Desk, RunningSandbox]) -> None:
    desk, server = job
    write(desk, "members_{today:%Y}.csv", "1")
    write(desk, "members_*.csv", "2")

    assert desk.type("run", "members_{today:%Y}.csv", "--newest", "members_*.csv").status == 0
    assert sent_ids(server) == ["1", "2"]


def test_the_newest_file_of_a_pattern_is_sent_and_no_retry_file(job: tuple[Desk, RunningSandbox]) -> None:
    desk, server = job
    for number, name in enumerate(("members_1.csv", "members_3.csv", "members_2.csv"), start=1):
        write(desk, name, str(number))
        os.utime(desk.folder / name, (number, number))
    desk.write("members_9.retry.csv", "id,name,_row,_kind,_code,_reason,_attempts\n9,x,1,failed,1,why,1\n")

    ended = desk.type("run", "--newest", "members_*.csv", *RUN)

    assert (ended.status, ended.err) == (0, "members_*.csv is members_2.csv.\n")
    assert (sent_ids(server), desk.summary()["source"]) == (["3"], "members_2.csv")


def test_a_file_that_was_sent_is_not_sent_again_by_its_pattern(job: tuple[Desk, RunningSandbox]) -> None:
    desk, server = job
    write(desk, "members_1.csv", "1")
    first = desk.type("run", "--newest", "members_*.csv", *RUN)
    run_id = desk.type("runs").out.splitlines()[-1].split()[0]

    again = desk.type("run", "--newest", "members_*.csv", *RUN)

    summary = desk.summary()
    assert (first.status, again.status, again.last_line) == (
        0,
        0,
        f"members_1.csv: already sent by run {run_id}: nothing is sent. To send it again, use --full.",
    )
    assert (summary["outcome"], summary["sent"]) == (f"nothing to send: already sent by run {run_id}", 0)
    assert f"already sent by run {run_id}" in desk.type("runs", "last").out
    assert sent_ids(server) == ["1"]

    for words in (("--newest", "members_*.csv", "--full"), ("members_1.csv",)):
        assert desk.type("run", *words).status == 0
    write(desk, "members_1.csv", "2")
    assert desk.type("run", "--newest", "members_*.csv").status == 0
    assert sent_ids(server) == ["1", "1", "1", "2"]


@pytest.mark.parametrize("pattern", ["members_*.csv", "members_1.csv"])
def test_a_file_that_is_named_is_sent_again_also_where_a_pattern_finds_it(
    job: tuple[Desk, RunningSandbox], pattern: str
) -> None:
    desk, server = job
    write(desk, "members_1.csv", "1")
    desk.type("run", "members_1.csv")

    ended = desk.type("run", "members_1.csv", "--newest", pattern)

    assert (ended.status, sent_ids(server)) == (0, ["1", "1"])


def test_the_file_of_a_stopped_night_is_resumed_beside_the_newest_one(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules("code=40201 for external_id=2 times 1")).url)
    words = ("--job", "members", "--newest", "members_*.csv", "--set", "rate.concurrency=1", *RUN)
    write(desk, "members_1.csv", "1", "2", "3")
    stopped = desk.type("run", *words)
    write(desk, "members_2.csv", "4")

    ended = desk.type("run", "members_1.csv", *words)

    assert (stopped.status, ended.status) == (5, 0)
    assert re.search(r"^members_1.csv: resuming run \S+: 1 of 3 rows settled\.$", ended.err, re.MULTILINE)
    assert [(one["source"], one["sent"]) for one in desk.summary()["sources"]] == [
        ("members_1.csv", 3),
        ("members_2.csv", 1),
    ]


def test_no_source_is_a_wrong_command(job: tuple[Desk, RunningSandbox]) -> None:
    desk, _ = job

    ended = desk.type("run")

    assert (ended.status, ended.last_line) == (2, "No SOURCE is given. Name a file, or a pattern with --newest.")


@pytest.mark.parametrize("words", [("--job", "members"), ("--set", "source.name=members")])
def test_the_drift_check_compares_with_the_last_file_of_the_job(
    job: tuple[Desk, RunningSandbox], words: tuple[str, ...]
) -> None:
    desk, server = job
    desk.configure(server.url, more="guard: {}\n")
    write(desk, "members_1.csv", *map(str, range(100)))
    write(desk, "members_2.csv", "1")
    assert desk.type("run", "members_1.csv", *words).status == 0

    checked = desk.type("check", "members_2.csv", *words)
    ended = desk.type("run", "members_2.csv", *words)
    nameless = desk.type("run", "members_2.csv")

    assert (checked.status, ended.status, nameless.status) == (4, 4, 0)
    assert "members_2.csv" in ended.last_line
    assert "--job members" in ended.last_line or words[0] != "--job"
    listed = desk.type("runs", "--job", "members").out.splitlines()
    assert len([line for line in listed if "members" in line and not line.startswith(" ")]) == 2


@pytest.mark.parametrize("command", ["run", "check"])
def test_the_command_to_accept_a_drift_has_the_pattern_and_no_placeholder(
    job: tuple[Desk, RunningSandbox], command: str
) -> None:
    desk, server = job
    desk.configure(server.url, more="guard: {}\n")
    words = ("--newest", "members_*.csv", "--job", "members")
    write(desk, "members_1.csv", *map(str, range(100)))
    assert desk.type("run", *words).status == 0
    write(desk, "members_2.csv", "1")

    ended = desk.type(command, *words)

    assert ended.status == 4
    assert ended.last_line.endswith(
        "If it is meant so, type `uploader run --job members --newest 'members_*.csv' --accept`."
    )
    typed = re.findall("`uploader (.*)`", ended.last_line)[0]
    assert desk.type(*shlex.split(typed)).status == 0


def test_without_a_configuration_a_pattern_is_not_taken_for_the_source_of_init(desk: Desk) -> None:
    ended = desk.type("run", "--newest", "members_*.csv")

    assert "run `uploader init SOURCE` to write one" in ended.last_line


def test_pending_retries_of_the_job_are_sent_before_its_next_file(job: tuple[Desk, RunningSandbox]) -> None:
    desk, server = job
    desk.configure(server.url, more="retry_last_failures: true\nsource: {name: members}\n")
    desk.write("members_1.csv", "id,name\n1,old\n2,name2\n")
    write(desk, "members_2.csv", "3")
    assert desk.type("run", "members_1.csv").status == 3

    assert desk.type("run", "members_2.csv", *RUN).status == 0

    assert [source["source"].rpartition("/")[2] for source in desk.summary()["sources"]] == [
        "members_1.retry.csv",
        "members_2.csv",
    ]
    assert names(server) == {"1": "old", "2": "name2", "3": "name3"}


def test_a_full_night_of_the_job_counts_whatever_its_file_was_called(job: tuple[Desk, RunningSandbox]) -> None:
    desk, server = job
    desk.configure(server.url, more="changed_only: true\nfull_every: 30d\nsource: {name: members}\n")
    for night in ("members_1.csv", "members_2.csv"):
        write(desk, night, "1", "2")
        assert desk.type("run", night, *RUN).status == 0

    assert desk.books() == {"unchanged": 2}


def test_pending_retries_of_the_time_before_the_job_had_a_name_are_sent(job: tuple[Desk, RunningSandbox]) -> None:
    desk, server = job
    desk.configure(server.url, more="retry_last_failures: true\n")
    desk.write("members.csv", "id,name\n1,old\n2,name2\n")
    assert desk.type("run", "members.csv").status == 3

    assert desk.type("run", "members.csv", "--job", "members", *RUN).status == 0

    assert len(desk.summary()["sources"]) == 2


def test_pending_retries_are_sent_though_the_file_of_tonight_was_sent_already(job: tuple[Desk, RunningSandbox]) -> None:
    desk, server = job
    desk.configure(server.url, more="retry_last_failures: true\nsource: {name: members}\n")
    desk.write("members_1.csv", "id,name\n1,old\n2,name2\n")
    assert desk.type("run", "--newest", "members_*.csv").status == 3

    again = desk.type("run", "--newest", "members_*.csv", *RUN)

    assert (again.status, [source["sent"] for source in desk.summary()["sources"]]) == (0, [0, 1])
    assert names(server) == {"1": "old", "2": "name2"}


def test_files_of_a_pattern_without_a_job_are_said_to_know_no_earlier_retry_files(
    job: tuple[Desk, RunningSandbox],
) -> None:
    desk, server = job
    desk.configure(server.url, more="retry_last_failures: true\n")
    write(desk, "members_1.csv", "1")

    assert (
        "members_1.csv: the job has no name, so that retry files of earlier files are not sent. "
        "Set source.name, or give --job."
    ) in desk.type("run", "--newest", "members_*.csv", "-v").err


def test_an_interrupted_night_is_named_by_the_nights_after_it_until_its_file_is_sent(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40201 for external_id=3 times 1"))
    desk.configure(server.url, more="source: {name: members}\n")
    write(desk, "members_1.csv", "1", "2", "3", "4")
    write(desk, "members_2.csv", "5")
    write(desk, "others.csv", "6")
    assert desk.type("run", "members_1.csv", "--set", "rate.concurrency=1").status == 5
    named = (
        "members_1.csv: its run was interrupted, and 2 of 4 rows were never sent. "
        "To send them, type `uploader run members_1.csv`."
    )

    assert named in desk.type("run", "members_2.csv", "-q").err
    assert named in desk.type("run", "--newest", "members_2*.csv", "--full", "--summary", "summary.json").err
    assert named not in desk.type("run", "others.csv", "--job", "others").err
    assert named not in desk.type("run", "members_1.csv").err
    assert named not in desk.type("run", "members_2.csv").err
    assert set(names(server)) == {"1", "2", "3", "4", "5", "6"}


def test_a_summary_that_cannot_be_written_is_told_where_all_was_sent_already(job: tuple[Desk, RunningSandbox]) -> None:
    desk, _ = job
    write(desk, "members_1.csv", "1")
    assert desk.type("run", "--newest", "members_*.csv").status == 0
    (desk.folder / "no").write_text("a file", encoding="utf-8")

    ended = desk.type("run", "--newest", "members_*.csv", "--summary", "no/summary.json")

    assert ended.status == 7
    assert "already sent" not in desk.type("runs", "last").out


def test_each_of_several_files_of_a_job_is_compared_with_itself_and_keeps_its_retries(
    job: tuple[Desk, RunningSandbox],
) -> None:
    desk, server = job
    desk.configure(server.url, more="retry_last_failures: true\nguard: {}\nsource: {name: members}\n")
    desk.write("many.csv", "id,name\n1,old\n" + "".join(f"{number},name{number}\n" for number in range(100, 200)))
    desk.write("few.csv", "id,name\n2,refused\n")
    assert desk.type("run", "many.csv", "few.csv").status == 3
    desk.write("many.csv", (desk.folder / "many.csv").read_text("utf-8").replace(",name1", ",new1"))

    again = desk.type("run", "many.csv", "few.csv", *RUN)

    assert again.status == 3
    assert [source["source"].rpartition("/")[2] for source in desk.summary()["sources"]] == [
        "many.retry.csv",
        "many.csv",
        "few.retry.csv",
        "few.csv",
    ]
    assert desk.type("retry", "members", *RUN).status == 3
    assert {source["source"].rpartition("/")[2][:4] for source in desk.summary()["sources"]} == {"few."}
