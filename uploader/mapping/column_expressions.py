"""Make the JSON of the cells that certainly are of one kind by expressions over whole columns."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import polars as pl

from uploader.batch import CellForm
from uploader.mapping.cleaning import StepName
from uploader.mapping.plan_steps import IdentityStep, PropertyStep
from uploader.mapping.rules import NO_CLEANING, CleaningRules

Mask: TypeAlias = Callable[[pl.Series], pl.Series]
Make: TypeAlias = Callable[[pl.Series], pl.Series]


@dataclass(frozen=True, slots=True)
class ColumnExpression:
    """How the cells of which *is_certain* is true become their JSON.

    *make* takes a whole column; what it makes of other cells counts for nothing, and a null leaves a cell uncertain.
    With *quoted*, it makes the text within the quotes. *changed* are the cleaning steps that changed each such cell.
    """

    is_certain: Mask
    make: Make
    quoted: bool = False
    changed: tuple[StepName, ...] = ()


PLAIN: Final = (
    '[^"\\\\#\\x00-\\x1f\\u{80}-\\u{ff}\\u{140}-\\u{17f}\\u{2c0}-\\u{2ff}\\u{2000}-\\u{2fff}\\u{4000}-\\u{9fff}'
    "\\u{f000}-\\u{ffff}]"
)
"""A character that stands in JSON as it is, and in no text that looks damaged.

Excluded are the first bytes of UTF-8 that `spreadsheet_damage` looks for, and the # of a spreadsheet's errors.
"""

_FIRST: Final = "[^=' \\u{1680}\\u{3000}]"
"""A character with which no text begins that a spreadsheet marked as text, or wrote as a formula, be it after spaces.

