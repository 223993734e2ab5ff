"""A table is aligned, whatever its letters."""

from uploader.cli.text_table import table


def test_columns_are_aligned_by_what_letters_take_on_a_terminal() -> None:
    rows = [("members", "12", "ok"), ("고객", "1,000", "fine")]

    assert list(table(("job", "sent", "how"), rows, right={"sent"})) == [
        "job       sent  how",
        "members     12  ok",
        "고객     1,000  fine",
    ]


def test_a_line_ends_with_its_last_letter() -> None:
    assert list(table(("job", "how"), [("a", "")])) == ["job  how", "a"]
