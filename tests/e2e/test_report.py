"""The report of a run: its numbers are those of the summary, and it replaces nothing but a report."""

import html
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import SERVICE, TOKEN, Desk, Ended, rules, until
from tests.reports import numbers_in, numbers_of, reasons_of
from uploader.outputs.report_page import BEGINNING
from uploader.sandbox import ReplyStyle, RunningSandbox
from uploader.state import History, RunStore
from uploader.timeline import windows_of

Sandbox = Callable[..., RunningSandbox]


@pytest.fixture
def sent(desk: Desk, sandbox: Sandbox) -> Desk:
    """Lend a working directory in which a run with rejects and retries has ended."""
    server = sandbox(rules("code=40000 for 5%", "http=503 for 5%"))
    desk.configure(server.url)
    desk.people(400)
    assert desk.type("run", "people.csv", "--summary", "summary.json").status == 3
    return desk


def listed_ids(desk: Desk) -> list[str]:
    """Return the IDs that `uploader runs` lists, the newest first."""
    return [line.split()[0] for line in desk.type("runs").out.splitlines()[1:] if line[0].isdigit()]


def page_of(desk: Desk, *words: str) -> str:
    """Return the report that the command prints."""
    run = desk.type("report", "--output", "-", *words)
    assert (run.status, run.err) == (0, "")
    return run.out


def test_every_number_of_the_report_is_that_of_the_summary(sent: Desk) -> None:
    page, summary = page_of(sent), sent.summary()

    assert numbers_of(page) == numbers_in(summary)
    assert reasons_of(page) == Counter(code for _, _, code, _, _ in sent.retry_rows())
    assert sum(reasons_of(page).values()) == summary["rejected"] + summary["failed"] > 0


def test_the_intervals_of_a_run_have_all_of_its_requests_and_rows(sent: Desk) -> None:
    run_store, summary = RunStore(sent.folder / ".uploader"), sent.summary()
    (header,) = run_store.headers()

    intervals = run_store.intervals(header)

    totals = [one.totals for one in intervals]
    assert sum(one.requests for one in totals) == summary["requests"]
    assert sum(one.retries for one in totals) == summary["retries"]
    assert sum(one.accepted for one in totals) == summary["sent"]
    assert sum(one.not_accepted for one in totals) == summary["rejected"] + summary["failed"]
    assert all(one.limit == 100_000 and one.latencies for one in intervals)
    assert intervals[-1].windows != ()


def test_the_intervals_of_a_resumed_run_add_up_to_the_same(desk: Desk, sandbox: Sandbox) -> None:
    server = sandbox(rules("http=503 after 150 until 4s"))
    desk.configure(server.url, more="limits: {canary: 0}\n")
    desk.people(300)
    assert desk.type("run", "people.csv", "--set", "retry.outage_timeout=1s").status == 6
    assert desk.type("run", "people.csv", "--summary", "summary.json").status == 0

    page, summary = page_of(desk), desk.summary()

    assert numbers_of(page) == numbers_in(summary)
    run_store = RunStore(desk.folder / ".uploader")
    (header,) = run_store.headers()
    assert sum(one.totals.requests for one in run_store.intervals(header)) == summary["requests"]
    assert "in no interval" not in page


def test_the_report_of_a_resumed_run_has_the_times_of_its_summary_after_each_session(
    desk: Desk, sandbox: Sandbox
) -> None:
    stops = [f"code=40201 for external_id={number} times 1" for number in (5, 9)]
    server = sandbox(rules(*stops, latency=(0.05, 0.05)))
    desk.configure(server.url)
    desk.people(12)
    seconds = [0.0]
    for status in (5, 5, 0):
        words = ("run", "people.csv", "--set", "rate.concurrency=1", "--summary", "summary.json")
        assert desk.type(*words).status == status
        summary = desk.summary()

        assert numbers_of(page_of(desk)) == numbers_in(summary)
        assert summary["seconds"] >= seconds[-1] + 0.15
        assert summary["requests_per_second"] == pytest.approx(summary["requests"] / summary["seconds"], rel=0.02)
        seconds.append(summary["seconds"])


