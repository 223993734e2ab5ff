"""Map whole tables by the compiled plan: the rows about which nothing is to be said, and their bodies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from uploader.batch import Batch, CellForm
from uploader.mapping.body_format import ColumnLayout
from uploader.mapping.cleaning import Repairs, StepName
from uploader.mapping.column_reader import ColumnReader, ColumnTexts
from uploader.mapping.compiled_plan import LoneValue, Plan
from uploader.mapping.expression_guard import differing_expression
from uploader.mapping.mapped_batch import MappedBatch

_NEEDS_ROWS: Final = "its mapping needs whole rows"


def columnar_plan(plan: Plan, form: CellForm, kinds: Mapping[str, str]) -> "ColumnarPlan | str":
    """Return what maps tables of the *form* as *plan* maps rows, or why nothing does; *kinds* is that of the source."""
    if plan.needs_rows:
        return _NEEDS_ROWS
    differing = differing_expression(plan, form, kinds)
    if differing is not None:
        return f"the installed polars reads a {differing} in another way than this program"
    constants = {step.key: plan.property_alone(step)({}) for step in plan.property_steps if step.column is None}
    if None in constants.values():
        # A constant that is odd is odd in every row.
        return _NEEDS_ROWS
    return ColumnarPlan(plan, form, {key: found for key, found in constants.items() if found is not None})


class ColumnarPlan:
    """Maps tables to the bodies that the plan makes of their rows, or leaves a row to the plan.

    It reads each column by itself, and knows nothing of reasons: a value that the plan would reject, omit, or warn
    about makes its row one that is not good.
    """

    def __init__(self, plan: Plan, form: CellForm, constants: dict[str, LoneValue]) -> None:
        """Prepare the readers of all columns."""
        moment, self._format = plan.moment_step, plan.body_format
        self._identity = [(step.field, ColumnReader(plan, step, form)) for step in plan.identity_steps]
        self._properties = [
            (step.key, _Constant(found.text or "null") if found else ColumnReader(plan, step, form))
            for step in plan.property_steps
            for found in (constants.get(step.key) if step.column is None else None,)
        ]
        self._moment = None if moment is None else ColumnReader(plan, moment, form)

    def map_batch(self, batch: Batch) -> MappedBatch:
        """Return what can be sent of the table of *batch* as it is."""
        table, member = batch.table, self._format.member_begin
        identity = [_BodyMember(member(field), self._read(reader, table)) for field, reader in self._identity]
        properties = [
            _BodyMember(member(key), reader.texts if isinstance(reader, _Constant) else self._read(reader, table))
            for key, reader in self._properties
        ]
        moment = None if self._moment is None else self._read(self._moment, table)
        columns = [one.values for one in (*identity, *properties) if isinstance(one.values, ColumnTexts)]
        good = _good([*columns, *([] if moment is None else [moment])], table.height)
        bodies, good = _bodies(self._format.layout, identity, properties, good)
        return MappedBatch(
            good,
            pl.DataFrame({field: one.texts for (field, _), one in zip(self._identity, columns, strict=False)}),
            bodies,
            None if moment is None else moment.texts,
            _repairs(columns, good),
        )

    @staticmethod
    def _read(reader: ColumnReader, table: pl.DataFrame) -> ColumnTexts:
        if reader.column in table.columns:
            return reader(table[reader.column])
        # No row of this table has the key.
        return reader(pl.Series([None], dtype=pl.String).new_from_index(0, table.height))


@dataclass(frozen=True, slots=True)
class _Constant:
    """The JSON of a constant."""

    texts: str


@dataclass(frozen=True, slots=True)
class _BodyMember:
    """A member of an object in the body: what is before its value, and its *values*, or one JSON for all rows."""

    begin: str
    values: ColumnTexts | str

    @property
    def may_be_absent(self) -> bool:
        """Whether some row may be good without it."""
        return isinstance(self.values, ColumnTexts) and self.values.has_absent


class _Pieces:
    """Joins columns and fixed texts, row by row; a fixed text that follows another one is joined to it at once."""

    def __init__(self) -> None:
        self._columns: dict[str, pl.Series] = {}
        self._pieces: list[str | pl.Expr] = []

    def add(self, *pieces: str | pl.Series) -> None:
        """Add *pieces* to the end of each row."""
        for piece in pieces:
            if not isinstance(piece, str):
                name = str(len(self._columns))
                self._columns[name] = piece
                self._pieces.append(pl.col(name))
            elif self._pieces and isinstance(self._pieces[-1], str):
                self._pieces[-1] += piece
            elif piece:
                self._pieces.append(piece)

    def joined(self) -> pl.Series:
        """Return the texts of all rows, null where one of the columns is."""
        exprs = [pl.lit(piece) if isinstance(piece, str) else piece for piece in self._pieces]
        return pl.DataFrame(self._columns).select(pl.concat_str(exprs).alias("joined")).to_series()


def _good(columns: Sequence[ColumnTexts], height: int) -> pl.Series:
    good = pl.Series([True]).new_from_index(0, height)
    for column in columns:
        if column.uncertain is not None:
            good &= ~column.uncertain
    return good


def _bodies(
    layout: ColumnLayout, identity: Sequence[_BodyMember], properties: Sequence[_BodyMember], good: pl.Series
) -> tuple[pl.Series, pl.Series]:
    """Return the bodies of the *good* rows up to their time; and which are good after all."""
    has_properties = layout.properties_begin is not None
    if (has_properties and not properties) or good.is_empty():
        return pl.Series([None], dtype=pl.String).new_from_index(0, len(good)), good & False
    pieces = _Pieces()
    for begin, members in ((layout.identity_begin, identity), (layout.properties_begin, properties)):
        if begin is None:
            continue
        pieces.add(begin)
        if all(member.may_be_absent for member in members):
            joined = _joined_if_any(members)
            good &= joined.ne("").fill_null(value=False)
            pieces.add(joined)
        else:
            pieces.add(*_with_commas(members))
    pieces.add(layout.time_begin)
    bodies = pieces.joined()
    sizes = bodies.str.len_bytes()
    if (sizes.max() or 0) > layout.most_bytes:  # type: ignore[operator] # a number of bytes
        # The plan measures the properties alone.
        good &= sizes.le(layout.most_bytes).fill_null(value=False)
    if not good.all():
        bodies = pl.select(pl.when(good).then(bodies)).to_series()
    return bodies, good


def _with_commas(members: Sequence[_BodyMember]) -> Iterator[str | pl.Series]:
    """Yield the pieces of *members*, of which some are in every good row: the first of these needs no comma."""
    first = next(place for place, member in enumerate(members) if not member.may_be_absent)
    for place, one in enumerate(members):
        before, after = "," if place > first else "", "," if place < first else ""
        if one.may_be_absent:
            pieces = _Pieces()
            pieces.add(before, *_written(one), after)
            yield pieces.joined().fill_null("")
        else:
            yield before
            yield from _written(one)
            yield after


def _joined_if_any(members: Sequence[_BodyMember]) -> pl.Series:
    """Return *members* joined, each of which may be absent; an empty text where all of them are."""
    all_pieces = _Pieces()
    for one in members:
        pieces = _Pieces()
        pieces.add(",", *_written(one))
        all_pieces.add(pieces.joined().fill_null(""))
    return all_pieces.joined().str.strip_prefix(",")


def _written(member: _BodyMember) -> tuple[str | pl.Series, ...]:
    values = member.values
    if isinstance(values, str):
        return (member.begin, values)
    quote = '"' if values.quoted else ""
    return (member.begin + quote, values.texts, quote)


def _repairs(columns: Sequence[ColumnTexts], good: pl.Series) -> Repairs:
    """Return how often each cleaning step changed a value of a *good* row."""
    counts: dict[StepName, int] = {}
    for column in columns:
        for rows, steps in column.changed:
            count = int((rows & good).sum())
            for step in steps if count else ():
                counts[step] = counts.get(step, 0) + count
    return Repairs(counts)
