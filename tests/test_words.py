"""Hold the names of the program to the words of the field, without the pictures that it spoke in once."""

import ast
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
MODULES: Final = sorted((ROOT / "uploader").rglob("*.py"))

GONE: Final = frozenset(
    {
        *("airfield", "departure", "depart", "departed", "landing", "landed", "land"),
        *("ledger", "ledgers", "account", "accounts", "books", "tally", "purse"),
        *("deck", "cards", "card", "dice", "dealt", "birds", "life", "lives"),
        *("crowd", "crowded", "thin", "turnstile", "gate", "turns"),
        *("desk", "wire", "wired", "shelf", "shelved", "volume", "volumes", "bookmark"),
        *("leftovers", "rehearsal", "rehearsed", "mend", "mended", "anew", "told", "untold", "owed", "owe", "owes"),
        *("census", "survey", "draft", "drafted", "drafting", "likeness", "taker", "streak", "sift", "sifted"),
        *("recall", "halt", "halted", "world", "twin", "followup", "tied", "tie", "ties", "spoiled"),
    }
)
"""Words of names that were pictures: of aviation, bookkeeping, cards, birds, a crowd at a gate, a desk, a shelf."""

EXEMPT: Final[Mapping[str, str]] = {
    "lives": "a key of `uploader runs --json`",
}
"""Names that stay, each with the reason."""


def test_no_name_of_the_program_is_a_picture_that_is_gone() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in MODULES
        for line, name in _names(path)
        if name not in EXEMPT and not GONE.isdisjoint(_words(name))
    }

    assert found == set()


def test_no_two_classes_share_a_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", sorted(EXEMPT))
def test_a_name_that_is_exempt_is_there(name: str) -> None:
    assert any(name == found for path in MODULES for _, found in _names(path))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("_told_until", ["told", "until"]),
        ("HeldBack", ["held", "back"]),
        ("_MOST_ROWS", ["most", "rows"]),
        ("HTTPServer2", ["http", "server"]),
    ],
)
def test_a_name_is_taken_apart_into_its_words(name: str, words: list[str]) -> None:
    assert _words(name) == words


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def _names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every name in the file at *path*, with its line; what others have named, as an attribute, is one too."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.NAME:
                yield token.start[0], token.string
