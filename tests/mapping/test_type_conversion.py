"""What each type of the API accepts, from text and from JSON, and in which words it refuses."""

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.api import PropertyType
from uploader.mapping.rules import CleaningRules, MappingRules, PropertyRule
from uploader.model import Json, Reason, Request, Row, WrittenFloat

NOT_STRING = Reason("not_string", "column 'cell' → p: not text")
NOT_LONG = Reason("not_long", "column 'cell' → p: not a whole number")
LONG_RANGE = Reason("long_range", "column 'cell' → p: a whole number beyond 64 bits")
NOT_DOUBLE = Reason("not_double", "column 'cell' → p: not a number")
NOT_FINITE = Reason("not_finite", "column 'cell' → p: not a finite number")
NOT_EXACT = Reason("not_exact", "column 'cell' → p: a whole number that a Double can't hold exactly")
PART_LOST = Reason("not_exact", "column 'cell' → p: a number whose whole part a Double can't hold exactly")
DIGITS_LOST = Reason("too_small", "column 'cell' → p: a number so small that a Double loses digits of it")
TOO_SMALL = Reason("too_small", "column 'cell' → p: a number so small that it would become 0")
NOT_BOOLEAN = Reason("not_boolean", "column 'cell' → p: neither true nor false")
NOT_DATE = Reason("not_date", "column 'cell' → p: not a date (%Y-%m-%d)")
NOT_DATETIME = Reason("not_datetime", "column 'cell' → p: not a date and time (ISO 8601)")
NO_ZONE = Reason("no_zone", "column 'cell' → p: a time with neither an offset nor a `timezone` in its mapping")
NOT_ARRAY = Reason("not_array", "column 'cell' → p: not an array")
MIXED = Reason("mixed_array", "column 'cell' → p: an array of mixed types")
NO_TYPE = Reason("no_such_type", "column 'cell' → p: a value of a kind that the API has no type for")
DECIMAL = Reason("no_such_type", "column 'cell' → p: a DECIMAL with a fraction; its mapping needs `type: double`")
NAIVE = Reason(
    "no_zone", "column 'cell' → p: a time without an offset; its mapping needs `type: datetime` and `timezone`"
)


def sent(rule: PropertyRule, value: object) -> str | Reason:
    """Return the JSON that is sent for *value*, exactly as it stands in the body, or why its row is rejected."""
    plan = compile_plan(
        MappingRules(identity_rules({"external_id": "id"}), (rule,)),
        source="people.jsonl",
        config="config.yaml",
        columns=None,
    )
    done = plan.map_row(Row(1, {"id": "ann", "cell": value}), "2024-06-24T06:42:25.394Z")
    if not isinstance(done, Request):
        return done.reason
    head = b'{"identity":{"external_id":"ann"},"user_properties":{"p":'
    tail = b'},"request_datetime":"2024-06-24T06:42:25.394Z"}'
    assert done.body.startswith(head)
    assert done.body.endswith(tail)
    return done.body.removeprefix(head).removesuffix(tail).decode()


