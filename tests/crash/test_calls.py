"""Kill a run at each of its writes, syncs, renames and truncations, or let them fail: every row is accounted for."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.crash.strace import WRITES, Call, Tracer, calls_in, foretold, paths_of
from tests.crash.yard import FULL, KILLED, Life, Truth, Yard, opened

ROWS: Final = 100
STORAGE_FAILED: Final = 7
ERRORS: Final = ("ENOSPC", "EFBIG", "EIO")


@dataclass(frozen=True)
class Whole:
    """A run without trouble: where it was, what is true, and which calls it made."""

    folder: Path
    port: int
    truth: Truth
    tracer: Tracer
    calls: list[Call]

    def opened(self, latency: float = 0.02) -> AbstractContextManager[Yard]:
        """Open the yard anew, at the same address."""
        return opened(self.folder, ROWS, port=self.port, latency=latency)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder, log = tmp_path_factory.mktemp("calls").resolve() / "yard", tmp_path_factory.mktemp("log") / "calls"
    with opened(folder, ROWS) as yard:
        life = yard.live(foretold(yard))
        truth, tracer = yard.truth(life), Tracer(paths_of(yard))
        port = int(yard.server.url.rpartition(":")[2])
    with opened(folder, ROWS, port=port) as yard:
        tracer.live(yard, log=log)
    return Whole(folder, port, truth, tracer, calls_in(log)[: 300 if FULL else None])


def _some(calls: list[Call], most: int) -> list[Call]:
    """Return *calls* in the full size, otherwise *most* of them, spread evenly, the last one included."""
    return calls if FULL else [calls[-1 - number * len(calls) // most] for number in range(most)]


@pytest.mark.long
def test_a_run_that_is_killed_at_any_call_ends_as_one_that_is_not(whole: Whole) -> None:
    killed, wrong = 0, {}

    for name, nth in _some(whole.calls, 10):
        with whole.opened() as yard:
            life = whole.tracer.live(yard, f"{name}:signal=KILL:when={nth}")
            killed += life.status == KILLED
            last = life if life.status != KILLED or yard.is_finished() else yard.live(yard.command())
            if found := yard.judge(whole.truth, last, crashes=1):
                wrong[name, nth, life.status] = found

    print(f"{killed} kills of {len(whole.calls)} calls")  # noqa: T201 — seen where the full size is run by hand
    assert wrong == {}
    assert killed >= 0.9 * len(_some(whole.calls, 10))


@pytest.mark.long
def test_a_continued_run_that_is_killed_at_any_call_ends_as_one_that_is_not(whole: Whole) -> None:
    killed, wrong = 0, {}
    middle = f"write:signal=KILL:when={ROWS // 2}"

    for name, nth in _some(_recovering(whole, middle), 5):
        with whole.opened() as yard:
            whole.tracer.live(yard, middle)
            life = whole.tracer.live(yard, f"{name}:signal=KILL:when={nth}")
            killed += life.status == KILLED
            last = life if life.status != KILLED or yard.is_finished() else yard.live(yard.command())
            if found := yard.judge(whole.truth, last, crashes=2):
                wrong[name, nth, life.status] = found

    print(f"{killed} kills while continuing")  # noqa: T201 — as above
    assert wrong == {}
    assert killed


def _recovering(whole: Whole, middle: str) -> list[Call]:
    """Return the first calls of a run that continues one broken off in the *middle*."""
    log = whole.folder.with_name("recovering")
    with whole.opened() as yard:
        whole.tracer.live(yard, middle)
        whole.tracer.live(yard, log=log)
    return calls_in(log)[:80]


@pytest.mark.long
def test_a_run_whose_disk_fails_at_any_call_ends_with_7_and_then_as_one_whose_disk_does_not(whole: Whole) -> None:
    failed, wrong = 0, {}
    calls, log = [call for call in whole.calls if call[0] in WRITES], whole.folder.with_name("failing")

    for (name, nth), error in _troubles(calls, 10):
        # So slow that the timed syncs come while rows are on their way.
        with whole.opened(0.2 if name == "fdatasync" else 0.02) as yard:
            life = whole.tracer.live(yard, f"{name}:error={error}:when={nth}", log=log)
            failed += life.status == STORAGE_FAILED
            found = _judge_failure(life, _allowed(whole, log, is_last=(name, nth) == calls[-1]))
            last = yard.live(yard.command()) if life.status == STORAGE_FAILED else life
            if found := [*found, *yard.judge(whole.truth, last, crashes=1)]:
                wrong[name, nth, error] = found

    print(f"{failed} failures, of {len(calls)} calls and {ERRORS}")  # noqa: T201 — as above
    assert wrong == {}
    assert failed >= 0.8 * len([*_troubles(calls, 10)])


def _troubles(calls: list[Call], most: int) -> Iterator[tuple[Call, str]]:
    """Yield calls, each with the error it is to meet: in the full size each call with every error."""
    for number, call in enumerate(_some(calls, most)):
        for error in ERRORS if FULL else (ERRORS[number % len(ERRORS)],):
            yield call, error


def _allowed(whole: Whole, log: Path, *, is_last: bool) -> set[int]:
    """Return the statuses with which a run may end whose calls are in *log*."""
    if "(INJECTED)" not in log.read_text():
        # How often a row is tried again differs from run to run, so that the call may never come.
        return {whole.truth.status}
    # The last one is the sync of the folder when the end is marked: a power cut may undo that, at no cost.
    return {STORAGE_FAILED, whole.truth.status} if is_last else {STORAGE_FAILED}


def _judge_failure(life: Life, allowed: set[int]) -> list[str]:
    told = life.status in allowed and "Traceback" not in life.said and "A bug" not in life.said
    return [] if told else [f"ended with {life.status}: {life.said}"]
