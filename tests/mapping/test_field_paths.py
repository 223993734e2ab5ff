"""How a mapping reaches into the objects of a row."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.api import CONSENTS
from uploader.errors import ConfigError, InputError
from uploader.mapping import resolves
from uploader.mapping.rules import MappingRules, MomentRule, PropertyRule
from uploader.model import Json, Reason, Rejected, Request, Row

NOW = "2024-06-24T06:42:25.394Z"
CITY = PropertyRule("city", "address.city")
OMITTED: dict[str, Json] = {"kept": "k"}
CLEARED: dict[str, Json] = {"city": None, "kept": "k"}


def properties(
    fields: Mapping[str, object], *rules: PropertyRule, others: bool = False, null_is_empty: bool = False
) -> "Json | Reason":
    """Return the properties sent for a row of ann's with *fields*, or the reason of its rejection."""
    mapping = MappingRules(identity_rules({"external_id": "id"}), rules, other_columns="send" if others else "ignore")
    plan = compile_plan(mapping, source="people.jsonl", config="c", columns=None, null_is_empty=null_is_empty)
    done = plan.map_row(Row(1, {"id": "ann", **fields}), NOW)
    if isinstance(done, Rejected):
        return done.reason
    found: Json = json.loads(done.body)["user_properties"]
    return found


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"address": {"city": "Seoul"}}, {"city": "Seoul", "kept": "k"}),
        ({"address": {"city": ["Seoul"]}}, {"city": ["Seoul"], "kept": "k"}),
        ({"address.city": "Busan", "address": {"city": "Seoul"}}, {"city": "Busan", "kept": "k"}),
        ({"address.city": "Busan", "address": 5}, {"city": "Busan", "kept": "k"}),
        ({"address.city": None, "address": {"city": "Seoul"}}, CLEARED),
        ({"address": {"city": None}}, CLEARED),
        ({"address": {"city": ""}}, OMITTED),
        ({"address": {"town": "Seoul"}}, OMITTED),
        ({"address": {}}, OMITTED),
        ({"address": None}, OMITTED),
        ({}, OMITTED),
        ({"address": "Seoul"}, Reason("no_object", "column 'address.city' → city: 'address' is no object")),
        ({"address": ""}, Reason("no_object", "column 'address.city' → city: 'address' is no object")),
        ({"address": [{"city": "Seoul"}]}, Reason("no_object", "column 'address.city' → city: 'address' is no object")),
        (
            {"address": {"city": {"name": "Seoul"}}},
            Reason("no_such_type", "column 'address.city' → city: a value of a kind that the API has no type for"),
        ),
    ],
)
def test_a_path_finds_what_stands_at_its_end_or_a_missing_key_or_no_object(
    fields: Mapping[str, object], found: "Json | Reason"
) -> None:
    assert properties({**fields, "kept": "k"}, CITY, PropertyRule("kept", "kept")) == found


def test_a_null_at_the_end_of_a_path_is_empty_where_nulls_are() -> None:
    assert properties({"address": {"city": None}, "name": "Ann"}, CITY, PropertyRule("name", "name")) == {
        "city": None,
        "name": "Ann",
    }
    assert properties(
        {"address": {"city": None}, "name": "Ann"}, CITY, PropertyRule("name", "name"), null_is_empty=True
    ) == {"name": "Ann"}


def test_a_long_path_names_the_step_that_is_no_object() -> None:
    rule = PropertyRule("zip", "a.b.c.d")

    assert properties({"a": {"b": {"c": {"d": "1"}}}}, rule) == {"zip": "1"}
    assert properties({"a": {"b": {"c": 1}}}, rule) == Reason(
        "no_object", "column 'a.b.c.d' → zip: 'a.b.c' is no object"
    )


@pytest.mark.parametrize("name", ["a.", ".a", ".", "a..b"])
def test_a_name_with_dots_at_odd_places_is_a_path_of_empty_keys(name: str) -> None:
    nested: Json = "x"
    for step in reversed(name.split(".")):
        nested = {step: nested}
    assert isinstance(nested, dict)

    assert properties(nested, PropertyRule("p", name)) == {"p": "x"}
    assert properties({name: "y"}, PropertyRule("p", name)) == {"p": "y"}


