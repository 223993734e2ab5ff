"""Each type and each cleaning step reads a value in a column as the reader of rows does; broken ones are found out.

`VALUES=1000000 make fuzz` (or with pytest) reads a million values by each, instead of some thousands by all together.
"""

import os
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

import orjson
import polars as pl
import pytest

from tests.batches import differing_cells
from tests.plans import compile_plan
from tests.seeds import seeds
from uploader.batch import CellForm
from uploader.mapping import Plan, column_reader, expression_guard, unique_values
from uploader.mapping.column_expressions import ColumnExpression, fits
from uploader.mapping.column_reader import ColumnReader
from uploader.mapping.expression_guard import NASTY_TEXTS, NASTY_TOKENS, differing_expression
from uploader.mapping.rules import CleaningRules, IdentityRule, MappingRules, MomentRule, PropertyRule, TimeRule

VALUES: Final = int(os.environ.get("VALUES", "400"))
"""How many values each rule reads, for each seed and form."""

_AT_ONCE: Final = 5000
WORDS: Final = (("남", "Male"), ("a", True), ("7", 7))


def property_of(kind: str | None = None, cleaning: CleaningRules | None = None, **more: object) -> MappingRules:
    rule = PropertyRule("p", "cell", kind=kind, cleaning=cleaning or CleaningRules(), **more)  # type: ignore[arg-type] # the fields of PropertyRule
    return MappingRules((IdentityRule("external_id", "id"),), (rule,), hash_key=b"key")


def identity_of(field: str, **steps: object) -> MappingRules:
    return MappingRules((IdentityRule(field, "cell", CleaningRules(**steps)),), hash_key=b"key")  # type: ignore[arg-type] # the fields of CleaningRules


RULES: Final[dict[str, MappingRules]] = {
    "own type": property_of(),
    **{kind: property_of(kind) for kind in ("string", "long", "double", "boolean", "date")},
    **{kind: property_of(kind, separator=",") for kind in ("array<string>", "array<long>", "array<double>")},
    "datetime": property_of("datetime"),
    **{
        f"datetime {zone}": property_of("datetime", times=TimeRule(timezone=zone))
        for zone in ("Asia/Seoul", "America/New_York")
    },
    "datetime Lord Howe": property_of("datetime", times=TimeRule(timezone="Australia/Lord_Howe")),
    **{
        f"date {form}": property_of("date", times=TimeRule((form,))) for form in ("%Y%m%d", "%d.%m.%y", "unix", "excel")
    },
    **{
        f"datetime {form}": property_of("datetime", times=TimeRule((form,), timezone="Asia/Seoul"))
        for form in (
            "%Y-%m-%d %H:%M:%S",
            "%Y.%m.%d %H:%M",
            "%Y%m%d%H%M%S",
            "%d/%m/%Y %I:%M %p",
            "%Y-%m-%dT%H:%M:%S%z",
            "unix_ms",
        )
    },
    "trim": property_of(cleaning=CleaningRules(trim=True)),
    "trim long": property_of("long", CleaningRules(trim=True)),
    "trim double": property_of("double", CleaningRules(trim=True)),
    "strip": property_of("long", CleaningRules(strip=("원", "$", "0"))),
    "lower": property_of(cleaning=CleaningRules(case="lower")),
    "upper": property_of("string", CleaningRules(case="upper", trim=True)),
    "values": property_of(cleaning=CleaningRules(values=WORDS)),
    "values keep": property_of(cleaning=CleaningRules(trim=True, values=WORDS, otherwise="keep")),
    "values omit": property_of(cleaning=CleaningRules(values=WORDS, otherwise="omit")),
    "phone": property_of("string", CleaningRules(phone="KR")),
    **{f"thousands {mark}": property_of("long", CleaningRules(thousands=mark)) for mark in ",. "},
    "decimal": property_of("double", CleaningRules(thousands=".", decimal=",")),
    "decimal long": property_of("long", CleaningRules(decimal=",")),
    "hash": property_of("string", CleaningRules(trim=True, case="lower", hash="hmac-sha256")),
    "omit": property_of("long", on_error="omit", null_values=("-", "#N/A")),
    "null": property_of("long", when_empty="null"),
    "consent": MappingRules((IdentityRule("external_id", "id"),), (PropertyRule("df_push_optin", "cell"),)),
    **{field: identity_of(field) for field in ("external_id", "email", "phone_no", "kakao_user_id")},
    **{f"trim {field}": identity_of(field, trim=True) for field in ("external_id", "email", "phone_no")},
    **{
        f"{case} {field}": identity_of(field, case=case)
        for field in ("external_id", "email")
        for case in ("lower", "upper")
    },
    "phone phone_no": identity_of("phone_no", phone="KR", trim=True),
    "hash email": identity_of("email", trim=True, case="lower", hash="hmac-sha256"),
    "values external_id": identity_of("external_id", values=(("a", "b1"),), otherwise="keep"),
    "moment": MappingRules(
        (IdentityRule("external_id", "id"),), request_datetime=MomentRule("cell", timezone="Asia/Seoul")
    ),
}


