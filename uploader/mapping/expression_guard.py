"""Try every expression on values that are easily read in another way, before any is trusted."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

import polars as pl

from uploader.batch import CellForm
from uploader.mapping.column_reader import ColumnReader
from uploader.mapping.compiled_plan import LoneValue, Plan, compile_plan
from uploader.mapping.rules import CleaningRules, IdentityRule, MappingRules, PropertyRule

_COLUMN: Final = "cell"

_PROPERTIES: Final[Mapping[str, PropertyRule]] = {
    "text": PropertyRule("p", _COLUMN),
    "string": PropertyRule("p", _COLUMN, kind="string"),
    "trimmed text": PropertyRule("p", _COLUMN, cleaning=CleaningRules(trim=True)),
    "lower text": PropertyRule("p", _COLUMN, cleaning=CleaningRules(trim=True, case="lower")),
    "long": PropertyRule("p", _COLUMN, kind="long", cleaning=CleaningRules(thousands=",")),
    "double": PropertyRule("p", _COLUMN, kind="double"),
    "datetime": PropertyRule("p", _COLUMN, kind="datetime", timezone="America/New_York"),
    "written datetime": PropertyRule(
        "p", _COLUMN, kind="datetime", formats=("%Y.%m.%d %H%M%S",), timezone="Asia/Seoul"
    ),
}
_IDENTITY: Final[Mapping[str, IdentityRule]] = {
    "external_id": IdentityRule("external_id", _COLUMN),
    "email": IdentityRule("email", _COLUMN, CleaningRules(trim=True, case="lower")),
    "phone_no": IdentityRule("phone_no", _COLUMN),
    "phone: KR": IdentityRule("phone_no", _COLUMN, CleaningRules(phone="KR")),
}

NASTY_TEXTS: Final = (
    *("", " ", "a", "A", "a b", " a", "a ", "\ta", "a\n", "a\x1c", "\x1fa", "a\x85", "a\xa0", "\u2003a", "a\u200b"),
    *("\ufeffa"),
    *('"', 'a"b', "\\", "\\N", "a\\b", "/", "\x00", "\x01", "\x1f", "\x7f", "\n", "\r\n", "\b", "\f", "'a", '="1"'),
    *("<&>"),
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
    *("999999999999999999"),
    *("123456789012345678901234567890", "000000000000000000000000000000000000000001", "9007199254740993"),
    *("9007199254740992"),
    *("0.0", "-0.0", "0.", ".5", "-.5", "+.5", "1.", "1.0", "1.10", "01.5", "+1.5", "-1.5", "1.5 ", "1,5", "1..5"),
    *("1.5.5", "0.1"),
    *("0.3", "0.30000000000000004", "0.0001", "0.00001", "0.000012", "1e-7", "1e-400", "4.9e-324"),
    *("0.00000000000000000001"),
    *("123456789012345.25", "999999999999999.9", "1234567890.12345", "1234567890123456.5", "123456789.123456789"),
    *("1e16", "1e22"),
    *("1,000", "1,00", "12,345", "1,234,567", "0,123", "1,234.5", "1,2345", "-1,000", "+1,000"),
    *("1,000,000,000,000,000,000"),
    *("inf", "-inf", "Infinity", "NaN", "true", "false", "True", "TRUE", "Y", "n", "1", "yes"),
    *("2024-01-15", "2024-02-30", "2024-2-9", "24-02-29", "0000-01-01", "0001-01-01", "9999-12-31", " 2024-01-15"),
    *("20240115"),
    *("2024-01-15 12:30:00", "2024-01-15T12:30:00", "2024-01-15 24:00:00", "2024-01-15 12:30:60"),
    *("2024-01-15 1:30:00"),
    *("2024-03-10 02:30:00", "2024-11-03 01:30:00", "2024-03-10 03:00:00", "2024-11-03 00:59:59"),
    *("2024-11-03 02:00:00"),
    *("2024-01-15T12:30:00Z", "2024-01-15T12:30:00.123Z", "2024-01-15T12:30:00.1Z", "2024-01-15T12:30:00.123456Z"),
    *("2024-01-15T12:30:00+09:00", "2024-01-15T12:30:00+0530", "2024-01-15T12:30:00-09"),
    *("2024-01-15T12:30:00.999-23:59"),
    *("2024-01-15T12:30:00+25:00", "2024-01-15 12:30", "2024-01-15 12:30:00 UTC", "2200-07-01 12:00:00"),
    *("9999-12-31 23:59:59"),
    *("2024.01.15 123000", "2024.1.15 123000", "2024.01.15  123000", "2024.02.30 123000", "2024.01.15 126000"),
    *("\uff12\uff10\uff12\uff14.01.15 123000"),
    *("ann@example.com", "Ann@Example.com", "a@b", "a@b.c", "a@b-.com", "a@b--c.com", "a@-b.com"),
    *("a.b+c%d@e-f.co.kr", "a@b.com "),
    *("cell", "CELL", "id7", "id_7-", "1001.0", "8.2E+11", "1012345678", "101234567", "821012345678"),
    *("010-1234-5678", "01012345678"),
    *("82-10-1234-5678", "0101234567", "010-123-4567", "010-5912-3456", "010-1234-567", "02-123-4567"),
    *("0212345678", "+821012345678"),
)  # fmt: skip
NASTY_TOKENS: Final = (
    *('""', '"a"', '"김민수"', '"a\\"b"', '"\\u0041"', '"\\u00e9"', '"\\\\"', '"\\/"', '" a"', '"#N/A"', '"é"'),
    *('"\\ud83d\\ude00"'),
    *('"cell"', '"007"', '"7"', '"-0"', '"+7"', '"1.5"', '"1.50"', '"id7"', '"1012345678"', '"821012345678"'),
    *('"010-1234-5678"'),
    *("null", "true", "false", "0", "-0", "7", "-7", "9007199254740993", "9223372036854775808", "1.0", "1.10"),
    *("-0.0", "0.0", "0.1"),
    *("1e3", "1E+2", "1.5e-7", "0.00001", "0.0001", "123456789012345.25", "9007199254740993.5", "1e-320", "1e22"),
    *("[]", "[1]", '["a"]'),
    *("[1.5]", "[true]", '[1,"a"]', "{}", '{"a":1}', '"2024-01-15 12:30:00"', '"2024-01-15T12:30:00Z"'),
    *('"2024-03-10 02:30:00"'),
    *('"2024-01-15T12:30:00.123+09:00"', '"ann@example.com"', '"Ann@example.com"', '"1,000"'),
    *('"2024.01.15 123000"'),
)  # fmt: skip


@cache
def differing_expression(form: CellForm) -> str | None:
    """Return the name of an expression that reads a cell of the *form* in another way than the plan; None if all agree.

    Names are those of `readers`, with the form or the type of the cells.
    """
    return next(_differing(form), None)


def differs(reader: ColumnReader, cells: pl.Series) -> bool:
    """Whether an expression of *reader* makes another thing of one of *cells* than the plan of that cell alone."""
    typed = reader.of_type(cells.dtype)
    empty = typed.are_empty(cells)
    cells = cells if empty is None else cells.filter(~empty)
    for expression in typed.expressions:
        certain = expression.is_certain(cells).fill_null(value=False)
        sure = cells.filter(certain)
        quote = '"' if expression.quoted and reader.makes_json else ""
        for cell, text in zip(sure.to_list(), expression.make(sure).to_list(), strict=True):
            wanted = LoneValue(None if text is None else quote + text + quote, expression.changed)
            if text is not None and reader.read_cell(cell) != wanted:
                return True
    return False


def readers(form: CellForm) -> Iterator[tuple[str, ColumnReader]]:
    """Yield a reader for each kind of step that has expressions in cells of the *form*, with its name."""
    for name, rule in _PROPERTIES.items():
        plan = _plan(MappingRules((IdentityRule("external_id", "id"),), (rule,)))
        yield name, ColumnReader(plan, plan.property_steps[0], form)
    for name, identity in _IDENTITY.items():
        plan = _plan(MappingRules((identity,)))
        yield name, ColumnReader(plan, plan.identity_steps[0], form)


def _plan(rules: MappingRules) -> Plan:
    return compile_plan(rules, source="", config="", columns=None)


def _differing(form: CellForm) -> Iterator[str]:
    columns = [pl.Series(NASTY_TEXTS)] if form == "text" else [pl.Series(NASTY_TOKENS)]
    for name, reader in readers(form):
        for cells in _typed_columns() if form == "typed" else columns:
            if differs(reader, cells):
                yield f"{name} ({cells.dtype if form == 'typed' else form})"


def _typed_columns() -> list[pl.Series]:
    """Return a column of each type that has expressions, with values at their bounds."""
    whole = [0, 1, -1, 2**53, 2**53 + 1, -(2**53), -(2**53) - 1, 2**63 - 1, -(2**63), 1012345678]
    floats = [
        0.0,
        -0.0,
        0.1,
        -1.5,
        1e-5,
        1e16,
        1e22,
        2.0**53,
        5e-324,
        1.7976931348623157e308,
        float("nan"),
        float("inf"),
    ]
    hours = [0, -1, 1, 1_705_321_800_123_456, 1_710_054_000_000_000, 1_730_611_800_000_000, -62_000_000_000_000_001]
    return [
        pl.Series(whole, dtype=pl.Int64),
        pl.Series([0, 2**63, 2**64 - 1], dtype=pl.UInt64),
        pl.Series(floats, dtype=pl.Float64),
        pl.Series([0.1, -0.0, 1e-5, 16777216.0], dtype=pl.Float32),
        pl.Series(hours, dtype=pl.Datetime("us")),
        pl.Series(hours, dtype=pl.Datetime("us", "UTC")),
    ]
