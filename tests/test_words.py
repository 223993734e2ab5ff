"""Hold names, messages, docstrings, comments and pages to the words of the field, without pictures of the past."""

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
TOOLS: Final = sorted(file for folder in ("benchmarks", "docs/scripts") for file in (ROOT / folder).rglob("*.py"))
PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "tests/README.md"])

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

GONE_IN_TEXTS: Final = re.compile(
    r"""\b(
    airfield\w* | depart(s|ed|ure|ures)? | (takes?|took|taken|taking)[ ]off | turnstiles? | crowd\w* | birds?
    | ledgers? | (the|its|their|whose)[ ]books | books[ ]balance | tall(y|ies) | purse | bookmark\w*
    | deck | dice | shel(f|ves) | census\w* | surveys? | leftovers? | likeness\w* | halt(s|ed)? | sift\w*
    | rehears\w* | mend(s|ed|ing)? | anew | told | untold | owe[sd]? | owing | lest | whoever | whomever
    | remember\w* | in[ ]doubt | go(es)?[ ]on | went[ ]on | gone[ ]on | going[ ]on | of[ ]its[ ]row | begun
    | broke(n)?[ ]off | gave[ ]up | what[ ]\w+[ ]is[ ]known[ ]by | betray\w* | takers?
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""What messages, docstrings, comments and pages do not say: pictures, and turns that the glossary has a word for."""

EXEMPT_TEXTS: Final[Mapping[str, str]] = {
    r"(FROM|TABLE) owed|name = 'owed'": "the table of an earlier version, which is read once more",
}
"""Texts that stay, each with the reason: a regular expression of what is taken out of a line before it is read."""


def test_no_name_of_the_program_is_a_picture_that_is_gone() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in (*MODULES, *TOOLS)
        for line, name in _names(path)
        if name not in EXEMPT and not GONE.isdisjoint(_words(name))
    }

    assert found == set()


@pytest.mark.parametrize("path", [str(path.relative_to(ROOT)) for path in (*MODULES, *TOOLS, *PAGES)])
def test_no_text_has_a_picture_that_is_gone(path: str) -> None:
    assert list(_gone_in_texts(ROOT / path)) == []


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


def _gone_in_texts(path: Path) -> Iterator[str]:
    """Yield what the file at *path* says that it should not: of a program its strings and comments, of a page all."""
    for line, text in _texts(path):
        for pattern in EXEMPT_TEXTS:
            text = re.sub(pattern, "", text)  # noqa: PLW2901 — one exemption after the other
        for found in GONE_IN_TEXTS.finditer(text):
            yield f"{path.relative_to(ROOT)}:{line}: {found[0]!r} in {text.strip()[:90]!r}"


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    if path.suffix == ".py":
        with path.open("rb") as file:
            for token in tokenize.tokenize(file.readline):
                if token.type in _TEXT_TOKENS:
                    yield from enumerate(token.string.splitlines(), token.start[0])
    else:
        yield from enumerate(path.read_text(encoding="utf-8").splitlines(), 1)


_TEXT_TOKENS: Final = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
