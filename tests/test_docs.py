"""Hold the pages to their size, their links, their words, and what their examples print."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from docs.scripts import command_line, examples, terminal

ROOT = Path(__file__).parents[1]
READMES = [file.name for file in sorted(ROOT.glob("README*.md"))]
PAGES = [*READMES, *(f"docs/{file.name}" for file in sorted((ROOT / "docs").glob("*.md")))]
WORDS = ("rate limit", "resume", "dry run", "duplicate", "backoff", "idempotent", "environment variable")

OTHER_NAMES = {"print", "test_layers", "yaml"}
"""What the page of the house names that is neither a module nor a package."""

FIRST = {"README.md", "quick-start.md"}
"""What everybody reads; `make check` runs the examples of the other pages as well."""


@cache
def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# Size and words


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_read_in_one_sitting(name: str) -> None:
    assert len(page(name).splitlines()) <= 150


@pytest.mark.parametrize("name", [name for name in PAGES if name not in READMES])
def test_a_page_stays_below_300_lines(name: str) -> None:
    assert len(page(name).splitlines()) < 300


@pytest.mark.parametrize("word", WORDS)
def test_the_readme_has_the_words_that_people_search_for(word: str) -> None:
    assert word in re.sub(r"\s+", " ", page("README.md").lower())


@pytest.mark.parametrize("name", READMES)
def test_the_readme_quotes_figures_that_the_page_of_figures_has(name: str) -> None:
    linked = re.findall(r"\[([^]]+)\]\(docs/performance\.md#", page(name))

    figures = [number for text in linked for number in re.findall(r"\d[\d,.]*%?", text) if number != "0"]

    assert len(linked) == 3
    assert [number for number in figures if number not in page("docs/performance.md")] == []


# Links


def links(name: str) -> Iterator[tuple[str, str]]:
    """Yield each relative link of page *name*: the file, and the heading in it."""
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", page(name), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" not in target:
            file, _, heading = target.partition("#")
            yield file, heading


def anchors(name: str) -> set[str]:
    """Return how the headings of page *name* are linked to, as GitHub and MkDocs do it."""
    prose = re.sub(r"^```.*?^```", "", page(name), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    folder = (ROOT / name).parent
    targets = [(folder / file if file else ROOT / name, heading) for file, heading in links(name)]

    lost = [
        (str(file.relative_to(ROOT)), heading)
        for file, heading in targets
        if not file.is_file() or (heading and heading not in anchors(str(file.resolve().relative_to(ROOT))))
    ]

    assert lost == []


def test_the_pages_link_to_nothing_outside_their_folder() -> None:
    outside = [(name, file) for name in PAGES if name not in READMES for file, _ in links(name) if "/" in file]

    assert outside == []


def test_every_page_has_its_place_in_the_navigation() -> None:
    # What is tagged is code that only MkDocs needs.
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    config = yaml.load(page("mkdocs.yml"), Loader)  # noqa: S506 — a SafeLoader that knows one tag more

    listed = [
        file for section in config["nav"] for entries in section.values() for one in entries for file in one.values()
    ]

    assert sorted(f"docs/{file}" for file in listed) == sorted(name for name in PAGES if name not in READMES)


# What is true


def test_the_page_of_the_house_names_no_module_that_is_gone() -> None:
    package = ROOT / "uploader"
    there = {file.stem for file in package.rglob("*.py")} | {folder.name for folder in package.iterdir()}
    house, _, rooms = page("docs/architecture.md").partition("## The rooms")
    rooms, _, _ = rooms.partition("## One run")

    named = {*re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", house), *re.findall(r"`(?:[a-z]+\.)?([a-z_]+)`", rooms)}

    assert named - there - OTHER_NAMES == set()


# What is made


def test_the_page_of_the_command_line_is_what_the_commands_say() -> None:
    assert page("docs/command-line.md") == command_line.text(), "make examples writes it again"


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(file, id=file.name, marks=() if file.name in FIRST else pytest.mark.long)
        for file in examples.pages()
        if ".ko." not in file.name
    ],
)
def test_every_example_prints_what_the_page_shows(file: Path) -> None:
    wrong = [
        (example.command, example.shown, example.printed) for example in examples.examples(file) if not example.holds
    ]

    assert wrong == [], "make examples writes down what they print"


def test_the_quick_starts_are_among_the_examples() -> None:
    names = {file.name for file in examples.pages()}

    assert {*FIRST, "README.ko.md", "quick-start.ko.md"} <= names


@pytest.mark.parametrize(
    ("english", "korean"), [("README.md", "README.ko.md"), ("docs/quick-start.md", "docs/quick-start.ko.md")]
)
def test_the_korean_page_shows_the_examples_of_the_english_one(english: str, korean: str) -> None:
    def shown(name: str) -> list[str]:
        blocks = re.findall(r"^```\w+ title=[^`]*^```$|^```console$[^`]*^```$|^<!-- .* -->$", page(name), re.MULTILINE)
        return examples.steady("\n".join(blocks).splitlines())

    assert "$ uploader run customers.csv" in shown(english)
    assert shown(korean) == shown(english)


@pytest.mark.long
def test_the_recording_shows_the_end_of_the_demo(tmp_path: Path) -> None:
    root = ET.fromstring(page("docs/recording.svg"))  # noqa: S314 — our own picture
    group = next(one for one in root.iter() if one.get("class") == "end")
    shown = ["".join(text.itertext()).replace("\u00a0", " ").rstrip() for text in group]

    # The same run without the limit that makes it last for 20 seconds.
    command = f"{shown[0].removeprefix('$ ')} --set rate.per=1s"
    printed = terminal.run(command, ROOT, examples.surroundings(tmp_path), columns=120)

    assert _flowing(examples.steady(shown[1:])) == _flowing(examples.steady(printed))


def _flowing(lines: list[str]) -> str:
    """Return *lines* as if none had been wrapped at the edge of the picture."""
    return re.sub(r"\s+", " ", " ".join(lines))


def test_the_pages_load_nothing_from_another_host() -> None:
    # What MkDocs adds of its own is looked through when the pages are built.
    loaded = [
        (name, found)
        for name in (*PAGES, "docs/recording.svg")
        for found in re.findall(r"(?:src=|!\[[^]]*\]\(|url\(|@import )[\"']?(https?://[^\s\"')]+)", page(name))
    ]

    assert loaded == []


def test_the_tools_of_the_pages_stay_out_of_the_program() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]

    names = {re.split(r"[^a-z-]", line)[0] for line in project["optional-dependencies"]["docs"]}

    assert names == {"mkdocs", "mkdocs-material", "rich"}
    assert names & {re.split(r"[^a-z-]", line)[0] for line in project["dependencies"]} == set()
