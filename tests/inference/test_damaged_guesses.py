"""What is proposed for IDs, phones, amounts and times that programs and spreadsheets wrote in their own ways."""

import pytest

from tests.inference.guessed import drafted, guessed, identity_lines, lines, lines_of, rule, written_identities

WHOLE_FLOATS = (
    "REVIEW: whole numbers like 20.0, as programs write them where some are missing, are sent as 20; for a Double, "
    "write type: double without strip"
)


def reviews(values: list[object], name: str = "it", *, is_csv: bool = True) -> list[str]:
    """Return what a human has to look at in a column of *values*."""
    return lines(values, name, is_csv=is_csv)[0].split("  # REVIEW: ")[1:]


def people_of(column: str, values: list[object]) -> list[dict[str, object]]:
    return [{"user_id": str(at), column: value, "city": "Seoul"} for at, value in enumerate(values)]


def identities_of(rows: list[dict[str, object]]) -> list[str]:
    kinds = dict.fromkeys(rows[0], "string") | {name: "double" for name, it in rows[0].items() if isinstance(it, float)}
    return [line for line in identity_lines(drafted(rows, kinds=kinds)) if not line.startswith("#")]


# identities


def test_ids_that_parquet_holds_as_numbers_with_a_fraction_are_whole_again() -> None:
    rows: list[dict[str, object]] = [
        {"customer_id": 1001.0 + at if at % 20 else None, "phone": 1012340000.0 + at, "city": "x"}
        for at in range(1, 41)
    ]

    assert identities_of(rows) == [
        'external_id: {column: customer_id, strip: [".0"]}',
        "phone_no: {column: phone, phone: KR}",
    ]


def test_a_column_of_fractions_identifies_nobody() -> None:
    rows: list[dict[str, object]] = [{"user_id": 1.5 + at, "email": f"a{at}@example.com", "x": "y"} for at in range(40)]

    assert identities_of(rows) == ["email: email"]


def test_ids_with_separators_of_thousands_are_freed_of_them() -> None:
    rows = [{"user_id": f"{1 + at},{500 + at}" if at else "999", "city": "Seoul"} for at in range(30)]

    assert identity_lines(guessed(rows)) == [
        "# REVIEW: 29 values are written with separators of thousands, and freed of them: rows 2, 3, 4",
        "# and 26 more",
        'external_id: {column: user_id, thousands: ","}',
    ]


def test_ids_that_may_have_lost_their_zeros_are_for_a_human() -> None:
    rows = [{"user_id": [f'="{126 + at:05}"', f"{126 + at}", f"{126 + at:05}"][at % 3], "a": "b"} for at in range(30)]

    assert identity_lines(guessed(rows))[2:] == [
        "# REVIEW: 10 values are shorter than those with a leading zero; did a spreadsheet take theirs",
        "# away? Rows 2, 5, 8 and 7 more",
        'external_id: {column: user_id, strip: ["=\\"", "\\""]}',
    ]


def test_ids_of_one_length_have_lost_no_zeros() -> None:
    rows = [{"user_id": f"{at * 7919:06}", "a": "b"} for at in range(60)]

    assert identity_lines(guessed(rows)) == ["external_id: user_id"]


@pytest.mark.parametrize("mark", ["'{}", '="{}"'])
def test_a_phone_number_with_the_mark_of_a_spreadsheet_is_one(mark: str) -> None:
    rows = people_of("phone", [mark.format(f"+8210{30000000 + at}") for at in range(40)])

    strip = '["=\\"", "\\""]' if "=" in mark else '["\'", "‘", "’"]'  # noqa: RUF001 — spreadsheets write either
    assert written_identities(rows)[1] == f"phone_no: {{column: phone, strip: {strip}, phone: KR}}"


def test_values_that_are_repaired_or_count_as_none_do_not_reject_their_rows() -> None:
    values: list[object] = [f'="010-2222-{at:04}"' if at % 3 else "000-0000-0000" for at in range(40)]

    found = identity_lines(guessed(people_of("phone", values)))

    assert [line for line in found if "reject" in line] == []


