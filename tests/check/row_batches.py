"""Build batches from rows, mapped by the row plan, as readers and the columnar plan make them."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import polars as pl

from uploader.batch import Batch, CellForm
from uploader.mapping import Plan, Repairs
from uploader.mapping.compiled_plan import RowNotes
from uploader.mapping.mapped_batch import MappedBatch
from uploader.model import Record, Request, Row

NOW = "2000-01-01T00:00:00.000Z"
_TIME = b'"request_datetime":"'


def batch_of(records: Sequence[Record], form: CellForm, is_in_table: Callable[[Record], bool]) -> Batch:
    """Return a batch of *records*, one or more; rows that are not *is_in_table* are others, as damaged records are."""
    # A table without columns has no rows.
    rows = [record for record in records if isinstance(record, Row) and record.fields and is_in_table(record)]
    others = [record for record in records if not any(record is row for row in rows)]
    names = dict.fromkeys(name for row in rows for name in row.fields)
    table = pl.DataFrame(
        {name: [_cell(row, name, form) for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String)
    )
    numbers = pl.Series("number", [row.number for row in rows], dtype=pl.Int64)
    return Batch(records[0].number, len(records), table, form, numbers, others, rows.__getitem__)


def _cell(row: Row, name: str, form: CellForm) -> object:
    if form == "json":
        return json.dumps(row.fields[name], ensure_ascii=row.number % 2 > 0) if name in row.fields else None
    return row.fields[name]


def batches_of(
    records: Sequence[Record], cuts: Sequence[int], form: CellForm, is_in_table: Callable[[Record], bool]
) -> Iterator[Batch]:
    """Yield *records* in batches that end at *cuts*."""
    ends = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
    for begin, end in pairwise(ends):
        yield batch_of(records[begin:end], form, is_in_table)


@dataclass
class FakeMapper:
    """Maps the table of a batch by the plan of rows; a row that is not *is_sure* is left to the plan, though clean."""

    plan: Plan
    is_sure: Callable[[Row], bool] = lambda _: True
    rows_mapped: int = 0
    repairs: Repairs = field(default_factory=Repairs)

    def __post_init__(self) -> None:
        self.plan = replace(self.plan, repairs=self.repairs, _noted=RowNotes())

    def __call__(self, batch: Batch) -> MappedBatch:
        plan, repairs = self.plan, Repairs()
        good, bodies = list[bool](), list[str | None]()
        identity: dict[str, list[str | None]] = {name: [] for name in plan.identity_columns}
        for at in range(batch.table.height):
            row = batch.row(at)
            plan.repairs.steps.clear()
            work = plan.map_row(row, NOW)
            is_clean = isinstance(work, Request) and not plan.omitted_from(work) and not plan.suspect(work)
            good.append(is_clean and self.is_sure(row))
            named = dict(value.split("=", 1) for value in work.person)
            for name, values in identity.items():
                values.append(named.get(name) if good[-1] else "not good")
            bodies.append(None)
            if good[-1] and isinstance(work, Request):
                before, found, _ = work.body.rpartition(_TIME)
                bodies[-1] = (before + found).decode()
                for step, count in plan.repairs.steps.items():
                    repairs.steps[step] = repairs.steps.get(step, 0) + count
        self.rows_mapped += batch.table.height
        return MappedBatch(
            pl.Series(good, dtype=pl.Boolean),
            pl.DataFrame(identity, schema=dict.fromkeys(identity, pl.String)),
            pl.Series(bodies, dtype=pl.String),
            None,
            repairs,
        )
