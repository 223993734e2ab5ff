"""What is heavy is loaded only by the command that uses it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.make import CONFIG

HEAVY: Final = frozenset({"aiohttp", "aiolimiter", "leather", "polars", "pydantic", "tqdm", "uvloop"})


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (["--version"], set[str]()),
        (["--help"], set[str]()),
        (["init", "people.csv", "--config", "new.yaml"], {"pydantic"}),
        (["check", "people.csv"], {"pydantic"}),
        (["explain", "people.csv", "--row", "1"], {"pydantic"}),
        (["runs"], {"pydantic"}),
        (["check", "people.parquet"], {"pydantic", "polars"}),
        (["check", "thousand.csv"], {"pydantic"}),
        (["check", "thousand.jsonl"], {"pydantic"}),
        (["run", "thousand.csv", "--sandbox", "--limit", "1"], HEAVY - {"leather", "polars"}),
        (["check", "thousand.csv", "--set", "source.columnar=on"], {"pydantic", "polars"}),
    ],
)
def test_a_command_loads_nothing_heavy_that_it_does_not_use(folder: Path, words: list[str], loaded: set[str]) -> None:
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "people.csv").write_text("id,name,age\n1,Kim,30\n", encoding="utf-8")
    rows = "".join(f"{number},Kim,30\n" for number in range(1000))
    (folder / "thousand.csv").write_text(f"id,name,age\n{rows}", encoding="utf-8")
    lines = "".join(f'{{"id": "{number}", "name": "Kim", "age": 30}}\n' for number in range(1000))
    (folder / "thousand.jsonl").write_text(lines, encoding="utf-8")
    if "people.parquet" in words:
        import polars as pl  # noqa: PLC0415 — only this one needs it

        pl.DataFrame({"id": ["1"], "name": ["Kim"], "age": [30]}).write_parquet(folder / "people.parquet")

    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "uploader", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert HEAVY & set(re.findall(r"^import time:.*\| +(\w+)$", done.stderr, re.MULTILINE)) == loaded


def test_a_command_that_is_like_the_one_typed_is_named_though_it_is_not_loaded(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uploader", "chek"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "Error: No such command 'chek'. Did you mean 'check'?"
