"""What becomes of a whole row: its person, its body, or the one reason why it is rejected."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.api import CONSENTS, IDENTITY_FIELDS, PropertyType
from uploader.errors import ConfigError
from uploader.mapping import Plan
from uploader.mapping.rules import Emptiness, MappingRules, PropertyRule, TimeRule
from uploader.model import Damaged, Json, Reason, Rejected, Request, Row

NOW = "2024-06-24T06:42:25.394Z"
NAME = PropertyRule("df_name", "name")
CONSENT = "df_push_night_ads_optin"
LIMIT = 8192


def plan_of(rules: MappingRules, *, columns: list[str] | None = None, null_is_empty: bool = False) -> Plan:
    return compile_plan(rules, source="people", config="config.yaml", columns=columns, null_is_empty=null_is_empty)


def mapped(
    *properties: PropertyRule,
    when_empty: Emptiness = "omit",
    null_values: tuple[str, ...] = ("",),
    identity: Mapping[str, str] | None = None,
    null_is_empty: bool = False,
) -> Plan:
    rules = MappingRules(
        identity_rules(identity or {"external_id": "id"}), properties, null_values=null_values, when_empty=when_empty
    )
    return plan_of(rules, null_is_empty=null_is_empty)


def properties(plan: Plan, fields: Mapping[str, object]) -> "Json | Reason":
    """Return the properties sent for a row of ann's with *fields*, or the reason of its rejection."""
    done = plan.map_row(Row(1, {"id": "ann", **fields}), NOW)
    if isinstance(done, Rejected):
        return done.reason
    found: Json = json.loads(done.body)["user_properties"]
    return found


def test_a_row_becomes_one_request_of_its_person() -> None:
    rules = MappingRules(
        identity_rules({"external_id": "id", "email": "mail"}), (NAME, PropertyRule("age", "years", kind="long"))
    )
    row = Row(7, {"id": "007", "mail": "ann@example.com", "name": "Ann", "years": "31", "other": "x"}, line=8)

    done = plan_of(rules).map_row(row, NOW)

    assert done == Request(
        row,
        ("external_id=007", "email=ann@example.com"),
        b'{"identity":{"external_id":"007","email":"ann@example.com"},'
        b'"user_properties":{"df_name":"Ann","age":31},"request_datetime":"2024-06-24T06:42:25.394Z"}',
    )


def test_a_record_that_could_not_be_split_is_rejected_for_what_its_source_says() -> None:
    damaged = Damaged(3, Reason("quotes", "a quote that does not end"), 4, 'x,"y')

    assert mapped(NAME).map_row(damaged, NOW) == Rejected(damaged, (), damaged.reason)


@pytest.mark.parametrize(
    ("value", "identity"),
    [
        ("0012", "0012"),
        (" ann ", " ann "),
        ("가", "가"),
        (12, "12"),
        (-1, "-1"),
        (10**24 + 1, "1000000000000000000000001"),
    ],
    ids=repr,
)
def test_an_identity_is_sent_as_text_with_every_digit_as_written(value: object, identity: str) -> None:
    done = mapped(NAME).map_row(Row(1, {"id": value, "name": "Ann"}), NOW)

    assert isinstance(done, Request)
    assert json.loads(done.body)["identity"] == {"external_id": identity}
    assert done.person == (f"external_id={identity}",)


@pytest.mark.parametrize("value", [1.5, True, False, ["ann"], {"id": "ann"}, b"ann"], ids=repr)
def test_an_identity_that_is_neither_text_nor_a_whole_number_rejects_its_row(value: object) -> None:
    row = Row(1, {"id": value, "name": "Ann"})

    assert mapped(NAME).map_row(row, NOW) == Rejected(
        row, (), Reason("not_identity", "column 'id' → external_id: neither text nor a whole number")
    )


def test_a_row_rejected_for_one_identity_still_belongs_to_the_person_of_the_others() -> None:
    plan = mapped(NAME, identity={"external_id": "id", "phone_no": "phone", "email": "mail"})
    row = Row(1, {"id": 1.5, "phone": "82101", "mail": "a@example.com", "name": "Ann"})

    assert plan.map_row(row, NOW) == Rejected(
        row,
        ("phone_no=82101", "email=a@example.com"),
        Reason("not_identity", "column 'id' → external_id: neither text nor a whole number"),
    )


