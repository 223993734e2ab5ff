"""What is proposed for values as CRMs, spreadsheets and databases export them."""

from collections.abc import Sequence

import pytest
import yaml

from tests.inference.guessed import drafted, guessed, identity_lines, lines, lines_of, rule, written_identities
from uploader.inference import SourceText, spell
from uploader.text_width import width


def repeated(values: Sequence[str], times: int = 20) -> list[str]:
    return [*values] * times


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (["7,143,041원", "₩1,000", "3"], 'type: long, strip: [원, "₩"], thousands: ","'),
        (["$1,234.50", "$2"], 'type: double, strip: ["$"], thousands: ","'),
        (["1.234,50", "12,5", "3"], 'type: double, thousands: ".", decimal: ","'),
        (["12,5", "3,25"], 'type: double, decimal: ","'),
        (["1 234", "5"], 'type: long, thousands: " "'),
        (["14,070점", "5 점"], 'type: long, strip: [점], thousands: ","'),
        (["-1,000원", "0원"], 'type: long, strip: [원], thousands: ","'),
        (["31세", "4세"], "type: long, strip: [세]"),
        (["1", "2.5", "3"], "type: double"),
    ],
)
def test_amounts_become_numbers(values: list[str], written: str) -> None:
    assert rule(values) == f"it: {{column: it, {written}}}"


@pytest.mark.parametrize(
    "values",
    [["12-34", "5"], ["14,070", "1,234", "12,34"], ["1,23,4", "5"], ["0,123원", "x"], ["5만원", "3만원"], ["#1", "2"]],
)
def test_what_no_step_can_clean_stays_a_text(values: list[str]) -> None:
    assert rule(values) == "it: it"


def test_units_of_different_kinds_are_for_a_human() -> None:
    assert lines(["1,000원", "$5"])[0].endswith("REVIEW: several units become one number: 원, $")


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (["2024.03.05", "2024-04-06", "20240507"], 'type: date, format: ["%Y%m%d", "%Y-%m-%d", "%Y.%m.%d"]'),
        (["2024-03-05 오후 3:12:00"], 'type: datetime, format: "%Y-%m-%d %p %I:%M:%S", timezone: Asia/Seoul'),
        (["2024-03-05 3:12 PM"], 'type: datetime, format: "%Y-%m-%d %I:%M %p", timezone: Asia/Seoul'),
        (["2024. 3. 5. 오전 3:12"], 'type: datetime, format: "%Y. %m. %d. %p %I:%M", timezone: Asia/Seoul'),
        (["2024년 3월 5일"], 'type: date, format: "%Y년 %m월 %d일"'),
        (["2024-03-05 09:30:00 UTC", "2024-03-05 09:30:00.1 UTC"], "type: datetime"),
        (
            ["2024/03/05 09:30:00", "2024/03/05 09:30:00.1"],
            'type: datetime, format: "%Y/%m/%d %H:%M:%S.%f", timezone: Asia/Seoul',
        ),
        (["1709600000", "1709600001"], "type: datetime, format: unix"),
        (["1709600000123"], "type: datetime, format: unix_ms"),
        (["45356", "45357"], "type: date, format: excel"),
        (["45356.63333", "45357"], "type: datetime, format: excel, timezone: Asia/Seoul"),
        (["05-Mar-2024"], 'type: date, format: "%d-%b-%Y"'),
        (["2024-01-02", "0000-00-00"], 'type: date, null_values: ["0000-00-00"]'),
        (["2024-01-02", "없음", "-"], 'type: date, null_values: ["-", 없음]'),
    ],
)
def test_dates_and_times_get_the_formats_that_they_have(values: list[str], written: str) -> None:
    assert rule(values, "joined_at") == f"joined_at: {{column: joined_at, {written}}}"


@pytest.mark.parametrize("values", [["1709600000", "1709600001"], ["45356", "45357"], ["240305", "240306"]])
def test_plain_numbers_are_times_only_by_their_name(values: list[str]) -> None:
    assert rule(values) == "it: {column: it, type: long}"


def test_a_birth_date_of_two_digits_gets_the_year_of_today_as_its_pivot() -> None:
    assert rule(["690101", "500303"], "생년월일") == (
        'df_birth: {column: 생년월일, type: date, format: "%y%m%d", pivot: 26}'
    )


def test_a_birth_date_with_a_time_is_a_date() -> None:
    assert rule(["1990-03-05 00:00:00"], "birth") == (
        'df_birth: {column: birth, type: date, format: "%Y-%m-%d %H:%M:%S"}'
    )


def test_a_birth_date_stays_one_though_many_are_none() -> None:
    values = [*repeated(["1990-03-05", "1991-04-06"], 30), *repeated(["no date"], 40)]

    written = lines(values, "birth")[0]

    assert written.startswith("df_birth: {column: birth, type: date, on_error: omit}  # ")
    assert written.endswith("REVIEW: 40 values are not a date, and omitted (on_error): rows 61, 62, 63 and 37 more")