def declared(kind: PropertyType | None, **options: str) -> PropertyRule:
    return PropertyRule("p", "cell", kind=kind, **options)  # type: ignore[arg-type]  # the options are texts alone


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "foo", '"foo"'),
        ("string", " 007 ", '" 007 "'),
        ("string", '가\n"', '"가\\n\\""'),
        ("string", 7, '"7"'),
        ("string", 10**30, f'"{10**30}"'),
        ("long", "1", "1"),
        ("long", "+1", "1"),
        ("long", "-0", "0"),
        ("long", "007", "7"),
        ("long", "9223372036854775807", "9223372036854775807"),
        ("long", "-9223372036854775808", "-9223372036854775808"),
        ("long", 1, "1"),
        ("long", 2**63 - 1, "9223372036854775807"),
        ("double", "1", "1.0"),
        ("double", "-1.50", "-1.5"),
        ("double", ".5", "0.5"),
        ("double", "5.", "5.0"),
        ("double", "+1e3", "1000.0"),
        ("double", 1, "1.0"),
        ("double", 0.1, "0.1"),
        ("double", 2**53, "9007199254740992.0"),
        ("double", Decimal("12.50"), "12.5"),
        ("double", Decimal("0E-10"), "0.0"),
        ("double", Decimal("-0.000001"), "-1e-6"),
        ("double", {"Decimal": "12.50"}, "12.5"),
        ("array<double>", [Decimal("1.50"), 2], "[1.5,2.0]"),
        ("boolean", "true", "true"),
        ("boolean", "YES", "true"),
        ("boolean", "t", "true"),
        ("boolean", "1", "true"),
        ("boolean", "No", "false"),
        ("boolean", "F", "false"),
        ("boolean", "0", "false"),
        ("boolean", True, "true"),
        ("boolean", False, "false"),
        ("boolean", 1, "true"),
        ("boolean", 0, "false"),
        ("date", "2023-08-15", '"2023-08-15"'),
        ("date", "0001-01-01", '"0001-01-01"'),
        ("date", "9999-12-31", '"9999-12-31"'),
        ("date", "2024-02-29", '"2024-02-29"'),
        ("date", date(2023, 8, 15), '"2023-08-15"'),
        ("datetime", "2023-08-15T12:30:00Z", '"2023-08-15T12:30:00.000Z"'),
        ("datetime", datetime(2023, 8, 15, 12, 30, 0, 1999, UTC), '"2023-08-15T12:30:00.001Z"'),
        ("array<string>", "foo|bar", '["foo","bar"]'),
        ("array<string>", "a||b", '["a","","b"]'),
        ("array<string>", ["007", 7], '["007","7"]'),
        ("array<string>", [], "[]"),
        ("array<long>", "0|1", "[0,1]"),
        ("array<long>", [0, "1"], "[0,1]"),
        ("array<double>", "0|1.5", "[0.0,1.5]"),
        ("array<double>", [0, "1", 0.25], "[0.0,1.0,0.25]"),
        (None, "007", '"007"'),
        (None, "true", '"true"'),
        (None, True, "true"),
        (None, 7, "7"),
        (None, 1.0, "1.0"),
        (None, ["a", "b"], '["a","b"]'),
        (None, [1, 2], "[1,2]"),
        (None, [1.0, 2.5], "[1.0,2.5]"),
        (None, [], "[]"),
        (None, date(2023, 8, 15), '"2023-08-15"'),
        (None, datetime(2023, 8, 15, 12, 30, tzinfo=UTC), '"2023-08-15T12:30:00.000Z"'),
    ],
    ids=repr,
)
def test_a_value_of_its_type_is_sent_as_that_type(kind: PropertyType | None, value: object, expected: str) -> None:
    assert sent(declared(kind), value) == expected


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("string", True, NOT_STRING),
        ("string", 1.5, NOT_STRING),
        ("string", ["a"], NOT_STRING),
        ("string", {"a": 1}, NOT_STRING),
        ("long", "1.0", NOT_LONG),
        ("long", " 1", NOT_LONG),
        ("long", "1\n", NOT_LONG),
        ("long", "1_000", NOT_LONG),
        ("long", "1,000", NOT_LONG),
        ("long", "٣", NOT_LONG),
        ("long", "0x10", NOT_LONG),
        ("long", "1e3", NOT_LONG),
        ("long", "1E+3", NOT_LONG),
        ("long", "1 000", NOT_LONG),
        ("long", "--1", NOT_LONG),
        ("long", "\uff11\uff12", NOT_LONG),
        ("long", "9" * 10_000, NOT_LONG),
        ("long", "9223372036854775808", LONG_RANGE),
        ("long", "-9223372036854775809", LONG_RANGE),
        ("long", 2**63, LONG_RANGE),
        ("long", 1.0, NOT_LONG),
        ("long", True, NOT_LONG),
        ("long", [1], NOT_LONG),
        ("double", "1,5", NOT_DOUBLE),
        ("double", "nan", NOT_DOUBLE),
        ("double", {"Decimal": "x"}, NOT_DOUBLE),
        ("double", {"Decimal": 1.5}, NOT_DOUBLE),
        ("double", {"a": "1.5"}, NOT_DOUBLE),
        ("double", Decimal("9007199254740993.50"), PART_LOST),
        ("string", Decimal("1.50"), NOT_STRING),
        ("long", Decimal("1.00"), NOT_LONG),
        (None, Decimal("1.50"), DECIMAL),
        ("double", "Infinity", NOT_DOUBLE),
        ("double", " 1.5", NOT_DOUBLE),
        ("double", ".", NOT_DOUBLE),
        ("double", "1e", NOT_DOUBLE),
        ("double", "0x10", NOT_DOUBLE),
        ("double", "1_0.5", NOT_DOUBLE),
        ("double", "1,000.5", NOT_DOUBLE),
        ("double", "\uff11.\uff15", NOT_DOUBLE),
        ("double", "-inf", NOT_DOUBLE),
        ("double", "-1e400", NOT_FINITE),
        ("double", "٣.٣", NOT_DOUBLE),
        ("double", "1e400", NOT_FINITE),
        ("double", math.inf, NOT_FINITE),
        ("double", math.nan, NOT_FINITE),
        ("double", 2**53 + 1, NOT_EXACT),
        ("double", 10**400, NOT_EXACT),
        ("double", False, NOT_DOUBLE),
        ("boolean", "maybe", NOT_BOOLEAN),
        ("boolean", "on", NOT_BOOLEAN),
        ("boolean", "예", NOT_BOOLEAN),
        ("boolean", "동의", NOT_BOOLEAN),
        ("boolean", "O", NOT_BOOLEAN),
        ("boolean", "-1", NOT_BOOLEAN),
        ("boolean", "\uff11", NOT_BOOLEAN),
        ("boolean", " true", NOT_BOOLEAN),
        ("boolean", "2", NOT_BOOLEAN),
        ("boolean", 2, NOT_BOOLEAN),
        ("boolean", 1.0, NOT_BOOLEAN),
        ("boolean", ["true"], NOT_BOOLEAN),
        ("date", "2023-8-15", NOT_DATE),
        ("date", "20230815", NOT_DATE),
        ("date", "2023-02-29", NOT_DATE),
        ("date", "0000-01-01", NOT_DATE),
        ("date", "10000-01-01", NOT_DATE),
        ("date", "2023-08-32", NOT_DATE),
        ("date", "2023-13-01", NOT_DATE),
        ("date", " 2023-08-15", NOT_DATE),
        ("date", "2023-08-15\n", NOT_DATE),
        ("date", "2023-08-15T00:00:00Z", NOT_DATE),
        ("date", datetime(2023, 8, 15, tzinfo=UTC), NOT_DATE),
        ("date", 20230815, NOT_DATE),
        ("datetime", "2023-08-15", NOT_DATETIME),
        ("datetime", date(2023, 8, 15), NOT_DATETIME),
        ("datetime", 1_692_102_600, NOT_DATETIME),
        ("datetime", "2023-08-15T12:30:00", NO_ZONE),
        ("datetime", datetime(2023, 8, 15), NO_ZONE),  # noqa: DTZ001 — as a Parquet column without a zone gives it
        ("array<string>", 7, NOT_ARRAY),
        ("array<string>", {"a": "b"}, NOT_ARRAY),
        ("array<string>", ["a", None], NOT_STRING),
        ("array<string>", [True], NOT_STRING),
        ("array<long>", "1||2", NOT_LONG),
        ("array<long>", [1.0], NOT_LONG),
        ("array<long>", [2**63], LONG_RANGE),
        ("array<double>", "1|x", NOT_DOUBLE),
        ("array<double>", [math.nan], NOT_FINITE),
        (None, 2**63, LONG_RANGE),
        (None, math.nan, NOT_FINITE),
        (None, {"a": 1}, NO_TYPE),
        (None, [True], NO_TYPE),
        (None, [None], NO_TYPE),
        (None, [["a"]], NO_TYPE),
        (None, [1, 2.0], MIXED),
        (None, ["a", 1], MIXED),
        (None, [math.inf], NOT_FINITE),
        (None, b"bytes", NO_TYPE),
        (None, datetime(2023, 8, 15), NAIVE),  # noqa: DTZ001 — as above
    ],
    ids=repr,
)
def test_a_value_of_another_type_rejects_its_row_by_column_and_fixed_words(
    kind: PropertyType | None, value: object, reason: Reason
) -> None:
    assert sent(declared(kind), value) == reason


