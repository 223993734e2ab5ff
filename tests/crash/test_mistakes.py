"""Make two classic mistakes on purpose: the judge that finds nothing wrong with the program must find them."""

from pathlib import Path

import pytest

from tests.crash.driver import __file__ as DRIVER  # noqa: N812 — a path
from tests.crash.yard import KILLED, Truth, opened, under_way

pytestmark = [pytest.mark.long, pytest.mark.paced]

ROWS = 600
TRIES = 5
MOMENTS = (0.12, 0.08, 0.11, 0.05)
PACE = ("--set", "rate.requests=800", "--set", "rate.share=1")
"""So slow that rows wait for their turn to be sent."""


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Return what an uninterrupted run makes of the file, for all that are broken off."""
    with opened(tmp_path_factory.mktemp("whole") / "yard", ROWS) as yard:
        return yard.truth(yard.live(yard.command()))


def _complaints(truth: Truth, folder: Path, *through: str) -> list[str]:
    """Return what the judge says of a run, started *through* something, that is killed while rows are on their way."""
    with opened(folder, ROWS) as yard:
        command = yard.command(*PACE, through=through)
        lives = [yard.live(command, under_way(yard, seconds)) for seconds in MOMENTS]
        wrong = yard.judge(truth, yard.live(command), crashes=len(MOMENTS))
    assert [life.status for life in lives] == [KILLED] * len(MOMENTS)
    return [line.partition(":")[0] for line in wrong]


def _is_caught(truth: Truth, folder: Path, mistake: str, complaint: str) -> bool:
    """Whether the judge has the *complaint* of a *mistake* within a few tries: a busy machine may kill it too early."""
    return any(complaint in _complaints(truth, folder / str(number), DRIVER, mistake) for number in range(TRIES))


def test_a_program_without_the_mistakes_is_not_complained_of(truth: Truth, tmp_path: Path) -> None:
    assert _complaints(truth, tmp_path / "yard", "-m", "uploader") == []


def test_a_journal_that_is_written_before_the_answer_is_caught_losing_rows(truth: Truth, tmp_path: Path) -> None:
    assert _is_caught(truth, tmp_path, "journal-first", "lost")


def test_a_buffered_journal_is_caught_sending_rows_again(truth: Truth, tmp_path: Path) -> None:
    assert _is_caught(truth, tmp_path, "buffered", "sent again")
