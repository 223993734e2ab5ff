"""Whole tables are mapped to the bodies that the plan makes row by row, or a row is left to the plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as search
from hypothesis import strategies as st

from tests.batches import assert_agrees, json_batch, text_batch, typed_batch
from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.api import CONSENTS
from uploader.batch import Batch
from uploader.endpoints import USER_PROFILE
from uploader.mapping import Plan
from uploader.mapping.columnar_plan import columnar_plan
from uploader.mapping.mapped_batch import MappedBatch
from uploader.mapping.rules import (
    CleaningRules,
    Emptiness,
    IdentityRule,
    MappingRules,
    MomentRule,
    PropertyRule,
    TimeRule,
)
from uploader.model import Json, Reason
from uploader.source.parquet_types import kinds_of

LAYOUT = USER_PROFILE.layout
NOW: Final = "2024-06-24T06:42:25.394Z"
TODAY: Final = date(2024, 6, 24)
KEY: Final = b"canary-hash-key"
CONSENT: Final = min(CONSENTS)
NEEDS_ROWS: Final = "its mapping needs whole rows"
BY_ID: Final = identity_rules({"external_id": "id"})
WORDS: Final = (("남", "Male"), ("여", "Female"), ("7", 7))

TEXTS: Final = (
    *("", " ", "a", "A", "김민수", " 김민수 ", "é", "책", "漢字", '"', "\\", "a\tb", "\x7f", "\x1ca", "a\u200b", "😀"),
    *("#N/A", "a#b"),
    *("\ufffd", "Ã©", "源誘쇱닔", "\u2019", "-", "NULL", "0", "-0", "+7", "007", "7", " 7", "7 ", "1,000", "1.234,5"),
    *("1.50", "1.5", ".5"),
    *("-0.0", "0.00001", "1e3", "1e400", "9007199254740993", "9223372036854775808", "٣", "\uff17", "Y", "n", "예"),
    *("True", "maybe"),
    *("2024-01-15", "1899-12-31", "2999-01-01", "20240115", "2024-02-30", "15.01.2024", "2024-01-15 12:30:00"),
    *("2024-01-15T12:30:00Z"),
    *("2024-01-15T12:30:00.123+09:00", "2024-03-10 02:30:00", "2024-11-03 01:30:00", "2024-01-15 12:30:60"),
    *("1705321800", "1705321800123"),
    *("a|b", "1|2", "1.5|2", "|", "남", "여", "1001.0", "1.2E+11", "id", "N/A", "--", "ann@example.com"),
    *("Ann@Example.com", "a@b"),
    *("1012345678", "821012345678", "010-1234-5678", "01012345678", "02-123-4567", "'1", '="1"', "1,234,567원", "원"),
    *(" '1", "\u3000'1", "=", "'90s", "82-10-1234-5678", "Male", "male", "90-01-15", "1990-01-15", "합계"),
    "010-****-5678",
    *("x" * 70),
)  # fmt: skip
PROPERTIES: Final = (
    PropertyRule("text", "c0"),
    PropertyRule("string", "c1", kind="string", when_empty="null"),
    PropertyRule("long", "c2", kind="long", when_empty="null"),
    PropertyRule("double", "c3", kind="double"),
    PropertyRule("vip", "c4", kind="boolean", true=("예", "y", "1"), false=("아니오", "n", "0")),
    PropertyRule("df_birth", "c5", kind="date"),
    PropertyRule("birth_2", "c5", kind="date", times=TimeRule(formats=("%Y%m%d", "%d.%m.%Y"))),
    PropertyRule("seen", "c6", kind="datetime", times=TimeRule(timezone="America/New_York")),
    PropertyRule(
        "made",
        "c6",
        kind="datetime",
        times=TimeRule(formats=("%Y-%m-%d %H:%M:%S",), timezone="Asia/Seoul"),
        on_error="omit",
    ),
    PropertyRule("at", "c6", kind="datetime", times=TimeRule(formats=("unix_ms", "unix"))),
    PropertyRule("tags", "c7", kind="array<string>"),
    PropertyRule("longs", "c7", kind="array<long>", when_empty="null"),
    PropertyRule("doubles", "c7", kind="array<double>", on_error="omit"),
    PropertyRule(CONSENT, "c8"),
    PropertyRule("df_gender", "c0", kind="string"),
    PropertyRule("dob", "c5"),
    PropertyRule("생일", "c6", kind="string"),
    PropertyRule("channel", value="nightly"),
    PropertyRule("trimmed", "c0", cleaning=CleaningRules(trim=True)),
    PropertyRule("lower", "c0", cleaning=CleaningRules(trim=True, case="lower"), null_values=("-",)),
    PropertyRule("upper", "c1", kind="string", cleaning=CleaningRules(case="upper")),
    PropertyRule("word", "c0", cleaning=CleaningRules(values=WORDS)),
    PropertyRule("kept", "c0", cleaning=CleaningRules(trim=True, values=WORDS, otherwise="keep")),
    PropertyRule("word_2", "c0", cleaning=CleaningRules(values=WORDS, otherwise="omit")),
    PropertyRule("spent", "c2", kind="long", cleaning=CleaningRules(trim=True, strip=("원",), thousands=",")),
    PropertyRule("sum", "c2", kind="long", cleaning=CleaningRules(thousands=",")),
    PropertyRule("part", "c3", kind="double", cleaning=CleaningRules(thousands=".", decimal=",")),
    PropertyRule("call", "c0", cleaning=CleaningRules(phone="KR")),
    PropertyRule("secret", "c0", cleaning=CleaningRules(hash="hmac-sha256")),
    PropertyRule("omitted", "c2", kind="long", on_error="omit"),
    PropertyRule("each", "c7", kind="array<string>", cleaning=CleaningRules(trim=True, case="upper")),
)
IDENTITIES: Final = (
    IdentityRule("external_id", "id"),
    IdentityRule("external_id", "id", CleaningRules(trim=True), null_values=("-",)),
    IdentityRule("external_id", "id", CleaningRules(hash="hmac-sha256")),
    IdentityRule("email", "mail"),
    IdentityRule("email", "mail", CleaningRules(trim=True, case="lower")),
    IdentityRule("phone_no", "phone"),
    IdentityRule("phone_no", "phone", CleaningRules(trim=True, phone="KR")),
)
COLUMNS: Final = ("id", "mail", "phone", *sorted({rule.column for rule in PROPERTIES if rule.column}))
TOKENS: Final = (
    *(orjson.dumps(text).decode() for text in TEXTS),
    *("null", "true", "false", "0", "-0", "7", "-7", "1.0", "1.50", "-0.0", "1e3", "1.5e-7", "9007199254740993"),
    *("1e-320", "1e400"),
    *("9223372036854775808", "9007199254740993.5", "[]", "[1,2]", '["a"]', "[1.5,2]", "[true]", '["a",1]', "{}"),
    *('{"a":1}', '"\\u0041"'),
    *('"\\ud800"', '"\\ud83d\\ude00"', '"a\\/b"', "1705321800", "1705321800123", "1012345678"),
)  # fmt: skip


@st.composite
def all_rules(draw: st.DrawFn) -> MappingRules:
    identity = draw(st.lists(st.sampled_from(IDENTITIES), min_size=1, max_size=3, unique_by=lambda rule: rule.field))
    properties = draw(st.lists(st.sampled_from(PROPERTIES), min_size=1, max_size=5, unique_by=lambda rule: rule.key))
    moment = draw(st.sampled_from([None, None, MomentRule("c6", timezone="Asia/Seoul")]))
    return MappingRules(
        tuple(identity),
        tuple(properties),
        null_values=draw(st.sampled_from([("",), (), ("", "-", "NULL"), ("", "#N/A")])),
        request_datetime=moment,
        hash_key=KEY,
        sends_odd_identities=draw(st.booleans()),
    )


def rows_of(cells: Sequence[str], *, may_lack: bool = False) -> st.SearchStrategy[list[dict[str, str]]]:
    """Return a strategy of rows whose identity is plain more often than not."""
    any_cell = st.sampled_from(cells)
    plain = {"id": ("7", "id-7"), "mail": ("ann@example.com",), "phone": ("821012345678",)}
    quote = '"' if may_lack else ""
    columns = {
        name: st.sampled_from([quote + one + quote for one in plain[name]]) | any_cell if name in plain else any_cell
        for name in COLUMNS
    }
    if not may_lack:
        columns |= {name: one | st.text(st.characters(codec="utf-8"), max_size=4) for name, one in columns.items()}
        return st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=25)
    needed = {name: columns.pop(name) for name in ("id",)}
    return st.lists(st.fixed_dictionaries(needed, optional=columns), min_size=1, max_size=25)


def plan_of(rules: MappingRules, columns: Sequence[str] | None = COLUMNS, *, null_is_empty: bool = False) -> Plan:
    return compile_plan(
        rules, source="people", config="config.yaml", columns=columns, null_is_empty=null_is_empty, today=TODAY
    )


def mapped(rules: MappingRules, batch: Batch) -> MappedBatch:
    """Return what becomes of *batch*, which is held to what becomes of its rows."""
    plan = plan_of(rules, None if batch.form == "json" else batch.table.columns, null_is_empty=batch.form == "typed")
    columnar = columnar_plan(plan, batch.form, kinds_of(batch.table.schema) if batch.form == "typed" else {})
    assert not isinstance(columnar, str)
    found = columnar.map_batch(batch)
    assert_agrees(found, plan, batch, NOW)
    return found


def texts(*rows: Mapping[str, str]) -> Batch:
    return text_batch([{"id": str(number), **row} for number, row in enumerate(rows, 1)])


@given(rules=all_rules(), rows=rows_of(TEXTS))
@search(max_examples=40)
def test_a_table_of_texts_becomes_what_its_rows_become(rules: MappingRules, rows: list[dict[str, str]]) -> None:
    mapped(rules, text_batch(rows))


@given(rules=all_rules(), rows=rows_of(TOKENS, may_lack=True))
@search(max_examples=40)
def test_a_table_of_json_becomes_what_its_lines_become(rules: MappingRules, rows: list[dict[str, str]]) -> None:
    batch = json_batch(rows)
    if batch.table.height:
        mapped(rules, batch)


SEOUL: Final = timezone(timedelta(hours=9))
MOMENTS: Final = (
    None,
    datetime.fromisoformat("2024-01-15 12:30"),
    datetime.fromisoformat("1969-12-31 23:59:59.999999"),
    datetime.fromisoformat("2024-03-10 02:30"),
)
TYPED: Final[Mapping[str, tuple[pl.DataType, Sequence[object]]]] = {
    "texts": (pl.String(), (None, *TEXTS)),
    "categories": (pl.Categorical(), (None, "a", "", "김", "7", "ann@example.com")),
    "longs": (pl.Int64(), (None, 0, 1, -7, 2**53 + 1, 2**63 - 1, 1012345678, 1705321800)),
    "small": (pl.Int8(), (None, 0, 1, -7)),
    "large": (pl.UInt64(), (None, 0, 2**63, 2**64 - 1)),
    "huge": (pl.Int128(), (None, 0, 2**63, -(2**70))),
    "doubles": (pl.Float64(), (None, 0.0, -0.0, 0.1, 1e-5, 1e22, float("nan"), float("inf"), 5e-324, 1705321800.5)),
    "floats": (pl.Float32(), (None, 0.1, -0.0, 1.5)),
    "flags": (pl.Boolean(), (None, True, False)),
    "days": (
        pl.Date(),
        (None, date(2024, 1, 15), date(1, 1, 1), date(1899, 12, 31), date(2999, 1, 1), date(9999, 12, 31)),
    ),
    "naive": (pl.Datetime("us"), MOMENTS),
    "utc": (pl.Datetime("ms", "UTC"), tuple(one and one.replace(tzinfo=UTC) for one in MOMENTS)),
    "zoned": (pl.Datetime("ns", "America/New_York"), tuple(one and one.replace(tzinfo=UTC) for one in MOMENTS)),
    "far": (pl.Datetime("us", "Asia/Seoul"), (None, datetime(9999, 12, 31, tzinfo=UTC), datetime(2, 1, 1, tzinfo=UTC))),
    "lists": (pl.List(pl.String()), (None, [], ["a"], ["a", None], ['"', "é"])),
    "numbers": (pl.List(pl.Float64()), (None, [], [0.0], [-0.0], [float("nan")])),
    "decimals": (pl.Decimal(20, 0), (None, 1, 2)),
    "objects": (pl.Struct({"a": pl.Int64()}), (None, {"a": 1})),
    "bytes": (pl.Binary(), (None, b"a")),
    "spans": (pl.Duration("us"), (None, timedelta(seconds=1))),
    "nothing": (pl.Null(), (None,)),
}


@given(data=st.data(), rules=all_rules(), height=st.integers(1, 12))
@search(max_examples=40)
def test_a_table_of_types_becomes_what_its_rows_become(data: st.DataObject, rules: MappingRules, height: int) -> None:
    columns = {}
    for name in COLUMNS:
        dtype, values = TYPED[data.draw(st.sampled_from(sorted(TYPED)))]
        cells = data.draw(st.lists(st.sampled_from(values), min_size=height, max_size=height))
        columns[name] = pl.Series(cells, dtype=dtype)

    mapped(rules, typed_batch(pl.DataFrame(columns)))


def test_of_clean_rows_all_are_good_in_all_forms() -> None:
    rules = MappingRules(
        identity_rules({"external_id": "id", "email": "mail", "phone_no": "phone"}),
        (PROPERTIES[0], *PROPERTIES[2:6], PROPERTIES[7], PropertyRule(CONSENT, "c8")),
    )
    row = {"id": "00127", "mail": "ann@example.com", "phone": "821012345678", "c0": "김 민수", "c2": "31", "c3": "12.5"}
    row |= {"c4": "y", "c5": "1990-02-28", "c6": "2024-07-15 12:30:00", "c8": "N"}

    batches = (text_batch([row]), json_batch([{k: f'"{v}"' for k, v in row.items()}]), typed_batch(pl.DataFrame([row])))
    found = [mapped(rules, batch) for batch in batches]

    assert [one.good.to_list() for one in found] == [[True]] * 3
    assert len({one.bodies[0] for one in found}) == 1


def test_the_parts_of_the_layout_make_the_body_of_a_row() -> None:
    identity: dict[str, str] = {"external_id": '"7"'}
    properties: dict[str, Json] = {"a\nb": "é", "c": 1}

    member = USER_PROFILE.member_begin
    begin = (
        f"{LAYOUT.identity_begin}{member('external_id')}{orjson.dumps(identity['external_id']).decode()}"
        f'{LAYOUT.properties_begin}{member("a" + chr(10) + "b")}"é",{member("c")}1{LAYOUT.time_begin}'
    )

    assert USER_PROFILE.complete(begin.encode(), NOW) == USER_PROFILE.encode(identity, properties, NOW)


@pytest.mark.parametrize("value", ["\x1ca", "a\x1f", "\x1d", "\x85a", "a\u3000"])
def test_trim_removes_what_polars_leaves_at_the_ends(value: str) -> None:
    found = mapped(
        MappingRules(BY_ID, (PropertyRule("p", "c", cleaning=CleaningRules(trim=True)),)),
        texts({"c": value + "b"}, {"c": "b"}),
    )

    assert found.good.all()


@pytest.mark.parametrize("value", ["\u017f", "İ", "ẞ", "ΑΣ", "ǅ"])
@pytest.mark.parametrize("case", ["lower", "upper"])
def test_letters_of_other_scripts_get_the_case_that_python_gives_them(value: str, case: str) -> None:
    rule = PropertyRule("p", "c", cleaning=CleaningRules(case="lower" if case == "lower" else "upper"))

    mapped(MappingRules(BY_ID, (rule,)), texts({"c": value}, {"c": "x"}))


@pytest.mark.parametrize("word", ["\u017f", "STRASSE", "straße", "K"])
def test_the_words_of_a_boolean_are_compared_by_casefold(word: str) -> None:
    rule = PropertyRule("p", "c", kind="boolean", true=("s", "straße", "k"), false=("no",))

    assert mapped(MappingRules(BY_ID, (rule,)), texts({"c": word})).good.all()


@pytest.mark.parametrize("value", ["٣", "\uff17", "߁", "१२"])
@pytest.mark.parametrize("kind", ["long", "double"])
def test_digits_of_other_scripts_are_no_number(value: str, kind: str) -> None:
    rule = PropertyRule("p", "c", kind="long" if kind == "long" else "double")

    assert mapped(MappingRules(BY_ID, (rule,)), texts({"c": value}, {"c": "3"})).good.to_list() == [False, True]


@pytest.mark.parametrize(
    "value",
    [
        "1e400",
        "1e-400",
        "9007199254740993",
        "inf",
        "NaN",
        "1_000",
        " 1",
        "0x10",
        "1.5.5",
        "1.00000001e-322",
        "4.95e-324",
    ],
)
def test_a_number_that_a_cast_would_alter_is_left_to_the_plan(value: str) -> None:
    rule = PropertyRule("p", "c", kind="double")

    assert mapped(MappingRules(BY_ID, (rule,)), texts({"c": value}, {"c": "1.5"})).good.to_list() == [False, True]


def test_a_zero_keeps_its_sign_in_a_column_of_floats_and_in_one_of_lists() -> None:
    table = pl.DataFrame(
        {"id": ["1", "2", "3", "4"], "c": [0.0, -0.0, float("nan"), 0.0], "l": [[0.0], [-0.0], [1.0], [-0.0]]}
    )
    rules = MappingRules(BY_ID, (PropertyRule("p", "c"), PropertyRule("q", "l", kind="array<double>")))

    found = mapped(rules, typed_batch(table))

    assert found.good.to_list() == [True, True, False, True]
    assert [body[body.index('"p":') : -len(LAYOUT.time_begin)] for body in found.bodies.drop_nulls()] == [
        '"p":0.0,"q":[0.0]',
        '"p":-0.0,"q":[-0.0]',
        '"p":0.0,"q":[-0.0]',
    ]


@pytest.mark.parametrize(
    "value",
    [
        "2024-2-9",
        "24-02-29",
        " 2024-02-09",
        "2024-02-30",
        "0000-01-01",
        "2024-02-09 ",
        "\uff12\uff10\uff12\uff14-02-09",
    ],
)
def test_a_date_that_polars_would_take_is_left_to_the_plan(value: str) -> None:
    rule = PropertyRule("p", "c", kind="date")

    assert mapped(MappingRules(BY_ID, (rule,)), texts({"c": value}, {"c": "2024-02-09"})).good.to_list() == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    "value",
    [
        "2024-01-15 12:30:60",
        "2024-01-15 1:30:00",
        "2024-01-15 24:00:00",
        "2024-01-15 12:60:00",
        "2024-03-10 02:30:00",
        "2024-11-03 01:15:00",
    ],
)
def test_a_time_that_is_none_is_left_to_the_plan(value: str) -> None:
    rule = PropertyRule("p", "c", kind="datetime", times=TimeRule(timezone="America/New_York"))

    assert mapped(MappingRules(BY_ID, (rule,)), texts({"c": value}, {"c": "2024-01-15 01:30:00"})).good.to_list() == [
        False,
        True,
    ]


def offset(day: datetime, zone: str) -> timedelta | None:
    return day.replace(tzinfo=ZoneInfo(zone)).utcoffset()


@pytest.mark.parametrize(
    "zone",
    [
        "Asia/Seoul",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "Africa/Casablanca",
        "America/Sao_Paulo",
        "Asia/Gaza",
        "Europe/Dublin",
        "Antarctica/Troll",
        "Pacific/Apia",
    ],
)
def test_the_hours_around_each_change_of_the_clock_are_read_by_the_rules_of_their_zone(zone: str) -> None:
    days = [
        datetime.fromisoformat(f"{year}-01-01") + timedelta(days=day)
        for year in (1911, 1960, 1987, 2011, 2024, 2150)
        for day in range(365)
    ]
    changes = [day for day, after in pairwise(days) if offset(day, zone) != offset(after, zone)]
    every_week = [day + timedelta(minutes=31 * number) for number, day in enumerate(days[::7])]
    around = [day + timedelta(minutes=minutes) for day in changes for minutes in range(-120, 26 * 60, 17)]
    rows = [{"c": moment.isoformat(" ")} for moment in (*every_week, *around)]
    rule = PropertyRule("p", "c", kind="datetime", times=TimeRule(timezone=zone))

    mapped(MappingRules(BY_ID, (rule,)), texts(*rows))


@pytest.mark.parametrize("value", ["null", '"maybe"', "2", '"N/A"'])
def test_a_consent_that_is_null_or_unreadable_leaves_its_row_to_the_plan(value: str) -> None:
    rows = [{"id": '"1"', "c": value, "k": '"k"'}, {"id": '"2"', "k": '"k"'}, {"id": '"3"', "c": "true", "k": '"k"'}]
    rules = MappingRules(BY_ID, (PropertyRule(CONSENT, "c"), PropertyRule("k", "k")))

    assert mapped(rules, json_batch(rows)).good.to_list() == [False, True, True]


def test_what_is_wrong_or_may_be_wrong_leaves_its_row_to_the_plan() -> None:
    rules = MappingRules(
        identity_rules({"external_id": "id", "phone_no": "phone"}),
        (PropertyRule("name", "name"), PropertyRule("df_birth", "born", kind="date")),
    )
    good = {"id": "7", "phone": "821012345678", "name": "Kim", "born": "1990-01-15"}
    odd = [
        {"id": " 7"},
        {"id": "id"},
        {"id": "1001.0"},
        {"id": "N/A"},
        {"id": "7\u200b"},
        {"phone": "1012345678"},
        {"phone": "-"},
        {"name": "#N/A"},
        {"name": "####"},
        {"name": "\ufffd"},
        {"name": "Ã©"},
        {"name": "占쏙옙"},
        {"name": "x" * 8200},
        {"born": "2024-06-25"},
        {"born": "1899-12-31"},
        {"born": "x"},
        {"id": "", "phone": ""},
        {"name": "", "born": ""},
    ]
    fine = [
        {"name": "#1"},
        {"name": "漢字"},
        {"name": "“q”"},
        {"phone": ""},
        {"name": ""},
        {"born": "2024-06-24"},
        {"name": 'a"\\\n'},
    ]

    found = mapped(rules, text_batch([good, *({**good, **one} for one in (*odd, *fine))]))

    assert found.good.to_list() == [True, *[False] * len(odd), *[True] * len(fine)]


@pytest.mark.parametrize("size", range(8080, 8200, 7))
def test_a_body_near_the_limit_of_its_size_is_judged_by_the_plan(size: int) -> None:
    mapped(MappingRules(BY_ID, (PropertyRule("p", "c"),)), texts({"c": "x" * size}, {"c": "가" * (size // 3)}))


@pytest.mark.parametrize("when_empty", ["omit", "null"])
def test_an_empty_value_is_omitted_or_cleared_wherever_it_stands(when_empty: Emptiness) -> None:
    rules = MappingRules(BY_ID, tuple(PropertyRule(key, key, when_empty=when_empty) for key in "abc"))
    rows = [
        dict(zip("abc", row, strict=True))
        for row in (("", "", "x"), ("x", "", ""), ("", "x", ""), ("", "", ""), ("x", "y", "z"))
    ]

    found = mapped(rules, texts(*rows))

    assert found.good.to_list() == [True, True, True, when_empty == "null", True]


def test_the_changes_of_cleaning_are_counted_in_good_rows_only() -> None:
    rules = MappingRules(
        (IdentityRule("phone_no", "phone", CleaningRules(trim=True, phone="KR")),),
        (
            PropertyRule("sum", "sum", kind="long", cleaning=CleaningRules(trim=True, thousands=",")),
            PropertyRule("name", "name", cleaning=CleaningRules(trim=True, case="lower")),
        ),
    )
    rows = [
        {"phone": "010-1234-5678", "sum": "1,000", "name": "kim"},
        {"phone": " 010-1234-5678", "sum": " 1,000", "name": " Kim "},
        {"phone": "821012345678", "sum": "7", "name": "KIM"},
        {"phone": " 010-1234-5678", "sum": "x", "name": " KIM"},
    ]

    found = mapped(rules, text_batch(rows))

    assert found.good.to_list() == [True, True, True, False]
    assert found.repairs.steps == {"trim": 3, "phone": 2, "thousands": 2, "case": 2}


def test_an_object_or_a_refusal_or_an_unknown_column_needs_whole_rows() -> None:
    inside = MappingRules(BY_ID, (PropertyRule("city", "address.city"),))
    others = MappingRules(BY_ID, other_columns="send")
    refusing = replace(plan_of(MappingRules(BY_ID, PROPERTIES[:1])), refuse=lambda _: Reason("changed", "changed"))

    plans = [plan_of(inside, None), plan_of(others, None), refusing]

    assert [columnar_plan(plan, "json", {}) for plan in plans] == [NEEDS_ROWS] * 3


def test_where_an_expression_differs_no_table_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(MappingRules(BY_ID, PROPERTIES[:1]))

    monkeypatch.setattr("uploader.mapping.columnar_plan.differing_expression", lambda *_: "long (text)")

    found = columnar_plan(plan, "text", {})

    assert found == "the installed polars reads a long (text) in another way than this program"


def test_categories_and_decimals_without_a_fraction_are_texts_and_whole_numbers() -> None:
    id_column = pl.Series("id", [1, 2], dtype=pl.Decimal(20, 0))
    table = pl.DataFrame([id_column, pl.Series("c", ["a", "김"], dtype=pl.Categorical()), id_column.alias("d")])

    found = mapped(MappingRules(BY_ID, (PropertyRule("c", "c"), PropertyRule("d", "d"))), typed_batch(table))

    assert found.good.to_list() == [True, True]


def test_other_columns_of_a_header_are_sent_as_columns() -> None:
    found = mapped(
        MappingRules(BY_ID, (PropertyRule("a", "a"),), other_columns="send"), texts({"b": "2", "a": "1", CONSENT: "y"})
    )

    assert found.bodies.to_list() == [
        f'{{"identity":{{"external_id":"1"}},"user_properties":{{"a":"1","b":"2","{CONSENT}":true{LAYOUT.time_begin}'
    ]


def test_a_constant_that_no_customer_can_have_needs_whole_rows() -> None:
    rules = MappingRules(BY_ID, (PropertyRule("df_birth", value="2999-01-01", kind="date"),))

    assert columnar_plan(plan_of(rules), "text", {}) == NEEDS_ROWS


def test_the_moments_of_a_column_are_kept_apart() -> None:
    rules = MappingRules(BY_ID, PROPERTIES[:1], request_datetime=MomentRule("c6", timezone="Asia/Seoul"))

    found = mapped(rules, texts({"c0": "a", "c6": "2024-01-15 12:30:00"}, {"c0": "a", "c6": ""}))

    assert found.moments is not None
    assert found.moments.to_list() == ["2024-01-15T03:30:00.000Z", None]
    assert found.good.to_list() == [True, False]


@pytest.mark.parametrize(
    ("rule", "value", "clean"),
    [
        (PropertyRule("df_gender", "c"), "male", "Male"),
        (PropertyRule("df_birth", "c", kind="string"), "90-01-15", "1990-01-15"),
        (PropertyRule("dob", "c"), "2999-01-01", "1990-01-15"),
        (PropertyRule("생일", "c", kind="string"), "1899-12-31", "15 January"),
        (PropertyRule("text", "c"), "'1", "'90s"),
        (PropertyRule("text", "c"), "\u3000'1", "\u3000x"),
        (PropertyRule("text", "c"), '="1"', "=1"),
        (PropertyRule("text", "c", cleaning=CleaningRules(trim=True)), '="1"', "1="),
        (PropertyRule("text", "c", cleaning=CleaningRules(case="lower")), "'1", "a'1"),
    ],
)
def test_a_value_that_is_sent_with_a_warning_leaves_its_row_to_the_plan(
    rule: PropertyRule, value: str, clean: str
) -> None:
    batch = texts({"id": "7", "c": value}, {"id": "7", "c": clean})
    assert mapped(MappingRules(BY_ID, (rule,)), batch).good.to_list() == [False, True]


@pytest.mark.parametrize("value", ["1012345678", "01012345678", "010-1234-5678", "82-10-1234-5678", "0821012345678"])
def test_a_phone_number_that_is_not_as_the_api_has_it_leaves_its_row_to_the_plan(value: str) -> None:
    rules = MappingRules(identity_rules({"phone_no": "phone"}), (PropertyRule("a", "a"),))
    rows = [{"phone": value, "a": "x"}, {"phone": "821012345678", "a": "x"}]
    assert mapped(rules, texts(*rows)).good.to_list() == [False, True]
    numbers = pl.DataFrame({"phone": [int(value.replace("-", "")), 825012345678], "a": ["x", "x"]})
    mapped(rules, typed_batch(numbers))
