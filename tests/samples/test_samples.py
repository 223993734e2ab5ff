"""Hold the sample files to what the README says of them."""

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
CUT_OFF = 2345
IDENTITY = ("user_id", "email", "phone")
CONSENTS = ("push_optin", "sms_ads_optin", "night_ads_optin")
BOOLEANS = {"Y": True, "true": True, "N": False, "false": False}

Cells = dict[str, str]


@pytest.fixture(scope="module")
def from_csv() -> list[list[str]]:
    with (SAMPLES / "profiles.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))


@pytest.fixture(scope="module")
def people(from_csv: list[list[str]]) -> list[Cells]:
    """Every row of the CSV; the one that is cut off, with the fields it has."""
    header, *lines = from_csv
    return [dict(zip(header, line, strict=False)) for line in lines]


@pytest.fixture(scope="module")
def from_jsonl() -> list[str]:
    return (SAMPLES / "profiles.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def from_parquet() -> list[dict[str, object]]:
    return pl.read_parquet(SAMPLES / "profiles.parquet").to_dicts()


def test_the_script_makes_the_very_files_that_are_kept(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SAMPLES / "make.py", tmp_path], check=True)

    for name in ("profiles.csv", "profiles.jsonl", "crm_export.csv"):
        assert (tmp_path / name).read_bytes() == (SAMPLES / name).read_bytes(), name
    assert pl.read_parquet(tmp_path / "profiles.parquet").equals(pl.read_parquet(SAMPLES / "profiles.parquet"))


def test_jsonl_says_what_csv_says_in_types_of_its_own(people: list[Cells], from_jsonl: list[str]) -> None:
    expected = [_as_json(cells) for number, cells in enumerate(people, start=1) if number != CUT_OFF]

    found = [json.loads(line) for number, line in enumerate(from_jsonl, start=1) if number != CUT_OFF]

    assert found == expected


def test_the_cut_off_record_is_damaged_in_csv_and_in_jsonl(from_csv: list[list[str]], from_jsonl: list[str]) -> None:
    lengths = Counter(len(line) for line in from_csv)

    assert lengths == {16: 3000, 8: 1}
    assert len(from_csv[CUT_OFF]) == 8
    with pytest.raises(json.JSONDecodeError):
        json.loads(from_jsonl[CUT_OFF - 1])


def test_parquet_says_what_csv_says_with_nulls_for_empty_cells(
    people: list[Cells], from_parquet: list[dict[str, object]]
) -> None:
    expected = [_as_parquet(cells) for number, cells in enumerate(people, start=1) if number != CUT_OFF]

    found = [cells for number, cells in enumerate(from_parquet, start=1) if number != CUT_OFF]

    assert found == expected


def test_the_cut_off_record_names_nobody_in_parquet(from_parquet: list[dict[str, object]]) -> None:
    assert [from_parquet[CUT_OFF - 1][column] for column in IDENTITY] == [None, None, None]


def test_every_row_names_somebody_but_one(people: list[Cells]) -> None:
    nameless = [number for number, cells in enumerate(people, start=1) if not any(cells.get(key) for key in IDENTITY)]

    assert nameless == [1024]


def test_six_cells_are_unreadable_and_no_others(people: list[Cells]) -> None:
    places = {
        (150, "night_ads_optin"): "maybe",
        (480, "age"): "thirty",
        (777, "birth"): "20230230",
        (1500, "joined"): "last spring",
        (1999, "score"): "12,5",
        (2800, "push_optin"): "글쎄",
    }

    unreadable = {
        (number, column): cells[column]
        for number, cells in enumerate(people, start=1)
        for column in ("age", "score", "birth", "joined", *CONSENTS)
        if not _readable(column, cells.get(column, ""))
    }

    assert unreadable == places


def test_about_one_row_in_twenty_is_about_an_earlier_person(people: list[Cells]) -> None:
    times = Counter(cells["user_id"] for cells in people if cells["user_id"])

    again = times.total() - len(times)

    assert 120 <= again <= 180


def test_people_share_no_email_and_no_phone_unless_they_share_their_user_id(people: list[Cells]) -> None:
    for column in ("email", "phone"):
        owners: dict[str, set[str]] = {}
        for cells in people:
            if cells.get(column):
                owners.setdefault(cells[column], set()).add(cells["user_id"])

        assert {value for value, ids in owners.items() if len(ids) > 1} == set()


def test_most_phones_begin_with_a_zero_that_must_not_be_lost(people: list[Cells]) -> None:
    begins = Counter(cells["phone"][:4] for cells in people if cells.get("phone"))

    assert set(begins) == {"0101", "8210"}
    assert begins["0101"] > 5 * begins["8210"] > 0


def _as_json(cells: Cells) -> dict[str, object]:
    return {column: _json_value(column, text) for column, text in cells.items() if text}


def _json_value(column: str, text: str) -> object:
    if not _readable(column, text):
        return text
    if column in CONSENTS:
        return BOOLEANS[text]
    if column == "tags":
        return text.split("|")
    return {"age": int, "score": float}.get(column, str)(text)


def _as_parquet(cells: Mapping[str, str]) -> dict[str, object]:
    typed: dict[str, object] = {column: text or None for column, text in cells.items()}
    typed["tags"] = cells["tags"].split("|") if cells["tags"] else None
    typed["updated_at"] = datetime.fromisoformat(cells["updated_at"])
    return typed


def _readable(column: str, text: str) -> bool:
    """Whether a cell is empty, or of the type that the sample's configuration gives its column."""
    if not text:
        return True
    try:
        match column:
            case "age":
                int(text)
            case "score":
                float(text)
            case "birth":
                datetime.strptime(f"{text}+0900", "%Y%m%d%z")
            case "joined":
                datetime.fromisoformat(text)
            case _:
                return column not in CONSENTS or text in BOOLEANS
    except ValueError:
        return False
    return True
