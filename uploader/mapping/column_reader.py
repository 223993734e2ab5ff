"""Read one column as one step of the plan: by expressions where that is certain, else by its different values."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import orjson
import polars as pl

from uploader.batch import CellForm
from uploader.mapping.column_datetimes import datetime_expressions, moments_expression
from uploader.mapping.column_expressions import ColumnExpression, identity_expressions, property_expressions
from uploader.mapping.compiled_plan import LoneReader, LoneValue, Plan
from uploader.mapping.json_tokens import value_of
from uploader.mapping.plan_steps import ColumnStep, IdentityStep, MomentStep, PropertyStep
from uploader.mapping.rules import NO_CLEANING
from uploader.mapping.unique_values import ABSENT, ChangedRows, ReadCell, UniqueValues

_INT64: Final = (-(2**63), 2**63 - 1)
_WHOLE_DOUBLES: Final = (-(2**53), 2**53)


@dataclass(frozen=True, slots=True)
class ColumnTexts:
    """What each row of a table gets of one step: its *texts*, null for nothing and where the row is not certain.

    With *quoted*, JSON has them in quotes. *uncertain* is the mask of rows that only the plan can map (None: no row),
    *has_absent* whether some other row gets nothing. *changed* are the rows that were cleaned.
    """

    texts: pl.Series
    quoted: bool
    uncertain: pl.Series | None = None
    has_absent: bool = False
    changed: tuple[ChangedRows, ...] = ()


class ColumnReader:
    """Reads columns as one step: *alone* reads the field of *column* as the plan does, in cells of the form *form*.

    *makes_json* is whether the texts are JSON; those of an identity field or a time are to be put in quotes.
    """

    def __init__(self, plan: Plan, step: ColumnStep, form: CellForm) -> None:
        """Prepare what does not depend on the type of a column."""
        self.column = step.column or ""
        self._plan = plan
        self._step = step
        self._form = form
        self._alone = _alone(plan, step)
        self.makes_json = isinstance(step, PropertyStep)
        self._null = None if form == "text" else self._alone({} if form == "json" else {self.column: None})
        self._of_type: dict[pl.DataType, _TypedReader] = {}

    def __call__(self, cells: pl.Series) -> ColumnTexts:
        """Return what each row gets of *cells*."""
        cells = _as_rows_have_them(cells)
        reader = self._of_type.get(cells.dtype)
        if reader is None:
            reader = self._of_type[cells.dtype] = self.of_type(cells.dtype)
        return reader(cells)

    def of_type(self, dtype: pl.DataType) -> "_TypedReader":
        """Return the reader of columns of *dtype*."""
        read = self.read_cell
        if isinstance(dtype, pl.String):
            empties = self._empties()
            expressions = self._expressions(read)
        else:
            empties, expressions = (), _typed_expressions(self._plan, self._step, dtype, read)
        # Of an empty text that looks damaged, as #N/A, a warning depends on the rest of the row.
        empties = tuple(one for one in empties if read(one) is not None)
        empty = read(empties[0]) if empties else None
        return _TypedReader(read, expressions, empty, empties, self._null, makes_json=self.makes_json)

    def read_cell(self, cell: object) -> LoneValue | None:
        """Return what becomes of *cell* alone, or None where its row is not certain."""
        if self._form != "json":
            return self._alone({self.column: cell})
        try:
            value = value_of(str(cell))
        except (ValueError, RecursionError):
            return None
        return self._alone({self.column: value})

    def _empties(self) -> tuple[str, ...]:
        """Return the cells that are empty texts, in every way in which tier 1 would take them."""
        step = self._step
        if isinstance(step, MomentStep):
            return ()
        texts: Iterable[str] = self._plan.empty_texts if step.cleaner is None else step.cleaner.empty
        texts = sorted(text for text in texts if _is_unicode(text))
        return tuple(texts) if self._form != "json" else tuple(orjson.dumps(text).decode() for text in texts)

    def _expressions(self, read: ReadCell) -> tuple[ColumnExpression, ...]:
        step, form = self._step, self._form
        match step:
            case IdentityStep():
                return identity_expressions(step, form)
            case MomentStep():
                return datetime_expressions(read, step.rule.formats, form)
            case PropertyStep() if step.rule.kind == "datetime":
                is_plain = step.rule.cleaning == NO_CLEANING
                return datetime_expressions(read, step.rule.times.formats, form) if is_plain else ()
            case PropertyStep() if self._plan.asks_each_value(step):
                return ()
            case PropertyStep():
                return property_expressions(step, form)


class _TypedReader:
    """Reads columns of one type: *expressions* make most cells, *read* the others, one of each different value.

    Those in *empties* become *empty*, and nulls *null*.
    """

    def __init__(  # noqa: PLR0913 — what there is to know about the cells of a column
        self,
        read: ReadCell,
        expressions: tuple[ColumnExpression, ...],
        empty: LoneValue | None,
        empties: tuple[str, ...],
        null: LoneValue | None,
        *,
        makes_json: bool,
    ) -> None:
        self.expressions = expressions
        self._values = UniqueValues(read)
        self._empty = empty
        self.empties = empties
        self._null = null
        self._makes_json = makes_json

    def __call__(self, cells: pl.Series) -> ColumnTexts:
        """Return what each row gets of *cells*."""
        empty = self._are_empty(cells)
        if self.expressions and empty is None and not cells.null_count():
            first = self.expressions[0]
            certain = first.is_certain(cells)
            if certain.all():
                texts = first.make(cells)
                if not texts.null_count():
                    changed = ((certain, first.changed),) if first.changed else ()
                    return ColumnTexts(texts, first.quoted, changed=changed)
        return self._in_parts(cells, empty)

    def _are_empty(self, cells: pl.Series) -> pl.Series | None:
        """Return the mask of the empty texts in *cells*; None if there is none."""
        empties = self.empties
        if not empties:
            return None
        mask = cells.eq(empties[0]) if len(empties) == 1 else cells.is_in(empties)
        return mask.fill_null(value=False) if mask.any() else None

    def _in_parts(self, cells: pl.Series, empty: pl.Series | None) -> ColumnTexts:
        made = _Parts(cells, makes_json=self._makes_json)
        if cells.null_count():
            made.put(cells.is_null(), self._null)
        if empty is not None:
            made.put(empty, self._empty)
        for expression in self.expressions:
            made.express(expression)
        made.read(self._values)
        return made.texts()


class _Parts:
    """Gathers the texts of a column from its parts: *left* is the mask of the cells that no part has taken yet."""

    def __init__(self, cells: pl.Series, *, makes_json: bool) -> None:
        self._cells = cells
        self._makes_json = makes_json
        self._left = cells.is_not_null()
        self._parts: list[tuple[pl.Series, pl.Series]] = []
        self._changed: list[ChangedRows] = []

    def put(self, rows: pl.Series, value: LoneValue | None) -> None:
        """Give *rows* the one *value*."""
        self._left &= ~rows
        text = None if value is None else ABSENT if value.text is None else value.text
        self._parts.append((rows, pl.Series([text], dtype=pl.String).new_from_index(0, len(rows))))
        if value is not None and value.changed:
            self._changed.append((rows, value.changed))

    def express(self, expression: ColumnExpression) -> None:
        """Give the cells that are left, and of which *expression* is certain, what it makes."""
        rows = self._left & expression.is_certain(self._cells).fill_null(value=False)
        if not rows.any():
            return
        texts = expression.make(_where(rows, self._cells))
        rows = rows & texts.is_not_null()
        if expression.quoted and self._makes_json:
            texts = pl.select(pl.concat_str(pl.lit('"'), texts, pl.lit('"'))).to_series()
        self._left &= ~rows
        self._parts.append((rows, texts))
        if expression.changed:
            self._changed.append((rows, expression.changed))

    def read(self, values: UniqueValues) -> None:
        """Give all cells that are left what *values* read."""
        if self._left.any():
            found = values(_where(self._left, self._cells))
            self._parts.append((self._left, found.texts))
            self._changed.extend(found.changed)

    def texts(self) -> ColumnTexts:
        """Return the texts of all rows."""
        frame = pl.DataFrame(
            {
                f"{name}{place}": part
                for place, pair in enumerate(self._parts)
                for name, part in zip("mt", pair, strict=True)
            }
        )
        made = (
            pl.coalesce(pl.when(pl.col(f"m{place}")).then(pl.col(f"t{place}")) for place in range(len(self._parts)))
            if self._parts
            else pl.lit(None, dtype=pl.String)
        )
        texts = frame.select(made.alias("texts")).to_series()
        uncertain = texts.is_null() if texts.null_count() else None
        absent = texts.eq(ABSENT)
        has_absent = bool(absent.any())
        if has_absent:
            texts = _where(absent.eq(False), texts)  # noqa: FBT003 — what the mask is compared with
        return ColumnTexts(texts, not self._makes_json, uncertain, has_absent, tuple(self._changed))


def _where(rows: pl.Series, cells: pl.Series) -> pl.Series:
    """Return *cells* with nulls in all but *rows*."""
    return pl.select(pl.when(rows).then(cells)).to_series()


def _as_rows_have_them(cells: pl.Series) -> pl.Series:
    """Return *cells* as texts or integers where a row has such values, though polars keeps them in another way."""
    dtype = cells.dtype
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return cells.cast(pl.String)
    return cells.cast(pl.Int128) if isinstance(dtype, pl.Decimal) and dtype.scale == 0 else cells


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _alone(plan: Plan, step: ColumnStep) -> LoneReader:
    match step:
        case PropertyStep():
            return plan.property_alone(step)
        case IdentityStep():
            return plan.identity_alone(step)
        case MomentStep():
            return plan.moment_alone(step)


def _typed_expressions(
    plan: Plan, step: ColumnStep, dtype: pl.DataType, read: ReadCell
) -> tuple[ColumnExpression, ...]:
    """Return the expressions for columns of *dtype* in a table of Parquet, other than texts."""
    match step:
        case MomentStep():
            return (moments_expression(read, dtype),) if isinstance(dtype, pl.Datetime) else ()
        case IdentityStep():
            is_id = dtype.is_integer() and step.field not in {"email", "phone_no"} and step.cleaner is None
            return (ColumnExpression(_other_than(step.column), _written, quoted=True),) if is_id else ()
        case PropertyStep():
            is_clear = isinstance(dtype, pl.Datetime) or not plan.asks_each_value(step)
            return _of_property(step, dtype, read) if step.cleaner is None and is_clear else ()


def _of_property(step: PropertyStep, dtype: pl.DataType, read: ReadCell) -> tuple[ColumnExpression, ...]:
    kind = "boolean" if step.is_consent else step.rule.kind
    if isinstance(dtype, pl.Datetime):
        return (moments_expression(read, dtype),) if kind in {None, "datetime"} else ()
    if dtype.is_float():
        return (ColumnExpression(lambda cells: cells.is_finite(), _as_double),) if kind in {None, "double"} else ()
    return _of_integers(kind) if dtype.is_integer() else ()


def _of_integers(kind: str | None) -> tuple[ColumnExpression, ...]:
    if kind in {None, "long"}:
        return (ColumnExpression(partial(_within, *_INT64), _written),)
    if kind == "string":
        return (ColumnExpression(lambda cells: cells.is_not_null(), _written, quoted=True),)
    if kind == "double":
        return (ColumnExpression(partial(_within, *_WHOLE_DOUBLES), _as_double),)
    return ()


def _within(least: int, most: int, cells: pl.Series) -> pl.Series:
    return cells.cast(pl.Int128).is_between(least, most)


def _other_than(column: str) -> Callable[[pl.Series], pl.Series]:
    return lambda cells: cells.cast(pl.String) != column


def _written(cells: pl.Series) -> pl.Series:
    return cells.cast(pl.String)


def _as_double(cells: pl.Series) -> pl.Series:
    return cells.cast(pl.Float64).cast(pl.String)
