"""The whole command does the same with `source.columnar: on` as with `off`, whatever is in the file."""

import io
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest

from tests.command import Desk, rules, sent_ids
from tests.seeds import seeds
from uploader.app.check_report import CheckReport
from uploader.changes.unchanged_rows import UnchangedRows
from uploader.mapping.compiled_plan import Plan
from uploader.model import NoWork, Request, Work
from uploader.sandbox import RunningSandbox
from uploader.source import take_batches
from uploader.source.reader import BY_POLARS

CONFIG: Final = """\
mapping:
  identity:
    external_id: {column: id, trim: true}
    email: {column: mail, case: lower}
  properties:
    df_name: name
    age: {column: age, type: long, thousands: ","}
    score: {column: score, type: double, on_error: omit}
    joined: {column: joined, type: datetime, timezone: America/New_York}
    vip: {column: vip, type: boolean}
    df_push_optin: push
    source: {value: nightly}
limits: {max_rejected: 100%, canary: 0}
source: {columnar: auto}
"""
COLUMNS: Final = ("id", "mail", "name", "age", "score", "joined", "vip", "push", "memo")
GOOD: Final[Mapping[str, Sequence[str]]] = {
    "name": ("김하늘", "Lee", "", "박"),
    "age": ("31", "1,200", "", "-7"),
    "score": ("1.5", "0.1", "7", ""),
    "joined": ("2024-01-15 12:30:00", "2024-07-01T00:00:00Z", ""),
    "vip": ("Y", "no", "1", ""),
    "push": ("Y", "N", ""),
    "memo": ("", "a"),
}
ODD: Final = (
    *(" ", "#N/A", '"', "a\nb", "a,b", "x", "-", "NULL", "1.0", "8.2E+11", "2024-03-10 02:30:00", "\ufeff", "é"),
    *("9223372036854775808", "1e400", "2024-02-30 00:00:00", "Ã©", "김\r\n", "0.00001", "NaN", "\\"),
)


@dataclass(frozen=True)
class Came:
    """What came of a command: its end, what the service got, and what is left in the folder."""

    status: int
    said: list[str]
    sent: list[str]
    summary: Mapping[str, Any]
    retry: Mapping[str, list[str]]
    journal: list[str]


def rows_of(dice: random.Random, count: int) -> Iterator[dict[str, str]]:
    for number in range(1, count + 1):
        who = dice.randrange(1, count + 1) if dice.random() < 0.1 else number
        row = {"id": f"u{who}", "mail": f"M{who}@example.com"} | {
            name: dice.choice(some) for name, some in GOOD.items()
        }
        if dice.random() < 0.15:
            row[dice.choice(COLUMNS)] = dice.choice(ODD)
        yield row


def as_csv(dice: random.Random, rows: Sequence[Mapping[str, str]]) -> bytes:
    quoting, end = dice.choice([True, False]), dice.choice(["\n", "\r\n"])

    def cell(text: str) -> str:
        needs = quoting or re.search('[,"\r\n]', text)
        return '"' + text.replace('"', '""') + '"' if needs else text

    lines = [",".join(COLUMNS), *(",".join(cell(row[name]) for name in COLUMNS) for row in rows)]
    return (end.join(lines) + end).encode(dice.choice(["utf-8", "utf-8-sig", "utf-16"]))


def as_jsonl(dice: random.Random, rows: Sequence[Mapping[str, str]]) -> bytes:
    def value(text: str) -> object:
        return int(text) if re.fullmatch(r"-?[1-9][0-9]{0,15}", text) and dice.random() < 0.5 else text

    objects = ({name: value(row[name]) for name in COLUMNS if row[name] or dice.random() < 0.7} for row in rows)
    return "".join(json.dumps(one, ensure_ascii=dice.random() < 0.3) + "\n" for one in objects).encode()


