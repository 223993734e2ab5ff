"""Decide whether a run begins or goes on, and keep its journal while it lasts."""

import os
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from tests import make
from tests.make import begun_with, people
from uploader.check.source_summary import CheckSummary
from uploader.config import Settings
from uploader.counts import Counts, OutcomeCounts
from uploader.errors import ChangedError, StorageError, UploaderError
from uploader.model import Failed, Reason, Rejected, Request, Sent, Unsettled
from uploader.outputs.retry_file import RetryFile, RetryFormat, RetryRemark
from uploader.outputs.rows_to_resend import RowsToResend
from uploader.run.environment import Environment
from uploader.run.fingerprints import key_of
from uploader.run.mark_finished import RunEndings
from uploader.run.preflight import opened, prepare
from uploader.run.results import Ending, SourceResult, Times
from uploader.run.resume import header_of, refuse_or_start_over, remark_of
from uploader.run.session import Session
from uploader.state import RowToResend, RunHeader, RunState, RunStore, StoredRun, read_run

BEGUN = begun_with(key="key", rows=1500)
NEW = replace(BEGUN, run_id="20260102T000000Z-def456", source="./people.csv")
OLD = RunState(header=BEGUN, outcomes=OutcomeCounts(sent=200, rejected=20, failed=3))
LEFT = "1,277 of 1,500 rows of the interrupted run 20260101T000000Z-abc123 were never sent"
REASON = Reason("50000", "the service had a fault of its own")
CANARY = "canary-4711"


# Whether it goes on


@pytest.mark.parametrize("when_changed", ["fresh", "refuse"])
def test_a_run_of_the_same_file_and_mapping_goes_on(when_changed: str) -> None:
    assert (
        refuse_or_start_over(OLD, begun_with(NEW, rows=9, version="2"), when_changed=when_changed, fresh=False) is None
    )


@pytest.mark.parametrize(
    ("new", "what"),
    [
        (begun_with(NEW, content="other"), "the file"),
        (begun_with(NEW, mapping="other"), "the mapping"),
        (begun_with(NEW, format=99), "the program"),
        (begun_with(NEW, content="other", mapping="other"), "the file and the mapping"),
    ],
)
def test_what_changed_is_named_and_decides_by_when_changed(new: RunHeader, what: str) -> None:
    told = refuse_or_start_over(OLD, new, when_changed="fresh", fresh=False)
    with pytest.raises(ChangedError) as refused:
        refuse_or_start_over(OLD, new, when_changed="refuse", fresh=False)

    assert told == f"./people.csv: {what} changed since the interrupted run: {LEFT}. Starting over."
    assert str(refused.value) == (
        f"./people.csv: {what} changed since the interrupted run: {LEFT}. Undo the change to resume, or use "
        "--fresh to start over."
    )
    assert refused.value.exit_status == 9


@pytest.mark.parametrize("content", ["content", "other"])
def test_fresh_begins_anew_whatever_changed(content: str) -> None:
    told = refuse_or_start_over(OLD, begun_with(NEW, content=content), when_changed="refuse", fresh=True)

    assert told == f"./people.csv: starting over as asked; {LEFT}."


# What a run is known by


def test_a_run_is_known_by_the_service_and_the_real_path(
    folder: Path, settings: Callable[..., Settings], world: Environment
) -> None:
    path = people(folder / "people.csv", ["1,a,1"])
    (folder / "link.csv").symlink_to(path)
    people(folder / "copy.csv", ["1,a,1"])

    def key(name: str, *overrides: str) -> str:
        wanted = settings(*overrides)
        with opened(name, wanted, world) as source:
            return key_of(wanted, source)

    same = key("people.csv")
    assert {key(str(path)), key("link.csv"), key("people.csv", "mapping.when_empty=null")} == {same}
    others = {
        key("copy.csv"),
        key("people.csv", "api.base_url=http://127.0.0.1:9"),
        key("people.csv", "api.service_id=other"),
    }
    assert len(others | {same}) == 4


def test_a_run_of_standard_input_is_known_by_its_content(settings: Callable[..., Settings]) -> None:
    def key(content: bytes) -> str:
        with opened("-", settings(), Environment({}, BytesIO(content))) as source:
            return key_of(settings(), source)

    assert key(b"id,name,age\n1,a,1\n") == key(b"id,name,age\n1,a,1\n")
    assert key(b"id,name,age\n1,a,1\n") != key(b"id,name,age\n1,b,1\n")


@pytest.mark.parametrize(
    ("override", "is_other"),
    [
        ("mapping.when_empty=null", True),
        ("source.delimiter=;", True),
        ("rate.concurrency=3", False),
        ("retry.attempts=2", False),
        ("api.timeout=1s", False),
    ],
)
def test_the_mapping_is_another_when_it_could_make_other_requests(
    folder: Path,
    settings: Callable[..., Settings],
    world: Environment,
    override: str,
    is_other: bool,  # noqa: FBT001 — a table's column
) -> None:
    people(folder / "people.csv", ["1,a,1"])

    def digest(*overrides: str) -> str:
        with opened("people.csv", settings(), world) as source:
            job = prepare(source, settings(), limit=None, summary=CheckSummary())
            account = SourceResult("id", "people.csv", "now")
            return header_of(settings(*overrides), job, account, "key", origin="id", full=False).basis.mapping

    assert (digest(override) != digest()) == is_other


