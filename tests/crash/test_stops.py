"""Stop a run in order, at random moments, while some answers take seconds: nothing is lost, nothing is sent twice."""

import signal
from pathlib import Path

import pytest

from tests.crash.yard import FULL, Life, moments, opened

STOPS, ROWS, SLOWEST = (100, 10_000, 5) if FULL else (6, 700, 3)
STOPPED = -signal.SIGTERM


@pytest.mark.long
def test_a_run_that_is_stopped_again_and_again_sends_each_row_once(tmp_path: Path) -> None:
    slow = f"latency={SLOWEST}s for 0.3%"
    with opened(tmp_path / "whole", ROWS) as yard:
        truth = yard.truth(yard.live(yard.command()))
    lives: list[Life] = []

    with opened(tmp_path / "stopped", ROWS, slow) as yard:
        for moment in moments(yard, STOPS, ROWS, seed=3):
            lives.append(yard.live(yard.command(), moment, signal.SIGTERM))
            if yard.is_finished():
                break
        else:
            lives.append(yard.live(yard.command()))

        assert yard.judge(truth, lives[-1], crashes=0) == []
    stopped = [life for life in lives if life.status == STOPPED]
    slowest = max(life.seconds for life in stopped)
    print(f"{len(stopped)} stops, the slowest within {slowest:.1f} s")  # noqa: T201 — seen where run by hand
    assert {life.status for life in lives} == {STOPPED, truth.status}
    assert len(stopped) >= 0.8 * STOPS
    assert slowest < 10
