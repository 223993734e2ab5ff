"""What the package offers to programs works as the commands do, prints nothing, and leaves signals and logs alone."""

import asyncio
import importlib
import logging
import math
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import uploader
from tests import make
from tests.monitors import monitor
from uploader import CheckResult, Events, RunError, RunResult, Settings, UploaderError, arun, check, explain, run
from uploader.app import library
from uploader.errors import ConfigError, SignalledError
from uploader.run.environment import Environment
from uploader.run.events import Checked, RowSettled, SourceRun
from uploader.run.options import Options
from uploader.state import History, RunStore

MAPPING = {
    "identity": {"external_id": "id"},
    "properties": {"df_name": "name", "age": {"column": "age", "type": "long"}},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.of({"mapping": MAPPING}, folder=tmp_path, environ={})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return people(tmp_path, 30)


def people(folder: Path, rows: int, *, wrong: int = 0) -> Path:
    lines = [f"{number},Kim,{'old' if number <= wrong else 30}\n" for number in range(1, rows + 1)]
    file = folder / "people.csv"
    file.write_text("id,name,age\n" + "".join(lines), encoding="utf-8")
    return file


class Recorder(Events):
    def __init__(self) -> None:
        self.names: list[str] = []
        self.threads: set[int] = set()

    def checked(self, checked: Checked, /) -> None:
        self.names.append(f"checked {checked.summary.read}")

    def settled(self, settled: RowSettled, /) -> None:
        assert isinstance(settled.run, SourceRun)
        self.names.append("settled")
        self.threads.add(threading.get_ident())

    def finished(self, result: RunResult, /) -> None:
        self.names.append(f"finished {result.exit_status}")


class Canceller(Events):
    """Calls something when the first row is settled."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call, self.rows = call, 0

    def settled(self, settled: RowSettled, /) -> None:
        del settled
        self.rows += 1
        if self.rows == 1:
            self.call()


def test_a_check_returns_what_it_found_as_plain_data(settings: Settings, tmp_path: Path) -> None:
    file = people(tmp_path, 10, wrong=1)

    result = check(settings, file)

    (report,) = result.reports
    facts = report.facts()
    assert isinstance(result, CheckResult)
    assert (result.exit_status, result.error) == (3, None)
    assert (facts["source"], facts["read"], facts["sendable"], facts["rejected"]) == (str(file), 10, 9, 1)


def test_what_is_wrong_with_a_source_is_in_the_result_of_the_check(settings: Settings, tmp_path: Path) -> None:
    result = check(settings, [tmp_path / "none.csv"])

    assert (result.exit_status, type(result.error).__name__) == (4, "InputError")


def test_a_run_returns_what_became_of_the_rows(settings: Settings, file: Path) -> None:
    result = run(settings, file, sandbox=True)

    (source,) = result.sources
    assert (result.exit_status, result.error, source.counts.sent, source.counts.read) == (0, None, 30, 30)
    assert result.sandbox is not None


def test_a_run_takes_several_sources_and_the_flags_of_the_command(
    settings: Settings, file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "others.jsonl"
    other.write_text(make.jsonl({"id": "a", "name": "Lee"}, {"id": "b", "name": "Ann"}), encoding="utf-8")

    result = run(settings, [file, str(other)], sandbox=True, limit=1, fresh=True, full=True)

    assert [source.counts.sent for source in result.sources] == [1, 1]


def test_the_events_of_a_run_come_in_their_order_and_in_its_own_thread(settings: Settings, file: Path) -> None:
    recorder = Recorder()

    run(settings, file, sandbox=True, limit=3, events=recorder)

    assert recorder.names == ["checked 3", "settled", "settled", "settled", "finished 0"]
    assert recorder.threads != {threading.get_ident()}


def test_an_observer_that_fails_changes_no_run(settings: Settings, file: Path) -> None:
    def fail() -> None:
        raise ValueError

    assert run(settings, file, sandbox=True, events=Canceller(fail)).sources[0].counts.sent == 30


def test_an_error_that_ends_a_run_has_the_results_so_far(settings: Settings, tmp_path: Path) -> None:
    file = people(tmp_path, 100, wrong=90)

    with pytest.raises(RunError, match=r"90 of 100 rows can't be sent") as caught:
        run(settings, file, sandbox=True)

    assert (caught.value.exit_status, type(caught.value.__cause__).__name__) == (4, "InputError")
    assert isinstance(caught.value, UploaderError)
    assert [source.counts.read for source in caught.value.result.sources] == [100]


def test_a_run_that_sends_needs_the_credentials(settings: Settings, file: Path) -> None:
    with pytest.raises(RunError) as caught:
        run(settings, file)

    assert caught.value.exit_status == 2
    assert str(caught.value) == (
        "api.service_id is missing; a run needs it, unless it is a dry run (sandbox=True)\n"
        "api.access_token is missing; a run needs it, unless it is a dry run (sandbox=True)"
    )


def test_a_token_that_is_not_there_ends_a_run_that_is_recorded_and_reported(file: Path, tmp_path: Path) -> None:
    state = RunStore(tmp_path / ".uploader").state
    with monitor() as hook:
        tree = {
            "api": {"service_id": "svc", "access_token_file": "token.txt"},
            "mapping": MAPPING,
            "notify": {"on": ["failure"], "url": f"{hook.url}/hook", "ping": f"{hook.url}/ping"},
            "metrics": {"textfile": "uploader.prom"},
        }
        with pytest.raises(RunError, match=r"^api\.access_token_file: .*token\.txt does not exist") as caught:
            run(Settings.of(tree, folder=tmp_path, environ={}), file)

    (record,) = History(state).records()
    assert (caught.value.exit_status, record.exit_status, record.error) == (2, 2, str(caught.value))
    assert (hook.events, hook.pings) == (["failure"], ["/ping/fail"])
    assert "last_run_exit_status" in (tmp_path / "uploader.prom").read_text("utf-8")


def test_the_token_of_a_file_is_read_when_a_run_needs_it(tmp_path: Path) -> None:
    token = tmp_path / "token.txt"
    tree = {"api": {"service_id": "svc", "access_token_file": "token.txt"}, "mapping": MAPPING}
    settings = Settings.of(tree, folder=tmp_path)

    with pytest.raises(ConfigError, match=r"^api\.access_token_file: there is no such file"):
        settings.with_credentials()
    token.write_text("linnet-0815\n", encoding="utf-8")
    token.chmod(0o600)
    found = settings.with_credentials()

    assert (found.api.access_token, found.folder) == ("linnet-0815", tmp_path)


def test_a_row_is_explained(settings: Settings, file: Path) -> None:
    explanation = explain(settings, file, 2)

    body = explanation.body
    assert body is not None
    assert (body["identity"], body["user_properties"]) == ({"external_id": "2"}, {"df_name": "Kim", "age": 30})
    with pytest.raises(UploaderError, match="there is no row 31"):
        explain(settings, file, 31)


async def test_a_run_leaves_the_loop_of_its_caller_free(settings: Settings, file: Path) -> None:
    loop = asyncio.get_running_loop()
    free = asyncio.Event()
    went_on = threading.Event()

    def wait_for_the_loop() -> None:
        loop.call_soon_threadsafe(free.set)
        assert went_on.wait(30)

    async def notice() -> None:
        await free.wait()
        went_on.set()

    noticing = asyncio.create_task(notice())
    result = await arun(settings, file, sandbox=True, events=Canceller(wait_for_the_loop))
    await noticing

    assert result.sources[0].counts.sent == 30


def _wait_for_threads() -> None:
    """Wait until the threads of runs, which have told their ends, are gone."""
    for thread in threading.enumerate():
        if thread.name == "uploader":
            thread.join(60)
            assert not thread.is_alive()


async def test_a_run_that_is_cancelled_settles_its_requests_and_ends_before_its_task(
    settings: Settings, tmp_path: Path
) -> None:
    file = people(tmp_path, 20_000)
    loop, results = asyncio.get_running_loop(), list[RunResult]()

    def cancel() -> None:
        task.cancel()

    class Ending(Canceller):
        def finished(self, result: RunResult, /) -> None:
            results.append(result)

    task = asyncio.create_task(
        arun(settings, file, sandbox=True, events=Ending(lambda: loop.call_soon_threadsafe(cancel)))
    )
    with pytest.raises(asyncio.CancelledError):
        await task

    (result,) = results
    counts = result.sources[0].counts
    assert isinstance(result.error, SignalledError)
    assert 0 < counts.sent < 20_000
    assert counts.balances
    assert result.sources[0].maybe_sent_twice == 0
    await asyncio.to_thread(_wait_for_threads)


async def test_a_run_that_is_cancelled_while_it_checks_sends_nothing(settings: Settings, file: Path) -> None:
    loop, results = asyncio.get_running_loop(), list[RunResult]()
    cancelled = threading.Event()

    class Cancelling(Events):
        def checked(self, checked: Checked, /) -> None:
            del checked
            loop.call_soon_threadsafe(cancel)
            assert cancelled.wait(30)

        def finished(self, result: RunResult, /) -> None:
            results.append(result)

    def cancel() -> None:
        task.cancel()
        # The task must have had its turn, in which it passes the cancellation on.
        loop.call_later(0.05, cancelled.set)

    task = asyncio.create_task(arun(settings, file, sandbox=True, events=Cancelling()))
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [source.counts.sent for source in results[0].sources] == [0]


async def test_a_stop_leaves_notifications_what_is_left_of_ten_seconds(
    settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list[float]()
    began, cancelled = threading.Event(), threading.Event()

    def run_sources(options: Options, environment: Environment) -> RunResult:
        del options
        left.append(environment.seconds_left())
        began.set()
        assert cancelled.wait(30)
        left.append(environment.seconds_left())
        return RunResult(exit_status=143)

    monkeypatch.setattr(library, "run_sources", run_sources)
    task = asyncio.create_task(arun(settings, file, sandbox=True))
    await asyncio.to_thread(began.wait, 30)
    task.cancel()
    # The task must have had its turn, in which it passes the cancellation on.
    asyncio.get_running_loop().call_later(0.05, cancelled.set)
    with pytest.raises(asyncio.CancelledError):
        await task

    assert left[0] == math.inf
    assert 0 <= left[1] < 9.5


SCRIPT = """\
import logging, signal, sys, threading
from pathlib import Path
before = {number: signal.getsignal(number) for number in signal.valid_signals()}
from uploader import Settings, check, explain, run
settings = Settings.of({"mapping": {"identity": {"external_id": "id"}, "properties": {"df_name": "name"}}})
assert check(settings, "people.csv").exit_status == 0
assert run(settings, "people.csv", sandbox=True).exit_status == 0
assert explain(settings, "people.csv", 1).body
assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before
assert logging.getLogger().handlers == [] and logging.getLogger("uploader").level == logging.NOTSET
assert logging.getLogger("uploader").propagate
assert [type(handler).__name__ for handler in logging.getLogger("uploader").handlers] == ["NullHandler"]
logging.getLogger("uploader.delivery").warning("a warning")
assert threading.active_count() == 1
"""


def test_the_library_prints_nothing_and_leaves_signals_and_logs_alone(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        cwd=file.parent, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


INTERRUPTED = """\
import os, signal
from uploader import Events, Settings, run
class Interrupting(Events):
    rows = 0
    def settled(self, settled, /):
        self.rows += 1
        if self.rows == 5:
            os.kill(os.getpid(), signal.SIGINT)
    def finished(self, result, /):
        print(result.exit_status, result.sources[0].counts.balances, result.sources[0].maybe_sent_twice)
settings = Settings.of({"mapping": {"identity": {"external_id": "id"}, "properties": {"df_name": "name"}}})
try:
    run(settings, "people.csv", sandbox=True, events=Interrupting())
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_stops_a_run_of_a_script_in_order(tmp_path: Path) -> None:
    people(tmp_path, 20_000)

    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.stdout.splitlines(), done.stderr) == (["143 True 0", "interrupted"], "")


def test_what_the_package_offers_is_loaded_when_it_is_used() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, uploader; print([name for name in sys.modules if 'uploader' in name])"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip

    assert loaded == "['uploader']\n"
    with pytest.raises(AttributeError, match="has no attribute 'walk'"):
        _ = uploader.walk  # type: ignore[attr-defined]  # that it is not there is what is tested


@pytest.fixture
def rooms() -> list[Any]:
    return [importlib.import_module("uploader.check"), importlib.import_module("uploader.run")]


def test_a_package_of_the_name_of_a_function_is_called_as_that(
    rooms: list[Any], settings: Settings, file: Path
) -> None:
    check_room, run_room = rooms

    assert uploader.check is check_room
    assert check_room(settings, file).exit_status == 0
    assert run_room(settings, file, sandbox=True).exit_status == 0


def test_everything_that_is_offered_is_there() -> None:
    assert {name for name in uploader.__all__ if getattr(uploader, name, None) is None} == set()
    assert {*uploader.__all__} == {*importlib.import_module("uploader.app.library").__all__}


def test_a_signal_of_the_caller_is_still_its_own() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert logging.getLogger("uploader").propagate
