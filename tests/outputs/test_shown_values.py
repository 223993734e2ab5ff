"""Show what was found beside what was expected: cut, on one line, and with nothing that a terminal obeys."""

import pytest

from uploader.model import Damaged, Reason, Row, WrittenFloat
from uploader.outputs.shown_values import phrase_with_values, quoted

NOT_DATE = Reason.of_value("not_date", "column '생년월일' → df_birth", "not a date (%Y.%m.%d)", "생년월일")


def phrase(value: object, reason: Reason = NOT_DATE, message: str = "") -> str:
    return phrase_with_values(Row(200, {"생년월일": value}), reason, message)


def test_the_value_stands_between_its_column_and_what_was_expected() -> None:
    assert phrase("1900.02.30") == "column '생년월일' → df_birth: \"1900.02.30\" is not a date (%Y.%m.%d)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", '""'),
        (' a "b"\\', r'" a \"b\"\\"'),
        ("두 줄\r\n\t끝", r'"두 줄\r\n\t끝"'),
        ("\x1b[2J\x07\x00\x7f", r'"\u001b[2J\u0007\u0000\u007f"'),
        ("a\u200b\u202e\u00a0\ufeff", r'"a\u200b\u202e\u00a0\ufeff"'),
        ("\ud800", r'"\ud800"'),
        ("x" * 60, f'"{"x" * 60}"'),
        ("x" * 1_234, f'"{"x" * 60}…" (1,234 characters)'),
        (42, "42"),
        (True, "true"),
        (1.5, "1.5"),
        (WrittenFloat("1e400"), "1e400"),
        (["a", 1], '["a", 1]'),
        (list(range(100)), f"{str(list(range(100)))[:60]}…"),
        (b"\xff", "\"b'\\\\xff'\""),
    ],
)
def test_a_value_is_shown_on_one_line_and_as_far_as_makes_sense(value: object, shown: str) -> None:
    assert quoted(value) == shown
    assert shown.isprintable()


@pytest.mark.parametrize("expected", ["begins with a space", "holds a control character", "was read wrongly"])
def test_an_expectation_with_a_verb_of_its_own_gets_no_other(expected: str) -> None:
    reason = Reason.of_value("odd", "column 'id'", expected, "id")

    assert phrase_with_values(Row(1, {"id": "x"}), reason) == f"column 'id': \"x\" {expected}"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Row(1, {"생년월일": None}), NOT_DATE),
        (Row(1, {}), NOT_DATE),
        (Damaged(1, NOT_DATE, text="1900.02.30"), NOT_DATE),
        (Row(1, {"id": "1900.02.30"}), Reason("no_identity", "no identity: nothing in 'id'")),
        (Row(1, {"a": "x"}), Reason.of_value("no_object", "column 'a.b' → b", "'a' is no object", "a.b")),
    ],
    ids=["null", "missing", "damaged", "about no value", "a path that ends early"],
)
def test_a_reason_about_no_value_stays_as_it_is(record: Row | Damaged, reason: Reason) -> None:
    assert phrase_with_values(record, reason) == reason.phrase


def test_a_value_inside_an_object_is_found() -> None:
    reason = Reason.of_value("not_long", "column 'home.zip' → zip", "not a whole number", "home.zip")

    shown = phrase_with_values(Row(1, {"home": {"zip": "x1"}}), reason)

    assert shown == "column 'home.zip' → zip: \"x1\" is not a whole number"


def test_the_message_of_the_service_follows_in_quotation_marks() -> None:
    reason = Reason("40001", "refused by the service: VALIDATION_FAILURE (40001)")

    assert phrase("x", reason, "age\nmust be 'Long'") == f"{reason.phrase}: \"age\\nmust be 'Long'\""
    assert phrase("x", reason, "m" * 400) == f'{reason.phrase}: "{"m" * 300}…" (400 characters)'


def test_what_was_found_does_not_make_another_reason() -> None:
    assert Reason(NOT_DATE.code, NOT_DATE.phrase) == NOT_DATE
    assert len({Reason(NOT_DATE.code, NOT_DATE.phrase), NOT_DATE}) == 1