@pytest.mark.parametrize("states_window", [True, False])
def test_registrations_are_no_part_of_the_use_of_the_limit(
    desk: Desk, sandbox: Sandbox, *, states_window: bool
) -> None:
    server = sandbox(rules(limit=40, per=1.0, replies=ReplyStyle(spelling="both" if states_window else "none")))
    desk.configure(server.url)
    (desk.folder / "config.yaml").write_text(
        (desk.folder / "config.yaml").read_text("utf-8").replace("api:\n", "api:\n  register_first: true\n"), "utf-8"
    )
    desk.people(100)
    words = ("--set", "rate.requests=40", "--set", "rate.per=1s", "--set", "rate.share=1")
    assert desk.type("run", "people.csv", *words, "--summary", "summary.json").status == 0

    page, summary = page_of(desk), desk.summary()

    run_store = RunStore(desk.folder / ".uploader")
    (header,) = run_store.headers()
    intervals = run_store.intervals(header)
    registrations = sum(one.totals.registrations for one in intervals)
    assert (registrations, summary["requests"], numbers_of(page)) == (100, 200, numbers_in(summary))
    assert "100 of the requests registered people" in page
    assert max(one.used for one in windows_of(intervals)) <= 40


def test_without_an_id_the_last_run_is_shown_and_its_file_is_named_for_it(sent: Desk) -> None:
    (start_id,) = listed_ids(sent)

    run = sent.type("report")

    assert (run.status, run.out) == (0, "")
    assert run.err == f"report-{start_id}.html: the report of run {start_id} of people.csv. Open it in a browser.\n"
    assert (sent.folder / f"report-{start_id}.html").read_text(encoding="utf-8") == page_of(sent)


@pytest.mark.parametrize(("language", "word"), [("en", "Job"), ("ko", "작업")])
def test_the_report_names_its_job(sent: Desk, language: str, word: str) -> None:
    nameless = page_of(sent, "--language", language)
    assert sent.type("run", "people.csv", "--job", "members <1>").status == 3

    said = sent.type("report", "--output", "named.html", "--language", language).err

    assert "of job members <1> (people.csv). Open it in a browser.\n" in said
    assert f"<dt>{word}</dt><dd>members &lt;1&gt;</dd>" in (sent.folder / "named.html").read_text(encoding="utf-8")
    assert f"<dt>{word}</dt>" not in nameless


def test_a_report_is_asked_for_by_the_id_that_the_history_lists_or_by_that_of_the_source(sent: Desk) -> None:
    (start_id,), run_id = listed_ids(sent), sent.summary()["run_id"]

    pages = {page_of(sent, word) for word in (start_id, start_id[:12], start_id[:-1], "last", run_id, run_id[:-1])}

    assert pages == {page_of(sent)}


def test_of_several_files_of_one_start_the_last_is_shown_and_each_by_its_own_id(desk: Desk, sandbox: Sandbox) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(3, "a.csv")
    desk.people(4, "b.csv")
    assert desk.type("run", "a.csv", "b.csv", "--summary", "summary.json").status == 0
    (start_id,), (first, second) = listed_ids(desk), (one["run_id"] for one in desk.summary()["sources"])

    shown = desk.type("report", start_id)

    assert shown.err.splitlines() == [
        f"report-{second}.html: the report of run {second} of b.csv. Open it in a browser.",
        f"Its start had other SOURCEs too: `uploader runs {start_id}` shows the ID of each.",
    ]
    assert page_of(desk, start_id) == page_of(desk, second)
    assert numbers_of(page_of(desk, first))["read"] == 3


