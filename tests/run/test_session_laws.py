"""Hold the promises of a journal whatever happens to the process, the disk and the file, in any order."""

import csv
import errno
import io
import os
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests import make
from tests.make import BEGUN, NO_VALUE, REASON, begun_with
from uploader.errors import StorageError
from uploader.model import Failed, Outcome, Rejected, Request, Sent, Unsettled
from uploader.outputs.retry_file import RetryFile, RetryFormat
from uploader.outputs.rows_to_resend import RowsToResend
from uploader.run.mark_finished import RunEndings
from uploader.run.results import Ending, SourceResult, Times
from uploader.run.resume import refuse_or_start_over, remark_of
from uploader.run.session import Session
from uploader.state import RunStore, StoredRun, read_run

ROWS: Final = 8
PEOPLE: Final = 3
ACCEPTED, REFUSED, FAULT, LIMITED = "accepted", "refused", "fault", "limited"
LOST_APPLIED, LOST = "lost, applied", "lost"
REPLIES: Final = (ACCEPTED, REFUSED, FAULT, LIMITED, LOST_APPLIED, LOST)


def request(number: int) -> Request:
    return make.request(number, f"id={number % PEOPLE}", fields={"id": f"name,{number}"})


@dataclass(slots=True)
class Flying:
    """A row that is being delivered: whether a request is on its way, and what the earlier ones came to."""

    is_up: bool = True
    posted: int = 1
    unsure: bool = False


