import json
import py_compile
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from benchmarks.calls_per_row import by_file, files_on_the_way, lines
from benchmarks.contenders import Absent
from benchmarks.figures import Chapter, Table, Wanted, keep, read_chapters
from benchmarks.limit import Used
from benchmarks.limit import chapter as limit_chapter
from benchmarks.page import BEGIN, END, UnmarkedError, rewrite
from benchmarks.peers.body import bodies
from benchmarks.peers.curl import transfers
from benchmarks.people import CONFIG, write_people
from benchmarks.row_cost import Part
from benchmarks.row_cost import chapter as profile_chapter
from benchmarks.scripts import CHECK
from benchmarks.scripts import chapter as script_chapter
from benchmarks.sizes import chapter as sizes_chapter
from benchmarks.startup import chapter as startup_chapter
from benchmarks.unthrottled import Lap, Pair
from benchmarks.unthrottled import chapter as unthrottled_chapter
from tests.plans import compile_plan
from uploader.config import load
from uploader.model import Request, Row
from uploader.source import open_source

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "benchmarks" / "peers"
SCRIPTS = sorted(path.name for path in PEERS.glob("*.py"))

CHAPTER = Chapter(
    "limit",
    "At the limit",
    "Measured so.",
    (Table("Both", ("", "rows"), (("ours", "1,000"), ("theirs", "10"))),),
    (Wanted("more than theirs", "100 x", holds=True), Wanted("none lost", "1", holds=False)),
    {"rows": [1000, 10]},
    {"on": "2024-03-05", "Python": "3.11.7"},
)
OURS = Lap(1000, 3.0, 0.5, 90.0, 1.0, 0.2, own=510.0)
THEIRS = Lap(1000, 2.0, 0.4, 30.0, 0.4, 0.12)


def test_a_table_is_aligned_for_a_terminal() -> None:
    assert CHAPTER.lines() == [
        "Both",
        "           rows",
        "  ours    1,000",
        "  theirs     10",
        "",
        "holds: more than theirs; found 100 x",
        "DOES NOT HOLD: none lost; found 1",
    ]


def test_what_was_found_is_read_as_it_was_kept(tmp_path: Path) -> None:
    keep(tmp_path / "results.json", [CHAPTER])

    assert list(read_chapters(tmp_path / "results.json")) == [CHAPTER]


def test_a_part_that_is_measured_again_replaces_itself_alone(tmp_path: Path) -> None:
    other, newer = replace(CHAPTER, key="check"), replace(CHAPTER, text="Measured anew.")
    keep(tmp_path / "results.json", [CHAPTER, other])

    kept = keep(tmp_path / "results.json", [newer])

    assert kept == [newer, other]


