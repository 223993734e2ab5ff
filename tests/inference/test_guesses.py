"""What is guessed of the columns of a file, and why."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.inference.guessed import drafted, lines, lines_of
from uploader.inference import FileProfile, guess_mapping
from uploader.inference.file_profile import MOST_COLUMNS
from uploader.model import Damaged, Reason, Row

UNSENT = "# LEFT OUT, REVIEW: it: 1 of its 1 value can't be sent (row 1)"
MANY = [f"{1990 + at // 12}{1 + at % 12:02}15" for at in range(40)]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (["1", "-20", "0"], "it: {column: it, type: long}  # all 3 values are whole numbers"),
        (["1", "007"], "it: it  # text: 1 of 2 are digits with a leading zero or a plus sign"),
        (["1", "+7"], "it: it  # text: 1 of 2 are digits with a leading zero or a plus sign"),
        (["1", "-0"], "it: it  # text: 1 of 2 are digits with a leading zero or a plus sign"),
        (["9223372036854775808"], "it: it  # text"),
        (["1", "2.50"], "it: {column: it, type: double}  # all 2 values are numbers"),
        (["1", "2e5"], "it: it  # text"),
        (["0.12345678901234567"], "it: it  # text"),
        (
            ["1,000", "2"],
            "it: {column: it, type: long, thousands: \",\"}  # all 2 values are whole numbers; thousands with ','",
        ),
        (["1", "", "3"], "it: {column: it, type: long}  # all 2 values are whole numbers"),
        (
            ["1", "0"],
            (
                "it: {column: it, type: long}  # all 2 values are whole numbers; if 0 and 1 mean no and yes, "
                "write type: boolean"
            ),
        ),
        (["Y", "n"], "it: {column: it, type: boolean}  # all 2 values are words for true and false"),
        (
            ["Y", "Y"],
            (
                "it: it  # text  # REVIEW: the same answer in every row that has one; if it is yes or no, write "
                "it: {column: it, type: boolean}"
            ),
        ),
        (["Y", "N", "?"], "it: it  # text"),
        (
            ["예", "아니오"],
            (
                "it: {column: it, type: boolean, true: [예], false: [아니오]}  # all 2 values are words for true and "
                "false, "
                "예 and 아니오"
            ),
        ),
        (["2024-01-02"], "it: {column: it, type: date}  # its only value is dates"),
        (["2024/1/2"], 'it: {column: it, type: date, format: "%Y/%m/%d"}  # its only value is dates'),
        (["2024.01.02"], 'it: {column: it, type: date, format: "%Y.%m.%d"}  # its only value is dates'),
        (MANY, 'it: {column: it, type: date, format: "%Y%m%d"}  # all 40 values are dates in digits'),
        (["20240102"], "it: it  # text  # REVIEW: whole numbers that may be dates; give it a type"),
        (
            ["03/04/2024"],
            "it: it  # text  # REVIEW: dates of which nobody can tell the day from the month; give it a format",
        ),
        (
            ["03/04/2024", "13/04/2024"],
            (
                'it: {column: it, type: date, format: "%d/%m/%Y"}  # all 2 values are dates; the day comes first, '
                "for only so all of them exist"
            ),
        ),
        (["2024-01-02T03:04:05Z"], "it: {column: it, type: datetime}  # its only value is times"),
        (
            ["2024-01-02 03:04"],
            (
                "it: {column: it, type: datetime, timezone: Asia/Seoul}  # its only value is times  # REVIEW: times "
                "without a zone are read as Asia/Seoul, a guess"
            ),
        ),
        (
            ["2024/01/02 03:04:05"],
            (
                'it: {column: it, type: datetime, format: "%Y/%m/%d %H:%M:%S", timezone: Asia/Seoul}  # its only '
                "value is "
                "times  # REVIEW: times without a zone are read as Asia/Seoul, a guess"
            ),
        ),
        # Clocks in Seoul were put forward over this half hour.
        (["1987-05-10 02:30:00"], "it: it  # text"),
        (["010-1234-5679"], "it: {column: it, phone: KR}  # its only value is phone numbers of Korea"),
        (["", ""], "# LEFT OUT: it: empty in every row"),
    ],
)
def test_the_type_of_texts_is_what_reads_them(values: list[str], line: str) -> None:
    rows = [{"user_id": str(at), "phone": "01012345678", "it": value} for at, value in enumerate(values)]

    assert lines_of(drafted(rows, is_csv=True)) == [line]


def test_a_few_values_of_another_type_reject_their_rows_and_are_named() -> None:
    values = [str(number) for number in range(300)]
    values[119] = "?"

    assert lines(values) == [
        (
            "it: {column: it, type: long}  # 299 of 300 values are whole numbers  # REVIEW: 1 value is not a whole "
            "number, which rejects its row: row 120"
        )
    ]


def test_the_digits_of_a_code_are_no_number() -> None:
    assert lines(["10", "20"], "우편번호") == [
        "우편번호: 우편번호  # text: by its name a code, whose digits are no number"
    ]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([1, 2], "it: it  # whole numbers"),
        ([1, 2.5], "it: {column: it, type: double}  # numbers, some of them whole"),
        (["007", 8], "it: {column: it, type: string}  # texts and whole numbers: as texts they stay what they are"),
        (
            [2**70, 1],
            "it: {column: it, type: string}  # whole numbers beyond 64 bits: as texts they stay what they are",
        ),
        ([True, False], "it: it  # true and false"),
        (
            ["1", "2"],
            (
                "it: {column: it, type: long}  # all 2 values are whole numbers  # REVIEW: numbers that are written as "
                "texts; if they are codes, leave out the type"
            ),
        ),
        (["2024-01-02"], "it: {column: it, type: date}  # its only value is dates"),
        ([["a"], []], "it: it  # lists of texts"),
        ([[1], [2.5, 1]], 'it: {column: it, type: "array<double>"}  # lists of numbers, some of them whole'),
        (
            [True, "a"],
            "# LEFT OUT, REVIEW: it: true and false in 1 row, texts in 1 row; no type reads them all",
        ),
        ([[True]], f"{UNSENT}: of a kind, or of a size, that the API has no type for"),
        ([{"a": 1}, {"a": 2, "b": {"c": "x"}}], "it.a: it.a  # whole numbers|it.b.c: it.b.c  # text"),
        ([{"a.b": 1}], "# LEFT OUT: it.a.b: the key of an object has a dot in it, which a path can't reach"),
        (
            [{"a": 1}, "x"],
            (
                "# LEFT OUT: it.a: its path is not the only one of this name, or leads through what is no object in "
                "some rows|# LEFT OUT: it: an object in some rows, something else in others"
            ),
        ),
    ],
)
def test_values_of_json_keep_their_types(values: list[object], line: str) -> None:
    assert lines(["k", *values][1:], is_csv=False) == line.split("|")


@pytest.mark.parametrize(
    ("kind", "value", "line"),
    [
        ("date", date(2024, 1, 2), "it: it  # dates"),
        ("datetime", datetime(2024, 1, 2, tzinfo=UTC), "it: it  # times"),
        (
            "naive datetime",
            datetime(2024, 1, 2),  # noqa: DTZ001 — that is its point
            (
                "it: {column: it, type: datetime, timezone: Asia/Seoul}  # times without a zone  # REVIEW: Asia/Seoul "
                "is a guess"
            ),
        ),
        (
            "naive datetime",
            None,
            "# LEFT OUT: it: empty in every row",
        ),
        ("other", None, "# LEFT OUT: it: empty in every row"),
        ("other", b"x", f"{UNSENT}: Binary is no type of the API; write it as text"),
        ("other", Decimal("1.5"), f"{UNSENT}: Decimal is no type of the API; write it as a float, or as text"),
        (
            "other",
            timedelta(1),
            f"{UNSENT}: Duration is no type of the API; write it as a number, such as its seconds",
        ),
        ("double", float("nan"), f"{UNSENT}: of a kind, or of a size, that the API has no type for"),
    ],
)
def test_columns_of_parquet_keep_their_types(kind: str, value: object, line: str) -> None:
    draft = drafted([{"user_id": "1", "it": value}], kinds={"user_id": "string", "it": kind})

    assert lines_of(draft) == [line]


def test_of_two_columns_for_one_key_the_one_of_that_very_name_has_it() -> None:
    row = {"user_id": "1", "push_optin": "Y", "df_push_optin": "N", "name": "a", "df_name": "b", "성명": "c"}

    assert [(it.key, it.column) for it in drafted([row], is_csv=True).properties] == [
        ("push_optin", "push_optin"),
        ("df_push_optin", "df_push_optin"),
        ("df_push_ads_optin", "df_push_optin"),
        ("name", "name"),
        ("df_name", "df_name"),
        ("성명", "성명"),
    ]


def test_a_birthday_that_is_no_date_stays_under_its_own_name() -> None:
    assert lines(["unknown"], "birth") == [
        "birth: birth  # text  # REVIEW: by its name df_birth, but it is of another type"
    ]


def test_a_column_of_too_many_large_values_is_left_out() -> None:
    assert lines(["y" * 9000] * 21) == [
        "# LEFT OUT, REVIEW: it: over 8 KB in 21 rows (rows 1, 2, 3 and 18 more), which would be rejected"
    ]


def test_a_few_values_that_are_no_numbers_do_not_cost_the_column() -> None:
    rows = [{"user_id": str(at), "it": float("nan") if at == 7 else 1.5} for at in range(200)]

    assert lines_of(drafted(rows, kinds={"user_id": "string", "it": "double"})) == [
        "it: it  # numbers  # REVIEW: 1 value is not a value that can be sent, which rejects its row: row 8"
    ]


def test_nulls_that_clear_a_property_are_told() -> None:
    assert lines(["a", None], is_csv=False) == ["it: it  # text; null in 1 row, which clears it"]


def test_a_value_too_large_for_a_request_is_told() -> None:
    assert lines(["x", "y" * 9000]) == ["it: it  # text  # REVIEW: over 8 KB in 1 row, which rejects it (row 2)"]


def people(*rows: Mapping[str, object]) -> list[tuple[str, str, str]]:
    return [(each.field, each.column, each.why) for each in drafted(rows, is_csv=True).identities]


def test_identities_are_known_by_their_names_and_by_what_they_hold() -> None:
    rows = [
        {
            "회원번호": str(at),
            "이메일": f"p{at}@example.com",
            "연락처": f"0101234{at:04}",
            "카카오아이디": f"k{at}",
            "x": "y",
        }
        for at in range(4)
    ]

    assert people(*rows) == [
        ("external_id", "회원번호", "by its name; all 4 rows have it"),
        ("email", "이메일", "by its name and because all 4 values look like an e-mail address"),
        ("phone_no", "연락처", "by its name and because all 4 values look like a phone number"),
        ("kakao_user_id", "카카오아이디", "by its name; all 4 rows have it"),
    ]


def test_identities_are_known_by_what_they_hold_alone() -> None:
    assert people({"a": "p@example.com", "b": "010-1234-5679", "c": "y"}) == [
        ("email", "a", "because its only value looks like an e-mail address"),
        ("phone_no", "b", "because its only value looks like a phone number"),
    ]


def test_a_column_that_is_only_called_like_an_identity_is_none() -> None:
    rows = [{"user_id": str(at), "email": "yes", "phone": "home", "id": "same"} for at in range(30)]

    assert people(*rows) == [("external_id", "user_id", "by its name; all 30 rows have it")]


def test_without_any_other_identity_it_is_the_column_whose_values_differ_most() -> None:
    rows = [{"score": f"{at}.5", "name": f"n{at}", "ref": f"r{at}", "kind": "a"} for at in range(30)]

    assert people(*rows) == [("external_id", "ref", "only because all 30 rows have it and nearly all are different")]


def test_nobody_is_guessed_where_nothing_differs() -> None:
    assert people({"kind": "a"}, {"kind": "a"}) == []


def test_the_columns_of_a_retry_file_and_records_in_pieces_are_passed_over() -> None:
    look = FileProfile(None, {}, null_is_empty=False)
    look.add_record(Damaged(1, Reason("raw", "raw")))
    look.add_record(Row(2, {"user_id": "1", "a": "x", "_row": "7", "_raw": ""}))

    draft = guess_mapping(look, today=date(2026, 11, 29))

    assert (draft.rows, [it.key for it in draft.properties], draft.omissions) == (2, ["a"], ())


@pytest.mark.slow
def test_so_many_columns_are_looked_at_and_no_more() -> None:
    draft = drafted([{"user_id": "1", **{f"c{at}": {"a": "x"} for at in range(2 * MOST_COLUMNS)}}])

    assert len(draft.properties) < MOST_COLUMNS
    assert lines_of(draft)[-1] == "# REVIEW: there are more columns; only the first 1,000 were looked at."
