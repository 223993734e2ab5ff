"""Whether people have changed is counted the same row by row and by the good rows of a batch."""

import polars as pl

from uploader.batch import Batch
from uploader.changes.change_detection import ChangesCounter
from uploader.changes.digests import Digests
from uploader.check.source_summary import CheckSummary
from uploader.mapping.good_rows import GoodRows
from uploader.model import Person, Request, Row

DIGESTS = Digests(bytes(32), "mapping")
BODIES = [
    f'{{"identity":{{"email":"{name}"}},"user_properties":{{"a":"{text}"}},"request_datetime":"'
    for name, text in (("a", "x"), ("b", 'y\\",\\"request_datetime\\":'), ("c", "é"), ("d", "x"))
]


def test_known_and_changed_people_are_counted_by_the_same_digests() -> None:
    known = {("email=a",): BODIES[0], ("email=b",): BODIES[1], ("email=c",): BODIES[3]}
    stored = {person: DIGESTS.body(_request(1, person, body)) for person, body in known.items()}

    def is_unchanged(person: Person, body: bytes) -> bool | None:
        return DIGESTS.begin_of_body(body) == stored[person] if person in stored else None

    by_rows, at_once = CheckSummary(changed=0), CheckSummary(changed=0)
    for number, (name, body) in enumerate(zip("abcd", BODIES, strict=True), 1):
        request = _request(number, (f"email={name}",), body)
        ChangesCounter(is_unchanged, by_rows)(request.row, request)
    numbers = pl.Series([1, 2, 3, 4])
    table = pl.DataFrame({"mail": ["a", "b", "c", "d"]})
    batch = Batch(1, 4, table, "text", numbers, [], lambda at: Row(at, {}))
    good = GoodRows(batch, numbers, table, table.rename({"mail": "email"}), pl.Series(BODIES))
    ChangesCounter(is_unchanged, at_once).add_good(good)

    assert (at_once.known, at_once.changed) == (by_rows.known, by_rows.changed) == (3, 1)


def _request(number: int, person: Person, body: str) -> Request:
    return Request(Row(number, {}), person, (body + '2026-01-01T00:00:00Z"}').encode())
