"""What whoever watches a run is shown."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from tqdm.utils import disp_len

from uploader.counts import Counts, Progress
from uploader.outputs import progress as progress_module
from uploader.outputs.duration_text import spell_seconds
from uploader.outputs.progress import Bar, may_colour, plain_line


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [
        (0.0, "0 s"),
        (0.4, "0 s"),
        (1.5, "2 s"),
        (41.0, "41 s"),
        (99.4, "99 s"),
        (100.0, "2 min"),
        (719.0, "12 min"),
        (3569.0, "59 min"),
        (3590.0, "1 h 0 min"),
        (30000.0, "8 h 20 min"),
        (360000.0, "100 h 0 min"),
    ],
)
def test_a_time_is_spelled_as_people_say_it(seconds: float, spelled: str) -> None:
    assert spell_seconds(seconds) == spelled


@pytest.mark.parametrize(
    ("standing", "line"),
    [
        (
            Progress(Counts(3000, sent=1487, rejected=12, failed=1), requests=1490, paused_seconds=0.0),
            "people.csv: 1,500 of 3,000 rows (50%), 12 rejected, 1 failed, about 15 s left",
        ),
        (
            Progress(Counts(3_000_000), requests=0, paused_seconds=9.0),
            "people.csv: 0 of 3,000,000 rows (0%), 0 rejected, 0 failed, about 8 h 20 min left",
        ),
        (
            Progress(Counts(3000, sent=2999), requests=2999, paused_seconds=0.0),
            "people.csv: 2,999 of 3,000 rows (99%), 0 rejected, 0 failed, about 0 s left",
        ),
        (
            Progress(Counts(0), requests=0, paused_seconds=0.0),
            "people.csv: 0 of 0 rows (100%), 0 rejected, 0 failed, about 0 s left",
        ),
    ],
)
def test_a_plain_line_says_how_far_the_run_is(standing: Progress, line: str) -> None:
    assert plain_line("people.csv", standing, rows_per_second=100.0) == line


class Clock:
    """A clock that stands still until it is told the time."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def frames(screen: StringIO) -> list[str]:
    """Return what was drawn, one frame after another; tqdm's own times and rates stand for themselves."""
    drawn = (frame.strip() for frame in screen.getvalue().split("\r"))
    return [re.sub(r"\[.*? rows?/s|\[.*?s/ rows", "[TIME", frame) for frame in drawn if frame]


def test_the_bar_shows_rows_share_of_the_limit_and_trouble() -> None:
    screen, clock = StringIO(), Clock()

    with Bar("people.csv", total=200, limit=100.0, stream=screen, clock=clock) as bar:
        clock.now += 2
        bar.show(Progress(Counts(200, sent=95, rejected=3, failed=2), requests=95, paused_seconds=0.0))
        shown = frames(screen)[-1]

    assert shown == "people.csv  50%|#####     | 100/200 [TIME, 48% of the limit, 3 rejected, 2 failed]"


def test_the_bar_says_how_long_sending_was_paused() -> None:
    screen, clock = StringIO(), Clock()

    with Bar("people.csv", total=200, limit=100.0, stream=screen, clock=clock) as bar:
        clock.now += 2
        bar.show(Progress(Counts(200, sent=200), requests=200, paused_seconds=12.4))
        shown = frames(screen)[-1]

    assert shown == "people.csv 100%|##########| 200/200 [TIME, 100% of the limit, 0 rejected, 0 failed, paused 12 s]"


def test_the_share_of_the_limit_is_that_of_the_time_since_it_was_last_shown() -> None:
    screen, clock = StringIO(), Clock()

    with Bar("people.csv", total=200, limit=100.0, stream=screen, clock=clock) as bar:
        shares = []
        for seconds, requests in ((2.0, 100), (0.5, 110), (0.5, 120), (1.0, 220)):
            clock.now += seconds
            bar.show(Progress(Counts(200), requests=requests, paused_seconds=0.0))
            shares += re.findall(r"(\d+%) of the limit", frames(screen)[-1])

    assert shares == ["50%", "50%", "20%", "100%"]


def test_the_share_of_the_limit_is_that_of_the_call_that_is_nearer_to_its_own() -> None:
    screen, clock = StringIO(), Clock()

    with Bar("people.csv", total=200, limit=100.0, stream=screen, clock=clock) as bar:
        shares = []
        for registrations, requests in ((60, 100), (60, 170), (60, 180)):
            clock.now += 1.0
            bar.show(Progress(Counts(200), requests, 0.0, registrations))
            shares += re.findall(r"(\d+%) of the limit", frames(screen)[-1])

    assert shares == ["60%", "70%", "10%"]


