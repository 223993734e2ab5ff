"""Whatever happens in the nights before, at the end of a completed night the service has what the file says."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from tests import make
from tests.make import BEGUN, begun_with
from tests.seeds import seeds
from uploader.changes import DigestStore, DigestStores, digest_store
from uploader.changes import unchanged_rows as module
from uploader.changes.change_detection import ChangeDetection
from uploader.changes.stale_retries import Origins, StaleRetries, watch_since
from uploader.changes.unchanged_rows import UnchangedRows
from uploader.clock import real_clock
from uploader.config import Settings
from uploader.delivery.person_ordering import PersonQueue, QueuedWork
from uploader.model import (
    UNKNOWN_RUN,
    Failed,
    NoWork,
    Outcome,
    Person,
    Reason,
    Rejected,
    Request,
    Row,
    Sent,
    Settled,
    Superseded,
    Unchanged,
    Work,
)
from uploader.outputs.rows_to_resend import RowsToResend
from uploader.run.open_change_detection import open_change_detection
from uploader.state import RunHeader

REASON: Final = Reason("50000", "the service had a fault of its own")
WORKERS: Final = 3
SEEDS: Final = 60
NIGHTS: Final = 5


def late_of(recall: ChangeDetection, begun: RunHeader, *, retry: bool = False) -> StaleRetries:
    return StaleRetries(
        recall,
        begun,
        Origins(begun, "0f0f0f0f", 99),
        newest_run=UNKNOWN_RUN,
        has_older=retry,
        records_all=False,
        accept=False,
        since=watch_since(begun, is_retry=retry),
    )


def sift_of(
    recall: ChangeDetection,
    late: StaleRetries,
    followup: RowsToResend,
    *,
    kind: type[UnchangedRows] = UnchangedRows,
    skips: bool = True,
) -> UnchangedRows:
    return kind(recall, skips_unchanged=skips, must_resend=followup.has, since=0, on_unchanged=late.record_unchanged)


class KilledError(Exception):
    """The process is gone."""


def request(number: int, who: str, value: str) -> Request:
    body = make.body({"external_id": who}, {"v": value}, "now")
    return make.request(number, f"external_id={who}", f"email={who}@mail", fields={"v": value}, body=body)


@dataclass
class Night:
    """One file sent to *service*, in as many lives as it takes; the sift of *kind* keeps the memory."""

    library: DigestStores
    settings: Settings
    service: dict[str, str]
    rows: Sequence[tuple[str, str | None]]
    dice: random.Random
    kind: type[UnchangedRows] = UnchangedRows
    troubles: float = 0.15
    deaths: float = 0.1
    journal: dict[int, str] = field(default_factory=dict)
    requests: int = 0
    crashes: int = 0

    def carry(self) -> None:
        """Go through the file to its end, however often the process is killed."""
        followup = RowsToResend()
        in_flight: set[int] = set()
        while len(self.journal) < len(self.rows):
            try:
                self._live(followup, in_flight)
            except KilledError:
                self.crashes += 1

    def _live(self, followup: RowsToResend, in_flight: set[int]) -> None:
        unsure = set(in_flight)
        in_flight.clear()
        recall = open_change_detection(
            self.library, "svc", self.settings, clock=real_clock(), mapping="mapping"
        ).__enter__()
        late = late_of(recall, BEGUN)
        sift = sift_of(recall, late, followup, kind=self.kind)
        turns, works = PersonQueue(100), sift.skip_unchanged(self._works())
        at_work: list[QueuedWork] = []
        try:
            while True:
                self._may_die()
                turn = turns.next_ready()
                if turn is None and (work := next(works, None)) is not None:
                    turn = None if isinstance(work, Settled) else turns.admit(work)  # type: ignore[arg-type]  # no row is kept here
                if turn is not None:
                    at_work.append(turn)
                    if isinstance(turn.work, Request):
                        in_flight.add(turn.work.row.number)
                if len(at_work) >= WORKERS or (turn is None and at_work):
                    turn = at_work.pop(self.dice.randrange(len(at_work)))
                    self._land(turn, late, sift, followup, turns, unsure, in_flight)
                elif work is None and turn is None:
                    break
            sift.flush()
            recall.__exit__(None, None, None)
        except KilledError:
            for turn in at_work:
                # What was on its way arrives, or does not.
                if isinstance(turn.work, Request) and self.dice.random() < 0.5:
                    self._apply(turn.work)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(DigestStore, "commit", lambda _, **__: None)
                recall.__exit__(None, None, None)
            raise

    def _works(self) -> Iterator[Work | NoWork]:
        for number, (who, value) in enumerate(self.rows, 1):
            if number in self.journal:
                yield Settled(number)
            elif value is None:
                yield Rejected(Row(number, {}), (f"external_id={who}",), REASON)
            else:
                yield request(number, who, value)

    def _land(  # noqa: PLR0913, PLR0917 — all that takes part
        self,
        turn: QueuedWork,
        late: StaleRetries,
        sift: UnchangedRows,
        followup: RowsToResend,
        turns: PersonQueue,
        unsure: set[int],
        in_flight: set[int],
    ) -> None:
        outcome = self._outcome(turn.work)
        number = (outcome.record if isinstance(outcome, Rejected) else outcome.request.row).number
        if isinstance(outcome, Sent | Failed) and outcome.unsure:
            unsure.add(number)
        self._may_die()
        owed = followup.kind(outcome) is not None
        late.record_before_journal(outcome, must_resend=owed)
        self._may_die()
        self.journal[number] = type(outcome).__name__
        in_flight.discard(number)
        self._may_die()
        sift.record_outcome(outcome, unsure=number in unsure)
        if self.dice.random() < 0.2:
            sift.flush()
        turns.settle(turn)

    def _outcome(self, work: Work) -> Outcome:
        if not isinstance(work, Request):
            return work
        unsure = False
        for _ in range(3):
            self.requests += 1
            fate = self.dice.random()
            if fate > self.troubles:
                self._apply(work)
                return Sent(work, 1, unsure)
            if fate > self.troubles / 2:
                self._apply(work)
                unsure = True
        return Failed(work, REASON, 3, unsure)

    def _apply(self, work: Request) -> None:
        self.service[work.person[0]] = str(work.row.fields["v"])

    def _may_die(self) -> None:
        if self.dice.random() < self.deaths / 10:
            raise KilledError

    def wrong(self) -> list[str]:
        """Name everybody whose last row was settled as right, and of whom the service says something else."""
        last: dict[str, int] = {who: number for number, (who, _) in enumerate(self.rows, 1)}
        return [
            who
            for who, number in last.items()
            if self.journal[number] in {"Sent", "Unchanged"}
            and self.service.get(f"external_id={who}") != self.rows[number - 1][1]
        ]


class RemembersTooEarly(UnchangedRows):
    """Remembers before the answer."""

    def _skip_if_unchanged(self, work: Work | NoWork) -> Work | NoWork:
        found = super()._skip_if_unchanged(work)
        if isinstance(found, Request):
            self._changes.commit()
            for person in self._changes.digests.people(found.person):
                self._changes.store().add(person, self._changes.digests.body(found))
        return found


_LEARN_ANYWAY: Final = """
INSERT INTO accepted (body, person) SELECT ?1, ?2 WHERE ?3 IS NOT NULL ON CONFLICT DO UPDATE SET body = excluded.body
"""


class NeverForgets(UnchangedRows):
    """Sends without forgetting who the request is about."""

    def skip_unchanged(self, works: Iterator[Work | NoWork]) -> Iterator[Work | NoWork]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DigestStore, "forget", lambda *_: None)
            patch.setattr(digest_store, "_ADD", _LEARN_ANYWAY)
            yield from super().skip_unchanged(works)


class ForgetsWithoutCommit(UnchangedRows):
    """Sends while what is forgotten may still be lost."""

    def skip_unchanged(self, works: Iterator[Work | NoWork]) -> Iterator[Work | NoWork]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self._changes, "commit", lambda: None)
            yield from super().skip_unchanged(works)

    def flush(self) -> None:
        self._changes.store().commit()


def nights(
    folder: Path, settings: Settings, seed: int, kind: type[UnchangedRows] = UnchangedRows, deaths: float = 0.1
) -> Iterator[Night]:
    """Yield some completed nights in a row, of files whose values go back and forth."""
    dice = random.Random(seed)  # noqa: S311 — a history that can be told again
    clock, service = count(1000.0), dict[str, str]()
    library = DigestStores(folder, wall=lambda: next(clock))
    for _ in range(NIGHTS):
        people = dice.sample("abcdefghijkl", 9)
        rows = [(who, dice.choice("xy")) for who in [*people, *dice.choices(people, k=3)]]
        dice.shuffle(rows)
        spoilt = [(who, None if dice.random() < 0.05 else value) for who, value in rows]
        night = Night(library, settings, service, spoilt, dice, kind, deaths=deaths)
        night.carry()
        yield night


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 4)


@pytest.fixture
def changed_only(settings: Callable[..., Settings]) -> Settings:
    return settings("changed_only=true")


@pytest.mark.seeded
@pytest.mark.parametrize("seed", seeds(SEEDS))
def test_the_service_has_what_the_file_says_after_every_history(
    tmp_path: Path, changed_only: Settings, seed: int
) -> None:
    assert [night.wrong() for night in nights(tmp_path, changed_only, seed)] == [[]] * NIGHTS


@pytest.mark.parametrize("kind", [RemembersTooEarly, NeverForgets, ForgetsWithoutCommit])
def test_a_memory_that_breaks_one_rule_is_caught(
    tmp_path: Path, changed_only: Settings, kind: type[UnchangedRows]
) -> None:
    for seed in range(SEEDS):
        if any(night.wrong() for night in nights(tmp_path / str(seed), changed_only, seed, kind, deaths=0.3)):
            return
    pytest.fail("no history shows it")


@pytest.mark.seeded
@pytest.mark.parametrize("seed", seeds(5))
def test_without_trouble_only_what_changed_is_sent(tmp_path: Path, changed_only: Settings, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 — as above
    library, service = DigestStores(tmp_path, wall=lambda: 1000.0), dict[str, str]()
    rows: dict[str, str | None] = dict.fromkeys("abcdefghijkl", "x")

    def sent() -> int:
        night = Night(library, changed_only, service, list(rows.items()), dice, troubles=0, deaths=0)
        night.carry()
        return night.requests

    first = sent()
    rows |= {"c": "y", "d": "y", "new": "x"}
    second = sent()
    third = sent()

    assert (first, second, third) == (12, 3, 0)


# One row


@dataclass
class Desk:
    """A sift of its own for each run, over one memory."""

    library: DigestStores
    settings: Settings

    def run(self, *works: Work, run: int, origin: int = 0, retry: bool = False, **how: bool) -> list[Outcome]:
        """Return what becomes of *works*: requests are accepted, but for those whose value is `fail`."""
        begun = begun_with(number=run, from_number=origin)
        followup, outcomes = RowsToResend(), list[Outcome]()
        with open_change_detection(self.library, "svc", self.settings, clock=real_clock(), mapping="mapping") as recall:
            late = late_of(recall, begun, retry=retry)
            sift = sift_of(recall, late, followup, skips=not retry)
            for work in sift.skip_unchanged(late.without_stale(iter(works))):
                outcome = self._outcome(work, unsure=how.get("unsure", False))
                owed = followup.kind(outcome) is not None
                late.record_before_journal(outcome, must_resend=owed)
                sift.record_outcome(outcome, unsure=isinstance(outcome, Sent) and outcome.unsure)
                outcomes.append(outcome)
        return outcomes

    @staticmethod
    def _outcome(work: Work | NoWork, *, unsure: bool) -> Outcome:
        match work:
            case Request(row=row) if row.fields["v"] == "fail":
                return Failed(work, REASON, 5)
            case Request():
                return Sent(work, 1, unsure)
            case Rejected() | Unchanged() | Superseded():
                return work
            case _:
                raise AssertionError(work)


@pytest.fixture
def desk(tmp_path: Path, changed_only: Settings) -> Desk:
    return Desk(DigestStores(tmp_path, wall=lambda: 1000.0), changed_only)


ONE, TWO, THREE, FOUR = (1, 2, 3, 4)


def kinds(outcomes: Sequence[Outcome]) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


def test_a_row_of_a_retry_file_is_superseded_once_a_later_run_has_sent_its_person(desk: Desk) -> None:
    desk.run(request(1, "ann", "fail"), request(2, "bob", "fail"), run=ONE)
    desk.run(request(1, "ann", "new"), run=TWO)

    retried = desk.run(request(1, "ann", "old"), request(2, "bob", "old"), run=THREE, origin=ONE, retry=True)

    assert kinds(retried) == ["Superseded", "Sent"]


def test_a_person_whom_a_later_run_found_unchanged_is_not_overwritten_by_a_retry(desk: Desk) -> None:
    desk.run(request(1, "ann", "x"), run=ONE)
    desk.run(Rejected(Row(1, {}), request(1, "ann", "").person, REASON), run=TWO)
    found = desk.run(request(1, "ann", "x"), run=THREE)

    retried = desk.run(request(1, "ann", "mended"), run=FOUR, origin=TWO, retry=True)

    assert (kinds(found), kinds(retried)) == (["Unchanged"], ["Superseded"])


def test_a_row_of_a_retry_file_does_not_overwrite_what_a_later_row_of_the_same_run_has_set(desk: Desk) -> None:
    desk.run(request(1, "ann", "fail"), request(2, "ann", "new"), run=ONE)

    retried = desk.run(request(1, "ann", "old"), request(2, "ann", "new"), run=TWO, origin=ONE, retry=True)

    assert kinds(retried) == ["Superseded", "Sent"]


def test_rows_of_an_unknown_run_are_older_than_all_that_were_accepted_since(desk: Desk) -> None:
    desk.run(request(1, "ann", "fail"), request(2, "bob", "fail"), run=ONE)
    desk.run(request(1, "ann", "new"), run=TWO)

    retried = desk.run(request(1, "ann", "old"), request(2, "bob", "old"), run=THREE, origin=UNKNOWN_RUN, retry=True)

    assert kinds(retried) == ["Superseded", "Sent"]


def test_a_retry_is_remembered_like_any_row(desk: Desk) -> None:
    desk.run(request(1, "ann", "fail"), run=ONE)
    desk.run(request(1, "ann", "x"), run=TWO, origin=ONE, retry=True)

    assert kinds(desk.run(request(1, "ann", "x"), run=THREE)) == ["Unchanged"]


def test_a_row_behind_one_whose_request_may_still_be_on_its_way_is_sent_again_the_next_night(desk: Desk) -> None:
    desk.run(request(1, "ann", "x"), request(2, "ann", "y"), request(3, "bob", "x"), run=ONE, unsure=True)

    assert kinds(desk.run(request(1, "ann", "y"), request(2, "bob", "x"), run=TWO)) == ["Sent", "Unchanged"]


def test_a_retry_that_is_overtaken_while_it_waits_is_not_sent(desk: Desk) -> None:
    desk.run(request(1, "ann", "fail"), run=ONE)
    begun = begun_with(number=THREE, from_number=ONE)
    with open_change_detection(desk.library, "svc", desk.settings, clock=real_clock(), mapping="mapping") as recall:
        late = late_of(recall, begun, retry=True)
        (work,) = late.without_stale(iter([request(1, "ann", "old")]))
        assert isinstance(work, Request)
        desk.run(request(1, "ann", "new"), run=TWO)

        assert late.newest(work) == Superseded(work)


@pytest.mark.parametrize(
    ("overrides", "at", "due"),
    [((), 1e12, False), (("full_every=30d",), 86_400 * 29.0, False), (("full_every=30d",), 86_400 * 30.0, True)],
)
def test_everything_is_sent_anew_by_full_every(
    tmp_path: Path,
    settings: Callable[..., Settings],
    overrides: Sequence[str],
    at: float,
    due: bool,  # noqa: FBT001 — a table's column
) -> None:
    wanted = settings("changed_only=true", *overrides)
    library = DigestStores(tmp_path, wall=lambda: 0.0)
    with open_change_detection(
        library, "svc", wanted, clock=replace(real_clock(), wall=lambda: at), mapping="mapping"
    ) as recall:
        recall.record_full_run("source", began=0.0, whole=False)
        recall.record_full_run("source", began=5.0, whole=False)

        assert (recall.is_full_run_due("source"), recall.is_full_run_due("other")) == (due, False)


def test_a_person_of_no_value_is_nobody(desk: Desk) -> None:
    person: Person = ()

    assert kinds(desk.run(Rejected(Row(1, {}), person, REASON), run=ONE)) == ["Rejected"]


def test_a_memory_that_another_run_makes_meanwhile_is_heard_of(
    tmp_path: Path, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.changes.change_detection._LOOK_SECONDS", 0.0)
    library = DigestStores(tmp_path, wall=lambda: 0.0)
    with open_change_detection(library, "svc", settings(), clock=real_clock(), mapping="mapping") as recall:
        before = recall.is_open
        with library.open("svc", {}, record_from_now=True):
            after = recall.is_open

    assert (before, after, recall.is_recording) == (False, True, False)
