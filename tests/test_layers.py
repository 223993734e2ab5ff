"""The gate refuses what has no business where it stands: each rule of the house, by an import that breaks it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "line", "rule"),
    [
        ("cli/check_messages", "import aiohttp", "Only delivery and sandbox speak HTTP"),
        ("cli/explain", "from aiohttp import web", "Only delivery and sandbox speak HTTP"),
        ("outputs/retry_format", "import tqdm", "Only progress draws bars"),
        ("outputs/report_page", "import leather", "Only the report draws charts"),
        ("delivery/retry", "import aiolimiter", "Only the limiter holds the bucket"),
        ("cli/init", "import polars", "Only what works on whole batches knows polars"),
        ("app/explain", "import yaml", "Only config knows pydantic and YAML"),
        (
            "sandbox/request_body",
            "import uploader.mapping",
            "The sandbox, which judges, knows only plain data",
        ),
        ("mapping/datetimes", "import time", "Pure rooms take time, chance and files as arguments"),
        ("check/source_summary", "from pathlib import Path", "Pure rooms take time, chance and files as arguments"),
        ("outputs/summary", "import uploader.outputs.retry_file", "Outputs are blind to each other"),
        ("source/byte_stream", "import uploader.state", "The house: each room uses only those below it"),
    ],
)
def test_an_import_that_breaks_a_rule_of_the_house_is_refused(
    tmp_path: Path, module: str, line: str, rule: str
) -> None:
    assert rule in _broken(tmp_path, module, line)


@pytest.mark.slow
def test_a_module_that_was_given_no_place_is_refused(tmp_path: Path) -> None:
    assert _broken(tmp_path, "helpers", "") == {"The house: each room uses only those below it"}


def _broken(folder: Path, module: str, line: str) -> set[str]:
    """Return which rules are broken when *line* stands in *module*, in a copy of the house in *folder*."""
    shutil.copytree(ROOT / "uploader", folder / "uploader", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    with (folder / "uploader" / f"{module}.py").open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")

    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    return set(re.findall(r"^(.+) BROKEN", done.stdout, re.MULTILINE))