def plan_of(rules: MappingRules, form: CellForm = "text") -> Plan:
    return compile_plan(rules, source="s", config="c", columns=None, null_is_empty=form == "typed")


def reader_of(name: str, form: CellForm) -> ColumnReader:
    plan = plan_of(RULES[name], form)
    reads_identity = plan.identity_steps[0].column == "cell"
    return ColumnReader(
        plan, plan.moment_step or (plan.identity_steps if reads_identity else plan.property_steps)[0], form
    )


def values(count: int, dice: random.Random) -> Iterator[str]:
    """Yield *count* texts: nasty ones, changed ones, and such as files are full of."""
    for _ in range(count):
        text = dice.choice(MAKERS)(dice)
        if dice.random() < 0.15:
            place = dice.randrange(len(text) + 1)
            text = text[:place] + dice.choice(PARTS) + text[place + dice.randrange(2) :]
        yield text


PARTS: Final = (*' \t\n\x1c\x85\u200b"\\#.,-+e0719٣aAzZ원김é\u017f', "%", "T", "Z", ":", "\u3000", "😀", "\ufffd")
YEAR_1: Final = datetime.fromisoformat("0001-01-01")
YEAR_2020: Final = datetime.fromisoformat("2020-01-01")
FORMATS: Final = ("%Y-%m-%d", "%Y%m%d", "%d.%m.%y", "%Y.%m.%d %H:%M")
ZONES: Final = ("", "Z", "z", "+09:00", "-0330", "+09", " UTC")
MAKERS: Final[tuple[Callable[[random.Random], str], ...]] = (
    lambda dice: dice.choice(NASTY_TEXTS),
    lambda dice: str(dice.randrange(-(10 ** dice.randrange(1, 25)), 10 ** dice.randrange(1, 25))),
    lambda dice: f"{dice.uniform(-1, 1) * 10 ** dice.randrange(-9, 20):.{dice.randrange(0, 22)}f}",
    lambda dice: repr(dice.uniform(-1, 1) * 10 ** dice.randrange(-330, 300)),
    lambda dice: f"{dice.randrange(10**9):,}",
    lambda dice: (YEAR_1 + timedelta(seconds=dice.randrange(3 * 10**11))).isoformat(dice.choice(" T")),
    lambda dice: (YEAR_2020 + timedelta(minutes=dice.randrange(3 * 10**6))).isoformat(" "),
    lambda dice: (YEAR_2020 - timedelta(days=dice.randrange(30000))).strftime(dice.choice(FORMATS)),
    lambda dice: (
        f"2024-0{dice.randrange(1, 10)}-1{dice.randrange(10)}T1{dice.randrange(10)}:{dice.randrange(62):02}:"
        f"{dice.randrange(60):02}{dice.choice(('', '.5', '.123', '.123456'))}{dice.choice(ZONES)}"
    ),
    lambda dice: (
        f"01{dice.choice('0016')}{dice.choice('- ')}{dice.randrange(10**4):04}{dice.choice(('-', ''))}"
        f"{dice.randrange(10**4):04}"
    ),
    lambda dice: f"{dice.choice(('82', '+82', '0', ''))}10{dice.randrange(10**8):08}",
    lambda dice: "".join(
        chr(dice.choice((dice.randrange(32, 127), dice.randrange(0xAC00, 0xD7A4), dice.randrange(1, 0xD7FF))))
        for _ in range(dice.randrange(6))
    ),
    lambda dice: (
        f"{dice.choice(('ann', 'Ann', 'a.b+c', '김'))}{dice.randrange(99)}@"
        f"{dice.choice(('a', 'A-b', 'x--y', '-z', 'q' * 64))}.{dice.choice(('com', 'co.kr', 'c', 'kr1'))}"
    ),
)