def as_parquet(dice: random.Random, rows: Sequence[Mapping[str, str]]) -> bytes:
    table = pl.DataFrame([{name: row[name] or None for name in COLUMNS} for row in rows])
    if dice.random() < 0.5:
        table = table.with_columns(pl.col("age").str.replace(",", "").cast(pl.Int64, strict=False))
        table = table.with_columns(pl.col("score").cast(pl.Float64, strict=False))
    written = io.BytesIO()
    table.write_parquet(written)
    return written.getvalue()


WRITERS: Final[Mapping[str, Callable[[random.Random, Sequence[Mapping[str, str]]], bytes]]] = {
    "csv": as_csv,
    "jsonl": as_jsonl,
    "parquet": as_parquet,
}


def damaged(dice: random.Random, content: bytes) -> bytes:
    """Return *content* with some bytes changed, taken out or put in."""
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(content))
        taken, put = dice.choice([(1, 1), (1, 0), (0, 1), (7, 0)])
        content = content[:at] + bytes(dice.choices(b'",\r\n\0x\\{}\xff', k=put)) + content[at + taken :]
    return content


def came_of(desk: Desk, server: RunningSandbox, way: str, name: str, content: bytes) -> Came:
    """Return what comes of a check and a run of the file *name*, each in a new folder."""
    before = len(server.sandbox.requests())
    for path in desk.folder.iterdir():
        if path.name != "config.yaml":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    desk.write(name, content)
    config = desk.folder / "config.yaml"
    config.write_text(
        re.sub("columnar: [a-z]+", f"columnar: {way}", config.read_text(encoding="utf-8")), encoding="utf-8"
    )
    words = (name, "-v", "--show-values")
    checked = desk.type("check", *words, "--json")
    ran = desk.type("run", *words, "--summary", "summary.json")
    summary = desk.summary() if (desk.folder / "summary.json").exists() else {}
    said = [without_times(line) for text in (checked.out, checked.err, ran.err) for line in text.splitlines()]
    return Came(
        checked.status * 1000 + ran.status,
        [line for line in said if "read row by row" not in line],
        [without_times(request.body.decode()) for request in server.sandbox.requests()[before:]],
        {key: value for key, value in summary.items() if key in KEPT},
        {path.name: without_runs(path) for path in desk.folder.iterdir() if ".retry" in path.name},
        [line for path in desk.folder.rglob("*.journal") for line in outcomes_in(path)],
    )


KEPT: Final = frozenset(
    {
        *("read", "sent", "unchanged", "superseded", "rejected", "failed", "not_attempted", "requests", "retries"),
        *("exit_status", "rejected_reasons", "warnings", "repairs", "blank_lines", "problems"),
    }
)


def without_times(text: str) -> str:
    text = re.sub(r'"request_datetime":"[^"]*"', "", text)
    text = re.sub(r"r[0-9]+-[0-9a-f]{8}|\b[0-9a-f]{24,64}\b|[0-9]{8}T[0-9]{6}Z(-[0-9a-f]+)?", "", text)
    return re.sub(
        r"\b[0-9.]+ (s|seconds|rows/s|requests/s|per second)\b|[0-9]{2}:[0-9]{2}:[0-9]{2}|\(run [^)]*\)", "", text
    )


