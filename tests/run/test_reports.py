"""A run reports its start and its end to those who are not there, and no endpoint changes what the run does."""

import json
import re
import signal
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

from tests.command import BALANCED, Desk, ended, rules, until
from tests.monitors import Manner, Monitor, monitor
from uploader.app.run_history import RunHistory
from uploader.counts import Counts
from uploader.errors import StorageError
from uploader.outputs.endpoint_post import EndpointReply
from uploader.run import recorded_start, reports
from uploader.run.environment import Environment
from uploader.run.options import Options
from uploader.run.recorded_start import RecordedStart
from uploader.run.results import ResultsSoFar
from uploader.run_record import RunEnd, RunRecord, SourceRecord
from uploader.sandbox import RunningSandbox
from uploader.state import History, RunStore

ALL = "[failure, rejected, success, started]"
SECRET = "canary-4711"
LONGEST = 10.0
MARGIN = 5.0


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return Desk(tmp_path, capsys, monkeypatch, {"DFINERY_SERVICE_ID": "svc-1", "DFINERY_ACCESS_TOKEN": "linnet-4711"})


@pytest.fixture
def hook() -> Iterator[Monitor]:
    with monitor() as found:
        yield found


def notify(hook: Monitor, *, on: str = ALL) -> str:
    return (
        f"notify: {{on: {on}, url: {hook.url}/hook/{SECRET}, ping: {hook.url}/ping/{SECRET}}}\n"
        "metrics: {textfile: uploader.prom}\nsource: {name: members}\n"
    )


def configure(desk: Desk, url: str, more: str) -> None:
    desk.configure(url, more=more)
    (desk.folder / "config.yaml").chmod(0o600)


def prometheus(desk: Desk) -> dict[str, str]:
    """Return each sample of the metrics file with its value."""
    lines = (desk.folder / "uploader.prom").read_text(encoding="utf-8").splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def pings(hook: Monitor) -> list[str]:
    """Return the pings of a run: what follows its URL."""
    return [path.removeprefix(f"/ping/{SECRET}") for path in hook.pings]