def test_the_newest_start_is_shown_also_where_it_resumed_an_older_run(desk: Desk, sandbox: Sandbox) -> None:
    desk.configure(sandbox(rules("code=40201 for external_id=3 times 1")).url)
    desk.people(5, "k.csv")
    words = ("run", "k.csv", "--set", "rate.concurrency=1")
    assert desk.type(*words).status == 5
    assert desk.type(*words, "--limit", "2").status == 0
    resumed = desk.type(*words)
    last, _, first = listed_ids(desk)

    page = page_of(desk)

    assert resumed.err.startswith(f"k.csv: resuming run {first}: 2 of 5 rows settled.")
    assert numbers_of(page)["read"] == 5
    assert page == page_of(desk, "last") == page_of(desk, last) == page_of(desk, first)


def test_a_start_that_has_no_journal_has_no_report_and_is_no_newest_one(sent: Desk) -> None:
    assert sent.type("run", "missing.csv").status == 4
    start_id, before = listed_ids(sent)

    refused = sent.type("report", "last")

    assert (
        refused
        == sent.type("report", start_id)
        == Ended(
            2,
            "",
            f"run {start_id} has no report (refused: the input can't be read, or is wrong as a whole): it has no "
            f"journal. `uploader runs {start_id}` shows what is known of it. Without an ID, `uploader report` takes "
            "the newest run that has a journal.\n",
        )
    )
    assert page_of(sent) == page_of(sent, before)


def test_an_unknown_run_is_refused_with_what_to_do(sent: Desk) -> None:
    assert sent.type("report", "2019") == Ended(
        2, "", "no run with an ID that begins with '2019'. `uploader runs` lists them.\n"
    )


