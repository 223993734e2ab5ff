"""Try the expressions that a plan needs on values that are easily read in another way, before any is trusted."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import orjson
import polars as pl

from uploader.api import TIME_KEY
from uploader.batch import CellForm
from uploader.mapping.column_reader import ColumnReader
from uploader.mapping.compiled_plan import LoneValue, Plan
from uploader.mapping.plan_steps import ColumnStep, IdentityStep, MomentStep, PropertyStep

NASTY_TEXTS: Final = (
    *("", " ", "a", "A", "a b", " a", "a ", "\ta", "a\n", "a\x1c", "\x1fa", "a\x85", "a\xa0", "\u2003a", "a\u200b"),
    "\ufeffa",
    *('"', 'a"b', "\\", "\\N", "a\\b", "/", "\x00", "\x01", "\x1f", "\x7f", "\n", "\r\n", "\b", "\f", "'a", '="1"'),
    "<&>",
    *("김민수", "김 민수", " 김민수", "책", "é", "Ünal", "ÄÖ", "ß", "İ", "\u0131", "\u017f", "K", "ǅ", "ﬁ"),
    *("ﬀ", "Ω", "漢字"),
    *("ひらがな", "ｱ"),
    *("\ufffd", "a\ufffd", "Ã©", "ê¹€", "源誘쇱닔", "±è¹Î¼ö", "占쏙옙", "“q”", "\u2019", "…", "€", "😀", "e\u0301"),
    *("\ud7ff", "\ue000", "\U0010ffff"),
    *("#", "#1", "###", "####", "#N/A", " #N/A ", "#REF!", "a#b", "N/A", "NULL", "null", "none", "-", "--", "없음"),
    *("NA", "nan"),
    *("0", "-0", "+0", "00", "007", "+7", "-7", "7", " 7", "7 ", "7\n", "\n7", "\uff17", "٣", "1_000", "0x10"),
    *("0b1", "1e3", "1E3", "1e400"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    "999999999999999999",
    *("123456789012345678901234567890", "000000000000000000000000000000000000000001", "9007199254740993"),
    "9007199254740992",
    *("0.0", "-0.0", "0.", ".5", "-.5", "+.5", "1.", "1.0", "1.10", "01.5", "+1.5", "-1.5", "1.5 ", "1,5", "1..5"),
    *("1.5.5", "0.1"),
    *("0.3", "0.30000000000000004", "0.0001", "0.00001", "0.000012", "1e-7", "1e-400", "4.9e-324"),
    "0.00000000000000000001",
    *("123456789012345.25", "999999999999999.9", "1234567890.12345", "1234567890123456.5", "123456789.123456789"),
    *("1e16", "1e22"),
    *("1,000", "1,00", "12,345", "1,234,567", "0,123", "1,234.5", "1,2345", "-1,000", "+1,000"),
    "1,000,000,000,000,000,000",
    *("inf", "-inf", "Infinity", "NaN", "true", "false", "True", "TRUE", "Y", "n", "1", "yes"),
    *("2024-01-15", "2024-02-30", "2024-2-9", "24-02-29", "0000-01-01", "0001-01-01", "9999-12-31", " 2024-01-15"),
    "20240115",
    *("2024-01-15 12:30:00", "2024-01-15T12:30:00", "2024-01-15 24:00:00", "2024-01-15 12:30:60"),
    "2024-01-15 1:30:00",
    *("2024-03-10 02:30:00", "2024-11-03 01:30:00", "2024-03-10 03:00:00", "2024-11-03 00:59:59"),
    "2024-11-03 02:00:00",
    *("2024-01-15T12:30:00Z", "2024-01-15T12:30:00.123Z", "2024-01-15T12:30:00.1Z", "2024-01-15T12:30:00.123456Z"),
    *("2024-01-15T12:30:00+09:00", "2024-01-15T12:30:00+0530", "2024-01-15T12:30:00-09"),
    "2024-01-15T12:30:00.999-23:59",
    *("2024-01-15T12:30:00+25:00", "2024-01-15 12:30", "2024-01-15 12:30:00 UTC", "2200-07-01 12:00:00"),
    *("9999-12-31 23:59:59", "2024-01-15T12:30:60Z"),
    *("2024.01.15 123000", "2024.1.15 123000", "2024.01.15  123000", "2024.02.30 123000", "2024.01.15 126000"),
    "\uff12\uff10\uff12\uff14.01.15 123000",
    *("ann@example.com", "Ann@Example.com", "a@b", "a@b.c", "a@b-.com", "a@b--c.com", "a@-b.com"),
    *("a.b+c%d@e-f.co.kr", "a@b.com "),
    *("cell", "CELL", "id7", "id_7-", "1001.0", "8.2E+11", "1012345678", "101234567", "821012345678"),
    *("010-1234-5678", "01012345678"),
    *("82-10-1234-5678", "0101234567", "010-123-4567", "010-5912-3456", "010-1234-567", "02-123-4567"),
    *("0212345678", "+821012345678"),
)  # fmt: skip
NASTY_TOKENS: Final = (
    *('""', '"a"', '"김민수"', '"a\\"b"', '"\\u0041"', '"\\u00e9"', '"\\\\"', '"\\/"', '" a"', '"#N/A"', '"é"'),
    '"\\ud83d\\ude00"',
    *('"cell"', '"007"', '"7"', '"-0"', '"+7"', '"1.5"', '"1.50"', '"id7"', '"1012345678"', '"821012345678"'),
    '"010-1234-5678"',
    *("null", "true", "false", "0", "-0", "7", "-7", "9007199254740993", "9223372036854775808", "1.0", "1.10"),
    *("-0.0", "0.0", "0.1"),
    *("1e3", "1E+2", "1.5e-7", "0.00001", "0.0001", "123456789012345.25", "9007199254740993.5", "1e-320", "1e22"),
    *("[]", "[1]", '["a"]'),
    *("[1.5]", "[true]", '[1,"a"]', "{}", '{"a":1}', '"2024-01-15 12:30:00"', '"2024-01-15T12:30:00Z"'),
    '"2024-03-10 02:30:00"',
    *('"2024-01-15T12:30:00.123+09:00"', '"ann@example.com"', '"Ann@example.com"', '"1,000"'),
    '"2024.01.15 123000"',
)  # fmt: skip


_TYPES_OF: Final[Mapping[str, tuple[pl.DataType, ...]]] = {
    "string": (pl.String(),),
    "long": (pl.Int64(), pl.UInt64()),
    "double": (pl.Float64(), pl.Float32()),
    "datetime": (pl.Datetime("us", "UTC"),),
    "naive datetime": (pl.Datetime("us"),),
}
"""The types that have expressions, by the words of `Source.kinds`."""

_NASTY_WHOLE: Final = (0, 1, -1, 2**53, 2**53 + 1, -(2**53), -(2**53) - 1, 2**63 - 1, -(2**63), 1012345678)
_NASTY_FLOATS: Final = (
    *(0.0, -0.0, 0.1, -1.5, 1e-5, 1e16, 1e22, 2.0**53, 5e-324, 1.7976931348623157e308),
    *(float("nan"), float("inf")),
)  # fmt: skip
_NASTY_MICROSECONDS: Final = (
    *(0, -1, 1, 1_705_321_800_123_456, 1_710_054_000_000_000, 1_730_611_800_000_000, -62_000_000_000_000_001),
)  # fmt: skip


def differing_expression(plan: Plan, form: CellForm, kinds: Mapping[str, str]) -> str | None:
    """Return what *plan* reads by an expression in another way than by itself, in cells of *form*; None if all agree.

    It is the kind of a value and the type of its cells, in words. Only the expressions that *plan* needs are tried; in
    typed cells, of the *kinds* that a source says its columns have.
    """
    return next(_differing(plan, form, kinds), None)


def differs(reader: ColumnReader, cells: pl.Series) -> bool:
    """Whether an expression of *reader* makes another thing of one of *cells* than the plan of that cell alone."""
    typed = reader.of_type(cells.dtype)
    for expression in typed.expressions:
        certain = expression.is_certain(cells).fill_null(value=False)
        sure = cells.filter(certain)
        texts = expression.make(sure)
        quote = '"' if expression.quoted and reader.makes_json else ""
        for cell, text in zip(sure.to_list(), texts.to_list(), strict=True):
            if text is None or cell in typed.empties:
                continue
            if reader.read_cell(cell) != LoneValue(quote + text + quote, expression.changed):
                return True
        # The next expression gets what this one leaves, as in a table.
        cells = cells.filter(~certain).append(sure.filter(texts.is_null()))
    return False


def _differing(plan: Plan, form: CellForm, kinds: Mapping[str, str]) -> Iterator[str]:
    tried = set()
    for step in plan.column_steps:
        word = kinds.get(step.column or "", "") if form == "typed" else "string"
        what = word, _essence(plan, step)
        if what in tried:
            continue
        tried.add(what)
        reader = ColumnReader(plan, step, form)
        for dtype in _TYPES_OF.get(word, ()):
            if differs(reader, _nasty_cells(step, form, dtype)):
                yield f"{_name(step)} ({dtype if form == 'typed' else form})"


def _essence(plan: Plan, step: ColumnStep) -> object:
    """Return what the expressions of *step* depend on, but for the name of its column."""
    if isinstance(step, PropertyStep):
        rule = replace(step.rule, key="", column=None)
        return rule, step.is_consent, plan.asks_each_value(step)
    return replace(step.rule, column="")


def _name(step: ColumnStep) -> str:
    match step:
        case IdentityStep():
            return step.field
        case PropertyStep():
            return step.rule.kind or "text"
        case MomentStep():
            return TIME_KEY


def _nasty_cells(step: ColumnStep, form: CellForm, dtype: pl.DataType) -> pl.Series:
    if isinstance(dtype, pl.String):
        # A header among the records is no identity.
        name = step.column or ""
        texts = (*NASTY_TOKENS, orjson.dumps(name).decode()) if form == "json" else (*NASTY_TEXTS, name)
        return pl.Series(texts, dtype=dtype)
    if isinstance(dtype, pl.Datetime):
        return pl.Series(_NASTY_MICROSECONDS, dtype=dtype)
    if dtype.is_float():
        return pl.Series(_NASTY_FLOATS, dtype=dtype)
    return pl.Series([one for one in _NASTY_WHOLE if one >= 0 or dtype.is_signed_integer()], dtype=dtype)