@pytest.mark.seeded
@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("name", sorted(RULES))
def test_a_value_in_a_column_is_read_as_it_is_alone(name: str, seed: int) -> None:
    dice = random.Random(f"{seed} {name}")  # noqa: S311 — cases of a numbered seed
    text_reader, token_reader = reader_of(name, "text"), reader_of(name, "json")

    for begin in range(0, VALUES, _AT_ONCE):
        texts = [*values(min(_AT_ONCE, VALUES - begin), dice)]
        tokens = [dice.choice((orjson.dumps(text).decode(), *_bare(text))) for text in texts]
        tokens += dice.choices(NASTY_TOKENS, k=len(tokens) // 10)
        assert differing_cells(text_reader, pl.Series(texts)) == []
        assert differing_cells(token_reader, pl.Series(tokens)) == []


def _bare(text: str) -> list[str]:
    """Return *text* as a number of JSON, if it is one."""
    try:
        return [text] if isinstance(orjson.loads(text), int | float) else []
    except orjson.JSONDecodeError:
        return []


@pytest.mark.seeded
@pytest.mark.parametrize("seed", seeds(1))
def test_a_value_of_a_type_in_a_column_is_read_as_it_is_alone(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 — cases of a numbered seed
    size = min(VALUES, 100_000)
    moments = [dice.randrange(-60 * 10**15, 250 * 10**15) for _ in range(size)]
    columns = [
        pl.Series(
            [dice.randrange(-(2 ** dice.randrange(1, 64)), 2 ** dice.randrange(1, 64)) for _ in range(size)],
            dtype=pl.Int64,
        ),
        pl.Series([dice.uniform(-1, 1) * 10 ** dice.randrange(-320, 300) for _ in range(size)]),
        pl.Series([dice.uniform(-1, 1) for _ in range(size)], dtype=pl.Float32),
        pl.Series(moments, dtype=pl.Datetime("us")),
        pl.Series([one // 1000 for one in moments], dtype=pl.Datetime("ms", "America/New_York")),
        pl.Series(moments, dtype=pl.Datetime("us", "Asia/Seoul")),
        pl.Series([dice.randrange(2**63) for _ in range(size)], dtype=pl.Datetime("ns", "UTC")),
    ]

    differing = {
        (name, str(cells.dtype)): found
        for name in (
            "own type",
            "string",
            "long",
            "double",
            "datetime",
            "datetime America/New_York",
            "external_id",
            "moment",
        )
        for cells in columns
        if (found := differing_cells(reader_of(name, "typed"), cells))
    }

    assert differing == {}


# Broken variants, each of which must be found out


def always(cells: pl.Series) -> pl.Series:
    return cells.is_not_null()


def same(cells: pl.Series) -> pl.Series:
    return cells


BROKEN: Final[dict[str, tuple[str, ColumnExpression]]] = {
    "digits of all scripts": ("long", ColumnExpression(fits(r"-?\d{1,18}"), same)),
    "digits of all scripts, cast": ("double", ColumnExpression(fits(r"\d{1,9}\.\d{1,9}"), same)),
    "zeros before a number": ("long", ColumnExpression(fits("[0-9]{1,18}"), same)),
    "minus zero": (
        "long",
        ColumnExpression(fits("-?[0-9]{1,18}"), lambda cells: cells.str.replace("^(-?)0+([0-9])", "$1$2")),
    ),
    "nineteen digits": ("long", ColumnExpression(fits("[1-9][0-9]{0,18}"), same)),
    "a line end after $": ("long", ColumnExpression(lambda cells: cells.str.contains("(?m)^[1-9][0-9]{0,5}$"), same)),
    "a cast without a guard": (
        "double",
        ColumnExpression(always, lambda cells: cells.cast(pl.Float64, strict=False).cast(pl.String)),
    ),
    "a cast of whole numbers": (
        "double",
        ColumnExpression(fits("[0-9]{1,18}"), lambda cells: cells.cast(pl.Float64).cast(pl.String)),
    ),
    "a cast of minus zero": (
        "double",
        ColumnExpression(fits("-?[0-9]{1,15}"), lambda cells: cells.cast(pl.Float64).cast(pl.String)),
    ),
    "a zero at the end": ("double", ColumnExpression(fits("[1-9][0-9]{0,5}\\.[0-9]{1,5}"), same)),
    "quotes without escapes": ("string", ColumnExpression(always, same, quoted=True)),
    "no control characters escaped": (
        "string",
        ColumnExpression(fits('[^"\\\\#\\x{80}-\\x{10ffff}]*'), same, quoted=True),
    ),
    "damaged texts": ("string", ColumnExpression(fits('[^"\\\\\\x00-\\x1f]*'), same, quoted=True)),
    "strip_chars": (
        "trim",
        ColumnExpression(
            fits("[ -~\\x1c-\\x1f]*"), lambda cells: cells.str.strip_chars(), quoted=True, changed=("trim",)
        ),
    ),
    "strip_chars without counts": (
        "trim",
        ColumnExpression(fits("[ !$-Z]*"), lambda cells: cells.str.strip_chars(), quoted=True),
    ),
    "to_lowercase": (
        "lower",
        ColumnExpression(fits('[^"\\\\#\\x00-\\x1f]*'), lambda cells: cells.str.to_lowercase(), quoted=True),
    ),
    "to_date": (
        "date",
        ColumnExpression(
            always, lambda cells: cells.str.to_date("%Y-%m-%d", strict=False).cast(pl.String), quoted=True
        ),
    ),
    "to_datetime": (
        "datetime Asia/Seoul",
        ColumnExpression(
            always,
            lambda cells: (
                cells.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
                .dt.offset_by("-9h")
                .dt.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            ),
            quoted=True,
        ),
    ),
    "one offset for all years": (
        "datetime America/New_York",
        ColumnExpression(
            fits("20[0-9]{2}-[0-9]{2}-[0-9]{2} [01][0-9]:[0-5][0-9]:[0-5][0-9]"),
            lambda cells: (
                cells.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
                .dt.offset_by("5h")
                .dt.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            ),
            quoted=True,
        ),
    ),
    "any word as an identity": ("external_id", ColumnExpression(fits("[A-Za-z0-9_-]+"), same, quoted=True)),
    "the name of the column as an identity": ("external_id", ColumnExpression(fits("[a-z]+"), same, quoted=True)),
    "any phone number": ("phone_no", ColumnExpression(fits("[0-9]{8,12}"), same, quoted=True)),
    "thousands anywhere": (
        "thousands ,",
        ColumnExpression(
            fits("[1-9][0-9,]{0,9}[0-9]"), lambda cells: cells.str.replace_all(",", ""), changed=("thousands",)
        ),
    ),
    "phones without counts": (
        "phone",
        ColumnExpression(
            fits("010-[1-4][0-9]{3}-[0-9]{4}"),
            lambda cells: "82" + cells.str.slice(1).str.replace_all("-", ""),
            quoted=True,
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("broken", sorted(BROKEN))
def test_a_broken_expression_is_found_out(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, expression = BROKEN[broken]
    for owner in ("property_expressions", "identity_expressions"):
        monkeypatch.setattr(column_reader, owner, lambda *_: (expression,))
    monkeypatch.setattr(column_reader, "datetime_expressions", lambda *_: (expression,))
    texts = [*NASTY_TEXTS, *values(3000, random.Random(7))]  # noqa: S311 — cases of a numbered seed

    assert differing_cells(reader_of(name, "text"), pl.Series(texts)) != []


def test_floats_by_their_different_values_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unique_values, "is_keyed", lambda _: True)
    monkeypatch.setattr(column_reader, "_typed_expressions", lambda *_: ())
    cells = pl.Series([0.0, -0.0, 1.0])

    found = reader_of("double", "typed")(cells).texts.to_list()

    assert found != ["0.0", "-0.0", "1.0"]


# The guard at the start

TYPED: Final = ("string", "long", "double", "datetime", "naive datetime")


@pytest.mark.parametrize("form", ["text", "json", *TYPED])
def test_the_expressions_read_nasty_values_as_the_plan_does(form: str) -> None:
    cells: CellForm = "text" if form == "text" else "json" if form == "json" else "typed"

    found = {name: differing_expression(plan_of(rules, cells), cells, {"cell": form}) for name, rules in RULES.items()}

    assert {name: expression for name, expression in found.items() if expression is not None} == {}


@pytest.mark.parametrize(
    ("owner", "broken", "rules", "form", "name"),
    [
        ("column_expressions._WHOLE", r"-?\d{1,18}", "long", "text", "long (text)"),
        ("column_expressions._WHOLE", r"-?\d{1,18}", "long", "json", "long (json)"),
        ("column_expressions.PLAIN", "[^\\n]", "own type", "text", "text (text)"),
        ("column_expressions.PLAIN", "[^\\n]", "own type", "typed", "text (String)"),
        ("column_expressions._ID", ".+", "external_id", "text", "external_id (text)"),
        ("column_datetimes._SIXTY", "[0-9]{2}", "datetime", "text", "datetime (text)"),
        ("column_datetimes._SIXTY", "[0-9]{2}", "datetime Asia/Seoul", "text", "datetime (text)"),
    ],
)
def test_an_expression_that_reads_a_value_in_another_way_is_named(  # noqa: PLR0913, PLR0917 — the case
    owner: str, broken: str, rules: str, form: CellForm, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"uploader.mapping.{owner}", broken)

    assert differing_expression(plan_of(RULES[rules]), form, {"cell": "string"}) == name


def test_an_id_column_is_tried_with_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uploader.mapping.column_expressions._other_than", lambda _column, _form, one: one)
    plan = plan_of(MappingRules((IdentityRule("external_id", "my_id2"),)))

    assert differing_expression(plan, "text", {}) == "external_id (text)"


def test_columns_that_are_read_alike_are_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def no_difference(reader: ColumnReader, _: pl.Series) -> bool:
        tried.append(reader.column)
        return False

    monkeypatch.setattr(expression_guard, "differs", no_difference)
    kinds = {"a": "long", "b": "long", "c": None, "d": "long"}
    properties = tuple(PropertyRule(name, name, kind=kind) for name, kind in kinds.items())  # type: ignore[arg-type] # a type

    plan = plan_of(MappingRules((IdentityRule("external_id", "id"),), properties))

    assert differing_expression(plan, "text", {}) is None
    assert tried == ["id", "a", "c"]


def test_the_guard_tries_some_two_hundred_values() -> None:
    texts = expression_guard.NASTY_TEXTS

    assert len({*texts}) == len(texts) > 200