def test_the_bar_takes_itself_away() -> None:
    screen = StringIO()

    with Bar("people.csv", total=200, limit=100.0, stream=screen, clock=Clock()) as bar:
        bar.show(Progress(Counts(200, sent=10), requests=10, paused_seconds=0.0))

    assert screen.getvalue().endswith("\r")
    assert screen.getvalue().split("\r")[-2].strip() == ""


class Utf8Screen(StringIO):
    """A terminal that shows every character."""

    encoding = "utf-8"


def columns(monkeypatch: pytest.MonkeyPatch, *widths: int) -> None:
    """Let the terminal have these widths, one after another, and the last one from then on."""
    left = list(widths)

    def width(_: object) -> int:
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(progress_module, "_columns", width)


@pytest.mark.parametrize(
    ("wide", "name", "paused", "shown"),
    [
        (
            120,
            "people.csv",
            12.0,
            "people.csv  50%|▓▓| 500000/1000000 [TIME, 48% of the limit, 5 rejected, 0 failed, paused 12 s]",
        ),
        (80, "people.csv", 12.0, "people.csv  50%|▓▓| [TIME, 5 rejected, paused 12 s]"),
        (80, "members_of_all_shops.csv", 0.0, "…ops.csv  50%|▓▓| [TIME, 48% of the limit, 5 rejected]"),
        (80, "회원 전체 목록.csv", 0.0, "…록.csv  50%|▓▓| [TIME, 48% of the limit, 5 rejected]"),
        (40, "members_of_all_shops.csv", 12.0, "…hops.csv  50%|▓▓| [TIME]"),
        (20, "members_of_all_shops.csv", 12.0, "…ps.csv  50%|▓▓|"),
        (8, "members_of_all_shops.csv", 12.0, "  50%|▓▓"),
        (80, "{}\x1b.csv", 0.0, "{}?.csv  50%|▓▓| [TIME, 48% of the limit, 5 rejected]"),
    ],
)
def test_the_name_is_shortened_first_and_the_bar_keeps_its_cells(
    monkeypatch: pytest.MonkeyPatch, wide: int, name: str, paused: float, shown: str
) -> None:
    columns(monkeypatch, wide)
    screen, clock = Utf8Screen(), Clock()

    with Bar(name, total=1_000_000, limit=100.0, stream=screen, clock=clock) as bar:
        clock.now += 2
        bar.show(Progress(Counts(1_000_000, sent=499_995, rejected=5), requests=95, paused_seconds=paused))
        frame = screen.getvalue().split("\r")[-1].rstrip()

    found = re.sub(r"\d+:\d\d<[\d:]+|[\d:]+ left", "TIME", re.sub(r"\|[^|]*", "|▓▓", frame, count=1))
    assert (found, disp_len(frame) < wide) == (shown, True)


def test_a_narrower_terminal_gets_no_blanks_of_a_longer_line(monkeypatch: pytest.MonkeyPatch) -> None:
    columns(monkeypatch, 120, 120, 60)
    screen, clock = StringIO(), Clock()

    with Bar("people.csv", total=200, limit=100.0, stream=screen, clock=clock) as bar:
        bar.show(Progress(Counts(200, sent=10), requests=10, paused_seconds=0.0))
        bar.show(Progress(Counts(200, sent=20), requests=20, paused_seconds=0.0))
        last = screen.getvalue().rpartition("\x1b[J")[2]

    assert {len(frame) for frame in last.split("\r") if frame} == {59}


def test_the_share_of_the_limit_is_never_more_than_all_of_it() -> None:
    screen, clock = StringIO(), Clock()

    with Bar("people.csv", total=200, limit=10.0, stream=screen, clock=clock) as bar:
        clock.now += 1
        bar.show(Progress(Counts(200, sent=26), requests=26, paused_seconds=0.0))
        shown = frames(screen)[-1]

    assert "100% of the limit" in shown


def test_requests_and_rows_of_an_interrupted_run_are_no_part_of_the_speed() -> None:
    screen, clock = StringIO(), Clock()
    before = Progress(Counts(2000, sent=1900), requests=1900, paused_seconds=0.0)

    with Bar("people.csv", total=2000, limit=100.0, stream=screen, clock=clock, began=before) as bar:
        clock.now += 2
        bar.show(replace(before, counts=Counts(2000, sent=1920), requests=1920))
        shown = frames(screen)[-1]

    assert "1920/2000" in shown
    assert "10% of the limit" in shown


@pytest.mark.parametrize(
    ("environ", "may"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_who_wants_them(environ: dict[str, str], *, may: bool) -> None:
    assert may_colour(environ) is may