# A life


def request(number: int, person: tuple[str, ...] = ()) -> Request:
    return make.request(
        number,
        *(person or (f"email={CANARY}{number}",)),
        fields={"id": f"{CANARY}{number}"},
        body=make.body({"email": CANARY}, {}),
        line=number + 1,
        text=f"{CANARY} text",
    )


def sent(number: int, *person: str) -> Sent:
    return make.sent(request(number, person))


def failed(number: int, *person: str) -> Failed:
    return Failed(request(number, person), REASON, 5)


def rejected(number: int) -> Rejected:
    work = request(number)
    return Rejected(work.row, work.person, Reason("type", "the value of 'age' is not a number"))


@pytest.fixture
def shelf(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "state")


@pytest.fixture
def retry(tmp_path: Path) -> RetryFile:
    return RetryFile(tmp_path / "people.retry.csv", RetryFormat("csv", ("id",)))


def live(volume: StoredRun, retry: RetryFile) -> Session:
    return Session(volume, retry, RowsToResend())


def retry_rows(tmp_path: Path) -> list[str]:
    path = tmp_path / "people.retry.csv"
    return path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []


def test_nothing_personal_is_in_a_journal_or_its_name(shelf: RunStore, retry: RetryFile, tmp_path: Path) -> None:
    volume = shelf.create(BEGUN)
    with retry, live(volume, retry) as life:
        life.settle(sent(1))
        life.settle(failed(2))
        life.settle(rejected(3))
        life.settle(Unsettled(request(4), 1, unsure=True))
        life.record_pause(1.5)
        life.sync()

    state = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert len(state) == 2
    assert [path for path in state if CANARY in f"{path}{path.read_bytes()!r}"] == []


def test_the_totals_of_the_journal_are_those_of_the_life(shelf: RunStore, retry: RetryFile) -> None:
    with retry, live(shelf.create(BEGUN), retry) as life:
        life.settle(sent(1))
        life.settle(failed(2))
        life.settle(rejected(3))
        life.traffic.requests, life.traffic.retries = 6, 4

        assert life.final_state(must_agree=True).state.counts == replace(
            OLD.counts, sent=1, failed=1, rejected=1, not_attempted=1497
        )


def test_totals_that_disagree_are_a_bug(shelf: RunStore, retry: RetryFile) -> None:
    with retry, live(shelf.create(BEGUN), retry) as life:
        life.settle(sent(1))

        with pytest.raises(UploaderError) as found:
            life.final_state(must_agree=True)
        assert life.final_state(must_agree=False).state.counts.sent == 1

    numbers = (
        "'sent': 1, 'unchanged': 0, 'superseded': 0, 'rejected': 0, 'failed': 0, "
        "'requests': {}, 'retries': 0, 'limited': 0, 'unsure': 0"
    )
    said, counted = ("{" + numbers.format(requests) + "}" for requests in (1, 0))
    assert str(found.value) == f"The journal says {said}, the run counted {counted}. This is a bug; keep the journal."
    assert found.value.exit_status == 1


def test_a_later_life_goes_on_with_every_total_of_the_earlier_ones(shelf: RunStore, retry: RetryFile) -> None:
    with retry, live(shelf.create(BEGUN), retry) as life:
        life.settle(failed(1))
        life.settle(rejected(2))
        life.settle(sent(3))

    (volume,) = shelf.runs()
    with retry, live(volume, retry) as life:
        running_counts, traffic = life.running_counts, life.traffic

        assert running_counts.outcomes.counts(read=3) == Counts(3, sent=1, failed=1, rejected=1)
        assert (traffic.requests, traffic.retries) == (6, 4)
        assert [(reason.code, problem.places) for reason, problem in running_counts.problems.most_frequent()] == [
            ("50000", [(1, 0)]),
            ("type", [(2, 0)]),
        ]
        assert [number in life.settled for number in range(5)] == [False, True, True, True, False]
        life.final_state(must_agree=True)


def test_an_accepted_row_after_an_unaccepted_one_of_its_person_is_owed_again(
    shelf: RunStore, retry: RetryFile, tmp_path: Path
) -> None:
    with retry, live(shelf.create(BEGUN), retry) as life:
        life.settle(failed(1, "id=1"))
        life.settle(sent(2, "id=1"))
        life.settle(sent(3, "id=2"))

    again = "accepted, but an earlier row of the same person was not: send it after that"
    assert [row.split(",", 2)[1:] for row in retry_rows(tmp_path)] == [
        ["1", f"failed,50000,{REASON.phrase},5"],
        ["2", f'again,,"{again}",1'],
    ]
    (volume,) = shelf.runs()
    assert {number: remark_of(owed) for number, owed in volume.state.to_resend.items()} == {
        1: RetryRemark("failed", "50000", REASON.phrase, 5),
        2: RetryRemark("again", "", again, 1),
    }