def test_three_bad_cells_do_not_make_a_text() -> None:
    written = lines([*map(str, range(27)), "x", "y", "z"])[0]

    assert written == (
        "it: {column: it, type: long}  # 27 of 30 values are whole numbers  # REVIEW: 3 values are not a whole number, "
        "which rejects their rows: rows 28, 29, 30"
    )


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (["남", "여"], "values: {남: Male, 여: Female}"),
        (["M", "F", "U"], "null_values: [U], values: {M: Male, F: Female}"),
        (["남", "남"], "values: {남: Male, 여: Female}"),
        (["남자", "기타"], "values: {남자: Male, 기타: Other, 여자: Female}"),
        (["1", "2"], 'values: {"1": Male, "2": Female}'),
        (["M", "F", "N", "성별선택안함"], 'null_values: ["N", 성별선택안함], values: {M: Male, F: Female}'),
    ],
)
def test_genders_are_sent_as_the_constants_of_the_service(values: list[str], written: str) -> None:
    assert rule(values, "성별") == f"df_gender: {{column: 성별, {written}}}"


def test_genders_that_are_constants_stay_as_they_are() -> None:
    assert rule(["Male", "Female"], "gender") == "df_gender: gender"


def test_a_gender_of_codes_is_for_a_human() -> None:
    assert lines(["1", "2"], "gender")[0].endswith("REVIEW: that 1 is Male and 2 is Female is a guess")


@pytest.mark.parametrize(
    ("values", "name", "written"),
    [
        (repeated(["a|b", "a", "b|c|a"]), "it", 'type: "array<string>"'),
        (["a;b"], "tags", 'type: "array<string>", separator: ";"'),
        (["a, b", "c"], "관심분야", 'type: "array<string>", trim: true, separator: ","'),
        (["1|2", "3"], "tags", 'type: "array<long>"'),
        (["01|2", "3"], "tags", 'type: "array<string>"'),
    ],
)
def test_texts_with_separators_become_arrays(values: list[str], name: str, written: str) -> None:
    kind, _, rest = written.partition(", trim: true")
    parts = [kind, *filter(None, rest.split(", "))] + (["trim: true"] if "trim: true" in written else [])

    found = rule(values, name)

    assert found.startswith(f"{name}: {{column: {name}, {kind}")
    assert all(part in found for part in parts)


@pytest.mark.parametrize(
    "values", [["서울, 강남구", "서울, 서초구"], ["a|b", "c|d"], ["hello, world. how", "are, you"]]
)
def test_a_text_with_commas_is_no_array(values: list[str]) -> None:
    assert rule(repeated(values)) == "it: it"


def test_spaces_and_words_for_nothing_are_cleaned_where_they_are() -> None:
    assert rule(["Seoul ", "\u200bBusan", "NULL", "N/A", "\\N"]) == (
        'it: {column: it, null_values: ["NULL", N/A, "\\\\N"], trim: true}'
    )


def test_a_text_that_says_there_is_none_is_information() -> None:
    assert rule(["없음", "땅콩"], "알레르기") == "알레르기: 알레르기"


def test_a_column_with_nothing_but_words_for_nothing_is_left_out() -> None:
    assert lines(["NULL", "-", " "]) == ["# LEFT OUT: it: empty in every row"]


def test_a_phone_number_beside_the_identity_is_cleaned_too() -> None:
    rows = [{"phone": f"010-2222-{at:04}", "other": f"010 3333 {at:04}"} for at in range(5)]

    assert lines_of(drafted(rows, is_csv=True)) == [
        "other: {column: other, phone: KR}  # all 5 values are phone numbers of Korea"
    ]


def people(count: int, **more: str) -> list[dict[str, object]]:
    return [{"user_id": f"u{at}", "email": f"p{at}@example.com", "name": "k", **more} for at in range(count)]


def test_the_cleaning_of_identities_is_what_their_values_need() -> None:
    rows = people(30)
    rows[3]["email"], rows[4]["user_id"], rows[5]["email"] = " a@example.com", "u4\u200b", "N/A"
    for at, row in enumerate(rows):
        row["phone"] = f"010-2222-{at:04}"

    assert written_identities(rows) == [
        "external_id: {column: user_id, trim: true}",
        "email: {column: email, null_values: [N/A], trim: true}",
        "phone_no: {column: phone, phone: KR}",
    ]


def test_ids_that_a_program_made_numbers_are_repaired() -> None:
    rows = [{"user_id": f"{1000 + at}.0", "city": "Seoul"} for at in range(30)]

    assert identity_lines(guessed(rows)) == [
        "# REVIEW: 30 values are damaged by a program or a spreadsheet, and repaired (strip): rows 1, 2,",
        "# 3 and 27 more",
        'external_id: {column: user_id, strip: [".0"]}',
    ]


