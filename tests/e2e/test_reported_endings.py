"""An outage, another run at work, a time limit and a wrong option are reported, each with what happened and why."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.command import TOKEN, Desk, Ended, ended, rules, until
from tests.monitors import Monitor, monitor
from uploader.cli import signals
from uploader.sandbox import RunningSandbox
from uploader.stop import GRACE_SECONDS

STARTED = re.compile(r"after (less than a second|\d+ s) \(run \S+, \S+\)")


@pytest.fixture
def hook() -> Iterator[Monitor]:
    with monitor() as found:
        yield found


def configure(desk: Desk, url: str, hook: Monitor) -> None:
    """Configure a job that reports all it does, and leave a state folder in which it can be recorded."""
    reports = f"notify: {{on: [started, success, rejected, failure], url: {hook.url}/hook, ping: {hook.url}/ping}}\n"
    desk.configure(url, more=f"{reports}source: {{name: members}}\nmetrics: {{textfile: uploader.prom}}\n")
    (desk.folder / "config.yaml").chmod(0o600)


def last_text(hook: Monitor) -> list[str]:
    """Return the lines for people of the last notification, without the times and IDs of its run."""
    webhooks = [one.facts for one in hook.received if one.content_type == "application/json"]
    return [STARTED.sub("after a while (run X)", line) for line in webhooks[-1]["text"].splitlines()]


def newest(desk: Desk) -> Any:  # noqa: ANN401 — JSON
    """Return the newest record of the history."""
    return json.loads(desk.type("runs", "--json").out)[0]


def test_an_outage_is_reported_with_the_service_and_the_limit(desk: Desk, hook: Monitor) -> None:
    configure(desk, "http://127.0.0.1:9", hook)
    desk.people(3)

    run = desk.type("run", "people.csv", "--set", "retry.outage_timeout=100ms")

    assert (run.status, hook.events, hook.pings) == (6, ["started", "failure"], ["/ping/start", "/ping/fail"])
    assert last_text(hook) == [
        "uploader: members: stopped: the service was unreachable, or throttled us for too long, after a while (run X).",
        run.stop,
        "3 rows: 3 not attempted.",
    ]
    assert run.stop.startswith("Stopped: ")
    assert "longer than retry.outage_timeout (0.1 s)" in run.stop


def test_a_run_beside_another_is_reported_with_what_is_at_work(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    server = sandbox(rules(latency=(0.2, 0.2)))
    configure(desk, server.url, hook)
    desk.people(5000)

    with desk.start("run", "people.csv") as process:
        try:
            until(lambda: server.sandbox.requests() != [])
            second = desk.type("run", "people.csv")
        finally:
            process.terminate()
        first = ended(process)

    assert (first.status, second.status) == (-15, 8)
    assert hook.events == ["started", "started", "failure", "failure"]
    assert hook.pings == ["/ping/start", "/ping/start", "/ping/fail", "/ping/fail"]
    texts = [one.facts["text"] for one in hook.received if one.content_type == "application/json"]
    assert STARTED.sub("after a while (run X)", texts[2]).splitlines() == [
        "uploader: members: not started: another run was at work, after a while (run X).",
        second.last_line,
    ]
    assert second.last_line.startswith("Another run sends people.csv to this service: ")


def test_requests_that_hang_after_a_signal_leave_time_to_report_the_end() -> None:
    """What is left is for the journal and for the answers to all notifications."""
    assert signals._ORDERLY_SECONDS - signals._LAST_LINES_SECONDS - GRACE_SECONDS >= 1.0  # noqa: SLF001 — its parts


@pytest.mark.long
@pytest.mark.paced
def test_a_run_that_a_signal_stops_while_its_requests_hang_is_reported(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    server = sandbox(rules("hang"))
    configure(desk, server.url, hook)
    desk.people(3)

    with desk.start("run", "people.csv") as process:
        until(lambda: server.sandbox.requests() != [])
        process.terminate()
        run = ended(process)

    assert (run.status, hook.events, hook.pings) == (-15, ["started", "failure"], ["/ping/start", "/ping/fail"])
    assert "did not answer in time" not in run.err


def test_a_time_limit_is_reported_with_the_rows_that_are_left(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    configure(desk, sandbox(rules("hang for external_id=3")).url, hook)
    desk.people(3)

    run = desk.type("run", "people.csv", "--for", "2s")

    assert (run.status, hook.events, hook.pings) == (10, ["started", "failure"], ["/ping/start", "/ping/fail"])
    assert last_text(hook) == [
        "uploader: members: stopped at its time limit, after a while (run X).",
        "Stopped: the time limit (--for 2s) was reached. Run again to resume.",
        "3 rows: 2 sent, 1 not attempted.",
    ]


WRONG: list[tuple[list[str], str]] = [
    (["--no-such-option"], "No such option '--no-such-option'."),
    (["--limit", "all"], "Invalid value for '--limit': 'all' is not a valid integer range."),
    (["--until", "noon"], "Invalid value for '--until': 'noon' is not a time; write 05:00, or 2024-03-06T05:00."),
    (["--until", "05:00", "--for", "3h"], "--until and --for can't go together. Give one of them."),
    (["--config", "config.yaml", "--token", TOKEN], "No such option '--token'."),
]


@pytest.mark.parametrize(("words", "why"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_a_wrong_option_is_recorded_and_reported_as_every_other_end(
    desk: Desk, hook: Monitor, words: list[str], why: str
) -> None:
    with_state(desk, hook)

    run = desk.type("run", "people.csv", "--summary", "summary.json", *words)

    assert (run.status, run.last_line.removeprefix("Error: ")) == (2, why)
    assert (hook.events, hook.pings) == (["failure"], ["/ping/fail"])
    outcome = "not started: an option or the configuration is wrong"
    assert last_text(hook) == [f"uploader: members: {outcome}, after a while (run X).", why]
    found, summary = newest(desk), desk.summary()
    assert (found["end"], found["exit_status"], found["error"], found["job"]) == ("failed", 2, why, "members")
    assert (summary["exit_status"], summary["outcome"], summary["error"]) == (2, outcome, why)
    assert 'last_run_exit_status{job="members"} 2\n' in (desk.folder / "uploader.prom").read_text()
    assert TOKEN not in str([run.err, found, summary, hook.received])


def with_state(desk: Desk, hook: Monitor) -> None:
    """Leave a state folder, as every run does, and forget what it has reported."""
    configure(desk, "http://127.0.0.1:9", hook)
    desk.people(3)
    assert desk.type("run", "nobody.csv").status == 4
    hook.received.clear()


@pytest.mark.parametrize(
    "words",
    [
        ["--no-such-option", "--sandbox"],
        ["--config"],
        ["--fresh=no", "--config", "other.yaml"],
    ],
    ids=" ".join,
)
def test_a_wrong_option_of_no_known_job_is_recorded_nowhere(desk: Desk, hook: Monitor, words: list[str]) -> None:
    with_state(desk, hook)
    before = desk.type("runs", "--json").out

    run = desk.type("run", "people.csv", *words)

    assert (run.status, hook.received) == (2, [])
    assert desk.type("runs", "--json").out == before


@pytest.mark.parametrize("word", ["--limit", "--fresh=no", "--no-such-option"])
def test_a_summary_of_a_wrong_command_replaces_no_source(desk: Desk, hook: Monitor, word: str) -> None:
    with_state(desk, hook)
    people = (desk.folder / "people.csv").read_bytes()

    run = desk.type("run", "people.csv", "--summary", "people.csv", word)

    assert (run.status, hook.events) == (2, ["failure"])
    assert (desk.folder / "people.csv").read_bytes() == people


def test_a_command_that_is_no_run_reports_no_wrong_option(desk: Desk, hook: Monitor) -> None:
    with_state(desk, hook)

    assert [desk.type(command, "--no-such-option").status for command in ("check", "runs", "rnu")] == [2, 2, 2]
    assert hook.received == []


def test_a_wrong_option_without_a_configuration_says_only_what_is_wrong(desk: Desk) -> None:
    run = desk.type("run", "people.csv", "--no-such-option")

    assert run == Ended(2, "", run.err)
    assert run.err.splitlines()[0] == "Usage: uploader run [OPTIONS] SOURCE..."
    assert (run.last_line, desk.files()) == ("Error: No such option '--no-such-option'.", [])
