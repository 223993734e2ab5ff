"""A row of a retry file that names another person than it did, as after a spreadsheet, is not sent."""

from collections.abc import Sequence

import pytest

from tests.command import TOKEN, Desk, Ended, books_of, names, rules
from uploader.sandbox import running

MAPPING = (
    "mapping:\n  identity: {external_id: id}\n  properties:\n    df_name: name\n    age: {column: age, type: long}\n"
)
PEOPLE = "id,name,age\n0001,Ann,1\n0002,Ben,2\n0003,Cid,three\n"
REFUSED = "identity ('id') is not the one that the retry file was written with; expected them as they were"
WARNED = "identity ('id') is not the one that the retry file was written with; it is sent as the other person"


def failed_once(desk: Desk, url: str, *, mapping: str = MAPPING) -> None:
    desk.configure(url, mapping=mapping)
    desk.write("people.csv", PEOPLE)
    assert desk.type("run", "people.csv").status == 3


def rewrite(desk: Desk, *changes: tuple[str, str], name: str = "people.retry.csv", to: str = "") -> None:
    text = (desk.folder / name).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (desk.folder / name).unlink()
    desk.write(to or name, text)


def retry(desk: Desk, name: str = "people.retry.csv") -> tuple[Ended, dict[str, int]]:
    ended = desk.type("run", name, "--summary", "retry.json")
    return ended, books_of(desk.summary("retry.json"))


@pytest.mark.parametrize("name", ["people.retry.csv", "fixed.csv"])
def test_a_failed_row_that_lost_the_zeros_of_its_id_is_refused_under_whatever_name(desk: Desk, name: str) -> None:
    with running(rules("http=503 times 4")) as server:
        failed_once(desk, server.url)
        rewrite(desk, ("0001,Ann", "1,Ann"), ("three", "3"), to=name)

        ended, books = retry(desk, name)

        assert (ended.status, books, names(server)) == (3, {"sent": 2, "rejected": 1}, {"0002": "Ben", "0003": "Cid"})
        assert f"  {REFUSED}: row 1 (line 2)" in ended.err


def test_a_row_that_was_refused_stays_refused_until_its_id_is_as_it_was(desk: Desk) -> None:
    with running(rules("http=503 times 4")) as server:
        failed_once(desk, server.url)
        rewrite(desk, ("0001,Ann", "1,Ann"), ("three", "3"))
        retry(desk)

        _, again = retry(desk, "people.retry.retry.csv")
        rewrite(desk, ("\n1,Ann", "\n0001,Ann"), name="people.retry.retry.csv")
        ended, last = retry(desk, "people.retry.retry.csv")

        assert (again, last, ended.status) == ({"rejected": 1}, {"sent": 1}, 0)
        assert names(server) == {"0001": "Ann", "0002": "Ben", "0003": "Cid"}


def test_a_rejected_row_may_be_fixed_in_its_identity_too_with_a_warning(desk: Desk) -> None:
    with running(rules()) as server:
        failed_once(desk, server.url)
        rewrite(desk, ("0003,Cid,three", "0033,Cid,3"))

        ended, books = retry(desk)

        assert (books, names(server)["0033"]) == ({"sent": 1}, "Cid")
        assert ended.err.splitlines()[:3] == [
            "people.retry.csv: 1 row.",
            "  Warnings, of rows that can be sent all the same:",
            f"    {WARNED}: row 1 (line 2)",
        ]
        assert desk.summary("retry.json")["warnings"] == [
            {"code": "identity_changed", "reason": WARNED, "rows": 1, "first": [{"row": 1, "line": 2}]}
        ]


@pytest.mark.parametrize("words", [("check",), ("run", "--sandbox")])
def test_the_check_and_the_dry_run_see_it_as_the_run_does(desk: Desk, words: Sequence[str]) -> None:
    with running(rules("http=503 times 4")) as server:
        failed_once(desk, server.url)
    rewrite(desk, ("0001,Ann", "1,Ann"), ("three", "3"))

    ended = desk.type(*words, "people.retry.csv", "--summary", "retry.json")

    assert ended.status == 3
    assert f"  {REFUSED}: row 1 (line 2)" in ended.err


def test_another_mapping_of_the_same_identity_column_compares_what_is_written(desk: Desk) -> None:
    with running(rules("http=503 times 4")) as server:
        failed_once(desk, server.url)
        desk.configure(server.url, mapping="mapping:\n  identity: {external_id: id}\n  properties: {nick: name}\n")

        assert retry(desk)[1] == {"sent": 3}


def test_other_identity_columns_are_not_compared(desk: Desk) -> None:
    with running(rules("http=503 times 4")) as server:
        failed_once(desk, server.url)
        desk.configure(server.url, mapping="mapping:\n  identity: {external_id: name}\n  properties: {age: age}\n")
        rewrite(desk, ("0001,Ann", "1,Ann"))

        assert retry(desk)[1] == {"sent": 3}


def test_neither_value_nor_token_lies_in_the_state_folder(desk: Desk) -> None:
    with running(rules("http=503 times 4")) as server:
        failed_once(desk, server.url)

    kept = b"".join(path.read_bytes() for path in (desk.folder / ".uploader").rglob("*") if path.is_file())

    assert [text for text in (b"0001", b"Ann", TOKEN.encode()) if text in kept] == []


CLEANED = MAPPING.replace(
    "{external_id: id}", "{external_id: {column: id, trim: true}, phone_no: {column: tel, phone: KR}}"
)


def failed_with_phone(desk: Desk, url: str, mapping: str = CLEANED) -> None:
    desk.configure(url, mapping=mapping)
    desk.write("people.csv", "id,tel,name,age\n0001,010-1234-5678,Ann,1\n0002,,Ben,2\n")
    assert desk.type("run", "people.csv").status == 3


@pytest.mark.parametrize(
    "changes", [("010-1234-5678", "01012345678"), ("010-1234-5678", "1012345678"), ("0001,", " 0001 ,")]
)
def test_a_failed_row_whose_identity_is_written_otherwise_is_still_the_same_person(
    desk: Desk, changes: tuple[str, str]
) -> None:
    with running(rules("http=503 times 4")) as server:
        failed_with_phone(desk, server.url)
        rewrite(desk, changes)

        assert retry(desk)[1] == {"sent": 2}
        assert names(server) == {"0001": "Ann", "0002": "Ben"}


@pytest.mark.parametrize("changes", [("010-1234-5678", "010-1234-5679"), ("010-1234-5678", ""), ("0001,", "1,")])
def test_a_failed_row_whose_identity_is_sent_otherwise_is_refused(desk: Desk, changes: tuple[str, str]) -> None:
    with running(rules("http=503 times 4")) as server:
        failed_with_phone(desk, server.url)
        rewrite(desk, changes)

        assert retry(desk)[1] == {"sent": 1, "rejected": 1}


def test_an_identity_that_an_earlier_version_noted_only_as_written_is_compared_as_written(desk: Desk) -> None:
    plain = CLEANED.replace("{column: id, trim: true}", "id").replace("{column: tel, phone: KR}", "tel")
    with running(rules("http=503 times 4")) as server:
        failed_with_phone(desk, server.url, plain)
        desk.configure(server.url, mapping=CLEANED)
        rewrite(desk, ("0001,", "1,"))

        assert retry(desk)[1] == {"sent": 1, "rejected": 1}