@pytest.mark.parametrize("shared", ["shop@example.com", "nobody", "none@none.com"])
def test_a_value_beside_more_than_five_people_counts_as_none(shared: str) -> None:
    rows = people(200)
    for at in range(0, 60, 10):
        rows[at]["email"] = shared

    written = written_identities(rows)

    assert written[1] in {
        f"email: {{column: email, null_values: [{shared}]}}",
        f'email: {{column: email, null_values: ["{shared}"]}}',
    }


def test_a_shared_number_is_none_in_each_of_its_spellings() -> None:
    rows = [{"user_id": str(at), "phone": f"010-2222-{at:04}", "a": "b"} for at in range(50)]
    for at, spelling in enumerate(["02-555-0100", "02 555 0100", "025550100", "02-555-0100"] * 2):
        rows[at]["phone"] = spelling

    assert written_identities(rows)[1] == (
        'phone_no: {column: phone, null_values: ["02-555-0100", "02 555 0100", "025550100"], phone: KR}'
    )


def test_a_value_of_one_person_in_many_rows_is_no_placeholder() -> None:
    rows = [{"user_id": str(at // 10), "email": f"p{at // 10}@example.com", "a": "b"} for at in range(100)]

    assert written_identities(rows) == ["external_id: user_id", "email: email"]


def test_a_phone_column_that_would_reject_too_many_rows_is_no_identity() -> None:
    rows = [
        {"user_id": str(at), "phone": f"010-2222-{at:04}" if at % 2 else f"call me {at}", "a": "b"} for at in range(100)
    ]

    guess = guessed(rows)

    assert written_identities(rows) == ["external_id: user_id"]
    assert [each.column for each in guess.omissions] == ["phone"]


def test_a_hash_is_suggested_and_never_written() -> None:
    rows = [{"user_id": f"p{at}@example.com", "a": "b"} for at in range(30)]

    assert identity_lines(guessed(rows)) == [
        "# REVIEW: personal data as external_id; the service recommends a hash of it",
        "external_id: user_id",
        "# external_id: {column: user_id, hash: hmac-sha256}",
        "# … with hash_key: ${DFINERY_HASH_KEY} below mapping",
    ]


def test_reviews_come_in_the_order_of_their_harm() -> None:
    rows = people(30, push_optin="Y", joined_at="2024-01-02 03:04")
    for at, row in enumerate(rows):
        row["age"] = "x" if at == 3 else "30"
    rows[0]["email"] = rows[1]["email"] = "none@none.com"

    assert [column for column, _ in guessed(rows).reviews] == ["push_optin", "email", "age", "joined_at"]


def test_a_header_among_the_records_is_no_value() -> None:
    rows: list[dict[str, object]] = [{"user_id": str(at), "age": str(at)} for at in range(5)]
    rows.insert(2, {"user_id": "user_id", "age": "age"})

    assert lines_of(guessed(rows)) == ["age: {column: age, type: long}  # all 5 values are whole numbers"]


def test_registered_lists_the_types_of_what_is_no_built_in() -> None:
    rows = people(3, push_optin="Y", age="3", tags="a|b", since="2024-01-02")

    text = spell(guessed(rows), SourceText("s"))

    assert text.partition("\nregistered:\n")[2].partition("\n\n")[0].splitlines() == [
        "  age: long",
        '  tags: "array<string>"',
        "  since: date",
    ]


def test_comments_are_below_100_columns_and_begin_at_the_same_one() -> None:
    rows = people(30, **{"이름이아주긴컬럼입니다" * 4: "2024-01-02 03:04", "나이": "3", "도시": "서울", "z": "x"})
    rows[0]["나이"] = "x"

    written = spell(guessed(rows), SourceText("아주긴파일이름" * 12 + ".csv")).splitlines()

    comments = [line for line in written if line.lstrip().startswith("#")]
    lines_behind = [line for line in written if "  # " in line and not line.lstrip().startswith("#")]
    behind = [line.partition("  # ")[0] for line in lines_behind if line.startswith("    ")]
    assert max(width(line) for line in comments) < 100
    assert max(width(line) for line in written if "  # " in line) < 100
    assert {width(text) for text in behind} == {44}


def test_a_long_line_is_folded_behind_a_comma_and_means_the_same() -> None:
    times = [*["2024-03-05 오후 3:12:00"] * 3, *["2024.03.05 15:12:00"] * 2, "20240305 151200", "-", "없음"]
    name = "아주 긴, 이름 하나"

    text = spell(
        drafted([{"user_id": str(at), name: time} for at, time in enumerate(times)], is_csv=True), SourceText("s")
    )

    assert max(width(line) for line in text.splitlines()) < 100
    assert yaml.safe_load(text)["mapping"]["properties"][name] == {
        "column": name,
        "type": "datetime",
        "format": ["%Y-%m-%d %p %I:%M:%S", "%Y.%m.%d %H:%M:%S", "%Y%m%d %H%M%S"],
        "timezone": "Asia/Seoul",
        "null_values": ["-", "없음"],
    }
