"""Which birth dates are warned of: those that no customer can have."""

from datetime import date

import orjson
import pytest

from uploader.api import PropertyType
from uploader.endpoints import USER_PROFILE
from uploader.mapping.birth_dates import BirthDates, is_birth_date
from uploader.mapping.rules import PropertyRule
from uploader.model import Reason, Request, Row

TODAY = date(2026, 11, 29)
FUTURE, OLD, FORM, SHORT = "birth_in_future", "birth_before_1900", "birth_form", "birth_short_year"


def warned(properties: dict[str, object], *rules: PropertyRule) -> list[Reason]:
    body = orjson.dumps({"identity": {"external_id": "1"}, "user_properties": properties})
    dates = BirthDates(rules, USER_PROFILE, today=TODAY, named={str(rule.column) for rule in rules})
    if dates.may_find(body) is None:
        return []
    return list(dates(Request(Row(1, {}), ("external_id=1",), body)))


@pytest.mark.parametrize(("day", "is_usual"), [("1984-03-01", True), ("2024-03-01", False), ("1899-12-31", False)])
def test_most_birth_dates_are_cleared_by_one_search(day: str, *, is_usual: bool) -> None:
    dates = BirthDates([PropertyRule("df_birth", "b", kind="date")], USER_PROFILE, today=TODAY, named={"b"})

    assert (dates.may_find(b'{"df_birth":"%b"}' % day.encode()) is None) == is_usual


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        ("2026-11-29", []),
        ("2026-11-30", [FUTURE]),
        ("2050-03-03", [FUTURE]),
        ("9999-12-31", [FUTURE]),
        ("1900-01-01", []),
        ("1899-12-31", [OLD]),
        ("0001-01-01", [OLD]),
        (None, []),
    ],
)
def test_a_birth_date_after_today_or_before_1900_is_warned_of(value: object, codes: list[str]) -> None:
    found = warned({"df_birth": value}, PropertyRule("df_birth", "birth", kind="date"))

    assert [reason.code for reason in found] == codes


@pytest.mark.parametrize("kind", [None, "string"])
@pytest.mark.parametrize(
    ("value", "codes"),
    [
        ("1985-03-12", []),
        ("2050-03-03", [FUTURE]),
        ("1899-12-31", [OLD]),
        (None, []),
        ("85-03-12", [SHORT]),
        ("850312", [SHORT]),
        ("85.3.2", [SHORT]),
        ("19850312", [FORM]),
        ("1985/03/12", [FORM]),
        ("1985-3-12", [FORM]),
        ("1985-02-30", [FORM]),
        ("1985-03-12 00:00:00", [FORM]),
        ("851399", [FORM]),
        ("NULL", [FORM]),
        (19850312, [FORM]),
    ],
)
def test_the_birth_date_of_the_api_is_looked_at_as_a_text_too(
    kind: PropertyType | None, value: object, codes: list[str]
) -> None:
    found = warned({"df_birth": value}, PropertyRule("df_birth", "birth", kind=kind))

    assert [reason.code for reason in found] == codes


def test_as_a_datetime_it_is_not_what_the_api_has() -> None:
    value, rule = "1985-03-12T00:00:00Z", PropertyRule("df_birth", "birth", kind="datetime")

    assert [reason.code for reason in warned({"df_birth": value}, rule)] == [FORM]
    assert warned({"dob": value}, PropertyRule("dob", "birth", kind="datetime")) == []
    assert [reason.code for reason in warned({"dob": value}, PropertyRule("dob", "birth", kind="long"))] == []


def test_a_birth_date_of_another_name_is_looked_at_only_where_it_is_a_date() -> None:
    rules = (PropertyRule("birthday_coupon", "coupon"), PropertyRule("custom", "생년월일", kind="string"))

    found = warned({"birthday_coupon": "10 %", "custom": "2050-01-01"}, *rules)

    assert found == [Reason(FUTURE, "column '생년월일' → custom: a birth date after today")]


def test_the_warning_names_the_column_and_the_property() -> None:
    rules = (
        PropertyRule("df_birth", "생년월일", kind="date"),
        PropertyRule("child_birthday", "child_birthday", kind="date"),
        PropertyRule("dob", value="2050-01-01", kind="date"),
    )

    found = warned({"df_birth": "2050-03-03", "child_birthday": "1800-01-01", "dob": "2050-01-01"}, *rules)

    assert found == [
        Reason(FUTURE, "column '생년월일' → df_birth: a birth date after today"),
        Reason(OLD, "column 'child_birthday': a birth date before 1900"),
        Reason(FUTURE, "'dob': a birth date after today"),
    ]


def test_other_properties_and_texts_that_look_alike_are_not() -> None:
    rules = (
        PropertyRule("valid_until", "until", kind="date"),
        PropertyRule("birth_city", "city"),
        PropertyRule("df_birth", "birth", kind="date"),
    )
    text = '"df_birth":"2050-01-01"'

    assert warned({"birth_city": text, "valid_until": "2050-01-01", "df_birth": "1990-01-01"}, *rules) == []
    assert warned({"birth_city": text}, *rules) == []


@pytest.mark.parametrize(
    ("key", "is_birth"),
    [
        ("df_birth", True),
        ("birthDate", True),
        ("BIRTH_DT", True),
        ("생년월일", True),
        ("dob", True),
        ("user_dob", True),
        ("adobe_since", False),
        ("joined", False),
    ],
)
def test_a_birth_date_is_known_by_the_name_of_its_property_or_column(key: str, is_birth: bool) -> None:  # noqa: FBT001 — the expectation of a case
    assert is_birth_date(key) == is_birth
    assert is_birth_date("custom", key) == is_birth
