"""What a mapping may ask to have repaired, and that nothing else ever is."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.api import PropertyType
from uploader.mapping import Plan, Repairs
from uploader.mapping.rules import CleaningRules, MappingRules, PropertyRule
from uploader.model import Json, Reason, Rejected, Row

NOW = "2024-06-24T06:42:25.394Z"
NOT_LONG = Reason("not_long", "column 'cell' → p: not a whole number (thousands: ',')")
NOT_DOUBLE = Reason("not_double", "column 'cell' → p: not a number (thousands: ',')")
NAME = PropertyRule("name", "name")


def plan_of(*rules: PropertyRule, null_values: tuple[str, ...] = ("",)) -> Plan:
    mapping = MappingRules(identity_rules({"external_id": "id"}), rules, null_values=null_values)
    return compile_plan(mapping, source="people", config="c", columns=None)


def carried(plan: Plan, fields: Mapping[str, object]) -> "Json | Reason":
    """Return the properties sent for a row of ann's with *fields*, or the reason of its rejection."""
    done = plan.map_row(Row(1, {"id": "ann", **fields}), NOW)
    if isinstance(done, Rejected):
        return done.reason
    found: Json = json.loads(done.body)["user_properties"]
    return found


def grouped(kind: PropertyType, separator: str, value: object) -> tuple["Json | Reason", int]:
    """Return what is sent for *value*, and how many values were freed of separators."""
    plan = plan_of(PropertyRule("p", "cell", kind=kind, cleaning=CleaningRules(thousands=separator)))
    found = carried(plan, {"cell": value})
    return (found["p"] if isinstance(found, dict) else found), plan.repairs.steps.get("thousands", 0)


@pytest.mark.parametrize(
    ("kind", "separator", "value", "found"),
    [
        ("long", ",", "1,000", 1000),
        ("long", ",", "-12,345,678", -12_345_678),
        ("long", ",", "+1,000", 1000),
        ("long", ",", "999,999", 999_999),
        ("long", ",", "9,223,372,036,854,775,807", 2**63 - 1),
        ("long", ",", "-9,223,372,036,854,775,808", -(2**63)),
        ("long", ".", "1.000", 1000),
        ("long", "'", "1'000'000", 1_000_000),
        ("long", " ", "1 000", 1000),
        ("long", "\u00a0", "1\u00a0000", 1000),
        ("long", "\u202f", "1\u202f000", 1000),
        ("double", ",", "1,000", 1000.0),
        ("double", ",", "-1,234,567.25", -1_234_567.25),
        ("double", ",", "1,000.", 1000.0),
        ("double", "'", "1'000.5", 1000.5),
    ],
)
def test_the_separator_that_is_declared_is_removed_where_it_parts_groups_of_three(
    kind: PropertyType, separator: str, value: str, found: float
) -> None:
    assert grouped(kind, separator, value) == (found, 1)


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("long", "1000", 1000),
        ("long", "-7", -7),
        ("long", "0", 0),
        ("long", 1000, 1000),
        ("double", "1000", 1000.0),
        ("double", "1000.5", 1000.5),
        ("double", "1e3", 1000.0),
        ("double", 1.5, 1.5),
    ],
    ids=repr,
)
def test_a_number_without_separators_is_read_as_ever_and_is_no_repair(
    kind: PropertyType, value: object, found: float
) -> None:
    assert grouped(kind, ",", value) == (found, 0)


@pytest.mark.parametrize(
    "value",
    [
        "1,00",
        "1000,000",
        "1,0000",
        ",000",
        "1,,000",
        "1,000,",
        "1,000,00",
        "0,123",
        "000,123",
        "1.000",
        "1 000",
        "1,\u0660\u0660\u0660",
    ],
)
@pytest.mark.parametrize(("kind", "reason"), [("long", NOT_LONG), ("double", NOT_DOUBLE)])
def test_any_other_grouping_is_unreadable(kind: PropertyType, reason: Reason, value: str) -> None:
    if (kind, value) == ("double", "1.000"):
        assert grouped(kind, ",", value) == (1.0, 0)
    else:
        assert grouped(kind, ",", value) == (reason, 0)


@pytest.mark.parametrize("value", ["1,000.0", "1,000e3", "1,000.5"])
def test_a_grouped_long_has_no_fraction_and_no_exponent(value: str) -> None:
    assert grouped("long", ",", value) == (NOT_LONG, 0)


@pytest.mark.parametrize("value", ["1.000,5", "1,000e3", "1,000.000,5", "1,234.5,6"])
def test_a_grouped_double_has_its_separators_before_the_point_and_no_exponent(value: str) -> None:
    assert grouped("double", ",", value) == (NOT_DOUBLE, 0)


def test_what_is_freed_of_its_separators_must_still_fit() -> None:
    assert grouped("long", ",", "9,223,372,036,854,775,808") == (
        Reason("long_range", "column 'cell' → p: a whole number beyond 64 bits"),
        0,
    )


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from([",", ".", "'", " ", "\u00a0"]))
def test_every_long_reads_back_from_how_it_is_grouped(number: int, separator: str) -> None:
    assert grouped("long", separator, f"{number:,}".replace(",", separator)) == (number, int(abs(number) > 999))


@given(st.text("0123456789,.+-e ", max_size=12))
def test_whatever_is_read_with_separators_is_what_python_writes_with_them(text: str) -> None:
    found, repaired = grouped("long", ",", text)

    if repaired:
        assert f"{found:,}" == text.removeprefix("+")


