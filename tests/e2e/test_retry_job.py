"""`uploader retry JOB` sends what a job has left, and no row is lost on the way through its retry files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.command import Desk, names, rules, sent_ids
from uploader.run.results import SourceResult
from uploader.run.settled_retries import remove_settled_retries
from uploader.sandbox import RunningSandbox

Job = tuple[Desk, RunningSandbox]
PEOPLE = "id,name\n1,ann\n2,bob\n3,cho\n4,dan\n"
MEMBERS = "source: {name: members}\n"


@pytest.fixture
def job(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> Callable[..., Job]:
    def start(*faults: str, more: str = MEMBERS) -> Job:
        server = sandbox(rules(*faults))
        desk.configure(server.url, more=more)
        desk.write("members_1.csv", PEOPLE)
        return desk, server

    return start


def retry_files(desk: Desk) -> list[str]:
    return [name for name in desk.files() if "retry" in name]


def origins(desk: Desk, name: str) -> list[tuple[str, str, str]]:
    """Return of each row of the retry file *name* its id, and the row and run that it came from first."""
    return sorted((row["id"], row["_row"], row["_run"].partition("-")[0]) for row in desk.retry_cells(name))


def test_the_pending_retry_file_of_a_job_is_sent_as_a_run_of_that_job(job: Callable[..., Job]) -> None:
    desk, server = job("code=40001 for external_id=2 times 1")
    assert desk.type("run", "members_1.csv").status == 3

    ended = desk.type("retry", "members", "--summary", "summary.json")

    summary = desk.summary()
    assert (ended.status, summary["job"], summary["sent"]) == (0, "members", 1)
    assert summary["source"].endswith("/members_1.retry.csv")
    assert (sorted(map(str, sent_ids(server))), names(server)["2"]) == (["1", "2", "2", "3", "4"], "bob")
    assert retry_files(desk) == []
    assert "members_1.retry.csv" in desk.type("runs", "last", "--job", "members").out


def test_where_no_retry_file_is_pending_nothing_is_sent(job: Callable[..., Job]) -> None:
    desk, server = job()
    assert desk.type("run", "members_1.csv").status == 0

    ended = desk.type("retry", "members", "--summary", "summary.json")

    assert (ended.status, ended.last_line) == (0, "members: no retry file is pending. Nothing is sent.")
    assert desk.summary()["outcome"] == "nothing to send: no retry file is pending"
    assert "no retry file is pending" in desk.type("runs", "last").out
    assert len(sent_ids(server)) == 4


@pytest.mark.parametrize(
    ("typed", "advice"),
    [("member", "Did you mean 'members'?"), ("xyz", "Known are buyers.csv, members.")],
)
def test_a_job_that_is_not_known_is_an_error_that_names_those_that_are(
    job: Callable[..., Job], typed: str, advice: str
) -> None:
    desk, server = job(more="")
    desk.write("buyers.csv", "id,name\n1,ann\n")
    assert desk.type("run", "members_1.csv", "--job", "members").status == 0
    assert desk.type("run", "buyers.csv").status == 0
    before = len(sent_ids(server))

    ended = desk.type("retry", typed, "--summary", "summary.json")

    text = f"No run of a job or file '{typed}' is known. Nothing was sent. {advice} `uploader runs` lists them."
    assert (ended.status, ended.last_line, desk.summary()["error"]) == (4, text, text)
    assert len(sent_ids(server)) == before


def test_a_job_before_its_first_run_is_not_known(job: Callable[..., Job]) -> None:
    desk, _ = job(more="")

    ended = desk.type("retry", "members")

    text = f"Nothing was sent. No run is known in {desk.folder / '.uploader'}. `uploader runs` lists them."
    assert (ended.status, ended.last_line) == (4, f"No run of a job or file 'members' is known. {text}")


def test_a_file_without_a_job_is_named_by_its_path(job: Callable[..., Job]) -> None:
    desk, server = job("code=40001 for external_id=2 times 1", more="")
    assert desk.type("run", "members_1.csv").status == 3

    ended = desk.type("retry", "members_1.csv", "--summary", "summary.json")

    assert (ended.status, sent_ids(server)[4:], desk.summary()["job"]) == (0, ["2"], "members_1.csv")
    assert desk.type("retry", "members_1.csv").status == 0
    assert len(sent_ids(server)) == 5


def test_a_dry_run_sends_the_pending_file_to_the_sandbox_and_leaves_it(job: Callable[..., Job]) -> None:
    desk, server = job("code=40001 for external_id=2 times 1")
    assert desk.type("run", "members_1.csv").status == 3

    ended = desk.type("retry", "members", "--sandbox")

    assert ended.status == 0
    assert "members_1.retry.csv: 1 row" in ended.err
    assert (len(sent_ids(server)), retry_files(desk)) == (4, ["members_1.retry.csv"])


def test_the_next_command_is_the_same_one(job: Callable[..., Job]) -> None:
    desk, _ = job("code=40001 for external_id=2", "code=40001 for external_id=3")
    assert desk.type("run", "members_1.csv").status == 3

    ended = desk.type("retry", "members", "--set", "retry.attempts=3")

    assert (ended.status, ended.last_line) == (3, "  uploader retry members --set retry.attempts=3")


def test_a_retry_that_was_stopped_is_resumed_by_the_same_command(job: Callable[..., Job]) -> None:
    refused = [f"code=40001 for external_id={number} times 1" for number in (2, 3)]
    desk, server = job(*refused, "code=40101 for external_id=3 times 1")
    assert desk.type("run", "members_1.csv").status == 3
    sent = len(sent_ids(server))

    stopped = desk.type("retry", "members", "--set", "rate.concurrency=1")
    kept = retry_files(desk)
    resumed = desk.type("retry", "members")

    assert stopped.status == 5
    assert stopped.last_line.endswith("run again to resume: uploader retry members --set rate.concurrency=1")
    assert (kept, resumed.status) == (["members_1.retry.csv"], 0)
    assert sent_ids(server)[sent:].count("2") == 1
    assert (names(server)["2"], names(server)["3"], retry_files(desk)) == ("bob", "cho", [])


def test_each_generation_of_retry_files_names_the_row_of_the_first_source(job: Callable[..., Job]) -> None:
    desk, server = job(
        "code=40001 for external_id=2 times 1",
        "code=40001 for external_id=3 times 2",
        "code=40001 for external_id=4 times 4",
    )
    desk.write("members_1.csv", f"{PEOPLE}5,eve\n")
    generations = []
    for words in (
        ("run", "members_1.csv"),
        ("retry", "members"),
        ("run", "members_1.retry.2.csv"),
        ("retry", "members"),
    ):
        assert desk.type(*words).status == 3
        left = max(retry_files(desk), key=lambda name: (desk.folder / name).stat().st_mtime_ns)
        generations.append((left, origins(desk, left)))

    assert generations == [
        ("members_1.retry.csv", [("2", "2", "r1"), ("3", "3", "r1"), ("4", "4", "r1")]),
        ("members_1.retry.2.csv", [("3", "3", "r1"), ("4", "4", "r1")]),
        ("members_1.retry.2.retry.csv", [("4", "4", "r1")]),
        ("members_1.retry.2.retry.2.csv", [("4", "4", "r1")]),
    ]
    assert (desk.type("retry", "members").status, retry_files(desk)) == (0, [])
    assert names(server) == {"1": "ann", "2": "bob", "3": "cho", "4": "dan", "5": "eve"}


def test_a_file_that_was_sent_survives_a_crash_before_it_is_removed(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, server = job("code=40001 for external_id=2 times 1")
    assert desk.type("run", "members_1.csv").status == 3
    with monkeypatch.context() as patch:
        patch.setattr("uploader.app.run.remove_settled_retries", _crash)
        desk.type("retry", "members")
    sent = sent_ids(server)

    pending = desk.type("retry", "members")
    again = desk.type("run", "members_1.retry.csv")

    # Its run is recorded: it is not pending any more. Sent once more, it says the same.
    assert (pending.status, again.status, sent_ids(server)) == (0, 0, [*sent, "2"])
    assert retry_files(desk) == []


def test_a_file_that_was_changed_after_it_was_sent_stays(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, _ = job("code=40001 for external_id=2 times 1")
    assert desk.type("run", "members_1.csv").status == 3
    path = desk.folder / "members_1.retry.csv"

    def change_before(*arguments: Any) -> None:  # noqa: ANN401 — those of what it stands for
        path.write_text(path.read_text(encoding="utf-8").replace("bob", "rob"), encoding="utf-8")
        remove_settled_retries(*arguments)

    monkeypatch.setattr("uploader.app.run.remove_settled_retries", change_before)

    assert (desk.type("retry", "members").status, retry_files(desk)) == (0, ["members_1.retry.csv"])


def test_a_file_that_went_first_is_removed_when_its_command_is_resumed(job: Callable[..., Job]) -> None:
    desk, _ = job(
        "code=40001 for external_id=2 times 1",
        "code=50000 for external_id=3 times 2",
        "code=40101 for external_id=8 times 1",
        more=f"retry_last_failures: true\n{MEMBERS}",
    )
    assert desk.type("run", "members_1.csv").status == 3
    desk.write("members_2.csv", "id,name\n7,gil\n8,hal\n")

    stopped = desk.type("run", "members_2.csv")
    kept = retry_files(desk)
    resumed = desk.type("run", "members_2.csv")

    assert (stopped.status, kept, resumed.status, retry_files(desk)) == (5, ["members_1.retry.csv"], 0, [])


def test_only_a_part_of_a_file_settles_nothing(job: Callable[..., Job]) -> None:
    desk, _ = job("code=40001 for external_id=2 times 1", "code=40001 for external_id=3 times 1")
    assert desk.type("run", "members_1.csv").status == 3

    assert desk.type("retry", "members", "--limit", "1").status == 0
    assert retry_files(desk) == ["members_1.retry.csv"]


def test_a_copy_of_a_retry_file_is_the_users_own(job: Callable[..., Job]) -> None:
    desk, _ = job("code=40001 for external_id=2 times 1")
    assert desk.type("run", "members_1.csv").status == 3
    (desk.folder / "members_1.retry.csv").rename(desk.folder / "retry_mine.csv")

    assert desk.type("run", "retry_mine.csv").status == 0
    assert retry_files(desk) == ["retry_mine.csv"]


def test_a_file_stays_until_the_command_that_names_it_has_sent_all(job: Callable[..., Job]) -> None:
    desk, server = job("code=40001 for external_id=2 times 1", "code=40101 for external_id=8 times 1")
    assert desk.type("run", "members_1.csv").status == 3
    desk.write("members_2.csv", "id,name\n7,gil\n8,hal\n")
    desk.write("members_3.csv", "id,name\n9,ivy\n")
    command = ("run", "members_1.retry.csv", "members_2.csv")

    stopped = desk.type(*command)
    other = desk.type("run", "members_3.csv")
    kept = retry_files(desk)
    resumed = desk.type(*command)

    assert (stopped.status, other.status, kept, resumed.status) == (5, 0, ["members_1.retry.csv"], 0)
    assert (sent_ids(server).count("2"), retry_files(desk)) == (2, [])


def test_a_file_stays_for_the_last_command_that_resumed_its_run(job: Callable[..., Job]) -> None:
    refused = [f"code=40001 for external_id={number} times 1" for number in (2, 3)]
    desk, _ = job(*refused, "code=40101 for external_id=3 times 1", "code=40101 for external_id=8 times 1")
    desk.write("members_2.csv", "id,name\n7,gil\n8,hal\n")
    desk.write("members_3.csv", "id,name\n9,ivy\n")
    command = ("run", "members_1.retry.csv", "members_2.csv")
    assert desk.type("run", "members_1.csv").status == 3

    stopped = [desk.type("retry", "members").status, desk.type(*command).status]
    other = desk.type("run", "members_3.csv")
    kept = retry_files(desk)
    resumed = desk.type(*command)

    assert (stopped, other.status, kept, resumed.status) == ([5, 5], 0, ["members_1.retry.csv"], 0)
    assert retry_files(desk) == []


def test_retry_files_that_wait_too_long_are_named_by_every_run_and_by_runs(job: Callable[..., Job]) -> None:
    desk, _ = job("code=40001 for external_id=2 times 1", "code=40001 for external_id=3 times 1")
    soon = ("--set", "output.keep_retry_files=0.001ms")
    assert desk.type("run", "members_1.csv").status == 3
    desk.write("members_2.csv", "id,name\n7,gil\n")

    patient = [desk.type("run", "members_2.csv"), desk.type("runs")]
    named = [desk.type("run", "-q", "members_2.csv", *soon), desk.type("runs", *soon), desk.type("runs", "last", *soon)]
    of_another = [desk.type("run", "-q", "members_2.csv", "--job", "x", *soon), desk.type("runs", "--job", "x", *soon)]
    sent_now = desk.type("retry", "members", *soon)

    assert [one.err for one in (*patient, *of_another)] == [""] * 4
    lines = {one.err.strip() for one in named}
    path = desk.folder / "members_1.retry.csv"
    assert {line.partition(" since ")[0] for line in lines} == {f"{path}: 2 rows wait to be sent again"}
    assert {line.partition(" (")[2] for line in lines} == {
        "0 days). Fix what was rejected, then type `uploader retry members --set output.keep_retry_files=0.001ms`."
    }
    assert "wait to be sent again" not in sent_now.err


def test_a_file_that_waits_too_long_and_has_no_job_is_named_with_a_command_that_sends_it(
    job: Callable[..., Job],
) -> None:
    desk, _ = job("code=40001 for external_id=2 times 1", more="output: {keep_retry_files: 0.001ms}\n")
    assert desk.type("run", "members_1.csv").status == 3

    again = desk.type("run", "-q", "members_1.csv")
    listed = desk.type("runs")

    assert again.last_line.endswith("type `uploader retry members_1.csv`.")
    assert listed.last_line.endswith(f"type `uploader run {desk.folder}/members_1.retry.csv`.")


def _crash(_: Sequence[SourceResult], *__: object) -> None:
    raise KeyboardInterrupt


def test_nothing_of_this_is_kept_beside_the_sources(job: Callable[..., Job]) -> None:
    desk, _ = job()
    assert desk.type("run", "members_1.csv").status == 0

    assert not (Path(desk.folder) / ".uploader" / "retries").exists()