def test_an_array_is_split_at_its_own_separator() -> None:
    assert sent(declared("array<string>", separator=", "), "a|b, c,d") == '["a|b","c,d"]'


@pytest.mark.parametrize(
    ("value", "expected"),
    [("예", "true"), ("OUI", "true"), ("straße", "true"), ("STRASSE", "true"), ("아니오", "false"), (True, "true")],
)
def test_a_boolean_may_have_words_of_its_own_in_any_case(value: object, expected: str) -> None:
    rule = PropertyRule("p", "cell", kind="boolean", true=("예", "oui", "Straße"), false=("아니오", "0"))

    assert sent(rule, value) == expected


@pytest.mark.parametrize("value", ["yes", "true", "1", 1], ids=repr)
def test_words_of_its_own_replace_the_usual_words(value: object) -> None:
    rule = PropertyRule("p", "cell", kind="boolean", true=("예",), false=("아니오",))

    assert sent(rule, value) == NOT_BOOLEAN


TEXTS = st.text(max_size=8) | st.from_regex(r"[+-]?[0-9]{1,21}(\.[0-9]*)?(e[+-]?[0-9]{1,3})?", fullmatch=True)


@given(TEXTS)
def test_a_long_is_the_number_that_its_text_says_or_refused(text: str) -> None:
    found = sent(declared("long"), text)

    if isinstance(found, str) and text:
        assert int(found) == int(text)
        assert -(2**63) <= int(found) < 2**63


