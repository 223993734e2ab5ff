"""Count what a source holds that is read in batches, with the same results as row by row."""

from collections.abc import Iterable, Sequence
from typing import Final

import polars as pl

from uploader.batch import Batch, records_of
from uploader.check.batch_observers import BatchObserver, MapBatch, RowObserver
from uploader.check.batch_rows import split_batch
from uploader.check.duplicate_identities import DuplicateIdentities
from uploader.check.joined_in_batches import JoinedInBatches
from uploader.check.source_summary import CheckSummary, DuplicateCount
from uploader.mapping import Plan
from uploader.mapping.good_rows import GoodRows
from uploader.mapping.identity_hashes import hashes_of, identity_of
from uploader.model import Person, Record, Request

_FIRST_ROWS: Final = 100
"""So many records of a batch come as rows at first where rows are wanted, then twice as many, and so on."""

_MOST_PERSONS: Final = 20_000
"""The persons of so many records are looked at together."""


def count_batches(  # noqa: PLR0913 — what is counted, how, and who watches it
    summary: CheckSummary,
    batches: Iterable[Batch],
    plan: Plan,
    now: str,
    *,
    map_batch: MapBatch,
    observers: Sequence[RowObserver] = (),
    joined: JoinedInBatches | None = None,
    duplicates: DuplicateIdentities | None = None,
) -> None:
    """Count all *batches* in *summary*, which is final then, and show them to *observers*.

    *map_batch* maps the tables, and *plan* each record that is no good row; *now* is as in `count_rows`. *joined* gets
    the persons of the rows that can be sent. An observer that is not a `BatchObserver` gets every record.
    """
    counting = _Counting(summary, plan, now, map_batch, observers, joined, duplicates or DuplicateIdentities())
    for batch in batches:
        counting.add(batch)
    counting.finish()


class _Counting:
    """Counts one source: good rows by columns, all other records one by one.

    It has one state, counting. The identity values of both kinds of rows are hashed in the same way, and passed on when
    there are many of them: few long columns take less time than many short ones.
    """

    def __init__(  # noqa: PLR0913, PLR0917 — as in `count_batches`
        self,
        summary: CheckSummary,
        plan: Plan,
        now: str,
        map_batch: MapBatch,
        observers: Sequence[RowObserver],
        joined: JoinedInBatches | None,
        duplicates: DuplicateIdentities,
    ) -> None:
        self._summary = summary
        self._plan = plan
        self._now = now
        self._map_batch = map_batch
        self._observers = observers
        self._of_batches = [one for one in observers if isinstance(one, BatchObserver)]
        self._joined = joined
        self._duplicates = duplicates
        self._sendable: list[Person] = []
        self._rejected: list[Person] = []
        self._hashes: list[pl.DataFrame] = []
        self._hashed = 0

    def add(self, batch: Batch) -> None:
        """Count *batch*: of its records first those that are no good rows, in their order."""
        size = _FIRST_ROWS
        while self._wants_rows(batch):
            head, batch = split_batch(batch, size)
            self._add_records(records_of(head))
            size *= 2
        if not batch.count:
            return
        mapped = self._map_batch(batch)
        self._add_records(records_of(batch, (~mapped.good).arg_true()))
        good = GoodRows.of(batch, mapped)
        self._plan.repairs.add(mapped.repairs)
        self._summary.add_good(good)
        self._add_hashes(good.identity, is_sendable=True)
        for observer in self._of_batches:
            observer.add_good(good)

    def finish(self) -> None:
        """Set what is known only at the end."""
        self._add_persons()
        self._pass_on()
        summary, duplicates = self._summary, self._duplicates
        summary.repairs = self._plan.repairs.copy()
        summary.duplicates = DuplicateCount(duplicates.count, is_exact=duplicates.are_exact)

    def _wants_rows(self, batch: Batch) -> bool:
        if not batch.table.height:
            # What is left are rows anyhow.
            return False
        if len(self._of_batches) < len(self._observers) or self._summary.wants_rows(batch):
            return True
        return any(observer.wants_rows(batch) for observer in self._of_batches)

    def _add_records(self, records: Iterable[Record]) -> None:
        summary, plan, observers = self._summary, self._plan, self._observers
        for record in records:
            work = plan.map_row(record, self._now)
            summary.add_row(record, work)
            if isinstance(work, Request):
                self._sendable.append(work.person)
                for reason in plan.suspect(work):
                    summary.warnings.add(reason, record.number, record.line)
            elif work.person:
                self._rejected.append(work.person)
            for observe in observers:
                observe(record, work)
            if len(self._sendable) + len(self._rejected) >= _MOST_PERSONS:
                self._add_persons()

    def _add_persons(self) -> None:
        fields = self._plan.identity_columns
        for persons, is_sendable in ((self._sendable, True), (self._rejected, False)):
            if persons:
                self._add_hashes(identity_of(persons, fields), is_sendable=is_sendable)
                persons.clear()

    def _add_hashes(self, identity: pl.DataFrame, *, is_sendable: bool) -> None:
        hashes = hashes_of(identity)
        if not is_sendable:
            self._duplicates.add_hashes(hashes)
            return
        self._hashes.append(hashes)
        self._hashed += hashes.height
        if self._hashed >= _MOST_PERSONS:
            self._pass_on()

    def _pass_on(self) -> None:
        """Pass on the hashes of the rows that can be sent."""
        if self._hashes:
            hashes = pl.concat(self._hashes, rechunk=True)
            self._hashes.clear()
            self._hashed = 0
            self._duplicates.add_hashes(hashes)
            if self._joined is not None:
                self._joined.add_hashes(hashes)
