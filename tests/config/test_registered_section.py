"""The section `registered`, or the file that it names, is refused with advice for what is wrong in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

TEXT: Final = """\
api: {service_id: svc, access_token: tok}
mapping: {identity: {external_id: id}, properties: {df_name: name}}
registered: %s
"""
FORM: Final = "write a name and its type on each line, as the console shows them: `age: long`"
NO_FILE: Final = "can't be read as a file of names and types"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("- age\n", f"{NO_FILE}: it is not a mapping of keys to values: {FORM}"),
        ("", f"{NO_FILE}: it is empty: {FORM}"),
        (
            "age: lnog\ndf_name: long\nname: string\n",
            (
                "has a wrong type on line 1: the type of age is not one of string, long, double, boolean, date, "
                "datetime, array<string>, array<long>, array<double>; did you mean long?; "
                "on line 2: the type of df_name: every service has it as string; write string, or delete the line"
            ),
        ),
    ],
)
def test_a_bad_file_is_answered_with_what_such_a_file_holds(
    complaint: Callable[..., str], tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / "types.yaml").write_text(content)

    assert complaint(TEXT % "types.yaml") == f"config.yaml line 3: registered: 'types.yaml' {words}"


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ("{df_name: long}", "df_name: every service has it as string; write string, or delete the line"),
        ("{age: long, df_birth: datetime}", "df_birth: every service has it as date; write date, or delete the line"),
        (
            "{df_sms_ads_optin: string}",
            "df_sms_ads_optin: every service has it as boolean; write boolean, or delete the line",
        ),
    ],
)
def test_a_built_in_property_is_not_registered_as_another_type(
    complaint: Callable[..., str], kinds: str, words: str
) -> None:
    assert complaint(TEXT % kinds) == f"config.yaml line 3: registered.{words}"


def test_a_built_in_property_may_stand_there_as_the_console_shows_it(loaded: Callable[..., object]) -> None:
    loaded(TEXT % "{df_name: String, df_birth: String, df_push_ads_optin: Boolean}")
    loaded(TEXT % "{df_birth: Date}")
