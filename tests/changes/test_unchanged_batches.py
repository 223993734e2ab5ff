"""Rows that are found unchanged in columns are those that are found unchanged one by one."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from tests import make
from tests.seeds import seeds
from uploader.changes import DigestStores, digest_columns, merge_digests
from uploader.changes.change_detection import ChangeDetection
from uploader.changes.unchanged_rows import UnchangedRows
from uploader.clock import real_clock
from uploader.config import Settings
from uploader.model import Person, Reason, Rejected, Request, Unchanged
from uploader.run.open_change_detection import open_change_detection

ROWS: Final = 40
REASON: Final = Reason("x", "it is not good")


def dice_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 — any order is as good


def request(number: int, who: str, mail: str | None, value: str) -> Request:
    identity = {"external_id": who} | ({} if mail is None else {"email": mail})
    words = [f"{name}={one}" for name, one in identity.items()]
    return make.request(number, *words, fields={"v": value}, body=make.body(identity, {"v": value}, "now"))


def rows_of(dice: random.Random, people: int) -> list[Request]:
    whos = [dice.randrange(people) for _ in range(ROWS)] if people < ROWS else range(ROWS)
    mails = [f"{who // 2 if dice.random() < 0.1 else who}@mail" if dice.random() < 0.8 else None for who in whos]
    values = dice.choices("ab", weights=(8, 1), k=ROWS)
    return [request(at + 1, f"w{whos[at]}", mails[at], values[at]) for at in range(ROWS)]


def columns(rows: Sequence[Request]) -> tuple[pl.DataFrame, pl.Series]:
    parts = [dict(word.split("=", 1) for word in one.person) for one in rows]
    identity = {name: pl.Series([one.get(name) for one in parts], dtype=pl.String) for name in ("external_id", "email")}
    # The body of a batch ends where the time begins.
    return pl.DataFrame(identity), pl.Series([one.body[: -len(b'now"}')].decode() for one in rows], dtype=pl.String)


@pytest.fixture(params=[1, 10_000], ids=["merged", "in SQLite"])
def changes(
    tmp_path: Path, settings: Callable[..., Settings], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ChangeDetection]:
    monkeypatch.setattr(merge_digests, "FEWEST", request.param)
    monkeypatch.setattr(digest_columns, "PEOPLE_OF_PART", 16)
    stores = DigestStores(tmp_path, wall=lambda: 0.0)
    setting = settings("changed_only=true")
    with open_change_detection(stores, "svc", setting, clock=real_clock(), mapping="m") as first:
        _accept(first, rows_of(dice_of(1), ROWS))
    with open_change_detection(stores, "svc", setting, clock=real_clock(), mapping="m") as found:
        yield found


def _accept(changes: ChangeDetection, rows: Sequence[Request]) -> None:
    store = changes.store()
    for one in rows:
        store.forget(changes.digests.people(one.person))
    store.commit()
    for one in rows:
        for person in changes.digests.people(one.person):
            store.add(person, changes.digests.body(one))


@pytest.mark.seeded
@pytest.mark.parametrize("seed", seeds(10))
@pytest.mark.parametrize("people", [12, ROWS])
def test_columns_find_what_rows_find(changes: ChangeDetection, people: int, seed: int) -> None:
    dice = dice_of(seed)
    rows = rows_of(dice, people)
    bad = [one.row.number for one in rows if dice.random() < 0.1]
    again: set[Person] = {one.person for one in rows if dice.random() < 0.1}
    one_by_one = UnchangedRows(changes, skips_unchanged=True, must_resend=again.__contains__)
    good = [one for one in rows if one.row.number not in bad]
    others = [one.person for one in rows if one.row.number in bad or one.person in again]

    assert changes.are_unchanged(*columns(rows)).to_list() == [
        changes.is_unchanged(one.person, one.body) for one in rows
    ]
    sure = one_by_one.surely_unchanged(*columns(good), others).to_list()
    works = [Rejected(one.row, one.person, REASON) if one.row.number in bad else one for one in rows]
    skipped = [isinstance(one, Unchanged) for one in one_by_one.skip_unchanged(iter(works))]
    found = dict(zip((one.row.number for one in good), sure, strict=True))

    assert {number for number, is_sure in found.items() if is_sure} <= {
        number for number, is_skipped in enumerate(skipped, 1) if is_skipped
    }
    assert any(sure) or people < ROWS


def test_without_digests_nothing_is_unchanged(changes: ChangeDetection) -> None:
    rows = rows_of(dice_of(1), ROWS)
    full = UnchangedRows(changes, skips_unchanged=False, must_resend=lambda _: False)

    assert full.surely_unchanged(*columns(rows), ()).to_list() == [False] * ROWS
    assert changes.are_unchanged(*columns(rows)).sum() > 0


def test_a_row_under_way_keeps_later_rows_of_its_person(changes: ChangeDetection) -> None:
    rows = rows_of(dice_of(1), ROWS)
    unchanged = UnchangedRows(changes, skips_unchanged=True, must_resend=lambda _: False)
    before = unchanged.surely_unchanged(*columns(rows), ()).to_list()
    first = before.index(True)
    list(unchanged.skip_unchanged(iter([request(99, f"w{first}", None, "c")])))

    after = unchanged.surely_unchanged(*columns(rows), ()).to_list()

    assert [at for at in range(ROWS) if before[at] != after[at]] == [first]


def test_a_row_without_a_body_or_a_person_is_not_known(changes: ChangeDetection) -> None:
    identity, bodies = columns(rows_of(dice_of(1), ROWS))
    nobody = identity.with_columns(pl.when(pl.int_range(pl.len()) != 1).then(pl.all()))

    assert changes.are_unchanged(identity, bodies.set(bodies == bodies[0], None))[0] is None
    assert changes.are_unchanged(nobody, bodies)[1] is None
