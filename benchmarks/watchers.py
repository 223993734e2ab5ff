"""Measure what watching a check of batches costs a row, apart from reading and mapping.

python -m benchmarks.watchers [ROWS]
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator

import polars as pl

from uploader.batch import Batch
from uploader.check.column_profile import ColumnProfile
from uploader.check.column_sieve import ColumnSieve
from uploader.check.count_batches import count_batches
from uploader.check.duplicate_identities import DuplicateIdentities
from uploader.check.joined_in_batches import JoinedInBatches
from uploader.check.source_summary import CheckSummary
from uploader.mapping import Repairs, compile_plan
from uploader.mapping.good_rows import GoodRows
from uploader.mapping.identity_hashes import hashes_of
from uploader.mapping.mapped_batch import MappedBatch
from uploader.mapping.rules import IdentityRule, MappingRules, PropertyRule
from uploader.model import MaxJoined, Row

_BATCH = 10_000
_FIELDS = {"external_id": "id", "phone_no": "phone", "email": "mail"}
_NOW = "2000-01-01T00:00:00.000Z"


def _no_row(at: int) -> Row:
    raise IndexError(at)


def _batches(rows: int, people: int) -> Iterator[tuple[Batch, MappedBatch]]:
    """Yield *rows* good rows of *people*, in batches of 9 columns."""
    for first in range(1, rows + 1, _BATCH):
        numbers = pl.Series("number", range(first, min(first + _BATCH, rows + 1)), dtype=pl.Int64)
        person = (numbers * 7919 % people).cast(pl.String).str.zfill(8)
        table = pl.DataFrame(
            {
                "id": "user-" + person,
                "phone": "010" + person,
                "mail": "user" + person + "@example.com",
                **{f"column{place}": person.str.slice(place) for place in range(6)},
            }
        )
        identity = table.select(id="id", phone="phone", mail="mail").rename(
            dict(zip(_FIELDS.values(), _FIELDS, strict=True))
        )
        bodies = (
            '{"identity":{"external_id":"'
            + person
            + '"},"user_properties":{"df_name":"'
            + person.str.pad_end(200, "x")
            + '","vip":true,"df_push_optin":true},"request_datetime":"'
        )
        good = pl.Series([True]).new_from_index(0, len(numbers))
        yield (
            Batch(first, len(numbers), table, "text", numbers, [], _no_row),
            MappedBatch(good, identity, bodies, None, Repairs({"trim": 1})),
        )


def _each(batches: list[tuple[Batch, MappedBatch]], work: Callable[[GoodRows], object]) -> float:
    began = time.process_time()
    for batch, mapped in batches:
        work(GoodRows.of(batch, mapped))
    return time.process_time() - began


def main(rows: int) -> None:
    """Print the seconds of processor time that each watcher takes, and microseconds a row."""
    columns = [*_FIELDS.values(), *(f"column{place}" for place in range(6))]
    plan = compile_plan(
        MappingRules(
            tuple(IdentityRule(field, column) for field, column in _FIELDS.items()),
            (PropertyRule("df_name", "column0"),),
        ),
        source="s",
        config="c",
        columns=columns,
    )
    for people in (rows, rows // 2, 20_000):
        totals: dict[str, float] = {}
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        summary = CheckSummary(column_profile=ColumnProfile(columns, mapped=["id"], null_values=[""]))
        profile = ColumnProfile(columns, mapped=["id"], null_values=[""])
        duplicates, joined, all_joined = (
            DuplicateIdentities(),
            JoinedInBatches(MaxJoined(), _FIELDS),
            JoinedInBatches(MaxJoined(), _FIELDS),
        )
        chunk: list[tuple[Batch, MappedBatch]] = []

        def add(name: str, seconds: float) -> None:
            totals[name] = totals.get(name, 0.0) + seconds

        for both in _batches(rows, people):
            chunk.append(both)
            add("hashes", _each(chunk, lambda good: hashes_of(good.identity)))
            hashes = hashes_of(both[1].identity)
            add("duplicates", _each(chunk, lambda _, hashes=hashes: duplicates.add_hashes(hashes)))
            add("joined identities", _each(chunk, lambda _, hashes=hashes: joined.add_hashes(hashes)))
            add("column profile", _each(chunk, profile.add_good))
            chunk.clear()
        mapped_of = {}

        def batches() -> Iterator[Batch]:
            for batch, mapped in _batches(rows, people):
                mapped_of[batch.first] = mapped
                yield batch
                mapped_of.clear()

        made = time.process_time()
        for _ in batches():
            pass
        made = time.process_time() - made
        began = time.process_time()
        count_batches(summary, batches(), plan, _NOW, map_batch=lambda batch: mapped_of[batch.first], joined=all_joined)
        totals["all of count_batches"] = time.process_time() - began - made
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(
            f"{rows:,} rows of {people:,} people ({summary.duplicates:,} duplicates, exact: {summary.duplicates_are_exact})"
        )
        for name, seconds in totals.items():
            print(f"  {name:24}{seconds:8.3f} s {seconds / rows * 1e6:8.3f} µs a row")
        print(f"  peak memory + {peak:.0f} MB; candidates: {all_joined._sieve.has_candidates}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