It excludes the spaces among the plain characters.
"""

_VISIBLE: Final = "[!$-Z^-~가-힣]"
"""A plain character that `trim` never removes."""

_ONE_CASE: Final = {"lower": "[ !$-@\\]-~가-힣\\[]", "upper": "[ !$-Z\\]^-`{-~가-힣\\[]"}
"""The plain characters that the step `case` leaves as they are."""

_WHOLE: Final = "0|-?[1-9][0-9]{0,17}"
"""A whole number as JSON writes it, surely within 64 bits."""

_WHOLE_DOUBLE: Final = "0|-?[1-9][0-9]{0,14}"
"""A whole number that a double holds exactly, and that orjson writes without an exponent."""

_PADDED: Final = "[+-]?[0-9]{1,18}"
_DECIMAL: Final = "-?(?:[1-9][0-9]{0,9}\\.(?:0|[0-9]{0,4}[1-9])|0\\.(?:0|0{0,3}[1-9]|0{0,3}[1-9][0-9]{0,9}[1-9]))"
"""A decimal number of at most 15 digits as orjson writes it: with no 0 too many, and large enough for no exponent."""

_FIGURES: Final = "[+-]?[0-9]{1,15}\\.[0-9]{0,20}"

_ID: Final = "[A-Za-z_-]*[0-9][A-Za-z0-9_-]*"
_EMAIL: Final = "[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.)+[A-Za-z]{2,63}"
_PHONE: Final = "82[1-9][0-9]{7,10}"
"""What has a form of `identity_values.plain_form`."""

_MOBILE: Final = "(?:[0-46-9][0-9]{3}|5[0-8][0-9]{2})"
_MOBILE_OF_API: Final = f"8210{_MOBILE}[0-9]{{4}}"
_MOBILE_AT_HOME: Final = f"010(?:-{_MOBILE}-|{_MOBILE})[0-9]{{4}}"

_SEPARATORS: Final = {",": ",", ".": "\\.", " ": " ", "'": "'"}


def property_expressions(step: PropertyStep, form: CellForm) -> tuple[ColumnExpression, ...]:
    """Return the expressions for *step* in a column of texts or JSON tokens, the one that most values need first."""
    rule = step.rule
    cleaning = rule.cleaning
    match rule.kind if not step.is_consent else "boolean":
        case None | "string":
            found = _texts(cleaning, form, is_own_type=rule.kind is None)
        case "long":
            found = _longs(cleaning, form)
        case "double":
            found = _doubles(cleaning, form)
        case _:
            # Of these few values are different, or other modules know how to take them apart.
            return ()
    return tuple(found)


def identity_expressions(step: IdentityStep, form: CellForm) -> tuple[ColumnExpression, ...]:
    """Return the expressions for the identity field of *step*; they make its value, not JSON."""
    cleaning = step.rule.cleaning
    if not _only(cleaning, {"trim", "case", "phone"}):
        return ()
    if cleaning.phone is not None:
        found = [_text(_MOBILE_OF_API, form), _text(_MOBILE_AT_HOME, form, _at_home, ("phone",))]
    else:
        pattern = {"email": _EMAIL, "phone_no": _PHONE}.get(step.field, _ID)
        if cleaning.case is not None:
            other = "A-Z" if cleaning.case == "lower" else "a-z"
            pattern = pattern.replace(other, "")
        found = [_text(pattern, form)]
    return tuple(_other_than(step.column, form, one) for one in found)


def fits(pattern: str) -> Mask:
    """Return what tells the cells that *pattern* describes from their first to their last character."""
    whole = f"\\A(?:{pattern})\\z"
    return lambda cells: cells.str.contains(whole)


def without_quotes(cells: pl.Series) -> pl.Series:
    """Return the texts of *cells*, JSON strings without an escape."""
    return cells.str.strip_prefix('"').str.strip_suffix('"')


def _texts(cleaning: CleaningRules, form: CellForm, *, is_own_type: bool) -> Iterable[ColumnExpression]:
    pattern = _plain_texts(cleaning)
    if pattern is None:
        return
    if form != "json":
        yield ColumnExpression(fits(pattern), _same, quoted=True)
        return
    yield ColumnExpression(fits(f'"(?:{pattern})"'), _same)
    if cleaning != NO_CLEANING:
        return
    if is_own_type:
        yield ColumnExpression(fits(f"{_WHOLE}|true|false|{_DECIMAL}"), _same)
    else:
        yield ColumnExpression(fits(_WHOLE), _same, quoted=True)


def _plain_texts(cleaning: CleaningRules) -> str | None:
    """Return the pattern of plain texts that *cleaning* leaves as they are; None where that is not certain."""
    if not _only(cleaning, {"trim", "case"}):
        return None
    inner = PLAIN if cleaning.case is None else _ONE_CASE[cleaning.case]
    first = f"[{inner}&&{_FIRST}]"
    if not cleaning.trim:
        return f"(?:{first}{inner}*)?"
    end = _VISIBLE if cleaning.case is None else f"[{inner}&&{_VISIBLE}]"
    return f"[{first}&&{end}](?:{inner}*{end})?"


def _longs(cleaning: CleaningRules, form: CellForm) -> Iterable[ColumnExpression]:
    if not _only(cleaning, {"trim", "thousands"}):
        return
    yield ColumnExpression(fits(_WHOLE), _same)
    if form == "json":
        yield ColumnExpression(fits(f'"(?:{_WHOLE})"'), without_quotes)
        return
    yield ColumnExpression(fits(_PADDED), _as_long)
    mark = cleaning.thousands
    if mark is not None and mark in _SEPARATORS:
        grouped = f"[1-9][0-9]{{0,2}}(?:{_SEPARATORS[mark]}[0-9]{{3}}){{1,5}}"
        yield ColumnExpression(
            fits(grouped), lambda cells: cells.str.replace_all(mark, "", literal=True), changed=("thousands",)
        )


def _doubles(cleaning: CleaningRules, form: CellForm) -> Iterable[ColumnExpression]:
    if not _only(cleaning, {"trim"}):
        return
    yield ColumnExpression(fits(_DECIMAL), _same)
    yield ColumnExpression(fits(_WHOLE_DOUBLE), _with_point)
    if form == "json":
        yield ColumnExpression(fits(f'"(?:{_DECIMAL})"'), without_quotes)
    else:
        yield ColumnExpression(fits(_FIGURES), _as_double)


def _text(
    pattern: str, form: CellForm, make: Make | None = None, changed: tuple[StepName, ...] = ()
) -> ColumnExpression:
    """Return the expression that makes the value of an identity field."""
    inner = make or _same
    if form != "json":
        return ColumnExpression(fits(pattern), inner, quoted=True, changed=changed)
    return ColumnExpression(fits(f'"(?:{pattern})"'), lambda cells: inner(without_quotes(cells)), True, changed)  # noqa: FBT003 — it makes texts


def _other_than(column: str, form: CellForm, expression: ColumnExpression) -> ColumnExpression:
    """Return *expression* without the name of the *column* as its value: a header among the records."""
    name = f'"{column}"' if form == "json" else column
    return ColumnExpression(
        lambda cells: expression.is_certain(cells) & (cells != name),
        expression.make,
        quoted=expression.quoted,
        changed=expression.changed,
    )


def _only(cleaning: CleaningRules, allowed: set[str]) -> bool:
    """Whether *cleaning* has no other steps than those *allowed*."""
    none = NO_CLEANING
    steps = ("trim", "strip", "case", "values", "phone", "thousands", "decimal", "hash")
    return all(name in allowed or getattr(cleaning, name) == getattr(none, name) for name in steps)


def _same(cells: pl.Series) -> pl.Series:
    return cells


def _as_long(cells: pl.Series) -> pl.Series:
    return cells.cast(pl.Int64, strict=False).cast(pl.String)


def _as_double(cells: pl.Series) -> pl.Series:
    return cells.cast(pl.Float64, strict=False).cast(pl.String)


def _with_point(cells: pl.Series) -> pl.Series:
    return cells + ".0"


def _at_home(cells: pl.Series) -> pl.Series:
    """Return mobile numbers as the API writes them: their first 0 becomes the code of the country."""
    return "82" + cells.str.slice(1).str.replace_all("-", "", literal=True)
