"""A job without a name is known by its SOURCEs as the command names them, whatever they are tonight."""

import os
import re
from collections.abc import Callable, Iterator

import pytest

from tests.command import Desk, rules
from tests.monitors import Monitor, monitor
from uploader.run_record import RunRecord, SourceRecord
from uploader.sandbox import RunningSandbox
from uploader.state import History, RunStore

PATTERN = "members_*.csv"


@pytest.fixture
def hook() -> Iterator[Monitor]:
    with monitor() as found:
        yield found


def configure(desk: Desk, url: str, hook: Monitor) -> None:
    more = (
        f"notify: {{on: [failure, success], url: {hook.url}/hook}}\nmetrics: {{textfile: uploader.prom}}\n"
        "retry_last_failures: true\n"
    )
    desk.configure(url, more=more)
    (desk.folder / "config.yaml").chmod(0o600)


def statuses(desk: Desk) -> dict[str, str]:
    """Return the exit status of the last run of each job in the metrics file."""
    text = (desk.folder / "uploader.prom").read_text(encoding="utf-8")
    return dict(re.findall(r'last_run_exit_status\{job="([^"]*)"\} (\d+)', text))


def test_the_night_after_a_failure_is_of_the_same_job(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    configure(desk, sandbox(rules("http=503 for df_name=old times 2")).url, hook)
    desk.write("people.csv", "id,name\n1,old\n2,new\n")
    assert desk.type("run", "people.csv").status == 3
    assert statuses(desk) == {"people.csv": "3"}

    assert desk.type("run", "people.csv", "--summary", "summary.json").status == 0

    assert len(desk.summary()["sources"]) == 2
    assert statuses(desk) == {"people.csv": "0"}
    assert hook.received[-1].facts["text"].startswith("uploader: people.csv: succeeded, ")


@pytest.mark.parametrize("words", [("--newest", PATTERN), ("members_{today:%Y}.csv",)], ids=" ".join)
def test_a_job_of_a_pattern_is_one_job_whether_or_not_its_file_is_there(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor, words: tuple[str, ...]
) -> None:
    configure(desk, sandbox(rules()).url, hook)
    name = words[-1]
    desk.people(1, "others.csv")
    assert desk.type("run", "others.csv").status == 0

    assert desk.type("run", *words).status == 4
    assert statuses(desk) == {"others.csv": "0", name: "4"}
    assert hook.received[-1].facts["text"].startswith(f"uploader: {name}: refused: ")
    assert f" {name} " in desk.type("runs").out.splitlines()[1]

    for year in range(2000, 2100):
        desk.people(1, f"members_{year}.csv")
    assert desk.type("run", *words).status == 0
    assert statuses(desk) == {"others.csv": "0", name: "0"}
    assert len(desk.type("runs", "--job", name).out.splitlines()) > 2


def test_a_killed_run_of_a_pattern_is_reported_by_the_next_start_of_the_pattern(
    desk: Desk, sandbox: Callable[..., RunningSandbox], hook: Monitor
) -> None:
    configure(desk, sandbox(rules()).url, hook)
    for number in (1, 2):
        os.utime(desk.people(1, f"members_{number}.csv"), (number, number))
    record = RunRecord(
        "start-0", "2024-03-05T02:15:00+00:00", sources=(SourceRecord("members_1.csv"),), named=(PATTERN,)
    )
    with History(RunStore(desk.folder / ".uploader").state).open(record):
        pass

    assert desk.type("run", "--newest", "others_*.csv").status == 4
    assert desk.type("run", "--newest", PATTERN).status == 0

    assert [(one.facts["run_id"], one.facts["end"]) for one in hook.received][1] == ("start-0", "killed")
    assert hook.events == ["failure", "failure", "success"]
