"""Every line of a guessed configuration stays below 100 columns, and means the same as on one line."""

from typing import Final

import pytest
import yaml

from tests.inference.guessed import drafted, lines_of
from uploader.inference import SourceText, spell
from uploader.text_width import width

DATES: Final = ["19900102", "1990-01-02", "1990.01.02", "1990년 01월 02일", "90.01.02"]
GENDERS: Final = ["남", "여", "남자", "여자", "남성", "여성", "M", "F", "male", "female", "Male", "Female"]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("생년월일", DATES),
        ("최종로그인일시를_기록한_열", ["2024.01.02 03:04:05", "2024/01/02 03:04:05"]),
        ("성별", GENDERS),
        ("금액, 원", ["1,500원", "20,000 원", "300원"]),
    ],
)
def test_a_long_rule_takes_several_lines(column: str, values: list[str]) -> None:
    draft = drafted([{"user_id": str(at), column: value} for at, value in enumerate(values * 3)], is_csv=True)

    text = spell(draft, SourceText("s"))

    assert [line for line in text.splitlines() if width(line) > 99] == []
    written = yaml.safe_load(text)["mapping"]["properties"]
    as_one_line = [line.partition("  # ")[0] for line in lines_of(draft) if not line.startswith("#")]
    assert written == yaml.safe_load("\n".join(as_one_line))
    assert [rule["column"] if isinstance(rule, dict) else rule for rule in written.values()] == [column]
