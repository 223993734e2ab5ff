"""Write the sample files: the same made-up customers as CSV, as JSON lines and as Parquet."""

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import TypeAlias, TypeVar

import polars as pl

Cells: TypeAlias = dict[str, str]
"""One row as CSV writes it: column → text, empty for nothing."""

ROWS = 3000
SEED = 20240305
COLUMNS = (
    "user_id",
    "name",
    "email",
    "phone",
    "gender",
    "birth",
    "age",
    "score",
    "vip",
    "joined",
    "tags",
    "membership",
    "push_optin",
    "sms_ads_optin",
    "night_ads_optin",
    "updated_at",
)
IDENTITY = ("user_id", "email", "phone")

BROKEN_CELLS: Mapping[int, Cells] = {
    150: {"night_ads_optin": "maybe"},
    480: {"age": "thirty"},
    777: {"birth": "20230230"},
    1024: dict.fromkeys(IDENTITY, ""),
    1500: {"joined": "last spring"},
    1999: {"score": "12,5"},
    2800: {"push_optin": "글쎄"},
}
"""The rows, counted from 1, that are wrong on purpose, and what stands in them."""

CUT_OFF = 2345
"""The row that ends too early: it lacks fields in CSV, is cut in the middle in JSONL and names nobody in Parquet."""

_T = TypeVar("_T")

_SURNAMES = (
    ("김", "kim"),
    ("이", "lee"),
    ("박", "park"),
    ("최", "choi"),
    ("정", "jung"),
    ("강", "kang"),
    ("조", "cho"),
    ("윤", "yoon"),
    ("장", "jang"),
    ("임", "lim"),
    ("한", "han"),
    ("오", "oh"),
)
_GIVEN_NAMES = (
    ("민준", "minjun"),
    ("서연", "seoyeon"),
    ("도윤", "doyun"),
    ("지우", "jiwoo"),
    ("하은", "haeun"),
    ("시우", "siwoo"),
    ("수아", "sua"),
    ("예준", "yejun"),
    ("지민", "jimin"),
    ("유나", "yuna"),
    ("현우", "hyunwoo"),
    ("은서", "eunseo"),
)
_ENGLISH_NAMES = (
    ("Emma Wilson", "emma.wilson"),
    ("Liam Brown", "liam.brown"),
    ("Siobhán O'Brien", "siobhan.obrien"),
    ("Zoë Müller", "zoe.muller"),
    ("Baker, Noah Jr.", "noah.baker"),
    ('Ava "Ace" Martin', "ava.martin"),
    ("Mia Anderson", "mia.anderson"),
    ("Jack Taylor", "jack.taylor"),
)
_TAGS = ("vip", "coupon", "newsletter", "app", "store", "쿠폰", "신규")
_MEMBERSHIPS = ("Bronze", "Silver", "Gold", "골드", "VVIP")
_CONSENT_WORDS = (("Y", "N"), ("true", "false"))
_CONSENTS = ("push_optin", "sms_ads_optin", "night_ads_optin")
_TRUTH = {"Y": True, "true": True, "N": False, "false": False}
_TODAY = date(2026, 4, 1)
_SEOUL = timezone(timedelta(hours=9))


class Dice:
    """Throw the same dice everywhere: of `Random`, only `random()` promises the same numbers in every Python."""

    def __init__(self, seed: int) -> None:
        """Begin the sequence that *seed* stands for."""
        self._random = Random(seed)

    def below(self, limit: int) -> int:
        """Return a whole number from 0 up to, but not including, *limit*."""
        return int(self._random.random() * limit)

    def chance(self, share: float) -> bool:
        """Return true in about *share* of the calls."""
        return self._random.random() < share

    def pick(self, options: Sequence[_T]) -> _T:
        """Return one of *options*."""
        return options[self.below(len(options))]


def rows(dice: Dice) -> Iterator[Cells]:
    """Yield the sample's rows in order: new customers, one in twenty an earlier one with new values, a few broken."""
    known: list[Cells] = []
    for number in range(1, ROWS + 1):
        broken = number in BROKEN_CELLS or number == CUT_OFF
        if known and not broken and dice.chance(0.05):
            cells = dice.pick(known) | _changing(dice, number)
        else:
            cells = _newcomer(dice, number) | _changing(dice, number)
        if not broken and cells["user_id"]:
            known.append(cells)
        yield cells | BROKEN_CELLS.get(number, {})


