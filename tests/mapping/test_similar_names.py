"""Names of columns that look alike are told apart, and written so that YAML reads them exactly."""

import unicodedata

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from uploader.mapping.similar_names import differences_of, exact
from uploader.model import alike

NFD = unicodedata.normalize("NFD", "이름")


@pytest.mark.parametrize(
    ("other", "differs", "written"),
    [
        ("User_ID", "case", '"User_ID"'),
        ("user_id ", "spaces", '"user_id "'),
        ("user_id\u00a0", "spaces", r'"user_id\u00a0"'),
        ("\u200buser_id", "invisible characters", r'"\u200buser_id"'),
        ("user id", "spaces and underscores", '"user id"'),
        ("ｕser_id", "width", '"ｕser_id"'),  # noqa: RUF001 — a wide letter
        (" UserID\u200b", "invisible characters, spaces, underscores and case", r'" UserID\u200b"'),
    ],
)
def test_names_that_look_alike_are_told_apart(other: str, differs: str, written: str) -> None:
    assert alike(other) == alike("user_id")
    assert (differences_of("user_id", other), exact(other)) == (differs, written)


def test_a_name_in_another_unicode_form_is_spelled_out() -> None:
    assert alike(NFD) == alike("이름")
    assert (differences_of("이름", NFD), exact(NFD)) == ("Unicode form", r'"\u110b\u1175\u1105\u1173\u11b7"')


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_yaml_reads_the_exact_name(name: str) -> None:
    assert yaml.safe_load(exact(name)) == name