def test_a_row_rejected_for_a_property_belongs_to_its_person() -> None:
    row = Row(1, {"id": "ann", "age": "old"})

    assert mapped(PropertyRule("age", "age", kind="long")).map_row(row, NOW) == Rejected(
        row, ("external_id=ann",), Reason("not_long", "column 'age': not a whole number")
    )


@pytest.mark.parametrize("value", ["", "-", None, ...], ids=["empty", "null value", "null", "missing"])
def test_an_empty_identity_is_absent(value: object) -> None:
    plan = mapped(NAME, identity={"external_id": "id", "email": "mail"}, null_values=("", "-"))
    fields = {"id": value, "mail": "a@example.com", "name": "Ann"}
    if value is ...:
        del fields["id"]

    done = plan.map_row(Row(1, fields), NOW)

    assert isinstance(done, Request)
    assert json.loads(done.body)["identity"] == {"email": "a@example.com"}
    assert done.person == ("email=a@example.com",)


def test_a_row_without_any_identity_is_rejected() -> None:
    row = Row(1, {"id": "", "mail": None, "name": "Ann"})

    assert mapped(NAME, identity={"external_id": "id", "email": "mail"}).map_row(row, NOW) == Rejected(
        row, (), Reason("no_identity", "no identity: nothing in 'id', 'mail'")
    )


def test_two_fields_with_one_value_are_not_one_identity() -> None:
    plan = mapped(NAME, identity={"external_id": "id", "phone_no": "id"})

    done = plan.map_row(Row(1, {"id": "82101", "name": "Ann"}), NOW)

    assert isinstance(done, Request)
    assert done.person == ("external_id=82101", "phone_no=82101")


def test_a_row_with_no_property_left_is_rejected() -> None:
    plan = mapped(NAME, PropertyRule("age", "age", kind="long"))

    assert properties(plan, {"name": "", "age": ""}) == Reason(
        "no_property", "no property: every mapped column is empty"
    )


OMITTED: dict[str, Json] = {"kept": "k"}
CLEARED: dict[str, Json] = {"p": None, "kept": "k"}


@pytest.mark.parametrize(
    ("when_empty", "cell", "null_is_empty", "expected"),
    [
        ("omit", {"cell": ""}, False, OMITTED),
        ("omit", {"cell": "NULL"}, False, OMITTED),
        ("omit", {}, False, OMITTED),
        ("omit", {"cell": None}, False, CLEARED),
        ("omit", {"cell": None}, True, OMITTED),
        ("null", {"cell": ""}, False, CLEARED),
        ("null", {"cell": "NULL"}, False, CLEARED),
        ("null", {}, False, CLEARED),
        ("null", {"cell": None}, False, CLEARED),
        ("null", {"cell": None}, True, CLEARED),
    ],
)
@pytest.mark.parametrize("kind", [None, "long", "array<string>"])
def test_an_empty_cell_is_omitted_or_cleared_as_its_property_says_and_a_json_null_clears(
    when_empty: Emptiness, cell: Mapping[str, object], expected: Json, kind: PropertyType | None, *, null_is_empty: bool
) -> None:
    rule = PropertyRule("p", "cell", kind=kind, when_empty=when_empty)
    plan = mapped(rule, PropertyRule("kept", "kept"), null_values=("", "NULL"), null_is_empty=null_is_empty)

    assert properties(plan, {**cell, "kept": "k"}) == expected


def test_each_property_has_its_own_rule_for_an_empty_cell() -> None:
    plan = mapped(PropertyRule("a", "a", when_empty="null"), PropertyRule("b", "b"), PropertyRule("c", "c"))

    assert properties(plan, {"a": "", "b": "", "c": "x"}) == {"a": None, "c": "x"}


@pytest.mark.parametrize("cell", ["null", "NULL", " ", "0"])
def test_only_the_null_values_are_empty(cell: str) -> None:
    assert properties(mapped(PropertyRule("p", "cell")), {"cell": cell}) == {"p": cell}


def test_without_a_null_value_an_empty_text_is_a_text() -> None:
    assert properties(mapped(PropertyRule("p", "cell"), null_values=()), {"cell": ""}) == {"p": ""}


