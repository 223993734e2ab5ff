"""What is told of values that a spreadsheet may have damaged, and what is not."""

from collections.abc import Mapping

import pytest

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.mapping.rules import CleaningRules, MappingRules, PropertyRule
from uploader.model import Reason, Request, Row

NOW = "2024-06-24T06:42:25.394Z"
RULES = MappingRules(
    identity_rules({"external_id": "id", "phone_no": "phone", "email": "mail"}),
    (
        PropertyRule("df_name", "name"),
        PropertyRule("memo", "memo", kind="string", cleaning=CleaningRules(trim=True)),
        PropertyRule("score", "score", kind="double"),
        PropertyRule("tags", "tags", kind="array<string>"),
    ),
)
PHONE_ZERO = Reason(
    "phone_zero",
    "column 'phone' → phone_no: a Korean mobile number without its leading zero; "
    "write phone_no: {column: phone, phone: KR}",
)


def error_in(column: str) -> Reason:
    return Reason("sheet_error", f"column '{column}': an error of a spreadsheet, such as #N/A or ####")


def suspected(fields: Mapping[str, object], rules: MappingRules = RULES) -> list[Reason]:
    """Return what is suspected in a row with *fields*; it is sent all the same."""
    plan = compile_plan(rules, source="people", config="c", columns=None)
    work = plan.map_row(Row(1, {"id": "ann", "name": "Ann", **fields}), NOW)
    assert isinstance(work, Request)
    return list(plan.suspect(work))


@pytest.mark.parametrize("phone", ["1012345678", "111234567", "1112345678", "1612345678", "1712345678", "191234567"])
def test_a_mobile_number_of_korea_without_its_zero_is_suspect(phone: str) -> None:
    assert suspected({"phone": phone}) == [PHONE_ZERO]


@pytest.mark.parametrize("phone", ["821012345678", "82212345678", 8212345678, ""])
def test_a_phone_number_as_the_api_has_it_is_not(phone: object) -> None:
    assert suspected({"phone": phone}) == []


@pytest.mark.parametrize("text", ['="00126"', '= "00126"', '=T("00126")', "=SUM(A1:A3)"])
def test_a_formula_is_suspect_as_text(text: str) -> None:
    assert suspected({"name": text}) == [
        Reason("formula", "column 'name': a formula of a spreadsheet (as =\"001\"); expected the value alone")
    ]


@pytest.mark.parametrize("text", ["'00127", "'010-1234-5678", "'+82 10", "'-5", "'2024-01-02"])
def test_an_apostrophe_before_a_number_is_suspect_as_text(text: str) -> None:
    assert suspected({"name": text}) == [
        Reason(
            "apostrophe",
            "column 'name': an apostrophe before a number, as spreadsheets mark text (`strip: [\"'\"]` removes it)",
        )
    ]


@pytest.mark.parametrize("text", ["'90s", "'hello'", "O'Neil", "== news ==", "a=b", "=)", "x='1'"])
def test_other_texts_with_these_signs_are_not(text: str) -> None:
    assert suspected({"name": text}) == []


def test_what_the_cleaning_takes_away_is_not_suspect() -> None:
    rules = MappingRules(
        identity_rules({"external_id": "id"}),
        (PropertyRule("zip", "zip", cleaning=CleaningRules(strip=("'",))), PropertyRule("memo", "memo")),
    )

    assert suspected({"zip": "'06001", "memo": "'tis"}, rules) == []


@pytest.mark.parametrize("text", ["#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "###", "########"])
@pytest.mark.parametrize("column", ["name", "memo"])
def test_an_error_of_a_spreadsheet_is_suspect_as_text(column: str, text: str) -> None:
    assert suspected({column: text}) == [error_in(column)]


def test_an_error_that_is_sent_trimmed_is_suspect_with_its_spaces() -> None:
    assert suspected({"memo": " #N/A "}) == [error_in("memo")]


@pytest.mark.parametrize("text", ["#", "##", "#1", "#n/a", "#N/A!", "N/A", "# #"])
def test_other_texts_that_begin_with_a_hash_are_not(text: str) -> None:
    assert suspected({"name": text}) == []


def test_a_column_that_is_not_sent_is_not_looked_at() -> None:
    assert suspected({"other": "#N/A", "name": "#1"}) == []


def test_other_columns_are_looked_at_where_they_are_sent() -> None:
    rules = MappingRules(
        identity_rules({"external_id": "id"}), (PropertyRule("city", "address.city"),), other_columns="send"
    )

    found = suspected({"other": "#N/A", "_reason": "#N/A", "address": {"city": "#REF!"}}, rules)

    assert found == [error_in("address.city"), error_in("other")]


def test_several_things_may_be_suspect_in_one_row() -> None:
    assert suspected({"phone": "1012345678", "name": "#N/A", "memo": "\ufffd"}) == [
        PHONE_ZERO,
        error_in("name"),
        Reason("replacement", "column 'memo': holds \ufffd, in the place of lost characters"),
    ]


def test_text_in_the_wrong_encoding_is_suspect_where_it_is_sent() -> None:
    misread = "홍길동".encode("euc-kr").decode("latin-1")

    assert suspected({"name": misread, "other": misread}) == [
        Reason("mojibake", "column 'name': was read in the wrong encoding before (mojibake)")
    ]


def test_a_mapping_without_a_phone_number_knows_no_lost_zero() -> None:
    rules = MappingRules(identity_rules({"external_id": "id"}), (PropertyRule("phone", "phone"),))

    assert suspected({"id": "1012345678", "phone": "1012345678"}, rules) == []


def test_a_phone_number_is_looked_at_behind_a_path_too() -> None:
    rules = MappingRules(identity_rules({"phone_no": "who.phone"}), (PropertyRule("n", "name"),))

    assert suspected({"who": {"phone": "1012345678"}}, rules) == [
        Reason(
            "phone_zero",
            "column 'who.phone' → phone_no: a Korean mobile number without its leading zero; "
            "write phone_no: {column: who.phone, phone: KR}",
        )
    ]


def test_a_suspicion_holds_nothing_of_the_value_and_counts_no_repair() -> None:
    plan = compile_plan(RULES, source="people", config="c", columns=None)
    work = plan.map_row(Row(1, {"id": "ann", "memo": " #N/A"}), NOW)
    assert isinstance(work, Request)

    plan.suspect(work)

    assert plan.repairs.steps.get("trim", 0) == 1