def test_a_run_reports_its_start_and_its_success(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    configure(desk, sandbox(rules()).url, notify(hook))
    desk.people(5)

    run = desk.type("run", "people.csv", "--summary", "summary.json")

    assert (run.status, run.err) == (0, "")
    assert hook.events == ["started", "success"]
    assert pings(hook) == ["/start", ""]
    end = [one.facts for one in hook.received if one.content_type == "application/json"][-1]
    assert (end["job"], end["exit_status"], end["read"], end["sent"]) == ("members", 0, 5, 5)
    assert (end["started"], end["ended"]) == (end["started"], desk.summary()["ended"])
    assert 'last_run_rows{job="members",outcome="sent"} 5\n' in (desk.folder / "uploader.prom").read_text()


def test_rows_that_are_not_accepted_are_reported_without_their_values(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    configure(desk, sandbox(rules()).url, notify(hook, on="[rejected]"))
    desk.write("people.csv", "id,name\n1,ann\n,canary-value\n")

    run = desk.type("run", "people.csv")

    assert run.status == 3
    assert hook.events == ["rejected"]
    assert pings(hook) == ["/start", "/fail"]
    assert not any(b"canary-value" in one.body for one in hook.received)


@pytest.mark.parametrize(
    ("more", "sources", "status"),
    [
        ("rates: {requests: 5}\n", ["people.csv"], 2),
        ("rate: [\n", ["people.csv"], 2),
        ("", ["missing.csv"], 4),
    ],
    ids=["a misspelt key", "no YAML", "no file"],
)
def test_a_run_that_does_not_start_is_reported(
    desk: Desk, hook: Monitor, more: str, sources: list[str], status: int
) -> None:
    configure(desk, "http://127.0.0.1:9", notify(hook, on="[failure]"))
    with (desk.folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write(more)
    desk.people(1)

    run = desk.type("run", *sources)

    assert run.status == status
    assert hook.events == ["failure"]
    assert pings(hook)[-1:] == ["/fail"]
    facts = next(one.facts for one in hook.received if one.content_type == "application/json")
    assert (facts["job"], facts["exit_status"], facts["error"]) == ("members", status, run.err.rstrip("\n"))
    assert f'last_run_exit_status{{job="members"}} {status}\n' in (desk.folder / "uploader.prom").read_text()


def test_a_file_that_was_sent_before_is_a_ping_that_says_so_and_no_upload_to_prometheus(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    configure(desk, sandbox(rules("code=40001 for external_id=2")).url, notify(hook) + "limits: {tolerate: 1}\n")
    desk.people(5, "m_1.csv")
    assert desk.type("run", "--newest", "m_*.csv").status == 0
    file, start_id = desk.folder / "uploader.prom", desk.type("runs").out.splitlines()[-1].split()[0]
    # As if it had been long ago.
    file.write_text(re.sub(r"(?<=_timestamp_seconds)(\{.*\}) .*", r"\1 1", file.read_text("utf-8")), "utf-8")
    before = prometheus(desk)

    again = desk.type("run", "--newest", "m_*.csv")
    retried = desk.type("run", "m_1.retry.csv", "--set", "limits.tolerate=1")
    limited = desk.type("run", "m_1.csv", "--limit", "1", "--full")

    assert (again.status, retried.status, limited.status) == (0, 0, 0)
    # The limited one is no night, and not reported.
    assert pings(hook) == ["/start", ""] * 3
    bodies = [one.body.decode() for one in hook.received if one.content_type != "application/json"]
    assert f"members: nothing to send: already sent by run {start_id}" in bodies[3]
    moved = {name for name, value in prometheus(desk).items() if before[name] != value}
    duration = 'dfinery_uploader_last_run_duration_seconds{job="members"}'
    assert moved - {duration} == {
        'dfinery_uploader_last_start_timestamp_seconds{job="members"}',
        'dfinery_uploader_last_run_timestamp_seconds{job="members"}',
    }


@pytest.mark.parametrize(
    ("words", "events"),
    [(("missing.csv",), ["started", "failure"]), (("--newest", "missing*.csv"), ["failure"])],
    ids=["plain", "pattern"],
)
def test_a_start_is_reported_once_its_patterns_have_found_their_files(
    desk: Desk, hook: Monitor, words: tuple[str, ...], events: list[str]
) -> None:
    configure(desk, "http://127.0.0.1:9", notify(hook))

    assert desk.type("run", *words).status == 4
    assert hook.events == events


def test_an_endpoint_that_is_wrong_itself_leaves_the_other(desk: Desk, hook: Monitor) -> None:
    configure(desk, "http://127.0.0.1:9", f"notify: {{url: ftp://{SECRET}, ping: {hook.url}/ping/{SECRET}}}\n")
    desk.people(1)

    run = desk.type("run", "people.csv")

    assert run.status == 2
    assert "notify.url: its value is not a URL that starts with https:// and a host" in run.err
    assert SECRET not in run.err
    assert pings(hook) == ["/fail"]


def test_a_dry_run_reports_nothing(desk: Desk, hook: Monitor) -> None:
    configure(desk, "http://127.0.0.1:9", notify(hook))
    desk.people(2)

    run = desk.type("run", "people.csv", "--sandbox")

    assert run.status == 0
    assert hook.received == []
    assert not (desk.folder / "uploader.prom").exists()


def test_a_run_of_the_first_rows_reports_nothing(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    configure(desk, sandbox(rules()).url, notify(hook))
    desk.people(5)

    assert desk.type("run", "people.csv", "--limit", "3").status == 0
    assert desk.type("run", "missing.csv", "--limit", "3").status == 4

    assert hook.received == []
    assert not (desk.folder / "uploader.prom").exists()
    assert len(desk.type("runs").out.splitlines()) > 2


def test_a_check_reports_nothing(desk: Desk, hook: Monitor) -> None:
    configure(desk, "http://127.0.0.1:9", notify(hook))
    desk.people(2)

    assert desk.type("check", "people.csv").status == 0
    assert hook.received == []


WRONG: list[tuple[Manner, str]] = [
    ("hangs", "did not answer in time"),
    ("drips", "did not answer in time"),
    ("redirects", "answered 307, a redirect, which is not followed"),
    ("fails", "answered 500"),
    ("drips its handshake", "did not answer in time"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("manner", "words"), WRONG, ids=[manner for manner, _ in WRONG])
def test_an_endpoint_that_is_out_of_order_is_one_warning_and_changes_no_status(
    desk: Desk,
    sandbox: Callable[..., RunningSandbox],
    monkeypatch: pytest.MonkeyPatch,
    manner: Manner,
    words: str,
) -> None:
    monkeypatch.setattr(reports, "LONGEST_SECONDS", 1.0)
    with monitor(manner) as hook:
        configure(desk, sandbox(rules()).url, notify(hook))
        desk.people(5)
        began = time.monotonic()

        run = desk.type("run", "people.csv", "--summary", "summary.json")

    assert run.status == 0
    assert time.monotonic() - began < LONGEST + MARGIN
    assert sorted(run.err.splitlines()) == [
        f"Warning: notify.{key} (127.0.0.1) {words}: a notification of this run is missing there."
        for key in ("ping", "url")
    ]
    assert SECRET not in run.err
    assert desk.summary()["outcome"] == "succeeded"


def test_a_bad_certificate_is_one_warning_and_changes_no_status(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with monitor(trust=context) as hook:
        configure(desk, sandbox(rules()).url, f"notify: {{on: [success], url: {hook.url}/hook/{SECRET}}}\n")
        desk.people(5)

        run = desk.type("run", "people.csv")

    assert (run.status, hook.received) == (0, [])
    assert "notify.url (127.0.0.1) has a certificate that can't be verified (" in run.err
    assert len(run.err.splitlines()) == 1
    assert SECRET not in run.err


@pytest.mark.slow
def test_an_endpoint_that_hangs_costs_the_process_10_s_and_the_run_nothing(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    configure(desk, sandbox(rules()).url, "")
    desk.people(5)
    began = time.monotonic()
    assert desk.process("run", "people.csv").status == 0
    unreported = time.monotonic() - began
    with monitor("hangs") as hook:
        configure(desk, sandbox(rules()).url, notify(hook))
        began = time.monotonic()

        run = desk.process("run", "people.csv", "--summary", "summary.json")

        took = time.monotonic() - began
    assert (run.status, run.out) == (0, "")
    # What a busy machine needs to start a process is no part of it.
    assert took > reports.LONGEST_SECONDS
    assert took - unreported < LONGEST + MARGIN
    assert desk.summary()["seconds"] < reports.LONGEST_SECONDS


@pytest.mark.slow
def test_a_run_that_a_signal_stops_reports_it_and_ends_in_time_where_nobody_answers(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    with monitor("hangs") as hook:
        server = sandbox(rules(latency=(0.2, 0.2)))
        configure(desk, server.url, notify(hook))
        desk.people(5000)
        with desk.start("run", "people.csv", "--summary", "summary.json") as process:
            until(lambda: "started" in hook.events)
            until(lambda: server.sandbox.requests() != [])
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            run = ended(process)
            took = time.monotonic() - began

    assert run.status == -signal.SIGTERM
    assert took < LONGEST + MARGIN
    assert desk.summary()["outcome"] == "stopped by SIGTERM"
    assert hook.events == ["started", "failure"]
    assert "Stopped by SIGTERM. Run again to resume: uploader run people.csv --summary summary.json" in run.err


@pytest.mark.slow
def test_a_signal_after_the_end_ends_the_wait_for_an_answer_and_keeps_the_status(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    with monitor("hangs") as hook:
        configure(desk, sandbox(rules()).url, f"notify: {{on: [success], url: {hook.url}/hook/{SECRET}}}\n")
        desk.people(5)
        with desk.start("run", "people.csv") as process:
            until(lambda: hook.events == ["success"])
            process.send_signal(signal.SIGTERM)
            run = ended(process)

    assert run.status == 0
    assert run.err.splitlines() == ["Warning: stopped before all notifications were answered. The run had ended."]


def start_killed(desk: Desk, job: str) -> None:
    """Leave the record of a start whose process is gone."""
    History(RunStore(desk.folder / ".uploader").state).open(
        RunRecord("start-0", "2024-03-05T02:15:00+00:00", job)
    ).__enter__().__exit__()


def test_a_killed_run_is_reported_once_by_the_next_start(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    configure(desk, sandbox(rules()).url, notify(hook))
    desk.people(5)
    assert desk.type("run", "people.csv").status == 0
    start_killed(desk, "members")
    hook.received.clear()

    assert desk.type("run", "people.csv").status == 0
    assert desk.type("run", "people.csv").status == 0

    assert hook.events == ["failure", "started", "success", "started", "success"]
    assert pings(hook) == ["/fail", "/start", "", "/start", ""]
    killed = next(one.facts for one in hook.received if one.content_type == "application/json")
    assert (killed["end"], killed["run_id"], killed["exit_status"]) == ("killed", "start-0", None)
    assert "killed, or its end could not be recorded" in killed["text"]


def test_a_killed_run_of_another_job_is_left_to_that(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    configure(desk, sandbox(rules()).url, notify(hook))
    desk.people(5)
    assert desk.type("run", "people.csv").status == 0
    start_killed(desk, "orders")
    hook.received.clear()

    assert desk.type("run", "people.csv").status == 0
    assert hook.events == ["started", "success"]
    assert desk.type("run", "people.csv", "--job", "orders").status == 0
    assert hook.events == ["started", "success", "failure", "started", "success"]


def test_a_killed_run_of_the_first_rows_is_not_reported(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    configure(desk, sandbox(rules()).url, notify(hook))
    desk.people(5)
    record = RunRecord("start-0", "2024-03-05T02:15:00+00:00", "members", is_trial=True)
    with History(RunStore(desk.folder / ".uploader").state).open(record):
        pass

    assert desk.type("run", "people.csv").status == 0

    assert hook.events == ["started", "success"]


def test_a_killed_run_stays_killed_in_the_history(desk: Desk, hook: Monitor) -> None:
    configure(desk, "http://127.0.0.1:9", notify(hook))
    history = History(RunStore(desk.folder / ".uploader").state)
    start_killed(desk, "members")

    assert [record.is_killed for record in history.newly_killed(lambda _: True)] == [True]

    assert history.newly_killed(lambda _: True) == []
    assert [record.is_killed for record in history.records()] == [True]


def test_a_run_that_is_at_work_is_not_killed(desk: Desk) -> None:
    history = History(RunStore(desk.folder / ".uploader").state)

    with history.open(RunRecord("start-0", "2024-03-05T02:15:00+00:00", "members")) as record:
        assert history.newly_killed(lambda _: True) == []
        record.write(replace(RunRecord("start-0", "2024-03-05T02:15:00+00:00"), ended="2024-03-05T02:16:00+00:00"))

    assert history.newly_killed(lambda _: True) == []


def test_a_metrics_file_that_cannot_be_written_is_a_warning(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    configure(desk, sandbox(rules()).url, "metrics: {textfile: nowhere/uploader.prom}\n")
    desk.people(5)

    run = desk.type("run", "people.csv")

    path = desk.folder / "nowhere" / "uploader.prom"
    assert run.status == 0
    assert {*run.err.splitlines()} == {
        f"Warning: metrics.textfile: {path} can't be written (No such file or directory)."
    }


def test_a_configuration_with_an_endpoint_that_others_can_read_is_refused(desk: Desk, hook: Monitor) -> None:
    configure(desk, "http://127.0.0.1:9", notify(hook))
    (desk.folder / "config.yaml").chmod(0o644)
    desk.people(1)

    run = desk.type("run", "people.csv")

    assert run.status == 2
    assert "notify.url is written out in a file that is open to other users (mode 0644)" in run.err
    assert SECRET not in run.err


def test_an_endpoint_in_a_variable_needs_no_private_file(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    desk.environ["HOOK"] = SECRET
    configure(desk, sandbox(rules()).url, f"notify: {{on: [success], url: '{hook.url}/hook/${{HOOK}}'}}\n")
    (desk.folder / "config.yaml").chmod(0o644)
    desk.people(1)

    assert desk.type("run", "people.csv").status == 0
    assert [one.path for one in hook.received] == [f"/hook/{SECRET}"]
    del desk.environ["HOOK"]
    assert desk.type("check", "people.csv").status == 0


def test_a_test_says_how_each_endpoint_answered(desk: Desk, hook: Monitor) -> None:
    with monitor("fails") as broken:
        configure(desk, "http://127.0.0.1:9", f"notify: {{url: {hook.url}/{SECRET}, ping: {broken.url}/{SECRET}}}\n")
        run = desk.type("notify", "--test")

    assert run.status == 3
    assert run.err.splitlines() == ["notify.url (127.0.0.1) answered 200.", "notify.ping (127.0.0.1) answered 500."]
    assert hook.events == ["test"]
    assert broken.pings == [f"/{SECRET}/log"]
    assert json.loads(hook.received[0].body)["text"] == "uploader: this is a test. Notifications of runs arrive here."


def test_a_test_that_all_accept_ends_with_0(desk: Desk, hook: Monitor) -> None:
    configure(desk, "http://127.0.0.1:9", f"notify: {{url: {hook.url}/{SECRET}}}\n")

    assert desk.type("notify", "--test").status == 0


def test_a_test_without_an_endpoint_says_what_to_write(desk: Desk) -> None:
    configure(desk, "http://127.0.0.1:9", "")

    run = desk.type("notify", "--test")

    assert run.status == 2
    assert run.err.rstrip() == (
        "config.yaml has no endpoint for notifications: write notify.url or notify.ping. "
        "A variable in them has to be set."
    )
    assert desk.type("notify").status == 2


def test_no_thread_left_is_a_warning(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(reports, "start_post", refuse)
    configure(desk, sandbox(rules()).url, f"notify: {{on: [success], url: {hook.url}/{SECRET}}}\n")
    desk.people(1)

    run = desk.type("run", "people.csv")

    assert (run.status, run.err.splitlines()) == (0, ["Warning: this run could not be reported (RuntimeError)."])


def past_run(desk: Desk) -> Mapping[str, object]:
    """Return what `uploader runs --json` says of the only run."""
    (found,) = json.loads(desk.type("runs", "--json").out)
    return {name: found[name] for name in (*BALANCED, "read", "requests")}


def test_the_report_of_a_killed_run_says_what_it_had_done(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    server = sandbox(rules(latency=(0.1, 0.1)))
    configure(desk, server.url, f"notify: {{on: [failure], url: {hook.url}/hook, ping: {hook.url}/ping/{SECRET}}}\n")
    desk.people(400)
    with desk.start("run", "people.csv") as process:
        until(lambda: len(server.sandbox.requests()) > 100)
        process.kill()
    said = past_run(desk)
    sent = said["sent"]
    assert (said["read"], 0 < int(str(sent)) < 400) == (400, True)

    assert desk.type("run", "people.csv").status == 0

    killed = next(one.facts for one in hook.received if one.content_type == "application/json")
    assert {name: killed[name] for name in said} == said
    resumed, before = (start.record for start in RunHistory(desk.folder / ".uploader").starts())
    assert (before.end, before.counts.sent, resumed.counts.sent) == (RunEnd.KILLED, sent, 400)
    (ping,) = [one.body.decode() for one in hook.received if one.path.endswith("/fail")]
    assert f"400 rows: {sent} sent, {said['not_attempted']} not attempted." in ping


def test_the_report_of_a_killed_run_whose_journal_cannot_be_read_says_nothing_of_its_rows(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = RunStore(desk.folder / ".uploader").state
    source = SourceRecord("people.csv", "run-0", counts=Counts(400, not_attempted=400))
    with History(state).open(RunRecord("start-0", "2024-03-05T02:15:00+00:00", "members", (source,))):
        pass

    def refuse(*_: object) -> None:
        raise StorageError("full")

    options = Options(("people.csv",), desk.folder / "config.yaml")
    environment = Environment(environ={}, stdin=BytesIO(b""))
    with RecordedStart(options, environment, ResultsSoFar()) as start:
        start.open(state, "members")
        monkeypatch.setattr(recorded_start, "sources_of", refuse)
        (killed,) = start.newly_killed()

    assert (killed.start_id, killed.end, killed.counts) == ("start-0", RunEnd.KILLED, Counts())


def test_the_wait_for_the_metrics_file_is_part_of_the_time_for_all_endpoints(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, waited = [100.0], list[float]()

    def write_metrics(*_: object) -> None:
        now[0] += 2.0

    def replies_of(_: object, seconds: float) -> Sequence[EndpointReply]:
        waited.append(seconds)
        return []

    monkeypatch.setattr(reports, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(reports, "write_metrics", write_metrics)
    monkeypatch.setattr(reports, "replies_of", replies_of)
    configure(desk, sandbox(rules()).url, notify(hook))
    desk.people(1)

    assert desk.type("run", "people.csv").status == 0

    assert waited == [reports.LONGEST_SECONDS - 2.0]


def test_all_that_report_a_start_name_the_same_run_or_none(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    configure(desk, sandbox(rules()).url, f"notify: {{on: {ALL}, url: {hook.url}/hook}}\n")
    desk.write("people.csv", "name\nann\n")
    for _ in range(2):
        assert desk.type("run", "people.csv", "--summary", "summary.json").status != 0
        assert desk.summary()["run_id"] == ""
    last = desk.type("runs", "last").out
    refused = json.loads(desk.type("runs", "--json").out)
    desk.people(1)
    assert desk.type("run", "people.csv", "--summary", "summary.json").status == 0

    assert "people.csv (no run was started)" in last.splitlines()
    assert [(one["run_id"], one["earlier_starts"]) for one in refused] == [("", []), ("", [])]
    runs = [one.facts["sources"][0]["run_id"] for one in hook.received]
    assert runs == ["", "", "", "", "", desk.summary()["run_id"]]
    assert json.loads(desk.type("runs", "--json").out)[0]["run_id"] == desk.summary()["run_id"]
