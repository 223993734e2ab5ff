"""Nobody but its owner names a key of a body."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from uploader.endpoints import USER_PROFILE

PACKAGE: Final = Path(__file__).parents[2] / "uploader"
MAY_NAME: Final = ("endpoints", "config", "inference", "sandbox")
"""The owner; two rooms that speak of the configuration, in which the same words stand; and the judge."""

KEYS: Final = ("identity", "user_properties", "request_datetime")
EXEMPT: Final = {
    ("api.py", "request_datetime"): "the constant, which messages about the configuration need as well",
    ("delivery/http.py", "identity"): "the content coding of RFC 9110: no compression",
    ("run/retry_identities.py", "identity"): "the use of a digest, which is part of the state's format",
}


def named(text: str) -> Iterator[str]:
    """Yield each key of a body that a text of the code, no docstring, is, or has with its quotes."""
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        word = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
        if isinstance(word, str):
            yield from (key for key in KEYS if word == key or f'"{key}"' in word)


def test_no_module_but_the_endpoints_names_a_key_of_a_body() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), key)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in MAY_NAME
        for key in named(path.read_text(encoding="utf-8"))
    }

    assert found == EXEMPT.keys()


@pytest.mark.parametrize(
    ("code", "keys"),
    [
        ('body["identity"]', ["identity"]),
        ("""body.rpartition(b',"request_datetime":')""", ["request_datetime"]),
        ("""f'{{"user_properties":{x}}}' """, ["user_properties"]),
        ('"""It has "identity" in it."""', []),
        ('"an identity of a person"', []),
    ],
)
def test_the_search_finds_a_key_and_no_word_of_a_sentence(code: str, keys: list[str]) -> None:
    assert list(named(code)) == keys


def test_the_keys_that_are_searched_for_are_those_of_a_body() -> None:
    body = USER_PROFILE.encode({"external_id": "1"}, {"a": 1}, "2024-06-24T06:42:25.394Z")

    assert isinstance(body, bytes)
    assert list(ast.literal_eval(body.decode())) == list(KEYS)
