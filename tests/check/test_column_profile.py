"""How full the columns of a source are, and how many rows give each consent."""

import json
from collections.abc import Iterable, Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.api import CONSENTS
from uploader.check.column_profile import ColumnProfile
from uploader.check.drift import FileTotals
from uploader.mapping.rules import MappingRules, PropertyRule
from uploader.model import Damaged, Reason, Record, Row

NOW = "2026-06-01T00:00:00.000Z"
NONE = dict.fromkeys(CONSENTS, 0)
RULES = MappingRules(
    identity_rules({"external_id": "id"}),
    (PropertyRule("df_name", "name"), PropertyRule("df_push_optin", "wants"), PropertyRule("city", "address.city")),
    null_values=("", "-"),
)


def counted(
    records: Iterable[Record], columns: Sequence[str] | None = None, rules: MappingRules = RULES
) -> ColumnProfile:
    plan = compile_plan(rules, source="s", config="c", columns=columns)
    census = ColumnProfile(columns, mapped=plan.columns, null_values=rules.null_values)
    for record in records:
        census.add_row(record, plan.map_row(record, NOW))
    return census


def of_objects(objects: Iterable[Mapping[str, object]], rules: MappingRules = RULES) -> ColumnProfile:
    return counted([Row(number, fields) for number, fields in enumerate(objects, 1)], rules=rules)


def test_cells_are_empty_by_null_values_and_by_null() -> None:
    rules = MappingRules(
        identity_rules({"external_id": "id"}), (PropertyRule("df_name", "name"),), null_values=("", "-")
    )
    rows: list[dict[str, object]] = [
        {"id": "1", "name": "-", "more": ""},
        {"id": "2", "name": " ", "more": None},
        {"id": "-", "name": "", "more": "0"},
    ]

    census = counted([Row(number, fields) for number, fields in enumerate(rows, 1)], ["id", "name", "more"], rules)

    # Only the second row has an identity and a property.
    assert census.totals() == FileTotals(3, 0, 1, {"id": 1, "name": 2, "more": 2}, NONE)


def test_a_key_that_an_object_does_not_have_is_an_empty_cell_in_all_rows_before_and_after() -> None:
    census = of_objects([{"id": "1"}, {"id": "2", "name": "Kim"}, {"id": "3", "name": None}, {"id": 4}])

    assert census.totals() == FileTotals(4, 0, 2, {"id": 0, "name": 3, "address.city": 4}, NONE)


def test_what_the_mapping_reaches_into_is_a_column_of_its_own() -> None:
    objects: list[Mapping[str, object]] = [
        {"id": "1", "address": {"city": "Seoul"}},
        {"id": "2", "address": {"city": ""}},
        {"id": "3", "address": {}},
        {"id": "4", "address": "Seoul"},
        {"id": "5", "address.city": "Busan"},
        {"id": "6"},
    ]

    census = of_objects(objects)

    assert census.totals().columns == {"address.city": 4, "id": 0, "address": 2}


def test_values_that_are_neither_text_nor_null_are_not_empty() -> None:
    values: list[object] = [0, False, 0.0, [], {}]

    census = of_objects([{"id": 1, "name": value} for value in values])

    assert census.totals().columns["name"] == 0


def test_a_damaged_record_has_no_cells() -> None:
    damaged = Damaged(1, Reason("fields", "the record has 1 field where the header has 2"))
    rules = MappingRules(identity_rules({"external_id": "id"}), (PropertyRule("df_name", "name"),))

    census = counted([damaged, Row(2, {"id": "1", "name": ""})], ["id", "name"], rules)

    assert census.totals() == FileTotals(2, 1, 0, {"id": 0, "name": 1}, NONE)


def test_a_consent_counts_as_it_is_sent() -> None:
    words = ["Y", "true", "N", "", "-", "perhaps"]

    census = of_objects([{"id": "1", "name": "Kim", "wants": word} for word in words])

    assert (census.totals().sendable, census.totals().consents) == (5, {**NONE, "df_push_optin": 2})


def test_a_text_that_looks_like_a_consent_is_none() -> None:
    names = ['"df_push_optin":true', '\\"df_push_optin":true', 'df_push_optin":true']

    census = of_objects([{"id": name, "name": name, "wants": "n"} for name in names])

    assert census.totals().consents == NONE


def test_keys_that_hardly_any_object_has_are_not_remembered() -> None:
    objects = [{"id": str(number), f"key {number}": 1, "some": number % 100 or None} for number in range(200)]

    census = of_objects(objects)

    assert census.for_baseline().columns == {"id": 0, "some": 2}
    assert len(census.totals().columns) == 203


def test_a_key_that_one_object_of_a_few_has_is_not_remembered() -> None:
    census = of_objects([{"id": str(number), f"kim{number}@mail.example": 1} for number in range(5)])

    assert census.for_baseline().columns == {"id": 0}


def test_a_column_of_a_header_is_remembered_though_it_is_always_empty() -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), (PropertyRule("df_name", "name"),))

    census = counted([Row(1, {"id": "1", "name": "Kim", "more": ""})], ["id", "name", "more"], rules)

    assert census.for_baseline() == census.totals() == FileTotals(1, 0, 1, {"id": 0, "name": 0, "more": 1}, NONE)


def test_endlessly_many_keys_take_no_endless_memory() -> None:
    census = of_objects({"id": "1", f"key {number}": 1} for number in range(12_000))

    assert len(census.totals().columns) == 10_000


@given(
    st.lists(st.dictionaries(st.sampled_from(["id", "name", "wants", "x"]), st.sampled_from(["", "-", "y", None, 1])))
)
def test_the_counts_are_those_of_the_whole_list(objects: list[dict[str, object]]) -> None:
    totals = of_objects(objects).totals()

    seen = {name for fields in objects for name in fields}
    empty = {name: sum(fields.get(name) in {None, "", "-"} for fields in objects) for name in (*seen, "address.city")}
    assert totals.columns == empty


@given(st.lists(st.fixed_dictionaries({name: st.sampled_from(["y", "n", "", "?"]) for name in CONSENTS})))
def test_consents_are_counted_as_a_reader_of_the_bodies_counts_them(rows: list[dict[str, str]]) -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), tuple(PropertyRule(name, name) for name in CONSENTS))
    records = [Row(number, {"id": "1", **fields}) for number, fields in enumerate(rows, 1)]
    plan = compile_plan(rules, source="s", config="c", columns=None)

    census = counted(records, rules=rules)

    bodies = [json.loads(work.body) for work in (plan.map_row(row, NOW) for row in records) if hasattr(work, "body")]
    true = {name: sum(body["user_properties"].get(name) is True for body in bodies) for name in CONSENTS}
    assert census.totals().consents == true


def test_names_that_look_like_data_are_not_kept_but_where_the_mapping_names_them() -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), (PropertyRule("p", "01012345678"),))
    fields = {"id": "1", "01012345678": "x", "ann@example.com": "y", "city": "z"}

    objects = of_objects([fields] * 3, rules)
    header = counted([Row(1, fields)], list(fields), rules)

    # A header with data in it is perhaps none: then the other names are data too.
    assert [set(census.totals().columns) for census in (objects, header)] == [
        {"id", "01012345678", "city"},
        {"id", "01012345678"},
    ]
