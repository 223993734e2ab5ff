"""Build batches of a source from rows, as its readers make them, and compare what becomes of them with the rows."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from tests.make import opened
from uploader.batch import Batch, CellForm
from uploader.endpoints import USER_PROFILE
from uploader.mapping import Plan, Repairs
from uploader.mapping.batch_works import MappedRows, works_of
from uploader.mapping.column_reader import ColumnReader
from uploader.mapping.columnar_plan import columnar_plan
from uploader.mapping.compiled_plan import LoneValue
from uploader.mapping.mapped_batch import MappedBatch
from uploader.model import NoWork, Person, Request, Row, Work
from uploader.source import Source
from uploader.source.parquet_types import with_integers
from uploader.source.parquet_values import rows_of
from uploader.state.settled_rows import SettledRows


def text_batch(rows: Sequence[Mapping[str, str]]) -> Batch:
    """Return a batch of a CSV with *rows*, each with the same columns."""
    table = pl.DataFrame(
        {name: [row[name] for row in rows] for name in rows[0]}, schema=dict.fromkeys(rows[0], pl.String)
    )
    return _batch(table, "text", [Row(number, dict(row)) for number, row in enumerate(rows, 1)])


def json_batch(rows: Sequence[Mapping[str, str]]) -> Batch:
    """Return a batch of a JSONL with *rows* of tokens by key; a row may lack a key.

    The rows are those that the reader of JSONL makes. Of a line that it can't read, the table has no row.
    """
    lines = ["{" + ",".join(f'"{key}":{token}' for key, token in row.items()) + "}" for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl")
        path.write_text('{"first":1}\n' + "\n".join(lines) + "\n", encoding="utf-8")
        with opened(path, "jsonl") as source, source.read() as reading:
            records = [*reading][1:]
    kept = [
        (row, replace(record, number=number))
        for number, (row, record) in enumerate(zip(rows, records, strict=True), 1)
        if isinstance(record, Row)
    ]
    columns = dict.fromkeys(key for row, _ in kept for key in row)
    table = pl.DataFrame(
        {name: [row.get(name) for row, _ in kept] for name in columns}, schema=dict.fromkeys(columns, pl.String)
    )
    return _batch(table, "json", [record for _, record in kept])


def typed_batch(table: pl.DataFrame) -> Batch:
    """Return a batch of a Parquet file with *table*."""
    return _batch(
        table, "typed", [Row(number, fields) for number, fields in enumerate(rows_of(with_integers(table)), 1)]
    )


class NoneUnchanged:
    """Finds no unchanged rows."""

    is_wanted = False

    def find(self, batches: Sequence[MappedRows]) -> Sequence[pl.Series]:
        raise AssertionError(batches)

    def record_taken(self, person: Person) -> None:
        """Forget *person*."""


def works_in_batches(source: Source, plan: Plan, now: str) -> list[Work | NoWork]:
    """Return the works of all rows of *source*, made of its batches."""
    columnar = columnar_plan(plan, source.cell_form, source.kinds)
    assert not isinstance(columnar, str)
    with source.batches() as batches:
        works = works_of(
            batches,
            map_batch=columnar.map_batch,
            map_row=plan.map_row,
            complete=plan.body_format.complete,
            now=lambda: now,
            settled=SettledRows(),
            unchanged=NoneUnchanged(),
        )
        return [*works]


def _batch(table: pl.DataFrame, form: CellForm, rows: list[Row]) -> Batch:
    numbers = pl.Series([row.number for row in rows], dtype=pl.Int64)
    return Batch(1, len(rows), table, form, numbers, [], rows.__getitem__)


def clean_rows(plan: Plan, batch: Batch, now: str) -> list[Request | None]:
    """Return the request of each row of *batch* about which nothing is to be said, and None for each other row."""
    found: list[Request | None] = []
    for at in range(batch.table.height):
        work = plan.map_row(batch.row(at), now)
        is_clean = isinstance(work, Request) and not plan.omitted_from(work) and not plan.suspect(work)
        found.append(work if isinstance(work, Request) and is_clean else None)
    return found


def assert_agrees(mapped: MappedBatch, plan: Plan, batch: Batch, now: str) -> int:
    """Assert that each good row of *mapped* is what *plan* makes of it alone; return how many others are clean too."""
    plan.repairs.steps.clear()
    wanted = clean_rows(plan, batch, now)
    moments = [None] * len(wanted) if mapped.moments is None else mapped.moments.to_list()
    identities = mapped.identity.to_dicts()
    missed = 0
    for at, (good, work) in enumerate(zip(mapped.good.to_list(), wanted, strict=True)):
        if not good:
            assert mapped.bodies[at] is None
            missed += work is not None
            continue
        assert work is not None, batch.row(at)
        assert USER_PROFILE.complete(mapped.bodies[at].encode(), moments[at] or now) == work.body, batch.row(at)
        person = tuple(f"{field}={value}" for field, value in identities[at].items() if value is not None)
        assert person == work.person, batch.row(at)
    assert mapped.repairs.steps == _repairs_of_good(plan, mapped, batch, now).steps
    return missed


def _repairs_of_good(plan: Plan, mapped: MappedBatch, batch: Batch, now: str) -> Repairs:
    counting = replace(plan, repairs=Repairs())
    for at in mapped.good.arg_true().to_list():
        counting.map_row(batch.row(at), now)
    return counting.repairs


def differing_cells(reader: ColumnReader, cells: pl.Series) -> list[object]:
    """Return the *cells* of which *reader* makes another thing in a column than the plan makes of each alone."""
    found = reader(cells)
    quote = '"' if found.quoted and reader.makes_json else ""
    changed = {place: steps for rows, steps in found.changed for place in rows.arg_true().to_list()}
    uncertain = [False] * len(cells) if found.uncertain is None else found.uncertain.to_list()
    differing: list[object] = []
    for place, (cell, text) in enumerate(zip(cells.to_list(), found.texts.to_list(), strict=True)):
        alone = None if cell is None else reader.read_cell(cell)
        if alone is None or uncertain[place]:
            agrees = cell is None or (alone is None and uncertain[place])
        else:
            wanted = LoneValue(None if text is None else quote + text + quote, changed.get(place, ()))
            agrees = alone == wanted
        if not agrees:
            differing.append(cell)
    return differing
