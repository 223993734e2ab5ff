"""Hold the limit, and use it: what the sandbox counted in each window."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import pytest

from tests.command import Desk, books_of, busiest, ended, until
from uploader.sandbox import ReplyStyle, RunningSandbox, SandboxRules

LIMIT: Final = 1000
PER: Final = 2.0
CONCURRENCY: Final = 32
TRIALS: Final = 3
FULL: Final = os.environ.get("PACE") == "full"
"""Whether every anchor gets 20 windows, at three times the documented rate (`make test-pace`)."""

USED_UP: Final = LIMIT if FULL else 334
"""The limit of the runs that have to use it up: 10,000 a minute are 167 a second, for which a busy machine has time."""

LIMITED: Final = ("--set", f"rate.requests={LIMIT}", "--set", f"rate.per={PER:g}s", "--set", "api.timeout=10s")
SIZES: Final = [
    (0.7, 0.95, 20),
    (0.0, 0.95, 5),
    (1.3, 0.95, 5),
    (None, 0.95, 5),
    (0.0, 1.0, 5),
    (None, 1.0, 5),
    *([(0.7, 1.0, 5), (1.3, 1.0, 5)] if FULL else []),
]


@pytest.mark.long
@pytest.mark.paced
@pytest.mark.parametrize(("anchor", "share", "windows"), SIZES)
def test_the_limit_is_never_exceeded_and_nearly_used_up(
    desk: Desk, sandbox: Callable[..., RunningSandbox], anchor: float | None, share: float, windows: int
) -> None:
    windows = 20 if FULL else windows
    rows = int((windows + 1.5) * share * USED_UP)
    desk.people(rows)
    used: list[float] = []

    # A machine that is busy with other things can't use the limit up; over it nobody ever goes.
    while len(used) < TRIALS and max(used, default=0.0) < 0.97:
        server = sandbox(SandboxRules(limit=USED_UP, per=PER, anchor=anchor))
        desk.configure(server.url)
        words = ("--set", f"rate.requests={USED_UP}", "--set", f"rate.share={share}", "--summary", "s.json")
        with desk.start("run", "people.csv", *LIMITED, *words) as process:
            run = ended(process, 120)

        report = server.sandbox.report()
        full = [window.received for window in report.windows[1:-1]]
        assert (run.status, run.out, run.err) == (0, "", "")
        assert books_of(desk.summary("s.json")) == {"sent": rows}
        assert (report.requests, report.over_limit, report.codes) == (rows, 0, {"20000": rows})
        assert len(full) >= windows - 1
        assert max(full) <= USED_UP
        used.append(sum(full) / len(full) / (share * USED_UP))

    assert max(used) >= 0.97


@pytest.mark.long
@pytest.mark.paced
@pytest.mark.parametrize("reply", ["429", "40401"])
@pytest.mark.parametrize("unit", ["s", "ms"])
def test_another_client_that_burns_the_quota_costs_a_pause_and_no_row(
    desk: Desk, sandbox: Callable[..., RunningSandbox], reply: Literal["429", "40401"], unit: Literal["s", "ms"]
) -> None:
    server = sandbox(SandboxRules(limit=LIMIT, per=PER, anchor=0.3, replies=ReplyStyle(reply, unit=unit)))
    desk.configure(server.url)
    desk.people(3000)

    with desk.start("run", "people.csv", *LIMITED, "--summary", "summary.json") as process:
        until(lambda: server.sandbox.report().requests >= 700)
        server.sandbox.use_up(LIMIT)
        run = ended(process)

    requests = server.sandbox.requests()
    refused = [request for request in requests if request.window.over]
    assert (run.status, run.err) == (0, "")
    assert desk.books() == {"sent": 3000}
    assert 1 <= len(refused) <= CONCURRENCY
    assert len({request.window.number for request in refused}) == 1
    reset = refused[0].window.start + PER
    again = min(request.arrived for request in requests if request.arrived >= reset)
    assert again - reset <= 2.0
    assert desk.summary()["limited"] == len(refused)
    assert 0 < desk.summary()["limited_seconds"] <= PER + 2


@pytest.mark.long
@pytest.mark.paced
def test_a_run_that_starts_right_after_another_adds_no_burst(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    limit, per = 20, 4.0
    server = sandbox(SandboxRules(limit=limit, per=per, anchor=None))
    desk.configure(server.url)
    desk.people(6)

    for _ in range(5):
        words = ("--set", f"rate.requests={limit}", "--set", "rate.per=4s", "--set", "rate.share=1")
        assert desk.type("run", "people.csv", *words).status == 0

    moments = [request.monotonic for request in server.sandbox.requests()]
    assert (len(moments), server.sandbox.report().over_limit) == (30, 0)
    assert busiest(moments, per) <= limit
    assert busiest(moments, 0.05) <= 2


@pytest.mark.long
@pytest.mark.paced
def test_a_service_that_tells_nothing_of_its_window_gets_the_configured_pace(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    # 167 a second, as documented: a busy machine has time for them.
    server = sandbox(SandboxRules(limit=LIMIT, per=6.0, replies=ReplyStyle(spelling="none")))
    desk.configure(server.url)
    desk.people(4 * LIMIT)

    run = desk.process("run", "people.csv", *LIMITED, "--set", "rate.per=6s")

    report = server.sandbox.report()
    assert (run.status, report.over_limit) == (0, 0)
    full = [window.received for window in report.windows[1:-1]]
    assert sum(full) / len(full) >= 0.9 * LIMIT


@pytest.mark.long
@pytest.mark.paced
def test_another_client_is_noticed_and_leaves_its_quota(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    server = sandbox(SandboxRules(limit=LIMIT, per=4.0, replies=ReplyStyle(unit="ms")))
    desk.configure(server.url)
    desk.people(1500)

    with desk.start("run", "people.csv", *LIMITED, "--set", "rate.per=4s") as process:
        until(lambda: server.sandbox.report().requests >= 100)
        until(lambda: _burns(server) or process.poll() is not None)
        run = ended(process)

    assert run.status == 0
    assert server.sandbox.report().over_limit == 0
    assert [line.partition(",")[0] for line in run.err.splitlines()] == ["Others use the same quota"]


@pytest.mark.long
@pytest.mark.paced
def test_a_log_that_is_full_when_another_client_is_noticed_changes_nothing(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(SandboxRules(limit=LIMIT, per=4.0, replies=ReplyStyle(unit="ms")))
    desk.configure(server.url)
    desk.people(1500)
    words = ("--set", "rate.per=4s", "--summary", "summary.json")

    with (
        Path("/dev/full").open("w", encoding="utf-8") as full,
        desk.start("run", "people.csv", *LIMITED, *words, stderr=full) as process,
    ):
        until(lambda: server.sandbox.report().requests >= 100)
        until(lambda: _burns(server) or process.poll() is not None)
        run = ended(process)

    assert (run.status, desk.books(), desk.summary()["requests"]) == (0, {"sent": 1500}, 1500)
    assert len(server.sandbox.requests()) == 1500


def _burns(server: RunningSandbox) -> bool:
    """Use a little of the quota, as another client would; about 100 a second."""
    server.sandbox.use_up(1)
    return False


def test_the_busiest_window_is_found() -> None:
    moments = [0.0, 0.5, 0.9, 1.4, 1.45, 3.0]

    assert [busiest(moments, window) for window in (0.1, 1.0, 10.0)] == [2, 4, 6]
