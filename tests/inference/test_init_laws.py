"""What `init` writes passes the check of the same file, whatever its header and its values are."""

import csv
import json
import tempfile
from collections.abc import Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.watching import check
from uploader.app.init import init_config
from uploader.errors import InputError
from uploader.run.environment import Environment
from uploader.run.events import Events, RowReason
from uploader.run.options import Options

NASTY: Final = (
    "yes", "1", "a: b", "a\nb", "# c", "{x", "[x]", "- d", "'", '"', "${HOME}", "$${", "회원번호", "이메일", "휴대폰",
    "푸시수신동의", "name", "df_name", "df_push_optin", "push_optin", "a.b", "a", ".", "b.", "<<", "null", "~",
    "\u2028", "\ufeffx", " e", "e ", "\t", "user_id", "!!str", "&a", "*a", "%Y", "@", "`", "=", "\x85", "😀",
    "_row", "_reason", "_row2", "생년월일",
)  # fmt: skip
VALUES: Final = (
    "", "1", "0", "007", "+1", "1.5", "1e5", "9" * 25, "Y", "N", "예", "아니오", "거부", "x@example.com", "01012345678",
    "2024-01-02", "20240102", "2024/1/2", "03/04/2024", "2024-01-02 03:04:05", "1987-05-10 02:30:00", "NaN", " ", "a|b",
    "-0", "NULL", "N/A", "1,000원", "₩5", "남", "여", "a;b", "오후 3:12", "2024-03-05 오후 3:12", "90.03.05",
    "010-0000-0000", "none@none.com", "1001.0", "45356", "1709600000", "없음", "0000-00-00", "two\nlines", 'qu"ote',
    "2024-01-02T00:00:00Z",
)  # fmt: skip

OF_THE_FILE: Final = {"nul", "not_boolean", "null_consent", "mixed_array", "email_domain"}
"""What no guess can repair: records as they are, the few values of a consent that are no yes and no no, and those of a
column of addresses that are none."""

OF_FEW: Final = {
    *("not_date", "not_datetime", "no_zone", "no_such_time", "time_twice", "not_long", "long_range", "not_double"),
    *("not_exact", "not_listed", "not_phone", "not_string", "not_finite", "too_small", "no_such_type"),
}
"""The few values that are not what nearly all others are: their rows are rejected, and `init` says so."""

any_text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
header_names = st.one_of(st.sampled_from(NASTY), any_text)
texts = st.one_of(st.sampled_from(VALUES), any_text)
scalars = st.one_of(texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())
lists = st.lists(st.one_of(texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False)), max_size=3)
values = st.recursive(
    st.one_of(scalars, lists), lambda inner: st.dictionaries(st.sampled_from("ab."), inner, max_size=2), max_leaves=4
)
keys = st.one_of(st.sampled_from(NASTY), st.sampled_from(("c", "d", "a", "a.b")), any_text)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Draw a table of texts with a header: a CSV that the source can tell apart."""
    names = draw(st.lists(header_names.filter(str.strip), max_size=5, unique=True))
    names = [name for name in names if name not in {"user_id", "kept"}]
    rows = draw(st.lists(st.lists(texts, min_size=len(names), max_size=len(names)), max_size=12))
    return [["user_id", "kept", *names], *([str(number), "k", *row] for number, row in enumerate(rows))]


def complaints(name: str, content: bytes) -> set[str] | None:
    """Return the codes of what the check finds in a file that `init` has guessed about; None: `init` refused it."""
    with tempfile.TemporaryDirectory() as folder:
        file, config = Path(folder) / name, Path(folder) / "config.yaml"
        file.write_bytes(content)
        found: set[str] = set()

        class Codes(Events):
            def reason_found(self, it: RowReason) -> None:
                if it.kind == "rejected":
                    found.add(it.reason.code)

        world = Environment(environ={}, stdin=BytesIO(), events=Codes())
        try:
            init_config(str(file), config, world)
        except InputError:
            return None
        status = check(Options((str(file),), config), world)
        assert status == (3 if found else 0)
        return found


def written(table: Sequence[Sequence[str]], delimiter: str) -> bytes:
    text = StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(table)
    return text.getvalue().encode()


@pytest.mark.long
@settings(max_examples=100)
@given(table=tables(), delimiter=st.sampled_from(",;\t|"))
def test_what_is_guessed_of_any_csv_passes_its_check(table: list[list[str]], delimiter: str) -> None:
    found = complaints("people.csv", written(table, delimiter))

    assert (found or set()) <= OF_THE_FILE | OF_FEW


@pytest.mark.long
@settings(max_examples=100)
@given(objects=st.lists(st.dictionaries(keys, values, max_size=4), min_size=1, max_size=12))
def test_what_is_guessed_of_any_jsonl_passes_its_check(objects: list[dict[str, object]]) -> None:
    lines = [json.dumps({**each, "user_id": str(number), "kept": "k"}) for number, each in enumerate(objects)]

    found = complaints("people.jsonl", "\n".join(lines).encode())

    assert (found or set()) <= OF_THE_FILE | OF_FEW