@pytest.mark.parametrize("consent", CONSENTS)
@pytest.mark.parametrize(
    ("agreed", "found"),
    [
        ({"push": "y"}, True),
        ({"push": ""}, None),
        ({}, None),
        (None, None),
        ({"push": None}, Reason("null_consent", "a consent that is null")),
        ({"push": "maybe"}, Reason("not_boolean", "neither true nor false")),
        ("y", Reason("no_object", "'agreed' is no object")),
    ],
)
def test_a_consent_behind_a_path_is_as_safe_as_any(
    consent: str, agreed: object, *, found: bool | Reason | None
) -> None:
    sent = properties(
        {"agreed": agreed, "name": "Ann"}, PropertyRule(consent, "agreed.push"), PropertyRule("n", "name")
    )

    if isinstance(found, Reason):
        assert sent == Reason(found.code, f"column 'agreed.push' → {consent}: {found.phrase}")
    else:
        assert sent == ({"n": "Ann"} if found is None else {consent: found, "n": "Ann"})


@pytest.mark.parametrize(
    ("fields", "identity"),
    [
        ({"who": {"id": "007"}}, {"external_id": "007"}),
        ({"who": {"id": 7}}, {"external_id": "7"}),
        ({"who.id": "008", "who": {"id": "007"}}, {"external_id": "008"}),
        ({"who": {"id": ""}, "mail": "a@example.com"}, {"email": "a@example.com"}),
        ({"who": {"id": None}, "mail": "a@example.com"}, {"email": "a@example.com"}),
        ({"who": {}, "mail": "a@example.com"}, {"email": "a@example.com"}),
        ({"mail": "a@example.com"}, {"email": "a@example.com"}),
        (
            {"who": "x", "mail": "a@example.com"},
            Reason("no_object", "column 'who.id' → external_id: 'who' is no object"),
        ),
        ({"who": {}}, Reason("no_identity", "no identity: nothing in 'who.id', 'mail'")),
    ],
)
def test_an_identity_may_stand_behind_a_path(fields: Mapping[str, object], identity: "Json | Reason") -> None:
    rules = MappingRules(identity_rules({"external_id": "who.id", "email": "mail"}), (PropertyRule("n", value="1"),))
    plan = compile_plan(rules, source="people.jsonl", config="c", columns=None)

    done = plan.map_row(Row(1, fields), NOW)

    assert (done.reason if isinstance(done, Rejected) else json.loads(done.body)["identity"]) == identity


def test_a_row_whose_path_is_no_object_still_belongs_to_the_person_of_its_other_identity() -> None:
    rules = MappingRules(identity_rules({"external_id": "who.id", "email": "mail"}), (PropertyRule("n", value="1"),))
    plan = compile_plan(rules, source="people.jsonl", config="c", columns=None)

    assert plan.map_row(Row(1, {"who": 1, "mail": "a@example.com"}), NOW).person == ("email=a@example.com",)


@pytest.mark.parametrize(
    ("meta", "found"),
    [
        ({"at": "2024-03-05T00:00:00Z"}, "2024-03-05T00:00:00.000Z"),
        ({}, Reason("not_datetime", "column 'meta.at' → request_datetime: not a date and time (ISO 8601)")),
        (5, Reason("no_object", "column 'meta.at' → request_datetime: 'meta' is no object")),
    ],
)
def test_the_time_of_the_request_may_stand_behind_a_path(meta: object, found: str | Reason) -> None:
    rules = MappingRules(
        identity_rules({"external_id": "id"}), (PropertyRule("n", value="1"),), request_datetime=MomentRule("meta.at")
    )
    plan = compile_plan(rules, source="people.jsonl", config="c", columns=None)

    done = plan.map_row(Row(1, {"id": "ann", "meta": meta}), NOW)

    assert (json.loads(done.body)["request_datetime"] if isinstance(done, Request) else done.reason) == found


