"""The sign that a large file is being read."""

from io import StringIO

import pytest

from uploader.outputs import spinner as module
from uploader.outputs.spinner import frame, spinner


@pytest.mark.parametrize(
    ("rows", "seconds", "text"),
    [
        (0, 1.0, "| Checking: 0 rows, 1 s"),
        (1_234_567, 41.2, "| Checking: 1,234,567 rows, 41 s"),
        (12_345_678_901, 30_000.0, "| Checking: 12,345,678,901 rows, 8 h 20"),
    ],
)
def test_a_frame_says_how_far_it_is_and_fits_into_the_narrowest_terminal(rows: int, seconds: float, text: str) -> None:
    assert frame("|", rows, seconds) == text


def test_what_is_read_at_once_shows_nothing() -> None:
    screen = StringIO()

    with spinner(lambda: 1, screen):
        pass

    assert screen.getvalue() == ""


def test_what_was_shown_is_gone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(module, "_FRAME_SECONDS", 0.0)
    seen: list[int] = []

    def rows() -> int:
        seen.append(1)
        return len(seen)

    screen = StringIO()
    with spinner(rows, screen):
        while len(seen) < 3:
            pass
    monkeypatch.undo()
    while not screen.getvalue().endswith(" \r"):
        pass

    assert "| Checking: 1 rows, 0 s" in screen.getvalue()
    assert screen.getvalue().rstrip("\r").rpartition("\r")[2].strip() == ""


def test_a_terminal_that_is_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_SECONDS", 0.0)
    screen = StringIO()
    screen.close()

    with spinner(lambda: 1, screen):
        pass
