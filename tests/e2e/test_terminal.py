"""What a user sees in a terminal: the bar at every width, after a resize and a resume, colours, and what comes next."""

import re
from collections.abc import Callable, Mapping

import pytest

from tests.command import Desk, rules
from tests.screen import UPLOADER, Terminal, cells, columns_of, frames
from uploader.sandbox import RunningSandbox

NAME = "회원_export_members_of_all_shops_20240305.csv"
SLOW = ("--set", "rate.requests=400", "--set", "rate.per=10s", "--set", "rate.share=0.95")
"""About 37 rows a second."""

CRAWLING = ("--set", "rate.requests=40", "--set", "rate.per=10s")


def open_terminal(desk: Desk, *words: str, columns: int = 80, environ: Mapping[str, str] | None = None) -> Terminal:
    return Terminal((*UPLOADER, *words), desk.folder, {**desk.environ, **(environ or {})}, columns)


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "least"), [(40, 10), (80, 20), (120, 20)])
def test_the_bar_fits_into_one_line_of_the_terminal(
    desk: Desk, sandbox: Callable[..., RunningSandbox], columns: int, least: int
) -> None:
    desk.configure(sandbox(rules("code=40001 for external_id=7")).url)
    desk.people(130, NAME)

    with open_terminal(desk, "run", NAME, *SLOW, columns=columns) as terminal:
        status = terminal.end()

    shown = frames(terminal.written)
    assert status == 3
    assert len(shown) >= 3
    assert max(map(columns_of, shown)) < columns
    assert min(map(cells, shown)) >= least
    assert all("20240305.csv"[-7:] in frame for frame in shown)
    assert not any(frames(line) for line in terminal.screen.lines)


@pytest.mark.slow
def test_the_bar_takes_the_width_that_the_terminal_has_now(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(400)

    with open_terminal(desk, "run", "people.csv", *SLOW, columns=120) as terminal:
        wide = frames(terminal.read_until(lambda since: len(frames(since)) >= 3))
        terminal.resize(40)
        # A frame may have been on its way.
        terminal.read_until(lambda since: len(frames(since)) >= 2)
        before = terminal.screen.wrapped
        narrow = frames(terminal.read_until(lambda since: len(frames(since)) >= 3))
        wrapped = terminal.screen.wrapped - before
        terminal.resize(80)
        terminal.read_until(lambda since: len(frames(since)) >= 2)
        usual = frames(terminal.read_until(lambda since: len(frames(since)) >= 3))
        terminal.press_ctrl_c()
        terminal.end()

    assert {columns_of(frame) for frame in wide[1:]} == {119}
    assert max(map(columns_of, narrow)) < 40
    assert wrapped == 0
    assert min(map(cells, usual)) >= 20
    assert 40 < max(map(columns_of, usual)) < 80


def seconds_left(frame: str) -> int:
    """Return how many seconds are left, as *frame* says it."""
    found = re.search(r"<(?:(\d+):)?(\d+):(\d+)", frame)
    assert found is not None, frame
    return int(found[1] or 0) * 3600 + int(found[2]) * 60 + int(found[3])


@pytest.mark.slow
def test_rows_that_were_settled_before_are_no_speed(desk: Desk, sandbox: Callable[..., RunningSandbox]) -> None:
    desk.configure(sandbox(rules("code=40201 for external_id=1900 times 1")).url)
    desk.people(2000)
    first = desk.type("run", "people.csv", "--set", "rate.concurrency=1")

    with open_terminal(desk, "run", "people.csv", *CRAWLING, columns=120) as terminal:
        terminal.read_until(lambda since: "[00:04<" in since)
        terminal.press_ctrl_c()
        status = terminal.end()

    shown = frames(terminal.written)
    assert (first.status, status) == (5, -2)
    # 1,900 rows were settled. Those that are left, 4 in a second, need 20 seconds at least.
    late = [frame for frame in shown if "[00:04<" in frame]
    assert min(map(seconds_left, late)) >= 10
    assert {int(share) for share in re.findall(r"(\d+)% of the limit", terminal.written)} <= {*range(101)}
    assert " 94%|" in shown[0] or " 95%|" in shown[0]


@pytest.mark.slow
def test_ctrl_c_says_the_same_command_with_all_that_it_needs(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    desk.configure(sandbox(rules("code=40001 for external_id=3")).url)
    (desk.folder / "config.yaml").rename(desk.folder / "our config.yaml")
    desk.people(400)
    words = ("run", "people.csv", "--config", "our config.yaml", *SLOW, "--fresh", "--summary", "last.json")

    with open_terminal(desk, *words, columns=200) as terminal:
        terminal.read_until(lambda since: " 1 rejected" in since)
        terminal.press_ctrl_c()
        status = terminal.end()

    assert status == -2
    assert [line for line in terminal.screen.lines if line][-1] == (
        "Stopped by SIGINT. Run again to resume: uploader run people.csv --config 'our config.yaml' "
        "--set rate.requests=400 --set rate.per=10s --set rate.share=0.95 --summary last.json"
    )
    assert "To resume" not in terminal.written
    assert "Fix" not in terminal.written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environ", "shown"),
    [({}, ["bar", "colour"]), ({"NO_COLOR": "1"}, ["bar"]), ({"TERM": "dumb"}, [])],
    ids=["usual", "NO_COLOR", "dumb"],
)
def test_the_bar_is_coloured_where_the_user_wants_that(
    desk: Desk, sandbox: Callable[..., RunningSandbox], environ: dict[str, str], shown: list[str]
) -> None:
    desk.configure(sandbox(rules()).url)
    desk.people(40)

    with open_terminal(desk, "run", "people.csv", *SLOW, environ=environ) as terminal:
        status = terminal.end()

    assert status == 0
    found = [("bar", "%|"), ("colour", "\x1b[32m")]
    assert [name for name, text in found if text in terminal.written] == shown


@pytest.mark.slow
def test_the_check_of_a_large_file_shows_that_it_is_at_work(desk: Desk) -> None:
    desk.configure("http://127.0.0.1:1")
    desk.people(600_000)

    with open_terminal(desk, "check", "people.csv", "--set", "source.columnar=off", columns=40) as terminal:
        status = terminal.end()

    assert status == 0
    assert re.search(r"\r[-|/\\] Checking: [\d,]+ rows, \d s *\r", terminal.written) is not None
    assert terminal.screen.lines[0].startswith("people.csv: 600,000 rows, all can be")
    assert terminal.screen.wrapped <= 2
