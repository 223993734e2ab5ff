"""The shape that the code keeps: short functions, few fields or a note on their states, words in their place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

PACKAGE: Final = Path(__file__).parent.parent / "uploader"
TEXTS: Final = {path.relative_to(PACKAGE): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
NODES: Final = [(path, node) for path, text in TEXTS.items() for node in ast.walk(ast.parse(text))]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

MOST_LINES: Final = 60
MOST_FIELDS: Final = 10
MOST_FILES: Final = 8

NOTE: Final = re.compile(r"\bStates\b|\bhas (no|one) states?\b")
"""What begins the note, in the docstring of a class of many fields, on the states that they can be in together."""


def _lines(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def _fields(class_: ast.ClassDef) -> Iterator[str]:
    """Yield what an instance of *class_* holds, by the annotations of its body, and what its methods store in it."""
    for line in class_.body:
        if isinstance(line, ast.AnnAssign) and "ClassVar" not in ast.unparse(line.annotation):
            yield ast.unparse(line.target)
    for node in ast.walk(class_):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{path}: {node.name}": _lines(node)
        for path, node in NODES
        if isinstance(node, Function) and _lines(node) > MOST_LINES
    }

    assert long == {}


def test_a_class_of_many_fields_says_what_states_it_has() -> None:
    without = {
        node.name
        for _, node in NODES
        if isinstance(node, ast.ClassDef)
        and len(set(_fields(node))) > MOST_FIELDS
        and not NOTE.search(ast.get_docstring(node) or "")
    }

    assert without == set()


def test_what_a_row_becomes_is_spelled_in_few_files() -> None:
    found = [str(path) for path, text in TEXTS.items() if "superseded" in text.lower()]

    assert len(found) <= MOST_FILES, found