@pytest.mark.parametrize("when_empty", ["omit", "null"])
@pytest.mark.parametrize("others", [True, False], ids=["other column", "mapped"])
@pytest.mark.parametrize("kind", [None, "boolean"])
@pytest.mark.parametrize(
    ("cell", "null_is_empty", "expected"),
    [
        ("yes", False, True),
        ("N", False, False),
        (False, False, False),
        (1, False, True),
        ("", False, None),
        (..., False, None),
        (None, True, None),
        (None, False, Reason("null_consent", "a consent that is null")),
        ("maybe", False, Reason("not_boolean", "neither true nor false")),
        (0.0, False, Reason("not_boolean", "neither true nor false")),
    ],
)
def test_a_consent_is_a_boolean_or_omitted_if_empty_or_rejects_its_row(  # noqa: PLR0913 — the columns of the table
    when_empty: Emptiness,
    kind: PropertyType | None,
    cell: object,
    *,
    expected: bool | Reason | None,
    others: bool,
    null_is_empty: bool,
) -> None:
    rule = PropertyRule(CONSENT, CONSENT, kind=kind, when_empty=when_empty)
    rules = MappingRules(
        identity_rules({"external_id": "id"}),
        (NAME,) if others else (NAME, rule),
        when_empty=when_empty,
        other_columns="send" if others else "ignore",
    )
    plan = plan_of(rules, null_is_empty=null_is_empty)

    found = properties(plan, {"name": "Ann"} if cell is ... else {"name": "Ann", CONSENT: cell})

    if isinstance(expected, Reason):
        assert found == Reason(expected.code, f"column '{CONSENT}': {expected.phrase}")
    elif expected is None:
        assert found == {"df_name": "Ann"}
    else:
        assert json.dumps(found) == json.dumps({"df_name": "Ann", CONSENT: expected})


@pytest.mark.parametrize("consent", CONSENTS)
@pytest.mark.parametrize(("cell", "expected"), [("y", True), ("f", False)])
def test_every_consent_is_a_boolean_without_a_word_of_its_type(consent: str, cell: str, *, expected: bool) -> None:
    assert properties(mapped(PropertyRule(consent, "cell")), {"cell": cell}) == {consent: expected}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (PropertyRule("p", value="nightly", kind="string"), '"nightly"'),
        (PropertyRule("p", value="", kind="string"), '""'),
        (PropertyRule("p", value="007", kind="long"), "7"),
        (PropertyRule("p", value="1", kind="double"), "1.0"),
        (PropertyRule("p", value="yes", kind="boolean"), "true"),
        (PropertyRule("p", value="15.08.2023", kind="date", times=TimeRule(formats=("%d.%m.%Y",))), '"2023-08-15"'),
        (
            PropertyRule("p", value="2023-08-15 12:30", kind="datetime", times=TimeRule(timezone="Asia/Seoul")),
            '"2023-08-15T03:30:00.000Z"',
        ),
        (PropertyRule("p", value=["a", "b|c"], kind="array<string>"), '["a","b|c"]'),
        (PropertyRule("p", value=[], kind="array<string>"), "[]"),
        (PropertyRule("p", value="a|b", kind="array<string>"), '["a","b"]'),
        (PropertyRule("p", value=["1", "2"], kind="array<long>"), "[1,2]"),
        (PropertyRule("p", value=["1", ".5"], kind="array<double>"), "[1.0,0.5]"),
        (PropertyRule("p", value="nightly"), '"nightly"'),
        (PropertyRule("p", value=7), "7"),
    ],
)
def test_a_constant_is_sent_with_every_row_as_its_type(rule: PropertyRule, expected: str) -> None:
    done = mapped(rule).map_row(Row(1, {"id": "ann", "p": "not this"}), NOW)

    assert isinstance(done, Request)
    assert b'"user_properties":{"p":' + expected.encode() + b"}" in done.body


def test_a_consent_may_be_a_constant() -> None:
    assert properties(mapped(PropertyRule(CONSENT, value="no")), {}) == {CONSENT: False}


OTHERS = MappingRules(identity_rules({"external_id": "id"}), (PropertyRule("df_name", "name"),), other_columns="send")
OWN_COLUMNS: dict[str, object] = {
    "_row": 1,
    "_kind": "failed",
    "_code": "500",
    "_reason": "not accepted",
    "_attempts": 5,
    "_raw": "",
}


