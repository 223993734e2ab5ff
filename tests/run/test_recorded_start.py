"""However a start ends, the summary and the history say when it did, how and why."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from itertools import chain, repeat
from pathlib import Path

import pytest

from tests.make import CONFIG
from uploader.clock import Clock
from uploader.counts import Counts
from uploader.errors import (
    ChangedError,
    ConfigError,
    InputError,
    OutageError,
    RefusedError,
    SignalledError,
    StorageError,
    SummaryInTheWayError,
    UploaderError,
)
from uploader.run.environment import Environment
from uploader.run.options import Options
from uploader.run.recorded_start import RecordedStart
from uploader.run.results import Ending, ResultsSoFar, SourceResult
from uploader.run_record import RunEnd, RunRecord
from uploader.state import History, RunStore

EMPTY = SourceResult("run-1", "people.csv", "2024-03-05T02:15:00+00:00")
SECOND = replace(EMPTY, source="b.csv", counts=Counts(2, sent=1, failed=1))
BEGAN = 1_709_604_900.0


async def _no_wait(_: float) -> None:
    raise AssertionError


def environment(*times: float) -> Environment:
    """Return an environment whose monotonic clock shows *times*, and then the last of them for ever."""
    clock = Clock(lambda: BEGAN, chain(times, repeat(times[-1])).__next__, _no_wait)
    return Environment(environ={}, stdin=BytesIO(b""), clock=clock)


@pytest.fixture
def options(tmp_path: Path) -> Options:
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return Options(("people.csv",), tmp_path / "config.yaml", summary=tmp_path / "summary.json")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return RunStore(tmp_path / ".uploader").state


def end(options: Options, error: BaseException | None, *results: SourceResult, inside: bool = True) -> RecordedStart:
    """Start with *results*, and end by *error*: after the flags and the configuration are read, else before that."""
    start = RecordedStart(options, environment(0.0, 2.5), ResultsSoFar(results))
    try:
        with start:
            if not inside:
                _raise(error)
            start.open(RunStore(options.config.parent / ".uploader").state, "")
            with start.ending():
                _raise(error)
    except BaseException as raised:  # noqa: BLE001 — whatever it is, also what is no Exception
        assert raised is error  # noqa: PT017 — as above
    return start


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


def summary(options: Options) -> dict[str, object]:
    """Return the summary that was written."""
    assert options.summary is not None
    found: dict[str, object] = json.loads(options.summary.read_text(encoding="utf-8"))
    return found


def only(state: Path) -> RunRecord:
    """Return the only record of the history."""
    (record,) = History(state).records()
    return record


ENDINGS = [
    (None, 0, "nothing to send: no rows"),
    (ConfigError("bad key"), 2, "not started: an option or the configuration is wrong"),
    (InputError("no such file"), 4, "refused: the input can't be read, or is wrong as a whole"),
    (RefusedError("bad token"), 5, "stopped: the service refuses us"),
    (OutageError("away"), 6, "stopped: the service was unreachable, or throttled us for too long"),
    (StorageError("full"), 7, "stopped: the local disk, the state or this machine failed"),
    (ChangedError("changed"), 9, "stopped: the input has changed"),
    (SignalledError("hung up", 1), 129, "stopped by SIGHUP"),
    (SignalledError("stopped", 2), 130, "stopped by SIGINT"),
    (SignalledError("stopped", 15), 143, "stopped by SIGTERM"),
]


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("ending", ENDINGS, ids=[outcome for _, _, outcome in ENDINGS])
def test_every_ending_is_in_the_summary_and_in_the_history(
    options: Options, state: Path, ending: tuple[UploaderError | None, int, str], *, inside: bool
) -> None:
    error, status, outcome = ending

    end(options, error, EMPTY, inside=inside)

    found, record, message = summary(options), only(state), None if error is None else str(error)
    assert (found["exit_status"], found["outcome"], found["error"]) == (status, outcome, message)
    assert (record.exit_status, record.outcome, record.error) == (status, outcome, message)
    assert (found["ended"], record.ended) == ("2024-03-05T02:15:00+00:00",) * 2


@pytest.mark.parametrize("error", [ValueError("canary-4711"), SystemExit("canary-4711")], ids=repr)
def test_a_bug_is_recorded_by_its_kind_and_place_and_without_its_text(
    options: Options, state: Path, error: BaseException
) -> None:
    end(options, error, EMPTY)

    record = only(state)
    assert (record.exit_status, record.outcome) == (1, "stopped by a bug in this program")
    assert f"{type(error).__name__} at test_recorded_start.py:" in str(record.error)
    assert "canary" not in json.dumps([summary(options), record.facts()])


def test_the_summary_of_a_run_that_read_nothing_has_the_shape_of_one_that_did(options: Options) -> None:
    end(options, InputError("no such file"), inside=False)
    failed = summary(options)

    end(options, None, replace(EMPTY, counts=Counts(3, sent=3)))
    sent = summary(options)

    two = replace(options, sources=("a.csv", "b.csv"))
    end(
        two,
        None,
        replace(EMPTY, counts=Counts(3, sent=3)),
        SECOND,
    )
    both = summary(two)
    assert failed.keys() == sent.keys() == both.keys()
    assert [len(found["sources"]) for found in (failed, sent, both)] == [1, 1, 2]  # type: ignore[arg-type]  # lists


def test_the_values_of_the_only_source_are_at_the_top_and_those_of_several_are_added(options: Options) -> None:
    first = replace(EMPTY, counts=Counts(3, sent=3))

    end(options, None, first)
    one = summary(options)
    end(options, None, first, SECOND)
    both = summary(options)

    assert one["sources"] == [{name: one[name] for name in first.summary()}]
    assert (both["read"], both["sent"], both["failed"], both["exit_status"]) == (5, 4, 1, 0)
    assert (both["source"], both["run_id"], both["repairs"]) == (None, None, None)


def test_what_ended_a_run_is_known_at_the_source_where_it_did(options: Options) -> None:
    done = replace(EMPTY, ending=Ending(0))
    stopped, after = replace(EMPTY, source="b.csv"), replace(EMPTY, source="c.csv")

    start = end(options, InputError("people.csv is cut off"), done, stopped, after)

    results = start.results.results
    assert [result.ending for result in results] == [Ending(0), Ending(4, "people.csv is cut off"), Ending(4)]
    assert [result.times.total for result in results] == [0.0, 2.5, 2.5]


def test_a_run_of_several_sources_is_3_when_one_of_them_is(options: Options) -> None:
    results = [replace(EMPTY, source=f"{place}.csv", ending=Ending(status)) for place, status in enumerate((0, 3, 0))]

    start = end(options, None, *results)

    assert (start.results.exit_status, summary(options)["exit_status"]) == (3, 3)


def test_a_start_is_in_the_history_while_it_runs_and_killed_when_its_process_is_gone(
    options: Options, state: Path
) -> None:
    start = RecordedStart(options, environment(0.0), ResultsSoFar())

    with start:
        start.open(state, "members")
        running = only(state)
        start.results.begin([replace(EMPTY, run_id="run-0", number=1)])
        start.update(options)
        resumed = only(state)
        # As the end of a process does: it closes its files, and writes nothing more.
        start._stack.close()  # noqa: SLF001 — no process is killed for it
        killed = only(state)

    assert (running.end, running.job, running.outcome) == (RunEnd.RUNNING, "members", "running")
    assert [source.run_id for source in resumed.sources] == ["run-0"]
    assert (killed.end, killed.outcome) == (RunEnd.KILLED, "killed, or its end could not be recorded")


def test_a_dry_run_is_in_no_history(options: Options, state: Path) -> None:
    end(replace(options, sandbox=True), ConfigError("bad key"), inside=False)

    assert list(History(state).records()) == []
    assert summary(options)["exit_status"] == 2


def test_a_failed_start_makes_no_state_folder(options: Options, tmp_path: Path) -> None:
    end(options, ConfigError("bad key"), inside=False)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "summary.json"]


def test_a_failed_start_leaves_a_folder_that_is_no_state_folder_alone(options: Options, tmp_path: Path) -> None:
    (tmp_path / ".uploader").mkdir()
    (tmp_path / ".uploader" / "letters").mkdir()

    end(options, ConfigError("bad key"), inside=False)

    assert [path.name for path in (tmp_path / ".uploader").iterdir()] == ["letters"]


@pytest.mark.parametrize("taken", ["people.csv", "config.yaml", "retry.csv"])
def test_a_summary_never_replaces_a_file_of_the_run_whatever_ended_it(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / taken
    path.write_text("precious", encoding="utf-8")

    end(replace(options, summary=path, retry_file=Path("retry.csv")), ConfigError("bad key"), inside=False)

    assert path.read_text(encoding="utf-8") == "precious"


def test_a_summary_that_is_in_the_way_of_the_retry_file_is_not_written(options: Options) -> None:
    end(options, SummaryInTheWayError("both are one"), EMPTY)

    assert options.summary is not None
    assert not options.summary.exists()


def test_a_summary_that_cannot_be_written_ends_a_run_that_was_fine(
    options: Options, state: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    options = replace(options, summary=folder / "summary.json")

    start = RecordedStart(options, environment(0.0), ResultsSoFar([EMPTY]))

    def run() -> None:
        with start:
            start.open(state, "")
            with start.ending():
                folder.rmdir()

    with pytest.raises(StorageError, match=r"the summary can't be written \(No such file or directory\)"):
        run()

    assert ([result.exit_status for result in start.results.results], only(state).exit_status) == ([7], 7)


def test_what_ended_the_run_is_told_before_a_summary_that_cannot_be_written(options: Options, tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    refused = RefusedError("bad token")

    def run() -> None:
        options_there = replace(options, summary=folder / "summary.json")
        with RecordedStart(options_there, environment(0.0), ResultsSoFar()) as start, start.ending():
            folder.rmdir()
            raise refused

    with pytest.raises(RefusedError) as caught:
        run()

    assert caught.value is refused


def test_a_summary_that_cannot_be_written_is_told_before_anything_begins(options: Options, tmp_path: Path) -> None:
    begun = False

    with (
        pytest.raises(StorageError),
        RecordedStart(replace(options, summary=tmp_path), environment(0.0), ResultsSoFar()) as start,
        start.ending(),
    ):
        begun = True

    assert not begun


def test_a_journal_that_could_not_be_marked_changes_what_was_recorded_before(options: Options, state: Path) -> None:
    def run() -> None:
        with RecordedStart(options, environment(0.0), ResultsSoFar([EMPTY])) as start:
            start.open(state, "")
            with start.ending():
                pass
            raise StorageError("the mark can't be written")

    with pytest.raises(StorageError):
        run()

    assert (only(state).exit_status, only(state).error) == (7, "the mark can't be written")
    assert summary(options)["exit_status"] == 7


def test_a_history_that_cannot_be_written_ends_the_run_before_its_end_is_marked(options: Options, state: Path) -> None:
    marked = False

    def run() -> bool:
        with RecordedStart(options, environment(0.0), ResultsSoFar([EMPTY])) as start:
            start.open(state, "")
            with start.ending():
                (state / "history").chmod(0o500)
                (state / "history").rename(state / "numbers")
            return True

    with pytest.raises(StorageError):
        marked = run()

    assert (marked, summary(options)["exit_status"]) == (False, 7)


CONFIGS: list[tuple[str, Callable[[Path], str]]] = [
    ("a misspelt key", lambda _: "mappping: {}\nstate_dir: here\nsource: {name: members}\n"),
    ("no YAML", lambda _: "mapping: {a: [\nstate_dir: here\nsource:\n  name: members\nrate: ]\n"),
    ("a tab", lambda _: "api:\n\tbase_url: x\nsource: {name: members}\nstate_dir: here\n"),
    ("a variable that is not set", lambda _: "api: {service_id: '${NO}'}\nsource: {name: members}\nstate_dir: here\n"),
    ("absolute", lambda path: f"mapping: 7\nsource: {{name: members}}\nstate_dir: {path}/here\n"),
]


@pytest.mark.parametrize("text", [text for _, text in CONFIGS], ids=[name for name, _ in CONFIGS])
def test_a_start_with_a_wrong_configuration_is_recorded_in_its_state_folder(
    options: Options, tmp_path: Path, text: Callable[[Path], str]
) -> None:
    state = RunStore(tmp_path / "here").state
    options.config.write_text(text(tmp_path), encoding="utf-8")

    end(options, ConfigError("bad key"), inside=False)

    record = only(state)
    assert (record.job, record.exit_status, record.error) == ("members", 2, "bad key")
    assert [source.source for source in record.sources] == ["people.csv"]


def test_a_flag_names_the_state_folder_also_where_the_configuration_is_wrong(options: Options, tmp_path: Path) -> None:
    state = RunStore(tmp_path / "there").state
    options = replace(options, overrides=("nonsense", "state_dir=there"), job="buyers")

    end(options, ConfigError("bad key"), inside=False)

    assert only(state).job == "buyers"


def test_a_start_names_no_run_before_one_is_chosen_and_says_the_same_each_time(options: Options) -> None:
    start = RecordedStart(options, environment(0.0), ResultsSoFar())
    named = start.running

    start.results.begin([replace(EMPTY, run_id="run-0")])
    checked = start.running
    start.results.begin([replace(EMPTY, run_id="run-0", number=7)])

    assert [record.sources[0].run_id for record in (named, checked, start.running)] == ["", "", "run-0"]
