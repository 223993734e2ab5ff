"""Say in JSON Schema how a value is written in a configuration, beside the function that reads it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias, TypeVar, cast

Form: TypeAlias = Mapping[str, object]
"""A JSON Schema of one way to write a value."""

Read = TypeVar("Read", bound=Callable[..., object])

INNER: Final[Form] = {"inner": True}
"""The section, the list or the mapping itself, whose own parts say how they are written."""

TEXT: Final[Form] = {"type": ["string", "number", "boolean"]}
"""Any text: YAML takes some for numbers, or for true and false."""

NAME: Final[Form] = {"type": ["string", "number", "boolean"], "minLength": 1}
"""A text that is not empty, such as the name of a column."""

EMPTY_OR_TEXT: Final[Form] = {"type": ["string", "number", "boolean", "null"]}
"""Any text, of which YAML takes some for nothing."""

LIST: Final[Form] = {**INNER, "minItems": 1}
"""The list itself, which is not empty."""

PATH: Final[Form] = NAME

VARIABLE: Final[Form] = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}
"""A text with the name of an environment variable, which any value may be."""


class _HasForms(Protocol):
    forms: Sequence[Form]


def written_as(*forms: Form) -> Callable[[Read], Read]:
    """Say that what a function reads is written in one of *forms*."""

    def keep(read: Read) -> Read:
        cast("_HasForms", read).forms = forms
        return read

    return keep


def forms_of(read: object) -> Sequence[Form]:
    """Return the forms of what *read* reads; raises TypeError if it does not say them."""
    forms: Sequence[Form] | None = getattr(read, "forms", None)
    if forms is None:
        raise TypeError(f"{read} does not say how its values are written; add @written_as")
    return forms


def pattern(expression: str) -> Form:
    """Return the form of a text that all of the regular *expression* matches."""
    return {"type": "string", "pattern": f"^(?:{expression})$"}


URL: Final = pattern(r"[Hh][Tt][Tt][Pp][Ss]?://\S+")
"""The form of a URL; a scheme may be in capital letters."""


def capitalized(*words: str) -> Form:
    """Return the form of one of *words*, each part of which may begin with a capital letter."""
    return pattern(
        "|".join(re.sub(r"\b[a-z]", lambda first: f"[{first[0]}{first[0].upper()}]", word) for word in words)
    )
