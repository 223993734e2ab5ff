"""Run each recipe of the cookbook: its whole input is accepted, and its row comes out as the page shows."""

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.command import Desk
from uploader.sandbox import Sandbox
from uploader.sandbox.sqlite_store import RequestRecord

PAGE: Final = (Path(__file__).parents[2] / "docs/cookbook.md").read_text(encoding="utf-8")
SUBJECTS: Final = ("Korean CRM export", "Shopify", "Cafe24", "Excel", "Warehouse")
KEY: Final = "secret of the cookbook"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A section of the page: the *blocks* that it has, by their titles."""

    subject: str
    blocks: Mapping[str, str]

    @property
    def source(self) -> str:
        """The name of the input."""
        return next(iter(self.blocks))

    @property
    def above(self) -> int:
        """The number of lines above the first row."""
        return 0 if self.source.endswith(".jsonl") else 1 + self.blocks["config.yaml"].count("skip_lines: 1")

    @property
    def row(self) -> int:
        """The number of the row whose body is shown."""
        return int([*self.blocks][-1].removeprefix("row "))

    @property
    def body(self) -> Any:  # noqa: ANN401 — JSON
        """The body that is shown."""
        return json.loads(self.blocks[f"row {self.row}"])


def titled(text: str) -> dict[str, str]:
    """Return the blocks of *text* that have a title."""
    return dict(re.findall(r"^```\w+ title=\"([^\"]+)\"\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


RECIPES: Final = [Recipe(section.splitlines()[0], titled(section)) for section in PAGE.split("\n## ")[1:]]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[RequestRecord]:
    """Keep what the sandbox of a dry run received when it closes."""
    found: list[RequestRecord] = []
    close = Sandbox.close

    def keep_and_close(box: Sandbox) -> None:
        found.extend(box.requests())
        close(box)

    monkeypatch.setattr(Sandbox, "close", keep_and_close)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return found


def prepare(recipe: Recipe, desk: Desk) -> None:
    """Write the input, in the encoding that the configuration names, and the configuration below its `api`."""
    text = recipe.blocks["config.yaml"]
    encoding = yaml.safe_load(text).get("source", {}).get("encoding", "utf-8")
    desk.write(recipe.source, recipe.blocks[recipe.source].encode(encoding))
    desk.write("config.yaml", titled(PAGE)["api.yaml"] + text)
    desk.environ["DFINERY_HASH_KEY"] = KEY


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.subject)
def test_a_recipe_sends_every_row_and_the_body_that_it_shows(
    recipe: Recipe, desk: Desk, requests: list[RequestRecord]
) -> None:
    prepare(recipe, desk)

    ended = desk.type("run", recipe.source, "--sandbox")
    bodies = [json.loads(request.body) for request in requests]
    if "request_datetime" not in recipe.body:
        for body in bodies:
            del body["request_datetime"]

    assert (ended.status, len(bodies)) == (0, len(recipe.blocks[recipe.source].splitlines()) - recipe.above), ended.err
    assert json.dumps(recipe.body) in map(json.dumps, bodies)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.subject)
def test_the_check_of_a_recipe_finds_nothing_wrong(recipe: Recipe, desk: Desk) -> None:
    prepare(recipe, desk)

    ended = desk.type("check", recipe.source, "--json")
    found = json.loads(ended.out)

    assert (ended.status, found["problems"], found["warnings"]) == (0, [], []), ended.err


def test_the_page_has_a_recipe_for_each_kind_of_export() -> None:
    assert [recipe.subject for recipe in RECIPES] == list(SUBJECTS)
