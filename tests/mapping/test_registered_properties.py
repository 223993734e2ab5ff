"""What the service would drop in silence is refused; what it stores, or only values can show, is not."""

from collections.abc import Mapping, Sequence

import pytest

from tests.make import identity_rules
from uploader.api import BUILT_IN_TYPES, PropertyType
from uploader.mapping.registered_properties import unregistered
from uploader.mapping.rules import MappingRules, PropertyRule
from uploader.sandbox.property_types import BUILT_IN

REGISTERED: Mapping[str, PropertyType] = {"age": "long", "visited_at": "datetime", "tags": "array<string>"}
ADVICE = "Correct the mapping, or registered where the console shows something else. Nothing was sent."


def refusal(
    *properties: PropertyRule,
    columns: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    short_form: PropertyType | None = "string",
) -> str | None:
    """Return what is refused, without the words around it; None if nothing is."""
    rules = MappingRules(
        identity_rules({"external_id": "id"}), properties, other_columns="send" if columns else "ignore"
    )
    fault = unregistered(
        rules, REGISTERED, columns=columns, kinds=kinds or {}, short_form=short_form, config="config.yaml"
    )
    before = "config.yaml: the service would accept and not store what is not registered as it is sent: "
    return None if fault is None else fault.removeprefix(before).removesuffix(f". {ADVICE}")


def test_the_built_in_properties_are_those_of_the_sandbox() -> None:
    assert BUILT_IN_TYPES == BUILT_IN


def test_a_name_that_is_not_registered_is_refused_with_the_nearest_one() -> None:
    assert refusal(PropertyRule("city", "city"), PropertyRule("agee", "age", kind="long")) == (
        "mapping.properties.city is not registered; mapping.properties.agee is not registered (did you mean age?)"
    )


@pytest.mark.parametrize("key", sorted(BUILT_IN_TYPES))
def test_a_built_in_name_needs_no_registration(key: str) -> None:
    assert refusal(PropertyRule(key, "column", kind=BUILT_IN_TYPES[key])) is None


@pytest.mark.parametrize(
    ("key", "kind", "refused"),
    [
        ("age", "long", False),
        ("age", "double", True),
        ("age", None, True),
        ("visited_at", "datetime", False),
        ("visited_at", "date", True),
        ("visited_at", "string", False),
        ("visited_at", None, False),
        ("tags", "array<long>", True),
        ("df_birth", None, False),
        ("df_birth", "long", True),
        ("df_name", "date", False),
        ("df_push_optin", "boolean", False),
    ],
)
def test_a_declared_type_is_refused_if_no_value_of_it_would_be_stored(
    key: str, kind: PropertyType | None, *, refused: bool
) -> None:
    wanted = {**REGISTERED, **BUILT_IN_TYPES}[key]
    words = f"mapping.properties.{key} is sent as {kind or 'string'}, and registered as {wanted}"

    assert refusal(PropertyRule(key, "column", kind=kind)) == (words if refused else None)


def test_the_short_form_has_the_type_of_its_column() -> None:
    assert refusal(PropertyRule("age", "a"), kinds={"a": "long"}, short_form=None) is None
    assert refusal(PropertyRule("age", "a"), kinds={"a": "double"}, short_form=None) == (
        "mapping.properties.age is sent as double, and registered as long"
    )
    assert refusal(PropertyRule("age", "a"), kinds={"a": "other"}, short_form=None) is None
    assert refusal(PropertyRule("age", "a"), short_form=None) is None


def test_a_constant_is_text() -> None:
    assert refusal(PropertyRule("age", value="7"), short_form=None) == (
        "mapping.properties.age is sent as string, and registered as long"
    )


def test_columns_that_are_sent_under_their_own_names_are_registered_too() -> None:
    assert refusal(columns=["id", "age", "df_name", "_row"]) is None
    assert refusal(columns=["id", "visits", "01012345678"]) == (
        "column 'visits' (other_columns: send) is not registered (did you mean visited_at?); "
        "a column whose name looks like data (other_columns: send) is not registered"
    )