def test_an_outcome_that_the_journal_could_not_take_did_not_happen(
    shelf: RunStore, retry: RetryFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with retry, live(shelf.create(BEGUN), retry) as life:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda *_: 0)
            with pytest.raises(StorageError):
                life.settle(failed(1))

        assert (life.running_counts.outcomes.failed, retry_rows(tmp_path)) == (0, [])

    (volume,) = shelf.runs()
    assert volume.state.to_resend == {}


def test_a_row_that_was_not_sent_yet_leaves_no_line(shelf: RunStore, retry: RetryFile) -> None:
    with retry, live(shelf.create(BEGUN), retry) as life:
        size = life.stored_run.path.stat().st_size
        life.settle(Unsettled(request(1)))

        assert life.stored_run.path.stat().st_size == size


# In flight


def test_rows_in_flight_at_a_crash_count_as_maybe_sent_twice_in_every_later_life(
    shelf: RunStore, retry: RetryFile
) -> None:
    with retry, live(shelf.create(BEGUN), retry) as life:
        for row in (1, 2, 3):
            life.in_flight.mark(row)
        life.settle(sent(1))

    for _ in range(3):
        (volume,) = shelf.runs()
        with retry, live(volume, retry) as life:
            assert life.running_counts.unsure == {2, 3}
            assert life.traffic.requests == 3
            life.final_state(must_agree=True)


def test_a_row_that_turned_back_is_not_in_flight_any_more(shelf: RunStore, retry: RetryFile) -> None:
    with retry, live(shelf.create(BEGUN), retry) as life:
        life.in_flight.mark(1)
        life.in_flight.clear(1)

    (volume,) = shelf.runs()
    with retry, live(volume, retry) as life:
        assert life.running_counts.unsure == set()


def test_a_life_that_dies_at_its_beginning_leaves_the_rows_in_flight_to_the_next(
    shelf: RunStore, retry: RetryFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with retry, live(shelf.create(BEGUN), retry) as life:
        life.in_flight.mark(1)

    for call in ("write", "fdatasync", "ftruncate"):
        (volume,) = shelf.runs()
        with monkeypatch.context() as patch:
            patch.setattr(os, call, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt), retry, live(volume, retry):
                pass

    (volume,) = shelf.runs()
    with retry, live(volume, retry) as life:
        assert life.running_counts.unsure == {1}


# Its end


def account(status: int) -> SourceResult:
    return SourceResult(BEGUN.run_id, "people.csv", BEGUN.started, times=Times(2.5), ending=Ending(status))


@pytest.mark.parametrize(
    ("status", "is_finished"), [(0, True), (3, True), (5, False), (6, False), (9, False), (143, False)]
)
def test_a_run_is_finished_only_when_every_row_has_an_outcome(shelf: RunStore, status: int, is_finished: bool) -> None:  # noqa: FBT001 — a table's column
    volume = shelf.create(BEGUN)

    with RunEndings(shelf, journal_days=10**5) as endings:
        endings.add(account(status), volume)

    ledger = read_run(volume.path).state
    assert (ledger.is_finished, ledger.is_interrupted) == (is_finished, not is_finished)
    assert (ledger.end.status, ledger.sessions.seconds) == (status, 2.5)


def test_a_run_that_a_disk_ended_gets_no_mark_since_the_disk_is_not_tried_again(shelf: RunStore) -> None:
    volume = shelf.create(BEGUN)
    before = volume.path.read_bytes()

    with RunEndings(shelf, journal_days=10**5) as endings:
        endings.add(account(7), volume)

    assert volume.path.read_bytes() == before


def test_a_run_that_is_not_told_of_ends_without_a_mark(shelf: RunStore) -> None:
    shelf.create(BEGUN)

    with RunEndings(shelf, journal_days=10**5):
        pass

    assert shelf.interrupted("key") is not None


def test_old_runs_go_when_a_run_ends_but_not_interrupted_ones(shelf: RunStore) -> None:
    finished = shelf.create(replace(BEGUN, key="other"))
    shelf.create(BEGUN)

    with RunEndings(shelf, journal_days=30) as endings:
        endings.add(account(0), finished)

    assert [volume.path.name for volume in shelf.runs()] == [f"{BEGUN.run_id}-key.journal"]


def test_a_mark_that_can_not_be_written_is_told_unless_something_else_ended_the_run(
    shelf: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = shelf.create(BEGUN)

    def end(error: Exception | None) -> None:
        with monkeypatch.context() as patch, RunEndings(shelf, journal_days=30) as endings:
            endings.add(account(6), volume)
            patch.setattr(os, "write", lambda *_: 0)
            if error is not None:
                raise error
            endings.__exit__(None, None, None)

    with pytest.raises(StorageError, match="the disk is full"):
        end(None)
    with pytest.raises(UploaderError, match="what ended it"):
        end(UploaderError("what ended it"))


def test_a_row_owed_by_an_earlier_life_is_remarked_as_it_was() -> None:
    assert remark_of(RowToResend("failed", REASON, 5)) == RetryRemark("failed", "50000", REASON.phrase, 5)
