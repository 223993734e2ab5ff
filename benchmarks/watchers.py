"""Measure what watching a check of batches costs a row: `python -m benchmarks.watchers`.

Reading and mapping are not measured. Each part works on the same batches, of good rows alone. The time is that of the
processor.
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from uploader.batch import Batch
from uploader.check.column_profile import ColumnProfile
from uploader.check.count_batches import count_batches
from uploader.check.duplicate_identities import DuplicateIdentities
from uploader.check.joined_in_batches import JoinedInBatches
from uploader.check.source_summary import CheckSummary
from uploader.coalesce.assign_person_keys import PeopleCollector
from uploader.coalesce.same_person import SamePerson
from uploader.mapping import Plan, Repairs, compile_plan
from uploader.mapping.good_rows import GoodRows
from uploader.mapping.identity_hashes import hashes_of
from uploader.mapping.mapped_batch import MappedBatch
from uploader.mapping.rules import IdentityRule, MappingRules, PropertyRule
from uploader.model import MaxJoined, Row

_BATCH: Final = 10_000
_FIELDS: Final = {"external_id": "id", "phone_no": "phone", "email": "mail"}
_COLUMNS: Final = (*_FIELDS.values(), *(f"column{place}" for place in range(6)))
_NOW: Final = "2000-01-01T00:00:00.000Z"

Mapped = tuple[Batch, MappedBatch]


def main(rows: int) -> None:
    """Print the microseconds a row of each watcher, for a file of different people and for ones with duplicates."""
    for people in (rows, rows // 2, rows // 50):
        print(f"{rows:,} rows of {people:,} people")
        batches = [*_batches(rows, people)]
        for name, watch in _parts():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            began = time.process_time()
            watch(batches)
            seconds = time.process_time() - began
            more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            print(f"  {name:24}{seconds / rows * 1e6:8.3f} µs a row, peak + {more:.0f} MB")


def _parts() -> Iterator[tuple[str, Callable[[Sequence[Mapped]], None]]]:
    yield "hashes", lambda batches: [*map(_hashes, batches)].clear()
    yield "duplicates", _duplicates
    yield "joined identities", _joined
    yield "column profile", _profile
    yield "same person", _same_person
    yield "all of count_batches", _all


def _hashes(both: Mapped) -> pl.DataFrame:
    return hashes_of(both[1].identity)


def _by_two(batches: Sequence[Mapped]) -> Iterator[pl.DataFrame]:
    """Yield the hashes of as many rows as `count_batches` adds at once."""
    for at in range(0, len(batches), 2):
        yield pl.concat([*map(_hashes, batches[at : at + 2])], rechunk=True)


def _duplicates(batches: Sequence[Mapped]) -> None:
    duplicates = DuplicateIdentities()
    for hashes in _by_two(batches):
        duplicates.add_hashes(hashes)


def _joined(batches: Sequence[Mapped]) -> None:
    joined = JoinedInBatches(MaxJoined(), _FIELDS)
    for hashes in _by_two(batches):
        joined.add_hashes(hashes)


def _profile(batches: Sequence[Mapped]) -> None:
    profile = ColumnProfile(_COLUMNS, mapped=["id"], null_values=[""])
    for batch, mapped in batches:
        profile.add_good(GoodRows.of(batch, mapped))


def _same_person(batches: Sequence[Mapped]) -> None:
    with SamePerson(Path("/tmp")) as same_person:  # noqa: S108 — its files have no names
        collect = PeopleCollector(same_person)
        for batch, mapped in batches:
            collect.add_good(GoodRows.of(batch, mapped))


def _all(batches: Sequence[Mapped]) -> None:
    mapped_of = {batch.first: mapped for batch, mapped in batches}
    count_batches(
        CheckSummary(column_profile=ColumnProfile(_COLUMNS, mapped=["id"], null_values=[""])),
        (batch for batch, _ in batches),
        _plan(),
        _NOW,
        map_batch=lambda batch: mapped_of[batch.first],
        joined=JoinedInBatches(MaxJoined(), _FIELDS),
    )


def _plan() -> Plan:
    identity = tuple(IdentityRule(field, column) for field, column in _FIELDS.items())
    rules = MappingRules(identity, (PropertyRule("df_name", "column0"),))
    return compile_plan(rules, source="s", config="c", columns=_COLUMNS)


def _batches(rows: int, people: int) -> Iterator[Mapped]:
    """Yield *rows* good rows of *people*, with nine columns, and bodies of 280 bytes with a true consent."""
    for first in range(1, rows + 1, _BATCH):
        numbers = pl.Series("number", range(first, min(first + _BATCH, rows + 1)), dtype=pl.Int64)
        person = (numbers * 7919 % people).cast(pl.String).str.zfill(8)
        values = {"id": "user-" + person, "phone": "010" + person, "mail": "user" + person + "@example.com"}
        table = pl.DataFrame(values | {f"column{place}": person.str.slice(place) for place in range(6)})
        identity = pl.DataFrame({field: values[column] for field, column in _FIELDS.items()})
        bodies = '{"identity":{"external_id":"' + person + '"},"user_properties":{"df_push_optin":true,"df_name":"'
        bodies = bodies + person.str.pad_end(160, "x") + '"},"request_datetime":"'
        good = pl.Series([True]).new_from_index(0, len(numbers))
        batch = Batch(first, len(numbers), table, "text", numbers, [], _no_row)
        yield batch, MappedBatch(good, identity, bodies, None, Repairs({"trim": 1}))


def _no_row(at: int) -> Row:
    raise IndexError(at)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
