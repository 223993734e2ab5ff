"""A reader with a broken proof is caught by the searches that compare it with the row reader."""

import random
from collections.abc import Callable

import polars as pl
import pytest

from tests.source.both_ways import damaged, differences, random_csv, random_jsonl
from uploader.source import csv_tables, jsonl_shapes
from uploader.source.csv_tables import CsvTable, CsvTables
from uploader.source.lines import DecodedText
from uploader.source.unread_text import UnreadText

Make = Callable[[random.Random], tuple[bytes, str]]

RECORDS = b"".join(b"%d,name %d,x\n" % (at, at) for at in range(12))


def is_caught(make: Make, name: str, most: int = 200) -> bool:
    """Return whether one of the first *most* files of a search is read otherwise in batches."""
    return any(differences(_content(make, seed), name, sizes=(64, 1 << 20)) for seed in range(most))


def _content(make: Make, seed: int) -> bytes:
    rng = random.Random(seed)  # noqa: S311 — cases need no cryptographic strength
    content, encoding = make(rng)
    return damaged(content, rng) if encoding == "utf-8" else b"id\n1\n"


def swallowed(rng: random.Random) -> tuple[bytes, str]:
    """Return a CSV in one style, with one of the damages that polars hides."""
    lines = [f'"{at}","name {at}","x"\n' for at in range(12)]
    lines[rng.randrange(12)] = rng.choice(
        ['"1","abc"024,"x"\n', '"1","a","b"\n', '"1"x,"a","b"\n', '"1","a\n', '"2"\n']
    )
    return "".join(["id,name,memo\n", *lines]).encode(), "utf-8"


def test_without_a_broken_proof_nothing_is_caught() -> None:
    assert not is_caught(random_csv, "people.csv", most=20)
    assert not is_caught(swallowed, "people.csv", most=20)
    assert not is_caught(random_jsonl, "people.jsonl", most=10)


def test_counts_in_place_of_the_round_trip_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def counts(block: bytes, _cells: object, table: pl.DataFrame, delimiter: str, end: bytes) -> bool:
        quotes = block.count(b'"')
        return (
            block.count(end) == table.height
            and block.count(delimiter.encode()) == (table.width - 1) * table.height
            and quotes % 2 == 0
        )

    monkeypatch.setattr(csv_tables, "_is_written", counts)

    assert is_caught(swallowed, "people.csv")


def test_a_projection_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(self: CsvTables, block: bytes, quote: str | None) -> pl.DataFrame | None:
        scan = pl.scan_csv(
            block,
            has_header=False,
            schema=dict.fromkeys(self.columns, pl.String),
            separator=self.delimiter,
            quote_char=quote,
            empty_string_is_null=False,
        )
        try:
            columns = [scan.select(name).collect().to_series() for name in self.columns]
        except (pl.exceptions.PolarsError, OSError, ValueError):
            return None
        return pl.DataFrame(columns) if len({*map(len, columns)}) == 1 else None

    monkeypatch.setattr(CsvTables, "_parsed", parsed)
    monkeypatch.setattr(csv_tables, "_is_written", lambda *_: True)

    assert is_caught(random_csv, "people.csv")


def test_a_byte_order_mark_that_is_dropped_in_the_middle_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def texts(self: UnreadText, first: int) -> DecodedText:
        return DecodedText(self._pieces(first), "utf-8", at_start=True)

    monkeypatch.setattr(UnreadText, "texts", texts)

    assert differences(b"id,a,b\n" + RECORDS + "\ufeff1,a\0,b\n".encode() + RECORDS, "people.csv", sizes=(1, 16, 64))
    assert is_caught(random_csv, "people.csv")


def test_an_empty_line_of_one_column_that_counts_as_a_record_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def split(self: CsvTables, block: bytes) -> CsvTable | None:
        table = pl.DataFrame({self.columns[0]: block.decode().split("\n")[:-1]})
        return CsvTable("plain", table, table.height, table.height - 1) if len(self.columns) == 1 else None

    monkeypatch.setattr(CsvTables, "split", split)

    assert differences(b"id\n1\n\n2\n", "people.csv")


def test_a_place_that_is_not_passed_to_the_row_reader_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(_self: UnreadText, _text: str, _texts: DecodedText) -> None:
        pass

    monkeypatch.setattr(UnreadText, "put_back", forget)

    assert is_caught(random_csv, "people.csv")


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("_STRING", r'"[^"]*"'),
        ("_NUMBER", r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"),
    ],
)
def test_a_shape_that_takes_too_much_is_caught(monkeypatch: pytest.MonkeyPatch, name: str, broken: str) -> None:
    strict = getattr(jsonl_shapes, name)
    values = {kind: pattern.replace(strict, broken) for kind, pattern in vars(jsonl_shapes)["_VALUES"].items()}
    monkeypatch.setattr(jsonl_shapes, "_VALUES", values)

    assert is_caught(random_jsonl, "people.jsonl")
