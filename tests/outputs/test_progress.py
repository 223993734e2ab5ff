"""What whoever watches a run is shown."""

import re
from io import StringIO

import pytest

from uploader.counts import Counts, Progress
from uploader.outputs.duration_text import spell_seconds
from uploader.outputs.progress import Bar, plain_line


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


def test_the_bar_says_how_long_sending_was_held() -> None:
    screen, clock = StringIO(), Clock()

    with Bar("people.csv", total=200, limit=100.0, stream=screen, clock=clock) as bar:
        clock.now += 2
        bar.show(Progress(Counts(200, sent=200), requests=200, paused_seconds=12.4))
        shown = frames(screen)[-1]

    assert shown == "people.csv 100%|##########| 200/200 [TIME, 100% of the limit, 0 rejected, 0 failed, held 12 s]"


def test_the_share_of_the_limit_is_that_of_the_time_since_it_was_last_shown() -> None:
    screen, clock = StringIO(), Clock()

    with Bar("people.csv", total=200, limit=100.0, stream=screen, clock=clock) as bar:
        shares = []
        for seconds, requests in ((2.0, 100), (0.5, 110), (0.5, 120), (1.0, 220)):
            clock.now += seconds
            bar.show(Progress(Counts(200), requests=requests, paused_seconds=0.0))
            shares += re.findall(r"(\d+%) of the limit", frames(screen)[-1])

    assert shares == ["50%", "50%", "20%", "100%"]


def test_the_bar_takes_itself_away() -> None:
    screen = StringIO()

    with Bar("people.csv", total=200, limit=100.0, stream=screen, clock=Clock()) as bar:
        bar.show(Progress(Counts(200, sent=10), requests=10, paused_seconds=0.0))

    assert screen.getvalue().endswith("\r")
    assert screen.getvalue().split("\r")[-2].strip() == ""