def test_of_several_phone_numbers_the_mobile_one_identifies_a_person() -> None:
    rows: list[dict[str, object]] = [
        {"user_id": str(at), "전화번호": f"02-555-{1000 + at}", "휴대폰": f"010-2222-{at:04}" if at % 5 else ""}
        for at in range(40)
    ]

    guess = guessed(rows)

    assert identity_lines(guess)[1:] == [
        "# by its name and because all 32 values look like a phone number",
        "# REVIEW: '전화번호' holds a phone number, too; that this one identifies a person is a guess",
        "phone_no: {column: 휴대폰, phone: KR}",
    ]
    assert lines_of(guess) == ["전화번호: {column: 전화번호, phone: KR}  # all 40 values are phone numbers of Korea"]


def test_a_land_line_in_a_column_whose_name_ends_in_a_phone_is_cleaned() -> None:
    assert (
        rule([f"02-555-{1000 + at}" for at in range(9)], "비상 연락처")
        == "비상 연락처: {column: 비상 연락처, phone: KR}"
    )


def test_the_apostrophe_before_codes_is_removed_and_that_of_a_text_stays() -> None:
    assert rule(["'06001", "'06002"], "zip") == 'zip: {column: zip, strip: ["\'", "‘", "’"]}'  # noqa: RUF001 — as above
    assert rule(["'12", "13"]) == 'it: {column: it, type: long, strip: ["\'", "‘", "’"]}'  # noqa: RUF001 — as above
    assert rule(["'90s kid", "b", "c"]) == "it: it"


# numbers


@pytest.mark.parametrize("is_csv", [True, False])
def test_whole_numbers_with_gaps_that_a_program_wrote_as_fractions_are_whole(is_csv: bool) -> None:  # noqa: FBT001 — a parameter
    values: list[object] = ["20.0", "", "21.0"] if is_csv else [20.0, None, 21.0]

    assert rule(values, is_csv=is_csv) == 'it: {column: it, type: long, strip: [".0"]}'
    assert lines(values, is_csv=is_csv)[0].endswith(WHOLE_FLOATS)


def test_fractions_of_zero_without_gaps_are_meant() -> None:
    assert rule(["20.0", "21.0"]) == "it: {column: it, type: double}"
    assert rule([20.0, 21.0], is_csv=False) == "it: it"


def test_the_dash_that_a_spreadsheet_shows_for_0_is_no_text() -> None:
    assert rule([" ₩- ", " ₩1,000 ", "₩5,000"]) == (
        'it: {column: it, type: long, null_values: ["-"], trim: true, strip: ["₩"], thousands: ","}'
    )
    assert reviews([" ₩- ", " ₩1,000 ", "₩5,000"]) == [
        "a dash beside a unit, which spreadsheets show for 0, counts as none (null_values): row 1"
    ]


def test_amounts_in_parentheses_are_for_a_human() -> None:
    assert reviews(["(5,000)", "1,000", "(2,000)", "3"]) == [
        "2 values are in parentheses, negative amounts that no step reads: rows 1, 3. Write them with a minus sign"
    ]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (
            ["1,500", "2,750"],
            ['that "," parts thousands is a guess; for a decimal mark, write type: double, decimal: "," instead'],
        ),
        (
            ["1.500", "2.750"],
            ['that "." is the decimal point is a guess; for thousands, write type: long, thousands: "."'],
        ),
        (["1,500", "5"], []),
        (["1,500", "2,750,000"], []),
        (["1,500원", "2,750원"], []),
        (["1.500", "2.75"], []),
    ],
)
def test_one_mark_before_three_digits_everywhere_is_for_a_human(values: list[object], found: list[str]) -> None:
    assert reviews(values) == found


