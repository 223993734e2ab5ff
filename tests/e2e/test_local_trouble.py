"""Run on a machine that is short of sockets and files: slower, and no row is charged for it."""

import resource
import shlex
import sys
from collections.abc import Callable

from tests.command import Desk, ended, names, names_of, rules, until
from uploader.sandbox import RunningSandbox

ROWS = 300


def test_a_process_that_may_open_few_files_sends_all_the_same(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("code=40001 for external_id=50", latency=(0.02, 0.02)))
    desk.configure(server.url)
    desk.people(ROWS)
    command = shlex.join([sys.executable, "-m", "uploader", "run", "people.csv", "--summary", "summary.json"])
    shell = ("-c", "import os, sys; os.execvp('sh', ['sh', '-c', 'ulimit -n 36; exec ' + sys.argv[1]])")

    with desk.start(command, through=shell) as process:
        run = ended(process)

    assert run.status == 3
    assert desk.books() == {"sent": ROWS - 1, "rejected": 1}
    assert (desk.summary()["requests"], desk.summary()["maybe_sent_twice"]) == (ROWS, 0)


def test_a_process_that_runs_out_of_sockets_goes_on_with_fewer(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    server = sandbox(rules("close", latency=(0.1, 0.1)))
    desk.configure(server.url)
    desk.people(ROWS)

    with desk.start("run", "people.csv", "-vv", "--summary", "summary.json") as process:
        until(lambda: server.sandbox.report().requests >= 60)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (30, 30))
        run = ended(process)

    assert run.status == 0
    assert "this machine has no socket or file left" in run.err
    assert desk.books() == {"sent": ROWS}
    assert desk.summary()["maybe_sent_twice"] == 0
    assert names(server) == names_of(range(1, ROWS + 1))
