"""The history knows of each start whether it runs, how it ended, or that its process is gone."""

import fcntl
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from uploader.errors import SignalledError, StorageError
from uploader.run_record import RunEnd, RunRecord, SourceRecord
from uploader.state import History

START = RunRecord("20260101T000000Z-a", "2026-01-01T00:00:00+00:00", "members", (SourceRecord("people.csv"),))
ENDED = replace(START, ended="2026-01-01T00:01:00+00:00", exit_status=0)


def ends(state: Path) -> list[RunEnd]:
    return [record.end for record in History(state).records()]


def test_a_start_runs_until_its_end_is_written(tmp_path: Path) -> None:
    with History(tmp_path).open(START) as opened:
        before = ends(tmp_path)
        opened.write(ENDED)
        after = list(History(tmp_path).records())

    assert (before, after) == ([RunEnd.RUNNING], [ENDED])
    assert list(History(tmp_path).records()) == [ENDED]


def test_a_start_that_is_written_again_still_runs(tmp_path: Path) -> None:
    with History(tmp_path).open(START) as opened:
        opened.write(replace(START, job="buyers"))

        (record,) = History(tmp_path).records()

    assert (record.job, record.end) == ("buyers", RunEnd.RUNNING)


def test_a_start_whose_process_was_killed_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from uploader.run_record import RunRecord\n"
        "from uploader.state import History\n"
        "with History(Path(sys.argv[1])).open(RunRecord('20260101T000000Z-a', '2026-01-01T00:00:00+00:00')):\n"
        "    print('open', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        running = ends(tmp_path)
        process.send_signal(signal.SIGKILL)

    assert (running, ends(tmp_path)) == ([RunEnd.RUNNING], [RunEnd.KILLED])


def test_a_start_that_ended_while_it_was_read_is_not_called_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with History(tmp_path).open(START) as opened:

        def is_running(_: Path) -> bool:
            opened.write(ENDED)
            return False

        monkeypatch.setattr("uploader.state.history._is_running", is_running)

        assert ends(tmp_path) == [RunEnd.SUCCEEDED]


def test_the_newest_start_comes_first_whatever_the_clock_said(tmp_path: Path) -> None:
    for letter in "bca":
        with History(tmp_path).open(replace(ENDED, start_id=f"20260101T000000Z-{letter}")):
            pass
        (tmp_path / "history" / "notes.json").write_text("{}", encoding="utf-8")

    assert [record.start_id[-1] for record in History(tmp_path).records()] == ["a", "c", "b"]


@pytest.mark.parametrize("content", ["", "[]", '{"start_id": 1', "{}", '{"start_id": "a"}', '{"sources": [7]}'])
def test_a_damaged_record_is_left_out(tmp_path: Path, content: str) -> None:
    with History(tmp_path).open(ENDED):
        pass
    (tmp_path / "history" / "000000002-20260102T000000Z-b.json").write_text(content, encoding="utf-8")

    assert list(History(tmp_path).records()) == [ENDED]


def test_a_record_is_private_and_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    with History(tmp_path).open(ENDED):
        pass
    (path,) = (tmp_path / "history").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match="a symbolic link"):
        list(History(tmp_path).records())


def test_a_record_that_cannot_be_written_leaves_the_one_before_it(tmp_path: Path) -> None:
    with History(tmp_path).open(START) as opened:
        (path,) = (tmp_path / "history").iterdir()
        path.with_suffix(".new").mkdir()
        with pytest.raises(StorageError):
            opened.write(ENDED)

        assert ends(tmp_path) == [RunEnd.RUNNING]


def test_a_signal_in_the_middle_of_a_write_does_not_prevent_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: int) -> None:
        raise SignalledError("Stopped by SIGTERM.", signal.SIGTERM)

    with History(tmp_path).open(START) as opened:
        monkeypatch.setattr(os, "fsync", stop)
        with pytest.raises(SignalledError):
            opened.write(replace(START, job="buyers"))
        monkeypatch.undo()
        opened.write(ENDED)

    assert list(History(tmp_path).records()) == [ENDED]


def test_a_start_that_is_written_while_it_is_looked_at_is_not_called_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    with History(tmp_path).open(START) as opened:

        def late(handle: int, how: int) -> None:
            monkeypatch.setattr(fcntl, "flock", lock)
            opened.write(replace(START, job="buyers"))
            lock(handle, how)

        monkeypatch.setattr(fcntl, "flock", late)

        assert History(tmp_path).newly_killed(lambda _: True) == []
        assert ends(tmp_path) == [RunEnd.RUNNING]


def test_old_records_are_deleted_but_of_what_still_runs(tmp_path: Path) -> None:
    history = History(tmp_path)
    for start_id in ("20250101T000000Z-a", "20260301T000000Z-b"):
        with history.open(replace(ENDED, start_id=start_id)):
            pass
    with history.open(replace(START, start_id="20250102T000000Z-c")):
        deleted = history.delete_older(now=datetime(2026, 3, 2, tzinfo=UTC))

        assert deleted == 1
        assert [record.start_id[-1] for record in history.records()] == ["c", "b"]
    assert history.delete_older(now=datetime(2026, 3, 2, tzinfo=UTC), days=10**6) == 0


def test_a_name_that_is_no_text_is_kept(tmp_path: Path) -> None:
    odd = replace(ENDED, sources=(SourceRecord(os.fsdecode(b"\xffpeople.csv")),))

    with History(tmp_path).open(odd):
        pass

    assert list(History(tmp_path).records()) == [odd]


def test_a_run_is_listed_by_its_latest_start_and_one_without_a_record_by_its_own_id(tmp_path: Path) -> None:
    history = History(tmp_path)
    for start_id in ("first", "second"):
        with history.open(
            RunRecord(start_id, "", sources=(SourceRecord("a.csv", "run-a"), SourceRecord("b", "run-b")))
        ):
            pass

    assert [history.listed_id(run_id) for run_id in ("run-a", "run-b", "run-c")] == ["second", "second", "run-c"]
