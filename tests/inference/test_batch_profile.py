"""What init proposes of a file that it reads in batches is what it proposes of the same file row by row."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO, StringIO
from operator import attrgetter
from pathlib import Path
from random import Random
from typing import Final

import polars as pl
import pytest

from tests.inference.odd_texts import any_text
from tests.seeds import seeds
from uploader.app.init import init_config
from uploader.errors import InputError
from uploader.inference import FileProfile, SharedValues, guess_identities
from uploader.inference.batch_profile import BatchProfile
from uploader.inference.occurrences import Occurrences
from uploader.inference.phone_counts import PhoneCounts
from uploader.inference.shared_in_batches import SharedInBatches
from uploader.model import Record
from uploader.run.environment import Environment
from uploader.source import Source, open_unknown

WORLD: Final = Environment(environ={}, stdin=BytesIO())
BLOCKS: Final = (64, 700, 1024 * 1024)
Draw = Callable[[], str]


def column(random: Random) -> Draw:
    """Return what draws the values of one column: any, of a few, of some phone numbers and others, or all different."""
    kind = random.randrange(4)
    if kind == 0:
        return lambda: any_text(random)
    if kind == 1:
        numbers = iter(range(1000, 10**9))
        return lambda: str(next(numbers) * 7919)
    phones = [f"010{random.randrange(10**8):08}" for _ in range(150)] if kind == 2 else []
    few = [*phones, *(any_text(random) for _ in range(random.choice((3, 80, 150, 300))))]
    return lambda: random.choice(few)


def write_csv(random: Random, path: Path) -> None:
    names = [
        "user_id",
        *random.sample(["a", "email", "b", "birth", "phone", "", "_row", "c.d"], random.randrange(1, 6)),
    ]
    columns = [column(random) for _ in names]
    text = StringIO(newline="")
    writer = csv.writer(text, quoting=random.choice((csv.QUOTE_ALL, csv.QUOTE_MINIMAL)), lineterminator="\n")
    writer.writerow(names)
    for _ in range(random.randrange(1, 600)):
        row = [draw() for draw in columns]
        odd = random.random()
        writer.writerow([*row, "x"] if odd < 0.004 else names if odd < 0.008 else row)
    path.write_text(text.getvalue(), encoding="utf-8")


def any_json(random: Random, draw: Draw, depth: int = 0) -> object:
    if depth < 2 and random.random() < 0.05:
        return {random.choice("abx."): any_json(random, draw, depth + 1) for _ in range(random.randrange(3))}
    others = (0, 1, 10**17, 10**30, 20240102, 821012345678, 0.0, -0.0, 1.5, 1e300, 1e-310, 1001.0, 2.0**53, True, None)
    return random.choice([draw(), draw(), draw(), random.choice(others), random.choice(([], ["a"], [1, 2.5], [None]))])


def write_jsonl(random: Random, path: Path) -> None:
    known = ["user_id", "a", "a.b", "b", "phone", "birth", "x@y.com", "_row", "e"]
    draws = {name: column(random) for name in random.sample(known, random.randrange(1, 8))}
    are_texts, is_ascii = random.random() < 0.4, random.random() < 0.5
    lines = ['{"user_id": "1"}']
    for _ in range(random.randrange(1, 600)):
        names = [name for name in draws if random.random() < 0.9]
        if random.random() < 0.05:
            random.shuffle(names)
        row = {name: draws[name]() if are_texts else any_json(random, draws[name]) for name in names}
        line = json.dumps(row, ensure_ascii=is_ascii)
        lines.append(f"{line[:-2]}!" if random.random() < 0.004 else line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_parquet(random: Random, path: Path) -> None:
    height, draw = random.randrange(1, 400), column(random)

    def cells(of: Callable[[], object], dtype: pl.DataType) -> pl.Series:
        return pl.Series([None if random.random() < 0.1 else of() for _ in range(height)], dtype=dtype)

    def some(*values: object) -> Callable[[], object]:
        return lambda: random.choice(values)

    struct = pl.Struct({"x": pl.String(), "y": pl.Struct({"z": pl.Float64()})})
    wanted: dict[str, Callable[[], pl.Series]] = {
        "text": lambda: cells(draw, pl.String()),
        "word": lambda: cells(some("x", "", "Y", "NULL"), pl.String()).cast(pl.Categorical),
        "long": lambda: cells(some(0, 1, 20240102, 10**12), pl.Int64()),
        "double": lambda: cells(some(0.0, -0.0, 1.5, float("nan"), float("inf"), 1e300, 1001.0), pl.Float64()),
        "day": lambda: cells(some(0, 1, 19000, *([-800_000, 10**7][: random.randrange(3)])), pl.Int32()).cast(pl.Date),
        "seen": lambda: cells(some(0, 1, 10**12 + 123), pl.Int64()).cast(
            pl.Datetime("ms", random.choice((None, "UTC")))
        ),
        "far": lambda: cells(some(0, 10**15), pl.Int64()).cast(pl.Datetime("ms")),
        "span": lambda: cells(some(0, 7, 2**62), pl.Int64()).cast(pl.Duration("ms")),
        "tags": lambda: cells(some([], ["a"], ["a", "b"]), pl.List(pl.String())),
        "it": lambda: cells(lambda: {"x": draw(), "y": random.choice((None, {"z": 1.5}))}, struct),
        "raw": lambda: cells(some(b"x"), pl.Binary()),
        "flag": lambda: cells(lambda: random.random() < 0.5, pl.Boolean()),
    }
    chosen = random.sample(list(wanted), random.randrange(1, 7))
    pl.DataFrame({"user_id": [*map(str, range(height))], **{name: wanted[name]() for name in chosen}}).write_parquet(
        path
    )


WRITERS: Final = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}


def proposal(path: Path, columnar: str) -> str:
    config = path.with_name("config.yaml")
    config.unlink(missing_ok=True)
    try:
        init_config(str(path), config, WORLD, columnar=columnar)  # type: ignore[arg-type] # one of the words
    except InputError as error:
        return str(error)
    return config.read_text(encoding="utf-8")


def by_rows(source: Source) -> FileProfile:
    profile = FileProfile(source.columns, source.kinds, null_is_empty=source.format == "parquet")
    with source.read() as reading:
        for record in reading:
            profile.add_record(record)
    return profile


def by_batches(source: Source, size: int) -> BatchProfile:
    profile = BatchProfile(source.columns, source.kinds, null_is_empty=source.format == "parquet")
    with source.batches(size=size) as reading:
        for batch in reading:
            profile.add_batch(batch)
    return profile


PROFILED: Final = (
    *("name", "filled", "gaps.nulls", "emails.addresses", "emails.capitals", "phones.phones", "phones.mobiles"),
    *("texts.longest", "gaps.has_empty_text", "texts.oversized", "types.families", "words.short", "words.others"),
    *("gaps.words", "stand_ins.said_nothing", "stand_ins.zero_dates", "stand_ins.placeholders", "texts.trimmed"),
    *("gaps.blank", "emails.others", "phones.others", "numbers.codes", "texts.damage", "numbers.fractions"),
    *("stand_ins.dashes", "stand_ins.dash_units", "texts.in_parentheses", "texts.zone_names", "types.foreign"),
    *("numbers.zero_lengths", "numbers.plain_lengths", "readings", "different"),
)


def all_of(profile: FileProfile) -> object:
    """Return all that is guessed from: also in which order things were first seen, where that counts."""
    columns = [[attrgetter(name)(column) for name in PROFILED] for column in profile.columns]
    ordered = attrgetter("types.families", "words.short", "readings", "texts.damage", "texts.lists")
    orders = [[[*each] for each in ordered(column)] for column in profile.columns]
    return profile.rows, profile.damaged, profile.hidden, profile.ignored, profile.unmappable, columns, orders


@pytest.mark.seeded
@pytest.mark.parametrize("kind", sorted(WRITERS))
@pytest.mark.parametrize("seed", seeds(4))
def test_a_file_has_the_same_profile_in_batches_of_any_size(tmp_path: Path, kind: str, seed: int) -> None:
    path, random = tmp_path / f"people.{kind}", Random(seed)  # noqa: S311 — the cases of a seed
    WRITERS[kind](random, path)
    source, _ = open_unknown(str(path))
    with source:
        wanted = all_of(by_rows(source))

        for size in BLOCKS:
            assert all_of(by_batches(source, size)) == wanted

    assert proposal(path, "on") == proposal(path, "off")


def profiles(path: Path, size: int = 1024 * 1024) -> tuple[object, object]:
    source, _ = open_unknown(str(path))
    with source:
        return all_of(by_rows(source)), all_of(by_batches(source, size))


def file_of(tmp_path: Path, name: str, lines: Sequence[str]) -> Path:
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def phones_that_end(tmp_path: Path) -> Path:
    """Return a file whose phone numbers are given up within a batch: one of them comes often, but late."""
    phones = [f"0101234{at:04}" for at in range(90)]
    others = [f"9{at:09}" for at in range(150)]
    order = [*(text for pair in zip(phones, others, strict=False) for text in pair), *others[90:], *[phones[0]] * 300]
    return file_of(tmp_path, "people.csv", ["user_id,phone", *(f"{at},{text}" for at, text in enumerate(order))])


def test_whether_a_column_is_of_phone_numbers_is_told_in_the_order_of_its_rows(tmp_path: Path) -> None:
    wanted, found = profiles(phones_that_end(tmp_path))

    assert found == wanted


def test_counting_the_phone_numbers_value_by_value_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_values(self: PhoneCounts, likely: dict[int, str], found: dict[int, Occurrences], _: object) -> None:
        rows = [(one.rows[0], at) for at, one in found.items() for _ in range(one.count)]
        right(self, likely, found, lambda: rows)

    right = PhoneCounts.add_many
    path = phones_that_end(tmp_path)
    monkeypatch.setattr(PhoneCounts, "add_many", by_values)

    wanted, found = profiles(path)

    assert found != wanted


def test_a_header_within_the_file_is_damaged_in_a_batch_too(tmp_path: Path) -> None:
    wanted, found = profiles(file_of(tmp_path, "people.csv", ["user_id,city", "1,Seoul", "user_id,city", "2,Busan"]))

    assert found == wanted


def test_a_key_that_comes_late_is_a_column_after_those_before_it(tmp_path: Path) -> None:
    lines = ['{"a":"1","c":"2"}', '{"x":{"y":1}}', '{"a":"1","b":"3","c":"2"}', '{"z":1e5}', '{"d":null}']
    wanted, found = profiles(file_of(tmp_path, "people.jsonl", [*lines, *lines]))

    assert found == wanted


def test_zeros_of_both_signs_are_two_values(tmp_path: Path) -> None:
    table = pl.DataFrame({"user_id": ["1", "2", "3", "4"], "it": [0.0, -0.0, 0.0, -0.0]})
    table.write_parquet(tmp_path / "people.parquet")

    wanted, found = profiles(tmp_path / "people.parquet")

    assert found == wanted
    assert "'-0.0'" in str(found)


def shared(path: Path, size: int) -> tuple[object, object]:
    source, _ = open_unknown(str(path))
    with source:
        rules = [each.rule for each in guess_identities(by_rows(source))]

        def records() -> Iterator[Record]:
            with source.read() as reading:
                yield from reading

        return SharedValues(rules, 5).find(records), SharedInBatches(rules, 5).find(lambda: source.batches(size=size))


@pytest.mark.slow
@pytest.mark.parametrize("size", BLOCKS)
@pytest.mark.parametrize("name", ["people.csv", "people.jsonl", "people.parquet"])
def test_the_same_values_stand_beside_many_people(tmp_path: Path, name: str, size: int) -> None:
    random = Random(1)  # noqa: S311 — always the same rows
    emails = ["none@shop.kr", " desk@shop.kr", "desk@shop.kr", *(f"p{at}@mail.kr" for at in range(200))]
    rows = [
        {
            "user_id": str(at),
            "email": random.choice(emails[: random.choice((3, 200))]),
            "phone": random.choice(("", "02-123-4567", f"010{random.randrange(10**8):08}")),
        }
        for at in range(400)
    ]
    path = tmp_path / name
    match path.suffix:
        case ".csv":
            lines = [",".join(row.values()) for row in rows]
            file_of(tmp_path, name, ["user_id,email,phone", *lines[:200], "ragged", *lines[200:]])
        case ".jsonl":
            objects = [json.dumps(row) for row in rows]
            file_of(tmp_path, name, [*objects[:200], '{"email": "desk@shop.kr", "user_id": 1e3}', *objects[200:]])
        case _:
            pl.DataFrame(rows).write_parquet(path)

    wanted, found = shared(path, size)

    assert wanted
    assert found == wanted


def test_a_small_file_is_read_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path, "people.csv", ["user_id,city", "1,Seoul"])
    monkeypatch.setattr(Source, "batches", None)

    assert "city" in proposal(path, "auto")
