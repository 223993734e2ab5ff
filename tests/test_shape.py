"""The shape that the code keeps: short functions, few fields or a note on their states, words in their place."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

PACKAGE: Final = Path(__file__).parent.parent / "uploader"
TEXTS: Final = {path.relative_to(PACKAGE): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

MOST_LINES: Final = 60
MOST_PARAMETERS: Final = 8
MOST_FIELDS_WITHOUT_NOTE: Final = 10
MOST_FIELDS: Final = 12
MOST_FILES: Final = 8

NOTE: Final = re.compile(r"\bStates\b|\bhas (no|one) states?\b")
"""What begins the note, in the docstring of a class of many fields, on the states that they can be in together."""


WINDOW_ARITHMETIC: Final = frozenset({"ServerWindow"})
"""Computes with all numbers of a window at once; its note says which go together."""


@cache
def _nodes() -> list[tuple[Path, ast.AST]]:
    """Return all nodes of the package's trees, of which only the worker that runs these tests parses any."""
    return [(path, node) for path, text in TEXTS.items() for node in ast.walk(ast.parse(text))]


def _lines(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def _parameters(function: Function) -> list[str]:
    """Return the names of what *function* takes, without the object or class that it is of."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return [one.arg for one in named if one.arg not in {"self", "cls"}]


def _functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, Function]]:
    """Yield the functions of *tree* with their names, that of a method after its class's."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield within + node.name, node
        yield from _functions(node, f"{node.name}." if isinstance(node, ast.ClassDef) else within)


def _with_too_many_parameters(text: str) -> set[str]:
    return {name for name, one in _functions(ast.parse(text)) if len(_parameters(one)) > MOST_PARAMETERS}


def _with_too_many_fields(text: str) -> set[str]:
    classes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef))
    return {one.name for one in classes if len(set(_fields(one))) > MOST_FIELDS}


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
        for path, node in _nodes()
        if isinstance(node, Function) and _lines(node) > MOST_LINES
    }

    assert long == {}


def test_a_class_of_many_fields_says_what_states_it_has() -> None:
    without = {
        node.name
        for _, node in _nodes()
        if isinstance(node, ast.ClassDef)
        and len(set(_fields(node))) > MOST_FIELDS_WITHOUT_NOTE
        and not NOTE.search(ast.get_docstring(node) or "")
    }

    assert without == set()


def test_no_function_takes_more_than_eight_parameters() -> None:
    found = {name for text in TEXTS.values() for name in _with_too_many_parameters(text)}

    assert found == set()


def test_no_class_has_more_than_twelve_fields() -> None:
    found = {name for text in TEXTS.values() for name in _with_too_many_fields(text)}

    assert found == WINDOW_ARITHMETIC


def test_one_parameter_and_one_field_too_many_are_found() -> None:
    eight = ", ".join("abcdefgh")
    twelve = "".join(f"        self.{name} = 0\n" for name in "abcdefghijkl")
    fine = f"class Fine:\n    def __init__(self, {eight}):\n{twelve}"
    broken = f"class Broken:\n    def __init__(self, {eight}, *, i):\n{twelve}        self.m = 0\n"

    assert (_with_too_many_parameters(fine), _with_too_many_fields(fine)) == (set(), set())
    assert (_with_too_many_parameters(broken), _with_too_many_fields(broken)) == ({"Broken.__init__"}, {"Broken"})


def test_what_a_row_becomes_is_spelled_in_few_files() -> None:
    found = [str(path) for path, text in TEXTS.items() if "superseded" in text.lower()]

    assert len(found) <= MOST_FILES, found
