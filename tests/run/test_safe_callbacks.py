"""Words are apart from work: whatever becomes of them, a run does and counts the same."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from tests.make import options, people
from uploader.app.check import check
from uploader.app.run import run
from uploader.errors import SignalledError, UploaderError
from uploader.run.environment import Environment
from uploader.run.results import RunResult
from uploader.run.safe_callbacks import between_steps, with_safe_callbacks

ROWS = ("1,Kim,30", "2,Lee,old", "3,Cho,5")


def unsayable(*_: object) -> NoReturn:
    """Fail as only words fail."""
    raise OSError(28, "No space left on device")


@pytest.fixture
def speechless(world: Environment) -> Environment:
    return replace(world, say=unsayable, on_problem=unsayable, on_checked=unsayable, on_route=unsayable)


def test_a_run_whose_words_fail_sends_and_counts_what_any_other_does(folder: Path, speechless: Environment) -> None:
    people(folder / "people.csv", ROWS)
    result = RunResult([])

    run(options("people.csv", sandbox=True), speechless, result)

    (account,) = result.results
    assert (result.exit_status, account.exit_status) == (3, 3)
    assert (account.counts.sent, account.counts.rejected, account.traffic.requests) == (2, 1, 2)


def test_a_check_whose_words_fail_finds_what_any_other_does(folder: Path, speechless: Environment) -> None:
    people(folder / "people.csv", ROWS)

    assert check(options("people.csv"), speechless, unsayable) == 3


def test_a_signal_that_comes_while_something_is_said_is_heeded(world: Environment) -> None:
    def signalled(_: str) -> NoReturn:
        raise SignalledError("Stopped by SIGTERM.", 15)

    with pytest.raises(UploaderError, match="SIGTERM"):
        with_safe_callbacks(replace(world, say=signalled)).say("a word")


def test_the_words_of_a_step_are_spoken_when_it_is_over(world: Environment, said: list[str]) -> None:
    async def step() -> list[str]:
        between_steps(world).say("a word")
        return said.copy()

    assert (asyncio.run(step()), said) == ([], ["a word"])