class Disk:
    """Every write of the journal and of the retry file, and whether it is taken: whole, in part, or not at all.

    *synced* is how many bytes of each file have reached the disk.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.full = ""
        self.takes: int | None = None
        self.synced: dict[str, int] = {}
        write, fdopen, fdatasync = os.write, os.fdopen, os.fdatasync
        disk = self

        def synced(handle: int) -> None:
            fdatasync(handle)
            self.synced[str(Path(f"/proc/self/fd/{handle}").readlink())] = os.fstat(handle).st_size

        class RetryDisk(io.FileIO):
            def write(self, data: Any) -> int:  # noqa: ANN401 — whatever has bytes
                return super().write(disk.taken("retry", bytes(data))) or 0

        def opened(handle: int, mode: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 — fdopen's own
            return RetryDisk(handle, mode) if more.get("buffering") == 0 else fdopen(handle, mode, *rest, **more)

        patch.setattr(os, "write", lambda handle, data: write(handle, self.taken("journal", data)))
        patch.setattr(os, "fdopen", opened)
        patch.setattr(os, "fdatasync", synced)

    def taken(self, what: str, data: bytes) -> bytes:
        if self.full != what:
            return data
        if self.takes is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return data[: min(self.takes, len(data) - 1)]


class Lives(RuleBasedStateMachine):
    """One file that is sent, in as many lives and runs as it takes; beside the real files, what must be true of them.

    *order* are the rows that the journal was given, with what they are owed as; *synced* is how many of them it had at
    the last sync. *applied* counts what the service stored. *excused* are rows that a power cut made the run forget.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        self.disk = Disk(self.patch)
        self.shelf = RunStore(self.folder / "state")
        self.version = 1
        self.runs = 0
        self.life: Session | None = None
        self.stack = ExitStack()
        self.flying: dict[int, Flying] = {}
        self.retry_of_earlier_runs: dict[Path, bytes] = {}
        self.run_version = 0
        self.forget_run()

    def forget_run(self) -> None:
        self.order: list[tuple[int, str | None]] = []
        self.synced = 0
        self.applied: Counter[int] = Counter()
        self.excused: set[int] = set()
        self.retry_path: Path | None = None

    def teardown(self) -> None:
        self.end_life()
        self.patch.undo()
        shutil.rmtree(self.folder)

    # The lives of a run

    @initialize()
    def begin(self) -> None:
        self.go_on()

    @precondition(lambda self: self.life is None)
    @rule()
    def go_on(self) -> None:
        """Start the command, as the app does it."""
        self.stack = ExitStack()
        old = self.shelf.interrupted(BEGUN.key)
        retry = self.stack.enter_context(self.retry_file(old))
        followup = RowsToResend()
        if old is not None:
            for number, owed in sorted(old.state.to_resend.items()):
                retry.rebuild(request(number).row, remark_of(owed))
                followup.add(request(number).person)
        self.runs += 1
        new = begun_with(run_id=f"20260101T{self.runs:06d}Z-a", rows=ROWS, content=f"version {self.version}")
        is_anew = old is None or refuse_or_start_over(old.state, new, when_changed="fresh", fresh=False) is not None
        assert is_anew == (old is None or self.run_version != self.version)
        if is_anew:
            retry.discard()
            retry, followup = self.stack.enter_context(self.retry_file(None)), RowsToResend()
            if old is not None:
                self.shelf.abandon(old)
            old = self.shelf.create(new)
            self.keep_retry_file()
            self.forget_run()
            self.run_version = self.version
        assert old is not None
        self.check_what_is_known(old)
        self.life = self.stack.enter_context(Session(old, retry, followup))
        self.retry_path = self.noted_retry_file()
        self.check_who_is_doubted()

    def retry_file(self, old: StoredRun | None) -> RetryFile:
        named = None if old is None else old.state.retry_file
        return RetryFile(Path(named) if named else self.folder / "people.retry.csv", RetryFormat("csv", ("id",)))

    def check_what_is_known(self, volume: StoredRun) -> None:
        """What was synced is settled, nothing is that was not answered, and the books are those of the rows kept."""
        ledger = volume.state
        kept = len(ledger.settled)
        assert kept >= self.synced
        lost = {number for number, _ in self.order[kept:]}
        self.excused |= lost
        self.order = self.order[:kept]
        assert {number for number in range(ROWS + 1) if number in ledger.settled} == {row for row, _ in self.order}
        assert {row: owed.kind for row, owed in ledger.to_resend.items()} == {
            row: kind for row, kind in self.order if kind
        }
        kinds = Counter(kind for _, kind in self.order)
        counts = ledger.counts
        assert counts.balances
        assert (counts.sent, counts.failed, counts.rejected, counts.not_attempted) == (
            kinds[None] + kinds["again"],
            kinds["failed"],
            kinds["rejected"],
            ROWS - kept,
        )

    def check_who_is_doubted(self) -> None:
        """Whoever was sent twice, or will be, is counted, but for those that only a power cut made unknown."""
        assert self.life is not None
        settled = {row for row, _ in self.order}
        twice = {row for row, count in self.applied.items() if count > (row in settled)}
        assert twice - self.excused <= self.life.running_counts.unsure

    def noted_retry_file(self) -> Path | None:
        assert self.life is not None
        named = read_run(self.life.stored_run.path).state.retry_file
        return None if named is None else Path(named)

    def keep_retry_file(self) -> None:
        if self.retry_path is not None and self.retry_path.exists():
            self.retry_of_earlier_runs[self.retry_path] = self.retry_path.read_bytes()

    def end_life(self) -> None:
        self.flying = {}
        self.stack.close()
        self.life = None

    # What becomes of rows

    def ready(self) -> list[int]:
        """Return the rows whose turn it is: not settled, not flying, and the next of their person."""
        settled = {row for row, _ in self.order}
        firsts: dict[int, int] = {}
        for row in range(1, ROWS + 1):
            if row not in settled:
                firsts.setdefault(row % PEOPLE, row)
        return [row for row in firsts.values() if row not in self.flying]

    @precondition(lambda self: self.life is not None and self.ready())
    @rule(data=st.data())
    def take_off(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.ready()))
        self.post(row)

    @precondition(lambda self: any(not flying.is_up for flying in self.flying.values()))
    @rule(data=st.data())
    def try_again(self, data: st.DataObject) -> None:
        waiting = [row for row, flying in self.flying.items() if not flying.is_up]
        self.post(data.draw(st.sampled_from(waiting)))

    @precondition(lambda self: self.life is not None and self.ready())
    @rule(data=st.data(), replies=st.lists(st.sampled_from(REPLIES), min_size=1, max_size=3))
    def deliver(self, data: st.DataObject, replies: list[str]) -> None:
        """Let a row have one reply after the other, without a pause; it is left waiting unless the last settles it."""
        row = data.draw(st.sampled_from(self.ready()))
        self.post(row)
        for reply in replies:
            if row not in self.flying:
                return
            if not self.flying[row].is_up:
                self.post(row)
            self.end_attempt(row, reply, gives_up=False)

    @precondition(lambda self: self.life is not None and self.ready())
    @rule(data=st.data(), reply=st.sampled_from([ACCEPTED, REFUSED, FAULT, LOST_APPLIED]))
    def settle_at_once(self, data: st.DataObject, reply: str) -> None:
        row = data.draw(st.sampled_from(self.ready()))
        self.post(row)
        self.end_attempt(row, reply, gives_up=True)

    def post(self, row: int) -> None:
        """Let a request for *row* go, as the delivery does it."""
        assert self.life is not None
        self.life.traffic.requests += 1
        self.life.traffic.retries += row in self.flying
        self.life.in_flight.mark(row)
        flying = self.flying.setdefault(row, Flying(posted=0))
        flying.is_up = True
        flying.posted += 1

    @precondition(lambda self: any(flying.is_up for flying in self.flying.values()))
    @rule(data=st.data(), reply=st.sampled_from([ACCEPTED, ACCEPTED, *REPLIES]), gives_up=st.booleans())
    def answer(self, data: st.DataObject, reply: str, gives_up: bool) -> None:  # noqa: FBT001 — drawn by name
        """Let an attempt end: accepted, refused, failed, limited, or dropped with its fate unknown."""
        row = data.draw(st.sampled_from([row for row, flying in self.flying.items() if flying.is_up]))
        self.end_attempt(row, reply, gives_up=gives_up)

    def end_attempt(self, row: int, reply: str, *, gives_up: bool) -> None:
        assert self.life is not None
        flying = self.flying[row]
        flying.is_up = False
        self.applied[row] += reply in {ACCEPTED, LOST_APPLIED}
        flying.unsure |= reply in {LOST, LOST_APPLIED}
        if reply != ACCEPTED and not flying.unsure:
            self.life.in_flight.clear(row)
        if reply == LIMITED:
            self.life.traffic.limited += 1
            with suppress(StorageError):
                self.life.record_pause(0.5)
        elif reply == ACCEPTED:
            self.settle(row, Sent(request(row), flying.posted, flying.unsure))
        elif reply == REFUSED:
            rejected = Rejected(request(row).row, request(row).person, NO_VALUE, flying.posted, flying.unsure)
            self.settle(row, rejected)
        elif gives_up:
            self.settle(row, Failed(request(row), REASON, flying.posted, flying.unsure))

    def settle(self, row: int, outcome: Outcome) -> None:
        assert self.life is not None
        kind: str | None = None
        match outcome:
            case Failed():
                kind = "failed"
            case Rejected():
                kind = "rejected"
            case Sent() if any(owed and other % PEOPLE == row % PEOPLE for other, owed in self.order):
                kind = "again"
            case _:
                pass
        needs_retry_file = kind is not None
        try:
            self.life.settle(outcome)
        except StorageError:
            if self.disk.full == "retry":
                assert needs_retry_file
                self.order.append((row, kind))
            del self.flying[row]
            self.stop_for_storage()
        else:
            assert self.disk.full != "journal"
            self.order.append((row, kind))
            del self.flying[row]
            if needs_retry_file:
                self.retry_path = self.noted_retry_file()

    # How lives end

    @precondition(lambda self: self.life is not None and not self.disk.full)
    @rule()
    def sync(self) -> None:
        assert self.life is not None
        self.life.sync()
        self.synced = len(self.order)

    @precondition(lambda self: self.life is not None and not self.disk.full and self.is_worth_a_crash())
    @rule(status=st.sampled_from([5, 6, 143]))
    def stop(self, status: int) -> None:
        """End in order: who is still in flight is abandoned."""
        assert self.life is not None
        for row, flying in self.flying.items():
            self.life.settle(Unsettled(request(row), flying.posted, flying.unsure or flying.is_up))
        self.sync()
        self.mark(status)
        self.end_life()

    def stop_for_storage(self) -> None:
        """End because the disk is full: as much of the rest as can be is still noted."""
        assert self.life is not None
        for row, flying in self.flying.items():
            with suppress(StorageError):
                self.life.settle(Unsettled(request(row), flying.posted, flying.unsure or flying.is_up))
        with suppress(StorageError):
            self.mark(7, error=StorageError("full"))
        self.end_life()
        self.disk.full = ""

    def mark(self, status: int, error: Exception | None = None) -> None:
        assert self.life is not None
        volume = self.life.final_state(must_agree=error is None)
        with RunEndings(self.shelf, journal_days=10**5) as endings:
            result = SourceResult(BEGUN.run_id, BEGUN.source, BEGUN.started, times=Times(1), ending=Ending(status))
            endings.add(result, volume)
            if error is not None:
                raise error

    @precondition(lambda self: self.life is not None and len(self.order) == ROWS and not self.disk.full)
    @rule()
    def finish(self) -> None:
        """End with an outcome for every row: the run is over, and never continued."""
        assert self.life is not None
        self.sync()
        path = self.life.stored_run.path
        self.check_retry_file()
        self.mark(3 if any(kind for _, kind in self.order) else 0)
        self.end_life()
        self.check_what_the_finished_run_tells(read_run(path))
        assert self.shelf.interrupted(BEGUN.key) is None
        self.keep_retry_file()
        self.forget_run()

    def check_what_the_finished_run_tells(self, volume: StoredRun) -> None:
        ledger = volume.state
        assert ledger.is_finished
        assert ledger.counts.balances
        assert ledger.counts.not_attempted == 0
        assert {row: owed.kind for row, owed in ledger.to_resend.items()} == {
            row: kind for row, kind in self.order if kind
        }

    @precondition(lambda self: self.life is not None and self.is_worth_a_crash())
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """Kill the process: what it wrote stays, and requests in flight may arrive or not."""
        self.let_some_arrive(data)
        self.die()

    @precondition(lambda self: self.life is not None and self.is_worth_a_crash())
    @rule(data=st.data(), tail=st.sampled_from([b"", bytes(9), b"garbage\n", b"\n"]))
    def power_cut(self, data: st.DataObject, tail: bytes) -> None:
        """Kill the machine: of what was written since the last sync any part is lost, and garbage may follow."""
        assert self.life is not None
        path, retry = self.life.stored_run.path, self.retry_path
        flight = self.life.stored_run.in_flight_path
        self.let_some_arrive(data)
        self.die()
        cut = data.draw(st.integers(self.disk.synced[str(path)], path.stat().st_size), label="journal")
        if cut < path.stat().st_size:
            path.write_bytes(path.read_bytes()[:cut] + tail)
        if retry is not None and retry.exists():
            # Whatever is left of it: it is made anew from the journal.
            retry.write_bytes(retry.read_bytes()[: data.draw(st.integers(0, retry.stat().st_size), label="retry")])
        if data.draw(st.booleans(), label="flight lost"):
            flight.write_bytes(b"")
            self.excused |= set(self.applied)

    def is_worth_a_crash(self) -> bool:
        return bool(self.flying or self.disk.full) or len(self.order) > self.synced

    def let_some_arrive(self, data: st.DataObject) -> None:
        for row, flying in self.flying.items():
            if flying.is_up:
                self.applied[row] += data.draw(st.booleans(), label=f"row {row} arrives")

    def die(self) -> None:
        """Close what the process had open, and leave every file as it was."""
        before = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        self.end_life()
        self.disk.full = ""
        for path, content in before.items():
            path.write_bytes(content)

    @precondition(lambda self: self.life is None)
    @rule()
    def crash_while_starting(self) -> None:
        """Kill the process while it makes the retry file anew: what it had made so far stays beside."""
        old = self.shelf.interrupted(BEGUN.key)
        if old is None:
            return
        with self.retry_file(old) as retry:
            for number, owed in sorted(old.state.to_resend.items())[:2]:
                retry.rebuild(request(number).row, remark_of(owed))
            self.die()

    # What happens to the disk and the file

    @precondition(lambda self: self.life is not None and not self.disk.full and len(self.order) > 1)
    @rule(full=st.sampled_from(["journal", "retry"]), takes=st.none() | st.integers(0, 30))
    def fill_the_disk(self, full: str, takes: int | None) -> None:
        self.disk.full, self.disk.takes = full, takes

    @precondition(lambda self: self.life is None)
    @rule(version=st.sampled_from([1, 1, 1, 2]))
    def edit_the_file(self, version: int) -> None:
        self.version = version

    # What is true at every moment

    @invariant()
    def retry_file_is_exact(self) -> None:
        if self.life is not None:
            self.check_retry_file()

    def check_retry_file(self) -> None:
        """Every row that is owed stands in the retry file once, whole, with its kind."""
        owed = {row: kind for row, kind in self.order if kind}
        found: list[tuple[int, str, str]] = []
        if self.retry_path is not None and self.retry_path.exists():
            with self.retry_path.open(encoding="utf-8", newline="") as file:
                found = [(int(row["_row"]), row["_kind"], row["id"]) for row in csv.DictReader(file, strict=True)]
        assert sorted(found) == sorted((row, kind, f"name,{row}") for row, kind in owed.items())

    @invariant()
    def retry_files_of_earlier_runs_are_left_alone(self) -> None:
        for path, content in self.retry_of_earlier_runs.items():
            assert path.read_bytes() == content

    @invariant()
    def nothing_else_lies_about(self) -> None:
        if self.life is not None:
            names = [path.name for path in self.folder.iterdir() if path.name.startswith(".")]
            assert names == []


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=100, stateful_step_count=50)
pytestmark = pytest.mark.long