def write(folder: Path) -> None:
    """Write `profiles.csv`, `profiles.jsonl` and `profiles.parquet` into *folder*, over what is there."""
    sample = list(rows(Dice(SEED)))
    with (folder / "profiles.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(_csv_lines(sample))
    (folder / "profiles.jsonl").write_text("".join(_json_lines(sample)), encoding="utf-8", newline="\n")
    _frame(sample).write_parquet(folder / "profiles.parquet")


def _newcomer(dice: Dice, number: int) -> Cells:
    """Return what stays the same in a customer's life; one identity value at least is there."""
    name, mailbox = _name(dice)
    birth = date(1950, 1, 1) + timedelta(days=dice.below(57 * 365))
    joined = datetime(2019, 1, 1, tzinfo=_SEOUL) + timedelta(seconds=dice.below(7 * 365 * 86_400))
    cells = {
        "user_id": f"{number:08d}",
        "name": name,
        "email": f"{mailbox}{number}@example.com",
        "phone": _phone(dice, number),
        "gender": dice.pick(("Male", "Female")),
        "birth": f"{birth:%Y%m%d}",
        "age": str((_TODAY - birth).days * 4 // 1461),
        "joined": f"{joined:%Y-%m-%d %H:%M:%S}",
    }
    kept = dice.pick(IDENTITY)
    return {column: "" if column != kept and dice.chance(0.06) else text for column, text in cells.items()}


def _changing(dice: Dice, number: int) -> Cells:
    """Return what every row says anew, the later row at the later time."""
    updated = datetime(2026, 4, 1, tzinfo=_SEOUL) + timedelta(seconds=number * 60 + dice.below(60))
    yes, no = dice.pick(_CONSENT_WORDS)
    return {
        "score": dice.pick((f"{dice.below(2001) / 20}", f"{dice.below(2001) / 20}", "")),
        "vip": dice.pick(("예", "아니오", "아니오", "아니오", "")),
        "tags": "|".join([tag for tag in _TAGS if dice.chance(0.2)][:3]),
        "membership": dice.pick((*_MEMBERSHIPS, "")),
        **{consent: dice.pick((yes, yes, no, "")) for consent in _CONSENTS},
        "updated_at": f"{updated:%Y-%m-%d %H:%M:%S}",
    }


def _name(dice: Dice) -> tuple[str, str]:
    """Return a full name, and what its owner's mailbox is called."""
    if dice.chance(0.25):
        return dice.pick(_ENGLISH_NAMES)
    (surname, surname_latin), (given, given_latin) = dice.pick(_SURNAMES), dice.pick(_GIVEN_NAMES)
    return surname + given, f"{given_latin}.{surname_latin}"


def _phone(dice: Dice, number: int) -> str:
    """Return a phone number of its own for each *number*."""
    # Mobile numbers that go on with a 1 after 010 are given to nobody, so no real person is in the samples.
    local = f"101{number * 3_000 + dice.below(3_000):07d}"
    return f"82{local}" if dice.chance(0.1) else f"0{local}"


def _csv_lines(sample: Sequence[Cells]) -> Iterator[Sequence[str]]:
    yield COLUMNS
    for number, cells in enumerate(sample, start=1):
        line = [cells[column] for column in COLUMNS]
        yield line[: len(line) // 2] if number == CUT_OFF else line


def _json_lines(sample: Sequence[Cells]) -> Iterator[str]:
    for number, cells in enumerate(sample, start=1):
        line = json.dumps(
            {column: _json_value(column, cells[column]) for column in COLUMNS if cells[column]}, ensure_ascii=False
        )
        yield (line[: len(line) // 2] if number == CUT_OFF else line) + "\n"


def _json_value(column: str, text: str) -> object:
    """Return *text* in the column's own type, or as it is where it can't be read as one."""
    if column in _CONSENTS:
        return _TRUTH.get(text, text)
    if column == "tags":
        return text.split("|")
    number = {"age": int, "score": float}.get(column)
    try:
        return number(text) if number else text
    except ValueError:
        return text


def _frame(sample: Sequence[Cells]) -> pl.DataFrame:
    """Return the rows as a table: text in every column with a broken cell, empty cells as nulls."""
    nobody = dict.fromkeys(IDENTITY, "")
    whole = [cells | nobody if number == CUT_OFF else cells for number, cells in enumerate(sample, start=1)]
    table = pl.DataFrame(
        [{column: cells[column] or None for column in COLUMNS} for cells in whole],
        schema=dict.fromkeys(COLUMNS, pl.String),
    )
    return table.with_columns(
        pl.col("tags").str.split("|"),
        pl.col("updated_at").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms"),
    )


def main() -> None:
    """Write the samples into the folder that the command line names, else beside this script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