def without_runs(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        return [str(pl.read_parquet(path))]
    return [without_times(line) for line in path.read_bytes().decode("utf-8", "replace").splitlines()]


def outcomes_in(path: Path) -> Iterator[str]:
    """Yield what the journal at *path* says of rows."""
    for line in path.read_text(encoding="utf-8").splitlines():
        payload = line.partition(" ")[2]
        if payload[:2] in {"s ", "a ", "f ", "r ", "n ", "v ", "u "}:
            yield payload
        elif payload[:2] == "+ ":
            facts = json.loads(payload[2:])
            yield repr([facts[key] for key in ("content", "mapping", "rows", "damaged")])


@pytest.fixture
def server(sandbox: Callable[..., RunningSandbox], desk: Desk) -> RunningSandbox:
    served: RunningSandbox = sandbox(rules())
    desk.configure(served.url, mapping=CONFIG)
    path = desk.folder / "config.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("burst: 16", "concurrency: 1"), encoding="utf-8")
    return served


def same_in_both_ways(desk: Desk, server: RunningSandbox, name: str, content: bytes) -> Came:
    by_rows = came_of(desk, server, "off", name, content)
    in_batches = came_of(desk, server, "on", name, content)
    differing = [pair for pair in zip_longest(in_batches.said, by_rows.said) if pair[0] != pair[1]]
    assert differing == []
    assert in_batches == by_rows
    return by_rows


@pytest.mark.slow
@pytest.mark.seeded
@pytest.mark.parametrize("seed", seeds(3))
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_comes_to_the_same_in_both_ways(desk: Desk, server: RunningSandbox, suffix: str, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 — any file is as good
    content = WRITERS[suffix](dice, [*rows_of(dice, 60)])

    came = same_in_both_ways(desk, server, f"people.{suffix}", content)

    assert came.sent


@pytest.mark.slow
@pytest.mark.seeded
@pytest.mark.parametrize("seed", seeds(6))
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_damaged_file_comes_to_the_same_in_both_ways(
    desk: Desk, server: RunningSandbox, suffix: str, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 — as above
    content = damaged(dice, WRITERS[suffix](dice, [*rows_of(dice, 20)]))

    same_in_both_ways(desk, server, f"people.{suffix}", content)


def nights(desk: Desk, server: RunningSandbox, way: str, files: Sequence[bytes], *more: str) -> list[object]:
    """Return what comes of sending *files* one night after the other, each under the same name."""
    shutil.rmtree(desk.folder / ".uploader", ignore_errors=True)
    found: list[object] = []
    for content in files:
        before = len(server.sandbox.requests())
        desk.write("people.csv", content)
        words = ("--changed-only", "--set", f"source.columnar={way}", "--summary", "summary.json", *more)
        ended = desk.type("run", "people.csv", "-q", *words)
        sent = [without_times(request.body.decode()) for request in server.sandbox.requests()[before:]]
        found.append((ended.status, sent, desk.books()))
        for path in desk.folder.glob("*.retry*"):
            found.append(without_runs(path))
            path.unlink()
    found.append([[*outcomes_in(path)] for path in sorted(desk.folder.rglob("*.journal"))])
    return found


@pytest.mark.slow
@pytest.mark.seeded
@pytest.mark.parametrize("seed", seeds(2))
@pytest.mark.parametrize("more", [(), ("--set", "coalesce=true")], ids=["apart", "coalesced"])
@pytest.mark.parametrize("at_once", [7, 200_000])
def test_changed_nights_come_to_the_same_in_both_ways(  # noqa: PLR0913, PLR0917 — fixtures, and the case
    desk: Desk,
    server: RunningSandbox,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    at_once: int,
    seed: int,
) -> None:
    monkeypatch.setattr("uploader.mapping.batch_works.AT_ONCE", at_once)
    monkeypatch.setattr("uploader.source.record_batches.MOST_ROWS", 5)
    monkeypatch.setattr("uploader.source.csv_batches.MOST_ROWS", 5)
    monkeypatch.setattr("uploader.changes.merge_digests.FEWEST", 1)
    dice = random.Random(seed)  # noqa: S311 — as above
    rows = [*rows_of(dice, 60)]
    files = []
    for _ in range(4):
        files.append(as_csv(random.Random(1), rows))  # noqa: S311 — as above
        rows = [row | ({"name": f"n{dice.random()}"} if dice.random() < 0.1 else {}) for row in rows]

    by_rows = nights(desk, server, "off", files, *more)
    in_batches = nights(desk, server, "on", files, *more)

    assert in_batches == by_rows


def table(names: Sequence[str]) -> bytes:
    """Return a CSV in which person 3 comes twice, and persons 4 and 5 have one email address."""
    mails = [f"u{4 if number == 5 else number}@example.com" for number in range(len(names))]
    lines = [f"u{number},{mails[number]},{name},,,,,,\n" for number, name in enumerate(names)]
    return "".join([",".join(COLUMNS), "\n", *lines, lines[3]]).encode()


def unusual_nights(desk: Desk, server: RunningSandbox, way: str) -> list[tuple[int, list[str], list[Any], list[Any]]]:
    """Return what comes of nights with rows to resend, two sources, all rows sent again, and a limit."""
    names = [f"name{number}" for number in range(40)]
    refused = [*names[:6], "bad", *names[7:20], "bad", *names[21:]]
    newer = [*names[:8], "new", *names[9:30], "new", *names[31:]]
    found = []
    for main, other, words in (
        (names, [], ()),
        (refused, [], ()),
        (refused, [], ("people.retry.csv",)),
        (names, [*newer[:12], *names[12:20]], ("other.csv",)),
        (names, [], ()),
        (newer, [], ("--limit", "20")),
        (newer, [], ("--full",)),
        (newer, [], ()),
        (newer, [], ("--set", "full_every=1ms")),
        (names, names, ("other.csv", "--set", "full_every=30d")),
    ):
        desk.write("people.csv", table(main))
        desk.write("other.csv", table(other or names))
        before = len(server.sandbox.requests())
        flags = ("-q", "--changed-only", "--set", f"source.columnar={way}", "--summary", "summary.json")
        ended = desk.type("run", "people.csv", *words, *flags)
        sent = [without_times(request.body.decode()) for request in server.sandbox.requests()[before:]]
        said: Any = json.loads((desk.folder / "summary.json").read_text(encoding="utf-8"))
        counts = [
            {key: one[key] for key in ("read", "sent", "unchanged", "rejected", "requests")} for one in said["sources"]
        ]
        found.append((ended.status, sent, counts, [without_runs(one) for one in sorted(desk.folder.glob("*.retry*"))]))
    return found


@pytest.mark.slow
def test_unusual_nights_come_to_the_same_in_both_ways(
    desk: Desk, sandbox: Callable[..., RunningSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.mapping.batch_works.AT_ONCE", 7)
    monkeypatch.setattr("uploader.source.csv_batches.MOST_ROWS", 5)
    monkeypatch.setattr("uploader.changes.merge_digests.FEWEST", 1)
    found = []
    for way in ("off", "on"):
        shutil.rmtree(desk.folder / ".uploader", ignore_errors=True)
        for path in desk.folder.glob("*.retry*"):
            path.unlink()
        server = sandbox(rules("code=40001 for df_name=bad"))
        desk.configure(server.url, mapping=CONFIG)
        path = desk.folder / "config.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace("burst: 16", "concurrency: 1"), encoding="utf-8")
        found.append(unusual_nights(desk, server, way))

    for by_rows, in_batches in zip(*found, strict=True):
        assert in_batches == by_rows
    # Who shares an email address, and whoever differs from the night before, is sent; all are by --full.
    unchanged = [[one["unchanged"] for one in night[2]] for night in found[0]]
    assert unchanged == [[0], [37], [37, 0], [37, 18], [38], [17], [0], [39], [0], [37, 39]]


def test_an_unchanged_row_costs_no_request(desk: Desk, server: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.configure(server.url)
    desk.people(300)
    words = ("people.csv", "-q", "--changed-only", "--set", "source.columnar=on", "--summary", "summary.json")
    desk.type("run", *words)
    path = desk.folder / "people.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("name7\n", "new\n"), encoding="utf-8")
    made: list[int] = []
    skip = UnchangedRows._skip_if_unchanged  # noqa: SLF001 — what takes rows one by one

    def counting(self: UnchangedRows, work: Work | NoWork) -> Work | NoWork:
        if isinstance(work, Request):
            made.append(work.row.number)
        return skip(self, work)

    monkeypatch.setattr(UnchangedRows, "_skip_if_unchanged", counting)

    desk.type("run", *words)

    assert made == [7]
    assert desk.books() == {"sent": 1, "unchanged": 299}


@pytest.mark.slow
def test_an_interrupted_run_is_resumed_in_batches_as_by_rows(
    desk: Desk, sandbox: Callable[..., RunningSandbox]
) -> None:
    found = []
    for way in ("off", "on"):
        shutil.rmtree(desk.folder / ".uploader", ignore_errors=True)
        server = sandbox(rules("code=40201 for external_id=31 times 1"))
        desk.configure(server.url)
        path = desk.folder / "config.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace("burst: 16", "concurrency: 1"), encoding="utf-8")
        desk.people(60)
        words = ("people.csv", "-q", "--set", f"source.columnar={way}", "--summary", "summary.json")
        stopped = desk.type("run", *words)
        resumed = desk.type("run", *words)
        found.append((stopped.status, resumed.status, desk.books(), sent_ids(server)))

    assert found[1] == found[0]
    assert found[0][:3] == (5, 0, {"sent": 60})


def test_good_rows_are_never_mapped_one_by_one(
    desk: Desk, server: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped: list[int] = []
    map_row = Plan.map_row

    def counting(plan: Plan, record: Any, now: str) -> Any:  # noqa: ANN401 — as in the plan
        mapped.append(record.number)
        return map_row(plan, record, now)

    monkeypatch.setattr(Plan, "map_row", counting)
    desk.write("people.csv", "id,mail,name,age,score,joined,vip,push\nu1,a@example.com,Kim,1,1,,,\nu2,,Lee,x,1,,,\n")

    desk.type("run", "people.csv", "-q", "--set", "source.columnar=on")

    assert {*mapped} == {2}
    assert len(server.sandbox.requests()) == 1


@pytest.mark.parametrize(
    ("name", "words", "why"),
    [
        ("people.csv", ("--set", "source.columnar=off"), "source.columnar is off"),
        ("people.csv", ("--limit", "1"), "only its first rows are read"),
        ("people.jsonl", ("--set", "mapping.other_columns=send"), "its mapping needs whole rows"),
    ],
)
def test_why_a_large_file_is_read_row_by_row_is_said_with_v(  # noqa: PLR0913, PLR0917 — fixtures, and the case
    desk: Desk, server: RunningSandbox, monkeypatch: pytest.MonkeyPatch, name: str, words: tuple[str, ...], why: str
) -> None:
    monkeypatch.setattr(take_batches, "_LEAST", 0)
    desk.configure(server.url)
    desk.people(3)
    desk.write("people.jsonl", '{"id": "1", "name": "Kim"}\n')

    told = desk.type("check", name, "-v", *words).err
    silent = desk.type("check", name, *words).err

    assert [line for line in told.splitlines() if "read row by row" in line and why in line] != []
    assert "read row by row" not in silent


def test_a_guard_that_finds_a_difference_is_named_with_v(
    desk: Desk, server: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploader.mapping.column_expressions._ID", ".+")
    desk.configure(server.url)
    desk.people(3)

    told = desk.type("check", "people.csv", "-v", "--set", "source.columnar=on").err

    assert "the installed polars reads a external_id (text) in another way" in told


def test_all_of_a_clean_file_is_read_by_polars(
    monkeypatch: pytest.MonkeyPatch, desk: Desk, server: RunningSandbox
) -> None:
    ways: list[Mapping[str, int]] = []

    def facts(report: CheckReport) -> dict[str, object]:
        assert report.source is not None
        ways.append({str(way): count for way, count in report.source.ways.items()})
        return {}

    monkeypatch.setattr(CheckReport, "facts", facts)
    desk.configure(server.url)
    desk.people(3000)

    desk.type("check", "people.csv", "--json", "--set", "source.columnar=on")

    (found,) = ways
    assert sum(count for way, count in found.items() if way in BY_POLARS) == 3000 == sum(found.values())
