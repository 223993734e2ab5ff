"""Observers are apart from work: whatever becomes of them, a run does and counts the same."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.make import options, people
from tests.watching import check
from uploader.app.run import run
from uploader.errors import InputError, SignalledError
from uploader.model import Rejected, Sent
from uploader.run.environment import Environment
from uploader.run.events import (
    Checked,
    Events,
    Progressed,
    Remark,
    RowReason,
    RowSettled,
    SourceRun,
    Started,
)
from uploader.run.observers import Observers, between_steps, wants
from uploader.run.results import RunResult, SourceResult
from uploader.stop import Stop

ROWS = ("1,Kim,30", "2,Lee,old", "3,Cho,5")
NAMES = [name for name in vars(Events) if not name.startswith("_")]
REMARK = Remark("a word")


def unsayable(*_: object) -> NoReturn:
    """Fail as an observer may fail."""
    raise OSError(28, "No space left on device")


class Speechless(Events):
    """Fails at every event."""


for name in NAMES:
    setattr(Speechless, name, unsayable)


class Heard(Events):
    """Keeps every event, in the order in which it came."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def names(self) -> Sequence[str]:
        return [type(event).__name__ for event in self.events]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


for name in NAMES:
    setattr(Heard, name, lambda self, event: self.events.append(event))


def test_a_run_whose_observers_fail_sends_and_counts_what_any_other_does(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ROWS)

    result = run(options("people.csv", sandbox=True), replace(world, events=Speechless()))

    (account,) = result.sources
    assert (result.error, result.exit_status, account.exit_status) == (None, 3, 3)
    assert (account.counts.sent, account.counts.rejected, account.traffic.requests) == (2, 1, 2)


def test_a_check_whose_observers_fail_finds_what_any_other_does(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ROWS)

    assert check(options("people.csv"), world, Speechless()) == 3


def test_a_run_reports_what_happens_in_its_order(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ROWS)
    heard = Heard()

    result = run(options("people.csv", sandbox=True), replace(world, events=heard))

    assert [name for name in heard.names() if name not in {"Progressed", "RowSettled"}] == [
        *("str", "Reading", "RowReason", "SourceRun", "Checked", "Stop", "Started", "SourceResult", "RunResult"),
    ]
    assert heard.events[-1] == result
    (checked,), (started,), (ended,) = heard.of(Checked), heard.of(Started), heard.of(SourceResult)
    assert (checked.run, checked.summary.read) == (SourceRun("people.csv"), 3)
    run_of = SourceRun("people.csv", ended.run_id, ended.number)
    assert (started.run, started.rows, started.settled, started.is_resumed) == (run_of, 3, 0, False)
    assert (ended.exit_status, ended.counts.sent) == (3, 2)
    assert {progress.run for progress in heard.of(Progressed)} == {run_of}
    assert isinstance(heard.of(Stop)[0], Stop)


def test_each_row_is_reported_once_with_the_time_of_its_request(folder: Path, world: Environment) -> None:
    people(folder / "people.csv", ROWS)
    heard = Heard()

    run(options("people.csv", sandbox=True), replace(world, events=heard))

    settled = sorted(heard.of(RowSettled), key=lambda it: getattr(it.outcome, "attempts", 0))
    assert [type(it.outcome) for it in settled] == [Rejected, Sent, Sent]
    assert settled[0].seconds is None
    assert all(0 < it.seconds < 60 for it in settled[1:])
    (found,) = heard.of(RowReason)
    assert (found.kind, found.record.number, found.by_service) == ("rejected", 2, False)


def test_a_run_that_is_refused_reports_its_result_with_the_error(folder: Path, world: Environment) -> None:
    (folder / "people.csv").write_text("id,nmae,age\n1,Kim,30\n", encoding="utf-8")
    heard = Heard()

    result = run(options("people.csv", sandbox=True), replace(world, events=heard))

    start_id, *others = heard.events
    assert (type(start_id), others) == (str, [result])
    assert (type(result.error), result.exit_status, result.sources[0].exit_status) == (InputError, 4, 4)
    assert isinstance(result, RunResult)


def test_an_observer_that_fails_keeps_no_event_from_the_others() -> None:
    heard = Heard()

    Observers([Speechless(), heard]).remark(REMARK)

    assert heard.events == [REMARK]


def test_a_signal_that_comes_while_something_is_said_is_heeded() -> None:
    class Signalled(Events):
        def remark(self, _: Remark) -> NoReturn:
            raise SignalledError("Stopped by SIGTERM.", 15)

    with pytest.raises(SignalledError, match="SIGTERM"):
        Observers([Signalled()]).remark(REMARK)


def test_an_event_that_nobody_overrides_is_wanted_by_nobody() -> None:
    class Settled(Events):
        def settled(self, settled: RowSettled) -> None:
            """Want it."""

    both = Observers([Observers([Events(), Settled()])])

    assert [wants(both, name) for name in ("settled", "reason_found", "progressed")] == [True, False, False]
    assert not any(wants(Observers([Events()]), name) for name in ("settled", "reason_found", "progressed"))


def test_the_words_of_a_step_are_spoken_when_it_is_over(world: Environment, said: list[str]) -> None:
    async def step() -> list[str]:
        between_steps(world.events).remark(REMARK)
        return said.copy()

    assert (asyncio.run(step()), said) == ([], ["a word"])