def test_other_columns_are_sent_under_their_own_names_after_those_of_the_mapping() -> None:
    plan = plan_of(OTHERS, columns=["city", "id", "name", "age"])

    found = properties(plan, {"city": "Seoul", "name": "Ann", "age": "31"})

    assert json.dumps(found) == '{"df_name": "Ann", "city": "Seoul", "age": "31"}'


def test_other_columns_of_jsonl_are_those_that_each_row_brings() -> None:
    plan = plan_of(OTHERS)

    assert properties(plan, {"name": "Ann", "age": 31}) == {"df_name": "Ann", "age": 31}
    assert properties(plan, {"city": None}) == {"city": None}
    assert properties(plan, {"age": 32, "city": "Seoul"}) == {"age": 32, "city": "Seoul"}
    assert properties(plan, {"name": "Ann", "tags": ["a"]}) == {"df_name": "Ann", "tags": ["a"]}


def test_other_columns_are_emptied_as_the_mapping_says() -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), when_empty="null", other_columns="send")

    assert properties(plan_of(rules), {"city": "", "age": 31}) == {"city": None, "age": 31}


def test_other_columns_are_ignored_unless_the_mapping_sends_them() -> None:
    assert properties(mapped(NAME), {"name": "Ann", "city": "Seoul"}) == {"df_name": "Ann"}


@pytest.mark.parametrize("columns", [None, ["id", "name", *OWN_COLUMNS]], ids=["jsonl", "csv"])
def test_the_columns_that_a_retry_file_adds_are_never_sent(columns: list[str] | None) -> None:
    plan = plan_of(OTHERS, columns=columns)

    assert properties(plan, {"name": "Ann", **OWN_COLUMNS}) == {"df_name": "Ann"}


CLASH = (
    "mapping.properties.df_name: people has a column of this name too, and `other_columns: send` would send both. "
    "Map column 'df_name' to a key of its own, or set mapping.other_columns: ignore."
)


def test_another_column_with_the_name_of_a_property_is_told_at_once_where_columns_are_known() -> None:
    with pytest.raises(ConfigError) as trouble:
        plan_of(OTHERS, columns=["id", "name", "df_name"])

    assert str(trouble.value) == CLASH


def test_another_column_with_the_name_of_a_property_is_told_with_the_first_row_that_has_it() -> None:
    plan = plan_of(OTHERS)
    plan.map_row(Row(1, {"id": "ann", "name": "Ann"}), NOW)

    with pytest.raises(ConfigError) as trouble:
        plan.map_row(Row(2, {"id": "ann", "name": "Ann", "df_name": "Anna"}), NOW)

    assert str(trouble.value) == CLASH


def test_a_column_may_serve_several_keys() -> None:
    plan = mapped(
        PropertyRule("a", "id"), PropertyRule("b", "id"), identity={"external_id": "id", "line_user_id": "id"}
    )

    done = plan.map_row(Row(1, {"id": "ann"}), NOW)

    assert isinstance(done, Request)
    assert json.loads(done.body) == {
        "identity": {"external_id": "ann", "line_user_id": "ann"},
        "user_properties": {"a": "ann", "b": "ann"},
        "request_datetime": NOW,
    }


@pytest.mark.parametrize("letter", ["x", "가", '"', "\n"])
@pytest.mark.parametrize("over", [0, 1])
def test_properties_of_8_kb_are_sent_and_a_byte_more_rejects_the_row(letter: str, over: int) -> None:
    room = LIMIT - len('{"df_name":""}')
    size = len(json.dumps(letter, ensure_ascii=False).encode()) - 2
    text = letter * (room // size) + "x" * (room % size + over)

    done = mapped(NAME, identity={"external_id": "id"}).map_row(Row(1, {"id": "a" * 5000, "name": text}), NOW)

    if over:
        assert isinstance(done, Rejected)
        assert done.reason == Reason("too_large", "the properties take more than 8 KB together")
    else:
        assert isinstance(done, Request)
        assert json.loads(done.body)["user_properties"] == {"df_name": text}


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "\ud800", "name": "Ann"},
        {"id": "ann", "name": "\udfff"},
        {"id": "ann", "name": "Ann", "tags": ["\ud800x"]},
        {"id": "ann", "name": "Ann", "\ud800": "x"},
    ],
    ids=["identity", "property", "array", "key"],
)
def test_half_a_surrogate_pair_rejects_its_row(fields: dict[str, object]) -> None:
    done = plan_of(OTHERS).map_row(Row(1, fields), NOW)

    assert isinstance(done, Rejected)
    assert done.reason == Reason("not_unicode", "a value holds half of a surrogate pair, which is no text")


