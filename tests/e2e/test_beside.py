"""Run several at once on one service: they share one quota, and disturb each other in nothing."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from typing import Final

import pytest

from tests.command import Desk, busiest, ended, names, names_of, until
from uploader.sandbox import RunningSandbox, SandboxRules

LIMIT: Final = 1000
PER: Final = 2.0
RATE: Final = ("--set", f"rate.requests={LIMIT}", "--set", f"rate.per={PER:g}s", "--set", "api.timeout=10s")
PROCESSES: Final = 4


def _files(desk: Desk, rows: int) -> list[str]:
    """Write a file for each process; the ids of all are different."""
    found = []
    for number in range(PROCESSES):
        first = number * rows + 1
        content = "".join(f"{one},name{one}\n" for one in range(first, first + rows))
        found.append(desk.write(f"part{number}.csv", f"id,name\n{content}").name)
    return found


def _process_of(identity: object, rows: int) -> int:
    return (int(str(identity)) - 1) // rows


@pytest.mark.long
@pytest.mark.paced
@pytest.mark.parametrize("share", [0.95, 1.0])
def test_four_at_once_keep_the_limit_together_and_share_it_fairly(
    desk: Desk, sandbox: Callable[..., RunningSandbox], share: float
) -> None:
    rows = 1500
    server = sandbox(SandboxRules(limit=LIMIT, per=PER, anchor=0.7))
    desk.configure(server.url)

    with ExitStack() as stack:
        processes = [
            stack.enter_context(desk.start("run", name, *RATE, "--set", f"rate.share={share}"))
            for name in _files(desk, rows)
        ]
        runs = [ended(process) for process in processes]

    report, requests = server.sandbox.report(), server.sandbox.requests()
    assert [(run.status, run.err) for run in runs] == [(0, "")] * PROCESSES
    assert (report.over_limit, report.requests) == (0, PROCESSES * rows)
    spans: dict[int, list[float]] = {}
    for request in requests:
        spans.setdefault(_process_of(request.identity["external_id"], rows), []).append(request.monotonic)
    begin, end = max(span[0] for span in spans.values()), min(span[-1] for span in spans.values())
    parts = Counter(
        _process_of(request.identity["external_id"], rows) for request in requests if begin <= request.monotonic <= end
    )
    assert end - begin >= 2 * PER
    assert min(parts[number] for number in range(PROCESSES)) >= 0.15 * parts.total()
    full = [window.received for window in report.windows[1:-1]]
    assert max(full) <= LIMIT


@pytest.mark.parametrize("name", ["other name.csv", "elsewhere/people.csv"])
def test_a_file_that_is_being_sent_under_another_name_is_not_sent_beside_it(
    desk: Desk, sandbox: Callable[..., RunningSandbox], name: str
) -> None:
    server = sandbox(SandboxRules(limit=LIMIT, per=PER, latency=(0.2, 0.2)))
    desk.configure(server.url)
    path = desk.people(200)
    (desk.folder / "elsewhere").mkdir()
    (desk.folder / name).hardlink_to(path)

    with desk.start("run", "people.csv", "--set", "rate.concurrency=1") as process:
        until(lambda: server.sandbox.report().requests >= 1)
        second = desk.type("run", name)
        twice = desk.type("run", "people.csv", name)
        process.kill()
    continued = desk.type("run", name, "--set", "rate.concurrency=32")

    assert second.status == 8
    assert second.err.startswith(f"Another run sends {name} to this service: process {process.pid}, since ")
    assert (twice.status, twice.err) == (2, f"SOURCE '{name}' is given twice. Name it once.\n")
    assert continued.status == 0


@pytest.mark.long
@pytest.mark.paced
def test_one_that_is_killed_disturbs_no_other_and_is_continued(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    rows = 700
    server = sandbox(SandboxRules(limit=LIMIT, per=PER, anchor=0.0))
    desk.configure(server.url)
    files = _files(desk, rows)

    with ExitStack() as stack:
        processes = [stack.enter_context(desk.start("run", name, *RATE)) for name in files]
        until(lambda: server.sandbox.report().requests >= 800)
        processes[0].kill()
        died = time.monotonic()
        runs = [ended(process) for process in processes]
    continued = desk.type("run", files[0], *RATE)

    moments = [request.monotonic for request in server.sandbox.requests()]
    pauses = [other - one for one, other in pairwise(moments) if died <= other <= died + 1]
    assert [run.status for run in runs] == [-signal.SIGKILL, 0, 0, 0]
    assert [run.err for run in runs] == [""] * PROCESSES
    assert max(pauses) < 0.5
    assert continued.status == 0
    assert "resuming run" in continued.err
    assert server.sandbox.report().over_limit == 0
    assert names(server) == names_of(range(1, PROCESSES * rows + 1))


@pytest.mark.long
@pytest.mark.paced
def test_one_that_starts_beside_another_adds_no_burst(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    limit, per = 40, 4.0
    server = sandbox(SandboxRules(limit=limit, per=per, anchor=None))
    desk.configure(server.url)
    rate = ("--set", f"rate.requests={limit}", "--set", "rate.per=4s")

    with ExitStack() as stack:
        processes = []
        for name in _files(desk, 20):
            processes.append(stack.enter_context(desk.start("run", name, *rate)))
            time.sleep(0.2)
        runs = [ended(process) for process in processes]

    moments = [request.monotonic for request in server.sandbox.requests()]
    assert [run.status for run in runs] == [0] * PROCESSES
    assert (len(moments), server.sandbox.report().over_limit) == (20 * PROCESSES, 0)
    assert busiest(moments, per) <= limit
