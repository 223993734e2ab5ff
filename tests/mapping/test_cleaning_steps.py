"""Each cleaning step changes what it can read, leaves or rejects the rest, and is counted in rows that are sent."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import settings as search
from hypothesis import strategies as st

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.api import PropertyType
from uploader.mapping import Plan, Repairs
from uploader.mapping.cleaning import OmittedValue, cleaner_of
from uploader.mapping.invisible_characters import INVISIBLE, without_ends
from uploader.mapping.phone_numbers import korean_number
from uploader.mapping.rules import CleaningRules, IdentityRule, MappingRules, Otherwise, PropertyRule
from uploader.mapping.value_errors import Unreadable
from uploader.model import Reason, Rejected, Request, Row, WrittenFloat

NOW = "2024-06-24T06:42:25.394Z"
KEY = b"canary-hash-key"
NOTHING = frozenset({""})
BY_ID = identity_rules({"external_id": "id"})
GENDER = (("남", "Male"), ("여", "Female"))


def cleaned(value: object, *, signed: bool = False, separator: str | None = None, **steps: Any) -> object:  # noqa: ANN401 — the fields of CleaningRules
    """Return *value* after *steps*."""
    cleaner = cleaner_of(CleaningRules(**steps), empty=NOTHING, hash_key=KEY, signed=signed, separator=separator)
    return cleaner.clean(value, [])


def plan_of(*properties: PropertyRule, identity: tuple[IdentityRule, ...] = BY_ID) -> Plan:
    rules = MappingRules(identity, properties, hash_key=KEY)
    return compile_plan(rules, source="people.csv", config="config.yaml", columns=None)


def mapped(plan: Plan, **fields: object) -> Mapping[str, Any] | Reason:
    """Return the properties that are sent for a row of *fields*, or why it is rejected."""
    done = plan.map_row(Row(1, {"id": "1", **fields}), NOW)
    if isinstance(done, Rejected):
        return done.reason
    found: Mapping[str, Any] = json.loads(done.body)["user_properties"]
    return found


def identified(rule: IdentityRule, value: object) -> Mapping[str, Any] | Reason:
    """Return the identity that is sent for *value* beside an external_id, or why the row is rejected."""
    plan = plan_of(PropertyRule("kept", value="k"), identity=(*identity_rules({"external_id": "id"}), rule))
    done = plan.map_row(Row(1, {"id": "1", "cell": value}), NOW)
    if isinstance(done, Rejected):
        return done.reason
    found: Mapping[str, Any] = json.loads(done.body)["identity"]
    return found


# trim, strip, case

EDGES = st.text(st.sampled_from([*sorted(INVISIBLE), " ", "\u00a0", "\u3000", "a", "가", "1"]), max_size=8)


@search(max_examples=60)
@given(EDGES)
def test_trim_is_idempotent_and_leaves_what_is_inside(text: str) -> None:
    found = without_ends(text)

    assert without_ends(found) == found
    assert found in text
    assert not found or not {found[0], found[-1]} & (INVISIBLE | {" ", "\u00a0", "\u3000"})


@pytest.mark.parametrize("code", [0x1F, 0x200B, 0x200E, 0x202A, 0x202C, 0x2066, 0xA0, 0xFEFF, 0x3000, 0x3164])
def test_trim_removes_what_nobody_sees_at_both_ends_and_not_inside(code: int) -> None:
    unseen = chr(code)

    assert cleaned(f"{unseen} a{unseen}b {unseen}", trim=True) == f"a{unseen}b"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("7,143,041원", "7,143,041"),
        ("₩1,000", "1,000"),
        ("₩ 1,000 원", "1,000"),
        ("-₩1,000", "-1,000"),
        ("₩-1,000", "-1,000"),
        ("12원34", "12원34"),
        ("5US$", "5"),
    ],
)
def test_strip_removes_units_at_both_ends_and_after_a_sign(text: str, found: str) -> None:
    units = ("$", "US$", "원", "₩")

    assert cleaned(text, strip=units, signed=True) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (1001.0, "1001"),
        (-5.0, "-5"),
        (4.5, 4.5),
        (2.0**53, 2.0**53),
        (float("nan"), float("nan")),
        (10, 10),
        (WrittenFloat("1002.0"), "1002"),
    ],
    ids=repr,
)
def test_strip_reads_a_number_with_a_fraction_as_a_csv_has_it(value: object, found: object) -> None:
    assert repr(cleaned(value, strip=(".0",))) == repr(found)


@pytest.mark.parametrize(
    ("text", "found"), [("20.0", "20"), ("-20.0", "-20"), (".05", ".05"), ("1.0.0", "1.0.0"), ("20.00", "20.00")]
)
def test_of_a_number_only_a_whole_fraction_of_zero_is_stripped(text: str, found: str) -> None:
    assert cleaned(text, strip=(".0",), signed=True) == found


def test_an_id_that_is_a_number_with_a_fraction_is_one_only_where_strip_makes_it_whole() -> None:
    stripped = IdentityRule("line_user_id", "cell", CleaningRules(strip=(".0",)))

    assert identified(stripped, 1001.0) == {"external_id": "1", "line_user_id": "1001"}
    assert identified(stripped, 1001.5) == Reason(
        "not_identity", "column 'cell' → line_user_id: neither text nor a whole number"
    )
    assert identified(IdentityRule("line_user_id", "cell"), 1001.0) == Reason(
        "not_identity",
        "column 'cell' → line_user_id: a number with .0; expected text or a whole number "
        '(`strip: [".0"]` removes it)',
    )


@search(max_examples=60)
@given(st.text("원₩ $12,-", max_size=10), st.booleans())
def test_strip_is_idempotent(text: str, signed: bool) -> None:  # noqa: FBT001 — drawn by hypothesis
    units = ("원", "₩", "$")
    if text and not text.strip("원₩$ "):
        text = f"{text}1{text}"
    once = cleaned(text, strip=units, signed=signed)

    assert once == cleaned(once, strip=units, signed=signed)


@search(max_examples=60)
@given(st.text(max_size=10), st.sampled_from(["lower", "upper"]))
def test_case_is_idempotent(text: str, case: str) -> None:
    once = cleaned(text, case=case)

    assert once == cleaned(once, case=case)


# values


@pytest.mark.parametrize(
    ("otherwise", "value", "found"),
    [
        ("reject", "남", {"df_gender": "Male"}),
        ("reject", "여", {"df_gender": "Female"}),
        ("reject", "?", Reason("not_listed", "column 'sex' → df_gender: not one of values (남, 여)")),
        ("reject", "Male", Reason("not_listed", "column 'sex' → df_gender: not one of values (남, 여)")),
        ("keep", "?", {"df_gender": "?"}),
        ("omit", "?", {}),
        ("reject", "", {}),
        ("reject", None, {}),
    ],
)
def test_values_are_replaced_and_others_do_as_otherwise_says(
    otherwise: Otherwise,
    value: object,
    found: "Mapping[str, Any] | Reason",
) -> None:
    rule = PropertyRule("df_gender", "sex", cleaning=CleaningRules(values=GENDER, otherwise=otherwise))
    plan = compile_plan(
        MappingRules(identity_rules({"external_id": "id"}), (rule, PropertyRule("kept", value="k"))),
        source="people.csv",
        config="config.yaml",
        columns=None,
        null_is_empty=True,
    )

    done = mapped(plan, sex=value)

    assert done == (found if isinstance(found, Reason) else {**found, "kept": "k"})


def test_values_know_a_word_however_its_letters_are_composed() -> None:
    assert cleaned("\u1102\u1161\u11b7", values=GENDER) == "Male"


@pytest.mark.parametrize(
    ("kind", "word", "sent", "found"),
    [
        ("long", "골드", "3", 3),
        ("double", "골드", "1.5", 1.5),
        ("boolean", "예", "yes", True),
        ("date", "모름", "1900-01-01", "1900-01-01"),
        ("array<string>", "가|골드", "GOLD", ["가", "GOLD"]),
    ],
)
def test_values_are_for_every_type(kind: PropertyType, word: str, sent: str, found: object) -> None:
    values = ((word.rpartition("|")[2], sent),)
    plan = plan_of(PropertyRule("p", "cell", kind=kind, cleaning=CleaningRules(values=values, otherwise="keep")))

    assert mapped(plan, cell=word) == {"p": found}


@pytest.mark.parametrize("value", [1, "1"], ids=repr)
def test_values_know_a_number_of_json_by_its_digits(value: object) -> None:
    assert cleaned(value, values=(("1", "Male"),)) == "Male"


def test_a_reason_names_only_the_first_words_of_a_long_list() -> None:
    values = tuple((f"w{number}", "x") for number in range(14))

    found = mapped(plan_of(PropertyRule("p", "p", cleaning=CleaningRules(values=values))), p="?")

    listed = ", ".join(f"w{number}" for number in range(12))
    assert found == Reason("not_listed", f"column 'p': not one of values ({listed} and 2 more)")


# phone

NO_PHONE = Reason("not_phone", "column 'cell' → phone_no: not a phone number of Korea (phone: KR)")
PHONE = IdentityRule("phone_no", "cell", CleaningRules(phone="KR"))


@pytest.mark.parametrize(
    "value",
    [
        *("010-1234-5678", "010 1234 5678", "010.1234.5678", "01012345678", "1012345678", "+82 10-1234-5678"),
        *("+821012345678", "821012345678", "82-10-1234-5678", "82(0)10-1234-5678", "+82(0)10-1234-5678"),
        *("8201012345678", "(010) 1234-5678", "01012345678.0", "1012345678.0", "0082-10-1234-5678", " 010-1234-5678 "),
        *(
            "\uff10\uff11\uff10\uff0d1234\uff0d5678",
            "010\u20131234\u20135678",
            "\u202a010-1234-5678\u202c",
            "tel:010-1234-5678",
        ),
        *(1012345678, 821012345678, 1012345678.0),
    ],
    ids=repr,
)
def test_a_phone_number_is_read_in_any_usual_spelling(value: object) -> None:
    assert identified(PHONE, value) == {"external_id": "1", "phone_no": "821012345678"}


@pytest.mark.parametrize(
    ("value", "found"),
    [("02-555-1234", "8225551234"), ("031-123-4567", "82311234567"), ("011-234-5678", "82112345678")],
)
def test_a_land_line_and_an_old_mobile_number_are_read_too(value: str, found: str) -> None:
    assert identified(PHONE, value) == {"external_id": "1", "phone_no": found}


@pytest.mark.parametrize(
    "value",
    [
        *("12345", "010-ABCD-5678", "+1 650 253 0000", "8.21E+11", "010-1234-5678 (집)", "01012345678x12"),
        *("010-1234-5678/010-2222-3333", "010-1234-56789", "010-12-3456", True, 1.5, -1012345678, ["010-1234-5678"]),
    ],
    ids=repr,
)
def test_what_is_no_valid_phone_number_of_korea_rejects_its_row(value: object) -> None:
    assert identified(PHONE, value) == NO_PHONE


@search(max_examples=60)
@given(st.from_regex(r"(\+?82[ -]?)?(0|\(0\))?1[0-9]{1}[ .-]?[0-9]{3,4}[ .-]?[0-9]{4}", fullmatch=True))
def test_a_number_is_read_as_phonenumbers_reads_it_and_only_once(text: str) -> None:
    number = phonenumbers.parse(text, "KR")
    try:
        found = korean_number(text)
    except Unreadable:
        # 010 has eight digits behind it, which phonenumbers does not know.
        is_short = (number.national_number or 0) // 10**7 == 10
        assert is_short or not phonenumbers.is_valid_number_for_region(number, "KR")
        return

    assert f"+{found}" == phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert phonenumbers.is_valid_number_for_region(number, "KR")
    assert korean_number(found) == found


# thousands and decimal


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("1.234,56", {"p": 1234.56}),
        ("1234,56", {"p": 1234.56}),
        ("-1.234.567,5", {"p": -1234567.5}),
        ("1.234", {"p": 1234.0}),
        ("7", {"p": 7.0}),
        (1.5, {"p": 1.5}),
        ("1.5", Reason("not_double", "column 'cell' → p: not a number (decimal: ,)")),
        ("1,5,6", Reason("not_double", "column 'cell' → p: not a number (thousands: '.', decimal: ',')")),
    ],
)
def test_a_decimal_mark_becomes_the_point(value: object, found: object) -> None:
    rule = PropertyRule("p", "cell", kind="double", cleaning=CleaningRules(thousands=".", decimal=","))

    assert mapped(plan_of(rule), cell=value) == found


@search(max_examples=60)
@given(st.text("0123456789,.", max_size=9))
def test_an_amount_never_becomes_another_number(text: str) -> None:
    found = mapped(
        plan_of(PropertyRule("p", "p", kind="double", cleaning=CleaningRules(thousands=".", decimal=","))), p=text
    )

    if not isinstance(found, Reason):
        assert found["p"] == float(text.replace(".", "").replace(",", "."))


# hash


def test_a_hash_is_keyed_and_made_after_the_other_steps() -> None:
    rule = IdentityRule("email", "cell", CleaningRules(trim=True, case="lower", hash="hmac-sha256"))

    expected = hmac.new(KEY, b"kim@example.com", hashlib.sha256).hexdigest()
    assert identified(rule, " Kim@Example.com ") == {"external_id": "1", "email": expected}
    assert identified(rule, "  ") == {"external_id": "1"}


@pytest.mark.parametrize("value", [1.5, True, ["a"]])
def test_only_text_and_whole_numbers_are_hashed(value: object) -> None:
    rule = IdentityRule("email", "cell", CleaningRules(hash="hmac-sha256"))

    assert identified(rule, value) == Reason("not_string", "column 'cell' → email: neither text nor a whole number")


def test_the_key_of_the_hashes_is_in_no_repr_and_its_fingerprint_differs_by_key() -> None:
    first, second = (MappingRules((), hash_key=key) for key in (b"canary-one", b"canary-two"))

    assert repr(first) == repr(second)
    assert "canary" not in repr(first)
    assert first.key_fingerprint != second.key_fingerprint
    assert "canary" not in first.key_fingerprint
    assert MappingRules(()).key_fingerprint == ""


# Emptiness, on_error, counts


@pytest.mark.parametrize("value", ["-", " - ", "₩ -", "원", "N/A"])
def test_a_value_is_empty_as_it_stands_or_after_its_ends_are_cleaned(value: str) -> None:
    rule = PropertyRule(
        "p", "cell", kind="long", cleaning=CleaningRules(trim=True, strip=("원", "₩")), null_values=("-", "N/A")
    )

    assert mapped(plan_of(rule, PropertyRule("kept", value="k")), cell=value) == {"kept": "k"}


def test_words_for_nothing_of_one_column_are_values_of_the_others() -> None:
    identity = IdentityRule("email", "cell", null_values=("N/A",))

    plan = plan_of(PropertyRule("p", "p"), PropertyRule("q", "q", null_values=("-",)))

    assert identified(identity, "N/A") == {"external_id": "1"}
    assert mapped(plan, p="-", q="-") == {"p": "-"}


OMITS = PropertyRule("points", "points", kind="long", cleaning=CleaningRules(thousands=","), on_error="omit")


def test_a_value_that_can_not_be_read_is_omitted_and_counted_with_its_reason() -> None:
    plan = plan_of(OMITS, PropertyRule("df_push_optin", "push"))

    assert mapped(plan, points="12,34", push="N") == {"df_push_optin": False}
    assert mapped(plan, points="1,234", push="N") == {"points": 1234, "df_push_optin": False}
    reason = Reason("not_long", "column 'points': not a whole number (thousands: ',')")
    assert plan.repairs == Repairs({"thousands": 1}, {OmittedValue("points", "points", reason): 1})
    assert plan.repairs.facts() == {
        "trimmed": 0,
        "strip": 0,
        "case": 0,
        "values": 0,
        "phone": 0,
        "thousands": 1,
        "decimal": 0,
        "hash": 0,
        "omitted": [{"column": "points", "key": "points", "code": "not_long", "reason": reason.phrase, "values": 1}],
    }


def test_an_omitted_value_is_not_sent_as_null() -> None:
    rule = PropertyRule("p", "cell", kind="long", when_empty="null", on_error="omit")

    assert mapped(plan_of(rule, PropertyRule("kept", value="k")), cell="x") == {"kept": "k"}


def test_a_row_of_nothing_but_omitted_values_is_rejected() -> None:
    assert mapped(plan_of(OMITS), points="x") == Reason(
        "no_property", "no property is left: column 'points': not a whole number (thousands: ','), and omitted"
    )


def test_a_path_that_is_no_object_is_omitted_too() -> None:
    plan = plan_of(PropertyRule("city", "address.city", on_error="omit"), PropertyRule("kept", value="k"))

    assert mapped(plan, address="Seoul") == {"kept": "k"}


def test_nothing_is_counted_for_a_row_that_is_rejected() -> None:
    plan = plan_of(OMITS, PropertyRule("age", "age", kind="long", cleaning=CleaningRules(trim=True)))

    assert mapped(plan, points="x", age=" old ") == Reason("not_long", "column 'age': not a whole number")
    assert mapped(plan, points="1,000", age=" 3x") == Reason("not_long", "column 'age': not a whole number")

    assert plan.repairs == Repairs()


def test_asking_for_the_person_counts_nothing() -> None:
    identity = (IdentityRule("email", "mail", CleaningRules(trim=True)),)
    plan = plan_of(PropertyRule("kept", value="k"), identity=identity)
    row = Row(1, {"mail": " a@example.com"})

    assert plan.person(row) == ("email=a@example.com",)
    assert isinstance(plan.map_row(row, NOW), Request)
    plan.person(row)

    assert plan.repairs == Repairs({"trim": 1})


def test_a_value_that_a_step_leaves_as_it_is_is_not_counted() -> None:
    steps = CleaningRules(trim=True, strip=("원",), case="lower", phone="KR")
    plan = plan_of(PropertyRule("p", "p", cleaning=steps))

    assert mapped(plan, p="821012345678") == {"p": "821012345678"}
    assert mapped(plan, p=821012345678) == {"p": "821012345678"}

    assert plan.repairs == Repairs()


def test_a_consent_is_never_omitted() -> None:
    rule = PropertyRule("df_push_optin", "push", on_error="omit")

    assert mapped(plan_of(rule, PropertyRule("kept", value="k")), push="maybe") == Reason(
        "not_boolean", "column 'push' → df_push_optin: neither true nor false"
    )


def test_an_item_that_values_omit_is_left_out_of_its_array() -> None:
    steps = CleaningRules(trim=True, values=(("a", "A"),), otherwise="omit")
    plan = plan_of(PropertyRule("p", "p", kind="array<string>", cleaning=steps), PropertyRule("kept", value="k"))

    assert mapped(plan, p="a | x") == {"p": ["A"], "kept": "k"}
    assert mapped(plan, p="x|y") == {"kept": "k"}
    assert mapped(plan, p=["a ", "a"]) == {"p": ["A", "A"], "kept": "k"}


def test_the_steps_of_one_row_can_be_traced() -> None:
    identity = (IdentityRule("phone_no", "phone", CleaningRules(trim=True, phone="KR")),)
    plan = plan_of(OMITS, PropertyRule("kept", value="k"), identity=identity)

    first, second = plan.trace(Row(1, {"phone": "010-1234-5678 ", "points": "x"}))

    assert [(step.step, step.before, step.after) for step in first.steps] == [
        ("trim", "010-1234-5678 ", "010-1234-5678"),
        ("phone", "010-1234-5678", "821012345678"),
    ]
    assert (first.key, first.column, first.reason, first.omitted) == ("phone_no", "phone", None, False)
    assert (second.key, second.steps, second.omitted) == ("points", (), True)
    assert plan.repairs == Repairs()


def test_a_phone_number_that_is_cleaned_is_not_suspect() -> None:
    plan = plan_of(PropertyRule("kept", value="k"), identity=(PHONE,))
    request = plan.map_row(Row(1, {"cell": "1012345678"}), NOW)

    assert isinstance(request, Request)
    assert plan.suspect(request) == []


def test_a_consent_of_nothing_but_a_unit_rejects_its_row() -> None:
    plan = plan_of(PropertyRule("df_sms_ads_optin", "sms", cleaning=CleaningRules(strip=("동의",))))

    assert mapped(plan, sms="동의") == Reason(
        "only_units", "column 'sms' → df_sms_ads_optin: nothing but a unit (strip)"
    )


def test_an_amount_of_nothing_but_a_unit_is_left_out_and_counted_and_clears_nothing() -> None:
    amount = PropertyRule("p", "cell", kind="long", when_empty="null", cleaning=CleaningRules(strip=("원",)))
    plan = plan_of(PropertyRule("kept", value="k"), amount)

    assert mapped(plan, cell="원") == {"kept": "k"}
    assert plan.repairs.omitted == {
        OmittedValue("cell", "p", Reason("only_units", "column 'cell' → p: nothing but a unit (strip)")): 1
    }


def test_a_row_whose_values_are_all_omitted_names_the_first_and_what_was_expected() -> None:
    one, other = (
        PropertyRule(key, column, kind="long", on_error="omit") for key, column in (("age", "나이"), ("n", "n"))
    )

    assert mapped(plan_of(one), 나이="x") == Reason(
        "no_property", "no property is left: column '나이' → age: not a whole number, and omitted"
    )
    assert mapped(plan_of(one, other), 나이="x", n="y") == Reason(
        "no_property", "no property is left: column '나이' → age: not a whole number, and omitted, and 1 more omitted"
    )


@pytest.mark.parametrize("value", ["￦1000", "₩1000", "1000 ￦", "￦ 1000 ₩"])
@pytest.mark.parametrize("unit", ["￦", "₩"])
def test_a_unit_is_stripped_in_either_width(unit: str, value: str) -> None:
    assert cleaned(value, strip=(unit,)) == "1000"


def test_units_that_are_told_apart_by_more_than_their_width_stay() -> None:
    assert cleaned("₩1000", strip=("$",)) == "₩1000"
    assert cleaned("＄1000", strip=("$",)) == "1000"  # noqa: RUF001 — a wide dollar sign


@pytest.mark.parametrize(
    "value", ["(+82)10-1234-5678", "(82) 10-1234-5678", "8.21012345678E+11", "8.21012345678e11", "(010)1234-5678"]
)
def test_a_korean_number_is_read_with_its_country_code_in_brackets_or_all_digits_of_a_power(value: str) -> None:
    assert korean_number(value) == "821012345678"


@pytest.mark.parametrize(
    "value", ["010-1234-567", "8210 1234 567", "8.21012E+11", "8.2101234567E+11", "(81)10-1234-5678"]
)
def test_a_number_cut_short_is_none_of_korea(value: str) -> None:
    with pytest.raises(Unreadable):
        korean_number(value)