def test_without_a_run_there_is_no_report(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:9")

    run = desk.type("report")

    assert (run.status, run.out) == (2, "")
    state = desk.folder / ".uploader"
    assert run.err == f"No run is stored in {state}. Start one with `uploader run`, or name the right --config.\n"


def test_a_report_is_replaced_and_nothing_else_is(sent: Desk) -> None:
    for name, content in (("old.html", BEGINNING + ">"), ("page.html", "<!doctype html>\n<html>"), ("empty.html", "")):
        sent.write(name, content)

    replaced = sent.type("report", "--output", "old.html")
    refused = [sent.type("report", "--output", name) for name in ("page.html", "empty.html", "people.csv", ".")]

    assert (replaced.status, (sent.folder / "old.html").read_text(encoding="utf-8")) == (0, page_of(sent))
    assert [(run.status, run.err) for run in refused] == [
        (2, f"{name} is there, and is no report: it is not replaced. Name another --output.\n")
        for name in ("page.html", "empty.html", "people.csv", ".")
    ]
    assert (sent.folder / "page.html").read_text(encoding="utf-8") == "<!doctype html>\n<html>"


def test_a_link_is_not_followed(sent: Desk) -> None:
    sent.write("old.html", BEGINNING + ">")
    (sent.folder / "link.html").symlink_to("old.html")

    assert sent.type("report", "--output", "link.html").status == 2
    assert (sent.folder / "old.html").read_text(encoding="utf-8") == BEGINNING + ">"


def test_a_report_that_cannot_be_written_says_what_to_do(sent: Desk) -> None:
    run = sent.type("report", "--output", "missing/report.html")

    assert run.status == 7
    assert run.err == (
        "missing/report.html: the report can't be written (No such file or directory). Make room or allow access "
        "there, or name another --output.\n"
    )


def test_the_language_is_that_of_the_flag_or_of_the_locale(sent: Desk) -> None:
    sent.environ |= {"LC_ALL": "ko_KR.UTF-8"}

    assert '<html data-report-by="uploader" lang="ko">' in page_of(sent)
    assert 'lang="en">' in page_of(sent, "--language", "en")


def test_the_last_runs_are_those_of_the_same_source(sent: Desk) -> None:
    sent.people(10, "others.csv")
    for _ in range(2):
        sent.type("run", "others.csv")

    assert page_of(sent).count("<tr>") + page_of(sent).count('<tr class="this">') == 3
    assert page_of(sent, sent.summary()["run_id"]).count('<tr class="this">') == 1


def outcomes_in(page: str) -> list[str]:
    """Return how the last starts of the job ended, the newest first, as the report *page* says it."""
    rows = re.findall(r'<tr(?: class="this")?><td>[^<]*</td><td>([^<]*)</td>', page.partition('"last_runs"')[2])
    return [html.unescape(row).rpartition(" (")[0] or row for row in rows]


def test_every_night_stands_in_the_report_in_the_words_of_the_history(desk: Desk, sandbox: Sandbox) -> None:
    server = sandbox(rules("code=40201 for external_id=41 times 1", latency=(0.3, 0.3)))
    desk.configure(server.url, more="source: {name: members}\n")
    desk.people(5)
    assert desk.type("run", "people.csv").status == 0
    assert desk.type("run", "people.csv", "--set", "retry.attempts=none").status == 2
    assert desk.type("run", "missing.csv").status == 4
    desk.people(200, "more.csv")
    assert desk.type("run", "more.csv").status == 5
    before = server.sandbox.report().requests
    # One after the other, what is left takes 40 s at least.
    with desk.start("run", "more.csv", "--set", "rate.concurrency=1") as process:
        until(lambda: server.sandbox.report().requests > before)
        assert desk.type("run", "more.csv").status == 8
        process.kill()
        process.wait()
    killed = page_of(desk)
    assert desk.type("run", "more.csv", "--summary", "summary.json").status == 0

    page, listed = page_of(desk), json.loads(desk.type("runs", "--json").out)

    outcomes = [record.outcome for record in History(desk.folder / ".uploader").records()]
    assert outcomes == [
        "succeeded",
        "not started: another run was at work",
        "killed, or its end could not be recorded",
        "stopped: the service refuses us",
        "refused: the input can't be read, or is wrong as a whole",
        "not started: an option or the configuration is wrong",
        "succeeded",
    ]
    assert outcomes_in(page) == outcomes
    assert {one["outcome"] for one in listed} <= set(outcomes)
    assert outcomes_in(killed) == outcomes[1:]
    assert page.count('<tr class="this">') == 3
    assert '<p class="outcome good">succeeded (exit status 0)</p>' in page
    assert '<p class="outcome bad">killed, or its end could not be recorded</p>' in killed
    assert numbers_of(page) == numbers_in(desk.summary())


def test_the_outcome_is_that_of_the_file_where_a_command_named_several(sent: Desk) -> None:
    sent.people(3, "few.csv")
    sent.people(400, "many.csv")
    assert sent.type("run", "few.csv", "many.csv", "--summary", "summary.json").status == 3
    few, many = ((source["run_id"], source["exit_status"]) for source in sent.summary()["sources"])

    for run_id, status in (few, many):
        assert f"(exit status {status})</p>" in page_of(sent, run_id)
    assert outcomes_in(page_of(sent, few[0]))[0] == "succeeded"


def test_a_run_whose_start_has_no_record_is_reported_by_its_journal(sent: Desk) -> None:
    shutil.rmtree(sent.folder / ".uploader" / "history")

    page = page_of(sent)

    assert numbers_of(page) == numbers_in(sent.summary())
    assert "(exit status 3)</p>" in page


def test_no_token_and_no_value_of_a_row_is_in_the_report_or_in_the_intervals(sent: Desk) -> None:
    (journal,) = (sent.folder / ".uploader" / "runs").glob("*.journal")
    intervals = [line for line in journal.read_text(encoding="utf-8").splitlines() if " m " in line]

    assert intervals
    for text in (page_of(sent), *intervals):
        assert TOKEN not in text
        assert "name1" not in text
    assert SERVICE in page_of(sent)


def test_the_report_is_readable_to_those_whom_the_umask_allows(sent: Desk) -> None:
    before = os.umask(0o027)
    try:
        sent.type("report", "--output", "report.html")
    finally:
        os.umask(before)

    assert _mode(sent.folder / "report.html") == 0o640
    assert [name for name in sent.files() if name.endswith(".new")] == []


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