def test_an_object_that_is_reached_into_is_not_among_the_other_columns() -> None:
    assert properties({"address": {"city": "Seoul", "zip": "1"}, "age": 3}, CITY, others=True) == {
        "city": "Seoul",
        "age": 3,
    }
    assert properties({"address": None, "age": 3}, CITY, others=True) == {"age": 3}


def test_what_only_has_the_name_of_such_an_object_is_a_column_like_any_other() -> None:
    assert properties({"address.city": "Busan", "address": "Haeundae"}, CITY, others=True) == {
        "city": "Busan",
        "address": "Haeundae",
    }


def test_a_csv_has_no_objects_so_a_dot_is_part_of_the_name() -> None:
    rules = MappingRules(identity_rules({"external_id": "user.id"}), (CITY,), other_columns="send")
    columns = ["user.id", "address.city", "address"]
    plan = compile_plan(rules, source="people.csv", config="c", columns=columns)

    done = plan.map_row(Row(1, {"user.id": "7", "address.city": "Seoul", "address": "x"}), NOW)

    assert isinstance(done, Request)
    assert json.loads(done.body)["user_properties"] == {"city": "Seoul", "address": "x"}
    with pytest.raises(InputError, match=r"^people.csv has no column 'address.city' \(it has: user.id, address\)"):
        compile_plan(rules, source="people.csv", config="c", columns=["user.id", "address"])


KINDS = {"id": "string", "address": "other", "address.city": "string", "address.at": "naive datetime"}


def test_the_fields_of_a_struct_of_parquet_are_reached() -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), (CITY,), other_columns="send")
    plan = compile_plan(
        rules, source="p.parquet", config="c", columns=["id", "address"], kinds=KINDS, null_is_empty=True
    )

    done = plan.map_row(Row(1, {"id": "7", "address": {"city": "Seoul", "at": None}}), NOW)

    assert isinstance(done, Request)
    assert json.loads(done.body)["user_properties"] == {"city": "Seoul"}


def test_a_field_that_no_struct_has_is_told_beside_those_that_there_are() -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), (PropertyRule("city", "address.town"),))

    with pytest.raises(InputError) as trouble:
        compile_plan(rules, source="p.parquet", config="c", columns=["id", "address"], kinds=KINDS)

    assert str(trouble.value) == (
        "p.parquet has no column 'address.town' (it has: id, address, address.city, address.at). "
        "Did you mean 'address.at'? Change mapping.properties.city in c."
    )


def test_a_field_whose_own_name_has_a_dot_is_out_of_reach_and_told_so() -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), (PropertyRule("city", "address.home.city"),))
    kinds = {"id": "string", "address": "other", "address.home.city": "string"}

    with pytest.raises(InputError, match=r"^p.parquet has no column 'address.home.city' \(it has: id, address\)"):
        compile_plan(rules, source="p.parquet", config="c", columns=["id", "address"], kinds=kinds)


def test_a_time_without_a_zone_within_a_struct_needs_one_in_the_mapping() -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), (PropertyRule("at", "address.at"),))

    with pytest.raises(ConfigError, match=r"^mapping.properties.at: column 'address.at' holds times without a zone\."):
        compile_plan(rules, source="p.parquet", config="c", columns=["id", "address"], kinds=KINDS)


KEYS = st.sampled_from(["a", "b", "", "a.b"])
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.integers(0, 3) | st.text(max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=1),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, VALUES), st.lists(st.sampled_from(["a", "b", ""]), min_size=2, max_size=3))
def test_a_path_is_the_key_of_that_name_or_its_steps_one_after_another(
    fields: dict[str, Json], steps: list[str]
) -> None:
    path = ".".join(steps)
    inner: Json = fields
    for step in steps:
        inner = inner.get(step) if isinstance(inner, dict) else None
    expected = fields.get(path, inner)

    found = properties({**fields, "id": "ann"}, PropertyRule("p", path), PropertyRule("kept", value="k"))

    if isinstance(expected, str | int) and expected != "":
        assert found == {"p": expected, "kept": "k"}
    if found == {"p": None, "kept": "k"}:
        assert expected is None
        assert resolves(path, fields)
    if isinstance(found, Reason) and found.code == "no_object":
        assert not resolves(path, fields)
