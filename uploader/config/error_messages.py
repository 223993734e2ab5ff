"""Write the error for a wrong configuration: a line for each problem, with the key, what was found, and the fix."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from uploader.config.secret_masking import is_name, is_short, shown
from uploader.config.yaml_document import Document, KeyPath
from uploader.errors import ConfigError

_UNSHOWN = "api"
"""The section whose values are never shown: a token may be at the wrong key of it."""

_LONGEST_KEY = 24

PROPERTIES: KeyPath = ("mapping", "properties")
REGISTERED: KeyPath = ("registered",)
_NAMED_BY_USERS = (PROPERTIES, REGISTERED)
"""The sections whose keys users choose."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One problem at *key_path*; *words* follow the name of the key.

    *comes_last* marks a problem that may only follow from another one (a key is missing because it is misspelt).
    *nameless* is whether the last key of *key_path* may be a secret, and is not shown.
    """

    key_path: KeyPath
    words: str
    comes_last: bool = False
    nameless: bool = False


class UnfitValueError(ValueError):
    """A value does not fit its key; the text follows "found 'x'" in the message, and never quotes the value."""


class MisfitError(ValueError):
    """Keys do not fit together; the text follows the name of the key at *below*, a path within the section.

    *needs* names keys of the section that are missing; it is no error of its own where one of them is misspelt.
    """

    def __init__(self, words: str, *below: str, needs: Sequence[str] = ()) -> None:
        """Keep *words*, and the keys from the section to the one that they are about."""
        super().__init__(words)
        self.below = below
        self.needs = needs


def worded(problems: Iterable[ConfigProblem]) -> ConfigError:
    """Return the error with a line for each of *problems*, which are of no file."""
    return ConfigError("\n".join(dict.fromkeys(_one_line(f"{_name(problem)}{problem.words}") for problem in problems)))


def complaint(document: Document, problems: Sequence[ConfigProblem]) -> ConfigError:
    """Return the error with a line for each of *problems*, in the order of the file."""

    def order(problem: ConfigProblem) -> tuple[bool, float]:
        line = document.line(problem.key_path)
        return problem.comes_last, float("inf") if line is None else line

    lines = (_line(document, problem) for problem in sorted(problems, key=order))
    return ConfigError("\n".join(dict.fromkeys(lines)))


def _line(document: Document, problem: ConfigProblem) -> str:
    return _one_line(f"{document.origin(problem.key_path)} {_name(problem)}{problem.words}")


def _name(problem: ConfigProblem) -> str:
    return named((*problem.key_path[:-1], "")) if problem.nameless else named(problem.key_path)


def named(key_path: KeyPath) -> str:
    """Return the path of a key as users write it, without parts that may be a value or a secret."""
    name = ""
    for depth, part in enumerate(key_path):
        if isinstance(part, int):
            name += f"[{part}]"
            continue
        free = key_path[:depth] in _NAMED_BY_USERS
        written = part if free else beginning(part)
        nameable = written if (is_name(part) if free else _is_key(written)) else ""
        name += ("." if name else "") + nameable + ("" if part and nameable == part else "…")
    return name


def beginning(key: str) -> str:
    """Return the start of *key* that looks like a key; a value may be stuck to it."""
    plain = re.match(r"[A-Za-z_][\w-]*|<<", key)
    return plain[0] if plain else ""


def _is_key(word: str) -> bool:
    """Whether *word* looks like a key; any other long word may be a secret in the wrong place."""
    return is_short(word) or (len(word) <= _LONGEST_KEY and re.fullmatch("[a-z_]+", word) is not None)


def found(key_path: KeyPath, value: object, variables: Mapping[KeyPath, str]) -> str:
    """Return the words for the *value* at *key_path* in a message: never a secret, never the value of a variable."""
    if key_path in variables:
        return f"what {shown(variables[key_path], 'its variable')} holds"
    if key_path[:1] == (_UNSHOWN,):
        return "its value"
    match value:
        case str():
            return f"'{value}'" if is_short(value) else "its value"
        case bool() | int() | float():
            return str(value)
        case list() | tuple():
            return "a list"
        case _:
            return "a section"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean x?" for the one of *known* that is most like *word*, or an empty text."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near}?"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that is most like *word*, in any case, or None if none is."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