@given(TEXTS)
def test_a_double_is_the_number_that_its_text_says_or_refused(text: str) -> None:
    found = sent(declared("double"), text)

    if isinstance(found, str) and text:
        assert float(found) == float(text)
        assert math.isfinite(float(found))


JSON_VALUES: st.SearchStrategy[Json] = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner, max_size=1),
    max_leaves=4,
)


@given(JSON_VALUES)
def test_the_short_form_sends_a_json_value_unaltered_or_not_at_all(value: Json) -> None:
    found = sent(declared(None), value)

    if isinstance(found, str):
        back = json.loads(found)
        assert back == value
        assert type(back) is type(value)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_text_in_a_string_is_never_altered(text: str) -> None:
    found = sent(declared("string"), text)

    assert isinstance(found, str)
    assert json.loads(found) == text


EXACT_OR_NOT = [
    ("9007199254740993.0", PART_LOST),
    ("-9007199254740993.0", PART_LOST),
    ("9007199254740993.9", PART_LOST),
    ("12345678901234567000.0", PART_LOST),
    ("1.2345678901234567891e19", PART_LOST),
    ("9007199254740992.0", "9007199254740992.0"),
    ("9007199254740992.9", "9007199254740992.0"),
    ("9007199254740994.0", "9007199254740994.0"),
    ("9007199254740991.7", "9007199254740992.0"),
    ("1e23", "1e+23"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ("0.1000000000000000055511151231257827", "0.1"),
    ("0.99999999999999999999", "1.0"),
    ("3e-324", DIGITS_LOST),
    ("-3e-324", DIGITS_LOST),
    ("1.23456789012345678e-310", DIGITS_LOST),
    ("5e-324", "5e-324"),
    ("2.2250738585072014e-308", "2.2250738585072014e-308"),
    ("0.0", "0.0"),
    ("0e-999999999999", "0.0"),
]


@pytest.mark.parametrize(("digits", "expected"), EXACT_OR_NOT, ids=str)
def test_a_double_rounds_decimal_places_and_loses_nothing_else(digits: str, expected: str | Reason) -> None:
    assert sent(declared("double"), digits) == expected
    assert sent(declared("double"), WrittenFloat(digits)) == expected
    assert sent(declared(None), WrittenFloat(digits)) == expected
    in_array = expected if isinstance(expected, Reason) else f"[{expected},1.5]"
    assert sent(declared("array<double>"), f"{digits}|1.5") == in_array
    assert sent(declared("array<double>"), [WrittenFloat(digits), 1.5]) == in_array
    assert sent(declared(None), [1.5, WrittenFloat(digits)]) == (
        expected if isinstance(expected, Reason) else f"[1.5,{expected}]"
    )


@pytest.mark.parametrize(
    ("text", "expected"), [("9,007,199,254,740,993.0", PART_LOST), ("9,007,199,254,740,994.0", "9007199254740994.0")]
)
def test_a_double_with_separators_of_thousands_loses_nothing_of_its_whole_part(
    text: str, expected: str | Reason
) -> None:
    assert sent(PropertyRule("p", "cell", kind="double", cleaning=CleaningRules(thousands=",")), text) == expected


_DIGITS = st.text("0123456789", max_size=25)
_NUMBERS = st.builds(
    lambda sign, whole, places, power: f"{sign}{whole or '0'}.{places or '0'}" + (f"e{power}" if power else ""),
    st.sampled_from(["", "-"]),
    _DIGITS,
    _DIGITS,
    st.sampled_from([0, 0, 1, -1, 17, -17]) | st.integers(-340, 310),
)


@given(_NUMBERS)
def test_what_is_sent_for_a_double_is_what_was_written_but_for_decimal_places(digits: str) -> None:
    found = sent(declared("double"), digits)

    written = Fraction(digits)
    if isinstance(found, Reason):
        # Nothing is refused that a double holds.
        assert not _is_double(written)
        return
    number = Fraction(float(found))
    assert abs(number - written) <= abs(written) / 2**53 or Fraction(found) == written
    assert _is_double(Fraction(int(written))) or Fraction(found) == written
    assert sent(declared("double"), WrittenFloat(digits)) == found


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_sent_however_a_program_spells_it(number: float) -> None:
    spellings = [repr(number), f"{number:.17g}", f"{number:.17e}"]
    spellings = [text if "." in text or "e" in text else f"{text}.0" for text in spellings]

    found = [sent(declared("double"), repr(number)), sent(declared("double"), number)]

    assert found == [sent(declared("double"), float(repr(number)))] * 2
    assert all(
        isinstance(sent(declared("double"), text), Reason) or float(str(sent(declared("double"), text))) == number
        for text in spellings
    )


def _is_double(number: Fraction) -> bool:
    try:
        return Fraction(float(number)) == number
    except OverflowError:
        return False
