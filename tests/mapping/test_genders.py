"""Which genders are warned of: those that are none of the API's constants."""

import pytest

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.mapping.rules import CleaningRules, MappingRules, PropertyRule
from uploader.model import Reason, Request, Row

NOW = "2024-06-24T06:42:25.394Z"
WARNING = Reason(
    "gender",
    "column '성별' → df_gender: not one of Male, Female, NonBinary, Other, which the service expects "
    "(`values: {남: Male, 여: Female}` maps words to them)",
)


def warned(value: object, rule: PropertyRule | None = None) -> list[Reason]:
    properties = (PropertyRule("memo", "memo"), rule or PropertyRule("df_gender", "성별"))
    rules = MappingRules(identity_rules({"external_id": "id"}), properties)
    plan = compile_plan(rules, source="people", config="c", columns=None)
    work = plan.map_row(Row(1, {"id": "1", "성별": value, "memo": '"df_gender":"M"'}), NOW)
    assert isinstance(work, Request)
    return list(plan.suspect(work))


@pytest.mark.parametrize("value", ["Male", "Female", "NonBinary", "Other", "", None])
def test_a_constant_of_the_api_and_no_value_are_no_fault(value: object) -> None:
    assert warned(value) == []


@pytest.mark.parametrize("value", ["남", "male", "M", "Male ", "Males", "여자", 1, True])
def test_anything_else_is_warned_of(value: object) -> None:
    assert warned(value) == [WARNING]


def test_what_is_sent_counts_not_what_is_written() -> None:
    right, wrong = (
        PropertyRule("df_gender", "성별", cleaning=CleaningRules(values=(("남", sent),))) for sent in ("Male", "M")
    )

    assert warned("남", right) == []
    assert warned("남", wrong) == [WARNING]


def test_a_constant_of_the_mapping_is_warned_of_too() -> None:
    assert [reason.code for reason in warned("남", PropertyRule("df_gender", value="X"))] == ["gender"]


def test_a_property_of_another_name_may_hold_anything() -> None:
    assert warned("남", PropertyRule("gender", "성별")) == []
