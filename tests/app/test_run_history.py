"""Tell what the state folder knows of earlier runs."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.make import begun_with, request
from uploader.app.run_history import PastRun, RunHistory, StartFilter, Unaccepted
from uploader.counts import Counts
from uploader.errors import ConfigError
from uploader.model import Failed, Reason, Rejected, Row, Sent, Superseded
from uploader.run.fingerprints import service_of
from uploader.run_record import RunEnd, RunRecord, SourceRecord
from uploader.state import History, Journal, RunStore, StoredRun, read_run
from uploader.timeline import Interval

BEGUN = begun_with(key="key", rows=10)
SERVICE = service_of(BEGUN.destination.base_url, BEGUN.destination.service_id)
PHRASE = "the value of '나이' is not a number"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def one_life(volume: StoredRun) -> StoredRun:
    """Put the life of a run that settled four rows, and stopped, into its journal."""
    with Journal(volume.path, volume.state) as journal:
        journal.record_facts("life", {"pid": os.getpid(), "at": "t", "in_flight": []})
        journal.record_facts("retry_file", {"path": "/people.retry.csv"})
        journal.record(Rejected(Row(7, {}), (), Reason("type", PHRASE)))
        journal.record(Sent(request(2), 1, unsure=True))
        journal.record(Failed(request(3), Reason("50000", "why"), 5))
        journal.record(Sent(request(4), 1), again=True)
        journal.record_facts("stopped", {"status": 6, "at": "t", "seconds": 1.0})
    return read_run(volume.path)


def test_a_past_run_has_its_books_and_every_row_not_accepted_in_their_order(state: Path) -> None:
    one_life(RunStore(state).create(BEGUN))

    (run,) = RunHistory(state).runs()

    assert run == PastRun(
        run_id=BEGUN.run_id,
        source="people.csv",
        started=BEGUN.started,
        ended="interrupted",
        exit_status=6,
        lives=1,
        counts=Counts(10, sent=2, rejected=1, failed=1, not_attempted=6),
        requests=7,
        maybe_sent_twice=1,
        retry_file="/people.retry.csv",
        rows=(
            Unaccepted(3, "failed", "50000", "why", 5),
            Unaccepted(4, "again", "", "", 1),
            Unaccepted(7, "rejected", "type", PHRASE, 0),
        ),
        seconds=1.0,
    )


def test_a_superseded_row_points_to_the_row_that_took_it_along(state: Path) -> None:
    volume = RunStore(state).create(BEGUN)
    with Journal(volume.path, volume.state) as journal:
        journal.record(Failed(request(3), Reason("50000", "why"), 5))
        journal.record(Sent(request(5), 1))
        journal.record(Superseded(request(1), 5))
        journal.record(Superseded(request(4)))

    (run,) = RunHistory(state).runs()

    assert run.rows == (
        Unaccepted(1, "superseded", "", "merged into row 5 of the same person", 0, 5),
        Unaccepted(3, "failed", "50000", "why", 5),
        Unaccepted(4, "superseded", "", "a later run sent newer data of the person", 0),
    )
    listed = run.facts(rows=True)["rows"]
    assert isinstance(listed, list)
    assert [row.get("by", "none") for row in listed] == [5, "none", None]


def test_for_json_the_books_stand_beside_the_rest_and_the_rows_only_where_wanted(state: Path) -> None:
    one_life(RunStore(state).create(BEGUN))

    (run,) = RunHistory(state).runs()

    facts = run.facts(rows=True)
    assert {name: facts[name] for name in ("run_id", "read", "sent", "not_attempted")} == {
        "run_id": BEGUN.run_id,
        "read": 10,
        "sent": 2,
        "not_attempted": 6,
    }
    assert "books" not in facts
    assert facts.keys() - run.facts(rows=False).keys() == {"rows"}


@pytest.mark.parametrize(
    ("end", "ended"),
    [
        (lambda shelf, volume: shelf.abandon(volume), "abandoned"),
        (lambda _, volume: _finish(volume), "finished"),
        (lambda _, __: None, "interrupted"),
    ],
)
def test_a_run_that_does_not_run_ended_in_one_of_three_ways(
    state: Path, end: Callable[[RunStore, StoredRun], None], ended: str
) -> None:
    shelf = RunStore(state)

    end(shelf, one_life(shelf.create(BEGUN)))

    assert [run.ended for run in RunHistory(state).runs()] == [ended]


def _finish(volume: StoredRun) -> None:
    with Journal(volume.path, volume.state) as journal:
        journal.record_facts("finished", {"status": 3, "at": "t", "seconds": 1.0})


def test_a_run_whose_process_holds_the_lock_of_its_file_is_running(state: Path) -> None:
    shelf = RunStore(state)
    one_life(shelf.create(BEGUN))

    with shelf.lock(BEGUN.key, since="now"):
        assert [run.ended for run in RunHistory(state).runs()] == ["running"]


def test_a_run_is_found_by_the_beginning_of_its_id(state: Path) -> None:
    shelf = RunStore(state)
    shelf.create(BEGUN)
    shelf.create(replace(BEGUN, run_id="20260102T000000Z-def456"))

    assert RunHistory(state).run("20260102").run_id == "20260102T000000Z-def456"


@pytest.mark.parametrize(("run_id", "found"), [("2027", "no run"), ("2026", "2 runs"), ("", "2 runs")])
def test_a_run_that_is_not_the_only_one_is_not_found(state: Path, run_id: str, found: str) -> None:
    shelf = RunStore(state)
    shelf.create(BEGUN)
    shelf.create(replace(BEGUN, run_id="20260102T000000Z-def456"))

    with pytest.raises(ConfigError) as refused:
        RunHistory(state).run(run_id)

    assert str(refused.value) == f"{found} with an ID that begins with '{run_id}'. `uploader runs` lists them."


def test_purging_deletes_what_is_older_interrupted_or_not(state: Path) -> None:
    shelf, now = RunStore(state), datetime.now(UTC)
    for days in (5, 3, 1):
        moment = now - timedelta(days=days, hours=1)
        shelf.create(replace(BEGUN, run_id=f"{moment:%Y%m%dT%H%M%SZ}-{days}", started=moment.isoformat()))

    assert RunHistory(state).purge(2) == 2
    assert [run.run_id[-1] for run in RunHistory(state).runs()] == ["1"]


def test_purging_spares_a_run_whose_file_is_being_sent(state: Path) -> None:
    shelf = RunStore(state)
    one_life(shelf.create(BEGUN))
    _finish(shelf.create(replace(BEGUN, key="other")))

    with shelf.lock(BEGUN.key, since="now"):
        assert RunHistory(state).purge(0) == 1
        assert [run.ended for run in RunHistory(state).runs()] == ["running"]
    assert RunHistory(state).purge(0) == 1


def recorded(state: Path, day: int, record: RunRecord) -> str:
    """Put *record* into the history as the start of that *day*, which has ended unless it has no exit status."""
    start_id = f"202602{day:02}T020000Z-0"
    started = f"2026-02-{day:02}T02:00:00+00:00"
    with History(state).open(replace(record, start_id=start_id, started=started)):
        pass
    return start_id


def ended(status: int, *, job: str = "members", source: str = "members.csv", run_id: str = "") -> RunRecord:
    """Return the record of a start that ended with *status*."""
    source_record = SourceRecord(source, run_id, status, Counts(3, sent=3))
    return RunRecord("", "", job, (source_record,), ended="2026-02-01T02:00:09+00:00", exit_status=status)


def test_every_start_is_listed_also_one_that_made_no_journal(state: Path) -> None:
    one_life(RunStore(state).create(BEGUN))
    recorded(state, 1, ended(6, run_id=BEGUN.run_id))
    recorded(state, 2, ended(2, job="", source="others.csv"))
    recorded(state, 3, replace(ended(0), ended=None, exit_status=None))

    starts = [(one.record.job_name, one.record.end, len(one.runs)) for one in RunHistory(state).starts()]

    assert starts == [
        ("members", RunEnd.KILLED, 0),
        ("others.csv", RunEnd.FAILED, 0),
        ("members", RunEnd.FAILED, 1),
    ]


def test_a_run_of_an_earlier_version_is_listed_by_what_its_journal_says(state: Path) -> None:
    one_life(RunStore(state).create(BEGUN))
    _finish(RunStore(state).create(replace(BEGUN, run_id="20260102T000000Z-def456", key="other")))

    finished, stopped = (one.record for one in RunHistory(state).starts())

    assert (finished.end, finished.exit_status, finished.ended) == (
        RunEnd.REJECTED,
        3,
        "2026-01-01T00:00:01+00:00",
    )
    assert (stopped.end, stopped.outcome) == (
        RunEnd.FAILED,
        "stopped: the service was unreachable, or throttled us for too long",
    )
    assert [(reason.code, reason.rows) for reason in stopped.reasons] == [("50000", 1), ("type", 1)]


def test_the_journal_says_what_a_killed_start_had_done(state: Path) -> None:
    stopped = one_life(RunStore(state).create(BEGUN))
    with Journal(stopped.path, stopped.state) as journal:
        journal.record_facts("life", {"pid": os.getpid(), "at": "t", "in_flight": []})
        journal.record_interval(Interval(5.0, 2.5))
    recorded(state, 1, RunRecord("", "", "members", (SourceRecord("people.csv", BEGUN.run_id),)))

    (start,) = RunHistory(state).starts()

    assert (start.record.end, start.record.counts.sent, start.record.requests) == (RunEnd.KILLED, 2, 7)
    assert start.record.sources[0].seconds == 1.0 + 2.5


@pytest.mark.parametrize(
    ("wanted", "days"),
    [
        (StartFilter(), [4, 3, 2, 1]),
        (StartFilter(job="members"), [3, 1]),
        (StartFilter(job="others.csv"), [4, 2]),
        (StartFilter(failed=True), [4, 3]),
        (StartFilter(since=datetime(2026, 2, 3, tzinfo=UTC)), [4, 3]),
        (StartFilter(most=3), [4, 3, 2]),
        (StartFilter(job="members", failed=True, most=1), [3]),
    ],
)
def test_only_those_starts_are_listed_that_are_asked_for(state: Path, wanted: StartFilter, days: list[int]) -> None:
    RunStore(state)
    recorded(state, 1, ended(0))
    recorded(state, 2, ended(0, job="", source="others.csv"))
    recorded(state, 3, ended(3))
    recorded(state, 4, ended(4, job="", source="others.csv"))

    listed = [one.record.start_id for one in RunHistory(state).starts(wanted)]

    assert listed == [f"202602{day:02}T020000Z-0" for day in days]


def test_a_start_is_found_by_its_id_by_that_of_its_run_and_as_the_last(state: Path) -> None:
    RunStore(state)
    first = recorded(state, 1, ended(6, run_id="20260131T235959Z-run"))
    resumed = recorded(state, 2, ended(0, run_id="20260131T235959Z-run"))
    last = recorded(state, 3, ended(2))
    history = RunHistory(state)

    found = [history.start(name).record.start_id for name in (first, resumed, "20260131", "20260203", "last")]

    # Of the two that are one run, its ID means the later one: that knows what became of the run.
    assert found == [first, resumed, resumed, last, last]
    for name, what in (("2026", "2 runs"), ("2027", "no run")):
        with pytest.raises(ConfigError, match=f"{what} with an ID that begins with '{name}'"):
            history.start(name)


def test_each_source_of_a_start_is_for_json_what_its_journal_says_and_how_the_start_ended(state: Path) -> None:
    one_life(RunStore(state).create(BEGUN))
    both = ended(6, run_id=BEGUN.run_id)
    recorded(state, 1, replace(both, sources=(*both.sources, SourceRecord("b.csv", "run-b", 6)), error="away"))

    (start,) = RunHistory(state).starts()

    second, first = start.facts()
    assert (first["source"], first["ended"], first["sent"], first["lives"]) == ("people.csv", "interrupted", 2, 1)
    assert (second["source"], second["ended"], second["sent"]) == ("b.csv", "not started", 0)
    assert {(facts["job"], facts["end"], facts["error"]) for facts in (first, second)} == {
        ("members", "failed", "away")
    }


def test_purging_deletes_the_records_of_old_starts(state: Path) -> None:
    RunStore(state)
    recorded(state, 1, ended(0))

    assert RunHistory(state).purge(0) == 0
    assert list(RunHistory(state).starts()) == []
