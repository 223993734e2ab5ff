"""Hold the limit, and use it: what the sandbox counted in each window."""

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Desk, books_of
from uploader.sandbox import Rules, Running

LIMIT = 1000
SHARE = 0.95
ROWS = 8000


@pytest.mark.long
@pytest.mark.parametrize("anchor", [0.0, 0.7, 1.3, None])
def test_the_limit_is_never_exceeded_and_nearly_used_up(
    desk: Desk, sandbox: Callable[..., Running], anchor: float | None
) -> None:
    server = sandbox(Rules(limit=LIMIT, per=2.0, anchor=anchor))
    desk.configure(server.url)
    desk.people(ROWS)
    limit = ("--set", f"rate.requests={LIMIT}", "--set", "rate.per=2s", "--set", f"rate.share={SHARE}")

    ended = desk.process("run", "people.csv", "--set", "api.timeout=10s", *limit, "--summary", "summary.json")

    report = server.box.report()
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert books_of(desk.summary()) == {"sent": ROWS}
    assert (report.requests, report.over_limit, report.codes) == (ROWS, 0, {"20000": ROWS})
    full = [window.received for window in report.windows[1:-1]]
    assert len(full) >= 7
    assert sum(full) / len(full) >= 0.97 * SHARE * LIMIT
    assert max(full) <= LIMIT
