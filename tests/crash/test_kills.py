"""Kill a run at random moments, as often as one likes: in the end every row is accounted for."""

from pathlib import Path

import pytest

from tests.crash.yard import FULL, KILLED, Life, Truth, Yard, moments, opened

KILLS, ROWS = (200, 20_000) if FULL else (12, 1_500)


def _truth(folder: Path, rows: int) -> Truth:
    with opened(folder, rows) as yard:
        return yard.truth(yard.live(yard.command()))


def _interrupted(yard: Yard, kills: int, rows: int, *, seed: int) -> list[Life]:
    """Kill *kills* lives of a run at random moments and let the last one end; return all lives."""
    lives = []
    for moment in moments(yard, kills, rows, seed):
        life = yard.live(yard.command(), moment)
        lives.append(life)
        if life.status != KILLED or yard.is_finished():
            return lives
    return [*lives, yard.live(yard.command())]


def test_a_run_that_is_killed_twice_ends_as_one_that_is_not(tmp_path: Path) -> None:
    truth = _truth(tmp_path / "whole", 300)

    with opened(tmp_path / "broken", 300) as yard:
        lives = _interrupted(yard, 2, 300, seed=1)

        assert yard.judge(truth, lives[-1], crashes=2) == []
    assert [life.status for life in lives] == [KILLED, KILLED, truth.status]


@pytest.mark.long
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path: Path) -> None:
    truth = _truth(tmp_path / "whole", ROWS)

    with opened(tmp_path / "broken", ROWS) as yard:
        lives = _interrupted(yard, KILLS, ROWS, seed=7)
        kills = sum(life.status == KILLED for life in lives)

        assert yard.judge(truth, lives[-1], crashes=kills) == []
    print(f"{kills} kills, {len(lives)} lives")  # noqa: T201 — seen where the full size is run by hand
    assert kills >= 0.9 * KILLS