def test_the_first_unreadable_column_in_the_declared_order_is_the_reason() -> None:
    plan = mapped(PropertyRule("b", "b", kind="long"), PropertyRule("a", "a", kind="date"))

    assert properties(plan, {"a": "x", "b": "x"}) == Reason("not_long", "column 'b': not a whole number")


def test_a_rejection_holds_nothing_of_the_value() -> None:
    kinds: list[PropertyType] = [
        "long",
        "double",
        "boolean",
        "date",
        "datetime",
        "array<long>",
    ]

    for kind in kinds:
        found = properties(mapped(PropertyRule("p", "cell", kind=kind)), {"cell": "private-cell"})
        assert isinstance(found, Reason)
        assert "private" not in found.phrase


KEYS = ["a", "b", "c", "d", "e", "f"]
RULES = st.permutations(KEYS).flatmap(
    lambda keys: st.tuples(
        *(
            st.sampled_from([None, "string", "long", "double", "array<string>"]).flatmap(
                lambda kind, key=key: st.sampled_from(  # type: ignore[misc]  # mypy can't type a default
                    [
                        PropertyRule(key, key, kind=kind),
                        PropertyRule(key, key, kind=kind, when_empty="null"),
                        PropertyRule(key, value="7", kind=kind),
                    ]
                )
            )
            for key in keys
        )
    )
)
CELLS: st.SearchStrategy[object] = (
    st.sampled_from(["", "7", "x", '"', None, 1, 1.5, True]) | st.text(max_size=3) | st.lists(st.text(max_size=2))
)


@given(RULES, st.dictionaries(st.sampled_from([*KEYS, "other"]), CELLS), st.sampled_from(["ignore", "send"]))
def test_a_body_is_json_with_its_keys_in_the_declared_order_and_the_same_bytes_each_time(
    declared: tuple[PropertyRule, ...], fields: dict[str, object], others: str
) -> None:
    constants = {rule.key for rule in declared if rule.column is None}
    fields = {key: value for key, value in fields.items() if key not in constants}
    rules = MappingRules(
        identity_rules({"email": "mail", "external_id": "id"}),
        declared,
        other_columns="send" if others == "send" else "ignore",
    )
    row = Row(1, {"mail": "a@example.com", "id": "ann", **fields})

    done = plan_of(rules).map_row(row, NOW)

    assert done == plan_of(rules).map_row(Row(1, dict(row.fields)), NOW)
    if isinstance(done, Request):
        body = json.loads(done.body)
        assert list(body) == ["identity", "user_properties", "request_datetime"]
        assert list(body["identity"]) == ["email", "external_id"]
        order = [rule.key for rule in declared] + ["other"]
        assert list(body["user_properties"]) == [key for key in order if key in body["user_properties"]]
        assert constants <= set(body["user_properties"])


@given(
    st.dictionaries(
        st.sampled_from([f"c{at}" for at in range(5)]),
        st.sampled_from(["", "ann@example.com", 7, None]),
    )
)
def test_a_person_is_the_identity_that_is_sent(fields: dict[str, object]) -> None:
    columns = dict(zip(IDENTITY_FIELDS, [f"c{at}" for at in range(5)], strict=True))
    plan = mapped(NAME, identity=columns)
    # A number is no e-mail address.
    assume(fields.get(columns["email"]) != 7)

    done = plan.map_row(Row(1, {**fields, "name": "Ann"}), NOW)

    expected = {name: str(value) for name, column in columns.items() if (value := fields.get(column)) not in ("", None)}
    assert done.person == tuple(f"{name}={value}" for name, value in expected.items())
    assert isinstance(done, Request) == bool(expected)
    if isinstance(done, Request):
        assert json.loads(done.body)["identity"] == expected
