"""Whether people have changed is counted the same row by row and by the good rows of a batch."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from uploader.batch import Batch
from uploader.changes import DigestStores
from uploader.changes import change_detection as module
from uploader.changes.change_detection import ChangeDetection
from uploader.check.source_summary import ChangeCounts, CheckSummary
from uploader.clock import real_clock
from uploader.config import Settings
from uploader.mapping.good_rows import GoodRows
from uploader.model import Person, Request, Row
from uploader.run.open_change_detection import open_change_detection

BODIES = [
    f'{{"identity":{{"email":"{name}"}},"user_properties":{{"a":"{text}"}},"request_datetime":"'
    for name, text in (("a", "x"), ("b", 'y\\",\\"request_datetime\\":'), ("c", "é"), ("d", "x"))
]


@pytest.fixture
def changes(tmp_path: Path, settings: Callable[..., Settings]) -> Iterator[ChangeDetection]:
    stores = DigestStores(tmp_path, wall=lambda: 0.0)
    with open_change_detection(stores, "svc", settings("changed_only=true"), clock=real_clock(), mapping="m") as found:
        yield found


@pytest.mark.parametrize("at_once", [1, 500_000])
def test_known_and_changed_people_are_counted_by_the_same_digests(
    changes: ChangeDetection, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    for name, body in (("a", BODIES[0]), ("b", BODIES[1]), ("c", BODIES[3])):
        (person,) = changes.digests.people((f"email={name}",))
        changes.store().forget([person])
        changes.store().add(person, changes.digests.begin_of_body(body.encode()))
    changes.commit()
    by_rows, in_batches = CheckSummary(), CheckSummary()
    count_rows, count_batches = changes.counting_changes(by_rows), changes.counting_changes(in_batches)

    for number, (name, body) in enumerate(zip("abcd", BODIES, strict=True), 1):
        request = _request(number, (f"email={name}",), body)
        count_rows(request.row, request)
    for first in (1, 3):
        count_batches.add_good(_good(first))
    count_rows.finish()
    count_batches.finish()

    assert in_batches.changes == by_rows.changes == ChangeCounts(known=3, changed=1)


def _good(first: int) -> GoodRows:
    numbers = pl.Series([first, first + 1])
    table = pl.DataFrame({"mail": [*"abcd"[first - 1 : first + 1]]})
    batch = Batch(first, 2, table, "text", numbers, [], lambda at: Row(at, {}))
    bodies = pl.Series(BODIES[first - 1 : first + 1])
    return GoodRows(batch, numbers, table, table.rename({"mail": "email"}), bodies)


def _request(number: int, person: Person, body: str) -> Request:
    return Request(Row(number, {}), person, (body + '2026-01-01T00:00:00Z"}').encode())
