"""An identity value that no person has is refused, or no value at all; any other one is sent as it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import identity_rules
from tests.plans import compile_plan
from uploader.mapping.identity_values import ODD_CODES, is_plain, odd_identity
from uploader.mapping.rules import CleaningRules, IdentityRule, MappingRules, PropertyRule
from uploader.model import Reason, Rejected, Request, Row

NOW = "2024-06-24T06:42:25.394Z"
IDENTITY = identity_rules({"external_id": "id", "email": "mail", "phone_no": "phone_no"})


def code(field: str, value: str, column: str = "col") -> str | None:
    found = odd_identity(field, column, value)
    assert found is None or found.is_absent == (found.reason.code == "id_nothing")
    return None if found is None else found.reason.code


def mapped(*, sends_odd: bool = False, null_values: tuple[str, ...] = ("",), **fields: object) -> Request | Rejected:
    rules = MappingRules(
        IDENTITY, (PropertyRule("n", "name"),), sends_odd_identities=sends_odd, null_values=null_values
    )
    columns = ("id", "mail", "phone_no", "name")
    row = Row(1, {**dict.fromkeys(columns, ""), "name": "Ann", **fields})
    plan = compile_plan(rules, source="p", config="c", columns=columns)
    done = plan.map_row(row, NOW)
    assert plan.person(row) == done.person
    return done


def warned(request: Request | Rejected, *, sends_odd: bool = False) -> list[str]:
    assert isinstance(request, Request)
    rules = MappingRules(IDENTITY, (PropertyRule("n", "name"),), sends_odd_identities=sends_odd)
    plan = compile_plan(rules, source="p", config="c", columns=None)
    assert plan.map_row(request.row, NOW) == request
    return [reason.code for reason in plan.suspect(request)]


@pytest.mark.parametrize(
    "word",
    [
        "NULL",
        "null",
        "(null)",
        "<null>",
        "N/A",
        "n/a",
        "#N/A",
        "-",
        "--",
        "nan",
        "NaN",
        "None",
        "\\N",
        "NA",
        "<NA>",
        "없음",
        "해당없음",
        ".",
        "?",
        " ",
        "   ",
        " NULL ",
        "#REF!",
        "####",
        "—",
        "NaT",
        "undefined",
    ],
)
def test_a_word_for_nothing_is_no_value(word: str) -> None:
    assert code("external_id", word) == "id_nothing"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("1001.0", "id_float"),
        ("1001.00", "id_float"),
        ("-1.0", "id_float"),
        ("8.21012E+11", "id_power"),
        ("8,21E+11", "id_power"),
        ("1E+10", "id_power"),
        ("1.0012345E7", "id_power"),
        ("1,001", "id_grouped"),
        ("12,345,678", "id_grouped"),
        ("=001", "id_formula"),
        ('="00126"', "id_formula"),
        ("'00127", "id_apostrophe"),
        ("\u2019001", "id_apostrophe"),
        ('"001"', "id_quotes"),
        ("col", "header_again"),
        ("Col", "header_again"),
        ("001\u200b", "id_invisible"),
        ("\ufeff001", "id_invisible"),
        ("0\x1f01", "id_invisible"),
        ("0\t01", "id_invisible"),
        ("001\n", "id_invisible"),
        ("0\xa001", "id_invisible"),
        ("0\u202e01", "id_invisible"),
        ("001\u3164", "id_invisible"),
        ("0\xad01", "id_invisible"),
        (" 1001.0 ", "id_float"),
        ("\ufffd\ufffd", "id_replacement"),
        ("占쏙옙", "id_mojibake"),
        ("홍길동".encode().decode("latin-1"), "id_invisible"),
        ("홍길동".encode("euc-kr").decode("latin-1"), "id_mojibake"),
        ("민나".encode().decode("cp949"), "id_mojibake"),
    ],
)
def test_what_a_program_spoiled_is_odd(value: str, found: str) -> None:
    assert code("external_id", value) == found
    assert found in ODD_CODES


@pytest.mark.parametrize(
    "value",
    [
        "00123",
        "1001",
        "1.5",
        "1e5",
        "12e3",
        "a+E+11",
        "0x1F",
        "ann",
        "Ann Lee",
        "홍길동",
        "책",
        "金民洙",
        "Müller",
        "a.b",
        "na",
        "none1",
        "user-1",
        "1,5",
        "a=b",
        "O'Neil",
        "b64+/==",
        "550e8400-e29b-41d4-a716-446655440000",
        "é",
        "0",
    ],
)
def test_an_id_as_programs_give_it_is_not_odd(value: str) -> None:
    assert code("external_id", value) is None


@pytest.mark.parametrize("value", ["821012345678", "82212345678", "8221234567", "8250512345678"])
def test_a_phone_number_as_the_api_has_it_is_not_odd(value: str) -> None:
    assert code("phone_no", value) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("010-1234-5678", "phone_form"),
        ("+82 10-1234-5678", "phone_form"),
        ("02)123-4567", "phone_form"),
        ("01012345678", "phone_form"),
        ("8201012345678", "phone_form"),
        ("abc", "phone_form"),
        ("1012345678", "phone_zero"),
        ("010-****-5678", "id_masked"),
        ("010-XXXX-5678", "id_masked"),
    ],
)
def test_a_phone_number_in_another_form_is_sent_with_a_warning(value: str, found: str) -> None:
    odd = odd_identity("phone_no", "휴대폰", value)

    assert odd is not None
    assert (odd.is_sent, odd.is_absent, odd.reason.code) == (True, False, found)


def test_the_warning_of_a_phone_number_has_the_line_to_type() -> None:
    plain, quoted = (odd_identity("phone_no", column, "01012345678") for column in ("휴대폰", "전화: 1"))

    assert plain is not None
    assert plain.reason.phrase == (
        "column '휴대폰' → phone_no: not a phone number as the API has it (821012345678); "
        "write phone_no: {column: 휴대폰, phone: KR}"
    )
    assert quoted is not None
    assert quoted.reason.phrase.endswith('write phone_no: {column: "전화: 1", phone: KR}')


@pytest.mark.parametrize(
    ("field", "value"),
    [("email", "ab***@naver.com"), ("external_id", "hong**"), ("external_id", "홍●●"), ("line_user_id", "U12＊＊")],  # noqa: RUF001 — wide asterisks
)
def test_a_masked_value_is_sent_with_a_warning(field: str, value: str) -> None:
    odd = odd_identity(field, "col", value)

    assert odd is not None
    assert (odd.is_sent, odd.reason.code) == (True, "id_masked")


@pytest.mark.parametrize("value", ["합계", "소계", "총계", "합 계", "Total", "TOTAL", "Grand Total", "Sum", " 합계"])
def test_a_line_of_totals_among_ids_is_sent_with_a_warning(value: str) -> None:
    odd = odd_identity("external_id", "col", value.strip())

    assert odd is not None
    assert (odd.is_sent, odd.reason.code) == (True, "totals_line")
    assert code("external_id", value) == ("id_space" if value.startswith(" ") else "totals_line")


@pytest.mark.parametrize(
    ("field", "found"), [("email", "id_nothing"), ("phone_no", "id_nothing"), ("external_id", None)]
)
@pytest.mark.parametrize("value", ["0", "000"])
def test_zeros_alone_are_no_address_and_no_number_but_may_be_an_id(field: str, value: str, found: str | None) -> None:
    assert code(field, value) == found


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("001\u200b", "at an end; expected none (`trim: true` removes it)"),
        ("0\u200b01", "inside, or one that `trim` leaves at an end; expected none"),
        ("\u200b0\u200b01", "inside, or one that `trim` leaves at an end; expected none"),
        ("001\ufe0f", "inside, or one that `trim` leaves at an end; expected none"),
        ("001\u2800", "inside, or one that `trim` leaves at an end; expected none"),
    ],
)
def test_trim_is_named_only_where_it_helps(value: str, words: str) -> None:
    odd = odd_identity("external_id", "id", value)

    assert odd is not None
    assert odd.reason.phrase == f"column 'id' → external_id: holds a control or invisible character {words}"


@pytest.mark.parametrize("value", ["8.21012E+11", "1E+10"])
def test_a_phone_number_in_scientific_notation_has_a_code_of_its_own(value: str) -> None:
    assert code("phone_no", value) == "phone_power"


@pytest.mark.parametrize(
    "value",
    ["a@example.com", "A.B+c@ex-ample.co.kr", "kim@한국.com", "kim@회사.한국", "k@x.xn--3e0b707e", "a..b@docomo.ne.jp"],
)
def test_an_address_with_a_domain_is_not_odd(value: str) -> None:
    assert code("email", value) is None


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "a@",
        "@example.com",
        "none@none",
        "a@localhost",
        "a@@example.com",
        "a@example.c",
        "a@example.123",
        "a@1.2.3.4",
        "a@example..com",
        "a@-example.com",
        "a@example-.com",
        "a@example.com.",
        "a@.com",
        "Kim <a@example.com>",
        "a@example.com, b@example.com",
        "mailto:a@example.com",
        "a b@example.com",
        "1001.0",
    ],
)
def test_an_address_without_a_valid_domain_is_odd(value: str) -> None:
    assert code("email", value) == "email_domain"


@given(st.sampled_from(["external_id", "email", "phone_no"]), st.text(max_size=8) | st.from_regex(r"[0-9.,eE+-]{1,6}"))
def test_what_is_plain_at_one_glance_is_not_odd_at_a_second(field: str, value: str) -> None:
    if is_plain(field, "col", value):
        assert code(field, value + " ") == "id_space"
        assert not value.casefold().startswith(("=", "'", '"'))


def test_the_phrase_names_column_and_field_and_what_was_expected_but_no_value() -> None:
    done = mapped(id="1001.0")

    assert isinstance(done, Rejected)
    assert done.reason == Reason(
        "id_float",
        "column 'id' → external_id: a number with .0, as programs write it that took the ID for one; "
        "expected the ID without .0",
    )
    assert done.person == ()


def test_a_column_called_as_its_field_is_named_once() -> None:
    done = mapped(phone_no="8.2E+11")

    assert isinstance(done, Rejected)
    assert done.reason == Reason(
        "phone_power", "column 'phone_no': a phone number in scientific notation, cut short; expected all of its digits"
    )


def test_a_word_for_nothing_is_absent_and_warned_of_where_another_identity_is_left() -> None:
    done = mapped(id="7", mail="N/A", phone_no="-")

    assert done.person == ("external_id=7",)
    assert warned(done) == ["id_nothing", "id_nothing"]


def test_a_row_with_nothing_but_words_for_nothing_has_no_identity() -> None:
    done = mapped(id="NULL", mail="N/A")

    assert isinstance(done, Rejected)
    assert done.reason == Reason("no_identity", "no identity: nothing in 'id', 'mail', 'phone_no'")


def test_what_null_values_names_is_empty_without_a_warning() -> None:
    rules = MappingRules(IDENTITY, (PropertyRule("n", "name"),), null_values=("", "N/A"))
    plan = compile_plan(rules, source="p", config="c", columns=None)
    done = plan.map_row(Row(1, {"id": "7", "mail": "N/A", "name": "Ann"}), NOW)

    assert isinstance(done, Request)
    assert plan.suspect(done) == []


def test_one_odd_value_rejects_the_row_whatever_else_it_names() -> None:
    done = mapped(id="7", mail="a@b")

    assert isinstance(done, Rejected)
    assert (done.reason.code, done.person) == ("email_domain", ("external_id=7",))


def test_a_line_of_dashes_is_called_so() -> None:
    done = mapped(id="-----", mail="--", name="----")

    assert isinstance(done, Rejected)
    assert done.reason == Reason(
        "dash_line", "column 'id' → external_id: a line of dashes among the records; expected a record"
    )


@pytest.mark.parametrize("value", [" 001", "001 ", " Ann Lee "])
def test_a_space_at_an_end_is_sent_with_a_warning(value: str) -> None:
    done = mapped(id=value)

    assert done.person == (f"external_id={value}",)
    assert warned(done) == ["id_space"]


def test_where_odd_identities_are_sent_they_are_sent_as_they_stand_with_a_warning() -> None:
    done = mapped(id="1001.0", mail="N/A", sends_odd=True)

    assert done.person == ("external_id=1001.0", "email=N/A")
    assert warned(done, sends_odd=True) == ["id_float", "id_nothing"]


def cleaned(cleaning: CleaningRules, value: str, *, field: str = "email") -> Request | Rejected:
    """Return what becomes of a row with a plain ID, and with *value* in an identity *field* that is cleaned."""
    identity = (IdentityRule("external_id", "id"), IdentityRule(field, "col", cleaning))
    rules = MappingRules(identity, (PropertyRule("n", "name"),), hash_key=b"key" * 8)
    plan = compile_plan(rules, source="p", config="c", columns=None)
    done = plan.map_row(Row(1, {"id": "7", "col": value, "name": "Ann"}), NOW)
    counted = plan.repairs.copy()
    if isinstance(done, Request):
        assert [reason.code for reason in plan.suspect(done)] == (["id_nothing"] if len(done.person) == 1 else [])
    assert plan.repairs == counted
    return done


@pytest.mark.parametrize(
    "cleaning",
    [
        CleaningRules(phone="KR"),
        CleaningRules(case="lower"),
        CleaningRules(hash="hmac-sha256"),
        CleaningRules(values=(("a", "A"),)),
        CleaningRules(trim=True, case="upper", hash="hmac-sha256"),
    ],
)
@pytest.mark.parametrize("word", ["NA", "N/A", "-"])
def test_no_cleaning_makes_a_value_of_a_word_for_nothing(cleaning: CleaningRules, word: str) -> None:
    assert cleaned(cleaning, word).person == ("external_id=7",)


def test_where_odd_identities_are_sent_a_word_for_nothing_is_cleaned_like_any_other() -> None:
    rules = MappingRules(
        (IdentityRule("email", "col", CleaningRules(case="lower")),),
        (PropertyRule("n", "name"),),
        sends_odd_identities=True,
    )
    plan = compile_plan(rules, source="p", config="c", columns=None)

    assert plan.map_row(Row(1, {"col": "N/A", "name": "Ann"}), NOW).person == ("email=n/a",)


def test_the_look_follows_the_cleaning() -> None:
    assert cleaned(CleaningRules(trim=True), " a@example.com\u200b").person == ("external_id=7", "email=a@example.com")
    assert cleaned(CleaningRules(strip=(".0",)), "821012345678.0", field="phone_no").person == (
        "external_id=7",
        "phone_no=821012345678",
    )


def test_what_is_hashed_is_looked_at_before_its_hash() -> None:
    hashes = CleaningRules(hash="hmac-sha256")
    odd, fine = cleaned(hashes, "a@b"), cleaned(hashes, "a@example.com")

    assert isinstance(odd, Rejected)
    assert odd.reason.code == "email_domain"
    assert isinstance(fine, Request)
    assert len(fine.person[1]) == len("email=") + 64