def trimmed(kind: PropertyType | None, value: object, **more: object) -> tuple["Json | Reason", int]:
    """Return what is sent for *value*, `...` if it is left out, and how many values were trimmed."""
    rule = PropertyRule("p", "cell", kind=kind, cleaning=CleaningRules(trim=True), **more)  # type: ignore[arg-type]  # fields of a rule
    plan = plan_of(rule, PropertyRule("kept", value="k"))
    found = carried(plan, {"cell": value})
    return (found.get("p", "left out") if isinstance(found, dict) else found), plan.repairs.steps.get("trim", 0)


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (None, " a b ", "a b"),
        ("string", "\u3000김\u00a0", "김"),
        ("string", "\ta\r\n", "a"),
        ("string", "   ", "left out"),
        ("long", " 42", 42),
        ("double", "4.5 ", 4.5),
        ("boolean", " YES ", True),
        ("date", "2024-03-05 ", "2024-03-05"),
        ("datetime", " 2024-03-05T00:00:00Z", "2024-03-05T00:00:00.000Z"),
        ("array<string>", " a | b|c ", ["a", "b", "c"]),
        ("array<string>", "a| |b", ["a", "", "b"]),
        ("array<string>", " a", ["a"]),
        ("array<string>", "  ", "left out"),
        ("array<string>", ["a ", 7], ["a", "7"]),
        ("array<long>", "1 | 2", [1, 2]),
        ("long", " 4 2", Reason("not_long", "column 'cell' → p: not a whole number")),
    ],
)
def test_a_text_is_trimmed_before_it_is_read_and_is_empty_if_nothing_is_left(
    kind: PropertyType | None, value: object, found: "Json | Reason"
) -> None:
    assert trimmed(kind, value) == (found, 0 if isinstance(found, Reason) else 1)


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (None, "a b", "a b"),
        (None, 7, 7),
        (None, None, None),
        (None, [" a"], [" a"]),
        ("long", "42", 42),
        ("array<string>", "a|b", ["a", "b"]),
        ("array<string>", "", "left out"),
        ("array<long>", [1, 2], [1, 2]),
    ],
)
def test_what_needs_no_trimming_is_no_repair(kind: PropertyType | None, value: object, found: Json) -> None:
    assert trimmed(kind, value) == (found, 0)


def test_a_trimmed_text_that_is_a_null_value_is_empty() -> None:
    plan = plan_of(PropertyRule("p", "cell", cleaning=CleaningRules(trim=True)), NAME, null_values=("", "NULL"))

    assert carried(plan, {"cell": " NULL ", "name": "Ann"}) == {"name": "Ann"}
    assert plan.repairs == Repairs({"trim": 1})


@pytest.mark.parametrize(("cell", "found"), [(" Y ", {"df_push_optin": True}), (" ", {})])
def test_a_consent_may_be_trimmed_and_stays_a_consent(cell: str, found: Mapping[str, Json]) -> None:
    plan = plan_of(PropertyRule("df_push_optin", "cell", cleaning=CleaningRules(trim=True), when_empty="null"), NAME)

    assert carried(plan, {"cell": cell, "name": "Ann"}) == {**found, "name": "Ann"}
    assert carried(plan, {"cell": " ? ", "name": "Ann"}) == Reason(
        "not_boolean", "column 'cell' → df_push_optin: neither true nor false"
    )


def test_a_value_is_trimmed_first_and_freed_of_separators_then() -> None:
    plan = plan_of(PropertyRule("p", "in.cell", kind="long", cleaning=CleaningRules(trim=True, thousands=",")))

    assert carried(plan, {"in": {"cell": " 1,000 "}}) == {"p": 1000}
    assert plan.repairs == Repairs({"trim": 1, "thousands": 1})


def test_the_row_itself_stays_as_it_was() -> None:
    row = Row(1, {"id": "ann", "cell": " a | b "})

    done = plan_of(PropertyRule("p", "cell", kind="array<string>", cleaning=CleaningRules(trim=True))).map_row(row, NOW)

    assert not isinstance(done, Rejected)
    assert done.row is row
    assert row.fields["cell"] == " a | b "


def test_a_column_is_trimmed_for_the_one_property_that_asks() -> None:
    plan = plan_of(PropertyRule("a", "cell", cleaning=CleaningRules(trim=True)), PropertyRule("b", "cell"))

    assert carried(plan, {"cell": " x "}) == {"a": "x", "b": " x "}
    assert plan.repairs == Repairs({"trim": 1})


def test_repairs_of_a_row_that_is_rejected_do_not_count() -> None:
    plan = plan_of(
        PropertyRule("a", "a", cleaning=CleaningRules(trim=True)),
        PropertyRule("n", "n", kind="long", cleaning=CleaningRules(thousands=",")),
        PropertyRule("age", "age", kind="long"),
    )
    carried(plan, {"a": " x", "n": "1,000", "age": "3"})

    carried(plan, {"a": " x", "n": "1,000", "age": "old"})
    carried(plan, {"a": " " + "x" * 9000})

    assert plan.repairs == Repairs({"trim": 1, "thousands": 1})


@given(st.text(), st.sampled_from([None, "string"]))
def test_without_trim_no_text_is_ever_altered(text: str, kind: PropertyType | None) -> None:
    plan = plan_of(PropertyRule("p", "cell", kind=kind), null_values=())

    found = carried(plan, {"cell": text})

    assert found == {"p": text} or (isinstance(found, Reason) and found.code in {"not_unicode", "too_large"})
