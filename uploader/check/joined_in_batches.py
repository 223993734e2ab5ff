"""Find the identity values that would join different people into one, in a source that is read in batches."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Final, TypeAlias

import polars as pl

from uploader.batch import Batch, records_of
from uploader.check.batch_observers import MapBatch
from uploader.check.column_sieve import ColumnSieve, marks_of
from uploader.check.joined_identities import SLOTS, Candidates, JoinedValue, parts_of
from uploader.mapping import Plan
from uploader.mapping.good_rows import GoodRows
from uploader.mapping.identity_hashes import hashes_of, identity_of
from uploader.model import MaxJoined, Person, Record, Request

ReadBatchesAgain: TypeAlias = Callable[[], AbstractContextManager[Iterable[Batch]]]
"""Reads the batches of the source once more."""

_Passing: TypeAlias = tuple[Record, list[str], Person]

_PART_DIVISOR: Final = 1 << 44


class JoinedInBatches:
    """Finds what `JoinedIdentities` finds, in the same steps: a sieve of hashes, then the values themselves."""

    def __init__(self, limits: MaxJoined, fields: Iterable[str], *, slots: int = SLOTS) -> None:
        """Begin without rows; *fields* are the identity fields of the mapping, *limits* the bounds of each."""
        self._fields = tuple(fields)
        self._limits = {name: most for name in self._fields if (most := limits.of(name)) is not None}
        self._slots = slots
        self._sieve = self._new_sieve() if len(self._fields) > 1 and self._limits else None

    def _new_sieve(self) -> ColumnSieve:
        return ColumnSieve(min(self._limits.values()), self._slots)

    def add_hashes(self, hashes: pl.DataFrame) -> None:
        """Add rows that can be sent by the *hashes* of their identity values (`hashes_of`)."""
        if self._sieve is not None:
            self._add(self._sieve, hashes)

    def find(self, plan: Plan, map_batch: MapBatch, read_again: ReadBatchesAgain) -> list[JoinedValue]:
        """Return the values that join too many people, those that join most first.

        *plan* maps the records that *map_batch* finds not good.
        """
        whole = self._sieve
        if whole is None or not whole.has_candidates:
            return []
        parts, found = parts_of(whole.load), list[JoinedValue]()
        if parts > 1:
            # Each part has a sieve of its own, and memory is to hold one at a time.
            self._sieve = None
        del whole
        for part in range(parts):
            pass_ = _Pass(self._fields, tuple(self._limits), plan, map_batch, part, parts)
            sieve = self._sieve or self._sieve_of(pass_, read_again)
            if sieve.has_candidates:
                candidates = Candidates(self._limits)
                with read_again() as batches:
                    for batch in batches:
                        pass_.add_candidates(batch, sieve, candidates)
                found = candidates.joined()
            del sieve
            if found:
                break
        return sorted(found, key=lambda joined: -joined.people)

    def _sieve_of(self, pass_: "_Pass", read_again: ReadBatchesAgain) -> ColumnSieve:
        """Return a sieve of the values of one part."""
        sieve = self._new_sieve()
        with read_again() as batches:
            for batch in batches:
                for hashes in pass_.hashes_in(batch):
                    self._add(sieve, hashes, pass_)
        return sieve

    def _add(self, sieve: ColumnSieve, hashes: pl.DataFrame, pass_: "_Pass | None" = None) -> None:
        if sum(column.null_count() for column in hashes.iter_columns()):
            hashes = hashes.filter(pl.sum_horizontal(pl.all().is_not_null()) > 1)
        marks = marks_of(hashes)
        values, of_persons = pl.concat([hashes[name] for name in self._limits]), pl.concat([marks] * len(self._limits))
        is_added = values.is_not_null()
        if pass_ is not None:
            is_added &= pass_.has(values).fill_null(value=False)
        if not is_added.all():
            values, of_persons = values.filter(is_added), of_persons.filter(is_added)
        sieve.add(values, of_persons)


class _Pass:
    """Reads the batches again for one *part* of all values."""

    def __init__(  # noqa: PLR0913, PLR0917 — what is looked for, and what makes it of a batch
        self, fields: tuple[str, ...], limited: tuple[str, ...], plan: Plan, map_batch: MapBatch, part: int, parts: int
    ) -> None:
        self._fields = fields
        self._limited = limited
        self._plan = plan
        self._map_batch = map_batch
        self._part = part
        self._parts = parts

    def has(self, hashes: pl.Series) -> pl.Series:
        """Return for each of *hashes* whether it is of this part; null where it is null."""
        return hashes // _PART_DIVISOR % self._parts == self._part

    def hashes_in(self, batch: Batch) -> list[pl.DataFrame]:
        """Return the hashes of the persons in *batch*, also of those that can't be sent: they only load a sieve."""
        mapped = self._map_batch(batch)
        others = [self._plan.person(record) for record in records_of(batch, (~mapped.good).arg_true())]
        return [hashes_of(GoodRows.of(batch, mapped).identity), hashes_of(identity_of(others, self._fields))]

    def add_candidates(self, batch: Batch, sieve: ColumnSieve, candidates: Candidates) -> None:
        """Add the rows of *batch* that have a value which passes *sieve*."""
        mapped, plan, others = self._map_batch(batch), self._plan, batch.others
        good, left, kept = mapped.good.arg_true(), (~mapped.good).arg_true(), GoodRows.of(batch, mapped)
        left_identity = identity_of([plan.person(batch.row(at)) for at in left], self._fields)
        other_identity = identity_of([*map(plan.person, others)], self._fields)
        found = [
            *self._passing(kept.identity, sieve, lambda at: batch.row(good[at])),
            *self._sendable(self._passing(left_identity, sieve, lambda at: batch.row(left[at]))),
            *self._sendable(self._passing(other_identity, sieve, others.__getitem__)),
        ]
        for record, values, person in sorted(found, key=lambda one: one[0].number):
            candidates.add(values, person, record)

    def _sendable(self, found: Iterable[_Passing]) -> Iterator[_Passing]:
        return (one for one in found if isinstance(self._plan.map_row(one[0], ""), Request))

    def _passing(
        self, identity: pl.DataFrame, sieve: ColumnSieve, record: Callable[[int], Record]
    ) -> Iterator[_Passing]:
        """Yield each row of *identity* with several values of which some pass *sieve*: its *record*, those, and all."""
        hashes = hashes_of(identity)
        if not hashes.height:
            return
        passes = pl.DataFrame(
            [
                (sieve.passes(hashes[name].fill_null(0)) & self.has(hashes[name])).fill_null(value=False).alias(name)
                for name in self._limited
            ]
        )
        several = hashes.select(pl.sum_horizontal(pl.all().is_not_null()) > 1).to_series()
        places = (passes.select(pl.any_horizontal(pl.all())).to_series() & several).arg_true()
        rows = identity[places]
        for at, row, passing in zip(
            places, rows.iter_rows(named=True), passes[places].iter_rows(named=True), strict=True
        ):
            named = {field: f"{field}={value}" for field, value in row.items() if value is not None}
            values = [named[field] for field in named if passing.get(field)]
            yield record(at), values, tuple(named.values())
