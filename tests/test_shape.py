"""The shape that the code keeps: short functions, few fields or a note on their states, words in their place."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

PACKAGE: Final = Path(__file__).parent.parent / "uploader"
TEXTS: Final = {path.relative_to(PACKAGE): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
NODES: Final = [(path, node) for path, text in TEXTS.items() for node in ast.walk(ast.parse(text))]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

MOST_LINES: Final = 60
MOST_FIELDS: Final = 12
MOST_FILES: Final = 8

NOTE: Final = "States: "
"""What begins the note, in the docstring of a class of many fields, on the states that they can be in together."""

STILL_WITHOUT_NOTE: Final = frozenset(
    {
        "Column",
        "Delivery",
        "Limiter",
        "Memory",
        "Pipeline",
        "Quota",
        "Recall",
        "Survey",
        "Ties",
        "Window",
    }
)
"""Classes from before there was this rule; nothing is added here."""


def _lines(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def _is_frozen(class_: ast.ClassDef) -> bool:
    """Whether instances of *class_* never change, as facts and settings do not, so that they have one state."""
    options = [option for one in class_.decorator_list if isinstance(one, ast.Call) for option in one.keywords]
    if any(ast.unparse(base) == "Section" for base in class_.bases):
        return True
    return any(option.arg == "frozen" and ast.unparse(option.value) == "True" for option in options)


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
        and not _is_frozen(node)
        and NOTE not in (ast.get_docstring(node) or "")
    }

    assert without == STILL_WITHOUT_NOTE


def test_what_a_row_becomes_is_spelled_in_few_files() -> None:
    found = [str(path) for path, text in TEXTS.items() if "superseded" in text.lower()]

    assert len(found) <= MOST_FILES, found