def test_the_page_keeps_what_stands_around_its_figures(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Performance\n\n{BEGIN}\nold figures\n{END}\n\nThe end.\n", encoding="utf-8")

    rewrite(page, [CHAPTER])

    assert page.read_text(encoding="utf-8") == (
        f"# Performance\n\n{BEGIN}\n\n"
        "## What was wanted\n\n| wanted | found | holds |\n|---|---|---|\n"
        "| more than theirs | 100 x | yes |\n| none lost | 1 | **no** |\n\n"
        "## At the limit\n\nMeasured so.\n\nBoth:\n\n"
        "|  | rows |\n| --- | --: |\n| ours | 1,000 |\n| theirs | 10 |\n\n"
        f"Measured: on 2024-03-05; Python 3.11.7.\n\n{END}\n\nThe end.\n"
    )


def test_writing_the_page_twice_is_writing_it_once(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    rewrite(page, [CHAPTER])
    once = page.read_text(encoding="utf-8")

    rewrite(page, [CHAPTER])

    assert page.read_text(encoding="utf-8") == once


def test_a_page_without_marks_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n", encoding="utf-8")

    with pytest.raises(UnmarkedError, match=r"performance\.md lacks the line"):
        rewrite(page, [CHAPTER])

    assert page.read_text(encoding="utf-8") == "# Performance\n"


def test_the_projects_page_has_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    shutil.copy(ROOT / "docs" / "performance.md", page)

    rewrite(page, [CHAPTER])

    assert "| ours | 1,000 |" in page.read_text(encoding="utf-8")


def test_the_projects_page_shows_the_results_that_are_kept_beside_it(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    shutil.copy(ROOT / "docs" / "performance.md", page)

    rewrite(page, list(read_chapters(ROOT / "benchmarks" / "results.json")))

    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def test_what_comes_before_the_first_request_is_not_counted_as_sending() -> None:
    assert (OURS.rate, round(OURS.microseconds, 6)) == (500.0, 300.0)


def test_a_lap_is_compared_with_both_of_ours_beside_it() -> None:
    slow = replace(OURS, seconds=5.0, cpu=0.9)

    pair = Pair(THEIRS, OURS, slow)

    assert [pair.ratio, pair.microseconds_more] == pytest.approx([1000 / 3 / 625, 220.0])


def test_unthrottled_shows_each_peer_beside_ours_and_names_who_is_absent() -> None:
    loops = ("bare loop", "lean loop", "tuned loop")
    pairs = {name: [Pair(THEIRS, OURS, OURS)] for name in loops}
    versions = dict.fromkeys(("uploader run", *loops), "a 1")

    found = unthrottled_chapter(
        pairs, {".csv": [OURS]}, versions, [Absent("undici", "no Node with npm on this machine")], server="1.22.1"
    )

    ours, bare, _, _, absent = found.tables[0].rows
    assert ours == ("uploader run, CSV", "a 1", "1,000", "500", "500 … 500", "-", "-", "300", "1.00", "90")
    assert bare == ("bare loop", "a 1", "1,000", "625", "625 … 625", "0.80 x", "0.80 … 0.80", "280", "0.40", "30")
    assert absent[:3] == ("undici", "not installed: no Node with npm on this machine", "-")
    assert [one.holds for one in found.wanted] == [False, True]
    assert "ours sent 510 (510 … 510) rows a second" in found.text


def test_at_the_limit_one_request_too_many_is_a_figure_that_does_not_hold() -> None:
    mine = Used("uploader run", 10_000, 10_000, 0, 0, 12, 0.93, 21.5)
    script = Used("obvious script", 10_000, 6_000, 4_000, 5, 10, 0.6, 20.0)

    good = limit_chapter([[mine, script], [replace(mine, share=0.94), replace(script, share=0.7)]])
    bad = limit_chapter([[mine, script], [replace(mine, over=1), script]])

    assert [good.wanted[0].holds, bad.wanted[0].holds] == [True, False]
    assert good.wanted[0].found == "98.4% of the share, 0 over; the obvious script: 8,000 over"
    assert good.tables[0].rows[1] == (
        "obvious script", "20,000", "12,000", "8,000", "8,000", "10 of 20", "65.0%", "60.0 … 70.0", "300",
    )  # fmt: skip


def test_memory_at_the_largest_size_is_held_against_that_at_a_hundred_thousand_rows() -> None:
    laps = {10_000: OURS, 100_000: OURS, 1_000_000: replace(OURS, megabytes=131.0)}

    found = sizes_chapter(laps)

    assert [(one.found, one.holds) for one in found.wanted] == [("131 MB, +41 MB", False)]


def test_a_start_that_imports_what_it_does_not_use_is_a_figure_that_does_not_hold() -> None:
    bare, version, csv, parquet = (
        "python -c pass",
        "uploader --version",
        "uploader check, CSV of one row",
        "uploader check, Parquet of one row",
    )
    seconds = {bare: [0.01], version: [0.05], csv: [0.1], parquet: [0.1]}
    good = {bare: [], version: ["tqdm"], csv: ["pydantic"], parquet: ["pydantic", "polars"]}

    lean = startup_chapter(seconds, good)
    fat = [startup_chapter(seconds, {**good, name: ["aiohttp"]}) for name in (version, csv, parquet)]

    assert [one.holds for one in lean.wanted] == [True, True]
    assert [[one.holds for one in chapter.wanted] for chapter in fat] == [[True, False]] * 3


def test_a_script_that_calls_its_figures_bad_is_a_figure_that_does_not_hold() -> None:
    found = script_chapter(CHECK, "wanted: 80,000 rows a second (found 79,000), 1.1 times (found 1.02)\n", holds=False)

    assert [(one.found, one.holds) for one in found.wanted] == [("79,000 and 1.02", False)]


def test_the_profile_shows_what_the_parts_leave_unexplained() -> None:
    found = profile_chapter([Part("read", "`source`", 20.0), Part("map", "`mapper`", 80.0)], 90.0, [OURS], [THEIRS])

    assert [row[2:] for row in found.tables[0].rows] == [
        ("20.00", "6.7%"),
        ("80.00", "26.7%"),
        ("100.00", "33.3%"),
        ("90.00", "30.0%"),
        ("300.00", "100.0%"),
        ("200.00", "66.7%"),
        ("280.00", "93.3%"),
    ]


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_peer_written_in_python_compiles(name: str, tmp_path: Path) -> None:
    assert py_compile.compile(str(PEERS / name), cfile=str(tmp_path / "peer.pyc"), doraise=True) is not None


def test_the_peer_written_for_node_compiles(tmp_path: Path) -> None:
    node = shutil.which("node")
    script = shutil.copy(PEERS / "undici.mjs", tmp_path)

    status = 0 if node is None else subprocess.run([node, "--check", script], check=False).returncode

    assert status == 0


def test_the_peers_send_what_the_uploader_sends(tmp_path: Path) -> None:
    people = write_people(tmp_path / "people.csv", 40)
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(url="http://127.0.0.1:1", rate="{}"), encoding="utf-8")
    wanted = load(config, overrides=(), environ={}, credentials=False)
    now = "2024-03-05T00:00:00.000Z"

    with open_source(str(people), format="auto", encoding="auto", delimiter=",", stdin=None) as source:
        plan = compile_plan(wanted.rules(), source="people.csv", config="config.yaml", columns=source.columns)
        with source.read() as reading:
            ours = [work.body for record in reading if isinstance(work := plan.map_row(record, now), Request)]

    theirs = [orjson.dumps({**orjson.loads(body), "request_datetime": now}) for body in bodies(people)]
    assert ours == theirs


def test_the_people_are_the_same_in_every_format(tmp_path: Path) -> None:
    cells = {}

    for suffix in (".csv", ".jsonl", ".parquet"):
        path = write_people(tmp_path / f"people{suffix}", 30)
        source = open_source(str(path), format="auto", encoding="auto", delimiter=",", stdin=None)
        with source, source.read() as reading:
            cells[suffix] = [dict(record.fields) for record in reading if isinstance(record, Row)]

    assert len(cells[".csv"]) == 30
    assert cells[".csv"] == cells[".jsonl"] == cells[".parquet"]


def test_curl_is_given_one_transfer_for_each_row(tmp_path: Path) -> None:
    people = write_people(tmp_path / "people.csv", 3)

    config = "".join(transfers(people, "http://127.0.0.1:1/"))

    sent = [line for line in config.splitlines() if line.startswith("data-raw")]
    assert [json.loads(json.loads(line.partition(" = ")[2]))["identity"]["external_id"] for line in sent] == [
        "00000001",
        "00000002",
        "00000003",
    ]
    assert config.count("next\n") == 2


CALLS = {"a.py:1 f": 1.0, "a.py:9 g": 0.25, "b.py:1 h": 0.03, "sandbox/c.py:1 judge": 2.0}


def test_calls_are_summed_for_each_file() -> None:
    assert by_file(CALLS) == {"a.py": 1.25, "b.py": 0.03, "sandbox/c.py": 2.0}


def test_a_file_that_is_called_for_every_tenth_row_is_not_on_the_way_of_a_row() -> None:
    assert files_on_the_way(CALLS) == {"a.py", "sandbox/c.py"}


def test_the_calls_of_the_sandbox_are_counted_apart() -> None:
    assert lines(CALLS, top=1, with_sandbox=False) == [
        "    1.3 calls a row in 1 files, the uploader alone",
        "    3.3 calls a row in 2 files, with the sandbox",
        "",
        "   1.25  a.py",
        "   0.03  b.py",
        "",
        "   1.00  a.py:1 f",
    ]