def test_a_column_that_is_a_text_for_its_bad_cells_is_for_a_human() -> None:
    values: list[object] = [str(20 + at) if at % 6 else "thirty" for at in range(60)]

    assert reviews(values, "age") == ["a text, since only 50 of 60 are numbers (not rows 1, 7, 13 and 7 more)"]


def test_digits_in_texts_of_json_are_numbers_unless_their_name_or_a_zero_says_a_code() -> None:
    review = ["numbers that are written as texts; if they are codes, leave out the type"]

    assert rule(["12", "3"], "orders", is_csv=False) == "orders: {column: orders, type: long}"
    assert reviews(["7143041.5", "3"], "ltv", is_csv=False) == review
    assert rule(["12", "3"], "customerCode", is_csv=False) == "customerCode: customerCode"
    assert rule(["007", "3"], is_csv=False) == "it: it"


def test_texts_of_digits_in_parquet_are_meant() -> None:
    rows: list[dict[str, object]] = [{"user_id": "1", "it": "12"}]

    assert lines_of(drafted(rows, kinds={"user_id": "string", "it": "string"})) == ["it: it  # text"]


def test_a_column_that_is_null_in_every_row_is_left_out() -> None:
    assert lines([None, None], is_csv=False) == [
        "# LEFT OUT: it: null in every row; mapped, each null would clear the property"
    ]


@pytest.mark.parametrize(
    ("values", "name", "form"),
    [
        (["1772703000", "1772703005"], "ts_s", "unix"),
        (["1772703000000"], "opened_ms", "unix_ms"),
        ([1772703000000], "lastMs", "unix_ms"),
        (["1772703000000000"], "event_ts_micros", "unix_us"),
        ([1772703000], "ts", "unix"),
    ],
)
def test_the_unit_at_the_end_of_a_name_tells_that_a_number_is_a_time(
    values: list[object], name: str, form: str
) -> None:
    is_csv = isinstance(values[0], str)

    assert rule(values, name, is_csv=is_csv) == f"{name}: {{column: {name}, type: datetime, format: {form}}}"


def test_a_unit_in_a_name_makes_no_times_of_small_numbers() -> None:
    assert rule(["120", "340"], "duration_ms") == "duration_ms: {column: duration_ms, type: long}"
    assert rule([20240102, 20240103], "size_s", is_csv=False) == "size_s: size_s"


@pytest.mark.parametrize("values", [["1772703000000", "1772703000001"], [1772703000000, 1772703000001]])
def test_large_numbers_that_may_be_times_are_for_a_human(values: list[object]) -> None:
    assert reviews(values, is_csv=isinstance(values[0], str)) == [
        "may be times since 1970; then write type: datetime, format: unix_ms"
    ]


def test_times_that_end_in_kst_are_times_in_seoul_and_no_guess() -> None:
    values: list[object] = ["2024-03-05 09:30:00 KST", "2024-03-05 09:31:00 KST"]

    assert lines(values) == [
        (
            'it: {column: it, type: datetime, format: "%Y-%m-%d %H:%M:%S KST", timezone: Asia/Seoul}  # all 2 values '
            "are times"
        )
    ]


def test_times_that_end_in_the_name_of_another_zone_are_for_a_human() -> None:
    assert reviews(["2024-03-05 09:30:00 PST"]) == [
        "times with the name of a zone, which no format reads; write them with an offset"
    ]


def test_a_gender_with_many_unknown_words_costs_nobody_the_row() -> None:
    assert rule(["M" if at % 3 else "Z" for at in range(40)], "gender") == (
        "df_gender: {column: gender, values: {M: Male, F: Female}, on_error: omit}"
    )


@pytest.mark.parametrize("is_csv", [True, False])
def test_a_built_in_text_of_digits_stays_a_text(is_csv: bool) -> None:  # noqa: FBT001 — a parameter
    assert rule(["3", "4"], "df_birth", is_csv=is_csv) == "df_birth: df_birth"
    assert rule(["3", "4"], "df_name", is_csv=is_csv) == "df_name: df_name"
